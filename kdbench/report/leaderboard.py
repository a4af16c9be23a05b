"""The leaderboard: a table a pair, best first, made from records alone and always the same for the same records."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from tabulate import tabulate

from kdbench.report.provenance import provenance_lines
from kdbench.report.statistics import Estimate, estimate, paired_difference, wilson
from kdbench.results.frame import SuiteFrame, grid_choice

BASELINE = "supervised"
COLUMNS = {
    "name": "method",
    "family": "family",
    "accuracy": "test accuracy %",
    "delta": "Δ supervised (95 % interval)",
    "teacher_accuracy": "teacher %",
    "parameters": "parameters",
    "macs": "MACs",
    "size_mb": "size MB",
    "compression": "compression",
    "train_time": "train time",
    "note": "note",
}


def leaderboard(frame: SuiteFrame) -> pd.DataFrame:
    """A row for each pair and method (and for each teacher), with raw numbers.

    Accuracies are shares in [0, 1]; ``size_mb`` is in MB of 10^6 bytes; ``compression`` is the first teacher's parameters
    over the student's; ``train_seconds`` is the mean over seeds of a trial's own steps and its share of what its cohort shared.
    """
    rows = frame.rows
    students = grid_choice(rows[rows["role"] == "student"])
    helpers = rows[rows["role"] != "student"]
    found: list[dict[str, Any]] = []
    for pair in dict.fromkeys(rows["pair"]):
        teachers = helpers[(helpers["pair"] == pair) & (helpers["role"] == "teacher")]
        mine = students[students["pair"] == pair]
        baseline = mine[(mine["method"] == BASELINE) & (mine["status"] == "finished")]
        own = [_line(frame, group, baseline, teachers) for _, group in mine.groupby("label", sort=False)]
        own.sort(key=lambda line: (line["finished"] == 0, -line["test_accuracy"] if line["finished"] else 0))
        for role in ("teacher", "assistant", "generation"):
            part = helpers[(helpers["pair"] == pair) & (helpers["role"] == role)].drop_duplicates(["label", "trial"])
            found += [_line(frame, group, baseline, teachers) for _, group in part.groupby("label", sort=False)]
        found += own
    return pd.DataFrame(found)


def leaderboard_tables(frame: SuiteFrame) -> str:
    """The tables in markdown, one a pair, without headings and provenance: what goes into a README."""
    table = leaderboard(frame)
    parts = []
    for pair, group in table.groupby("pair", sort=False):
        heading = f"**{escape(str(pair))}**\n\n" if table["pair"].nunique() > 1 else ""
        parts.append(heading + _format(group, "github"))
    return "\n\n".join(parts) + "\n"


def leaderboard_markdown(frame: SuiteFrame) -> str:
    """The whole page: tables, how to read them, grids, where the numbers come from."""
    plan = frame.plan
    parts = [f"# {escape(plan.title or plan.suite)}"]
    if plan.description:
        parts.append(plan.description.strip())
    parts += [leaderboard_tables(frame).strip(), _legend(frame), *_grids(frame), "## Provenance", *provenance_lines(frame)]
    return "\n\n".join(part for part in parts if part) + "\n"


def leaderboard_text(frame: SuiteFrame) -> str:
    """The tables for a terminal."""
    table = leaderboard(frame)
    parts = [f"{frame.plan.suite}: {pair}\n" + _format(group, "simple") for pair, group in table.groupby("pair", sort=False)]
    return "\n\n".join(parts)


def escape(text: str) -> str:
    """Text from plugins and suites, made harmless in a markdown table."""
    flat = " ".join(text.split())
    for sign in "\\`*_|<>[]":
        flat = flat.replace(sign, "\\" + sign)
    return flat


def _line(frame: SuiteFrame, group: pd.DataFrame, baseline: pd.DataFrame, teachers: pd.DataFrame) -> dict[str, Any]:
    first = group.iloc[0]
    finished = group[group["status"] == "finished"]
    accuracy = estimate(finished["test_accuracy"].tolist())
    line: dict[str, Any] = {
        "pair": first["pair"],
        "label": first["label"],
        "method": first["method"],
        "family": first["family"],
        "role": first["role"],
        "point": first["point"],
        "seeds": len(group),
        "finished": len(finished),
        "test_accuracy": accuracy.mean,
        "test_accuracy_sd": accuracy.deviation,
        **_interval(frame, finished, accuracy),
        "validation_accuracy": finished["validation_accuracy"].mean(),
        **_delta(finished, baseline, str(first["role"])),
        "teacher_accuracy": _teacher_accuracy(frame, finished),
    }
    for name in ("parameters", "macs", "size_mb"):
        line[name] = finished[name].iloc[0] if len(finished) and name in finished else float("nan")
    big = teachers["parameters"].iloc[0] if len(teachers) and "parameters" in teachers else float("nan")
    line["compression"] = big / line["parameters"] if line["role"] != "teacher" and line["parameters"] else float("nan")
    line["train_seconds"] = finished["wall_seconds"].mean() if "wall_seconds" in finished else float("nan")
    line["method_parameters"] = (
        finished["method_parameters"].iloc[0] if "method_parameters" in finished and len(finished) else 0
    )
    line["error"] = next((e for e in group["error"] if e), "")
    line["missing"] = int((group["status"] == "missing").sum())
    return line


def _interval(frame: SuiteFrame, finished: pd.DataFrame, accuracy: Estimate) -> dict[str, Any]:
    if accuracy.count == 1:
        record = frame.records[finished["trial"].iloc[0]]
        total = int(record.data.get("test", 0))
        if total:
            low, high = wilson(round(accuracy.mean * total), total)
            return {"test_accuracy_low": low, "test_accuracy_high": high, "interval": "wilson (test samples)"}
    return {"test_accuracy_low": accuracy.low, "test_accuracy_high": accuracy.high, "interval": "t (seeds)"}


def _delta(finished: pd.DataFrame, baseline: pd.DataFrame, role: str) -> dict[str, float]:
    """Difference to the student trained alone, paired by seed."""
    both = (
        finished.merge(baseline, on="seed", suffixes=("", "_baseline")) if role in ("student", "generation") else finished[:0]
    )
    if len(both) == 0 or finished["method"].iloc[0] == BASELINE:
        return {"delta": float("nan"), "delta_low": float("nan"), "delta_high": float("nan")}
    difference = paired_difference(both["test_accuracy"].tolist(), both["test_accuracy_baseline"].tolist())
    return {"delta": difference.mean, "delta_low": difference.low, "delta_high": difference.high}


def _teacher_accuracy(frame: SuiteFrame, finished: pd.DataFrame) -> float:
    """Mean accuracy of the teachers that taught these trials."""
    found = [
        frame.records[t].metrics["test_accuracy"]
        for teachers in finished["teachers"]
        for t in teachers
        if t in frame.records and "test_accuracy" in frame.records[t].metrics
    ]
    return sum(found) / len(found) if found else float("nan")


def _format(table: pd.DataFrame, style: str) -> str:
    clean = escape if style == "github" else lambda text: " ".join(text.split())
    rows = []
    for line in (dict(zip(table.columns, values, strict=True)) for values in table.itertuples(index=False)):
        name = clean(str(line["label"]))
        if line["role"] == "teacher":
            name = f"{name} (teacher)"
        elif line["role"] == "assistant":
            name = f"{name} (assistant)"
        rows.append(
            {
                "name": name,
                "family": clean(str(line["family"])) if line["role"] == "student" else "",
                "accuracy": _accuracy(line),
                "delta": _difference(line),
                "teacher_accuracy": percent(line["teacher_accuracy"]),
                "parameters": quantity(line["parameters"]),
                "macs": quantity(line["macs"]),
                "size_mb": "–" if pd.isna(line["size_mb"]) else f"{line['size_mb']:.3g}",
                "compression": "–" if pd.isna(line["compression"]) else f"{line['compression']:.1f}×",
                "train_time": "–" if pd.isna(line["train_seconds"]) else f"{line['train_seconds']:.0f} s",
                "note": clean(_note(line)),
            }
        )
    shown = {k: v for k, v in COLUMNS.items() if k != "note" or any(r["note"] for r in rows)}
    align = ["left" if k in ("name", "family", "note") else "right" for k in shown]
    return tabulate(
        [[r[k] for k in shown] for r in rows],
        headers=list(shown.values()),
        tablefmt=style,
        colalign=align,
        disable_numparse=True,
    )


def _accuracy(line: dict[str, Any]) -> str:
    if not line["finished"]:
        return "–"
    if line["finished"] == 1:
        return f"{percent(line['test_accuracy'])} [{percent(line['test_accuracy_low'])}, {percent(line['test_accuracy_high'])}]"
    return f"{percent(line['test_accuracy'])} ± {percent(line['test_accuracy_sd'])}"


def _difference(line: dict[str, Any]) -> str:
    if pd.isna(line["delta"]):
        return "–"
    text = f"{100 * line['delta']:+.2f}"
    if not pd.isna(line["delta_low"]):
        text += f" [{100 * line['delta_low']:+.2f}, {100 * line['delta_high']:+.2f}]"
    return text


def _note(line: dict[str, Any]) -> str:
    notes = []
    failed = line["seeds"] - line["finished"] - line["missing"]
    if line["error"]:
        notes.append(f"failed ({failed} of {line['seeds']} seeds): {line['error']}")
    if line["missing"]:
        notes.append(f"{line['missing']} of {line['seeds']} seeds not run")
    if line["point"]:
        notes.append(_point(line["point"]))
    return "; ".join(notes)


def _point(point: str) -> str:
    return ", ".join(f"{k} = {v}" for k, v in json.loads(point).items())


def percent(share: float) -> str:
    """A share in [0, 1] as percent with two decimals."""
    return "–" if pd.isna(share) else f"{100 * share:.2f}"


def quantity(value: float) -> str:
    """A count with three digits and its SI prefix: ``107 k``, ``4.66 M``."""
    if math.isnan(value):
        return "–"
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g} {prefix}"
    return f"{value:.0f}"


def _legend(frame: SuiteFrame) -> str:
    seeds = frame.rows.loc[frame.rows["role"] == "student", "seed"].nunique()
    how = (
        f"mean ± sample standard deviation (n − 1) over {seeds} seeds"
        if seeds > 1
        else "one seed; in brackets Wilson's 95 % interval of the test samples"
    )
    return (
        f"Test accuracy: {how}. Δ: difference to `supervised` in percentage points, paired by seed (the same initial weights and "
        "batches), with the 95 % interval of the paired t test. Teacher: mean accuracy of the teachers that taught the row. "
        "MACs: multiply-accumulates of one forward pass of one sample (fvcore). Size: weights as safetensors, MB = 10⁶ bytes. "
        "Compression: parameters of the first teacher over the student's. Train time: mean seconds of a trial, its share of what its "
        "cohort shared included."
    )


def _grids(frame: SuiteFrame) -> Sequence[str]:
    rows = frame.rows[(frame.rows["role"] == "student") & (frame.rows["point"] != "")]
    if rows.empty:
        return []
    parts = ["## Grids", "The point shown above was chosen by mean validation accuracy; the test set had no say."]
    for (pair, label), group in rows.groupby(["pair", "label"], sort=False):
        lines = [
            [
                escape(_point(str(point))),
                percent(part["validation_accuracy"].mean()),
                percent(part["test_accuracy"].mean()),
                len(part),
            ]
            for point, part in group.groupby("point", sort=False)
        ]
        table = tabulate(lines, headers=["point", "validation %", "test %", "seeds"], tablefmt="github", disable_numparse=True)
        parts.append(f"{escape(str(pair))}: {escape(str(label))}\n\n{table}")
    return parts
