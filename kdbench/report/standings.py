"""Who stands where: a row for each pair and method, in raw numbers, made from records alone."""

from __future__ import annotations

from typing import Any

import pandas as pd

from kdbench.report.statistics import estimate, paired_difference, wilson
from kdbench.results.frame import ACCURACIES, COSTS, PROFILE, SuiteFrame, grid_choice

BASELINE = "supervised"
COUNTS = ("parameters", "macs", "method_parameters")
HELPERS = ("teacher", "assistant", "generation")
OWN = ("pair", "label", "method", "family", "role", "seed", "trial", "teachers", "point", "fingerprint", "status", "error")


def standings(frame: SuiteFrame) -> pd.DataFrame:
    """A row for each pair and method, best first, after rows for the teachers, assistants and generations that it took.

    Accuracies are shares in [0, 1]: means over seeds, with ``test_accuracy_sd`` (n − 1) and a 95 % interval of the kind that
    ``interval`` names. ``delta`` is the difference to ``supervised``, paired by the ``delta_seeds`` seeds that finished with
    both. ``compression`` is the first teacher's parameters over the row's; ``wall_seconds`` and ``method_parameters`` are as in
    :class:`kdbench.results.record.Costs`, ``size_mb`` is in MB of 10^6 bytes. ``trials`` are the ids of the records behind
    the row. Trials of different data (by fingerprint) never share a row, and are never compared.
    """
    found: list[dict[str, Any]] = []
    for _, group in grid_choice(frame).groupby(["pair", "fingerprint"], sort=False):
        baseline = _baseline(frame, group)
        teachers = group[group["role"] == "teacher"]
        lines = {
            role: [
                _line(frame, part.drop_duplicates("trial"), baseline, teachers)
                for _, part in group[group["role"] == role].groupby("label", sort=False)
            ]
            for role in (*HELPERS, "student")
        }
        lines["student"].sort(key=lambda line: -line["test_accuracy"] if line["finished"] else float("inf"))
        found += [line for part in lines.values() for line in part]
    table = pd.DataFrame(found)
    return table.astype(dict.fromkeys(COUNTS, "Int64"))


def _baseline(frame: SuiteFrame, group: pd.DataFrame) -> pd.DataFrame:
    """Finished rows of the student trained alone; where several entries do that, of the one without options."""
    alone = group[(group["role"] == "student") & (group["method"] == BASELINE)]
    plain = [e for e, t in zip(alone["label"], alone["trial"], strict=True) if not any(frame.plan.trials[t].params.values())]
    label = next(iter([*(e for e in alone["label"] if e == BASELINE), *plain, *alone["label"]]), None)
    return alone[(alone["label"] == label) & (alone["status"] == "finished")]


def _line(frame: SuiteFrame, group: pd.DataFrame, baseline: pd.DataFrame, teachers: pd.DataFrame) -> dict[str, Any]:
    first = group.iloc[0]
    finished = group[group["status"] == "finished"]
    means = finished.select_dtypes("number").mean()
    parameters, big = means["parameters"], teachers["parameters"].dropna()
    return {
        **{name: first[name] for name in ("pair", "fingerprint", "label", "method", "family", "role", "point")},
        "seeds": len(group),
        "finished": len(finished),
        "failed": int((group["status"] == "failed").sum()),
        "missing": int((group["status"] == "missing").sum()),
        **_accuracy(frame, finished),
        "train_accuracy": means["train_accuracy"],
        "validation_accuracy": means["validation_accuracy"],
        **_delta(finished, baseline),
        "teacher_accuracy": means["teacher_accuracy"],
        **{name: means[name] for name in PROFILE},
        "uncounted": next(iter(finished["uncounted"]), ""),
        "compression": big.iloc[0] / parameters if first["role"] != "teacher" and len(big) and parameters else float("nan"),
        "wall_seconds": means["wall_seconds"],
        "method_parameters": means["method_parameters"],
        **{name: means[name] for name in _others(frame.rows) if name in means},
        "error": "; ".join(dict.fromkeys(e for e in group["error"] if e)),
        "trials": " ".join(group["trial"]),
    }


def _others(rows: pd.DataFrame) -> list[str]:
    """Metrics beside accuracy."""
    known = {*OWN, *ACCURACIES, *PROFILE, *COSTS, "uncounted", "teacher_accuracy"}
    return [name for name in rows.columns if name not in known]


def _accuracy(frame: SuiteFrame, finished: pd.DataFrame) -> dict[str, Any]:
    accuracy = estimate(finished["test_accuracy"].tolist())
    low, high, kind = accuracy.low, accuracy.high, "t (seeds)" if accuracy.count else ""
    if accuracy.count == 1:
        samples = int(frame.records[finished["trial"].iloc[0]].data.get("test", 0))
        low, high = wilson(accuracy.mean, samples)
        kind = "wilson (test samples)" if samples else ""
    return {
        "test_accuracy": accuracy.mean,
        "test_accuracy_sd": accuracy.deviation,
        "test_accuracy_low": low,
        "test_accuracy_high": high,
        "interval": kind,
    }


def _delta(finished: pd.DataFrame, baseline: pd.DataFrame) -> dict[str, Any]:
    """Difference to the student trained alone, paired by seed; only the student's own network is compared."""
    comparable = set(finished["role"]) <= {"student", "generation"} and set(finished["label"]) != set(baseline["label"])
    both = (finished if comparable else finished[:0]).merge(baseline, on="seed", suffixes=("", "_baseline"))
    difference = paired_difference(both["test_accuracy"].tolist(), both["test_accuracy_baseline"].tolist())
    return {
        "delta": difference.mean,
        "delta_low": difference.low,
        "delta_high": difference.high,
        "delta_seeds": difference.count,
    }
