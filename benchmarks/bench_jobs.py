"""What worker processes gain: wall time of ``kdbench run mnist --jobs 2`` over that of one process.

Run with ``pytest benchmarks/bench_jobs.py --benchmark-enable -s`` where ``KDBENCH_DATA`` names the real data, on a
machine with two free cores (2 epochs, 3 seeds, no latency). All ways run in turns; the students' bits are compared too.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROUNDS = int(os.environ.get("ROUNDS", "1"))
OPTIONS = ["--epochs", "2", "--seeds", "3", "--set", "measure.latency=false"]


def seconds(runs: Path, *options: str) -> float:
    """Wall time of a whole run, imports, data and report included."""
    command = [sys.executable, "-m", "kdbench", "run", os.environ.get("SUITE", "mnist"), "--runs", str(runs)]
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    begin = time.perf_counter()
    subprocess.run([*command, *OPTIONS, *options], check=True, capture_output=True, env=environment)
    return time.perf_counter() - begin


def weights(runs: Path) -> dict[str, str]:
    """Trial → digest of its student's weights."""
    found = (runs / "trials").glob("*/student.safetensors")
    return {path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def test_two_jobs_take_little_more_than_half_the_time(benchmark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Two workers against one process with torch's own threads, and with one thread."""
    if not os.environ.get("KDBENCH_DATA"):
        pytest.skip("set KDBENCH_DATA")
    ways = {"--jobs 2": ["--jobs", "2"], "--jobs 1": [], "--jobs 1 --threads 1": ["--threads", "1"]}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS):
        for name, options in ways.items():
            times[name].append(seconds(tmp_path / f"{name} {number}", *options))
    assert weights(tmp_path / "--jobs 2 0") == weights(tmp_path / "--jobs 1 --threads 1 0")
    benchmark.pedantic(lambda: None, rounds=1)
    for name in list(ways)[1:]:
        ratio = statistics.median(a / b for a, b in zip(times["--jobs 2"], times[name], strict=True))
        benchmark.extra_info[f"of {name}"] = ratio
        print(
            f"\n--jobs 2 takes {ratio:.2f} of the wall time of {name} ({min(times['--jobs 2']):.0f} s, {min(times[name]):.0f} s)"
        )
