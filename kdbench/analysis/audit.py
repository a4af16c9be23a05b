"""Records checked against their own predictions.

A metric that the predictions do not give is not shown.

Digests show that a file was changed, but they do not stop anybody who computes them again. Metrics of the
test set follow from the stored predictions, whoever wrote them down.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np

from kdbench.analysis.task import ACCURACY
from kdbench.measure.accuracy import macro_scores
from kdbench.plan.trial import Plan, TaskInfo
from kdbench.results.evidence import Evidence
from kdbench.results.record import Record

Scores = Mapping[str, float]
CLOSE = 1e-4
"""Relative difference that sums in another order and precision may make."""
CLASSIFICATION = "classification"
"""The built-in task, whose loss is the mean cross-entropy."""


def disagreement(record: Record, task: TaskInfo, found: Scores) -> str:
    """Find what cannot be in a record.

    These are metrics of the test set that its predictions do not give, and shares beyond [0, 1].

    Args:
        record: of a finished trial.
        task: what it learnt.
        found: what its predictions give, by metric.

    Returns:
        The reason, in a few words; "" if there is none.
    """
    claimed = record.metrics.get("test", {})
    for name, value in found.items():
        if name in claimed and not _close(claimed[name], value):
            return f"its test {name} is {claimed[name]:.6g}, but its predictions give {value:.6g}"
    for split, metrics in record.metrics.items():
        for name, value in metrics.items():
            share = name in task.metrics and task.metrics[name].percent
            if share and not math.isnan(value) and not 0 <= value <= 1:
                return f"its {split} {name} is {value:.6g}, which is not a share"
    return ""


def follows(task: TaskInfo, accuracy: float, loss: float = math.nan) -> dict[str, float]:
    """The metrics that are known to follow from predictions, whoever made the task."""
    found = {ACCURACY: accuracy} if ACCURACY in task.metrics else {}
    return found | ({"loss": loss} if task.name == CLASSIFICATION and not math.isnan(loss) else {})


def of_archive(plan: Plan, records: Mapping[str, Record], evidence: Evidence) -> dict[str, str]:
    """Find the trials of a report whose records contradict their predictions.

    Returns:
        Trial → why.
    """
    reasons: dict[str, str] = {}
    for trial, record in records.items():
        right = evidence.correct(trial, record.trial.data.fingerprint)
        loss = evidence.scores.get(trial, {}).get("nll", math.nan)  # the mean cross-entropy, from all logits
        found = {} if right is None or not len(right) else follows(plan.task, float(right.mean()), loss)
        reason = "" if record.status == "failed" else disagreement(record, plan.task, found)
        reason = reason or _wrong_scores(evidence, trial, record)
        if reason:
            reasons[trial] = reason
    return reasons


def odd_ones(targets: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Find trials whose targets differ from those of most trials of the same data.

    Args:
        targets: trial → fingerprint of its data, and digest of the classes of its test set.
    """
    counts: dict[str, Counter[str]] = {}
    for fingerprint, found in targets.values():
        counts.setdefault(fingerprint, Counter())[found] += 1
    usual = {fingerprint: count.most_common(1)[0][0] for fingerprint, count in counts.items()}
    why = "the classes of its test set are not those of the other trials of the same data"
    return {trial: why for trial, (fingerprint, found) in targets.items() if found != usual[fingerprint]}


def checked(scores: Callable[[], Scores]) -> dict[str, float]:
    """Metrics that a plugin's task computes; none if it fails."""
    try:
        return {str(name): float(value) for name, value in scores().items()}
    except Exception:  # a metric that cannot be computed here proves nothing
        return {}


def _wrong_scores(evidence: Evidence, trial: str, record: Record) -> str:
    """Scores that follow from the predicted classes, and do not agree."""
    scores, fingerprint = evidence.scores.get(trial, {}), record.trial.data.fingerprint
    if trial not in evidence.classes or fingerprint not in evidence.targets:
        return ""
    found = macro_scores(evidence.classes[trial], evidence.targets[fingerprint])
    teachers = record.trial.teachers
    if len(teachers) == 1 and teachers[0] in evidence.classes:
        both = evidence.classes[trial], evidence.classes[teachers[0]]
        found["agreement"] = float(np.mean(both[0] == both[1])) if both[0].shape == both[1].shape else math.nan
    for name, value in found.items():
        if name in scores and not _close(scores[name], value):
            return f"its {name} is {scores[name]:.6g}, but its predictions give {value:.6g}"
    for name, value in scores.items():
        if name in ("ece", "top5", "agreement") and not 0 <= value <= 1 and not math.isnan(value):
            return f"its {name} is {value:.6g}, which is not a share"
    return ""


def _close(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=CLOSE, abs_tol=1e-6)
