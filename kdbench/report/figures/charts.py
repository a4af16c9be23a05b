"""All figures of a suite, for the page and as files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.boards import Board, Predictions, closeups, column, summary
from kdbench.analysis.classes import calibration, mean_confusion
from kdbench.analysis.epochs import LOSS, curves
from kdbench.analysis.ranking import aggregate, common_scores, differences, ranking, scores
from kdbench.analysis.task import metric_column
from kdbench.analysis.tradeoff import costs, tradeoff
from kdbench.errors import flat
from kdbench.report.beside import score_stems
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
    score_figure,
    score_sentence,
)
from kdbench.report.figures.style import Chart, Look, colours, styled
from kdbench.report.figures.tradeoff import tradeoff_figure, tradeoff_sentence
from kdbench.report.text import slug
from kdbench.report.wording import Wording

COST_NAMES = {"macs": "MACs", "size_mb": "size", "latency_ms": "latency"}
"""Names of costs that differ from their columns'."""

SECTIONS = ("scores", "tradeoff", "ranking", "difference", "curves", "grid", "confusion", "reliability")
"""Kinds of figures."""


@dataclass(frozen=True)
class _Drawing:
    """What figures of one report share.

    Args:
        analysis: the tables.
        words: words of the task.
        looks: family → colour and mark.
        drawn: trials whose close-ups have been drawn, so that a teacher of several pairs is drawn once.
    """

    analysis: Analysis
    words: Wording
    looks: Mapping[str, Look]
    drawn: dict[str, set[tuple[str, ...]]] = field(default_factory=dict)

    def by_method(self, boards: Sequence[Board]) -> dict[str, Look]:
        """Return the colour and mark of each method's family."""
        return {label: self.looks[family] for label, family in families(boards).items()}

    def closeups(self, board: Board, kind: str) -> Iterator[Predictions]:
        """Yield the networks of a board that no figure of this kind has shown."""
        for closeup in closeups(board):
            known = self.drawn.setdefault(kind, set())
            if closeup.trials not in known:
                known.add(closeup.trials)
                yield closeup


def charts(analysis: Analysis, kinds: Collection[str] = SECTIONS) -> list[Chart]:
    """Draw the figures that a suite's records have data for, in reading order.

    Args:
        analysis: analysis of the records.
        kinds: some of :data:`SECTIONS`; all by default.
    """
    boards = analysis.boards
    every = [entry.family for entry in analysis.plan.entries if entry.role == "student"]
    drawing = _Drawing(analysis, Wording(analysis.task), colours(every))
    makers: dict[str, Callable[[_Drawing, Board], Iterator[Chart]]] = {
        "scores": _scores,
        "tradeoff": _tradeoffs,
        "difference": _differences,
        "curves": _curves,
        "grid": _grids,
        "confusion": _confusions,
        "reliability": _reliabilities,
    }
    found: list[Chart] = []
    with styled():
        if "tradeoff" in kinds:
            found += _tradeoffs_of_pairs(drawing, boards)
        if "ranking" in kinds:
            found += _rankings(drawing, boards)
        for kind, maker in makers.items():
            for board in boards if kind in kinds else ():
                found += maker(drawing, board)
    return _unique(found)


def families(boards: Sequence[Board]) -> dict[str, str]:
    """Return the family of each method."""
    return {str(k): str(v) for b in boards for k, v in zip(b.students()["label"], b.students()["family"], strict=True)}


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


def _scores(of: _Drawing, board: Board) -> Iterator[Chart]:
    stem = score_stems(of.analysis.boards).get((board.pair, board.fingerprint))
    if stem is not None:
        table, words = scores(board), of.words
        helpers = board.table[(board.table["role"] == "teacher") & column(board.table, metric_column(words.task)).notna()]
        teachers = dict(zip(helpers["label"].astype(str), column(helpers, metric_column(words.task)), strict=True))
        drawn = score_figure(table, teachers, of.looks, words)
        title = f"{flat(board.name)}: test {words.metric} by method"
        yield Chart(stem, "scores", title, score_sentence(board, table, teachers, words), drawn)


def _tradeoffs_of_pairs(of: _Drawing, boards: list[Board]) -> Iterator[Chart]:
    """Yield figures that show all pairs of the same data together."""
    for fingerprint in dict.fromkeys(board.fingerprint for board in boards):
        same = [board for board in boards if board.fingerprint == fingerprint]
        if len(same) > 1:
            title = f"{len(same)} pairs, each with its best method"
            yield from _tradeoff(of, summary(same), title, f"pairs-{fingerprint[:8]}")


