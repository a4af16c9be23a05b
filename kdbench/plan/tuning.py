"""Tuning: the draws of a method, and which of them wins.

The plan of a tuned suite has two stages. At first it asks for every draw (and the methods' own values with
all seeds); once all draws of a method on a pair have ended, it also asks for the best one with all seeds.
Both stages are one function of the suite and the scores of what has ended, so whoever plans again, after a
round, after a crash or on another machine, gets the same trials.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import qmc

from kdbench.method.search import Search, value_at
from kdbench.plan.trial import Plan
from kdbench.seeding import named_seed
from kdbench.suite.schema import MethodEntry, Recipe, Tuning
from kdbench.suite.tuning import PREFIX, method_space, recipe_space

if TYPE_CHECKING:
    from kdbench.method import Method

Scores = Mapping[str, float]
"""The primary metric on the validation set, by trial, of those that have ended.

It is NaN for trials that failed.
"""

Point = dict[str, Any]
"""Tuned values by name; empty for a method's own values.

Names of recipe keys begin with ``recipe.``.
"""


@dataclass(frozen=True)
class Space:
    """What is tuned of a method on one student.

    Args:
        method: the method.
        ranges: ranges by name, those of the recipe first.
    """

    method: type[Method]
    ranges: Mapping[str, Search]

    @classmethod
    def of(cls, entry: MethodEntry, method: type[Method], tuning: Tuning, recipe: Recipe) -> Space:
        """Return the space of a method entry on a student with a recipe."""
        of_recipe = {PREFIX + key: search for key, search in recipe_space(tuning, recipe).items()}
        return cls(method, of_recipe | method_space(entry, method))

    def points(self, tuning: Tuning) -> list[Point]:
        """Return the draws: the method's own values, then a scrambled Halton sequence.

        More draws of the same seed begin with the same points. As the recipe comes first, all methods draw
        the same learning rates.
        """
        if not self.ranges:
            return [{}]
        generator = np.random.default_rng(named_seed("tuning", tuning.seed))
        shares = qmc.Halton(len(self.ranges), scramble=True, seed=generator).random(tuning.draws - 1)
        return [{}, *(self._point(row) for row in shares.tolist())]

    def _point(self, shares: Sequence[float]) -> Point:
        found = zip(self.ranges.items(), shares, strict=True)
        return {
            name: search.at(share) if name.startswith(PREFIX) else value_at(self.method.Params, name, search, share)
            for (name, search), share in found
        }


def winner(draws: Sequence[str], scores: Scores, sign: int) -> int | None:
    """Choose the best draw.

    Args:
        draws: ids of the draws' trials; the first has the method's own values, which win ties.
        scores: scores of the trials that have ended.
        sign: 1 where a higher score is better, −1 where a lower one is.

    Returns:
        Its index; ``None`` while draws are missing, and if all of them failed.
    """
    if not all(trial in scores for trial in draws):
        return None
    # Sums in another order differ in the last bits; equal scores must compare as equal.
    merits = [-math.inf if math.isnan(scores[trial]) else round(sign * scores[trial], 12) for trial in draws]
    best = max(range(len(draws)), key=merits.__getitem__)
    return best if merits[best] > -math.inf else None


def failed_draws(plan: Plan, finished: Collection[str]) -> set[str]:
    """Return the failed draws of methods of which another draw finished.

    They have lost, and nothing is amiss.

    Args:
        plan: the plan.
        finished: ids of the finished trials.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for entry in plan.entries:
        if entry.role == "draw":
            groups.setdefault((entry.pair, entry.label), []).append(entry.trial)
    done, needed = set(finished), {entry.trial for entry in plan.entries if entry.role != "draw"}
    return {trial for draws in groups.values() if done & set(draws) for trial in draws if trial not in done | needed}
