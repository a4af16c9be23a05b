"""How much work a plan is, before it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kdbench.run.engine import Prepared

TRAINING_PASSES = 3
"""A training step in forward passes: one forward, and a backward that multiplies twice for each multiplication of the forward."""


@dataclass(frozen=True)
class Work:
    """Multiply-accumulates (MACs) of a plan's training; evaluation and what methods add are not counted.

    Args:
        trials: of each trial's own student, by id.
        students: their sum.
        teachers: of the teachers' passes, each run once a batch of a cohort.
        teachers_alone: the same, had every trial to run its teachers itself.
    """

    trials: Mapping[str, int]
    students: int
    teachers: int
    teachers_alone: int


def estimate(prepared: Prepared) -> Work:
    """Estimate the training work of a plan, finished trials included."""
    plan, size = prepared.plan, len(prepared.data.train)

    def macs(trial_id: str) -> int:
        known = prepared.profile_of(plan.trials[trial_id])
        return known.macs if known is not None else 0

    trials = {i: TRAINING_PASSES * macs(i) * size * t.recipe.epochs for i, t in plan.trials.items()}
    shared = sum(macs(t) * size * plan.trials[c.trials[0]].recipe.epochs for c in plan.cohorts for t in c.teachers)
    alone = sum(macs(t) * size * trial.recipe.epochs for trial in plan.trials.values() for t in trial.teachers)
    return Work(trials, sum(trials.values()), shared, alone)
