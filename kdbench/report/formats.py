"""The formats that a report can be written in, offered through the public hook.

The renderers are imported when a report is written, so that listing the names does not import
matplotlib.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kdbench.errors import KdbenchError, did_you_mean
from kdbench.plugins.hookspecs import hookimpl
from kdbench.report.text import csv_bytes, without_controls
from kdbench.results.files import write_whole

FIGURES = "figures"
INDEX = "index.json"
FIGURE = re.compile(r"[a-z0-9-]+\.(?:svg|png)")
"""Name of a figure's file."""

if TYPE_CHECKING:
    from kdbench.analysis.analysis import Analysis
    from kdbench.report.report import Report

    Reporter = Callable[[Report, Path], list[Path]]


def write_markdown(report: Report, folder: Path) -> list[Path]:
    """Write ``leaderboard.md`` with its figures, ``epochs.md`` and ``classes.md``.

    The last is for few classes only. If methods were tuned, ``tuning.md`` has every draw.
    """
    from kdbench.report.details import classes_markdown, epochs_markdown
    from kdbench.report.leaderboard import leaderboard_markdown
    from kdbench.report.tuning import tuning_markdown

    pages = {
        "leaderboard.md": leaderboard_markdown(report.analysis),
        "epochs.md": epochs_markdown(report.analysis),
        "classes.md": classes_markdown(report.analysis),
        "tuning.md": tuning_markdown(report.analysis),
    }
    paths = [folder / name for name, text in pages.items() if text]
    for path in paths:
        write_whole(path, without_controls(pages[path.name]).encode())
    return [*paths, *_write_figures_beside(report, folder)]


def _write_figures_beside(report: Report, folder: Path) -> list[Path]:
    """Write the figures that ``leaderboard.md`` shows beside its tables."""
    from kdbench.report.beside import score_stems
    from kdbench.report.figures.charts import charts
    from kdbench.report.figures.style import svg_file, write_figures

    stems = set(score_stems(report.analysis.boards).values())
    return write_figures(charts(report.analysis, ["scores"]), folder, "svg", svg_file) if stems else []


def write_csv(report: Report, folder: Path) -> list[Path]:
    """Write tables with exact numbers.

    The files are ``leaderboard.csv`` (a row for each method), ``trials.csv`` (a row for each trial that
    the suite asks for, grid points and draws included), ``epochs.csv``, ``classes.csv``, ``latency.csv`` (a
    row for each network and setting), ``grids.csv`` if a method has a grid, and ``tuning.csv`` (a row for
    each draw) if methods were tuned.
    """
    analysis = report.analysis
    tables = {
        "leaderboard.csv": analysis.standings,
        "trials.csv": analysis.rows.assign(teachers=analysis.rows["teachers"].map(" ".join)),
        "epochs.csv": analysis.epochs,
        "classes.csv": analysis.classes,
        "grids.csv": analysis.grids,
        "latency.csv": analysis.latencies,
        "tuning.csv": analysis.draws,
    }
    paths = [folder / name for name, table in tables.items() if len(table)]
    for path in paths:
        write_whole(path, csv_bytes(tables[path.name]))
    return paths


def write_latex(report: Report, folder: Path) -> list[Path]:
    """Write ``leaderboard.tex``: tables for ``booktabs``."""
    from kdbench.report.leaderboard import leaderboard_latex

    path = folder / "leaderboard.tex"
    write_whole(path, leaderboard_latex(report.analysis).encode())
    return [path]


def write_json(report: Report, folder: Path) -> list[Path]:
    """Write ``leaderboard.json``: the leaderboard's rows and records' provenance."""
    path = folder / "leaderboard.json"
    rows = json.loads(report.standings.to_json(orient="records", double_precision=15))
    provenance = {i: r.provenance.model_dump(mode="json") for i, r in report.records.items()}
    content = {"suite": report.plan.suite, "rows": rows, "provenance": provenance}
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())
    return [path]


def write_html(report: Report, folder: Path) -> list[Path]:
    """Write ``index.html``: tables, figures and links to the records behind them."""
    from kdbench.report.html import page

    path = folder / "index.html"
    write_whole(path, without_controls(page(report)).encode())
    return [path]


def write_svg(report: Report, folder: Path) -> list[Path]:
    """Write ``figures/*.svg``."""
    from kdbench.report.figures.style import svg_file, write_figures

    return write_figures(report.charts, folder, "svg", svg_file)


def write_png(report: Report, folder: Path) -> list[Path]:
    """Write ``figures/*.png``."""
    from kdbench.report.figures.style import png_file, write_figures

    return write_figures(report.charts, folder, "png", png_file)


