"""Latency of networks, measured by pytest-benchmark in separate processes."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from kdbench.measure import latency_statistics
from kdbench.measure.latency_process import TimedModel, run_processes, settings_of
from kdbench.measure.machine import load_average, machine, now
from kdbench.plan.identity import canonical
from kdbench.results.files import remove, temporary, write_whole
from kdbench.results.record import LatencyReport
from kdbench.seeding import digest
from kdbench.suite.schema import Latency


def latency_id(models: Sequence[TimedModel], settings: Latency, threads: int | None = None) -> str:
    """Hash everything that identifies a latency measurement.

    That is: the networks in their order, the settings, the machine's processor and GPU, and the libraries'
    versions.
    """
    asked = canonical(_with_threads(settings, threads))
    gpu = torch.cuda.get_device_name() if "cuda" in settings.devices and torch.cuda.is_available() else ""
    return digest([[s.profile for s in models], asked, machine()["processor"], gpu, _libraries(settings)])


def _libraries(settings: Latency) -> dict[str, str]:
    """Return the versions of the libraries that run the networks."""
    found: dict[str, str] = {"torch": str(torch.__version__)}
    if "onnxruntime" in settings.runtimes:
        try:
            found["onnxruntime"] = version("onnxruntime")
        except PackageNotFoundError:
            found["onnxruntime"] = "absent"
    return found


def measure_latency(
    models: Sequence[TimedModel],
    settings: Latency,
    out: Path,
    *,
    references: Sequence[str] = (),
    plugins: Sequence[Path] = (),
    objects: Sequence[Any] = (),
    threads: int | None = None,
) -> LatencyReport:
    """Time networks in turns, in separate processes that run one after the other.

    Nothing else should run in the meantime. If a network cannot be compiled, cannot be exported or does not
    fit into memory, its result is marked as skipped, with the reason.

    Args:
        models: the networks; each profile once.
        settings: how they are timed.
        out: file for pytest-benchmark's JSON, with all timed passes; not written if nothing could be timed.
        references: profiles that the others' speed-ups are relative to, such as teachers'.
        plugins: plugin files that the models may come from.
        objects: plugins that are objects, likewise.
        threads: CPU threads if the settings do not say; torch's default otherwise.

    Raises:
        KdbenchError: the process failed before it could time anything.
        KeyboardInterrupt: passed on; the process is stopped.
    """
    settings = _with_threads(settings, threads)
    started, before = now(), load_average()
    folder = temporary(out.absolute())  # beside the results, where the next run clears it away if this one is killed
    try:
        remove(folder)
        folder.mkdir(parents=True)
        raw, skipped = run_processes(models, settings, plugins, objects, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    after = load_average()
    if raw is not None:
        write_whole(out, json.dumps(raw, indent=1).encode())
    cases = [(setting, s.profile, s.label) for setting in settings_of(settings) for s in models]
    rounds = latency_statistics.rounds_of(raw or {})
    return LatencyReport(
        id=latency_id(models, settings),
        settings=settings,
        results=latency_statistics.results(cases, rounds, {(c.setting, c.model.profile): why for c, why in skipped}, settings),
        speedups=latency_statistics.speedups(rounds, references),
        machine={**machine(), **_libraries(settings)},
        clock=_clock(),
        load_before=before,
        load_after=after,
        started=started,
    )


def _with_threads(settings: Latency, threads: int | None) -> Latency:
    return settings.model_copy(update={"threads": settings.threads or threads or torch.get_num_threads()})


def _clock() -> str:
    info = time.get_clock_info("perf_counter")
    return f"{info.implementation}, resolution {info.resolution:g} s"
