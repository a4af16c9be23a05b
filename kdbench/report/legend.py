"""How to read a leaderboard: a line for each column that is shown."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from kdbench.analysis.contrasts import FEW_SEEDS
from kdbench.report.text import flat

LINES = {
    "place": "Place: from the best downward, students that are not told apart from the first of a place share it",
    "delta": "Δ supervised: difference to the student trained alone, in percentage points, paired by seed (the same initial weights "
    "and batches); in brackets, where there is more than one seed, the 95 % interval of the paired t test",
    "delta_kd": "Δ kd: the same against `kd`",
    "gap": "Gap closed: share of the difference between the student trained alone and its teachers that the row closes",
    "effect": "Effect size: Cohen's d of the differences to the student trained alone, paired by seed",
    "teacher": "Teacher: mean test accuracy of the teachers that taught the row",
    "agreement": "Agreement: share of test samples that student and teachers (their mean probabilities) put in the same class",
    "kl": "KL to teacher: mean KL divergence of the student's probabilities from the teachers', nats",
    "nll": "NLL: mean negative log-likelihood of the test samples, nats",
    "ece": "ECE: expected calibration error, 15 bins",
    "macs": "MACs: multiply-accumulates of one forward pass of one sample (fvcore)",
    "size": "Size: the weights as safetensors, MB = 10⁶ bytes",
    "compression": "Compression: parameters of the first teacher over the row's",
    "test_set": "Test set: seconds for all test images at the largest batch measured (median ± half of the interquartile range)",
    "speedup": "Speed-up: latency of the first teacher over the row's, timed in turns; in brackets the 95 % interval over the processes "
    "that were timed (over the turns, where they were fewer than three)",
    "efficiency": "Efficiency: accuracy in percent / (size in MB × latency in ms)",
    "time": "Time: mean of a trial's own steps, its share of what its cohort shared, and evaluation",
    "step": "Step time: time of a trial's own training steps over that of the student trained alone",
    "extra": "Extra parameters: trained by the method beside the student, and thrown away",
}


def legend(table: pd.DataFrame, columns: Sequence[str]) -> str:
    """What the columns of standings mean, in markdown, a line each.

    Args:
        table: standings.
        columns: names of the columns shown.
    """
    lines = {**LINES, "accuracy": _accuracy(table), "latency": _latency(table)}
    lines["place"] += _by_images(table)
    lines["delta"] += _marks(table)
    return "\n".join(f"- {lines[name]}" for name in columns if lines.get(name))


def _accuracy(table: pd.DataFrame) -> str:
    how = []
    if counts := sorted({n for n in table["finished"] if n > 1}):
        over = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
        how.append(f"mean ± sample standard deviation (n − 1) over {over} seeds")
    if (table["finished"] == 1).any():
        how.append("for a network trained once, in brackets Wilson's 95 % interval of the test samples")
    best = "in bold where one student has the first place for itself"
    return f"Test accuracy: {'; '.join([*how, best])}" if how else ""


def _latency(table: pd.DataFrame) -> str:
    settings = sorted({flat(s) for s in table["latency_setting"] if s})
    return f"Latency: median of a forward pass of a whole batch ({'; '.join(settings)})" if settings else ""


def _by_images(table: pd.DataFrame) -> str:
    few = table[(table["role"] == "student") & (table["finished"] > 0)]["finished"]
    if few.empty or few.min() >= FEW_SEEDS:
        return " (paired t tests over seeds, Holm's correction)"
    return (
        f" (paired t tests where two rows have {FEW_SEEDS} seeds in common or more, else tests paired by test image, which speak of these "
        "trained networks and not of other seeds; Holm's correction)"
    )


def _marks(table: pd.DataFrame) -> str:
    said = set(table["significant"])
    parts = []
    if "seeds" in said:
        parts.append("‡ told apart at the 5 % level by the paired t test over seeds, Holm's correction")
    if "images" in said:
        parts.append(
            "† told apart by the test images (McNemar's test or its like over several seeds, Holm's correction), not by the seeds"
        )
    return "".join(f"; {part}" for part in parts)