@hookimpl
def kdbench_reporters() -> Mapping[str, Reporter]:
    """Offer the built-in formats."""
    return {
        "md": write_markdown,
        "html": write_html,
        "csv": write_csv,
        "json": write_json,
        "latex": write_latex,
        "svg": write_svg,
        "png": write_png,
    }


def parse_formats(text: str, reporters: Mapping[str, Reporter], where: str = "in --format: ") -> list[str]:
    """Split a comma-separated list of formats.

    Args:
        text: the list.
        reporters: all formats.
        where: start of the error message.

    Raises:
        KdbenchError: a name is unknown.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in reporters:
            hint = did_you_mean(name, reporters) or f"; known are {', '.join(reporters)}"
            raise KdbenchError(f'{where}unknown format "{name}"{hint}')
    if not names:
        raise KdbenchError(f"{where}no format given; known are {', '.join(reporters)}")
    return list(dict.fromkeys(names))


SIGNS = {
    "md": "leaderboard.md",
    "html": "index.html",
    "csv": "leaderboard.csv",
    "json": "leaderboard.json",
    "latex": "leaderboard.tex",
    "svg": "figures/*.svg",
    "png": "figures/*.png",
}
"""File by which a format is recognised in a report folder."""


def formats_in(folder: Path, written: Collection[str] = ()) -> list[str]:
    """Return the built-in formats that a report folder already has.

    Args:
        folder: the report.
        written: names of the files of its ``leaderboard.md``, which are no sign of another format.
    """
    return [name for name, sign in SIGNS.items() if any(p.name not in written for p in folder.glob(sign))]


def _refuse_links(folder: Path) -> None:
    """Check that no folder of a report is a link; files are replaced anyway."""
    from kdbench.results.archive import FOLDER

    for name in ("figures", FOLDER):
        if (folder / name).is_symlink():
            raise KdbenchError(f"{name} in the report {folder} is a symbolic link, which kdbench does not follow: remove it")


def write_report(analysis: Analysis, folder: Path, formats: Sequence[str], reporters: Mapping[str, Reporter]) -> list[Path]:
    """Write a report in several formats, and a compact copy of its records.

    What the folder already holds in other formats is written again too, so that all its files are of the same
    records, and figures that these records do not have are removed.

    Args:
        analysis: tables of the report.
        folder: where to write; created if missing.
        formats: names of reporters.
        reporters: all reporters.

    Returns:
        The paths of the files written.

    Raises:
        KdbenchError: the folder cannot be written, or a reporter fails.
    """
    from kdbench.method.guard import Guard, name_of, text_of
    from kdbench.report.beside import score_stems
    from kdbench.report.report import Report
    from kdbench.results.archive import save_archive
    from kdbench.results.files import tidy

    report = Report(analysis)
    found: list[Path] = []
    for part in (folder, *(p for p in folder.glob("*") if p.is_dir())):
        with suppress(OSError):  # whatever is wrong with the folder is reported by what writes there
            tidy(part)
    beside = {f"{stem}.svg" for stem in score_stems(analysis.boards).values()}
    for name in dict.fromkeys([*formats, *formats_in(folder, beside)]):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _refuse_links(folder)
            with Guard().calling(f'report format "{name}"', "its function", passing=(Exception,)):
                found += reporters[name](report, folder)
        except OSError as error:
            raise KdbenchError(f"the report in {folder} cannot be written: {error.strerror or error}") from error
        except KdbenchError:
            raise
        except Exception as error:  # a plugin's, most likely; the records are safe
            raise KdbenchError(f'the report format "{name}" failed: {name_of(error)}: {text_of(error)}') from error
    try:
        save_archive(analysis.frame.archive, folder)
        _remove_old_figures(folder, found)
    except OSError as error:
        raise KdbenchError(f"the report in {folder} cannot be written: {error.strerror or error}") from error
    return list(dict.fromkeys(found))  # two formats may write the same figure


def _remove_old_figures(folder: Path, written: Sequence[Path]) -> None:
    """Remove the figures of an earlier report that this one does not have.

    ``figures/index.json`` lists those that kdbench wrote; other files are left alone.
    """
    figures = {p.name for p in written if p.parent == folder / FIGURES and FIGURE.fullmatch(p.name)}
    index = folder / FIGURES / INDEX
    with suppress(OSError, ValueError, TypeError):
        earlier = json.loads(index.read_bytes())
        for name in {str(name) for name in earlier} - figures:
            if FIGURE.fullmatch(name):
                (folder / FIGURES / name).unlink(missing_ok=True)
    if figures:
        write_whole(index, (json.dumps(sorted(figures), indent=1) + "\n").encode())
    else:
        index.unlink(missing_ok=True)
