"""Scores class by class."""

from __future__ import annotations

from dataclasses import dataclass

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.classes import class_scores
from kdbench.errors import flat
from kdbench.report.wording import Wording


@dataclass(frozen=True)
class ClassTable:
    """Scores of a board's networks, class by class.

    Args:
        name: name of the pair.
        networks: label and reason of each network.
        rows: class, number of test samples, and for each network precision, recall and F1 in percent.
    """

    name: str
    networks: list[str]
    rows: list[tuple[str, int, list[float]]]


def class_tables(analysis: Analysis) -> list[ClassTable]:
    """Return the tables of the boards whose predictions are known."""
    words = Wording(analysis.task)
    return [
        ClassTable(
            found.board.name,
            [f"{flat(p.label)} ({words.reason(p.reason)})" for p in found.predictions],
            [
                (flat(name), int(found.support[i]), [100 * float(score) for own in found.scores for score in own[:, i]])
                for i, name in enumerate(found.classes)
            ],
        )
        for found in class_scores(analysis.boards)
    ]
