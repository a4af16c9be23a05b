"""Preview of a run, without training anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kdbench.engine.estimate import Work, estimate
from kdbench.engine.forecast import Forecast, forecast
from kdbench.engine.latency import latency_report_id, timed_models
from kdbench.engine.prepare import Prepared, planned_again, prepare
from kdbench.engine.progress import Progress
from kdbench.report.columns import check_report
from kdbench.results.store import Store
from kdbench.results.teachers import concerned, weak_teachers
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
        forecast: how long a run takes.
        latency: number of networks to be timed (0 for none), and whether their latency is known already.
        warnings: what finished trials say about the plan, one sentence each.
    """

    prepared: Prepared
    states: Mapping[str, State]
    work: Work
    forecast: Forecast
    latency: tuple[int, bool] = (0, False)
    warnings: tuple[str, ...] = ()


def preview(
    loaded: LoadedSuite,
    *,
    plugins: tuple[Path, ...] = (),
    data_root: Path | None = None,
    runs: Path,
    cohorts: bool = True,
    progress: Progress | None = None,
) -> Preview:
    """Work out what a run would do, without training or writing anything.

    Args:
        loaded: the suite.
        plugins: plugin files.
        data_root: folder of the data.
        runs: the runs folder; it need not exist.
        cohorts: whether trials would train together.
        progress: receives warnings.

    Raises:
        KdbenchError: something is wrong with the suite, a plugin or the data.
    """
    prepared = prepare(loaded, find_data_root(data_root), plugins=plugins, cohorts=cohorts, progress=progress)
    check_view(prepared)
    store = Store(runs)
    prepared = planned_again(prepared, store)
    report = latency_report_id(prepared)
    latency = (0, False) if report is None else (len(timed_models(prepared)), store.latency(report) is not None)
    begun = store.recorded()
    states: dict[str, State] = {t: _state(store, t) if t in begun else "to do" for t in prepared.plan.trials}
    work = estimate(prepared.plan, prepared.profile_of, len(prepared.data.train))
    weak = weak_teachers(prepared.plan, store.records(concerned(prepared.plan) & begun))
    return Preview(prepared, states, work, forecast(prepared, store), latency, tuple(w.warning for w in weak))


def check_view(prepared: Prepared) -> None:
    """Check a suite's settings for its report.

    Raises:
        KdbenchError: a column or a latency setting is unknown.
    """
    suite, place = prepared.loaded.suite, prepared.loaded.locations.of
    check_report(suite.report, place, prepared.plan.task, suite.measure.latency, prepared.registry.metrics)


def _state(store: Store, trial: str) -> State:
    record = store.record(trial)
    if record is not None:
        return record.status
    return "begun" if store.checkpoint_path(trial).exists() else "to do"