def _tradeoffs(of: _Drawing, board: Board) -> Iterator[Chart]:
    yield from _tradeoff(of, board.table, board.name, board.pair)


def _tradeoff(of: _Drawing, rows: pd.DataFrame, name: str, stem: str) -> Iterator[Chart]:
    words = of.words
    for cost in costs(rows):
        found = tradeoff(rows, cost, words.task)
        if len(found.points) > 1:
            title = f"{flat(name)}: {words.metric} against {COST_NAMES.get(cost, cost)}"
            drawn = tradeoff_figure(found, of.looks, words)
            yield Chart(slug(words.task.primary, cost, stem), "tradeoff", title, tradeoff_sentence(found, words), drawn)


def _differences(of: _Drawing, board: Board) -> Iterator[Chart]:
    table, words = differences(board), of.words
    if len(table):
        title = f"{flat(board.name)}: difference to the student alone"
        drawn = difference_figure(table, of.looks, words)
        yield Chart(slug("difference", board.pair), "difference", title, difference_sentence(board, table, words), drawn)


def _curves(of: _Drawing, board: Board) -> Iterator[Chart]:
    task = of.words.task
    for quantity in dict.fromkeys([*task.metrics, LOSS]):
        found = curves(board, quantity)
        if found:
            axis = axis_of(quantity, task)
            title = f"{flat(board.name)}: {axis.name} by epoch"
            drawn = curve_figure(found, axis, of.by_method([board]))
            yield Chart(slug("curves", quantity, board.pair), "curves", title, curve_sentence(board, found, axis), drawn)


def _grids(of: _Drawing, board: Board) -> Iterator[Chart]:
    for grid in of.analysis.slices(board):
        names = f"{grid.across} × {grid.down}" if grid.down else grid.across
        others = others_text(grid)
        title = f"{flat(board.name)}: {flat(grid.label)}, {flat(names)}" + (f" ({flat(others)})" if others else "")
        stem = slug("grid", board.pair, grid.label, others)
        yield Chart(stem, "grid", title, grid_sentence(grid, of.words), grid_figure(grid, of.words))


def _confusions(of: _Drawing, board: Board) -> Iterator[Chart]:
    classes = board.classes()
    for closeup in of.closeups(board, "confusion"):
        found = mean_confusion(closeup, len(classes))
        drawn = confusion_figure(found, classes)
        said = confusion_sentence(closeup, found, classes, of.words)
        yield Chart(slug("confusion", board.pair, closeup.label), "confusion", _of_network(of, board, closeup), said, drawn)


def _reliabilities(of: _Drawing, board: Board) -> Iterator[Chart]:
    for closeup in of.closeups(board, "reliability"):
        found = calibration(closeup)
        drawn = reliability_figure(found, of.words)
        said = reliability_sentence(closeup, found, of.words)
        yield Chart(slug("reliability", board.pair, closeup.label), "reliability", _of_network(of, board, closeup), said, drawn)


def _of_network(of: _Drawing, board: Board, closeup: Predictions) -> str:
    return f"{flat(board.name)}: {flat(closeup.label)} ({of.words.reason(closeup.reason)})"


def _rankings(of: _Drawing, boards: list[Board]) -> Iterator[Chart]:
    found, words = ranking(boards), of.words
    if found is None:
        return
    looks = of.by_method(boards)
    said = critical_difference_sentence(found)
    drawn = critical_difference_figure(found, looks)
    yield Chart("critical-difference", "ranking", "Critical differences of mean ranks", said, drawn)
    alone = next((b.baseline for b in boards), None)
    together = aggregate(boards, [str(m) for m in common_scores(boards).columns if m != alone])
    if together is None:
        return
    said = (
        f"Interquartile mean of the difference to the student alone over {len(boards)} pairs, with 95 % intervals, best first."
    )
    drawn = iqm_figure(together, families(boards), of.looks, words)
    yield Chart("interquartile-mean", "ranking", "Interquartile mean over pairs and seeds", said, drawn)
    said = "Share of runs, over pairs and seeds, that beat the student alone by more than τ, with 95 % bands, a panel a method."
    drawn = profile_figure(together, looks, words)
    yield Chart("performance-profiles", "ranking", "Performance profiles", said, drawn)
