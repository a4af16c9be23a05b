"""Search ranges of hyper-parameters, which a method declares in its ``Params``.

A range stands in the annotation of a field::

    class Params(Method.Params):
        beta: Annotated[PositiveFloat, Search.log(1, 1000)] = 100.0
        ensemble: Annotated[str, Search.choices("mean", "naive")] = "mean"

Tuning (``tuning:`` in a suite) draws values from it. A field without a range keeps its default.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

DIGITS = 3
"""Significant digits of a drawn number; more would only fill tables."""


@dataclass(frozen=True)
class Search:
    """The range that tuning draws a hyper-parameter from.

    Make one with :meth:`log`, :meth:`linear` or :meth:`choices`.

    Args:
        scale: how the range is covered: evenly in the logarithm, evenly, or value by value.
        low: smallest number; unused for choices.
        high: largest number; unused for choices.
        values: the choices, in order.
    """

    scale: Literal["log", "linear", "choices"]
    low: float = 0.0
    high: float = 0.0
    values: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if self.scale == "choices":
            if len(self.values) < 2:
                raise ValueError("Search.choices needs two values at least")
        elif not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"Search.{self.scale} needs finite numbers low < high, not {self.low}, {self.high}")
        elif self.scale == "log" and self.low <= 0:
            raise ValueError(f"Search.log needs a low above 0, not {self.low}")

    @classmethod
    def log(cls, low: float, high: float) -> Search:
        """Make a range that is covered evenly in the logarithm, for weights and rates."""
        return cls("log", float(low), float(high))

    @classmethod
    def linear(cls, low: float, high: float) -> Search:
        """Make a range that is covered evenly, for shares."""
        return cls("linear", float(low), float(high))

    @classmethod
    def choices(cls, *values: Any) -> Search:
        """Make a list of values, plain data, that are drawn equally often."""
        return cls("choices", values=values)

    def at(self, share: float, *, whole: bool = False) -> Any:
        """Return the value at a share of the range.

        Args:
            share: position in the range, in [0, 1).
            whole: whether the number is an integer.
        """
        if self.scale == "choices":
            return self.values[int(share * len(self.values))]
        if self.scale == "log":
            value = math.exp(math.log(self.low) + share * math.log(self.high / self.low))
        else:
            value = self.low + share * (self.high - self.low)
        rounded = round(value) if whole else float(f"{value:.{DIGITS}g}")
        return type(rounded)(min(max(rounded, self.low), self.high))

    def holds(self, value: Any) -> bool:
        """Whether a value lies in the range, its ends included."""
        if self.scale == "choices":
            return value in self.values
        return isinstance(value, int | float) and self.low <= value <= self.high

    @property
    def ends(self) -> tuple[Any, ...]:
        """The smallest and the largest number, or all choices."""
        return self.values if self.scale == "choices" else (self.low, self.high)

    def __str__(self) -> str:
        if self.scale == "choices":
            return ", ".join(map(str, self.values))
        return f"{self.low:g} to {self.high:g}" + (" (log)" if self.scale == "log" else "")


def search_space(params: type[BaseModel]) -> dict[str, Search]:
    """Return the search ranges that hyper-parameters declare, by name, in their order."""
    found = {name: _of_field(field.metadata) for name, field in params.model_fields.items()}
    return {name: search for name, search in found.items() if search is not None}


def value_at(params: type[BaseModel], name: str, search: Search, share: float) -> Any:
    """Return the value at a share of a hyper-parameter's range, an integer for an int."""
    return search.at(share, whole=params.model_fields[name].annotation is int)


def _of_field(metadata: list[Any]) -> Search | None:
    return next((part for part in metadata if isinstance(part, Search)), None)
