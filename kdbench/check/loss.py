"""Claims about the loss: values, gradients and unusual inputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdbench.check.claim import Broken, claim, describe_error
from kdbench.check.harness import Harness
from kdbench.check.task import TEST_SAMPLES
from kdbench.method import Method
from kdbench.train.evaluate import predict
from kdbench.train.member import NonFiniteLoss

FULL_PRECISION = "decorate the loss with kdbench.full_precision"


@claim
def terms_are_finite_scalars(cls: type[Method]) -> None:
    """loss(step) returns named, finite float32 scalars, in the first epoch and later."""
    harness = Harness(cls)
    try:
        harness.train()
    except NonFiniteLoss:
        pass  # the log shows which term it is
    except Exception as error:
        raise Broken(f"loss(step) fails in epoch {harness.member.epoch + 1}: {describe_error(error)}") from error
    for step in harness.member.log:
        _finite_float32(step.terms, f"in epoch {step.epoch + 1}")


@claim
def gradient_reaches_the_student(cls: type[Method]) -> None:
    """The loss has a finite gradient that reaches the student."""
    harness = Harness(cls, epochs=1)
    _train(harness, "on ordinary outputs")
    if not any(name.startswith("student.") for name in harness.member.log[0].moved):
        raise Broken("no parameter of the student gets a gradient: use step.student, and do not detach it")


@claim
def all_parameters_learn(cls: type[Method]) -> None:
    """Every trainable parameter of the method gets a gradient."""
    harness = Harness(cls)
    harness.train()
    reached = set[str]().union(*(step.reached for step in harness.member.log))
    idle = [n for n, p in harness.method.named_parameters() if p.requires_grad and f"method.{n}" not in reached]
    if idle:
        raise Broken(f"no gradient reaches {', '.join(sorted(idle))}: use them, or make them buffers")


@claim
def half_precision_outputs(cls: type[Method]) -> None:
    """On bfloat16 outputs, under autocast, the loss is finite and float32."""
    harness = Harness(cls)
    harness.member.change = lambda t, owner: t.to(torch.bfloat16)
    harness.member.autocast = True
    try:
        harness.train()
    except NonFiniteLoss:
        pass
    except Exception as error:
        raise Broken(f"it fails: {describe_error(error)}; {FULL_PRECISION}") from error
    for step in harness.member.log:
        _finite_float32(step.terms, "on bfloat16 outputs", FULL_PRECISION)


@claim
def any_batch_size(cls: type[Method]) -> None:
    """It works for batches of 2 and of odd sizes."""
    for size in (2, 7):
        _train(Harness(cls, batch_size=size, epochs=1), f"on {size} samples")


@claim
def any_number_of_classes(cls: type[Method]) -> None:
    """It works for 2 and for 100 classes."""
    for classes in (2, 100):
        try:
            harness = Harness(cls, classes=classes, epochs=1)
        except Exception as error:
            raise Broken(f"with {classes} classes build(context) fails: {describe_error(error)}") from error
        _train(harness, f"with {classes} classes")


@claim
def sure_networks(cls: type[Method]) -> None:
    """Loss and gradient are finite for very confident networks that disagree."""
    harness = Harness(cls, lr=1e-9)  # gradients are huge, and must not change the networks
    logits = (harness.data.num_classes,)

    def sharpen(t: Tensor, owner: str) -> Tensor:
        return t * (1000.0 if owner == "student" else -1000.0) if t.shape[1:] == logits else t

    harness.member.change = sharpen
    _train(harness, "where logits are in the thousands")


@claim
def equal_samples(cls: type[Method]) -> None:
    """Loss and gradient are finite when all samples of a batch are the same."""
    _train(Harness(cls, equal=True), "where all samples are the same")


@claim
def deploys_a_classifier(cls: type[Method]) -> None:
    """deploy(student) returns a network whose output is N×C logits."""
    harness = Harness(cls)
    member, recipe, test = harness.member, harness.trial.recipe, harness.data.test
    batches = harness.task.batches(test, batch_size=len(test), device=member.device, channels_last=recipe.channels_last)
    try:
        network = member.deployed()
        if not isinstance(network, nn.Module):
            raise Broken(f"deploy(student) returns {type(network).__name__}: return an nn.Module")
        logits = predict({"": network}, batches, {"": member.presentation}, recipe.precision)[0][""]
    except Broken:
        raise
    except Exception as error:
        raise Broken(f"deploy(student), or the network it returns, fails: {describe_error(error)}") from error
    expected = (TEST_SAMPLES, harness.data.num_classes)
    if logits.shape != expected:
        raise Broken(
            f"for {expected[0]} samples of {expected[1]} classes the deployed network gives {tuple(logits.shape)}, not {expected}"
        )


def _train(harness: Harness, where: str) -> None:
    """Train, and check the loss and the gradients of each step."""
    try:
        harness.train()
    except NonFiniteLoss:
        pass  # the log shows which term it is
    except Exception as error:
        raise Broken(f"{where} it fails: {describe_error(error)}") from error
    for step in harness.member.log:
        _finite_float32(step.terms, where)
        if step.not_finite:
            raise Broken(f"{where} the gradient of {step.not_finite[0]} is not finite: beware of roots and divisions at 0")


def _finite_float32(terms: dict[str, Tensor], where: str, advice: str = "compute the loss in float32") -> None:
    for name, value in terms.items():
        if not bool(torch.isfinite(value)):
            raise Broken(f'{where} the term "{name}" is {float(value)}')
        if value.dtype != torch.float32:
            raise Broken(f'{where} the term "{name}" is {str(value.dtype).removeprefix("torch.")}: {advice}')
