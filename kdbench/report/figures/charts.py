"""All figures of a suite, for the page and as files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import partial

import pandas as pd

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.boards import Board, closeups, summary
from kdbench.analysis.classes import calibration, mean_confusion
from kdbench.analysis.epochs import LOSS, curves
from kdbench.analysis.ranking import aggregate, common_scores, differences, ranking
from kdbench.analysis.tradeoff import COSTS, tradeoff
from kdbench.errors import flat
from kdbench.report.figures.curves import axis_of, curve_figure, curve_sentence
from kdbench.report.figures.grids import grid_figure, grid_sentence, others_text
from kdbench.report.figures.predictions import (
    confusion_figure,
    confusion_sentence,
    reliability_figure,
    reliability_sentence,
)
from kdbench.report.figures.ranking import (
    critical_difference_figure,
    critical_difference_sentence,
    difference_figure,
    difference_sentence,
    iqm_figure,
    profile_figure,
)
from kdbench.report.figures.style import Chart, styled
from kdbench.report.figures.tradeoff import tradeoff_figure, tradeoff_sentence
from kdbench.report.text import slug
from kdbench.report.wording import Wording

COST_NAMES = {"macs": "MACs", "size_mb": "size", "latency_ms": "latency"}
"""Names of costs that differ from their columns'."""


SECTIONS = ("tradeoff", "ranking", "difference", "curves", "grid", "confusion", "reliability")
"""Kinds of figures."""


def charts(analysis: Analysis, kinds: Collection[str] = SECTIONS) -> list[Chart]:
    """Draw the figures that a suite's records have data for, in reading order.

    Args:
        analysis: analysis of the records.
        kinds: some of :data:`SECTIONS`; all by default.
    """
    words, boards = Wording(analysis.task), analysis.boards
    grids = partial(_grids, analysis)
    makers: dict[str, Callable[[Board, Wording], Iterator[Chart]]] = {
        "tradeoff": _tradeoffs,
        "difference": _differences,
        "curves": _curves,
        "grid": grids,
        "confusion": _confusions,
        "reliability": _reliabilities,
    }
    found: list[Chart] = []
    with styled():
        if "tradeoff" in kinds:
            found += _tradeoffs_of_pairs(boards, words)
        if "ranking" in kinds:
            found += _rankings(boards, words)
        for kind, maker in makers.items():
            for board in boards if kind in kinds else ():
                found += maker(board, words)
    return _unique(found)


def _unique(found: list[Chart]) -> list[Chart]:
    """Return the figures with unique stems."""
    taken: set[str] = set()
    named = []
    for chart in found:
        stem, number = chart.stem, 2
        while stem in taken:
            stem, number = f"{chart.stem}-{number}", number + 1
        taken.add(stem)
        named.append(replace(chart, stem=stem))
    return named


def _tradeoffs_of_pairs(boards: list[Board], words: Wording) -> Iterator[Chart]:
    """Yield figures that show all pairs of the same data together."""
    for fingerprint in dict.fromkeys(board.fingerprint for board in boards):
        same = [board for board in boards if board.fingerprint == fingerprint]
        if len(same) > 1:
            title = f"{len(same)} pairs, each with its best method"
            yield from _tradeoff(summary(same), title, f"pairs-{fingerprint[:8]}", words)


def _tradeoffs(board: Board, words: Wording) -> Iterator[Chart]:
    yield from _tradeoff(board.table, board.name, board.pair, words)


def _tradeoff(rows: pd.DataFrame, name: str, stem: str, words: Wording) -> Iterator[Chart]:
    for cost in COSTS:
        found = tradeoff(rows, cost, words.task)
        if len(found.points) > 1:
            title = f"{flat(name)}: {words.metric} against {COST_NAMES.get(cost, cost)}"
            drawn = tradeoff_figure(found, words)
            said = tradeoff_sentence(found, words)
            yield Chart(slug(words.task.primary, cost, stem), "tradeoff", title, said, drawn)


def _differences(board: Board, words: Wording) -> Iterator[Chart]:
    table = differences(board)
    if len(table):
        title = f"{flat(board.name)}: difference to the student alone"
        drawn = difference_figure(table, words)
        said = difference_sentence(board, table, words)
        yield Chart(slug("difference", board.pair), "difference", title, said, drawn)


def _curves(board: Board, words: Wording) -> Iterator[Chart]:
    for quantity in dict.fromkeys([*words.task.metrics, LOSS]):
        found = curves(board, quantity)
        if found:
            axis = axis_of(quantity, words.task)
            title = f"{flat(board.name)}: {axis.name} by epoch"
            said = curve_sentence(board, found, axis)
            yield Chart(slug("curves", quantity, board.pair), "curves", title, said, curve_figure(found, axis))


def _grids(analysis: Analysis, board: Board, words: Wording) -> Iterator[Chart]:
    for grid in analysis.slices(board):
        names = f"{grid.across} × {grid.down}" if grid.down else grid.across
        others = others_text(grid)
        title = f"{flat(board.name)}: {flat(grid.label)}, {flat(names)}" + (f" ({flat(others)})" if others else "")
        stem = slug("grid", board.pair, grid.label, others)
        yield Chart(stem, "grid", title, grid_sentence(grid, words), grid_figure(grid, words))


def _confusions(board: Board, words: Wording) -> Iterator[Chart]:
    classes = board.classes()
    for closeup in closeups(board):
        name = f"{flat(closeup.label)} ({words.reason(closeup.reason)})"
        found = mean_confusion(closeup, len(classes))
        drawn = confusion_figure(found, classes)
        said = confusion_sentence(closeup, found, classes, words)
        yield Chart(slug("confusion", board.pair, closeup.label), "confusion", f"{flat(board.name)}: {name}", said, drawn)


def _reliabilities(board: Board, words: Wording) -> Iterator[Chart]:
    for closeup in closeups(board):
        name = f"{flat(closeup.label)} ({words.reason(closeup.reason)})"
        found = calibration(closeup)
        drawn = reliability_figure(found, words)
        said = reliability_sentence(closeup, found, words)
        yield Chart(slug("reliability", board.pair, closeup.label), "reliability", f"{flat(board.name)}: {name}", said, drawn)


def _rankings(boards: list[Board], words: Wording) -> Iterator[Chart]:
    found = ranking(boards)
    if found is None:
        return
    said = critical_difference_sentence(found)
    drawn = critical_difference_figure(found)
    yield Chart("critical-difference", "ranking", "Critical differences of mean ranks", said, drawn)
    alone = next((b.baseline for b in boards), None)
    together = aggregate(boards, [str(m) for m in common_scores(boards).columns if m != alone])
    if together is None:
        return
    said = (
        f"Interquartile mean of the difference to the student alone over {len(boards)} pairs, with 95 % intervals, best first."
    )
    drawn = iqm_figure(together, words)
    yield Chart("interquartile-mean", "ranking", "Interquartile mean over pairs and seeds", said, drawn)
    said = "Share of runs, over pairs and seeds, that beat the student alone by more than τ, with 95 % bands, a panel a method."
    drawn = profile_figure(together, words)
    yield Chart("performance-profiles", "ranking", "Performance profiles", said, drawn)
