"""How much work a plan is, before it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kdbench.plan.trial import Cohort, Plan, Trial
from kdbench.results.record import Profile

TRAINING_PASSES = 3
"""A training step in forward passes: one forward, and a backward that multiplies twice for each multiplication of the forward."""
OVERHEAD = 1_000_000
"""What a sample costs beside its multiplications, as if it were so many MACs a forward pass: with it, networks of 0.2 to 40 MMACs
(`tiny_cnn` to `resnet18`) came out within a factor of two of their measured training times on a CPU."""


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


def estimate(plan: Plan, profile_of: Callable[[Trial], Profile | None], size: int) -> Work:
    """Estimate the training work of a plan, finished trials included.

    Args:
        plan: the plan.
        profile_of: cost of a trial's network, where it is known before training.
        size: samples of the training set.
    """

    def macs(trial_id: str) -> int:
        return _macs(plan.trials[trial_id], profile_of)

    trials = {i: TRAINING_PASSES * macs(i) * size * t.recipe.epochs for i, t in plan.trials.items()}
    shared = sum(macs(t) * size * plan.trials[c.trials[0]].recipe.epochs for c in plan.cohorts for t in c.teachers)
    alone = sum(macs(t) * size * trial.recipe.epochs for trial in plan.trials.values() for t in trial.teachers)
    return Work(trials, sum(trials.values()), shared, alone)


def work_per_sample(plan: Plan, profile_of: Callable[[Trial], Profile | None]) -> dict[str, float]:
    """Work of each trial a training sample, in MACs, its share of its cohort's teachers included: what the time left is judged by."""
    found: dict[str, float] = {}
    for cohort in plan.cohorts:
        shared = sum(_macs(plan.trials[t], profile_of) + OVERHEAD for t in cohort.teachers) / len(cohort.trials)
        for trial in cohort.trials:
            found[trial] = TRAINING_PASSES * (_macs(plan.trials[trial], profile_of) + OVERHEAD) + shared
    return found


def cohort_work(cohort: Cohort, plan: Plan, profile_of: Callable[[Trial], Profile | None], size: int) -> float:
    """Work of training a cohort (or a part of one) in MACs, its teachers' passes included.

    Args:
        cohort: the cohort.
        plan: the plan that it is of.
        profile_of: cost of a trial's network, where it is known before training.
        size: samples of the training set.
    """
    teachers = sum(_macs(plan.trials[t], profile_of) + OVERHEAD for t in cohort.teachers)
    students = sum(TRAINING_PASSES * (_macs(plan.trials[t], profile_of) + OVERHEAD) for t in cohort.trials)
    return float((teachers + students) * size * plan.trials[cohort.trials[0]].recipe.epochs)


def _macs(trial: Trial, profile_of: Callable[[Trial], Profile | None]) -> int:
    known = profile_of(trial)
    return known.macs if known is not None else 0
