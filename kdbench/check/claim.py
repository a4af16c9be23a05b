"""A claim about a method, and what came of testing it."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from kdbench.method import Method

Claim = Callable[[type[Method]], str]
"""A function whose docstring's first line is what it claims; it returns a remark (mostly none) or raises :class:`Broken`."""


@dataclass(frozen=True)
class Finding:
    """What came of one claim.

    Args:
        claim: what is claimed, one sentence.
        passed: whether it holds.
        detail: what is wrong, or a warning about a claim that holds; mostly empty.
    """

    claim: str
    passed: bool
    detail: str = ""


class Broken(AssertionError):
    """A claim does not hold; the message says how, and what to do."""


def claim(function: Callable[[type[Method]], str | None]) -> Claim:
    """Make a claim of a function: random states outside it are untouched, and no remark is an empty one."""

    @functools.wraps(function)
    def isolated(cls: type[Method]) -> str:
        with own_random_numbers(), torch.enable_grad():
            return function(cls) or ""

    return isolated


@contextmanager
def own_random_numbers() -> Iterator[None]:
    """Put the states of torch's, numpy's and Python's random numbers back afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def sentence(function: Claim) -> str:
    """First line of a claim's docstring, without the full stop."""
    return (function.__doc__ or function.__name__).strip().partition("\n")[0].rstrip(".")


def told(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {error}".rstrip(": ").replace("\n", " ")
