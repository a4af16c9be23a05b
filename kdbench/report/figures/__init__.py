"""Figures of a suite's records, for the page and as files; the same records always give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from kdbench.analysis.frame import SuiteFrame
from kdbench.report.figures import curves, grids, predictions, ranking, tradeoff
from kdbench.report.figures.boards import Board, boards, networks, summary
from kdbench.report.figures.style import Chart, png, slug, styled, svg
from kdbench.report.text import flat
from kdbench.results.files import write_whole

FOLDER = "figures"


@lru_cache(maxsize=1)
def charts(frame: SuiteFrame) -> tuple[Chart, ...]:
    """All figures that a suite's records have something for, in the order they are read; drawn once for all formats."""
    found: list[Chart] = []
    taken: set[str] = set()
    with styled():
        every = boards(frame)
        for maker in (_tradeoffs, _differences, _curves, _grids, _confusions, _reliabilities):
            for board in every:
                found += maker(board)
        found[:0] = [*_tradeoffs_of_pairs(every), *_rankings(every)]
    return tuple(_unique(chart, taken) for chart in found)


def all_figures(frame: SuiteFrame) -> dict[str, Figure]:
    """The figures by the stem of their files' names."""
    return {chart.stem: chart.figure for chart in charts(frame)}


def write_svg(frame: SuiteFrame, folder: Path) -> list[Path]:
    """``figures/*.svg``."""
    return _write(frame, folder, "svg", lambda figure: svg(figure).encode())


def write_png(frame: SuiteFrame, folder: Path) -> list[Path]:
    """``figures/*.png``."""
    return _write(frame, folder, "png", png)


def _write(frame: SuiteFrame, folder: Path, ending: str, render: Callable[[Figure], bytes]) -> list[Path]:
    paths = []
    for stem, figure in all_figures(frame).items():
        path = folder / FOLDER / f"{stem}.{ending}"
        write_whole(path, render(figure))
        paths.append(path)
    return paths


def _unique(chart: Chart, taken: set[str]) -> Chart:
    stem, number = chart.stem, 2
    while stem in taken:
        stem, number = f"{chart.stem}-{number}", number + 1
    taken.add(stem)
    return Chart(stem, chart.section, chart.title, chart.sentence, chart.figure)


def _tradeoffs(board: Board) -> Iterator[Chart]:
    yield from _tradeoff(board.table, board.name, board.pair)


def _tradeoffs_of_pairs(every: list[Board]) -> Iterator[Chart]:
    """The pairs of the same data in one picture."""
    for fingerprint in dict.fromkeys(board.fingerprint for board in every):
        same = [board for board in every if board.fingerprint == fingerprint]
        if len(same) > 1:
            yield from _tradeoff(summary(same), f"{len(same)} pairs, each with its best method", f"pairs-{fingerprint[:8]}")


def _tradeoff(rows: pd.DataFrame, name: str, stem: str) -> Iterator[Chart]:
    for cost in tradeoff.COSTS:
        found, axis = tradeoff.points(rows, cost)
        if len(found) > 1:
            title = f"{flat(name)}: accuracy against {cost_name(cost)}"
            yield Chart(
                slug("accuracy", cost, stem),
                "tradeoff",
                title,
                tradeoff.sentence(found, axis),
                tradeoff.tradeoff(found, axis),
            )


def cost_name(cost: str) -> str:
    """A cost in a word."""
    return {"macs": "MACs", "size_mb": "size", "latency_ms": "latency"}.get(cost, cost)


def _differences(board: Board) -> Iterator[Chart]:
    table = ranking.differences(board)
    if len(table):
        title = f"{flat(board.name)}: difference to the student alone"
        yield Chart(
            slug("difference", board.pair),
            "difference",
            title,
            ranking.difference_sentence(board, table),
            ranking.difference_figure(table),
        )


def _curves(board: Board) -> Iterator[Chart]:
    for what in (curves.ACCURACY, curves.LOSS):
        found = curves.curves(board, what)
        if found:
            title = f"{flat(board.name)}: {what} by epoch"
            yield Chart(
                slug("curves", what, board.pair),
                "curves",
                title,
                curves.sentence(board, found, what),
                curves.curve_figure(found, what),
            )


def _grids(board: Board) -> Iterator[Chart]:
    for grid in grids.grids(board):
        draw = grids.heat_map if grid.down else grids.line
        names = f"{grid.across} × {grid.down}" if grid.down else grid.across
        title = f"{flat(board.name)}: {flat(grid.label)}, {flat(names)}" + (f" ({flat(grid.others)})" if grid.others else "")
        yield Chart(slug("grid", board.pair, grid.label, grid.others), "grid", title, grids.sentence(grid), draw(grid))


def _confusions(board: Board) -> Iterator[Chart]:
    classes = board.classes()
    for network in networks(board):
        title = f"{flat(board.name)}: {flat(network.label)} ({network.what})"
        drawn = predictions.confusion_figure(network, classes)
        yield Chart(
            slug("confusion", board.pair, network.label),
            "confusion",
            title,
            predictions.confusion_sentence(network, classes),
            drawn,
        )


def _reliabilities(board: Board) -> Iterator[Chart]:
    for network in networks(board):
        title = f"{flat(board.name)}: {flat(network.label)} ({network.what})"
        drawn = predictions.reliability_figure(network)
        yield Chart(
            slug("reliability", board.pair, network.label),
            "reliability",
            title,
            predictions.reliability_sentence(network),
            drawn,
        )


def _rankings(every: list[Board]) -> Iterator[Chart]:
    scores = ranking.common_scores(every)
    if scores.empty:
        return
    said = ranking.critical_difference_sentence(scores)
    yield Chart(
        "critical-difference", "ranking", "Critical differences of mean ranks", said, ranking.critical_difference_figure(scores)
    )
    alone = next((b.baseline() for b in every), None)
    deltas = ranking.seed_differences(every, [str(m) for m in scores.columns if m != alone])
    if deltas:
        said = f"Interquartile mean of the difference to the student alone over {len(every)} pairs, with 95 % intervals, best first."
        yield Chart(
            "interquartile-mean", "ranking", "Interquartile mean over pairs and seeds", said, ranking.iqm_figure(deltas)
        )
        said = "Share of runs, over pairs and seeds, that beat the student alone by more than τ, with 95 % bands, a panel a method."
        yield Chart("performance-profiles", "ranking", "Performance profiles", said, ranking.profile_figure(deltas))
