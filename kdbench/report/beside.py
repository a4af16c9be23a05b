"""The figure beside each pair's table in markdown: its file and its link."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from kdbench.analysis.boards import Board
from kdbench.report.text import escape, slug
from kdbench.report.wording import Wording

FOLDER = "figures"
Key = tuple[str, str]
"""Pair and fingerprint of the data."""
Figures = Callable[[Key], str]
"""Gives the markdown of the figure beside a pair's table; "" for none."""


def score_stems(boards: Sequence[Board]) -> dict[Key, str]:
    """Return the names of the figures of methods by metric, without their ending.

    There is one for each board with several finished methods.
    """
    found: dict[Key, str] = {}
    for board in boards:
        if (board.students()["finished"] > 0).sum() > 1:
            stem = slug(Wording(board.frame.task).task.primary, "methods", board.pair)
            taken = list(found.values())
            found[board.pair, board.fingerprint] = stem if stem not in taken else f"{stem}-{len(taken) + 1}"
    return found


def no_figures(key: Key) -> str:
    """Show tables alone."""
    return ""


def figures_in(boards: Sequence[Board], report: str = "") -> Figures:
    """Return the links to the figures of a report.

    Args:
        boards: the pairs.
        report: path of the report's folder from the markdown file's, with slashes; "" for the same.
    """
    stems = score_stems(boards)

    def link(key: Key) -> str:
        if key not in stems:
            return ""
        path = str(PurePosixPath(report, FOLDER, f"{stems[key]}.svg"))
        words = Wording(boards[0].frame.task)
        # An address in angle brackets may hold blanks and brackets.
        return f"![{words.metric_title} of each method, {escape(key[0])}](<{path}>)"

    return link
