"""A small runs folder and a report folder whose numbers are known, to be spoilt by cases."""

from __future__ import annotations

import atexit
import csv
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdbench.plan.trial import Entry, Trial
from kdbench.results.record import LatencyReport, LatencyResult, Record
from kdbench.results.seal import seal
from kdbench.results.store import Store
from kdbench.seeding import digest
from kdbench.suite.schema import Latency
from tests.faults.zygote import Result, Zygote
from tests.results import made

SAMPLES, CLASSES = 60, 4
SUITE = "made"


@cache
def zygote() -> Zygote:
    """One for the process."""
    return Zygote()


@cache
def originals() -> Path:
    """A folder with ``runs`` and ``report``, as kdbench writes them; never changed."""
    folder = Path(tempfile.mkdtemp(prefix="kdbench-fault-base-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    make_runs(folder / "runs", seeds=2)
    done = zygote().kdbench(["report", "runs", "--out", "report", "--format", "md,csv"], folder)
    assert done.code == 0, done.err
    assert not done.err, done.err
    return folder


def make_runs(folder: Path, seeds: int, samples: int = SAMPLES) -> Store:
    """A runs folder of a teacher and two methods."""
    store, rng = Store(folder), np.random.default_rng(0)
    store.open()
    targets = rng.integers(0, CLASSES, samples)
    rows: list[tuple[Trial, Entry]] = []
    teacher = made.trial("supervised", 0, model="resnet")
    rows.append((teacher, made.entry(teacher, "resnet", role="teacher")))
    for seed in range(seeds):
        for method in ("supervised", "kd"):
            trial = made.trial(method, seed, teachers=() if method == "supervised" else (teacher.id,))
            rows.append((trial, made.entry(trial, method, teachers=(teacher.id,))))
    for number, (trial, _) in enumerate(rows):
        logits = (rng.normal(size=(samples, CLASSES)) + 2 * np.eye(CLASSES)[targets]).astype(np.float32)
        store.save(
            _record(trial, logits, targets, number),
            history=[{"epoch": e, "loss": 1 / (e + number), "test_accuracy": e / 10, "train_seconds": 2.5} for e in (1.0, 2.0)],
            predictions={"logits": logits, "targets": targets},
            student={"weight": torch.ones(3, 3)},
        )
    store.save_plan(made.plan(*rows))
    for name, size in (("tiny_cnn", 106_826), ("resnet", 4_664_970)):
        store.save_profile(made.profile(name, size))
    store.save_latency(_latency())
    return store


def _record(trial: Trial, logits: np.ndarray, targets: np.ndarray, number: int) -> Record:
    right = float((logits.argmax(1) == targets).mean())
    loss = float(torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(targets)))
    data = {"name": "digits", "fingerprint": trial.data.fingerprint, "classes": list("abcd"), "train": 80, "test": len(targets)}
    found = made.record(trial, right, right - 0.01, data=data)
    metrics = {**found.metrics, "test": {"accuracy": right, "loss": loss}}
    costs = found.costs.model_copy(update={"wall_seconds": 10.25 + number})
    return found.model_copy(update={"metrics": metrics, "costs": costs})


def _latency() -> LatencyReport:
    results = tuple(
        LatencyResult(
            profile=made.profile_id(name), model=name, device="cpu", runtime="eager", batch_size=1,
            threads=1, median_ms=ms, p90_ms=ms, p99_ms=ms, iqr_ms=ms / 10, min_ms=ms, mean_ms=ms, rounds=9, samples_per_second=1000 / ms, stable=True,
        )
        for name, ms in (("tiny_cnn", 2.0), ("resnet", 10.0))
    )  # fmt: skip
    return LatencyReport(
        id=digest("latency"), settings=Latency(), results=results, machine={}, clock="c", started="2026-01-01T00:00:00+00:00"
    )


def rewrite(path: Path, content: Mapping[str, Any], *, sealed: bool = True) -> None:
    """Write a JSON file as a forger does, with a digest that fits."""
    plain = {k: v for k, v in content.items() if k != "digest"}
    try:
        path.write_text(json.dumps(seal(plain) if sealed else plain))
    except ValueError:  # numbers that JSON does not have
        path.write_text(json.dumps(plain))


def state(folder: Path) -> dict[str, tuple[str, int, str]]:
    """What is in a folder: kind, mode and content of everything, without following links."""
    found = {}
    for top, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(top) / name
            about = path.lstat()
            link, regular = stat.S_ISLNK(about.st_mode), stat.S_ISREG(about.st_mode)
            if regular and about.st_size > 50_000_000:
                content = f"{about.st_size} {about.st_mtime_ns}"
            else:
                content = os.readlink(path) if link else hashlib.sha256(path.read_bytes()).hexdigest() if regular else ""
            found[str(path.relative_to(folder))] = (str(stat.S_IFMT(about.st_mode)), stat.S_IMODE(about.st_mode), content)
    return found


def rows(folder: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    """Rows of ``trials.csv`` by trial, role and label."""
    with (folder / "trials.csv").open(newline="") as file:
        return {(row["trial"], row["role"], row["label"]): row for row in csv.DictReader(file)}


def complaint(done: Result, most_mb: float = 1024) -> str:
    """What is wrong with how a command ended, whatever it was given."""
    text = done.out + done.err
    if done.timed_out:
        return f"took over {done.seconds:.0f} s"
    if done.code not in (0, 1, 2):
        return f"exit {done.code}: {done.err.strip()[-200:]}"
    if "Traceback" in text or "internal error" in text:
        return f"a traceback: {done.err.strip()[-200:]}"
    if done.code == 2 and not done.err.strip():
        return "exit 2 without a word"
    if done.peak_mb > most_mb:
        return f"took {done.peak_mb:.0f} MB"
    unusual = {c for c in text if not c.isprintable() and c not in "\n\t"}
    return f"prints {unusual!r}" if unusual else ""


def leaves(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value, as its container and the key or index in that."""
    found: list[tuple[Any, Any]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        found += [(value, key), *leaves(part)]
    return found
