"""Teachers that know too little to teach, found from the records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kdbench.plan.trial import Entry, Plan
from kdbench.results.record import Record

ALONE = "supervised"
HELPERS = ("teacher", "assistant")
NEAR_CHANCE = 0.05
"""Share of the way from guessing to no error; below it a network is near chance."""


@dataclass(frozen=True)
class WeakTeacher:
    """A teacher that is near chance, or below the student trained alone.

    Args:
        pair: name of the pair.
        fingerprint: of the data.
        role: ``teacher`` or ``assistant``.
        label: name of its row.
        fault: what is wrong with it, as the end of a sentence.
        alone: whether the plan has no other pair.
    """

    pair: str
    fingerprint: str
    role: str
    label: str
    fault: str
    alone: bool = True

    @property
    def warning(self) -> str:
        """A sentence about it."""
        return f'the {self.role} "{self.label}"{"" if self.alone else f" of pair {self.pair}"} {self.fault}'


def concerned(plan: Plan) -> frozenset[str]:
    """Return the ids of the trials that :func:`weak_teachers` looks at."""
    return frozenset(e.trial for e in plan.entries if e.role in HELPERS or _is_alone(e))


def weak_teachers(plan: Plan, records: Mapping[str, Record]) -> list[WeakTeacher]:
    """Find teachers that are near chance, or worse than the student trained alone.

    Assistants are teachers, too. Numbers are means over the finished trials of a row, of the primary metric
    on the test set.

    Args:
        plan: the plan.
        records: records by trial id; others count as not finished.
    """
    return list(_weak_teachers(plan, records))


def _weak_teachers(plan: Plan, records: Mapping[str, Record]) -> Iterator[WeakTeacher]:
    metric = plan.task.metrics[plan.task.primary]
    only = len({e.pair for e in plan.entries}) == 1
    sign = 1 if metric.higher_is_better else -1
    alone: dict[tuple[str, str], dict[str, float]] = {}
    helpers: dict[tuple[str, str, str, str], dict[str, float]] = {}
    classes: dict[str, int] = {}
    for entry in plan.entries:
        record = records.get(entry.trial)
        value = None if record is None else record.metrics.get("test", {}).get(plan.task.primary)
        if record is None or record.status != "finished" or value is None:
            continue
        data = plan.trials[entry.trial].data.fingerprint
        classes[data] = len(record.data.get("classes", ()))
        if entry.role in HELPERS:
            helpers.setdefault((entry.pair, data, entry.role, entry.label), {})[entry.trial] = value
        elif _is_alone(entry):
            alone.setdefault((entry.pair, data), {})[entry.trial] = value

    def shown(value: float) -> str:
        return f"{100 * value:.2f} %" if metric.percent else f"{value:.4g}"

    for (pair, data, role, label), values in helpers.items():
        mean, student = _mean(values), alone.get((pair, data))
        chance = 1 / classes[data] if plan.task.primary == "accuracy" and classes[data] > 1 else None
        if chance is not None and (mean - chance) / (1 - chance) < NEAR_CHANCE:
            fault = f"is near chance: {shown(mean)} {metric.label} with {classes[data]} classes"
            yield WeakTeacher(pair, data, role, label, fault, only)
        elif student is not None and sign * (mean - _mean(student)) < 0:
            fault = f"is worse than the student trained alone: {shown(mean)} {metric.label} against {shown(_mean(student))}"
            yield WeakTeacher(pair, data, role, label, fault, only)


def _is_alone(entry: Entry) -> bool:
    return entry.role == "student" and entry.method == ALONE and not entry.grid_point


def _mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / len(values)
