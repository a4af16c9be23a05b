"""Legend of a leaderboard, with a line for each column shown."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from kdbench.analysis.contrasts import FEW_SEEDS, SEEDS
from kdbench.analysis.task import counts_correct
from kdbench.errors import flat
from kdbench.plan.trial import TaskInfo
from kdbench.report.wording import Wording

GRID = (
    "Differences are to the student trained alone with the same seeds. Seeds are blocks, and the residual variance is pooled over all "
    "points of a grid (two-way analysis of variance without interaction): intervals of 95 %; † marks a difference that is significant "
    "by the corrected test (Holm, over the grid)."
)
"""How to read the differences of a grid's points."""

GENERAL = {
    "gap": "Gap closed: share of the difference between the student trained alone and its teachers that the row closes",
    "effect": "Effect size: Cohen's d of the differences to the student trained alone, paired by seed",
    "agreement": "Agreement: share of test samples that student and teachers (their mean probabilities) put in the same class",
    "kl": "KL to teacher: mean KL divergence of the student's probabilities from the teachers', nats",
    "nll": "NLL: mean negative log-likelihood of the test samples, nats",
    "ece": "ECE: expected calibration error, 15 bins",
    "macs": "MACs: multiply-accumulates of one forward pass of one sample (fvcore)",
    "size": "Size: the weights as safetensors, MB = 10⁶ bytes",
    "compression": "Compression: parameters of the first teacher over the row's",
    "speedup": "Speed-up: latency of the first teacher over the row's, timed in turns; in brackets the 95 % interval over the processes "
    "that were timed (over the turns, where they were fewer than three)",
    "time": "Time: mean of a trial's own steps, its share of what its cohort shared, and evaluation",
    "step": "Step time: time of a trial's own training steps over that of the student trained alone",
    "extra": "Extra parameters: trained by the method beside the student, and thrown away",
}
"""Lines that are the same for every task."""


def legend(table: pd.DataFrame, columns: Sequence[str], task: TaskInfo) -> str:
    """Explain the columns of standings in markdown, one per line.

    Args:
        table: standings.
        columns: names of the columns shown.
        task: the task that the networks learn.
    """
    words = Wording(task)
    lines = {
        **GENERAL,
        "place": _place(table, words),
        task.primary: _primary(table, words),
        "delta": _delta(table, words),
        "delta_kd": "Δ kd: the same against `kd`",
        "teacher": f"Teacher: mean test {words.metric} of the teachers that taught the row",
        "latency": _latency(table),
        "test_set": f"Test set: seconds for all test {words.units} at the largest batch measured "
        "(median ± half of the interquartile range)",
        "efficiency": f"Efficiency: {words.metric}{' in percent' if words.percent_sign else ''} / (size in MB × latency in ms)",
    }
    return "\n".join(f"- {lines[name]}" for name in columns if lines.get(name))


def _place(table: pd.DataFrame, words: Wording) -> str:
    text = "Place: from the best downward, students that do not differ significantly from the first of a place share it"
    few = table[(table["role"] == "student") & (table["finished"] > 0)]["finished"]
    if not counts_correct(words.task) or few.empty or few.min() >= FEW_SEEDS:
        return f"{text} (paired t tests over seeds, Holm's correction)"
    return (
        f"{text} (paired t tests where two rows have {FEW_SEEDS} seeds in common or more, else tests paired by test {words.unit}, "
        "which speak of these trained networks and not of other seeds; Holm's correction)"
    )


def _primary(table: pd.DataFrame, words: Wording) -> str:
    how = []
    if counts := sorted({n for n in table["finished"] if n > 1}):
        over = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
        how.append(f"mean ± sample standard deviation (n − 1) over {over} seeds")
    if (table["finished"] == 1).any() and counts_correct(words.task):
        how.append("for a network trained once, in brackets Wilson's 95 % interval of the test samples")
    if not (table["finished"] > 0).any():
        return ""
    if not words.task.metrics[words.task.primary].higher_is_better:
        how.append("lower is better")
    return f"Test {words.metric}: {'; '.join([*how, 'in bold where one student has the first place for itself'])}"


def _delta(table: pd.DataFrame, words: Wording) -> str:
    unit = "in percentage points, " if words.difference_unit else ""
    text = (
        f"Δ supervised: difference to the student trained alone, {unit}paired by seed (the same initial weights "
        "and batches); in brackets, where there is more than one seed, the 95 % interval of the paired t test"
    )
    found = set(table["significant"])
    if SEEDS in found:
        text += "; ‡ significant at the 5 % level by the paired t test over seeds, Holm's correction"
    if found - {SEEDS, ""}:
        text += (
            f"; † significant at the 5 % level by the test {words.units} (McNemar's test or its like over several seeds, "
            "Holm's correction), not by the seeds"
        )
    return text


def _latency(table: pd.DataFrame) -> str:
    settings = sorted({flat(s) for s in table["latency_setting"] if s})
    return f"Latency: median of a forward pass of a whole batch ({'; '.join(settings)})" if settings else ""
