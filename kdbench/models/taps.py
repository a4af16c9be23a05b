"""Temporary forward hooks that record the inputs or outputs of single modules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from torch import Tensor, nn

from kdbench.data.inputs import Inputs
from kdbench.errors import KdbenchError
from kdbench.models.call import call


class Tap:
    """The value that went through a module in the latest run."""

    def __init__(self) -> None:
        self.found: Any = None
        self.waiting: set[Tap] | None = None
        """Taps without a value yet, shared by all; when none is left, the run ends."""

    def take(self, value: Any) -> Any:
        """Keep a tensor, and return a copy that goes on through the network instead.

        The network may change the copy in place.
        """
        self.found = value[0] if isinstance(value, tuple) and value else value
        if self.waiting is not None:
            self.waiting.discard(self)
            if not self.waiting:
                raise DeepEnough
        return value.clone() if isinstance(value, Tensor) else None

    def value(self, what: str) -> Tensor:
        """Return the value, or raise an error that says that ``what`` did not run."""
        if self.found is None:
            raise KdbenchError(f"{what} did not run, so it has no output to observe")
        return as_tensor(self.found, what)


class DeepEnough(BaseException):
    """Ends a forward pass early; no ``except Exception`` in a network catches it."""


@contextmanager
def tapped(module: nn.Module, before: bool) -> Iterator[Tap]:
    """Record a module's output, or (``before``) its first input, within a context."""
    tap = Tap()

    def pre_hook(_module: nn.Module, args: tuple[Any, ...]) -> Any:
        goes_on = tap.take(args[0]) if args else None
        return None if goes_on is None else (goes_on, *args[1:])

    def hook(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> Any:
        return tap.take(output)

    handle = module.register_forward_pre_hook(pre_hook) if before else module.register_forward_hook(hook)
    try:
        yield tap
    finally:
        handle.remove()


def run_until(model: nn.Module, x: Inputs, taps: list[Tap]) -> None:
    """Run until every tap has a value."""
    waiting = set(taps)
    for tap in taps:
        tap.waiting = waiting
    with suppress(DeepEnough):
        call(model, x)


def as_tensor(value: Any, what: str) -> Tensor:
    """Return a value that must be a tensor, or raise an error that names it."""
    if not isinstance(value, Tensor):
        raise KdbenchError(f"{what}: a tensor was expected, not {type(value).__name__}")
    return value
