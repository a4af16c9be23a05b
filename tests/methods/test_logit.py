"""Logit methods: each loss against numbers worked out apart from it, and what must hold for any input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kdbench_methods.logit.dist import DIST, dist_losses
from kdbench_methods.logit.dkd import DKD, dkd_losses
from kdbench_methods.logit.kd import KD, kd_loss
from kdbench_methods.logit.supervised import Supervised
from scipy import stats
from torch import Tensor
from torch.autograd import gradcheck

from tests.methods.by_hand import Array, ce, kl, logits, softmax, step

Y = torch.tensor([0, 2, 1, 1])
SEEDS = st.integers(0, 10_000)
TEMPERATURES = st.sampled_from([1.0, 2.0, 4.0, 20.0])


def close(actual: Tensor, expected: float, tolerance: float = 1e-10) -> bool:
    return math.isclose(float(actual.detach()), expected, rel_tol=tolerance, abs_tol=tolerance)


class TestSupervised:
    def test_is_cross_entropy(self) -> None:
        z = logits(4, 3)
        assert close(Supervised().loss(step(z, Y))["ce"], ce(z, Y.tolist()))

    def test_label_smoothing_spreads_over_all_classes(self) -> None:
        z = logits(4, 3)
        smooth = 0.7 * np.eye(3)[Y] + 0.3 / 3
        expected = float(-(smooth * np.log(softmax(z))).sum(1).mean())
        assert close(Supervised(Supervised.Params(label_smoothing=0.3)).loss(step(z, Y))["ce"], expected)


class TestKD:
    def test_two_classes_by_hand(self) -> None:
        # Teacher (3/4, 1/4), student (1/2, 1/2): KL = 3/4·ln(3/2) + 1/4·ln(1/2).
        teacher = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)
        student = torch.zeros(1, 2, dtype=torch.float64)
        expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
        assert close(kd_loss(student, teacher, 1.0), expected)
        assert close(kd_loss(student, 2 * teacher, 2.0), 4 * expected)
        assert close(kd_loss(student, 2 * teacher, 2.0, scale_by_t2=False), expected)

    @given(SEEDS, TEMPERATURES)
    @settings(max_examples=20, deadline=None)
    def test_is_the_divergence_of_softened_probabilities(self, seed: int, temperature: float) -> None:
        s, t = logits(5, 7, seed), logits(5, 7, seed + 1)
        assert close(kd_loss(s, t, temperature), temperature**2 * kl(softmax(t, temperature), softmax(s, temperature)), 1e-8)
        assert float(kd_loss(s, t, temperature)) >= 0

    @given(SEEDS, TEMPERATURES)
    @settings(max_examples=20, deadline=None)
    def test_gradient_is_the_difference_of_probabilities_times_t(self, seed: int, temperature: float) -> None:
        s, t = logits(5, 7, seed).requires_grad_(), logits(5, 7, seed + 1)
        kd_loss(s, t, temperature).backward()
        expected = temperature * (softmax(s.detach(), temperature) - softmax(t, temperature)) / 5
        assert s.grad is not None
        np.testing.assert_allclose(s.grad.numpy(), expected, atol=1e-12)

    def test_at_high_temperature_it_matches_centred_logits(self) -> None:
        """Hinton et al. 2015, section 2.1: T²·KL tends to half the mean squared difference of centred logits over C."""
        s, t = logits(6, 5, 1), logits(6, 5, 2)
        centred = (s - s.mean(1, keepdim=True)) - (t - t.mean(1, keepdim=True))
        assert close(kd_loss(s, t, 1e4), float(centred.square().sum(1).mean() / (2 * 5)), 1e-3)

    def test_extreme_logits_stay_finite(self) -> None:
        s, t = torch.tensor([[200.0, -200.0]]), torch.tensor([[-200.0, 200.0]])
        assert torch.isfinite(kd_loss(s, t, 1.0))

    def test_method_weights_hard_and_soft_loss(self) -> None:
        s, t = logits(4, 3, 1), logits(4, 3, 2)
        terms = KD(KD.Params(temperature=2.0, alpha=0.7)).loss(step(s, Y, teachers=[t]))
        assert close(terms["ce"], 0.3 * ce(s, Y.tolist()))
        assert close(terms["kd"], 0.7 * 4 * kl(softmax(t, 2.0), softmax(s, 2.0)))

    def test_defaults_are_the_published_ones(self) -> None:
        assert KD.Params().model_dump() == {"temperature": 4.0, "alpha": 0.9, "scale_by_t2": True}


def dkd_by_hand(s: Array, t: Array, y: list[int], temperature: float) -> tuple[float, float]:
    target = others = 0.0
    for n, k in enumerate(y):
        p, q = softmax(t[n], temperature), softmax(s[n], temperature)
        target += p[k] * math.log(p[k] / q[k]) + (1 - p[k]) * math.log((1 - p[k]) / (1 - q[k]))
        rest = [c for c in range(len(p)) if c != k]
        a, b = p[rest] / p[rest].sum(), q[rest] / q[rest].sum()
        others += float((a * np.log(a / b)).sum())
    return temperature**2 * target / len(y), temperature**2 * others / len(y)


class TestDKD:
    @given(SEEDS, st.sampled_from([1.0, 4.0]))
    @settings(max_examples=20, deadline=None)
    def test_both_parts_sample_by_sample(self, seed: int, temperature: float) -> None:
        s, t = logits(4, 5, seed), logits(4, 5, seed + 1)
        target, others = dkd_losses(s, t, Y, temperature)
        expected = dkd_by_hand(s.numpy(), t.numpy(), Y.tolist(), temperature)
        assert close(target, expected[0], 1e-8)
        assert close(others, expected[1], 1e-8)

    def test_plain_kd_is_the_target_part_and_the_others_weighted_by_doubt(self) -> None:
        """Zhao et al. 2022, eq. 6: KL = TCKD + (1 − p_t(y))·NCKD, for one sample."""
        s, t, y = logits(1, 5, 1), logits(1, 5, 2), torch.tensor([3])
        target, others = dkd_losses(s, t, y, 2.0)
        doubt = 1 - softmax(t, 2.0)[0, 3]
        assert close(kd_loss(s, t, 2.0), float(target) + doubt * float(others))

    def test_zero_when_student_is_teacher(self) -> None:
        z = logits(4, 5)
        assert all(close(part, 0.0) for part in dkd_losses(z, z, Y, 4.0))

    def test_a_certain_teacher_stays_finite(self) -> None:
        t = torch.tensor([[500.0, 0.0, 1.0]])
        assert all(torch.isfinite(part) for part in dkd_losses(torch.zeros(1, 3), t, torch.tensor([0]), 1.0))

    def test_divergences_come_in_over_the_warm_up(self) -> None:
        s, t = logits(4, 3, 1), logits(4, 3, 2)
        full = DKD(DKD.Params(warmup=0.0)).loss(step(s, Y, teachers=[t]))
        begin = DKD().loss(step(s, Y, teachers=[t]))
        target, others = dkd_losses(s, t, Y, 4.0)
        assert float(begin["target"]) == float(begin["others"]) == 0.0
        assert close(full["target"], float(target))
        assert close(full["others"], 8 * float(others))
        assert close(full["ce"], ce(s, Y.tolist()))


class TestDIST:
    def test_is_one_minus_pearsons_correlation(self) -> None:
        s, t = logits(6, 4, 1), logits(6, 4, 2)
        p, q = softmax(s, 4.0), softmax(t, 4.0)
        inter = np.mean([1 - stats.pearsonr(a, b).statistic for a, b in zip(p, q, strict=True)])
        intra = np.mean([1 - stats.pearsonr(a, b).statistic for a, b in zip(p.T, q.T, strict=True)])
        got = dist_losses(s, t, 4.0)
        assert close(got[0], 16 * float(inter), 1e-5)
        assert close(got[1], 16 * float(intra), 1e-5)

    def test_two_classes_that_agree_in_order_cost_nothing_between_classes(self) -> None:
        """Correlation is blind to shift and scale: of two classes only the order is left."""
        s, t = torch.tensor([[0.1, 0.0]], dtype=torch.float64), torch.tensor([[5.0, -5.0]], dtype=torch.float64)
        assert close(dist_losses(s, t, 1.0)[0], 0.0, 1e-5)
        assert close(dist_losses(s, -t, 1.0)[0], 2.0, 1e-5)

    def test_zero_when_student_is_teacher(self) -> None:
        z = logits(4, 5)
        assert all(close(part, 0.0, 1e-5) for part in dist_losses(z, z, 4.0))

    def test_one_sample_has_no_correlation_over_samples_and_stays_finite(self) -> None:
        s = logits(1, 5, 1).requires_grad_()
        inter, intra = dist_losses(s, logits(1, 5, 2), 4.0)
        (inter + intra).backward()
        assert s.grad is not None
        assert torch.isfinite(s.grad).all()

    def test_method_weights_both(self) -> None:
        s, t = logits(4, 3, 1), logits(4, 3, 2)
        terms = DIST(DIST.Params(beta=2.0, gamma=3.0)).loss(step(s, Y, teachers=[t]))
        inter, intra = dist_losses(s, t, 4.0)
        assert close(terms["inter"], 2 * float(inter))
        assert close(terms["intra"], 3 * float(intra))


LOSSES = {
    "kd": lambda s, t: kd_loss(s, t, 4.0),
    "dkd target": lambda s, t: dkd_losses(s, t, Y, 4.0)[0],
    "dkd others": lambda s, t: dkd_losses(s, t, Y, 4.0)[1],
    "dist inter": lambda s, t: dist_losses(s, t, 4.0)[0],
    "dist intra": lambda s, t: dist_losses(s, t, 4.0)[1],
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_agree_with_finite_differences(name: str) -> None:
    assert gradcheck(LOSSES[name], (logits(4, 5, 1).requires_grad_(), logits(4, 5, 2)))


@pytest.mark.parametrize("name", LOSSES)
def test_under_bf16_autocast_the_loss_is_that_of_float32(name: str) -> None:
    s, t = logits(4, 5, 1, dtype=torch.bfloat16), logits(4, 5, 2, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        inside = LOSSES[name](s, t)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, LOSSES[name](s.float(), t.float()))
