"""Latency of a plan's networks, measured once per architecture after training."""

from __future__ import annotations

import torch

from kdbench.engine.prepare import Prepared
from kdbench.engine.progress import Progress
from kdbench.measure.latency import latency_id, measure_latency
from kdbench.measure.latency_process import TimedModel
from kdbench.measure.runtimes import unavailable
from kdbench.results.record import LatencyReport
from kdbench.results.store import Store
from kdbench.train.networks import changes_student


def timed_models(prepared: Prepared) -> list[TimedModel]:
    """List every architecture of a plan once.

    Those that a method changes are left out: they are known only after training.
    """
    registry = prepared.registry
    found: dict[str, TimedModel] = {}
    for trial in prepared.plan.trials.values():
        if changes_student(registry.methods[trial.method]):
            continue
        key = prepared.profile_id_of(trial)
        if key in found:
            continue
        interface = prepared.interface_of(trial)
        spec = trial.model.model_copy(update={"weights": "scratch"})
        found[key] = TimedModel(key, trial.model.model, spec, trial.task, interface.spec, interface.num_classes)
    return list(found.values())


def references_of(prepared: Prepared) -> list[str]:
    """List the profiles of the teachers, which speed-ups are relative to."""
    plan = prepared.plan
    taught = [t for trial in plan.trials.values() for t in trial.teachers]
    teachers = dict.fromkeys([*(e.trial for e in plan.entries if e.role == "teacher"), *taught])
    known = {s.profile for s in timed_models(prepared)}
    profiles = (prepared.profile_id_of(plan.trials[t]) for t in teachers)
    return [p for p in dict.fromkeys(profiles) if p in known]


def latency_report_id(prepared: Prepared) -> str | None:
    """Return the id of the report with a plan's latencies on this machine, if any.

    The number of threads is that of this process.
    """
    settings = prepared.loaded.suite.measure.latency
    models = timed_models(prepared)
    return latency_id(models, settings, torch.get_num_threads()) if settings is not False and models else None


def measure_plan(prepared: Prepared, store: Store, progress: Progress, *, again: bool = False) -> None:
    """Time a plan's networks, unless the store has their latencies on this machine.

    A failure is a warning and does not fail the suite.

    Args:
        prepared: the suite.
        store: stores the latency reports.
        progress: the display.
        again: whether to repeat measurements that the store already has.

    Raises:
        KeyboardInterrupt: passed on.
    """
    settings = prepared.loaded.suite.measure.latency
    report_id = latency_report_id(prepared)
    if settings is False or report_id is None or (not again and store.latency(report_id) is not None):
        return
    models = timed_models(prepared)
    progress.preparing(f"measuring latency of {len(models)} networks, in turns, in a process of its own")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # the other process needs room
    try:
        report = measure_latency(
            models,
            settings,
            store.latency_data_path(report_id),
            references=references_of(prepared),
            plugins=prepared.plugins,
            objects=prepared.objects,
            threads=torch.get_num_threads(),
        )
        store.save_latency(report)
    except Exception as error:
        progress.warn(f"latency was not measured: {error}")
        return
    for sentence in _left_out(report, named="devices" in settings.model_fields_set):
        progress.note(sentence)


def _left_out(report: LatencyReport, named: bool) -> list[str]:
    """Return a sentence per absent device, and one per other reason for a gap.

    Args:
        report: the measurement.
        named: whether the suite names its devices; otherwise absent ones are not worth a word.
    """
    absent = {d: why for d in report.settings.devices if (why := unavailable(d))}
    found = [f"latency on {device} was not measured: {why}" for device, why in absent.items()] if named else []
    reasons: dict[str, dict[str, None]] = {}
    for result in report.results:
        if result.skipped and result.device not in absent:
            who = f"{result.model} ({result.device}, {result.runtime}, batch {result.batch_size})"
            reasons.setdefault(result.note.removeprefix("skipped: "), {})[who] = None
    return found + [f"latency was not measured of {', '.join(who)}: {reason}" for reason, who in reasons.items()]
