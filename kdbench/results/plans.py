"""Merging of plans of one suite.

They come from several runs folders, or from a narrower run and the runs before it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable

from kdbench.plan.identity import canonical, student_identity
from kdbench.plan.trial import Entry, Plan, Trial
from kdbench.seeding import canonical_json

Row = tuple[str, ...]


def row_of(plan: Plan, entry: Entry) -> Row:
    """What makes a row of the report: pair, role, label, grid point, seed and data."""
    point = json.dumps(entry.grid_point, sort_keys=True)
    return entry.pair, entry.role, entry.label, point, str(entry.seed), plan.trials[entry.trial].data.fingerprint


def joined(first: Plan, second: Plan) -> Plan:
    """All trials, rows and cohorts of two plans, those of the first in front."""
    trials = {**first.trials, **{i: t for i, t in second.trials.items() if i not in first.trials}}
    entries = {e.model_dump_json(): e for e in (*first.entries, *second.entries)}
    cohorts = {c.trials: c for c in (*first.cohorts, *second.cohorts)}
    return first.model_copy(update={"trials": trials, "entries": tuple(entries.values()), "cohorts": tuple(cohorts.values())})


def with_earlier_rows(new: Plan, stored: Plan, names: Collection[str], has_record: Callable[[str], bool]) -> Plan:
    """A plan and the rows of earlier runs of its suite that it leaves out, so that a narrower run hides nothing.

    A stored row is kept where it still belongs beside the new ones and has a record: the suite's file still
    has its method entry, its trial differs from the new ones of the pair by no more than the method and the
    seed (of the same entry: by the seed alone), and the new plan replaces neither the row nor any of its
    teachers by another trial.

    Args:
        new: what is run now.
        stored: what the report has shown so far.
        names: names of all method entries that the suite's file has, whether they are run now or not.
        has_record: whether a trial has a record.

    Returns:
        ``new`` itself where there is nothing to keep; otherwise both, rows in the order of ``stored``, and
        then the new ones.
    """
    now = {row_of(new, e): e for e in new.entries}
    before = {row_of(stored, e): e for e in stored.entries}
    replaced = {e.trial for row, e in before.items() if row in now and now[row].trial != e.trial}
    helpers = {row: e for row, e in before.items() if row not in now and e.role != "student"}
    belongs = _belonging(new, names)
    kept: dict[Row, Entry] = {}
    for row, entry in before.items():
        behind = with_teachers(stored, [entry.trial])
        if row in now or entry.role != "student" or replaced & behind or not belongs(entry, stored.trials[entry.trial]):
            continue
        if has_record(entry.trial):
            kept[row] = entry
            mine = {r: e for r, e in helpers.items() if e.pair == entry.pair and e.trial in behind}
            kept |= {r: e for r, e in mine.items() if has_record(e.trial)}
    if not kept:
        return new
    needed = with_teachers(stored, (e.trial for e in kept.values()))
    rows = {row: now.get(row, e) for row, e in before.items() if row in now or row in kept}
    parts = ((c, tuple(t for t in c.trials if t in needed and t not in new.trials)) for c in stored.cohorts)
    return new.model_copy(
        update={
            "trials": {**{i: t for i, t in stored.trials.items() if i in needed}, **new.trials},
            "entries": tuple({**rows, **now}.values()),
            "cohorts": (*new.cohorts, *(c.model_copy(update={"trials": part}) for c, part in parts if part)),
        }
    )


def _belonging(new: Plan, names: Collection[str]) -> Callable[[Entry, Trial], bool]:
    """Whether a stored row of a student may stand beside the rows of a plan."""
    students = [(e, new.trials[e.trial]) for e in new.entries if e.role == "student"]
    entries = {(e.pair, e.label) for e, _ in students}
    points = {(e.pair, e.label, _setting(t), _hyperparameters(t)) for e, t in students}
    pairs = {(e.pair, _setting(t)) for e, t in students}

    def belongs(entry: Entry, trial: Trial) -> bool:
        if (entry.pair, entry.label) in entries:
            return (entry.pair, entry.label, _setting(trial), _hyperparameters(trial)) in points
        return entry.label in names and (entry.pair, _setting(trial)) in pairs

    return belongs


def with_teachers(plan: Plan, trials: Iterable[str]) -> set[str]:
    """Ids of trials and of all whom they were taught by, directly or not."""
    found: set[str] = set()
    waiting = list(trials)
    while waiting:
        trial = waiting.pop()
        if trial not in found:
            found.add(trial)
            waiting += plan.trials[trial].teachers
    return found


def _setting(trial: Trial) -> str:
    """What all students of a pair have in common: the data, the student, the recipe."""
    return canonical_json([canonical(trial.data), student_identity(trial), trial.weights_digest, canonical(trial.recipe)])


def _hyperparameters(trial: Trial) -> str:
    return canonical_json([trial.method, trial.params])
