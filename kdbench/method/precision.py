"""Losses in full precision, regardless of the precision of the forward pass."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a loss to be computed in at least float32, even inside autocast.

    Tensors in half precision (also inside tuples and lists) are cast to float32; float32 and float64 stay as
    they are.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            return function(*[_promote(a) for a in args], **{k: _promote(v) for k, v in kwargs.items()})

    return wrapped


def _promote(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
        return value.float()
    if isinstance(value, tuple | list):
        return type(value)(_promote(v) for v in value)
    return value
