"""Merging of plans of one suite.

The plans come from several runs folders, or from a narrower run and the runs before it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable

from kdbench.plan.identity import canonical, student_identity
from kdbench.plan.trial import Entry, Plan, Trial, TuningInfo
from kdbench.seeding import canonical_json

Row = tuple[str, ...]
COMPARED = ("student", "default", "draw")
"""Roles of the rows that stand for a method; others are their helpers."""


def row_of(plan: Plan, entry: Entry) -> Row:
    """Return what identifies a row: pair, role, label, grid point, seed and data."""
    point = json.dumps(entry.grid_point, sort_keys=True)
    return entry.pair, entry.role, entry.label, point, str(entry.seed), plan.trials[entry.trial].data.fingerprint


def joined(first: Plan, second: Plan) -> Plan:
    """Join the trials, rows and cohorts of two plans; those of the first come first."""
    trials = {**first.trials, **{i: t for i, t in second.trials.items() if i not in first.trials}}
    entries = {e.model_dump_json(): e for e in (*first.entries, *second.entries)}
    cohorts = {c.trials: c for c in (*first.cohorts, *second.cohorts)}
    return first.model_copy(update={"trials": trials, "entries": tuple(entries.values()), "cohorts": tuple(cohorts.values())})


def with_earlier_rows(new: Plan, stored: Plan, names: Collection[str], has_record: Callable[[str], bool]) -> Plan:
    """Add to a plan the rows of earlier runs of its suite that it leaves out.

    So a narrower run hides nothing. A stored row is kept if it has a record and still belongs beside the new
    rows: the suite's file still has its method entry, its trial differs from the new ones of the pair only in
    the method and the seed (from those of the same entry, only in the seed), and the new plan replaces
    neither the row nor any of its teachers by another trial. Of a tuned method, all rows are kept if its
    first draw, which has the suite's recipe, differs from those of the pair only in the method.

    Args:
        new: the plan that is run now.
        stored: the plan that the report has shown so far.
        names: names of all method entries in the suite's file, whether they are run now or not.
        has_record: whether a trial has a record.

    Returns:
        ``new`` itself if there is nothing to keep; otherwise both, with rows in the order of ``stored``,
        followed by those that only ``new`` has.
    """
    now = {row_of(new, e): e for e in new.entries}
    before = {row_of(stored, e): e for e in stored.entries}
    replaced = {e.trial for row, e in before.items() if row in now and now[row].trial != e.trial}
    helpers = {row: e for row, e in before.items() if row not in now and e.role not in COMPARED}
    belongs = _belonging(new, names) if new.tuning is None else _tuned_belonging(new, stored, names)
    kept: dict[Row, Entry] = {}
    for row, entry in before.items():
        behind = with_teachers(stored, [entry.trial])
        if row in now or entry.role not in COMPARED or replaced & behind or not belongs(entry, stored.trials[entry.trial]):
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
            "tuning": _both_spaces(new, stored),
        }
    )


def _belonging(new: Plan, names: Collection[str]) -> Callable[[Entry, Trial], bool]:
    """Return a function that says whether a student's stored row belongs in a plan."""
    students = [(e, new.trials[e.trial]) for e in new.entries if e.role == "student"]
    entries = {(e.pair, e.label) for e, _ in students}
    points = {(e.pair, e.label, _setting(t), _hyperparameters(t)) for e, t in students}
    pairs = {(e.pair, _setting(t)) for e, t in students}

    def belongs(entry: Entry, trial: Trial) -> bool:
        if (entry.pair, entry.label) in entries:
            return (entry.pair, entry.label, _setting(trial), _hyperparameters(trial)) in points
        return entry.label in names and (entry.pair, _setting(trial)) in pairs

    return belongs


def _tuned_belonging(new: Plan, stored: Plan, names: Collection[str]) -> Callable[[Entry, Trial], bool]:
    """Return a function that says whether a stored, tuned row belongs in a plan."""
    settings = {(pair, setting) for (pair, _), (setting, _) in _first_draws(new).items()}
    now, before = _first_draws(new), _first_draws(stored)
    student = {(e.pair, e.label, e.role): _varied(new, e) for e in new.entries}

    def belongs(entry: Entry, trial: Trial) -> bool:
        key = entry.pair, entry.label
        if key not in before or new.tuning is None or stored.tuning is None:
            return False
        if key in now:  # other seeds of what is chosen now
            return now[key] == before[key] and student.get((*key, entry.role)) == _varied(stored, entry)
        same = ("draws", "epochs", "seed")
        alike = all(getattr(new.tuning, name) == getattr(stored.tuning, name) for name in same)
        return entry.label in names and alike and (entry.pair, before[key][0]) in settings

    return belongs


def _first_draws(plan: Plan) -> dict[tuple[str, str], tuple[str, str]]:
    """Return setting and hyper-parameters of first draws, by pair and label."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for entry in plan.entries:
        if entry.role == "draw":
            trial = plan.trials[entry.trial]
            found.setdefault((entry.pair, entry.label), (_setting(trial), _hyperparameters(trial)))
    return found


def _varied(plan: Plan, entry: Entry) -> str:
    """Return what a row's trials have in common over seeds."""
    trial = plan.trials[entry.trial]
    return canonical_json([_setting(trial), _hyperparameters(trial)])


def _both_spaces(new: Plan, stored: Plan) -> TuningInfo | None:
    if new.tuning is None or stored.tuning is None:
        return new.tuning
    before = stored.tuning.spaces
    both = {pair: {**before.get(pair, {}), **new.tuning.spaces.get(pair, {})} for pair in {**before, **new.tuning.spaces}}
    return new.tuning.model_copy(update={"spaces": both})


def with_teachers(plan: Plan, trials: Iterable[str]) -> set[str]:
    """Return the ids of trials and of all their direct and indirect teachers."""
    found: set[str] = set()
    waiting = list(trials)
    while waiting:
        trial = waiting.pop()
        if trial not in found:
            found.add(trial)
            waiting += plan.trials[trial].teachers
    return found


def _setting(trial: Trial) -> str:
    """Return what a pair's students have in common: data, student and recipe."""
    return canonical_json([canonical(trial.data), student_identity(trial), trial.weights_digest, canonical(trial.recipe)])


def _hyperparameters(trial: Trial) -> str:
    return canonical_json([trial.method, trial.params])
