"""Feature, attention and relation methods: against loops and closed forms, and what must hold for any input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kdbench_methods.attention.at import AT, attention_loss
from kdbench_methods.feature.fitnets import FitNets, hint_loss
from kdbench_methods.feature.vid import VID, Regressor, vid_loss
from kdbench_methods.relation.pkt import PKT, pkt_loss
from kdbench_methods.relation.rkd import RKD, rkd_losses
from kdbench_methods.relation.sp import SP, similarity_loss
from torch import Tensor, nn
from torch.autograd import gradcheck

from kdbench import BuildContext, Method, MethodError, Outputs, Shapes, Step
from tests.methods.by_hand import Array, ce, context, logits, step

Y = torch.tensor([0, 2, 1, 1])
SEEDS = st.integers(0, 10_000)


def maps(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def close(actual: Tensor, expected: float, tolerance: float = 1e-10) -> bool:
    return math.isclose(float(actual.detach()), expected, rel_tol=tolerance, abs_tol=tolerance)


def embedded(s: Tensor, t: Tensor, z: Tensor) -> Step:
    return Step(Outputs(z, None, s), (Outputs(None, None, t),), torch.zeros(len(z), 1), Y, 0, 0.0)


def rotation(size: int, seed: int = 0) -> Tensor:
    return torch.linalg.qr(maps(size, size, seed=seed))[0]


class TestFitNets:
    def test_is_the_mean_squared_difference(self) -> None:
        s, t = maps(4, 3, 2, 2, seed=1), maps(4, 3, 2, 2, seed=2)
        assert close(hint_loss(s, t), float(np.square(s.numpy() - t.numpy()).mean()))

    def test_the_larger_grid_is_pooled_to_the_smaller(self) -> None:
        s, t = maps(2, 3, 4, 4, seed=1), maps(2, 3, 2, 2, seed=2)
        pooled = s.numpy().reshape(2, 3, 2, 2, 2, 2).mean((3, 5))
        expected = float(np.square(pooled - t.numpy()).mean())
        assert close(hint_loss(s, t), expected)
        assert close(hint_loss(t, s), expected)

    def test_method_regresses_and_weighs(self) -> None:
        method = FitNets()
        method.build(context([(2, 4, 4), (3, 2, 2)], [[(5, 4, 4), (6, 2, 2)]]))
        method.double()
        f, g, z = maps(4, 3, 2, 2, seed=1), maps(4, 6, 2, 2, seed=2), logits(4, 3)
        terms = method.loss(step(z, Y, teachers=[z], features=[f], teacher_features=[[g]]))
        with torch.no_grad():
            expected = float((method.regressor(f) - g).square().mean())
        assert close(terms["hint"], 100 * expected)
        assert close(terms["ce"], ce(z, Y.tolist()))

    def test_reads_the_stage_that_it_is_told(self) -> None:
        needs = FitNets(FitNets.Params(stage=-1)).needs
        assert (needs.student_features, needs.teacher_features, needs.teacher_logits) == ((-1,), (-1,), False)

    @pytest.mark.parametrize("student", [[], [(5, 8)]])
    def test_says_why_it_cannot_be_built(self, student: list[tuple[int, ...]]) -> None:
        with pytest.raises(MethodError, match="fitnets"):
            FitNets().build(context(student, [[(3, 2, 2)]]))


class TestVID:
    def test_is_the_normal_log_likelihood_up_to_a_constant(self) -> None:
        mean, teacher, scale = (
            maps(3, 2, 2, 2, seed=1),
            maps(3, 2, 2, 2, seed=2),
            torch.tensor([0.3, -1.0], dtype=torch.float64),
        )
        variance = np.log1p(np.exp(scale.numpy())) + 1e-5
        expected = np.mean(
            [
                0.5 * ((mean[n, c, i, j] - teacher[n, c, i, j]) ** 2 / variance[c] + math.log(variance[c]))
                for n in range(3)
                for c in range(2)
                for i in range(2)
                for j in range(2)
            ]
        )
        assert close(vid_loss(mean, scale, teacher), float(expected))

    def test_variance_begins_at_five(self) -> None:
        scale = Regressor(2, 3).scale
        assert torch.allclose(nn.functional.softplus(scale) + 1e-5, torch.full((3,), 5.0))

    def test_the_best_variance_is_the_mean_squared_error(self) -> None:
        mean, teacher = maps(64, 1, 2, 2, seed=1), maps(64, 1, 2, 2, seed=2)
        best = float((mean - teacher).square().mean())
        scale = torch.tensor([math.log(math.expm1(best - 1e-5))], dtype=torch.float64, requires_grad=True)
        vid_loss(mean, scale, teacher).backward()
        assert scale.grad is not None
        assert abs(float(scale.grad)) < 1e-12

    def test_stages_are_paired_from_the_last(self) -> None:
        method = VID()
        method.build(context([(2, 4, 4), (3, 2, 2)], [[(4, 8, 8), (5, 4, 4), (6, 2, 2)]]))
        assert [(r.mean[0].in_channels, r.mean[-1].out_channels) for r in method.regressors] == [(3, 6), (2, 5)]
        method.double()
        student, teacher = [maps(4, 2, 4, 4), maps(4, 3, 2, 2)], [maps(4, 4, 8, 8), maps(4, 5, 4, 4), maps(4, 6, 2, 2)]
        z = logits(4, 3)
        terms = method.loss(step(z, Y, teachers=[z], features=student, teacher_features=[teacher]))
        with torch.no_grad():
            expected = sum(
                float(vid_loss(*r(s), t)) for r, s, t in zip(method.regressors, student[::-1], teacher[:0:-1], strict=True)
            )
        assert close(terms["vid"], expected)


def attention_by_hand(f: Array) -> Array:
    energy = (f**2).mean(1).reshape(len(f), -1)
    return np.asarray(energy / np.sqrt((energy**2).sum(1, keepdims=True)))


class TestAT:
    def test_is_the_mean_squared_difference_of_normalised_energies(self) -> None:
        s, t = maps(4, 3, 2, 2, seed=1), maps(4, 5, 2, 2, seed=2)
        expected = np.square(attention_by_hand(s.numpy()) - attention_by_hand(t.numpy())).mean()
        assert close(attention_loss(s, t), float(expected))

    def test_one_bright_pixel_each_at_different_places(self) -> None:
        s, t = torch.zeros(1, 1, 2, 2, dtype=torch.float64), torch.zeros(1, 2, 2, 2, dtype=torch.float64)
        s[0, 0, 0, 0], t[0, 1, 1, 1] = 3.0, -2.0
        assert close(attention_loss(s, t), 2 / 4)  # (1 − 0)² twice, over four pixels

    @given(SEEDS, st.floats(0.1, 10.0))
    @settings(max_examples=20, deadline=None)
    def test_is_blind_to_scale_and_to_the_order_of_channels(self, seed: int, factor: float) -> None:
        s, t = maps(3, 4, 2, 2, seed=seed), maps(3, 4, 2, 2, seed=seed + 1)
        assert close(attention_loss(factor * s, t.flip(1)), float(attention_loss(s, t)), 1e-8)
        assert close(attention_loss(factor * s, s), 0.0)

    def test_larger_features_are_pooled_before_they_are_squared(self) -> None:
        s = torch.tensor([[[[1.0, -1.0], [0.0, 0.0]]]], dtype=torch.float64)  # pooled to 1×1: nothing is left of it
        t = torch.tensor([[[[2.0]]]], dtype=torch.float64)
        assert close(attention_loss(s, t), 1.0)
        s, t = maps(4, 3, 4, 4, seed=1), maps(4, 5, 2, 2, seed=2)
        pooled = s.numpy().reshape(4, 3, 2, 2, 2, 2).mean((3, 5))
        expected = np.square(attention_by_hand(pooled) - attention_by_hand(t.numpy())).mean()
        assert close(attention_loss(s, t), float(expected))

    def test_method_sums_stages_from_the_last(self) -> None:
        student, teacher = [maps(4, 2, 4, 4), maps(4, 3, 2, 2)], [maps(4, 4, 8, 8), maps(4, 5, 4, 4), maps(4, 6, 2, 2)]
        z = logits(4, 3)
        terms = AT().loss(step(z, Y, teachers=[z], features=student, teacher_features=[teacher]))
        expected = attention_loss(student[1], teacher[2]) + attention_loss(student[0], teacher[1])
        assert close(terms["at"], 1000 * float(expected))

    def test_says_why_tokens_do_not_suit_it(self) -> None:
        with pytest.raises(MethodError, match=r"\(5, 8\)"):
            AT().build(context([(5, 8)], [[(3, 2, 2)]]))


def huber(x: float) -> float:
    return 0.5 * x * x if abs(x) < 1 else abs(x) - 0.5


def rkd_by_hand(s: Array, t: Array) -> tuple[float, float]:
    def distances(e: Array) -> Array:
        d = np.array([[np.linalg.norm(a - b) for b in e] for a in e])
        return np.asarray(d / (d.sum() / (len(e) * (len(e) - 1))))

    def cosine(a: Array, b: Array) -> float:
        lengths = np.linalg.norm(a) * np.linalg.norm(b)
        return float(a @ b / lengths) if lengths > 0 else 0.0

    n = len(s)
    ds, dt = distances(s), distances(t)
    distance = np.mean([huber(ds[i, j] - dt[i, j]) for i in range(n) for j in range(n)])
    angle = np.mean(
        [
            huber(cosine(s[j] - s[i], s[k] - s[i]) - cosine(t[j] - t[i], t[k] - t[i]))
            for i in range(n)
            for j in range(n)
            for k in range(n)
        ]
    )
    return float(distance), float(angle)


class TestRKD:
    def test_distances_and_angles_by_loops(self) -> None:
        s, t = maps(5, 3, seed=1), maps(5, 4, seed=2)
        expected = rkd_by_hand(s.numpy(), t.numpy())
        got = rkd_losses(s, t)
        assert close(got[0], expected[0], 1e-8)
        assert close(got[1], expected[1], 1e-8)

    @given(SEEDS, st.floats(0.1, 10.0))
    @settings(max_examples=20, deadline=None)
    def test_is_blind_to_rotation_shift_and_scale(self, seed: int, factor: float) -> None:
        s = maps(5, 3, seed=seed)
        moved = factor * s @ rotation(3, seed + 1) + maps(1, 3, seed=seed + 2)
        assert all(close(part, 0.0, 1e-8) for part in rkd_losses(s, moved))

    def test_samples_that_coincide_have_a_finite_gradient(self) -> None:
        s = torch.zeros(3, 2, dtype=torch.float64)
        s[2] = 1.0
        s.requires_grad_()
        sum(rkd_losses(s, maps(3, 2))).backward()  # type: ignore[union-attr]
        assert s.grad is not None
        assert torch.isfinite(s.grad).all()

    def test_method_weighs_both(self) -> None:
        s, t, z = maps(4, 3, seed=1), maps(4, 5, seed=2), logits(4, 3)
        terms = RKD().loss(embedded(s, t, z))
        distance, angle = rkd_by_hand(s.numpy(), t.numpy())
        assert close(terms["distance"], 25 * distance, 1e-8)
        assert close(terms["angle"], 50 * angle, 1e-8)


def similarity_by_hand(f: Array) -> Array:
    flat = f.reshape(len(f), -1)
    g = flat @ flat.T
    return np.asarray(g / np.linalg.norm(g, axis=1, keepdims=True))


class TestSP:
    def test_is_the_squared_frobenius_norm_over_pairs(self) -> None:
        s, t = maps(4, 3, 2, 2, seed=1), maps(4, 5, 3, 3, seed=2)
        difference = similarity_by_hand(s.numpy()) - similarity_by_hand(t.numpy())
        assert close(similarity_loss(s, t), float(np.linalg.norm(difference) ** 2 / 16))

    @given(SEEDS)
    @settings(max_examples=20, deadline=None)
    def test_is_blind_to_rotation_and_scale(self, seed: int) -> None:
        s = maps(4, 6, seed=seed)
        assert close(similarity_loss(s, 3 * s @ rotation(6, seed + 1)), 0.0)

    def test_orthogonal_against_parallel_samples(self) -> None:
        # Similarities: identity against all 1/√2. Each row differs by (1 − 1/√2)² + 1/2.
        s, t = torch.eye(2, dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64)
        assert close(similarity_loss(s, t), ((1 - math.sqrt(0.5)) ** 2 + 0.5) / 2)

    def test_method_weighs_the_last_stage(self) -> None:
        s, t, z = maps(4, 3, 2, 2, seed=1), maps(4, 5, 3, 3, seed=2), logits(4, 3)
        terms = SP().loss(step(z, Y, teachers=[z], features=[s], teacher_features=[[t]]))
        assert close(terms["sp"], 3000 * float(similarity_loss(s, t)))


def pkt_by_hand(s: Array, t: Array) -> float:
    def conditional(f: Array) -> Array:
        k = np.array([[(1 + a @ b / (np.linalg.norm(a) * np.linalg.norm(b))) / 2 for b in f] for a in f])
        return np.asarray(k / k.sum(1, keepdims=True))

    p, q = conditional(t), conditional(s)
    return float((p * np.log((p + 1e-7) / (q + 1e-7))).mean())


class TestPKT:
    def test_is_the_divergence_of_conditional_probabilities(self) -> None:
        s, t = maps(5, 3, seed=1), maps(5, 4, seed=2)
        assert close(pkt_loss(s, t), pkt_by_hand(s.numpy(), t.numpy()), 1e-8)

    @given(SEEDS)
    @settings(max_examples=20, deadline=None)
    def test_is_blind_to_rotation_and_to_the_length_of_each_sample(self, seed: int) -> None:
        s = maps(4, 3, seed=seed)
        lengths = maps(4, 1, seed=seed + 2).abs() + 0.1
        assert close(pkt_loss(s, lengths * s @ rotation(3, seed + 1)), 0.0, 1e-8)

    def test_a_sample_of_zeros_stays_finite(self) -> None:
        s = torch.zeros(3, 2, requires_grad=True)
        pkt_loss(s, torch.rand(3, 2)).backward()
        assert s.grad is not None
        assert torch.isfinite(s.grad).all()

    def test_method_weighs(self) -> None:
        s, t, z = maps(4, 3, seed=1), maps(4, 5, seed=2), logits(4, 3)
        assert close(PKT().loss(embedded(s, t, z))["pkt"], 30000 * pkt_by_hand(s.numpy(), t.numpy()), 1e-7)


SCALE = torch.tensor([0.3, -1.0], dtype=torch.float64)
LOSSES = {
    "hint": hint_loss,
    "vid": lambda s, t: vid_loss(s, SCALE.to(s.dtype), t),
    "at": attention_loss,
    "rkd distance": lambda s, t: rkd_losses(s, t)[0],
    "rkd angle": lambda s, t: rkd_losses(s, t)[1],
    "sp": similarity_loss,
    "pkt": pkt_loss,
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_agree_with_finite_differences(name: str) -> None:
    assert gradcheck(LOSSES[name], (maps(4, 2, 2, 2, seed=1).requires_grad_(), maps(4, 2, 2, 2, seed=2)))


@pytest.mark.parametrize("name", LOSSES)
def test_under_bf16_autocast_the_loss_is_that_of_float32(name: str) -> None:
    s, t = maps(4, 2, 2, 2, seed=1, dtype=torch.bfloat16), maps(4, 2, 2, 2, seed=2, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        inside = LOSSES[name](s, t)
    assert inside.dtype == torch.float32
    assert torch.allclose(inside, LOSSES[name](s.float(), t.float()), rtol=2e-2)


@pytest.mark.parametrize("method", [FitNets, VID, AT, RKD, SP, PKT])
def test_the_teacher_runs_no_deeper_than_the_method_reads(method: type[Method]) -> None:
    assert not method().needs.teacher_logits


def test_contexts_are_those_of_the_contract() -> None:
    made = context([(2, 4, 4)], [[(3, 4, 4)]])
    assert isinstance(made, BuildContext)
    assert made.student == Shapes(((2, 4, 4),))
