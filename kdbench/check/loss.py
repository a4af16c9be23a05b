"""Claims about the loss: its values, its gradients, and what it copes with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from kdbench.check import fake
from kdbench.check.claim import Broken, claim, told
from kdbench.check.rig import EPOCHS, STEPS_PER_EPOCH, Rig
from kdbench.method import Method


@claim
def terms_are_finite_scalars(cls: type[Method]) -> None:
    """loss(step) returns named, finite float32 scalars, in the first epoch and later."""
    rig = Rig(cls)
    for number in range(EPOCHS * STEPS_PER_EPOCH):
        try:
            terms = rig.terms(rig.step(number))
        except Broken:
            raise
        except Exception as error:
            raise Broken(f"loss(step) fails in epoch {number // STEPS_PER_EPOCH + 1}: {told(error)}") from error
        _finite_float32(terms, f"in epoch {number // STEPS_PER_EPOCH + 1}")


@claim
def gradient_reaches_the_student(cls: type[Method]) -> None:
    """The loss has a finite gradient that reaches the student."""
    rig = Rig(cls)
    rig.backward(rig.step())
    reached = [p.grad for p in rig.student.parameters() if p.grad is not None]
    if not any(bool((g != 0).any()) for g in reached):
        raise Broken("no parameter of the student gets a gradient: use step.student, and do not detach it")
    _finite_gradients(rig, "on ordinary outputs")


@claim
def all_parameters_learn(cls: type[Method]) -> None:
    """Every trainable parameter of the method gets a gradient."""
    rig = Rig(cls)
    idle = {n for n, p in rig.method.named_parameters() if p.requires_grad}
    for number in range(EPOCHS * STEPS_PER_EPOCH):
        rig.backward(rig.step(number))
        idle -= {n for n, p in rig.method.named_parameters() if p.grad is not None}
    if idle:
        raise Broken(f"no gradient reaches {', '.join(sorted(idle))}: use them, or make them buffers")


@claim
def half_precision_outputs(cls: type[Method]) -> None:
    """On bfloat16 outputs, under autocast, the loss is finite and float32."""
    rig = Rig(cls)
    for number in range(0, EPOCHS * STEPS_PER_EPOCH, STEPS_PER_EPOCH):
        step = rig.step(number, change=lambda t, _: t.to(torch.bfloat16))
        try:
            with torch.autocast("cpu", torch.bfloat16):
                terms = rig.terms(step)
        except Exception as error:
            raise Broken(f"it fails: {told(error)}; decorate the loss with kdbench.full_precision") from error
        _finite_float32(terms, "on bfloat16 outputs", "decorate the loss with kdbench.full_precision")


@claim
def any_batch_size(cls: type[Method]) -> None:
    """Batches of 2 and of odd sizes work."""
    for size in (2, 7):
        rig = Rig(cls)
        _works(rig, f"on {size} samples", partial(rig.step, size=size))


@claim
def any_number_of_classes(cls: type[Method]) -> None:
    """2 and 100 classes work."""
    for classes in (2, 100):
        try:
            rig = Rig(cls, classes=classes)
        except Exception as error:
            raise Broken(f"with {classes} classes build(context) fails: {told(error)}") from error
        _works(rig, f"with {classes} classes", rig.step)


@claim
def sure_networks(cls: type[Method]) -> None:
    """Loss and gradient stay finite when student and teachers are very sure, and disagree."""

    def sharpen(t: Tensor, owner: str) -> Tensor:
        return t * (1000.0 if owner == "student" else -1000.0) if t.shape[1:] == (10,) else t

    rig = Rig(cls)
    _works(rig, "where logits are in the thousands", lambda: rig.step(STEPS_PER_EPOCH, change=sharpen))


@claim
def equal_samples(cls: type[Method]) -> None:
    """Loss and gradient stay finite when all samples of a batch are the same."""
    rig = Rig(cls)
    rig.inputs = rig.inputs[:1].expand_as(rig.inputs).clone()
    _works(rig, "where all samples are the same", lambda: rig.step(STEPS_PER_EPOCH))


@claim
def deploys_a_classifier(cls: type[Method]) -> None:
    """deploy(student) returns a network that gives N×C logits."""
    rig = Rig(cls)
    try:
        network = rig.method.deploy(rig.student)
        if not isinstance(network, nn.Module):
            raise Broken(f"deploy(student) returns {type(network).__name__}: return an nn.Module")
        with torch.no_grad():
            logits = network.eval()(rig.inputs[:5])
    except Broken:
        raise
    except Exception as error:
        raise Broken(f"deploy(student), or the network it returns, fails: {told(error)}") from error
    if not isinstance(logits, Tensor) or logits.shape != (5, rig.classes):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise Broken(f"for 5 samples of {rig.classes} classes the deployed network gives {got}, not (5, {rig.classes})")


def _works(rig: Rig, where: str, step: Callable[[], fake.WatchedStep]) -> None:
    try:
        terms = rig.backward(step())
    except Broken:
        raise
    except Exception as error:
        raise Broken(f"{where} it fails: {told(error)}") from error
    _finite_float32(terms, where)
    _finite_gradients(rig, where)


def _finite_float32(terms: dict[str, Tensor], where: str, advice: str = "compute the loss in float32") -> None:
    for name, value in terms.items():
        if not bool(torch.isfinite(value)):
            raise Broken(f'{where} the term "{name}" is {float(value.detach())}')
        if value.dtype != torch.float32:
            raise Broken(f'{where} the term "{name}" is {str(value.dtype).removeprefix("torch.")}: {advice}')


def _finite_gradients(rig: Rig, where: str) -> None:
    for name, p in rig.parameters().items():
        if p.grad is not None and not bool(torch.isfinite(p.grad).all()):
            raise Broken(f"{where} the gradient of {name} is not finite: beware of roots and divisions at 0")
