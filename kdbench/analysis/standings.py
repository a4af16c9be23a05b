"""Who stands where: a row for each pair and method, in raw numbers, made from records alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pandas as pd

from kdbench.analysis.contrasts import Runs, contrast_columns, shared_places
from kdbench.analysis.frame import ACCURACIES, COSTS, PROFILE, SuiteFrame, grid_choice
from kdbench.analysis.speeds import speed, whole_set
from kdbench.analysis.statistics import estimate, wilson

BASELINE = "supervised"
CLASSIC = "kd"
"""The method that every newer one is measured against."""
COUNTS = ("parameters", "macs", "method_parameters", "place")
HELPERS = ("teacher", "assistant", "generation")
COMPARISONS = (
    "place",
    "delta",
    "delta_low",
    "delta_high",
    "delta_seeds",
    "effect_size",
    "p_seeds",
    "delta_images_low",
    "delta_images_high",
    "p_images",
    "significant",
    "delta_kd",
    "delta_kd_low",
    "delta_kd_high",
    "delta_kd_seeds",
)
OWN = ("pair", "label", "method", "family", "role", "seed", "trial", "teachers", "point", "fingerprint", "status", "error")


@lru_cache(maxsize=2)
def standings(frame: SuiteFrame) -> pd.DataFrame:
    """A row for each pair and method, best first, after rows for the teachers, assistants and generations that it took.

    Accuracies are shares in [0, 1]: means over seeds, with ``test_accuracy_sd`` (n − 1) and a 95 % interval of the kind that
    ``interval`` names. ``place`` is shared by what is not told apart. ``delta`` is the
    difference to ``supervised``, paired by the ``delta_seeds`` seeds that finished with both, ``delta_kd`` that to ``kd``;
    ``p_seeds`` and ``p_images``, with ``significant`` (seeds, images or nothing), are as in :mod:`kdbench.analysis.contrasts`.
    ``gap_closed`` is the share of the difference between ``supervised`` and the row's teachers that the row closes.
    ``compression`` is the first teacher's parameters over the row's, ``speedup`` the first teacher's latency over the row's;
    ``wall_seconds`` and ``method_parameters`` are as in :class:`kdbench.results.record.Costs`, ``step_ratio`` is the time of the
    row's own training steps over that of ``supervised``; ``size_mb`` is in MB of 10^6 bytes; ``efficiency`` is accuracy in
    percent over (MB × ms). ``trials`` are the ids of the records behind the row. Trials of different data (by fingerprint)
    never share a row, and are never compared.
    """
    found: list[dict[str, Any]] = []
    for _, group in grid_choice(frame).groupby(["pair", "fingerprint"], sort=False):
        baseline = _baseline(frame, group)
        parts = {
            (str(role), str(label)): part.drop_duplicates("trial")
            for role in (*HELPERS, "student")
            for label, part in group[group["role"] == role].groupby("label", sort=False)
        }
        compared = _comparisons(frame, parts, baseline)
        teachers = group[group["role"] == "teacher"]
        lines = [_line(frame, part, baseline, teachers) | compared.get(key, {}) for key, part in parts.items()]
        found += sorted(lines, key=_order)
    table = pd.DataFrame(found).reindex(columns=_columns(found))
    counts = {name: table[name].astype(float).round() for name in COUNTS}  # means of trials that may differ in them
    return table.fillna({"significant": ""}).assign(**counts).astype(dict.fromkeys(COUNTS, "Int64"))


def _order(line: dict[str, Any]) -> float:
    """Helpers first, as they come; then students, best first, those without a number last."""
    if line["role"] != "student":
        return -2.0
    return -line["test_accuracy"] if line["finished"] else 1.0


def _columns(lines: list[dict[str, Any]]) -> list[str]:
    """All columns, comparisons beside the accuracy whether or not there are any."""
    names = list(dict.fromkeys(name for line in lines for name in line if name not in COMPARISONS))
    at = names.index("interval") + 1
    return [*names[:at], *COMPARISONS, *names[at:]]


def _comparisons(
    frame: SuiteFrame, parts: Mapping[tuple[str, str], pd.DataFrame], baseline: pd.DataFrame
) -> dict[tuple[str, str], dict[str, Any]]:
    """Comparisons of the student's own network, by role and label."""
    runs = {key: Runs.of(frame, part) for key, part in parts.items() if key[0] in ("student", "generation")}
    students = [key for key in runs if key[0] == "student"]
    found: dict[tuple[str, str], dict[str, Any]] = {key: {} for key in runs}
    alone = set(baseline["label"])
    for prefix, labels, other in (
        ("", alone, Runs.of(frame, baseline)),
        ("_kd", {CLASSIC}, runs.get(("student", CLASSIC), Runs({}, {}))),
    ):
        against = {key: r for key, r in runs.items() if key[1] not in labels}
        for key, columns in contrast_columns(against, other, prefix=prefix, images=not prefix).items():
            found[key] |= columns
    for key, place in zip(students, shared_places([runs[key] for key in students]), strict=True):
        found[key]["place"] = place or None
    return found


