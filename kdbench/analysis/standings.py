"""The leaderboard in raw numbers, computed from records alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from kdbench.analysis.contrasts import Key, Rows, rows_of_pair, trained_networks
from kdbench.analysis.frame import PROFILE, SuiteFrame, cost_columns
from kdbench.analysis.model import first_probabilities, rank_sets
from kdbench.analysis.power import power_columns
from kdbench.analysis.speeds import speed
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
from kdbench.errors import KdbenchError
from kdbench.plan.trial import TaskInfo
from kdbench.results.evidence import SCORES
from kdbench.results.teachers import weak_teachers

BASELINE = "supervised"
CLASSIC = "kd"
"""The classic method that newer ones are compared with."""
COUNTS = ("parameters", "macs", "method_parameters", "place", "place_last")
HELPERS = ("teacher", "assistant", "generation")
OWN = ("pair", "label", "method", "family", "role", "seed", "trial", "teachers", "point", "fingerprint", "status", "error")
LEAST_RANKED = 2
NAN = float("nan")


def standings(frame: SuiteFrame, chosen: pd.DataFrame, latency: str | None = None) -> pd.DataFrame:
    """Return a row for each pair and method, best first, after those of its helpers.

    Helpers are the teachers, assistants and earlier generations. The task's metrics are means over
    seeds; the primary one (``test_accuracy``) comes with ``test_accuracy_sd`` (n − 1) and a 95 %
    interval of the kind that ``interval`` names.

    All comparisons are of one model (:mod:`kdbench.analysis.model`), and empty where a single seed says
    nothing about chance: ``place`` to ``place_last`` are the places that the data allow,
    ``first_probability`` is how often the row comes first if seeds and test samples are drawn again.
    ``delta`` is the difference to ``supervised`` over the ``delta_seeds`` seeds that both finished, with
    the simultaneous interval ``delta_low`` to ``delta_high``, ``p_value`` (corrected) and
    ``significant``; ``delta_single_low`` and ``delta_single_high`` are of one comparison by itself.
    ``detectable`` is the smallest true difference that would probably have been found, ``seeds_half``
    and ``seeds_one`` the seeds needed for 0.5 and 1 points. ``delta_images_low`` and
    ``delta_images_high`` (named after the task's units) are of these trained networks, not of methods.
    ``delta_kd`` is the difference to ``kd``, likewise. ``gap_closed`` is the share of the first
    teacher's lead over ``supervised`` that the row closes, with a simultaneous interval; it is empty if
    the lead is not significant. ``compression`` is the first
    teacher's parameters over the row's, ``speedup`` the first teacher's latency over the row's;
    ``wall_seconds`` and ``method_parameters`` are as in :class:`kdbench.results.record.Costs`,
    ``step_ratio`` is the time of the row's own training steps over that of ``supervised``;
    ``size_mb`` is in MB of 10^6 bytes; ``efficiency`` is the primary metric (a share in percent)
    over (MB × ms), where higher is better. ``trials`` are the ids of the records behind the row,
    ``fault`` says that a teacher is near chance, or worse than the student trained alone.
    Trials of different data (by fingerprint) never share a row, and are never compared.

    Args:
        frame: the records.
        chosen: its rows without grid points that were not chosen
            (:func:`kdbench.analysis.choice.chosen_rows`).
        latency: name of the setting of ``latency_ms`` and what follows from it.

    Raises:
        KdbenchError: there are no rows, because all trials so far are draws of tuning.
    """
    if chosen.empty:
        raise KdbenchError(
            "there is nothing to compare yet: tuning has only begun, and has chosen no values (kdbench run goes on)"
        )
    found: list[dict[str, Any]] = []
    for _, group in chosen.groupby(["pair", "fingerprint"], sort=False):
        baseline = _baseline(frame, group)
        parts = {
            (str(role), str(label)): part.drop_duplicates("trial")
            for role in (*HELPERS, "student")
            for label, part in group[group["role"] == role].groupby("label", sort=False)
        }
        compared = _comparisons(frame, parts, baseline_label(frame, group))
        teachers = group[group["role"] == "teacher"]
        lines = [_line(frame, part, baseline, teachers, latency) | compared.get(key, {}) for key, part in parts.items()]
        found += sorted(lines, key=lambda line: _order(line, frame.task))
    table = pd.DataFrame(found).reindex(columns=_columns(found, frame.task))
    counts = {name: table[name].astype(float).round() for name in COUNTS}  # means of trials that may differ in them
    weak = {(w.pair, w.fingerprint, w.role, w.label): w.fault for w in weak_teachers(frame.plan, frame.records)}
    rows = zip(*(table[name] for name in ("pair", "fingerprint", "role", "label")), strict=True)
    table["fault"] = [weak.get(row, "") for row in rows]
    return table.assign(significant=table["significant"].eq(True), **counts).astype(dict.fromkeys(COUNTS, "Int64"))


def comparison_columns(task: TaskInfo) -> tuple[str, ...]:
    """Return the columns that compare a row with others.

    Columns of trained networks are included only if units can be compared.
    """
    name = units(task)
    networks = (f"delta_{name}_low", f"delta_{name}_high") if counts_correct(task) else ()
    return (
        *("place", "place_last", "first_probability"),
        *("delta", "delta_low", "delta_high", "delta_seeds", "delta_single_low", "delta_single_high"),
        *("effect_size", "p_value", "significant", "detectable", "seeds_half", "seeds_one", *networks),
        *("delta_kd", "delta_kd_low", "delta_kd_high", "delta_kd_seeds"),
        *("gap_closed", "gap_closed_low", "gap_closed_high"),
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
    frame: SuiteFrame, parts: Mapping[tuple[str, str], pd.DataFrame], alone: str | None
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the comparisons of the student's own network, by role and label."""
    first = next(iter(parts.values()))
    rows = rows_of_pair(frame, *(str(first[name].iloc[0]) for name in ("pair", "fingerprint")))
    at = {key: (*key, str(part["point"].iloc[0])) for key, part in parts.items()}
    keys = {own: key for key, own in at.items() if key[0] in ("student", "generation")}
    found: dict[tuple[str, str], dict[str, Any]] = {key: {} for key in keys.values()}
    nobody = ("", "", "")
    teacher = next((own for key, own in at.items() if key[0] == "teacher"), nobody)
    baseline, classic = (at.get(("student", str(label)), nobody) for label in (alone, CLASSIC))
    if baseline in keys:
        lines = rows.against(baseline, [own for own in keys if own[1] != alone])
        power = power_columns(rows.model, list(lines.values()), is_percent(frame.task))
        for own, line in lines.items():
            key = keys[own]
            found[key] |= _difference(line) | power
            found[key] |= {
                "delta_single_low": line["single_low"],
                "delta_single_high": line["single_high"],
                "effect_size": line["effect_size"],
                "p_value": line["p_value"],
                "significant": bool(line["low"] > 0 or line["high"] < 0),
            }
            closed = rows.gap_closed(own, baseline, teacher, line)
            if direction(frame.task) * (_mean(rows, teacher) - _mean(rows, baseline)) > 0:
                found[key] |= dict(zip(("gap_closed", "gap_closed_low", "gap_closed_high"), closed, strict=True))
            if counts_correct(frame.task):
                ends = (f"delta_{units(frame.task)}_{end}" for end in ("low", "high"))
                found[key] |= dict(zip(ends, trained_networks(rows.runs[own], rows.runs[baseline]), strict=True))
    if classic in keys:
        for own, line in rows.against(classic, [own for own in keys if own[1] != CLASSIC]).items():
            found[keys[own]] |= _difference(line, "_kd")
    for own, place in _places(rows, [own for own in keys if own[0] == "student"], direction(frame.task)).items():
        found[keys[own]] |= place
    return found


def _mean(rows: Rows[Key], key: Key) -> float:
    return rows.runs[key].mean if key in rows.runs else NAN


def _difference(line: Mapping[str, float], prefix: str = "") -> dict[str, float]:
    return {
        f"delta{prefix}": line["delta"],
        f"delta{prefix}_low": line["low"],
        f"delta{prefix}_high": line["high"],
        f"delta{prefix}_seeds": line["seeds"],
    }


def _places(rows: Rows[Key], keys: list[Key], sign: int) -> dict[Key, dict[str, Any]]:
    """Return the places of rows with two seeds or more."""
    if rows.model is None:
        return {}
    ranked = [key for key in keys if len(rows.runs[key].values) > 1]
    if len(ranked) < LEAST_RANKED:
        return {}
    at = np.array([rows.index[key] for key in ranked])
    columns = zip(*rank_sets(rows.model, at, sign), first_probabilities(rows.model, at, sign), strict=True)
    return {
        key: {"place": int(best), "place_last": int(worst), "first_probability": float(share)}
        for key, (best, worst, share) in zip(ranked, columns, strict=True)
    }


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


def _line(
    frame: SuiteFrame, group: pd.DataFrame, baseline: pd.DataFrame, teachers: pd.DataFrame, latency: str | None
) -> dict[str, Any]:
    first, task = group.iloc[0], frame.task
    finished = group[group["status"] == "finished"]
    means = finished.select_dtypes("number").mean()
    parameters, big = means["parameters"], teachers["parameters"].dropna()
    profile, reference = _profile(frame, finished), _profile(frame, teachers) if first["role"] != "teacher" else ""
    speeds = speed(frame, profile, reference, _test_samples(frame, finished), latency)
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
        **{name: means[name] for name in PROFILE},
        "uncounted": next(iter(finished["uncounted"]), ""),
        "compression": big.iloc[0] / parameters if first["role"] != "teacher" and len(big) and parameters else NAN,
        **speeds,
        "efficiency": _efficiency(task, means, speeds["latency_ms"]),
        "wall_seconds": means["wall_seconds"],
        "step_ratio": _step_ratio(finished, baseline) if first["role"] == "student" else NAN,
        "method_parameters": means["method_parameters"],
        "error": "; ".join(dict.fromkeys(e for e in group["error"] if e)),
        "trials": " ".join(group["trial"]),
        "profile": profile,
    }
    taken = {*own, *comparison_columns(task)}  # a plugin's metric may have any name, even "place"
    return own | {f"metric_{name}" if name in taken else name: value for name, value in others.items()}


def plugin_columns(frame: SuiteFrame) -> list[str]:
    """Return the columns of metrics that are neither the task's nor kdbench's own.

    A metric whose name is that of another column is called ``metric_NAME``.
    """
    return [name for other in _others(frame) if other not in SCORES for name in (other, f"metric_{other}")]


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


def _step_ratio(finished: pd.DataFrame, baseline: pd.DataFrame) -> float:
    both = finished.merge(baseline, on="seed", suffixes=("", "_alone")).mean(numeric_only=True)
    alone = float(both["train_seconds_alone"])
    return float(both["train_seconds"]) / alone if alone > 0 else NAN
