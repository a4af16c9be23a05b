"""Adversarial distillation: each side trains on its own loss."""

from __future__ import annotations

import math

import pytest
import torch
from kdbench_methods.adversarial.adversarial import Adversarial, Discriminator, judge_loss

from kdbench.method import BuildContext, Outputs, Shapes, Step


def made(**params: float) -> Adversarial:
    torch.manual_seed(0)
    method = Adversarial(Adversarial.Params(**params))
    method.build(
        BuildContext(
            student=Shapes(),
            teachers=(Shapes(),),
            num_classes=3,
            labels=torch.zeros(10, dtype=torch.int64),
            epochs=1,
            steps_per_epoch=1,
            new_student=torch.nn.Identity,
        )
    )
    return method


def step_of(student: torch.Tensor) -> Step:
    targets = torch.tensor([0, 1, 2, 0])
    teacher = torch.tensor([[4.0, 0, 0], [0, 4, 0], [0, 0, 4], [4, 0, 0]])
    return Step(
        student=Outputs(student), teachers=(Outputs(teacher),), inputs=torch.zeros(4, 1), targets=targets, epoch=0, progress=0.0
    )


def test_the_verdict_s_loss_by_hand() -> None:
    """−ln σ(0) = ln 2; −ln σ(1) = ln(1 + e⁻¹); −ln(1 − σ(1)) = ln(1 + e)."""
    assert float(judge_loss(torch.zeros(2), True)) == pytest.approx(math.log(2))
    assert float(judge_loss(torch.ones(2), True)) == pytest.approx(math.log(1 + math.exp(-1)))
    assert float(judge_loss(torch.ones(2, dtype=torch.float64), False)) == pytest.approx(math.log(1 + math.e))


def test_the_deceit_moves_the_student_only_and_the_verdict_the_discriminator_only() -> None:
    method = made(weight=1.0)
    student = torch.randn(4, 3, requires_grad=True)
    terms = method.loss(step_of(student))
    weights = list(method.discriminator.parameters())
    assert all(g is None for g in torch.autograd.grad(terms["adversarial"], weights, retain_graph=True, allow_unused=True))
    assert torch.autograd.grad(terms["adversarial"], student, retain_graph=True)[0].abs().sum() > 0
    assert torch.autograd.grad(terms["discriminator"], student, retain_graph=True, allow_unused=True)[0] is None
    assert all(g is not None for g in torch.autograd.grad(terms["discriminator"], weights))


def test_training_both_sides_brings_the_student_s_logits_to_the_teacher_s() -> None:
    """From zero logits, without labels: the discriminator alone teaches where the teacher's logits lie."""
    method = made(weight=1.0)
    student = torch.zeros(4, 3, requires_grad=True)
    judge = torch.optim.Adam(method.discriminator.parameters(), 1e-3)
    learn = torch.optim.SGD([student], 0.5)
    before = float((student.detach() - step_of(student).teacher.logits).abs().mean())
    for _ in range(300):
        judge.zero_grad()
        learn.zero_grad()
        terms = method.loss(step_of(student))
        (terms["adversarial"] + terms["discriminator"]).backward()
        judge.step()
        learn.step()
    after = float((student.detach() - step_of(student).teacher.logits).abs().mean())
    assert after < 0.6 * before


def test_the_discriminator_is_told_the_class() -> None:
    torch.manual_seed(0)
    judge = Discriminator(3, 8)
    logits = torch.randn(1, 3)
    assert not torch.equal(judge(logits, torch.tensor([0])), judge(logits, torch.tensor([1])))