def baseline_label(frame: SuiteFrame, group: pd.DataFrame) -> str | None:
    """Label of the student trained alone among rows of a frame; where several entries do that, of the one without options."""
    alone = group[(group["role"] == "student") & (group["method"] == BASELINE)]
    plain = [e for e, t in zip(alone["label"], alone["trial"], strict=True) if not any(frame.plan.trials[t].params.values())]
    return next(iter([*(e for e in alone["label"] if e == BASELINE), *plain, *alone["label"]]), None)


def _baseline(frame: SuiteFrame, group: pd.DataFrame) -> pd.DataFrame:
    """Finished rows of the student trained alone."""
    label = baseline_label(frame, group)
    return group[(group["role"] == "student") & (group["label"] == label) & (group["status"] == "finished")]


def _line(frame: SuiteFrame, group: pd.DataFrame, baseline: pd.DataFrame, teachers: pd.DataFrame) -> dict[str, Any]:
    first = group.iloc[0]
    finished = group[group["status"] == "finished"]
    means = finished.select_dtypes("number").mean()
    parameters, big = means["parameters"], teachers["parameters"].dropna()
    speeds = speed(frame, _profile(frame, finished), _profile(frame, teachers) if first["role"] != "teacher" else "")
    others = {name: means[name] for name in _others(frame.rows) if name in means}
    own = {
        **{name: first[name] for name in ("pair", "fingerprint", "label", "method", "family", "role", "point")},
        "seeds": len(group),
        "finished": len(finished),
        "failed": int((group["status"] == "failed").sum()),
        "missing": int((group["status"] == "missing").sum()),
        **_accuracy(frame, finished),
        "train_accuracy": means["train_accuracy"],
        "validation_accuracy": means["validation_accuracy"],
        "teacher_accuracy": means["teacher_accuracy"],
        "gap_closed": _gap_closed(finished, baseline),
        **{name: means[name] for name in PROFILE},
        "uncounted": next(iter(finished["uncounted"]), ""),
        "compression": big.iloc[0] / parameters if first["role"] != "teacher" and len(big) and parameters else float("nan"),
        **speeds,
        **whole_set(frame, _profile(frame, finished), _test_samples(frame, finished)),
        "efficiency": 100 * means["test_accuracy"] / (means["size_mb"] * speeds["latency_ms"]),
        "wall_seconds": means["wall_seconds"],
        "step_ratio": _step_ratio(finished, baseline) if first["role"] == "student" else float("nan"),
        "method_parameters": means["method_parameters"],
        "error": "; ".join(dict.fromkeys(e for e in group["error"] if e)),
        "trials": " ".join(group["trial"]),
    }
    taken = {*own, *COMPARISONS}  # a plugin's metric may be called anything, "place" too
    return own | {f"metric_{name}" if name in taken else name: value for name, value in others.items()}


def _others(rows: pd.DataFrame) -> list[str]:
    """Metrics beside accuracy."""
    known = {*OWN, *ACCURACIES, *PROFILE, *COSTS, "uncounted", "teacher_accuracy"}
    return [name for name in rows.columns if name not in known]


def _accuracy(frame: SuiteFrame, finished: pd.DataFrame) -> dict[str, Any]:
    accuracy = estimate(finished["test_accuracy"].tolist())
    low, high, kind = accuracy.low, accuracy.high, "t (seeds)" if accuracy.count else ""
    if accuracy.count == 1:
        samples = _test_samples(frame, finished)
        low, high = wilson(accuracy.mean, samples)
        kind = "wilson (test samples)" if samples else ""
    return {
        "test_accuracy": accuracy.mean,
        "test_accuracy_sd": accuracy.deviation,
        "test_accuracy_low": low,
        "test_accuracy_high": high,
        "interval": kind,
    }


def _profile(frame: SuiteFrame, rows: pd.DataFrame) -> str:
    """Id of the profile of the first finished trial."""
    return next((frame.records[t].profile for t in rows["trial"] if t in frame.records and frame.records[t].profile), "")


def _test_samples(frame: SuiteFrame, finished: pd.DataFrame) -> int:
    return int(frame.records[finished["trial"].iloc[0]].data.get("test", 0)) if len(finished) else 0


def _gap_closed(finished: pd.DataFrame, baseline: pd.DataFrame) -> float:
    """Of the difference between the student alone and the teachers, where these are better; over the seeds that both have."""
    both = finished.merge(baseline, on="seed", suffixes=("", "_alone")).mean(numeric_only=True)
    alone = float(both["test_accuracy_alone"])
    gap = float(both["teacher_accuracy"]) - alone
    return (float(both["test_accuracy"]) - alone) / gap if gap > 0 else float("nan")


def _step_ratio(finished: pd.DataFrame, baseline: pd.DataFrame) -> float:
    both = finished.merge(baseline, on="seed", suffixes=("", "_alone")).mean(numeric_only=True)
    alone = float(both["train_seconds_alone"])
    return float(both["train_seconds"]) / alone if alone > 0 else float("nan")
