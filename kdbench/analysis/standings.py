"""The leaderboard in raw numbers, computed from records alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from kdbench.analysis.contrasts import Runs, contrast, difference_columns, shared_places, significance_columns
from kdbench.analysis.frame import PROFILE, SuiteFrame, cost_columns
from kdbench.analysis.speeds import speed, whole_set
from kdbench.analysis.statistics import estimate, wilson
from kdbench.analysis.task import (
    counts_correct,
    direction,
    is_percent,
    metric_column,
    metric_columns,
    teacher_column,
    units,
)
from kdbench.plan.trial import TaskInfo

BASELINE = "supervised"
CLASSIC = "kd"
"""The classic method that newer ones are compared with."""
COUNTS = ("parameters", "macs", "method_parameters", "place")
HELPERS = ("teacher", "assistant", "generation")
OWN = ("pair", "label", "method", "family", "role", "seed", "trial", "teachers", "point", "fingerprint", "status", "error")
NAN = float("nan")


def standings(frame: SuiteFrame, chosen: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each pair and method, best first, after those of its helpers.

    Helpers are the teachers, assistants and earlier generations. The task's metrics are means over
    seeds; the primary one (``test_accuracy``) comes with ``test_accuracy_sd`` (n − 1) and a 95 %
    interval of the kind that ``interval`` names. ``place`` is shared by rows that do not differ
    significantly. ``delta`` is the difference to ``supervised``, paired by the ``delta_seeds``
    seeds that finished with both, ``delta_kd`` that to ``kd``; ``p_seeds`` and ``p_images`` (of the
    task's units), with ``significant`` (seeds, images or nothing), are as in
    :mod:`kdbench.analysis.contrasts`. ``gap_closed`` is the share of the difference between
    ``supervised`` and the row's teachers that the row closes. ``compression`` is the first
    teacher's parameters over the row's, ``speedup`` the first teacher's latency over the row's;
    ``wall_seconds`` and ``method_parameters`` are as in :class:`kdbench.results.record.Costs`,
    ``step_ratio`` is the time of the row's own training steps over that of ``supervised``;
    ``size_mb`` is in MB of 10^6 bytes; ``efficiency`` is the primary metric (a share in percent)
    over (MB × ms), where higher is better. ``trials`` are the ids of the records behind the row.
    Trials of different data (by fingerprint) never share a row, and are never compared.

    Args:
        frame: the records.
        chosen: its rows without grid points that were not chosen
            (:func:`kdbench.analysis.choice.chosen_rows`).
    """
    found: list[dict[str, Any]] = []
    for _, group in chosen.groupby(["pair", "fingerprint"], sort=False):
        baseline = _baseline(frame, group)
        parts = {
            (str(role), str(label)): part.drop_duplicates("trial")
            for role in (*HELPERS, "student")
            for label, part in group[group["role"] == role].groupby("label", sort=False)
        }
        compared = _comparisons(frame, parts, baseline)
        teachers = group[group["role"] == "teacher"]
        lines = [_line(frame, part, baseline, teachers) | compared.get(key, {}) for key, part in parts.items()]
        found += sorted(lines, key=lambda line: _order(line, frame.task))
    table = pd.DataFrame(found).reindex(columns=_columns(found, frame.task))
    counts = {name: table[name].astype(float).round() for name in COUNTS}  # means of trials that may differ in them
    return table.fillna({"significant": ""}).assign(**counts).astype(dict.fromkeys(COUNTS, "Int64"))


def comparison_columns(task: TaskInfo) -> tuple[str, ...]:
    """Return the columns that compare a row with others.

    Columns of tests over units are included only if units can be compared.
    """
    name = units(task)
    tests = (f"delta_{name}_low", f"delta_{name}_high", f"p_{name}") if counts_correct(task) else ()
    return (
        *("place", "delta", "delta_low", "delta_high", "delta_seeds", "effect_size", "p_seeds", *tests, "significant"),
        *("delta_kd", "delta_kd_low", "delta_kd_high", "delta_kd_seeds"),
    )


