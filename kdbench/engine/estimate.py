"""Estimates of the work of a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kdbench.plan.trial import Cohort, Plan, Trial
from kdbench.results.record import Profile

TRAINING_PASSES = 3
"""Cost of a training step in forward passes: the backward pass costs two."""
OVERHEAD = 1_000_000
"""MACs added per sample and forward pass, for costs other than multiplications.

With it, the estimates for networks of 0.2 to 40 MMACs (``tiny_cnn`` to ``resnet18``) were within a factor of
two of their measured training times on a CPU.
"""


@dataclass(frozen=True)
class Work:
    """Multiply-accumulates (MACs) of a plan's training.

    Evaluation and the methods' own computations are not counted.

    Args:
        trials: MACs of each trial's student, by trial id.
        students: their sum.
        teachers: MACs of the teachers' passes, once per batch of a cohort.
        teachers_alone: MACs of the teachers' passes if every trial ran its teachers itself.
    """

    trials: Mapping[str, int]
    students: int
    teachers: int
    teachers_alone: int


def estimate(plan: Plan, profile_of: Callable[[Trial], Profile | None], size: int) -> Work:
    """Estimate the training work of a plan, including finished trials.

    Args:
        plan: the plan.
        profile_of: returns the cost of a trial's network, if it is known before training.
        size: number of training samples.
    """

    def macs(trial_id: str) -> int:
        return _macs(plan.trials[trial_id], profile_of)

    trials = {i: TRAINING_PASSES * macs(i) * size * t.recipe.epochs for i, t in plan.trials.items()}
    shared = sum(macs(t) * size * plan.trials[c.trials[0]].recipe.epochs for c in plan.cohorts for t in c.teachers)
    alone = sum(macs(t) * size * trial.recipe.epochs for trial in plan.trials.values() for t in trial.teachers)
    return Work(trials, sum(trials.values()), shared, alone)


def work_per_sample(plan: Plan, profile_of: Callable[[Trial], Profile | None]) -> dict[str, float]:
    """Estimate each trial's work per training sample, in MACs, for the time remaining.

    It includes the trial's share of its cohort's teachers.
    """
    found: dict[str, float] = {}
    for cohort in plan.cohorts:
        shared = sum(_macs(plan.trials[t], profile_of) + OVERHEAD for t in cohort.teachers) / len(cohort.trials)
        for trial in cohort.trials:
            found[trial] = TRAINING_PASSES * (_macs(plan.trials[trial], profile_of) + OVERHEAD) + shared
    return found


def cohort_work(cohort: Cohort, plan: Plan, profile_of: Callable[[Trial], Profile | None], size: int) -> float:
    """Estimate the work of a cohort (or a part of one) in MACs, with its teachers.

    Args:
        cohort: the cohort.
        plan: its plan.
        profile_of: returns the cost of a trial's network, if it is known before training.
        size: number of training samples.
    """
    teachers = sum(_macs(plan.trials[t], profile_of) + OVERHEAD for t in cohort.teachers)
    students = sum(TRAINING_PASSES * (_macs(plan.trials[t], profile_of) + OVERHEAD) for t in cohort.trials)
    return float((teachers + students) * size * plan.trials[cohort.trials[0]].recipe.epochs)


def _macs(trial: Trial, profile_of: Callable[[Trial], Profile | None]) -> int:
    known = profile_of(trial)
    return known.macs if known is not None else 0
