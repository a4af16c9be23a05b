"""How long a run will take, from the speed of trials that have finished."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch

from kdbench.engine.estimate import OVERHEAD, TRAINING_PASSES, work_per_sample
from kdbench.engine.latency import latency_report_id, timed_models
from kdbench.engine.prepare import Prepared
from kdbench.measure.runtimes import unavailable
from kdbench.results.record import Record
from kdbench.results.store import Store
from kdbench.suite.schema import Latency

CORE = 1.6e10
"""MACs per second of training on one CPU core.

They include :data:`kdbench.engine.estimate.OVERHEAD`. It is the speed of the committed reports of MNIST and
CIFAR-10 (small networks on 2 cores), and within a factor of three of others.
"""
GPU = 1e12
"""The same on a GPU: an order of magnitude only."""
MOST = 200
"""Most records that are read to learn the machine's speed, the suite's own first."""
START = 6.0
"""Seconds until a process that measures latency has imported its libraries."""
WARM_UP = 1.5
"""Time of a latency measurement over the time that is asked for."""
REPORT = (2.0, 0.05)
"""Seconds of a report, and more for each trial."""


@dataclass(frozen=True)
class Forecast:
    """The time that a run will take, in seconds, with one job.

    Args:
        trials: training and evaluation of each trial from its beginning, by id.
        latency: the measurement of latency; 0 if there is none, or if it is known.
        report: the report.
        known: number of finished trials that it was calibrated by; 0 for a rough guess.
    """

    trials: Mapping[str, float]
    latency: float
    report: float
    known: int

    def left(self, finished: Collection[str]) -> float:
        """Return the seconds of a run in which some trials have finished."""
        training = sum(seconds for trial, seconds in self.trials.items() if trial not in finished)
        return training + self.latency + self.report


def forecast(prepared: Prepared, store: Store) -> Forecast:
    """Estimate how long a run takes on this machine.

    Args:
        prepared: the suite.
        store: the runs folder, whose finished trials tell the machine's speed.
    """
    plan, data = prepared.plan, prepared.data
    speeds, known = _speeds(prepared, store)
    usual = statistics.median(speeds.values()) if speeds else _guess()
    evaluated = len(data.validation) + len(data.test)
    each = work_per_sample(plan, prepared.profile_of)
    seconds = {}
    for i, trial in plan.trials.items():
        profile = prepared.profile_of(trial)
        forward = OVERHEAD + (profile.macs if profile is not None else 0)
        work = trial.recipe.epochs * len(data.train) * each[i] + max(trial.recipe.epochs, 1) * evaluated * forward
        seconds[i] = work / speeds.get(trial.model.model, usual)
    return Forecast(seconds, latency_seconds(prepared, store), report_seconds(prepared), known)


def report_seconds(prepared: Prepared) -> float:
    """Estimate the time of the report."""
    return REPORT[0] + REPORT[1] * len(prepared.plan.trials)


def latency_seconds(prepared: Prepared, store: Store) -> float:
    """Estimate the time of the measurement of latency; 0 if it is not to be done."""
    settings, report = prepared.loaded.suite.measure.latency, latency_report_id(prepared)
    if settings is False or report is None or store.latency(report) is not None:
        return 0.0
    networks = {m.profile: prepared.profiles.get(m.profile) for m in timed_models(prepared)}
    macs = [known.macs if known is not None else 0 for known in networks.values()]
    return settings.processes * START + sum(_timed(m, settings) for m in macs)


def _timed(macs: int, settings: Latency) -> float:
    """Estimate the time of one network in all settings."""
    devices = sum(not unavailable(d) for d in settings.devices)
    passes = (n * (macs + OVERHEAD) / _guess() for n in settings.batch_sizes)
    seconds = (max(settings.min_seconds, settings.min_rounds * one) for one in passes)
    return WARM_UP * devices * len(settings.runtimes) * sum(seconds)


def _guess() -> float:
    return GPU if torch.cuda.is_available() else CORE * torch.get_num_threads()


def _speeds(prepared: Prepared, store: Store) -> tuple[dict[str, float], int]:
    """Return MACs per second by the student's name, and the number of records read."""
    found: dict[str, list[float]] = {}
    begun = store.recorded()
    own = [i for i in prepared.plan.trials if i in begun]
    for trial in [*own, *sorted(begun.difference(own))][:MOST]:
        record = store.record(trial)
        if record is not None and (speed := _speed(record, store)):
            found.setdefault(record.trial.model.model, []).append(speed)
    return {name: statistics.median(values) for name, values in found.items()}, sum(map(len, found.values()))


def _speed(record: Record, store: Store) -> float | None:
    """Return the MACs per second of a trial's training, if known."""
    if record.status != "finished" or not record.costs.samples_per_second:
        return None
    taught = [store.record(t) for t in record.trial.teachers]
    macs = [_macs(r, store) for r in (record, *taught)]
    if None in macs:
        return None
    student, *teachers = (m + OVERHEAD for m in macs if m is not None)
    work = TRAINING_PASSES * student + sum(teachers) / max(record.costs.cohort_members, 1)
    return record.costs.samples_per_second * work


def _macs(record: Record | None, store: Store) -> int | None:
    profile = store.profile(record.profile) if record is not None and record.profile else None
    return None if profile is None else profile.macs
