"""Claims about settings, exits, labels, threads and stored state."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch

from kdbench.check.claim import Broken, claim
from kdbench.check.harness import Harness
from kdbench.check.member import LoggingMember
from kdbench.method import BuildContext, Method
from kdbench.method.guard import PluginFailed, SettingsChanged
from kdbench.train.member import Member
from kdbench.train.state import UnstorableState


@claim
def raises_ordinary_exceptions(cls: type[Method]) -> None:
    """It never tries to end the process: it raises no SystemExit and the like."""
    _, failure = _tried(cls)
    cause = failure.__cause__ if isinstance(failure, PluginFailed) else None
    if cause is not None and not isinstance(cause, Exception):
        raise Broken(f"{failure}: raise a MethodError instead")


@claim
def leaves_settings_alone(cls: type[Method]) -> None:
    """Settings of the process are as they were after each call, and no thread is left."""
    member, failure = _tried(cls)
    if isinstance(failure, SettingsChanged):
        raise Broken(str(failure))
    if member is None:
        return
    if member.warnings:
        raise Broken(f"{member.warnings[0]}: leave it alone")
    if member.guard.suspects():
        raise Broken("it leaves a thread running between its calls: join it")


@claim
def leaves_labels_alone(cls: type[Method]) -> None:
    """build(context) leaves the labels as they are."""
    changed = False
    with suppress(Exception):  # another claim is about errors
        member = Harness(cls, epochs=1, member=_LabelMember).member
        assert isinstance(member, _LabelMember)
        changed = member.changed
    if changed:
        raise Broken("build(context) changes context.labels: work on a copy")


@claim
def state_can_be_stored(cls: type[Method]) -> None:
    """Its state consists of ordinary tensors, which can be stored."""
    _, failure = _tried(cls, Member.check_state)
    if isinstance(failure, UnstorableState):
        raise Broken(str(failure))


class _LabelMember(LoggingMember):
    """Notes whether build changes the labels."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        (context,) = (a for a in args if isinstance(a, BuildContext))
        before = context.labels.clone()
        super().__init__(*args, **kwargs)
        self.changed = not torch.equal(context.labels, before)


def _tried(
    cls: type[Method], epoch_end: Callable[[Member], None] = lambda member: None
) -> tuple[LoggingMember | None, Exception | None]:
    """Train a method and deploy its student; return the member and any error."""
    member: LoggingMember | None = None
    try:
        harness = Harness(cls)
        member = harness.member
        harness.train(epoch_end)
        member.deployed()
    except Exception as error:
        return member, error
    return member, None
