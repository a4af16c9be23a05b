"""Loading of records for analysis, from a runs folder or a report folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.frame import SuiteFrame, frame_of, frame_of_archive, suite_frame
from kdbench.errors import KdbenchError, did_you_mean
from kdbench.measure.accuracy import ensemble, fidelity, quality
from kdbench.results.archive import load_archive
from kdbench.results.evidence import Evidence, condense
from kdbench.results.record import LatencyReport
from kdbench.results.store import Store


def gather(store: Store, suite: str) -> Analysis:
    """Analyse a suite that was run, with its predictions and histories.

    Raises:
        KdbenchError: no suite of that name was run in the store, or its predictions cannot be read.
    """
    return complete(store, suite_frame(store, suite))


def complete(store: Store, bare: SuiteFrame) -> Analysis:
    """Analyse records, with their predictions and histories.

    Reading these takes a moment.

    Raises:
        KdbenchError: the predictions cannot be read.
    """
    latencies = tuple(_fitting(store.latencies(), bare))
    return Analysis(frame_of(bare.plan, bare.records, bare.profiles, _evidence(store, bare), latencies))


def analysis_of_report(folder: Path) -> Analysis:
    """Analyse the records in a report folder.

    Raises:
        KdbenchError: the records are missing, incomplete or damaged.
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
    fitting = [r for r in reports if any(result.profile in frame.profiles for result in r.results)]
    return sorted(fitting, key=lambda r: (r.started, r.id))


def _evidence(store: Store, frame: SuiteFrame) -> Evidence:
    finished = {i: r for i, r in frame.records.items() if r.status == "finished"}
    logits: dict[str, np.ndarray] = {}
    targets: dict[str, np.ndarray] = {}
    scores: dict[str, dict[str, float]] = {}
    for trial, record in finished.items():
        if "predictions.npz" not in record.files:  # a plugin's executor may keep none
            continue
        kept = store.predictions(trial)
        if not {"logits", "targets"} <= set(kept):  # a task may predict something other than classes
            continue
        logits[trial] = kept["logits"]
        fingerprint = record.data.get("fingerprint", frame.plan.trials[trial].data.fingerprint)
        targets.setdefault(str(fingerprint), kept["targets"].astype(np.int64))
        scores[trial] = quality(kept["logits"], kept["targets"])
    for trial, own in logits.items():
        teachers = [logits[t] for t in frame.plan.trials[trial].teachers if t in logits]
        if teachers and all(t.shape == own.shape for t in teachers):
            scores[trial].update(fidelity(own, ensemble(teachers)))
    condensed = {trial: condense(values) for trial, values in logits.items()}
    return Evidence(
        targets=targets,
        classes={trial: classes for trial, (classes, _) in condensed.items()},
        confidences={trial: confidences for trial, (_, confidences) in condensed.items()},
        histories={trial: store.history(trial) for trial in finished},
        scores=scores,
    )
