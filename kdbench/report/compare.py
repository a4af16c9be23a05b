"""What changed between two runs of the same suites: another version of a method, another machine, another torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from tabulate import tabulate

from kdbench.analysis.contrasts import Runs, contrast_columns
from kdbench.analysis.frame import SuiteFrame, grid_choice
from kdbench.analysis.statistics import LEVEL, holm
from kdbench.method.source import sources_differ
from kdbench.report.columns import MARKS
from kdbench.report.text import flat, percent, points
from kdbench.results.record import Record


@dataclass(frozen=True)
class Comparison:
    """Two runs, row by row.

    Args:
        rows: a row for each pair, role and label that both have: ``accuracy_a``, ``accuracy_b``, and B against A as in
            :mod:`kdbench.analysis.contrasts`: ``delta`` with its interval, ``p_seeds``, ``p_images``, ``significant``; ``time_ratio``
            (B's training time over A's), ``note``.
        only_a: names of rows that only A has.
        only_b: names of rows that only B has.
        changes: sentences on data, code, libraries and machines that differ.
    """

    rows: pd.DataFrame
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    changes: tuple[str, ...]

    @property
    def regressions(self) -> pd.DataFrame:
        """Rows that lost accuracy, told apart by seeds or test images."""
        if self.rows.empty:
            return self.rows
        return self.rows[(self.rows["delta"] < 0) & (self.rows["significant"] != "")]


Key = tuple[str, str, str]
"""Pair, role, label."""


def compare_frames(a: SuiteFrame, b: SuiteFrame) -> Comparison:
    """Compare two runs of one suite. Rows match by pair, role and label, and are paired by seed; different data are not compared.

    A row of a run that holds several data sets is of the first of them.
    """
    parts_a, parts_b = _parts(a), _parts(b)
    both = [key for key in parts_a if key in parts_b]
    changes = _changes(a, b)
    same_data = [key for key in both if set(parts_a[key]["fingerprint"]) == set(parts_b[key]["fingerprint"])]
    if len(same_data) < len(both):
        changes.append(f"{len(both) - len(same_data)} rows are of different data and are not compared")
    found = [_row(a, b, parts_a[key], parts_b[key], key) for key in same_data]
    return Comparison(
        _corrected(pd.DataFrame(found)),
        tuple(_name(key) for key in parts_a if key not in parts_b),
        tuple(_name(key) for key in parts_b if key not in parts_a),
        tuple(changes),
    )


def comparison_text(comparison: Comparison, style: str = "simple") -> str:
    """The comparison for a terminal (``simple``) or for markdown (``github``)."""
    parts = []
    if not comparison.rows.empty:
        lines = [_line(row) for row in comparison.rows.to_dict("records")]
        headers = ["row", "A %", "B %", "B − A", "time", "note"]
        aligned = ["left", "right", "right", "right", "right", "left"]
        parts.append(tabulate(lines, headers=headers, tablefmt=style, colalign=aligned, disable_numparse=True))
        parts.append("† told apart by the test images, ‡ by the seeds, at the 5 % level with Holm's correction")
    parts += [
        f"only in {side}: {', '.join(names)}" for side, names in (("A", comparison.only_a), ("B", comparison.only_b)) if names
    ]
    parts += comparison.changes or ["data, code, libraries and machine are the same"]
    return "\n".join(parts)


def _parts(frame: SuiteFrame) -> dict[Key, pd.DataFrame]:
    rows = grid_choice(frame)
    first = rows.groupby(["pair", "role", "label"], sort=False)["fingerprint"].transform("first")
    groups = rows[rows["fingerprint"] == first].groupby(["pair", "role", "label"], sort=False)
    return {(str(p), str(r), str(n)): part.drop_duplicates("trial") for (p, r, n), part in groups}


def _row(a: SuiteFrame, b: SuiteFrame, part_a: pd.DataFrame, part_b: pd.DataFrame, key: Key) -> dict[str, object]:
    runs_a, runs_b = Runs.of(a, part_a), Runs.of(b, part_b)
    columns = contrast_columns({"b": runs_b}, runs_a)["b"]
    common = sorted(set(runs_a.accuracies) & set(runs_b.accuracies))
    seeds_a, seeds_b = (common, common) if common else (list(runs_a.accuracies), list(runs_b.accuracies))
    seconds_a, seconds_b = part_a["wall_seconds"].mean(), part_b["wall_seconds"].mean()
    return {
        **dict(zip(("pair", "role", "label"), key, strict=True)),
        "accuracy_a": _mean([runs_a.accuracies[s] for s in seeds_a]),
        "accuracy_b": _mean([runs_b.accuracies[s] for s in seeds_b]),
        **columns,
        "time_ratio": seconds_b / seconds_a if seconds_a > 0 else float("nan"),
        "note": _note(a, b, part_a, part_b, len(common)),
    }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def _corrected(rows: pd.DataFrame) -> pd.DataFrame:
    """Correct the p values for the number of rows, and say anew what is told apart."""
    if rows.empty:
        return rows
    p_seeds, p_images = holm(rows["p_seeds"].tolist()), holm(rows["p_images"].tolist())
    told = ["seeds" if s < 1 - LEVEL else "images" if i < 1 - LEVEL else "" for s, i in zip(p_seeds, p_images, strict=True)]
    return rows.assign(p_seeds=p_seeds, p_images=p_images, significant=told)


def _note(a: SuiteFrame, b: SuiteFrame, part_a: pd.DataFrame, part_b: pd.DataFrame, paired: int) -> str:
    notes = []
    records_a = [a.records[t] for t in part_a["trial"] if t in a.records]
    records_b = [b.records[t] for t in part_b["trial"] if t in b.records]
    for name, records in (("A", records_a), ("B", records_b)):
        if failed := sum(r.status == "failed" for r in records):
            notes.append(f"{failed} failed in {name}")
    most = max(part_a["seed"].nunique(), part_b["seed"].nunique())
    if paired < most:
        notes.append(f"{paired or 'no'} of {most} seeds in common")
    if sources_differ(*({r.provenance.method_digest for r in records} for records in (records_a, records_b))):
        notes.append("the method's source changed")
    trials_a, trials_b = (dict(zip(p["seed"], p["trial"], strict=True)) for p in (part_a, part_b))
    if any(trials_b.get(seed, trial) != trial for seed, trial in trials_a.items()):
        notes.append("other trials (recipe, parameters or teachers)")
    return "; ".join(notes)


def _changes(a: SuiteFrame, b: SuiteFrame) -> list[str]:
    looks: dict[str, Callable[[Record], str]] = {
        "data": lambda r: f"{r.data.get('name')} {r.data.get('fingerprint')}",
        "kdbench": lambda r: f"{r.provenance.kdbench} {r.provenance.commit}".strip(),
        "processor": lambda r: r.provenance.machine.get("processor", "unknown"),
        "device": lambda r: r.provenance.device,
        "threads": lambda r: str(r.provenance.threads),
    }
    for library in sorted({name for f in (a, b) for r in f.records.values() for name in r.provenance.libraries}):
        looks[library] = lambda r, name=library: r.provenance.libraries.get(name, "absent")  # type: ignore[misc]
    found = []
    for name, look in looks.items():
        in_a, in_b = ({flat(look(r)) for r in frame.records.values()} for frame in (a, b))
        if in_a and in_b and in_a != in_b:
            found.append(f"{name}: {', '.join(sorted(in_a))} → {', '.join(sorted(in_b))}")
    return found


def _name(key: Key) -> str:
    pair, role, label = key
    return f"{flat(label)}{'' if role == 'student' else f' ({role})'} · {flat(pair)}"


def _line(row: Mapping[Any, Any]) -> list[str]:
    ratio = row["time_ratio"]
    name = _name((row["pair"], row["role"], row["label"]))
    time = "–" if math.isnan(ratio) else f"{ratio:.2f}×"
    return [name, percent(row["accuracy_a"]), percent(row["accuracy_b"]), _delta(row), time, row["note"]]


def _delta(row: Mapping[Any, Any]) -> str:
    if math.isnan(row["delta"]):
        return "–"
    interval = "" if math.isnan(row["delta_low"]) else f" [{points(row['delta_low'])}, {points(row['delta_high'])}]"
    return points(row["delta"]) + interval + MARKS[row["significant"]]
