"""A suite that trains in a second or two, and ways to look at what it left."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from kdbench.engine.prepare import Prepared, prepare
from kdbench.engine.progress import Progress
from kdbench.engine.suite import Summary, run_suite
from kdbench.results.store import Store
from kdbench.suite.load import load_suite

TIMES = ["train_seconds", "samples_per_second"]
"""Columns of a history that differ from run to run."""


def write_suite(folder: Path, *, name: str = "small", **changes: Any) -> Path:
    """Write a suite of 160 training images of 8×8 pixels, 2 epochs, 1 seed, no latency, and whatever ``changes`` say."""
    suite: dict[str, Any] = {
        "dataset": {"name": "digits", "limit": 160, "validation": 0.2},
        "networks": {
            "big": {"model": "tiny_cnn", "kwargs": {"width": 6}},
            "other": {"model": "mnist_mlp"},
        },
        "pairs": [{"name": "pair", "student": {"model": "tiny_cnn", "kwargs": {"width": 2}}, "teachers": ["big", "other"]}],
        "methods": ["supervised", "kd"],
        "seeds": 1,
        "recipe": {"epochs": 2, "batch_size": 32, "lr": 0.05},
        "measure": {"latency": False},
    }
    suite.update(changes)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(suite, sort_keys=False))
    return path


def prepared(path: Path, *, cohorts: bool = True, plugins: tuple[Path, ...] = (), **load: Any) -> Prepared:
    """Load and check a suite."""
    return prepare(load_suite(path, **load), path.parent, plugins=plugins, cohorts=cohorts)


def run(
    path: Path, runs: Path, *, progress: Progress | None = None, fresh: bool = False, remeasure: bool = False, **options: Any
) -> Summary:
    """Run a suite on the CPU."""
    return run_suite(
        prepared(path, **options),
        Store(runs),
        device=torch.device("cpu"),
        fresh=fresh,
        remeasure=remeasure,
        progress=progress,
        command="test",
    )


def bits(runs: Path) -> dict[str, tuple[str, str, dict[str, dict[str, float]]]]:
    """What must not depend on how a trial was run: id → digest of the weights, of the predictions, the metrics."""
    store = Store(runs)
    return {
        i: (r.files["student.safetensors"], _digest(store, i), dict(r.metrics))
        for i, r in store.records().items()
        if r.status == "finished"
    }


def histories(runs: Path) -> dict[str, pd.DataFrame]:
    """Histories without times, by trial id."""
    store = Store(runs)
    return {
        i: store.history(i).drop(columns=TIMES, errors="ignore") for i, r in store.records().items() if r.status == "finished"
    }


def _digest(store: Store, trial: str) -> str:
    arrays = store.predictions(trial)
    return str({k: hashlib.sha256(v.tobytes()).hexdigest() for k, v in sorted(arrays.items())})
