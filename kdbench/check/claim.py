"""A claim about a method, and the result of testing it."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from kdbench.errors import KdbenchError
from kdbench.method import Method
from kdbench.method.guard import cause_of, name_of, text_of

Claim = Callable[[type[Method]], str]
"""A test of one claim, which its docstring's first line states.

It returns a remark, usually empty, or raises :class:`Broken`.
"""


@dataclass(frozen=True)
class Finding:
    """Result of testing one claim.

    Args:
        claim: the claim, in one sentence.
        passed: whether it holds.
        detail: what is wrong, or a remark on a claim that holds; usually empty.
    """

    claim: str
    passed: bool
    detail: str = ""


class Broken(AssertionError):
    """A claim does not hold; the message says why, and what to do."""


def claim(function: Callable[[type[Method]], str | None]) -> Claim:
    """Turn a function into a claim.

    The claim restores random states afterwards, and returns "" where the function returns ``None``.
    """

    @functools.wraps(function)
    def isolated(cls: type[Method]) -> str:
        with isolated_random_numbers(), torch.enable_grad():
            return function(cls) or ""

    return isolated


@contextmanager
def isolated_random_numbers() -> Iterator[None]:
    """Restore the states of torch's, numpy's and Python's generators afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def sentence(function: Claim) -> str:
    """Return the first line of a claim's docstring, without the full stop."""
    return (function.__doc__ or function.__name__).strip().partition("\n")[0].rstrip(".")


def describe_error(error: BaseException) -> str:
    """Return an exception as one line, with its type unless it is kdbench's own."""
    if isinstance(error, KdbenchError):
        return " ".join(cause_of(error).split("\n"))
    return f"{name_of(error)}: {text_of(error)}".rstrip(": ")
