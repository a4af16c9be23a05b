"""Time and memory of ``kdbench report`` and ``kdbench plan`` on suites of thousands of trials.

``python benchmarks/bench_report.py [TRIALS]`` makes up a runs folder (digits, one pair, a method with a grid, 50 seeds, random
predictions of a test set of 360), reports on it in a process of its own, and prints seconds and peak memory of each step.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SEEDS = 50
TEST = 360


def suite(trials: int) -> str:
    """A suite with about so many trials."""
    points = max(1, trials // SEEDS - 1)
    temperatures = ", ".join(f"{1 + k / 8:g}" for k in range(points))
    return f"""
name: many
dataset: digits
networks: {{big: {{model: mnist_mlp}}}}
pairs: [{{name: pair, student: {{model: tiny_cnn}}, teachers: [big]}}]
methods: [supervised, {{method: kd, grid: {{temperature: [{temperatures}]}}}}]
seeds: {SEEDS}
recipe: {{epochs: 3, batch_size: 64}}
measure: {{latency: false}}
"""


def make(folder: Path, trials: int) -> int:
    """Write a runs folder with a finished record of every trial; how many there are."""
    from kdbench.engine import environment
    from kdbench.engine.outcome import data_facts
    from kdbench.engine.prepare import prepare
    from kdbench.measure.machine import now
    from kdbench.results import store as stores
    from kdbench.results.record import Costs, Provenance, Record
    from kdbench.suite.load import load_suite
    from kdbench.train.networks import interface_of, profile_id

    stores.flush = lambda path: None  # thousands of flushes would take longer than all else
    path = folder / "many.yaml"
    path.write_text(suite(trials))
    prepared = prepare(load_suite(path), folder)
    store = stores.Store(folder / "runs")
    store.open()
    store.save_plan(prepared.plan)
    for profile in prepared.profiles.values():
        store.save_profile(profile)
    generator = np.random.default_rng(0)
    targets = prepared.data.test.targets.numpy()
    facts = data_facts(prepared.data)
    provenance = Provenance(
        suite="many",
        command="made up",
        kdbench="0",
        commit="",
        method_digest="",
        libraries=environment.libraries(),
        machine=environment.machine(),
        device="cpu",
        threads=1,
        started=now(),
        finished=now(),
    )
    for trial in prepared.plan.trials.values():
        logits = generator.normal(size=(len(targets), 10)).astype(np.float32)
        logits[np.arange(len(targets)), targets] += 3
        scores = prepared.task.scores(*_tensors(logits, targets))
        interface = interface_of(trial, prepared.data, prepared.registry)
        record = Record(
            trial=trial,
            status="finished",
            metrics={"train": scores, "validation": scores, "test": scores},
            profile=profile_id(trial, interface, prepared.registry),
            costs=Costs(),
            data={**facts, "inputs": interface.spec},
            provenance=provenance,
        )
        rows = [{"epoch": float(e + 1), "lr": 0.1, "loss": 1.0, "test_accuracy": 50.0 + e} for e in range(3)]
        store.save(record, history=rows, predictions=prepared.task.predictions(*_tensors(logits, targets)))
    return len(prepared.plan.trials)


def _tensors(logits: np.ndarray, targets: np.ndarray):  # type: ignore[no-untyped-def]
    import torch

    return torch.from_numpy(logits), torch.from_numpy(targets)


def measure(*arguments: str, folder: Path) -> None:
    """Print seconds and peak memory of a command."""
    begin = time.perf_counter()
    code = (
        "import sys, resource; sys.argv = ['kdbench', *sys.argv[1:]]\n"
        "from kdbench.cli.main import main\n"
        "try: main()\n"
        "finally: print('MB', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    megabytes = done.stderr.rpartition("MB ")[2].strip()
    print(f"{' '.join(arguments)}: {time.perf_counter() - begin:.1f} s, {megabytes} MB, status {done.returncode}", flush=True)


def main() -> None:
    """Make up a runs folder and measure."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begin = time.perf_counter()
        count = make(folder, trials)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000
        print(f"{count} trials made up in {time.perf_counter() - begin:.0f} s, {peak} MB", flush=True)
        measure("report", "many", "--runs", "runs", folder=folder)
        measure("report", "runs/reports/many", folder=folder)
        measure("plan", "many.yaml", "--runs", "runs", folder=folder)


if __name__ == "__main__":
    main()
