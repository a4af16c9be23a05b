"""Self-distillation: each loss against numbers worked out apart from it, and what must hold for any input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from kdbench_methods.self_distillation import byot
from kdbench_methods.self_distillation.born_again import BornAgain, born_again_loss
from kdbench_methods.self_distillation.byot import Bottleneck, Byot, hint_loss, pool, soft_loss
from kdbench_methods.self_distillation.cs_kd import CsKD, cs_kd_loss
from kdbench_methods.self_distillation.ps_kd import PsKD, ps_kd_loss, soft_targets
from kdbench_methods.self_distillation.tf_kd import TfKD, tf_kd_loss, virtual_teacher
from pydantic import ValidationError
from torch import Tensor, nn
from torch.autograd import gradcheck

from kdbench import MethodError
from tests.methods.by_hand import ce, context, kl, logits, softmax, step

Y = torch.tensor([0, 2, 1, 1])
SEEDS = st.integers(0, 10_000)


def close(actual: Tensor, expected: float, tolerance: float = 1e-10) -> bool:
    return math.isclose(float(actual.detach()), expected, rel_tol=tolerance, abs_tol=tolerance)


class TestTfKD:
    def test_virtual_teacher_of_three_classes(self) -> None:
        # u = (0.9, 0.05, 0.05) at τ = 0.1 is softmax(9, 0.5, 0.5): 1/(1 + 2e^-8.5) and twice e^-8.5 of that
        first = 1 / (1 + 2 * math.exp(-8.5))
        rest = math.exp(-8.5) * first
        assert torch.allclose(
            virtual_teacher(torch.tensor([1]), 3, 0.9, 0.1), torch.tensor([[rest, first, rest]], dtype=torch.float64)
        )

    def test_a_warm_virtual_teacher_is_nearly_uniform_as_in_the_reference(self) -> None:
        # exp(0.99/20) against exp(0.0001/20) 99 times
        right = math.exp(0.99 / 20) / (math.exp(0.99 / 20) + 99 * math.exp(0.01 / 99 / 20))
        teacher = virtual_teacher(torch.tensor([7]), 100, 0.99, 20.0)
        assert close(teacher[0, 7], right)
        assert 0.0104 < right < 0.0106

    def test_loss_is_the_divergence_from_it_without_softening_the_student(self) -> None:
        z = logits(4, 3)
        u = np.full((4, 3), 0.01 / 2)
        u[range(4), Y] = 0.99
        assert close(tf_kd_loss(z, Y, 0.99, 20.0), kl(softmax(u, 20.0), softmax(z.numpy())))

    def test_default_is_the_references_mean_over_elements_times_100_on_cifar100(self) -> None:
        z, y = logits(5, 100), torch.arange(5)
        terms = TfKD().loss(step(z, y))
        reference = F.kl_div(F.log_softmax(z, 1), virtual_teacher(y, 100, 0.99, 20.0), reduction="none").mean() * 100
        assert close(terms["virtual_teacher"], 0.1 * float(reference))
        assert close(terms["ce"], 0.9 * ce(z.numpy(), y.tolist()))

    def test_student_that_equals_the_virtual_teacher_has_no_loss(self) -> None:
        z = virtual_teacher(Y, 3, 0.99, 20.0).log()
        assert close(tf_kd_loss(z, Y, 0.99, 20.0), 0.0)

    @pytest.mark.parametrize("bad", [{"correct_prob": 1.0}, {"correct_prob": 0.0}, {"alpha": 1.1}, {"temperature": 0.0}])
    def test_parameters_out_of_range_are_refused(self, bad: dict[str, float]) -> None:
        with pytest.raises(ValidationError):
            TfKD.Params(**bad)


class TestBornAgain:
    def test_loss_is_the_divergence_at_temperature_one(self) -> None:
        s, t = logits(4, 3, 1), logits(4, 3, 2)
        assert close(born_again_loss(s, t), kl(softmax(t.numpy()), softmax(s.numpy())))

    def test_two_classes_by_hand(self) -> None:
        # teacher (3/4, 1/4), student (1/2, 1/2): 3/4·log(3/2) + 1/4·log(1/2)
        s, t = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)
        assert close(born_again_loss(s, t), 0.75 * math.log(1.5) + 0.25 * math.log(0.5))

    def test_labels_count_once_by_default_and_not_at_all_when_asked(self) -> None:
        s, t = logits(4, 3, 1), logits(4, 3, 2)
        assert close(BornAgain().loss(step(s, Y, teachers=[t]))["ce"], ce(s.numpy(), Y.tolist()))
        assert close(BornAgain(BornAgain.Params(label_weight=0)).loss(step(s, Y, teachers=[t]))["ce"], 0.0)

    @given(SEEDS, st.floats(-50, 50))
    @settings(max_examples=30, deadline=None)
    def test_loss_is_never_negative_and_blind_to_a_shift_of_logits(self, seed: int, shift: float) -> None:
        s, t = logits(3, 5, seed), logits(3, 5, seed + 1)
        loss = float(born_again_loss(s, t))
        assert loss >= -1e-12
        assert math.isclose(loss, float(born_again_loss(s + shift, t - shift)), abs_tol=1e-9)
        assert math.isclose(float(born_again_loss(t, t)), 0.0, abs_tol=1e-12)


class TestCsKD:
    def test_loss_is_the_softened_divergence_from_the_partner(self) -> None:
        a, b = logits(4, 3, 1), logits(4, 3, 2)
        assert close(cs_kd_loss(a, b, 4.0), 16 * kl(softmax(b.numpy(), 4.0), softmax(a.numpy(), 4.0)))

    def test_method_pairs_the_first_half_with_the_second(self) -> None:
        a, b = logits(4, 3, 1), logits(4, 3, 2)
        terms = CsKD().loss(step(torch.cat([a, b]), torch.cat([Y, Y])))
        assert close(terms["ce"], ce(a.numpy(), Y.tolist()))
        assert close(terms["class"], 16 * kl(softmax(b.numpy(), 4.0), softmax(a.numpy(), 4.0)))

    def test_only_anchors_get_a_gradient(self) -> None:
        z = logits(8, 3).requires_grad_()
        sum(CsKD().loss(step(z, torch.cat([Y, Y]))).values(), torch.zeros(())).backward()
        assert z.grad is not None
        assert bool((z.grad[:4] != 0).all())
        assert bool((z.grad[4:] == 0).all())

    def test_a_batch_that_is_not_of_pairs_is_refused(self) -> None:
        with pytest.raises(MethodError, match="not of 3 samples"):
            CsKD().loss(step(logits(3, 3), Y[:3]))


class TestPsKD:
    def test_targets_mix_label_and_past(self) -> None:
        past = torch.tensor([[0.0, 0.0]], dtype=torch.float64)  # predicts (1/2, 1/2)
        mixed = soft_targets(past, torch.tensor([1]), 0.6)
        assert torch.allclose(mixed, torch.tensor([[0.3, 0.7]], dtype=torch.float64))

    def test_loss_is_the_cross_entropy_with_the_mix(self) -> None:
        z, past = logits(4, 3, 1), logits(4, 3, 2)
        mix = 0.8 * np.eye(3)[Y.numpy()] + 0.2 * softmax(past.numpy())
        expected = float(-(mix * np.log(softmax(z.numpy()))).sum(1).mean())
        assert close(ps_kd_loss(z, past, Y, 0.2), expected)

    def test_without_a_past_it_is_the_plain_cross_entropy_sample_by_sample(self) -> None:
        z, past = logits(4, 3, 1), logits(4, 3, 2)
        past[1:3] = math.nan
        soft = soft_targets(past, Y, 0.5)
        assert torch.equal(soft[1:3], F.one_hot(Y[1:3], 3).double())
        assert float(soft[0].max()) < 1.0
        assert close(ps_kd_loss(z, torch.full_like(past, math.nan), Y, 0.8), ce(z.numpy(), Y.tolist()))

    @pytest.mark.parametrize(("epoch", "alpha"), [(0, 0.2), (1, 0.4), (3, 0.8)])
    def test_alpha_grows_epoch_by_epoch_to_its_final_value(self, epoch: int, alpha: float) -> None:
        method = PsKD()
        method.build(context(epochs=4))
        z, past = logits(4, 3, 1), logits(4, 3, 2)
        actual = method.loss(step(z, Y, past=past, epoch=epoch))["soft_ce"]
        assert close(actual, float(ps_kd_loss(z, past, Y, alpha)))

    @given(SEEDS, st.floats(0, 1))
    @settings(max_examples=30, deadline=None)
    def test_targets_are_probabilities(self, seed: int, alpha: float) -> None:
        soft = soft_targets(logits(4, 3, seed, 20.0), Y, alpha)
        assert bool((soft >= 0).all())
        assert torch.allclose(soft.sum(1), torch.ones(4, dtype=torch.float64))


class TestByot:
    def test_soft_loss_adds_up_the_shallow_classifiers(self) -> None:
        a, b, deepest = logits(4, 3, 1), logits(4, 3, 2), logits(4, 3, 3)
        q = softmax(deepest.numpy(), 3.0)
        expected = kl(q, softmax(a.numpy(), 3.0)) + kl(q, softmax(b.numpy(), 3.0))
        assert close(soft_loss([a, b], deepest, 3.0), expected)

    def test_hint_is_a_sum_over_elements_where_either_is_positive(self) -> None:
        f = torch.tensor([[1.0, -1.0, -1.0, 2.0]], dtype=torch.float64)
        deepest = torch.tensor([[3.0, -2.0, 1.0, 0.0]], dtype=torch.float64)
        # (1−3)² + left out + (−1−1)² + (2−0)²
        assert close(hint_loss([f], deepest), 12.0)
        assert close(hint_loss([f, f], deepest), 24.0)

    def test_the_deepest_teaches_and_is_not_taught(self) -> None:
        shallow, deepest = logits(4, 3, 1).requires_grad_(), logits(4, 3, 2).requires_grad_()
        (soft_loss([shallow], deepest, 3.0) + hint_loss([shallow], deepest)).backward()
        assert shallow.grad is not None
        assert deepest.grad is None

    def test_method_weighs_its_terms(self) -> None:
        torch.manual_seed(0)
        method = Byot()
        method.build(context([(4, 8, 8), (8, 4, 4)], classes=3))
        fine, coarse, z = torch.randn(4, 4, 8, 8), torch.randn(4, 8, 4, 4), logits(4, 3, dtype=torch.float32)
        terms = method.loss(step(z, Y, features=[fine, coarse]))
        hint = method.bottlenecks[0](fine)
        auxiliary = method.heads[0](hint)
        assert close(terms["ce"], ce(z.numpy(), Y.tolist()), 1e-6)
        assert close(terms["auxiliary_ce"], 0.7 * ce(auxiliary.detach().numpy(), Y.tolist()), 1e-6)
        assert close(terms["soft"], 0.3 * float(soft_loss([auxiliary.detach()], z, 3.0)), 1e-6)
        assert close(terms["hint"], 1e-6 * float(hint_loss([hint.detach()], coarse.mean((2, 3)))), 1e-6)

    def test_auxiliary_classifiers_train_the_stages_below_them(self) -> None:
        method = Byot()
        method.build(context([(4, 8, 8), (8, 4, 4)], classes=3))
        fine = torch.randn(4, 4, 8, 8, requires_grad=True)
        terms = method.loss(step(logits(4, 3, dtype=torch.float32), Y, features=[fine, torch.randn(4, 8, 4, 4)]))
        terms["auxiliary_ce"].backward()
        assert fine.grad is not None
        assert bool((fine.grad != 0).any())

    @pytest.mark.parametrize(
        ("shape", "deepest", "kernel"),
        [
            ((16, 32, 32), (128, 4, 4), 8),
            ((64, 8, 8), (128, 4, 4), 2),
            ((64, 64, 64), (128, 4, 4), 8),
            ((64, 3, 3), (64, 3, 3), 1),
        ],
    )
    def test_bottlenecks_reach_the_deepest_grid_with_the_references_kernels(
        self, shape: tuple[int, ...], deepest: tuple[int, ...], kernel: int
    ) -> None:
        bottleneck = Bottleneck(shape, deepest)
        convolutions = [m for m in bottleneck.modules() if isinstance(m, nn.Conv2d)]
        assert [c.kernel_size for c in convolutions] == [(1, 1), (kernel, kernel), (1, 1)]
        assert [c.out_channels for c in convolutions] == [deepest[0] // 4, deepest[0] // 4, deepest[0]]
        assert bottleneck(torch.randn(2, *shape)).shape == (2, deepest[0])
        assert bottleneck.layers(torch.randn(2, *shape)).shape == (2, *deepest)

    def test_tokens_are_averaged(self) -> None:
        tokens = torch.randn(4, 10, 6)
        assert torch.equal(pool(tokens), tokens.mean(1))
        assert Bottleneck((10, 6), (10, 12))(tokens).shape == (4, 12)

    def test_a_student_of_one_stage_is_refused(self) -> None:
        for stages in ([(8, 4, 4)], []):
            with pytest.raises(MethodError, match="at least two feature stages"):
                Byot().build(context(stages))

    def test_it_reads_four_stages_as_the_paper_cuts_a_resnet(self) -> None:
        assert Byot.needs.student_features == (-4, -3, -2, -1)
        assert byot.WIDEST_KERNEL == 8


LOSSES = {
    "tf_kd": lambda s, t: tf_kd_loss(s, Y, 0.99, 20.0),
    "born_again": born_again_loss,
    "cs_kd": lambda s, t: cs_kd_loss(s, t, 4.0),
    "ps_kd": lambda s, t: ps_kd_loss(s, t, Y, 0.6),
    "byot_soft": lambda s, t: soft_loss([s, 2 * s], t, 3.0),
    "byot_hint": lambda s, t: hint_loss([s], t),
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
    assert math.isclose(float(loss), float(LOSSES[name](s.double(), t.double())), rel_tol=1e-5)
