"""Frames with all that a report can show, from random numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.frame import frame_of
from kdbench.results.evidence import Evidence
from tests.results import made
from tests.results.made import FINGERPRINT, Row, row

FAMILIES = {
    "kd": "logit",
    "dkd": "logit",
    "dist": "logit",
    "fitnets": "feature",
    "vid": "feature",
    "at": "attention",
    "rkd": "relation",
    "sp": "relation",
    "tf_kd": "self",
    "mean_teachers": "multi_teacher",
    "dml": "online",
}
PROFILES = (made.profile(), made.profile("resnet", 4_664_970), made.profile("wide", 1_200_000))
STUDENTS = [("tiny_cnn", 0.90), ("wide", 0.93), ("deep", 0.91), ("slim", 0.87)]
"""A network and its accuracy for each pair: pairs with the same student would share their trials."""
GRID = [{"temperature": t, "alpha": a} for t in (1.0, 2.0, 4.0, 8.0) for a in (0.1, 0.5, 0.9)]


def scene(
    *,
    pairs: Sequence[str] = ("one", "two"),
    methods: Sequence[str] = tuple(FAMILIES),
    seeds: int = 3,
    samples: int = 1000,
    classes: Sequence[str] = "0123456789",
    epochs: int = 8,
    grid: bool = True,
    **changes: str,
) -> Analysis:
    """A suite of made-up results: a teacher, methods and a grid for each pair, with predictions and curves."""
    random = np.random.default_rng(0)
    data = {
        "name": "digits",
        "fingerprint": FINGERPRINT,
        "classes": list(classes),
        "train": 800,
        "validation": 100,
        "test": samples,
    }
    targets = random.integers(len(classes), size=samples)
    rows: list[Row] = []
    evidence = Evidence(targets={FINGERPRINT: targets}, classes={}, confidences={}, histories={}, scores={})

    def add(label: str, mean: float, seed: int, model: str, **more: object) -> Row:
        test = float(np.clip(mean + random.normal(0, 0.004), 0, 1))
        new = row(label, test, seed, model=model, data=data, validation=test - 0.003, **more)
        rows.append(new)
        _leave(evidence, new[0].id, test, targets, len(classes), epochs, random)
        return new

    for p, pair in enumerate(pairs):
        model, base = STUDENTS[p]
        teacher = add("resnet", 0.985, 0, "resnet", method="supervised", role="teacher", pair=pair, family="baseline")[0]
        for seed in range(seeds):
            add("supervised", base, seed, model, method="supervised", pair=pair, family="baseline")
            for i, label in enumerate(methods):
                taught = {"pair": pair, "family": FAMILIES.get(label, "logit"), "taught_by": [teacher]}
                add(label, base + 0.002 * (len(methods) - i) - 0.006, seed, model, **taught)
            for point in GRID if grid else ():
                shift = -0.01 * abs(np.log2(point["temperature"] / 4)) - 0.01 * abs(point["alpha"] - 0.9)
                add("kd-grid", base + 0.03 + shift, seed, model, method="kd", pair=pair, grid_point=point, taught_by=[teacher])
            for beta in (0.5, 1.0, 2.0, 8.0) if grid else ():
                add(
                    "dkd-beta",
                    base + 0.01 - 0.002 * beta,
                    seed,
                    model,
                    method="dkd",
                    pair=pair,
                    grid_point={"beta": beta},
                    taught_by=[teacher],
                )
    bare = made.frame(*rows, profiles=PROFILES, **changes)
    return Analysis(frame_of(bare.plan, bare.records, bare.profiles, evidence))


def _leave(
    evidence: Evidence, trial: str, test: float, targets: np.ndarray, classes: int, epochs: int, random: np.random.Generator
) -> None:
    """Predictions of this accuracy, and a curve that ends in it."""
    right = random.random(len(targets)) < test
    predicted = np.where(right, targets, (targets + random.integers(1, min(classes, 4), size=len(targets))) % classes)
    sure = np.clip(np.where(right, 0.97, 0.7) + random.normal(0, 0.15, len(targets)), 1 / classes, 1)
    evidence.classes[trial] = predicted.astype(np.uint16)  # type: ignore[index]
    evidence.confidences[trial] = np.rint(255 * sure).astype(np.uint8)  # type: ignore[index]
    epoch = np.arange(1, epochs + 1, dtype=float)
    curve = test - 0.3 * np.exp(-epoch * 6 / epochs) + random.normal(0, 0.003, epochs)
    table = {"epoch": epoch, "validation_accuracy": curve, "test_accuracy": curve - 0.004, "loss": 2 - curve}
    losses = {"validation_loss": 2.2 * (1.02 - curve), "test_loss": 2.3 * (1.02 - curve)}
    evidence.histories[trial] = pd.DataFrame({**table, **losses})  # type: ignore[index]
    evidence.scores[trial] = {"ece": 0.03, "macro_f1": test}  # type: ignore[index]
