"""Online distillation: each loss against numbers worked out apart from it, and what must hold for any input."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from kdbench_methods.online.dml import DML, mutual_loss
from kdbench_methods.online.kdcl import KDCL, ensemble_logits, kdcl_loss
from scipy.optimize import minimize_scalar
from torch import Tensor, nn
from torch.autograd import gradcheck

from kdbench import BuildContext
from kdbench.check.harness import Harness
from tests.methods.by_hand import ce, context, kl, logits, softmax, step

Y = torch.tensor([0, 2, 1, 1])
SEEDS = st.integers(0, 10_000)


def close(actual: Tensor, expected: float, tolerance: float = 1e-10) -> bool:
    return math.isclose(float(actual.detach()), expected, rel_tol=tolerance, abs_tol=tolerance)


def per_sample(z: Tensor, y: Tensor = Y) -> Tensor:
    return F.cross_entropy(z, y, reduction="none")


def peers_of(count: int) -> BuildContext:
    """A context that makes ``count`` different linear peers of two inputs and three classes."""
    made = itertools.count()

    def new() -> nn.Module:
        torch.manual_seed(next(made))
        return nn.Linear(2, 3)

    plain = context()
    return BuildContext(plain.student, plain.teachers, 3, plain.labels, 4, 2, new)


class TestDML:
    def test_loss_is_the_mean_divergence_from_the_others(self) -> None:
        s, a, b = logits(4, 3, 1), logits(4, 3, 2), logits(4, 3, 3)
        p = softmax(s.numpy())
        expected = (kl(softmax(a.numpy()), p) + kl(softmax(b.numpy()), p)) / 2
        assert close(mutual_loss(s, [a, b]), expected)

    def test_a_network_learns_from_the_others_and_does_not_move_them(self) -> None:
        s, other = logits(4, 3, 1).requires_grad_(), logits(4, 3, 2).requires_grad_()
        mutual_loss(s, [other]).backward()
        assert s.grad is not None
        assert other.grad is None

    @pytest.mark.parametrize("peers", [1, 2, 3])
    def test_every_network_has_labels_and_the_others(self, peers: int) -> None:
        method = DML(DML.Params(peers=peers))
        method.build(peers_of(peers))
        x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
        z = logits(4, 3, dtype=torch.float32)
        terms = method.loss(step(z, Y, inputs=x))
        all_logits = [z.numpy(), *(p(x).detach().numpy() for p in method.peers)]
        p = [softmax(each) for each in all_logits]
        mutual = [np.mean([kl(q, p[k]) for j, q in enumerate(p) if j != k]) for k in range(peers + 1)]
        assert close(terms["ce"], ce(z.numpy(), Y.tolist()), 1e-5)
        assert close(terms["mutual"], float(mutual[0]), 1e-5)
        assert close(terms["peers_ce"], sum(ce(each, Y.tolist()) for each in all_logits[1:]), 1e-5)
        assert close(terms["peers_mutual"], float(np.sum(mutual[1:])), 1e-5)

    def test_peers_that_agree_with_the_student_teach_it_nothing(self) -> None:
        z = logits(4, 3)
        assert close(mutual_loss(z, [z, z + 7.0]), 0.0)

    @pytest.mark.parametrize("cls", [DML, KDCL])
    def test_peers_learn_and_start_from_weights_of_their_own(self, cls: type[DML] | type[KDCL]) -> None:
        harness = Harness(cls)
        (peer,) = harness.method.peers
        before = [p.detach().clone() for p in peer.parameters()]
        assert not torch.equal(before[-1], list(harness.member.student.parameters())[-1])
        harness.train()
        assert all(not torch.equal(a, b) for a, b in zip(before, peer.parameters(), strict=True))


class TestKDCL:
    def test_naive_takes_the_best_network_sample_by_sample(self) -> None:
        z = [logits(4, 3, k) for k in (1, 2, 3)]
        target = ensemble_logits(z, Y, "naive")
        assert torch.equal(per_sample(target), torch.stack([per_sample(each) for each in z]).amin(0))

    def test_min_logit_by_hand(self) -> None:
        # Label 1: shifted to (1, 0, −2) and (−1, 0, 3), so the minimum is (−1, 0, −2).
        a = torch.tensor([[3.0, 2.0, 0.0]], dtype=torch.float64)
        b = torch.tensor([[0.0, 1.0, 4.0]], dtype=torch.float64)
        target = ensemble_logits([a, b], torch.tensor([1]), "min_logit")
        assert torch.equal(target, torch.tensor([[-1.0, 0.0, -2.0]], dtype=torch.float64))

    def test_mean_is_the_mean(self) -> None:
        z = [logits(4, 3, k) for k in (1, 2, 3)]
        assert torch.allclose(ensemble_logits(z, Y, "mean"), (z[0] + z[1] + z[2]) / 3)

    @given(SEEDS)
    @settings(max_examples=15, deadline=None)
    def test_linear_is_the_best_mix_of_two_as_scipy_finds_it(self, seed: int) -> None:
        a, b = logits(4, 3, seed, 4.0), logits(4, 3, seed + 1, 4.0)
        ours = per_sample(ensemble_logits([a, b], Y, "linear"))
        for n in range(4):
            best = minimize_scalar(
                lambda w, n=n: float(per_sample((w * a + (1 - w) * b)[n : n + 1], Y[n : n + 1])),
                bounds=(0, 1),
                method="bounded",
                options={"xatol": 1e-10},
            )
            assert float(ours[n]) <= best.fun + 1e-8

    def test_linear_of_three_is_as_good_as_the_best_of_a_fine_grid(self) -> None:
        z = [logits(4, 5, k, 3.0) for k in (1, 2, 3)]
        ours = per_sample(ensemble_logits(z, Y, "linear"))
        grid = [per_sample((i * z[0] + j * z[1] + (60 - i - j) * z[2]) / 60) for i in range(61) for j in range(61 - i)]
        assert bool((ours <= torch.stack(grid).amin(0) + 1e-9).all())

    @given(SEEDS, st.integers(2, 4))
    @settings(max_examples=20, deadline=None)
    def test_each_ensemble_is_no_worse_on_the_label_than_the_one_before_it(self, seed: int, count: int) -> None:
        z = [logits(4, 3, seed + k, 3.0) for k in range(count)]
        naive, linear, least = (per_sample(ensemble_logits(z, Y, e)) for e in ("naive", "linear", "min_logit"))
        assert bool((linear <= naive + 1e-7).all())  # where the best mix is a network alone, bisection stops just short of it
        assert bool((least <= linear + 1e-7).all())

    @pytest.mark.parametrize("ensemble", ["naive", "linear", "min_logit", "mean"])
    def test_networks_that_agree_are_their_own_target(self, ensemble: str) -> None:
        z = logits(4, 3).requires_grad_()
        target = ensemble_logits([z, z, z], Y, ensemble)  # type: ignore[arg-type]
        assert not target.requires_grad
        assert torch.allclose(torch.softmax(target, 1), torch.softmax(z, 1))
        assert close(kdcl_loss(z, target, 2.0), 0.0)

    def test_loss_is_the_softened_divergence_from_the_target(self) -> None:
        z, t = logits(4, 3, 1), logits(4, 3, 2)
        assert close(kdcl_loss(z, t, 2.0), 4 * kl(softmax(t.numpy(), 2.0), softmax(z.numpy(), 2.0)))

    @pytest.mark.parametrize("ensemble", ["naive", "linear", "min_logit", "mean"])
    def test_student_and_peers_share_one_target(self, ensemble: str) -> None:
        method = KDCL(KDCL.Params(peers=2, ensemble=ensemble, kd_weight=0.5))
        method.build(peers_of(2))
        x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
        z = logits(4, 3, dtype=torch.float32)
        terms = method.loss(step(z, Y, inputs=x))
        everyone = [z, *(p(x).detach() for p in method.peers)]
        q = softmax(ensemble_logits(everyone, Y, ensemble).numpy(), 2.0)  # type: ignore[arg-type]
        kd = [4 * kl(q, softmax(each.numpy(), 2.0)) for each in everyone]
        assert close(terms["kd"], 0.5 * kd[0], 1e-5)
        assert close(terms["peers_kd"], 0.5 * (kd[1] + kd[2]), 1e-5)
        assert close(terms["ce"], ce(z.numpy(), Y.tolist()), 1e-5)
        assert close(terms["peers_ce"], sum(ce(each.numpy(), Y.tolist()) for each in everyone[1:]), 1e-5)


LOSSES = {
    "dml": lambda s, t: mutual_loss(s, [t, 2 * t]),
    "kdcl": lambda s, t: kdcl_loss(s, t, 2.0),
    "kdcl_linear": lambda s, t: kdcl_loss(s, ensemble_logits([t, 2 * t], Y, "linear"), 2.0),
    "kdcl_min_logit": lambda s, t: kdcl_loss(s, ensemble_logits([t, 2 * t], Y, "min_logit"), 2.0),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    s, t = logits(4, 3, 1).requires_grad_(), logits(4, 3, 2)
    assert gradcheck(lambda z: LOSSES[name](z, t), s)


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_is_computed_in_float32(name: str) -> None:
    s, t = logits(4, 3, 1, dtype=torch.bfloat16), logits(4, 3, 2, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        loss = LOSSES[name](s, t)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, LOSSES[name](s.float(), t.float()))
    assert math.isclose(float(loss), float(LOSSES[name](s.double(), t.double())), rel_tol=1e-4)
