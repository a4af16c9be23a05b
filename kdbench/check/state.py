"""Claims about shared tensors, random numbers, state and networks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from kdbench.check.claim import Broken, claim, describe_error
from kdbench.check.harness import EPOCHS, Harness, train
from kdbench.check.member import LoggingMember
from kdbench.data.inputs import tensors
from kdbench.data.types import Batch
from kdbench.method import Method, Outputs
from kdbench.train.checkpoint import CheckpointUnreadable, load_checkpoint, save_checkpoint
from kdbench.train.member import Member

NOT_JUDGED = "not judged: it does not repeat itself"


@claim
def leaves_shared_tensors_alone(cls: type[Method]) -> None:
    """It neither changes nor keeps inputs, targets and teachers' outputs."""
    guard = Harness(cls, member=_Guard)
    member = guard.member
    assert isinstance(member, _Guard)
    with suppress(Exception):  # errors are tested by another claim
        guard.train()
    if member.breach:
        raise Broken(member.breach)
    owners = {t.untyped_storage().data_ptr(): name for name, t in member.shared}
    for name, value in guard.method.state_dict(keep_vars=True).items():
        if isinstance(value, Tensor) and value.numel() and (owner := owners.get(value.untyped_storage().data_ptr())):
            raise Broken(f"its state {name} is the {owner} itself: keep a copy")


@claim
def repeats_itself(cls: type[Method]) -> None:
    """It gives the same bits from the same state of torch's generator."""
    first, second = _trained(Harness(cls)), _trained(Harness(cls))
    if (number := _first_difference(first, second)) is None:
        return
    if number <= len(first.log):
        raise Broken(f"two runs differ in step {number}: take random numbers from torch's global generator only")
    raise Broken("two runs have the same losses and other gradients: take random numbers from torch's global generator only")


@claim
def draws_from_torch_only(cls: type[Method]) -> None:
    """It leaves Python's and numpy's random numbers alone, and does not seed torch's."""
    states = []
    for seed in (1, 2):
        harness = Harness(cls, random_seed=seed, epochs=1)
        built = harness.member.random.cpu
        harness.train()
        states.append((built, harness.member.random.cpu))
        if drew := sorted(harness.member.drew):
            raise Broken(f"it draws from {' and '.join(drew)}, which other methods share: use torch's global generator")
    if any(torch.equal(one, other) for one, other in zip(*states, strict=True)):
        raise Broken("it seeds torch's generator, so that seeds have no effect: leave that to the trainer")


@claim
def goes_on_after_an_interruption(cls: type[Method]) -> str:
    """It resumes from state_dict() bit for bit, after any epoch, in a new instance."""
    epochs = 3
    with TemporaryDirectory() as folder:

        def checkpoint(epoch: int) -> Path:
            return Path(folder) / f"{epoch}.safetensors"

        def save(member: Member) -> None:
            others = [name for name, value in member.method.state_dict().items() if not isinstance(value, Tensor)]
            if others:
                raise Broken(f"state_dict() holds {', '.join(others)}, which cannot be saved: make them buffers")
            save_checkpoint(member, checkpoint(member.epoch), {})

        whole = Harness(cls, epochs=epochs)
        whole.train(epoch_end=save)
        for stop in range(1, epochs):
            # Other random numbers: nothing that build draws may have an effect after loading.
            resumed = Harness(cls, epochs=epochs, random_seed=stop)
            try:
                load_checkpoint(resumed.member, checkpoint(stop))
            except CheckpointUnreadable as error:
                raise Broken(f"its state does not load into a new instance: {describe_error(error)}") from error
            resumed.member.log = [step for step in whole.member.log if step.epoch < stop]
            resumed.train()
            if (number := _first_difference(whole.member, resumed.member)) is not None:
                if not _repeats(whole.member, cls, epochs):
                    return NOT_JUDGED
                raise Broken(
                    f"stopped after epoch {stop}, {cls.name} differs from step {number} on: "
                    "keep what it remembers, and what it drew in build, in buffers or parameters"
                )
    return ""


