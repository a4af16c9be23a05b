"""Checks of a plan that was read: ids follow from trials, and names exist."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kdbench.errors import cut
from kdbench.plan.trial import Plan
from kdbench.results.reading import Unreadable, is_plain_name, validated
from kdbench.suite.schema import LONGEST_DESCRIPTION, LONGEST_TITLE

MOST_TRIALS = 100_000
MOST_ROWS = 400_000
LARGEST_SEED = 2**63 - 1
"""What a column of a table holds."""
LONGEST_TASK_TEXT = 100
LONGEST_POINT = 10_000
"""Characters of a grid point; those of names are bounded by their models."""


def plan_of(content: Any) -> Plan:
    """The plan in a file's content, in the present version.

    Raises:
        Unreadable: it is not one, is too large, or does not hold together.
    """
    sizes = {"trials": MOST_TRIALS, "entries": MOST_ROWS, "cohorts": MOST_ROWS}
    for part, most in sizes.items():
        if len(found := content.get(part, ())) > most:
            raise Unreadable(f"names {len(found):,} {part}, more than the {most:,} that kdbench reads")
    plan = validated(Plan, content)
    check_plan(plan)
    return plan


def check_plan(plan: Plan) -> None:
    """Check what the types do not say.

    As a trial's id is the digest of its content, which names its teachers, no circle of teachers passes.

    Raises:
        Unreadable: something does not fit.
    """
    if not is_plain_name(plan.suite):
        raise Unreadable(f"names its suite {cut(ascii(plan.suite))}, which cannot be a file's name")
    if not plan.entries:
        raise Unreadable("has no rows, so that there is nothing to show")
    _check_task(plan)
    if len(plan.title or "") > LONGEST_TITLE or len(plan.description or "") > LONGEST_DESCRIPTION:
        raise Unreadable("has a title or a description that is too long")
    for i, trial in plan.trials.items():
        try:
            fits = trial.id == i
        except (ValueError, RecursionError):  # a number that JSON does not have, for example
            fits = False
        if not fits:
            raise Unreadable(f"names a trial {i} whose content has another id")
        _check_known(plan, trial.teachers)
        _check_seed(trial.seed)
    for entry in plan.entries:
        _check_known(plan, (entry.trial, *entry.teachers))
        _check_seed(entry.seed)
        if entry.grid_point and len(repr(entry.grid_point)) > LONGEST_POINT:
            raise Unreadable("has a row whose grid point is too long to be shown")
        if entry.seed != plan.trials[entry.trial].seed and entry.role == "student":
            raise Unreadable(f"has a row of seed {entry.seed} whose trial {entry.trial} has another")
    for cohort in plan.cohorts:
        _check_known(plan, cohort.trials)


def _check_task(plan: Plan) -> None:
    task = plan.task
    if task.primary not in task.metrics:
        raise Unreadable("compares by a metric that its task does not have")
    texts = [task.name, task.unit, *task.metrics, *(info.label for info in task.metrics.values())]
    if not all(text.isprintable() and 0 < len(text) <= LONGEST_TASK_TEXT for text in texts):
        raise Unreadable("describes its task in words that cannot be shown")


def _check_known(plan: Plan, trials: Iterable[str]) -> None:
    for trial in trials:
        if trial not in plan.trials:
            raise Unreadable(f"refers to a trial {trial} that it does not hold")


def _check_seed(seed: int) -> None:
    if abs(seed) > LARGEST_SEED:
        raise Unreadable("has a seed that is too large")
