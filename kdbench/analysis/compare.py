"""What changed between two runs of the same suite.

The cause may be a different version of a method or of torch, or a different machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.contrasts import Rows, Runs, trained_networks
from kdbench.analysis.frame import SuiteFrame
from kdbench.analysis.statistics import LEVEL
from kdbench.analysis.task import counts_correct, direction, units
from kdbench.method.source import sources_differ
from kdbench.plan.trial import TaskInfo
from kdbench.results.record import Record

HELPERS = ("teacher", "assistant")
"""Roles of other networks than the student; their runs may vary otherwise."""
NAN = float("nan")
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
            metric on the test set), and B against A by :mod:`kdbench.analysis.model`: ``delta`` with
            the interval ``delta_low`` to ``delta_high``, simultaneous for all rows, ``delta_seeds``,
            ``p_value`` and ``significant``; ``delta_images_low`` and ``delta_images_high`` (of the
            task's units) of these trained networks; ``time_ratio`` (B's training time over A's),
            ``failed_a``, ``failed_b``
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
        return self.rows[(direction(self.task) * self.rows["delta"] < 0) & self.rows["significant"]]


def compare_runs(a: Analysis, b: Analysis) -> Comparison:
    """Compare two runs of one suite.

    Rows match by pair, role and label, and are paired by seed; rows on different data are not
    compared. If a run has a row for several data sets, the first of them counts. Chance is the same in
    both runs: the model of a pair holds all rows of A and of B. Rows whose results are the same to the
    bit are no comparison. In runs that differ by chance alone, all rows together have any significant
    difference with a probability of 5 %.
    """
    parts_a, parts_b = _parts(a), _parts(b)
    both = [key for key in parts_a if key in parts_b]
    same_data = [key for key in both if set(parts_a[key]["fingerprint"]) == set(parts_b[key]["fingerprint"])]
    runs_a = {key: Runs.of(a.frame, parts_a[key]) for key in same_data}
    runs_b = {key: Runs.of(b.frame, parts_b[key]) for key in same_data}
    differences = _differences(runs_a, runs_b, units(b.task) if counts_correct(b.task) else "")
    found = [_row(a.frame, b.frame, parts_a[key], parts_b[key], key) | differences[key] for key in same_data]
    return Comparison(
        b.task,
        pd.DataFrame(found),
        tuple(key for key in parts_a if key not in parts_b),
        tuple(key for key in parts_b if key not in parts_a),
        len(both) - len(same_data),
        tuple(_changes(a.frame, b.frame)),
    )


def _differences(a: Mapping[Key, Runs], b: Mapping[Key, Runs], unit: str) -> dict[Key, dict[str, float | bool]]:
    """Return B against A for each row, simultaneously over all pairs."""
    groups: dict[tuple[str, bool], list[Key]] = {}
    for key in a:
        if a[key].values != b[key].values:
            groups.setdefault((key[0], key[1] in HELPERS), []).append(key)
    level = LEVEL ** (1 / max(len(groups), 1))  # pairs are independent of each other
    found: dict[Key, dict[str, float | bool]] = {}
    for key in a:
        common = set(a[key].values) & set(b[key].values)
        found[key] = {"delta": 0.0 if common else NAN, "delta_low": NAN, "delta_high": NAN, "delta_seeds": len(common)}
        found[key] |= {"p_value": NAN, "significant": False}
    for (pair, helper), keys in groups.items():
        same = [key for key in a if key[0] == pair and (key[1] in HELPERS) == helper]
        rows = {(side, key): own[key] for side, own in (("a", a), ("b", b)) for key in same}
        lines = Rows.of(rows).compare([(("b", key), ("a", key)) for key in keys], level)
        for key, line in zip(keys, lines, strict=True):
            found[key] |= {f"delta{name}": line[at] for name, at in (("", "delta"), ("_low", "low"), ("_high", "high"))}
            p_value = 1 - (1 - line["p_value"]) ** len(groups)
            found[key] |= {"p_value": p_value, "significant": bool(line["low"] > 0 or line["high"] < 0)}
    for key, line in found.items():
        if unit:
            line[f"delta_{unit}_low"], line[f"delta_{unit}_high"] = trained_networks(b[key], a[key])
    return found


def _parts(analysis: Analysis) -> dict[Key, pd.DataFrame]:
    rows = analysis.chosen
    first = rows.groupby(["pair", "role", "label"], sort=False)["fingerprint"].transform("first")
    groups = rows[rows["fingerprint"] == first].groupby(["pair", "role", "label"], sort=False)
    return {(str(p), str(r), str(n)): part.drop_duplicates("trial") for (p, r, n), part in groups}


def _row(a: SuiteFrame, b: SuiteFrame, part_a: pd.DataFrame, part_b: pd.DataFrame, key: Key) -> dict[str, object]:
    runs_a, runs_b = Runs.of(a, part_a), Runs.of(b, part_b)
    common = sorted(set(runs_a.values) & set(runs_b.values))
    seeds_a, seeds_b = (common, common) if common else (list(runs_a.values), list(runs_b.values))
    seconds_a, seconds_b = part_a["wall_seconds"].mean(), part_b["wall_seconds"].mean()
    records_a, records_b = _records(a, part_a), _records(b, part_b)
    trials_a, trials_b = (dict(zip(p["seed"], p["trial"], strict=True)) for p in (part_a, part_b))
    return {
        **dict(zip(("pair", "role", "label"), key, strict=True)),
        "value_a": _mean([runs_a.values[s] for s in seeds_a]),
        "value_b": _mean([runs_b.values[s] for s in seeds_b]),
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
