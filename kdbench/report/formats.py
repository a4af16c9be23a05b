"""The formats that a report can be written in, offered through the public hook."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kdbench.analysis.archive import save_archive
from kdbench.analysis.frame import SuiteFrame
from kdbench.analysis.grids import grid_table
from kdbench.analysis.standings import standings
from kdbench.errors import KdbenchError, did_you_mean
from kdbench.plugins.hookspecs import hookimpl
from kdbench.report.details import classes_markdown, classes_table, epochs_markdown, epochs_table
from kdbench.report.figures import write_png, write_svg
from kdbench.report.html import write_html
from kdbench.report.leaderboard import leaderboard_latex, leaderboard_markdown

Reporter = Callable[[SuiteFrame, Path], list[Path]]


def write_markdown(frame: SuiteFrame, folder: Path) -> list[Path]:
    """``leaderboard.md``, ``epochs.md``, and ``classes.md`` where the classes are few enough for a page."""
    pages = {
        "leaderboard.md": leaderboard_markdown(frame),
        "epochs.md": epochs_markdown(frame),
        "classes.md": classes_markdown(frame),
    }
    paths = [folder / name for name, text in pages.items() if text]
    for path in paths:
        path.write_text(pages[path.name], encoding="utf-8", newline="\n")
    return paths


def write_csv(frame: SuiteFrame, folder: Path) -> list[Path]:
    """Tables with exact numbers.

    ``leaderboard.csv`` (a row a method), ``trials.csv`` (a row for each trial that the suite asks for, grid points included),
    ``epochs.csv``, ``classes.csv``, and ``grids.csv`` where a method has a grid.
    """
    tables = {
        "leaderboard.csv": standings(frame),
        "trials.csv": frame.rows.assign(teachers=frame.rows["teachers"].map(" ".join)),
        "epochs.csv": epochs_table(frame),
        "classes.csv": classes_table(frame),
        "grids.csv": grid_table(frame),
    }
    paths = [folder / name for name, table in tables.items() if len(table)]
    for path in paths:
        tables[path.name].to_csv(path, index=False, lineterminator="\n")
    return paths


def write_latex(frame: SuiteFrame, folder: Path) -> list[Path]:
    """``leaderboard.tex``: tables for ``booktabs``."""
    path = folder / "leaderboard.tex"
    path.write_text(leaderboard_latex(frame), encoding="utf-8", newline="\n")
    return [path]


def write_json(frame: SuiteFrame, folder: Path) -> list[Path]:
    """``leaderboard.json``: the leaderboard's rows and the records' provenance."""
    path = folder / "leaderboard.json"
    rows = json.loads(standings(frame).to_json(orient="records", double_precision=15))
    provenance = {i: r.provenance.model_dump(mode="json") for i, r in frame.records.items()}
    path.write_text(
        json.dumps({"suite": frame.plan.suite, "rows": rows, "provenance": provenance}, indent=1) + "\n",
        encoding="utf-8",
        newline="\n",
    )
    return [path]


@hookimpl
def kdbench_reporters() -> Mapping[str, Reporter]:
    """The built-in formats."""
    return {
        "md": write_markdown,
        "html": write_html,
        "csv": write_csv,
        "json": write_json,
        "latex": write_latex,
        "svg": write_svg,
        "png": write_png,
    }


def parse_formats(text: str, reporters: Mapping[str, Reporter]) -> list[str]:
    """Names of formats from a list with commas.

    Raises:
        KdbenchError: a name is unknown.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in reporters:
            hint = did_you_mean(name, reporters) or f"; known are {', '.join(reporters)}"
            raise KdbenchError(f'in --format: unknown format "{name}"{hint}')
    if not names:
        raise KdbenchError(f"in --format: no format given; known are {', '.join(reporters)}")
    return list(dict.fromkeys(names))


def write_report(frame: SuiteFrame, folder: Path, formats: Sequence[str], reporters: Mapping[str, Reporter]) -> list[Path]:
    """Write a report in several formats, and beside them a compact copy of the records that it was made from.

    Args:
        frame: what the report is made from.
        folder: where it goes; created.
        formats: names of reporters.
        reporters: all of them.

    Returns:
        The files.

    Raises:
        KdbenchError: the folder cannot be written, or a reporter fails.
    """
    found: list[Path] = []
    for name in formats:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found += reporters[name](frame, folder)
        except OSError as error:
            raise KdbenchError(f"the report in {folder} cannot be written: {error.strerror or error}") from error
        except KdbenchError:
            raise
        except Exception as error:  # a plugin's, most likely; the records are safe
            raise KdbenchError(f'the report format "{name}" failed: {type(error).__name__}: {error}') from error
    try:
        save_archive(frame, folder)
    except OSError as error:
        raise KdbenchError(f"the report in {folder} cannot be written: {error.strerror or error}") from error
    return found
