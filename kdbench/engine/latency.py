"""Latency of a plan's networks: once an architecture, when all training is done."""

from __future__ import annotations

import torch

from kdbench.engine.prepare import Prepared
from kdbench.engine.progress import Progress
from kdbench.measure.latency import latency_id, measure_latency
from kdbench.measure.latency_process import Subject
from kdbench.measure.runtimes import unavailable
from kdbench.results.record import LatencyReport
from kdbench.results.store import Store
from kdbench.train.networks import changes_student, profile_id


def subjects_of(prepared: Prepared) -> list[Subject]:
    """Every architecture of a plan once, but those that a method changes: they are known only when they are trained."""
    registry = prepared.registry
    found: dict[str, Subject] = {}
    for trial in prepared.plan.trials.values():
        if changes_student(registry.methods[trial.method]):
            continue
        interface = prepared.interface_of(trial)
        key = profile_id(trial, interface, registry)
        spec = trial.model.model_copy(update={"weights": "scratch"})
        found.setdefault(key, Subject(key, trial.model.model, spec, trial.task, interface.spec, interface.num_classes))
    return list(found.values())


def references_of(prepared: Prepared) -> list[str]:
    """Profiles of the networks that teach: speed-ups are relative to them."""
    plan = prepared.plan
    taught = [t for trial in plan.trials.values() for t in trial.teachers]
    teachers = dict.fromkeys([*(e.trial for e in plan.entries if e.role == "teacher"), *taught])
    known = {s.profile for s in subjects_of(prepared)}
    profiles = (profile_id(plan.trials[t], prepared.interface_of(plan.trials[t]), prepared.registry) for t in teachers)
    return [p for p in dict.fromkeys(profiles) if p in known]


def latency_report_id(prepared: Prepared) -> str | None:
    """Id of the report that holds a plan's latencies on this machine, if it wants any; the threads are those of this process."""
    settings = prepared.loaded.suite.measure.latency
    subjects = subjects_of(prepared)
    return latency_id(subjects, settings, torch.get_num_threads()) if settings is not False and subjects else None


def measure_plan(prepared: Prepared, store: Store, progress: Progress, *, again: bool = False) -> None:
    """Time a plan's networks, unless the store holds their latencies on this machine. A failure is a warning, never the suite's.

    Args:
        prepared: the suite.
        store: where reports are and go.
        progress: the display.
        again: whether to measure what was measured before.

    Raises:
        KeyboardInterrupt: as it came.
    """
    settings = prepared.loaded.suite.measure.latency
    report_id = latency_report_id(prepared)
    if settings is False or report_id is None or (not again and store.latency(report_id) is not None):
        return
    subjects = subjects_of(prepared)
    progress.preparing(f"measuring latency of {len(subjects)} networks, in turns, in a process of its own")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # the other process needs room
    try:
        report = measure_latency(
            subjects,
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
    for sentence in _left_out(report):
        progress.note(sentence)


def _left_out(report: LatencyReport) -> list[str]:
    """What was not measured, and why: a sentence for each absent device, and for each reason."""
    absent = {d: why for d in report.settings.devices if (why := unavailable(d))}
    found = [f"latency on {device} was not measured: {why}" for device, why in absent.items()]
    reasons: dict[str, dict[str, None]] = {}
    for result in report.results:
        if result.skipped and result.device not in absent:
            who = f"{result.model} ({result.device}, {result.runtime}, batch {result.batch_size})"
            reasons.setdefault(result.note.removeprefix("skipped: "), {})[who] = None
    return found + [f"latency was not measured of {', '.join(who)}: {reason}" for reason, who in reasons.items()]
