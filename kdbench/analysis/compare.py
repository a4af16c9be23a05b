"""What changed between two runs of the same suite.

The cause may be a different version of a method or of torch, or a different machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.contrasts import Runs, contrast, difference_columns, significance, significance_columns
from kdbench.analysis.frame import SuiteFrame
from kdbench.analysis.statistics import holm
from kdbench.analysis.task import counts_correct, direction, units
from kdbench.method.source import sources_differ
from kdbench.plan.trial import TaskInfo
from kdbench.results.record import Record

Key = tuple[str, str, str]
"""Pair, role, label."""


@dataclass(frozen=True)
class Change:
    """A difference in data, code, libraries or machines.

    Args:
        name: what differs: ``data``, ``kdbench``, ``processor``, ``device``, ``threads``, or a library.
        a: all its values in A.
        b: all its values in B.
    """

    name: str
    a: tuple[str, ...]
    b: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two runs, row by row.

    Args:
        task: the task that the networks learn.
        rows: a row for each pair, role and label that both have: ``value_a``, ``value_b`` (primary
            metric on the test set), and B against A as in :mod:`kdbench.analysis.contrasts`:
            ``delta`` with its interval, ``p_seeds``, ``p_images`` (of the task's units),
            ``significant``; ``time_ratio`` (B's training time over A's), ``failed_a``, ``failed_b``
            (numbers of trials), ``seeds`` (the larger number of seeds), ``paired`` (seeds in
            common), ``source_changed`` (whether the method's source differs), ``other_trials``
            (whether trials of one seed differ in recipe, parameters or teachers).
        only_a: rows that only A has.
        only_b: rows that only B has.
        other_data: number of rows that both have on different data, and that are not compared.
        changes: differences in data, code, libraries and machines.
    """

    task: TaskInfo
    rows: pd.DataFrame
    only_a: tuple[Key, ...]
    only_b: tuple[Key, ...]
    other_data: int
    changes: tuple[Change, ...]

    @property
    def regressions(self) -> pd.DataFrame:
        """Rows whose primary metric became significantly worse."""
        if self.rows.empty:
            return self.rows
        return self.rows[(direction(self.task) * self.rows["delta"] < 0) & (self.rows["significant"] != "")]


def compare_runs(a: Analysis, b: Analysis) -> Comparison:
    """Compare two runs of one suite.

    Rows match by pair, role and label, and are paired by seed; rows on different data are not
    compared. If a run has a row for several data sets, the first of them counts.
    """
    parts_a, parts_b = _parts(a), _parts(b)
    both = [key for key in parts_a if key in parts_b]
    same_data = [key for key in both if set(parts_a[key]["fingerprint"]) == set(parts_b[key]["fingerprint"])]
    found = [_row(a.frame, b.frame, parts_a[key], parts_b[key], key) for key in same_data]
    return Comparison(
        b.task,
        _corrected(pd.DataFrame(found), _units(b.task)),
        tuple(key for key in parts_a if key not in parts_b),
        tuple(key for key in parts_b if key not in parts_a),
        len(both) - len(same_data),
        tuple(_changes(a.frame, b.frame)),
    )


def _units(task: TaskInfo) -> str:
    return units(task) if counts_correct(task) else ""


def _parts(analysis: Analysis) -> dict[Key, pd.DataFrame]:
    rows = analysis.chosen
    first = rows.groupby(["pair", "role", "label"], sort=False)["fingerprint"].transform("first")
    groups = rows[rows["fingerprint"] == first].groupby(["pair", "role", "label"], sort=False)
    return {(str(p), str(r), str(n)): part.drop_duplicates("trial") for (p, r, n), part in groups}


def _row(a: SuiteFrame, b: SuiteFrame, part_a: pd.DataFrame, part_b: pd.DataFrame, key: Key) -> dict[str, object]:
    runs_a, runs_b = Runs.of(a, part_a), Runs.of(b, part_b)
    found = {key: contrast(runs_b, runs_a)}
    common = sorted(set(runs_a.values) & set(runs_b.values))
    seeds_a, seeds_b = (common, common) if common else (list(runs_a.values), list(runs_b.values))
    seconds_a, seconds_b = part_a["wall_seconds"].mean(), part_b["wall_seconds"].mean()
    records_a, records_b = _records(a, part_a), _records(b, part_b)
    trials_a, trials_b = (dict(zip(p["seed"], p["trial"], strict=True)) for p in (part_a, part_b))
    return {
        **dict(zip(("pair", "role", "label"), key, strict=True)),
        "value_a": _mean([runs_a.values[s] for s in seeds_a]),
        "value_b": _mean([runs_b.values[s] for s in seeds_b]),
        **difference_columns(found)[key],
        **significance_columns(found, _units(b.task))[key],
        "time_ratio": seconds_b / seconds_a if seconds_a > 0 else float("nan"),
        "failed_a": sum(r.status == "failed" for r in records_a),
        "failed_b": sum(r.status == "failed" for r in records_b),
        "seeds": max(part_a["seed"].nunique(), part_b["seed"].nunique()),
        "paired": len(common),
        "source_changed": sources_differ(_sources(records_a), _sources(records_b)),
        "other_trials": any(trials_b.get(seed, trial) != trial for seed, trial in trials_a.items()),
    }


def _records(frame: SuiteFrame, part: pd.DataFrame) -> list[Record]:
    return [frame.records[t] for t in part["trial"] if t in frame.records]


def _sources(records: list[Record]) -> set[str]:
    return {r.provenance.method_digest for r in records}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def _corrected(rows: pd.DataFrame, units: str) -> pd.DataFrame:
    """Correct the p values for the number of rows, and mark what is significant."""
    if rows.empty:
        return rows
    p_seeds = holm(rows["p_seeds"].tolist())
    p_units = holm(rows[f"p_{units}"].tolist()) if units else [float("nan")] * len(rows)
    found = [significance(s, u, units) for s, u in zip(p_seeds, p_units, strict=True)]
    tests = {"p_seeds": p_seeds, **({f"p_{units}": p_units} if units else {})}
    return rows.assign(**tests, significant=found)


def _changes(a: SuiteFrame, b: SuiteFrame) -> list[Change]:
    facts: dict[str, Callable[[Record], str]] = {
        "data": lambda r: f"{r.data.get('name')} {r.data.get('fingerprint')}",
        "kdbench": lambda r: f"{r.provenance.kdbench} {r.provenance.commit}".strip(),
        "processor": lambda r: r.provenance.machine.get("processor", "unknown"),
        "device": lambda r: r.provenance.device,
        "threads": lambda r: str(r.provenance.threads),
    }
    for library in sorted({name for f in (a, b) for r in f.records.values() for name in r.provenance.libraries}):
        facts[library] = lambda r, name=library: r.provenance.libraries.get(name, "absent")  # type: ignore[misc]
    found = []
    for name, fact in facts.items():
        in_a, in_b = ({fact(r) for r in frame.records.values()} for frame in (a, b))
        if in_a and in_b and in_a != in_b:
            found.append(Change(name, tuple(sorted(in_a)), tuple(sorted(in_b))))
    return found
