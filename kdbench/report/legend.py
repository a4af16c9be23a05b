"""Legend of a leaderboard, with a line for each column shown."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from kdbench.analysis.task import counts_correct
from kdbench.errors import flat
from kdbench.plan.trial import TaskInfo
from kdbench.report.wording import Wording

GRID = (
    "Differences are to the student trained alone with the same seeds, by the model of the table above, over all points of a grid; in "
    "brackets the simultaneous 95 % interval, and † where it excludes 0."
)
"""How to read the differences of a grid's points."""

UNSTABLE = (
    "≈ unstable: its passes differ by more than the suite's `max_spread`; ± half of their interquartile range; `kdbench run SUITE "
    "--remeasure` measures again"
)
"""How to read a latency that is only approximate."""

GENERAL = {
    "first": "First: how often the row comes first if seeds and test samples are drawn again from the model, %",
    "default": "Default: the same with the method's own values; the row's other numbers are with those that tuning chose (in the note)",
    "tuned": "Tuned − default: difference on the test set over the seeds that both finished, in brackets the simultaneous 95 % interval",
    "lead": "Lead: of the chosen draw over the method's own values, on the validation set, where it was chosen (and so too good), and on "
    "the test set; tuning.md has every draw",
    "tuning": "Tuning time: of all draws of the row's method",
    "effect": "Effect size: difference to the student trained alone over the standard deviation of one seed's difference",
    "agreement": "Agreement: share of test samples that student and teachers (their mean probabilities) put in the same class",
    "kl": "KL to teacher: mean KL divergence of the student's probabilities from the teachers', nats",
    "nll": "NLL: mean negative log-likelihood of the test samples, nats",
    "ece": "ECE: expected calibration error, 15 bins",
    "macs": "MACs: multiply-accumulates of one forward pass of one sample (fvcore)",
    "size": "Size: the weights as safetensors, MB = 10⁶ bytes",
    "compression": "Compression: parameters of the first teacher over the row's",
    "speedup": "Speed-up: latency of the first teacher over the row's, timed in turns; in brackets the 95 % interval over the processes "
    "that were timed (over the turns, where they were fewer than three)",
    "throughput": "Throughput: samples per second at the largest batch that was measured, on the same device and runtime",
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
        "place": "Place: the places that the data allow (simultaneous 95 % confidence sets of ranks); none with one seed",
        "gap": _gap(table, words),
        "networks": f"Δ these trained networks: difference to the student trained alone for the very networks that were trained, with "
        f"the 95 % interval over test {words.units}; it says nothing about other seeds, and so nothing about methods",
        task.primary: _primary(table, words),
        "delta": _delta(table, words),
        "delta_kd": "Δ kd: the same against `kd`, without marks",
        "teacher": f"Teacher: mean test {words.metric} of the teachers that taught the row",
        "latency": _latency(table),
        "test_set": f"Test set: seconds for all test {words.units} at the largest batch measured "
        "(median ± half of the interquartile range)",
        "efficiency": f"Efficiency: {words.metric}{' in percent' if words.percent_sign else ''} / (size in MB × latency in ms)",
    }
    return "\n".join(f"- {lines[name]}" for name in columns if lines.get(name))


def key(table: pd.DataFrame, task: TaskInfo) -> str:
    """Say in a line how to read the numbers of a table."""
    words, parts = Wording(task), []
    if (table["finished"] > 1).any():
        parts.append(f"{words.metric_title}: test set, mean ± standard deviation over seeds")
    if len(table) and not table["delta_low"].isna().all():
        parts.append("in brackets simultaneous 95 % intervals, † where that of a difference excludes 0")
    if unstable(table):
        parts.append(UNSTABLE)
    return f"{'; '.join(parts)}." if parts else ""


def unstable(table: pd.DataFrame) -> bool:
    """Whether a latency of the table is only approximate."""
    notes = [
        name for name in table.columns if str(name).startswith(("latency_", "throughput_")) and str(name).endswith("_note")
    ]
    return any(str(note).startswith("unstable") for name in notes for note in table[name])


def _gap(table: pd.DataFrame, words: Wording) -> str:
    text = (
        f"Gap closed: share of the lead in test {words.metric} of the pair's first teacher over the student trained alone that the row "
        "closes, in brackets the simultaneous 95 % interval (Fieller); empty unless the lead itself is significant"
    )
    if (table[table["role"] == "teacher"]["finished"] == 1).any():
        text += (
            "; a teacher trained once counts as it is, and no interval contains the chance of its training: for claims about "
            "methods, train a teacher a seed (`seed: same`)"
        )
    return text


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
    unit = ", in percentage points" if words.difference_unit else ""
    text = f"Δ supervised: difference to the student trained alone{unit}, over the seeds that both finished"
    if table["delta_low"].isna().all():
        return (
            f"{text}; without an interval, because one seed (or too few runs) does not show what another training run would do"
        )
    items = f" and of the test {words.units}" if counts_correct(words.task) else ""
    return (
        f"{text}; in brackets the simultaneous 95 % interval for all rows of the table together, with the chance of training runs{items}; "
        "† where it excludes 0"
    )


def _latency(table: pd.DataFrame) -> str:
    settings = sorted({flat(s) for s in table["latency_setting"] if s})
    if not settings:
        return ""
    text = f"Latency: median of a forward pass of a whole batch ({'; '.join(settings)})"
    return f"{text}; {UNSTABLE}" if unstable(table) else text
