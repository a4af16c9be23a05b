"""Latency of networks, measured by pytest-benchmark in a process of its own, the networks in turns."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from kdbench.measure import latency_statistics
from kdbench.measure.latency_process import Subject, run_processes, settings_of
from kdbench.measure.machine import load_average, machine, now
from kdbench.plan.identity import canonical
from kdbench.results.files import write_whole
from kdbench.results.record import LatencyReport
from kdbench.seeding import digest
from kdbench.suite.schema import Latency


def latency_id(subjects: Sequence[Subject], settings: Latency, threads: int | None = None) -> str:
    """Digest of the networks in their order, the settings, the machine's processor and GPU, and the libraries' versions."""
    asked = canonical(_with_threads(settings, threads))
    gpu = torch.cuda.get_device_name() if "cuda" in settings.devices and torch.cuda.is_available() else ""
    return digest([[s.profile for s in subjects], asked, machine()["processor"], gpu, _libraries(settings)])


def _libraries(settings: Latency) -> dict[str, str]:
    """Versions of what runs the networks: another one is another measurement."""
    found: dict[str, str] = {"torch": str(torch.__version__)}
    if "onnxruntime" in settings.runtimes:
        try:
            found["onnxruntime"] = version("onnxruntime")
        except PackageNotFoundError:
            found["onnxruntime"] = "absent"
    return found


def measure_latency(
    subjects: Sequence[Subject],
    settings: Latency,
    out: Path,
    *,
    references: Sequence[str] = (),
    plugins: Sequence[Path] = (),
    objects: Sequence[Any] = (),
    threads: int | None = None,
) -> LatencyReport:
    """Time networks in turns, in processes of their own, one after the other; nothing else should run meanwhile.

    What a network cannot do (compile, be exported, fit into memory) is a skipped result with its reason.

    Args:
        subjects: the networks; each profile once.
        settings: how they are timed.
        out: where pytest-benchmark's JSON is kept, with all timed passes; not written if nothing could be timed.
        references: profiles that the others' speed-ups are relative to, such as teachers'.
        plugins: plugin files that the models may come from.
        objects: plugins that are objects, likewise.
        threads: threads on the CPU, where the settings do not say; torch's own number by default.

    Raises:
        KdbenchError: the process failed before it could time anything.
        KeyboardInterrupt: as it came; the process is stopped.
    """
    settings = _with_threads(settings, threads)
    started, before = now(), load_average()
    with tempfile.TemporaryDirectory(prefix="kdbench-latency-") as folder:
        raw, skipped = run_processes(subjects, settings, plugins, objects, Path(folder))
    after = load_average()
    if raw is not None:
        write_whole(out, json.dumps(raw, indent=1).encode())
    cases = [(setting, s.profile, s.label) for setting in settings_of(settings) for s in subjects]
    rounds = latency_statistics.rounds_of(raw or {})
    return LatencyReport(
        id=latency_id(subjects, settings),
        settings=settings,
        results=latency_statistics.results(
            cases, rounds, {(c.setting, c.subject.profile): why for c, why in skipped}, settings
        ),
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