def _order(line: dict[str, Any], task: TaskInfo) -> tuple[int, float]:
    """Return a sort key: helpers, then students, best first, without a number last."""
    if line["role"] != "student":
        return 0, 0.0
    value = line[metric_column(task)]
    return (2, 0.0) if pd.isna(value) else (1, -direction(task) * value)


def _columns(lines: list[dict[str, Any]], task: TaskInfo) -> list[str]:
    """Return all columns, with comparisons beside the primary metric, even if empty."""
    comparisons = comparison_columns(task)
    names = list(dict.fromkeys(name for line in lines for name in line if name not in comparisons))
    at = names.index("interval") + 1
    return [*names[:at], *comparisons, *names[at:]]


def _comparisons(
    frame: SuiteFrame, parts: Mapping[tuple[str, str], pd.DataFrame], baseline: pd.DataFrame
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the comparisons of the student's own network, by role and label."""
    runs = {key: Runs.of(frame, part) for key, part in parts.items() if key[0] in ("student", "generation")}
    students = [key for key in runs if key[0] == "student"]
    alone, others = set(baseline["label"]), Runs.of(frame, baseline)
    classic = runs.get(("student", CLASSIC), Runs({}, {}))
    to_baseline = {key: contrast(own, others) for key, own in runs.items() if key[1] not in alone}
    to_classic = {key: contrast(own, classic) for key, own in runs.items() if key[1] != CLASSIC}
    found: dict[tuple[str, str], dict[str, Any]] = {key: {} for key in runs}
    for columns in (
        difference_columns(to_baseline),
        significance_columns(to_baseline, units(frame.task) if counts_correct(frame.task) else ""),
        difference_columns(to_classic, "_kd"),
    ):
        for key, values in columns.items():
            found[key] |= values
    for key, place in zip(students, shared_places([runs[key] for key in students], direction(frame.task)), strict=True):
        found[key]["place"] = place or None
    return found


def baseline_label(frame: SuiteFrame, group: pd.DataFrame) -> str | None:
    """Return the label of the student trained alone among rows of a frame.

    If several entries train it alone, it is the one without options.
    """
    alone = group[(group["role"] == "student") & (group["method"] == BASELINE)]
    plain = [e for e, t in zip(alone["label"], alone["trial"], strict=True) if not any(frame.plan.trials[t].params.values())]
    return next(iter([*(e for e in alone["label"] if e == BASELINE), *plain, *alone["label"]]), None)


def _baseline(frame: SuiteFrame, group: pd.DataFrame) -> pd.DataFrame:
    """Return the finished rows of the student trained alone."""
    label = baseline_label(frame, group)
    return group[(group["role"] == "student") & (group["label"] == label) & (group["status"] == "finished")]


def _line(frame: SuiteFrame, group: pd.DataFrame, baseline: pd.DataFrame, teachers: pd.DataFrame) -> dict[str, Any]:
    first, task = group.iloc[0], frame.task
    finished = group[group["status"] == "finished"]
    means = finished.select_dtypes("number").mean()
    parameters, big = means["parameters"], teachers["parameters"].dropna()
    speeds = speed(frame, _profile(frame, finished), _profile(frame, teachers) if first["role"] != "teacher" else "")
    others = {name: means[name] for name in _others(frame) if name in means}
    primary = _primary(frame, finished)
    own = {
        **{name: first[name] for name in ("pair", "fingerprint", "label", "method", "family", "role", "point")},
        "seeds": len(group),
        "finished": len(finished),
        "failed": int(group["status"].isin(["failed", "damaged"]).sum()),
        "missing": int((group["status"] == "missing").sum()),
        **primary,
        **{name: means[name] for name in metric_columns(task) if name not in primary},
        teacher_column(task): means[teacher_column(task)],
        "gap_closed": _gap_closed(task, finished, baseline),
        **{name: means[name] for name in PROFILE},
        "uncounted": next(iter(finished["uncounted"]), ""),
        "compression": big.iloc[0] / parameters if first["role"] != "teacher" and len(big) and parameters else NAN,
        **speeds,
        **whole_set(frame, _profile(frame, finished), _test_samples(frame, finished)),
        "efficiency": _efficiency(task, means, speeds["latency_ms"]),
        "wall_seconds": means["wall_seconds"],
        "step_ratio": _step_ratio(finished, baseline) if first["role"] == "student" else NAN,
        "method_parameters": means["method_parameters"],
        "error": "; ".join(dict.fromkeys(e for e in group["error"] if e)),
        "trials": " ".join(group["trial"]),
    }
    taken = {*own, *comparison_columns(task)}  # a plugin's metric may have any name, even "place"
    return own | {f"metric_{name}" if name in taken else name: value for name, value in others.items()}


def _others(frame: SuiteFrame) -> list[str]:
    """Return the names of metrics other than the task's."""
    task = frame.task
    known = {*OWN, *metric_columns(task), *PROFILE, *cost_columns(task), "uncounted", teacher_column(task)}
    return [name for name in frame.rows.columns if name not in known]


def _primary(frame: SuiteFrame, finished: pd.DataFrame) -> dict[str, Any]:
    """Return mean, deviation and interval of the primary metric on the test set."""
    column = metric_column(frame.task)
    found = estimate(finished[column].tolist())
    low, high, kind = found.low, found.high, "t (seeds)" if found.count else ""
    if found.count == 1:
        samples = _test_units(frame, finished)
        low, high = wilson(found.mean, samples)
        kind = "wilson (test samples)" if samples else ""
    return {
        column: found.mean,
        f"{column}_sd": found.deviation,
        f"{column}_low": low,
        f"{column}_high": high,
        "interval": kind,
    }


def _efficiency(task: TaskInfo, means: pd.Series, latency: float) -> float:
    if direction(task) < 0:  # for a metric where less is better, the ratio to a cost is meaningless
        return NAN
    scale = 100 if is_percent(task) else 1
    return float(scale * means[metric_column(task)] / (means["size_mb"] * latency))


def _profile(frame: SuiteFrame, rows: pd.DataFrame) -> str:
    """Return the id of the first finished trial's profile."""
    return next((frame.records[t].profile for t in rows["trial"] if t in frame.records and frame.records[t].profile), "")


def _test_samples(frame: SuiteFrame, finished: pd.DataFrame) -> int:
    return int(frame.records[finished["trial"].iloc[0]].data.get("test", 0)) if len(finished) else 0


def _test_units(frame: SuiteFrame, finished: pd.DataFrame) -> int:
    """Return the number of units behind an accuracy; 0 for another metric."""
    if not counts_correct(frame.task):
        return 0
    right = frame.evidence.correct(finished["trial"].iloc[0], finished["fingerprint"].iloc[0])
    return _test_samples(frame, finished) if right is None else len(right)


def _gap_closed(task: TaskInfo, finished: pd.DataFrame, baseline: pd.DataFrame) -> float:
    """Return the share of the gap to better teachers that is closed (common seeds)."""
    both = finished.merge(baseline, on="seed", suffixes=("", "_alone")).mean(numeric_only=True)
    alone = float(both[f"{metric_column(task)}_alone"])
    gap = float(both[teacher_column(task)]) - alone
    return (float(both[metric_column(task)]) - alone) / gap if direction(task) * gap > 0 else NAN


def _step_ratio(finished: pd.DataFrame, baseline: pd.DataFrame) -> float:
    both = finished.merge(baseline, on="seed", suffixes=("", "_alone")).mean(numeric_only=True)
    alone = float(both["train_seconds_alone"])
    return float(both["train_seconds"]) / alone if alone > 0 else NAN
