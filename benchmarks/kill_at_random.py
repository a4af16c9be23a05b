"""Kills processes of ``kdbench run digits --jobs 2`` at random moments: the bits must be those of a quiet run.

``python benchmarks/kill_at_random.py [MOMENTS] [SEED]``: at each moment one process dies by SIGKILL, the main process
(the run is then started again) or one of its workers. Runs follow one another until all moments have been used. Exits
with 1 at the first difference.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

OPTIONS = ["--epochs", "4", "--seeds", "2", "--threads", "1", "--jobs", "2", "--set", "measure.latency=false"]
SUITE = os.environ.get("SUITE", "digits")


def start(runs: Path) -> subprocess.Popen[bytes]:
    """Start, or go on with, a run."""
    command = [sys.executable, "-m", "kdbench", "run", SUITE, "--runs", str(runs), *OPTIONS]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def bits(runs: Path) -> dict[str, tuple[str, ...]]:
    """Trial → digests of its weights and of its history without times."""
    found = {}
    for folder in (runs / "trials").iterdir():
        weights = (folder / "student.safetensors").read_bytes()
        history = [",".join(line.split(",")[:-2]) for line in (folder / "history.csv").read_text().splitlines()]
        found[folder.name] = (hashlib.sha256(weights).hexdigest(), *history)
    return found


def left(runs: Path) -> list[Path]:
    """What should not be there after a run."""
    return [p for p in runs.rglob("*") if "tmp-" in p.name or p.parent.name in ("checkpoints", "quarantine")]


def finish(process: subprocess.Popen[bytes], family: list[psutil.Process], runs: Path | None = None) -> None:
    """Wait for a run that nobody disturbs. Trials that lost two workers in one epoch have failed: a next run trains them."""
    _, err = process.communicate(timeout=1800)
    if process.returncode == 1 and b"WorkerDied" in err and runs is not None:
        print("a trial was given up, and is tried again", flush=True)
        finish(start(runs), [])
    elif process.returncode != 0:
        sys.exit(f"the run ended with {process.returncode}: {err.decode()[-2000:]}")
    psutil.wait_procs(family, timeout=30)
    if alive := [p for p in family if p.is_running()]:
        sys.exit(f"processes are left: {alive}")


def main(moments: int, seed: int) -> None:
    """Kill and compare."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        begin = time.monotonic()
        finish(start(whole), [])
        length = time.monotonic() - begin
        expected = bits(whole)
        print(f"{len(expected)} trials, uninterrupted in {length:.0f} s", flush=True)
        runs, process, number = Path(folder) / "0", start(Path(folder) / "0"), 0
        while number < moments:
            time.sleep(rng.uniform(0, 0.7 * length))
            if process.poll() is not None:  # it ended before the moment came: begin a new run, and kill sooner
                length *= 0.8
                finish(process, [], runs)
                compare(runs, expected)
                runs = Path(folder) / str(number)
                process = start(runs)
                continue
            try:
                workers = psutil.Process(process.pid).children()
            except psutil.NoSuchProcess:
                continue
            number += 1
            if workers and rng.random() < 0.6:
                victim = rng.choice(workers)
                print(f"{number}: a worker is killed", flush=True)
                victim.kill()
            else:
                print(f"{number}: the main process is killed", flush=True)
                process.kill()
                process.communicate()
                process = start(runs)
        finish(process, psutil.Process(process.pid).children(), runs)
        compare(runs, expected)
        print("all bits are equal, and nothing is left behind")


def compare(runs: Path, expected: dict[str, tuple[str, ...]]) -> None:
    """Exit when a run did not end as it should."""
    if bits(runs) != expected:
        sys.exit(f"{runs}: other bits")
    if found := left(runs):
        sys.exit(f"{runs}: left behind: {found}")
    print(f"{len(expected)} trials with the same bits", flush=True)


if __name__ == "__main__":
    main(*(int(a) for a in [*sys.argv[1:], *("20", "0")[len(sys.argv) - 1 :]]))
