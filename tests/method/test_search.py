"""Search ranges: evenly covered, of the type of their field, and refused where they make no sense."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest

from kdbench import Method, NonNegativeFloat, PositiveInt, Search
from kdbench.method.search import search_space, value_at


class Params(Method.Params):
    weight: Annotated[NonNegativeFloat, Search.log(1, 1000)] = 100.0
    peers: Annotated[PositiveInt, Search.log(1, 8)] = 1
    share: Annotated[float, Search.linear(0, 0.5)] = 0.1
    how: Annotated[Literal["a", "b", "c"], Search.choices("a", "b", "c")] = "a"
    fixed: int = 3


def values(name: str, *shares: float) -> list[Any]:
    return [value_at(Params, name, search_space(Params)[name], share) for share in shares]


def test_a_range_is_covered_evenly_on_its_scale_with_three_digits() -> None:
    assert values("weight", 0.0, 1 / 3, 0.5, 2 / 3) == [1.0, 10.0, 31.6, 100.0]
    assert values("share", 0.0, 0.5, 0.9) == [0.0, 0.25, 0.45]
    assert values("how", 0.0, 0.34, 0.99) == ["a", "b", "c"]


def test_a_whole_number_stays_one() -> None:
    assert values("peers", 0.0, 0.34, 0.99) == [1, 2, 8]
    assert all(type(value) is int for value in values("peers", 0.0, 0.5, 0.99))


def test_only_fields_with_a_range_are_searched() -> None:
    assert list(search_space(Params)) == ["weight", "peers", "share", "how"]
    assert str(search_space(Params)["weight"]) == "1 to 1000 (log)"
    assert str(search_space(Params)["how"]) == "a, b, c"


def test_a_range_holds_its_ends_and_nothing_beyond() -> None:
    assert all(Search.log(1, 10).holds(value) for value in (1, 3.0, 10.0))
    assert not any(Search.log(1, 10).holds(value) for value in (0.99, 10.01, "3", None))
    assert Search.choices(True, False).holds(False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Search.log(0, 1), "low above 0"),
        (lambda: Search.log(10, 1), "low < high"),
        (lambda: Search.linear(0, float("inf")), "finite"),
        (lambda: Search.choices("one"), "two values"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused_where_it_is_written(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
