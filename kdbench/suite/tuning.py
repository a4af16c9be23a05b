"""The space that a suite tunes a method in, and checks of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kdbench.method.search import Search, search_space
from kdbench.suite.schema import MethodEntry, Range, Recipe, Tuning

if TYPE_CHECKING:
    from kdbench.method import Method

FACTORS: Mapping[str, float] = {"lr": 4.0, "weight_decay": 10.0}
"""Default ranges of recipe keys: this many times less and more than their value."""

PREFIX = "recipe."
"""Begins the names of recipe keys among tuned values, as it does in ``--set``."""


def search_of(given: Range) -> Search:
    """Return a range that was written in a suite, as methods declare it."""
    if given.choices is not None:
        return Search.choices(*given.choices)
    return Search.log(*given.log) if given.log is not None else Search.linear(*(given.linear or (0.0, 1.0)))


def method_space(entry: MethodEntry, method: type[Method]) -> dict[str, Search]:
    """Return the ranges of an entry's hyper-parameters, by name.

    Those that the entry sets itself (``params:``) are not tuned, unless it also gives their range.
    """
    from kdbench.method.create import params_class

    declared = {name: search for name, search in search_space(params_class(method)).items() if name not in entry.params}
    return {**declared, **{name: search_of(given) for name, given in entry.search.items()}}


def recipe_space(tuning: Tuning, recipe: Recipe) -> dict[str, Search]:
    """Return the ranges of a network's recipe keys, by name.

    A key whose value is 0 (no weight decay) has no default range: 0 has no multiples.
    """
    found: dict[str, Search] = {}
    for key, given in tuning.recipe.items():
        value: float = getattr(recipe, key)
        if given is not None:
            found[key] = search_of(given)
        elif value:
            found[key] = Search.log(value / FACTORS[key], value * FACTORS[key])
    return found


def tuned_recipe(recipe: Recipe, point: Mapping[str, Any], share: float = 1.0) -> Recipe:
    """Return a recipe with tuned values, for a share of its epochs.

    What a schedule counts in epochs (warm-up, milestones, steps) shrinks with them.

    Args:
        recipe: the recipe.
        point: tuned values; those of recipe keys begin with ``recipe.``.
        share: share of the epochs, rounded to at least one.
    """
    changes = {name.removeprefix(PREFIX): value for name, value in point.items() if name.startswith(PREFIX)}
    if share < 1.0 and recipe.epochs:
        changes |= {
            "epochs": max(1, round(share * recipe.epochs)),
            "warmup_epochs": round(share * recipe.warmup_epochs),
            "schedule_kwargs": {name: _shorter(name, value, share) for name, value in recipe.schedule_kwargs.items()},
        }
    return recipe.model_copy(update=changes) if changes else recipe


def tuned_params(point: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyper-parameters among tuned values."""
    return {name: value for name, value in point.items() if not name.startswith(PREFIX)}


def _shorter(name: str, value: Any, share: float) -> Any:
    """Shorten an argument of a schedule if it counts epochs."""
    if isinstance(value, list | tuple):
        return [_shorter(name, inner, share) for inner in value]
    counts = name.endswith("_epochs") or name == "decay_milestones"
    return max(1, round(share * value)) if counts and isinstance(value, int | float) and value > 0 else value
