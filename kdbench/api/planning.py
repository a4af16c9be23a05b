"""Preview of a run, without training anything."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kdbench.engine.estimate import Work, estimate
from kdbench.engine.latency import latency_report_id, timed_models
from kdbench.engine.prepare import Prepared, planned_again, prepare
from kdbench.report.columns import check_report
from kdbench.results.store import Store
from kdbench.suite.load import LoadedSuite
from kdbench.tasks.load import data_root as find_data_root

State = Literal["to do", "begun", "finished", "failed"]


@dataclass(frozen=True)
class Preview:
    """What a run would do.

    Args:
        prepared: the suite; ``prepared.plan`` holds its trials and cohorts.
        states: state of each trial, by id.
        work: estimated work.
        latency: number of networks to be timed (0 for none), and whether their latency is known already.
    """

    prepared: Prepared
    states: Mapping[str, State]
    work: Work
    latency: tuple[int, bool] = (0, False)


def preview(
    loaded: LoadedSuite, *, plugins: tuple[Path, ...] = (), data_root: Path | None = None, runs: Path, cohorts: bool = True
) -> Preview:
    """Work out what a run would do, without training or writing anything.

    Args:
        loaded: the suite.
        plugins: plugin files.
        data_root: folder of the data.
        runs: the runs folder; it need not exist.
        cohorts: whether trials would train together.

    Raises:
        KdbenchError: something is wrong with the suite, a plugin or the data.
    """
    check_report(loaded.suite.report, loaded.locations.of)
    store = Store(runs)
    prepared = planned_again(prepare(loaded, find_data_root(data_root), plugins=plugins, cohorts=cohorts), store)
    report = latency_report_id(prepared)
    latency = (0, False) if report is None else (len(timed_models(prepared)), store.latency(report) is not None)
    begun = _folders(runs / "trials")
    states: dict[str, State] = {t: _state(store, t) if t in begun else "to do" for t in prepared.plan.trials}
    return Preview(prepared, states, estimate(prepared.plan, prepared.profile_of, len(prepared.data.train)), latency)


def _folders(path: Path) -> set[str]:
    try:
        return set(os.listdir(path))
    except OSError:  # there are none yet, or the store says what is wrong when it reads one
        return set()


def _state(store: Store, trial: str) -> State:
    record = store.record(trial)
    if record is not None:
        return record.status
    return "begun" if store.checkpoint_path(trial).exists() else "to do"
