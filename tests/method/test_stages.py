"""Which stages a request means, and what terms add up to."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdbench import MethodError, Outputs, Stages, Step
from kdbench.method import pick_stages, total_of


@pytest.mark.parametrize(
    ("stages", "count", "expected"),
    [
        ("all", 3, (0, 1, 2)),
        ((), 3, ()),
        ((-1,), 3, (2,)),
        ((-4, -3, -2, -1), 3, (0, 1, 2)),
        ((2, 0), 3, (0, 2)),
        ((-1, 2), 3, (2,)),
        ((5, -9), 3, ()),
        ("all", 0, ()),
    ],
)
def test_stages_are_those_that_the_network_has(stages: Stages, count: int, expected: tuple[int, ...]) -> None:
    assert pick_stages(stages, count) == expected


@given(st.lists(st.integers(-9, 9)), st.integers(0, 9))
def test_stages_ascend_and_exist(stages: list[int], count: int) -> None:
    found = pick_stages(tuple(stages), count)
    assert list(found) == sorted(set(found))
    assert all(0 <= i < count for i in found)


def test_terms_add_up_in_float32() -> None:
    total = total_of({"a": torch.tensor(1.5, dtype=torch.bfloat16), "b": torch.tensor(2.0)}, "mine")
    assert total.dtype == torch.float32
    assert float(total) == 3.5


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        (torch.zeros(()), "must return a dict of named terms, not Tensor"),
        ({}, "not an empty dict"),
        ({"ce": torch.zeros(2)}, r'"ce" must be a scalar tensor, not a tensor of shape \(2,\)'),
        ({"ce": 1.0}, "not float"),
    ],
)
def test_terms_that_are_something_else_are_refused(terms: Any, said: str) -> None:
    with pytest.raises(MethodError, match=f'method "mine": .*{said}'):
        total_of(terms, "mine")


def test_what_was_not_asked_for_is_refused() -> None:
    step = Step(Outputs(), (), torch.zeros(1), torch.zeros(1), 0, 0.0, extras={"indices": torch.ones(1)})
    assert torch.equal(step.indices, torch.ones(1))
    with pytest.raises(MethodError, match="past_logits were read but not asked for"):
        _ = step.past_logits
