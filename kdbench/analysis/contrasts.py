"""Who is told apart from whom: comparisons of rows, paired by seed and by test image."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from kdbench.analysis.frame import SuiteFrame
from kdbench.analysis.statistics import (
    LEVEL,
    Estimate,
    effect_size,
    holm,
    image_interval,
    image_test,
    paired_difference,
    places,
    t_test,
)

FEW_SEEDS = 5
"""With fewer seeds than this, places are given by the test images: Student's t can tell next to nothing apart."""
NAN = float("nan")
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Runs:
    """The finished trials of one row.

    Args:
        accuracies: seed → test accuracy.
        correct: seed → which test samples are right, N; empty where predictions were not kept.
    """

    accuracies: Mapping[int, float]
    correct: Mapping[int, np.ndarray]

    @classmethod
    def of(cls, frame: SuiteFrame, rows: pd.DataFrame) -> Runs:
        """The trials of these rows that finished."""
        finished = rows[rows["status"] == "finished"]
        correct = {
            int(seed): right
            for seed, trial, fingerprint in zip(finished["seed"], finished["trial"], finished["fingerprint"], strict=True)
            if (right := frame.evidence.correct(trial, fingerprint)) is not None
        }
        return cls({int(k): v for k, v in zip(finished["seed"], finished["test_accuracy"], strict=True)}, correct)


@dataclass(frozen=True)
class Contrast:
    """A row against another.

    Args:
        delta: difference of accuracies over the seeds that both have.
        effect_size: Cohen's d of the pairs.
        p_seeds: of the paired t test over seeds.
        image_low: lower end of the 95 % interval over test images, for these trained networks.
        image_high: upper end.
        p_images: of the paired test over test images.
    """

    delta: Estimate
    effect_size: float
    p_seeds: float
    image_low: float
    image_high: float
    p_images: float


def contrast(own: Runs, other: Runs) -> Contrast:
    """Compare two rows over the seeds that both have."""
    values, others = _paired(own.accuracies, other.accuracies)
    low, high, p_images = NAN, NAN, NAN
    if (images := _images(own, other)) is not None:
        (low, high), p_images = image_interval(*images), image_test(*images)
    return Contrast(paired_difference(values, others), effect_size(values, others), t_test(values, others), low, high, p_images)


def contrast_columns(
    rows: Mapping[K, Runs], baseline: Runs, *, prefix: str = "", images: bool = True
) -> dict[K, dict[str, float | str]]:
    """Columns of the rows' comparisons with one baseline, p values corrected for being many (Holm).

    Args:
        rows: key of a row → runs.
        baseline: what all are compared with.
        prefix: of the columns' names.
        images: whether to give the columns of tests and images too.
    """
    found = {label: contrast(runs, baseline) for label, runs in rows.items()}
    p_seeds = dict(zip(found, holm([c.p_seeds for c in found.values()]), strict=True))
    p_images = dict(zip(found, holm([c.p_images for c in found.values()]), strict=True))
    columns: dict[K, dict[str, float | str]] = {}
    for label, one in found.items():
        columns[label] = {
            f"delta{prefix}": one.delta.mean,
            f"delta{prefix}_low": one.delta.low,
            f"delta{prefix}_high": one.delta.high,
            f"delta{prefix}_seeds": one.delta.count,
        }
        if images:
            told = "seeds" if p_seeds[label] < 1 - LEVEL else "images" if p_images[label] < 1 - LEVEL else ""
            columns[label] |= {
                "effect_size": one.effect_size,
                "p_seeds": p_seeds[label],
                "delta_images_low": one.image_low,
                "delta_images_high": one.image_high,
                "p_images": p_images[label],
                "significant": told,
            }
    return columns


def shared_places(rows: Sequence[Runs]) -> list[int]:
    """Places of rows, as :func:`kdbench.analysis.statistics.places` gives them; 0 for a row without a finished trial."""
    p_values = np.full((len(rows), len(rows)), NAN)
    for i, j in itertools.combinations(range(len(rows)), 2):
        p_values[i, j] = p_values[j, i] = _told_apart(rows[i], rows[j])
    means = [float(np.mean(list(r.accuracies.values()))) if r.accuracies else NAN for r in rows]
    return places(means, p_values)


def _told_apart(own: Runs, other: Runs) -> float:
    values, others = _paired(own.accuracies, other.accuracies)
    images = None if len(values) >= FEW_SEEDS else _images(own, other)
    return t_test(values, others) if images is None else image_test(*images)


def _paired(own: Mapping[int, float], other: Mapping[int, float]) -> tuple[list[float], list[float]]:
    seeds = sorted(set(own) & set(other))
    return [own[s] for s in seeds], [other[s] for s in seeds]


def _images(own: Runs, other: Runs) -> tuple[np.ndarray, np.ndarray] | None:
    seeds = sorted(set(own.correct) & set(other.correct))
    if not seeds or len({len(runs.correct[s]) for runs in (own, other) for s in seeds}) > 1:
        return None
    return np.stack([own.correct[s] for s in seeds]), np.stack([other.correct[s] for s in seeds])
