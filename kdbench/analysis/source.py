"""Loading of records for analysis, from a runs folder or a report folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from kdbench.analysis import audit
from kdbench.analysis.analysis import Analysis
from kdbench.analysis.frame import SuiteFrame, frame_of, frame_of_archive, suite_frame
from kdbench.errors import KdbenchError, StoreError, did_you_mean
from kdbench.measure.accuracy import ensemble, fidelity, quality
from kdbench.results.archive import load_archive
from kdbench.results.evidence import Evidence, condense
from kdbench.results.record import LatencyReport, Record
from kdbench.results.store import Store

Measure = Callable[[np.ndarray, np.ndarray], Mapping[str, float]]
"""The metrics of logits N×C and classes N, as a plugin's task computes them."""


def gather(store: Store, suite: str) -> Analysis:
    """Analyse a suite that was run, with the evidence behind it.

    Raises:
        KdbenchError: no suite of that name was run in the store.
    """
    return complete(store, suite_frame(store, suite))


def complete(store: Store, bare: SuiteFrame, measure: Measure | None = None) -> Analysis:
    """Analyse records, with the evidence behind them, which takes a moment to read.

    Metrics of the test set are computed again from the predictions. A record that does not agree with them is
    left out with a warning, and so is one whose predictions or history cannot be read.

    Args:
        store: the runs folder.
        bare: the suite's records.
        measure: the metrics of a plugin's task, where it is installed.
    """
    latencies = tuple(_fitting(store.latencies(), bare))
    evidence, damaged = _Reader(store, bare, measure).evidence()
    for trial, why in damaged.items():
        store.warn(f"the record of trial {trial} in {store.root} is left out: {why}")
    if store.unsealed:
        store.warn(
            f"{len(store.unsealed)} files in {store.root} carry no digest, as an older kdbench wrote them: "
            "only metrics of the test set can be checked, not times, costs or other metrics"
        )
    frame = frame_of(bare.plan, bare.records, bare.profiles, evidence, latencies, {**bare.damaged, **damaged})
    return Analysis(frame)


def analysis_of_report(folder: Path) -> Analysis:
    """Analyse the records that a report folder keeps.

    Raises:
        KdbenchError: they are missing, incomplete or damaged.
    """
    return Analysis(frame_of_archive(load_archive(folder)))


def find_suite(store: Store, suite: str | None) -> str:
    """Return the name of a suite that was run in a store.

    Args:
        store: the store.
        suite: name of the suite, or its file; ``None`` for the only suite in the store.

    Raises:
        KdbenchError: nothing was run there, or there are several suites to choose from.
    """
    known = store.plans()
    if not known:
        raise KdbenchError(f"no suite was run in {store.root} yet: kdbench run SUITE --runs {store.root}")
    name = suite if suite is None or suite in known else Path(suite).stem
    if name is None and len(known) == 1:
        name = known[0]
    if name is None or name not in known:
        hint = did_you_mean(name, known) if name else ""
        raise KdbenchError(f"name one of the suites that were run in {store.root}: {', '.join(known)}{hint}")
    return name


def _fitting(reports: Sequence[LatencyReport], frame: SuiteFrame) -> list[LatencyReport]:
    """Return the latencies of this suite's networks, in the order of measurement."""
    fitting = [r for r in reports if any(result.profile in frame.networks for result in r.results)]
    return sorted(fitting, key=lambda r: (r.started, r.id))


@dataclass
class _Reader:
    """Reads the evidence behind a suite's records, and holds these against it."""

    store: Store
    frame: SuiteFrame
    measure: Measure | None
    targets: dict[str, tuple[str, str]] = field(default_factory=dict)
    arrays: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    classes: dict[str, np.ndarray] = field(default_factory=dict)
    confidences: dict[str, np.ndarray] = field(default_factory=dict)
    histories: dict[str, pd.DataFrame] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    taught_by: dict[str, np.ndarray] = field(default_factory=dict)

    def evidence(self) -> tuple[Evidence, dict[str, str]]:
        """The evidence, and the trials whose records do not agree with it → why."""
        plan, damaged = self.frame.plan, {}
        teachers = {t for trial in plan.trials.values() for t in trial.teachers}
        for trial in plan.trials:  # teachers come before their students
            record = self.frame.records.get(trial)
            if record is None or record.status != "finished":
                continue
            try:
                reason = self._read(trial, record, teachers)
            except StoreError as error:
                reason = str(error)
            if reason:
                damaged[trial] = reason
        damaged |= audit.odd_ones({t: found for t, found in self.targets.items() if t not in damaged})
        targets = {found[0]: self.arrays[found] for t, found in self.targets.items() if t not in damaged}
        return Evidence(targets, self.classes, self.confidences, self.histories, self.scores), damaged

    def _read(self, trial: str, record: Record, teachers: Collection[str]) -> str:
        """Read what a trial left; why its record cannot be believed, or ""."""
        task = self.frame.task
        self.histories[trial] = self.store.history(trial)
        kept = self.store.predictions(trial) if "predictions.npz" in record.files else {}
        if not {"logits", "targets"} <= set(kept):  # an executor may keep none, and a task other things than classes
            return audit.disagreement(record, task, {})
        logits, targets = kept["logits"], kept["targets"]
        if not _fit(logits, targets):
            return "its predictions are not logits N×C and classes N"
        with np.errstate(all="ignore"):
            scores = quality(logits, targets)
            own = [self.taught_by[t] for t in self.frame.plan.trials[trial].teachers if t in self.taught_by]
            if own and all(t.shape == logits.shape for t in own):
                scores |= fidelity(logits, ensemble(own))
            self.classes[trial], self.confidences[trial] = condense(logits)
        if trial in teachers:
            self.taught_by[trial] = logits
        self.scores[trial] = scores
        classes = targets.astype(np.int64)
        self.targets[trial] = record.trial.data.fingerprint, hashlib.sha256(classes.tobytes()).hexdigest()
        self.arrays.setdefault(self.targets[trial], classes)
        if not len(targets):
            return ""
        right = float((logits.argmax(1) == targets).mean())
        found = audit.follows(task, right, scores["nll"])
        if self.measure is not None:
            found = {**audit.checked(partial(self.measure, logits, targets)), **found}
        return audit.disagreement(record, task, found)


def _fit(logits: np.ndarray, targets: np.ndarray) -> bool:
    """Whether these are logits N×C (floats) and classes N (integers from 0 to C − 1)."""
    if logits.ndim != 2 or targets.shape != logits.shape[:1] or logits.dtype.kind != "f" or targets.dtype.kind not in "iu":
        return False
    return not len(targets) or (targets.min() >= 0 and targets.max() < logits.shape[1])
