"""Several teachers: each loss against numbers worked out apart from it, and what must hold for any input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kdbench_methods.multi_teacher.ca_mkd import (
    CaMKD,
    Regressor,
    confidence_weights,
    weighted_feature_loss,
    weighted_kd_loss,
)
from kdbench_methods.multi_teacher.mean_teachers import MeanTeachers, mean_teachers_loss
from torch import Tensor
from torch.autograd import gradcheck

from tests.methods.by_hand import ce, context, kl, logits, softmax, step

Y = torch.tensor([0, 2, 1, 1])
SEEDS = st.integers(0, 10_000)


def close(actual: Tensor, expected: float, tolerance: float = 1e-10) -> bool:
    return math.isclose(float(actual.detach()), expected, rel_tol=tolerance, abs_tol=tolerance)


class TestMeanTeachers:
    def test_the_target_is_the_mean_of_softened_probabilities(self) -> None:
        s, a, b = logits(4, 3, 1), logits(4, 3, 2), logits(4, 3, 3)
        q = (softmax(a.numpy(), 4.0) + softmax(b.numpy(), 4.0)) / 2
        assert close(mean_teachers_loss(s, [a, b], 4.0), 16 * kl(q, softmax(s.numpy(), 4.0)))

    def test_opposite_teachers_leave_a_uniform_target(self) -> None:
        a = torch.tensor([[3.0, -3.0]], dtype=torch.float64)
        assert close(mean_teachers_loss(torch.zeros(1, 2, dtype=torch.float64), [a, -a], 1.0), 0.0)

    def test_one_teacher_is_plain_distillation(self) -> None:
        s, t = logits(4, 3, 1), logits(4, 3, 2)
        assert close(mean_teachers_loss(s, [t], 4.0), 16 * kl(softmax(t.numpy(), 4.0), softmax(s.numpy(), 4.0)))

    @given(SEEDS, st.sampled_from([1.0, 2.0, 4.0]))
    @settings(max_examples=20, deadline=None)
    def test_gradient_is_that_of_the_mean_of_divergences(self, seed: int, temperature: float) -> None:
        teachers = [logits(3, 4, seed + k) for k in (1, 2, 3)]
        s, r = (logits(3, 4, seed).requires_grad_() for _ in range(2))
        mean_teachers_loss(s, teachers, temperature).backward()
        torch.stack([mean_teachers_loss(r, [t], temperature) for t in teachers]).mean().backward()
        assert s.grad is not None
        assert r.grad is not None
        assert torch.allclose(s.grad, r.grad, atol=1e-12)

    def test_method_adds_labels_and_teachers_with_equal_weight(self) -> None:
        s, a, b = logits(4, 3, 1), logits(4, 3, 2), logits(4, 3, 3)
        terms = MeanTeachers().loss(step(s, Y, teachers=[a, b]))
        assert close(terms["ce"], ce(s.numpy(), Y.tolist()))
        assert close(terms["kd"], float(mean_teachers_loss(s, [a, b], 4.0)))


class TestCaMKD:
    def test_weights_by_hand(self) -> None:
        # Cross-entropies log 2 and log 4 at the label: softmax gives 1/3 and 2/3, so the better teacher gets 2/3.
        better = torch.tensor([[0.0, 0.0]], dtype=torch.float64)
        worse = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
        weights = confidence_weights([better, worse], torch.tensor([0]))
        assert torch.allclose(weights, torch.tensor([[2 / 3], [1 / 3]], dtype=torch.float64))

    @given(SEEDS, st.integers(2, 5))
    @settings(max_examples=30, deadline=None)
    def test_weights_sum_to_one_and_follow_the_order_of_cross_entropies(self, seed: int, count: int) -> None:
        teachers = [logits(4, 3, seed + k) for k in range(count)]
        weights = confidence_weights(teachers, Y)
        assert torch.allclose(weights.sum(0), torch.ones(4, dtype=torch.float64))
        errors = torch.stack([torch.nn.functional.cross_entropy(t, Y, reduction="none") for t in teachers])
        assert torch.equal(weights.argsort(0), errors.argsort(0, descending=True))

    def test_equal_teachers_are_trusted_equally(self) -> None:
        t = logits(4, 3, 1)
        assert torch.allclose(confidence_weights([t, t, t], Y), torch.full((3, 4), 1 / 3, dtype=torch.float64))

    def test_kd_is_weighted_sample_by_sample_and_divided_by_the_number_of_teachers(self) -> None:
        s, a, b = logits(2, 3, 1), logits(2, 3, 2), logits(2, 3, 3)
        w = torch.tensor([[0.75, 0.1], [0.25, 0.9]], dtype=torch.float64)
        each = [
            w[k, n] * kl(softmax(t[n].numpy(), 4.0), softmax(s[n].numpy(), 4.0)) for k, t in enumerate((a, b)) for n in (0, 1)
        ]
        assert close(weighted_kd_loss(s, [a, b], w, 4.0), 16 * float(np.sum(each)) / (2 * 2))

    def test_features_by_hand(self) -> None:
        student = torch.zeros(2, 1, 1, 2, dtype=torch.float64)
        one = torch.tensor([[1.0, 1.0], [2.0, 0.0]], dtype=torch.float64).reshape(2, 1, 1, 2)  # mean squares 1 and 2
        two = 2 * one  # mean squares 4 and 8
        w = torch.tensor([[0.5, 0.25], [0.5, 0.75]], dtype=torch.float64)
        # (0.5·1 + 0.25·2 + 0.5·4 + 0.75·8) / (2 samples · 2 teachers)
        assert close(weighted_feature_loss([student, student], [one, two], w), 9.0 / 4)

    def test_features_count_from_the_second_epoch_as_in_the_reference(self) -> None:
        torch.manual_seed(0)
        method = CaMKD()
        method.build(context([(8, 4, 4)], [[(12, 4, 4)], [(6, 2, 2)]], classes=3))
        s, a, b = (logits(4, 3, k, dtype=torch.float32) for k in (1, 2, 3))
        f, fa, fb = torch.randn(4, 8, 4, 4), torch.randn(4, 12, 4, 4), torch.randn(4, 6, 2, 2)
        first, second = (
            method.loss(step(s, Y, teachers=[a, b], features=[f], teacher_features=[[fa], [fb]], epoch=e)) for e in (0, 1)
        )
        weights = confidence_weights([a, b], Y)
        adapted = [r(f) for r in method.regressors]
        assert float(first["feature"].detach()) == 0.0
        assert close(second["feature"], 50 * float(weighted_feature_loss(adapted, [fa, fb], weights).detach()), 1e-5)
        assert close(second["kd"], float(weighted_kd_loss(s, [a, b], weights, 4.0)), 1e-6)
        assert close(second["ce"], ce(s.numpy(), Y.tolist()), 1e-6)

    @pytest.mark.parametrize(
        ("student", "teacher"),
        [
            ((8, 8, 8), (12, 4, 4)),
            ((8, 2, 2), (12, 4, 4)),
            ((8, 5, 5), (12, 7, 7)),
            ((10, 6), (16, 12)),
            ((16, 6), (4, 12)),
            ((8, 4, 4), (16, 12)),
            ((16, 6), (12, 4, 4)),
        ],
    )
    def test_regressors_give_the_teachers_shape(self, student: tuple[int, ...], teacher: tuple[int, ...]) -> None:
        assert Regressor(student, teacher)(torch.randn(2, *student)).shape == (2, *teacher)

    def test_a_regressor_keeps_tokens_in_their_order(self) -> None:
        regressor = Regressor((5, 3), (5, 3)).eval()
        with torch.no_grad():
            regressor.layers[0].weight.copy_(torch.eye(3)[:, :, None, None])
            regressor.layers[0].bias.zero_()
        tokens = torch.rand(2, 5, 3)
        assert torch.allclose(regressor(tokens), tokens, atol=1e-4)


W = torch.tensor([[0.7, 0.2, 0.5, 0.5], [0.3, 0.8, 0.5, 0.5]], dtype=torch.float64)
LOSSES = {
    "mean_teachers": lambda s, a, b: mean_teachers_loss(s, [a, b], 4.0),
    "ca_mkd_kd": lambda s, a, b: weighted_kd_loss(s, [a, b], W.to(torch.promote_types(s.dtype, torch.float32)), 4.0),
    "ca_mkd_features": lambda s, a, b: weighted_feature_loss([s, s], [a, b], W.to(torch.promote_types(s.dtype, torch.float32))),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    s, a, b = logits(4, 3, 1).requires_grad_(), logits(4, 3, 2), logits(4, 3, 3)
    assert gradcheck(lambda z: LOSSES[name](z, a, b), s)


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_is_computed_in_float32(name: str) -> None:
    s, a, b = (logits(4, 3, k, dtype=torch.bfloat16) for k in (1, 2, 3))
    with torch.autocast("cpu", torch.bfloat16):
        loss = LOSSES[name](s, a, b)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, LOSSES[name](s.float(), a.float(), b.float()))
    assert math.isclose(float(loss), float(LOSSES[name](s.double(), a.double(), b.double())), rel_tol=1e-5)
