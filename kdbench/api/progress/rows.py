"""The table of members in training that displays show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kdbench.api.progress.words import Words
from kdbench.plan.trial import Cohort, Trial

MOST_ROWS = 20
"""Most rows shown at a time."""


class Rows:
    """A row for each trial in training.

    It shows name, network, epoch, loss, and the primary metric on each split.

    Args:
        words: formats names and numbers.
    """

    def __init__(self, words: Words) -> None:
        self._words = words
        self._rows: dict[str, list[str]] = {}  # by trial: two may have the same label

    def open(self, cohort: Cohort, labels: Sequence[str]) -> None:
        """Add the members of a cohort."""
        for trial, label in zip(cohort.trials, labels, strict=True):
            self._rows[trial] = [label, self._words.model(trial), "0", "–", "–", "–", "–"]

    def update(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        """Put the results of an epoch into a member's row."""
        loss = metrics.get("loss")
        self._rows[trial.id] = [
            self._words.name(trial),
            self._words.model(trial.id),
            str(epoch),
            "–" if loss is None else f"{loss:.4f}",
            *(self._words.value(metrics, split) for split in ("train", "validation", "test")),
        ]

    def close(self, cohort: Cohort) -> None:
        """Remove the members of a cohort."""
        for trial in cohort.trials:
            self._rows.pop(trial, None)

    def headings(self) -> list[str]:
        """Return the columns' headings."""
        return ["member", "network", "epoch", "loss", *map(self._words.column, ("train", "val", "test"))]

    def shown(self) -> list[list[str]]:
        """Return the first rows, and a row with the number of the others."""
        rows = list(self._rows.values())
        return rows[:MOST_ROWS] + ([[f"… and {len(rows) - MOST_ROWS} more"]] if len(rows) > MOST_ROWS else [])