@claim
def is_the_same_in_company(cls: type[Method]) -> str:
    """It gives the same bits alone and beside another member of the same method."""
    alone = _trained(Harness(cls))
    harness, other = Harness(cls), Harness(cls, seed=1)
    train([other.member, harness.member], harness)
    if (number := _first_difference(alone, harness.member)) is not None:
        if not _repeats(alone, cls):
            return NOT_JUDGED
        raise Broken(
            f"beside another {cls.name}, it differs from step {number} on: keep nothing on the class or in the module, "
            "but all in the instance"
        )
    return ""


@claim
def owns_no_network_of_others(cls: type[Method]) -> None:
    """It shares no parameter with the student that it trains."""
    harness = Harness(cls, epochs=1)
    harness.train()
    member = harness.member
    with suppress(Exception):  # another claim is about errors
        member.deployed()
    theirs = {id(p): n for n, p in member.student.named_parameters()}
    shared = [theirs[id(p)] for p in member.method.parameters() if id(p) in theirs]
    if shared:
        raise Broken(f"the student's {shared[0]} is among its parameters: do not make the student an attribute of the method")


class _Guard(LoggingMember):
    """A member that notes what the method does to shared tensors."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.breach = ""
        self.shared: list[tuple[str, Tensor]] = []
        super().__init__(*args, **kwargs)

    def train_step(self, batch: Batch, teachers: tuple[Outputs, ...], step: int) -> None:
        """Train on a batch, and check that shared tensors are unchanged."""
        shared = _shared(batch, teachers)
        self.shared += shared
        before = [(versions([t]), t.clone()) for _, t in shared]
        try:
            super().train_step(batch, teachers, step)
        finally:
            self.breach = self.breach or _breach(shared, before)


def versions(tensors: Sequence[Tensor]) -> tuple[int, ...]:
    """How often each tensor was changed in place."""
    return tuple(t._version for t in tensors)


def _breach(shared: Sequence[tuple[str, Tensor]], before: Sequence[tuple[tuple[int, ...], Tensor]]) -> str:
    for (name, tensor), (version, value) in zip(shared, before, strict=True):
        if versions([tensor]) != version or not torch.equal(tensor, value):
            return f"it changes the {name} in place, which other methods share: work on a copy"
        if tensor.requires_grad:
            return f"it makes the {name} require a gradient"
    return ""


def _shared(batch: Batch, teachers: tuple[Outputs, ...]) -> list[tuple[str, Tensor]]:
    outputs = [(f"outputs of teacher {k} ({i})", t) for k, o in enumerate(teachers, 1) for i, t in enumerate(o.tensors(), 1)]
    inputs = [("inputs", t) for t in tensors(batch.inputs).values()]
    return [*inputs, ("targets", batch.targets), ("indices", batch.indices), *outputs]


def _trained(harness: Harness) -> LoggingMember:
    harness.train()
    return harness.member


def _repeats(member: LoggingMember, cls: type[Method], epochs: int = EPOCHS) -> bool:
    """Return whether another member, trained alike, has the same bits."""
    return _first_difference(member, _trained(Harness(cls, epochs=epochs))) is None


def _first_difference(one: LoggingMember, other: LoggingMember) -> int | None:
    """Return the number of the first step, from 1, whose terms differ.

    It is one more than the last step if only weights differ, and ``None`` if nothing does.
    """
    for number, (a, b) in enumerate(zip(one.log, other.log, strict=True), 1):
        if _bits(a.terms) != _bits(b.terms):
            return number
    same = _bits(one.trained_parameters()) == _bits(other.trained_parameters())
    return None if same else len(one.log) + 1


def _bits(values: dict[str, Tensor]) -> dict[str, bytes]:
    return {n: t.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes() for n, t in values.items()}
