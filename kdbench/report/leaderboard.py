"""The leaderboard as text, with one table per pair."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Sequence
from dataclasses import replace

from tabulate import tabulate

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.task import metric_column
from kdbench.errors import flat
from kdbench.plan.trial import TaskInfo
from kdbench.report.beside import Figures, figures_in, no_figures
from kdbench.report.cells import Line, number, show_point
from kdbench.report.columns import Column, columns_for
from kdbench.report.environment import provenance_lines
from kdbench.report.latex import latex
from kdbench.report.layout import caption, filled, notes, split, themes
from kdbench.report.legend import GRID, UNSTABLE, key, legend, unstable
from kdbench.report.sections import Section, lines_of, sections
from kdbench.report.text import HARD_SPACE, escape
from kdbench.report.wording import Wording

SCREEN = 80
"""Columns of a terminal."""


def leaderboard_tables(analysis: Analysis, figures: Figures = no_figures) -> str:
    """Return only the tables, with captions and notes, in markdown, for a README.

    Args:
        analysis: the tables.
        figures: gives the figure beside a pair's table.
    """
    parts: list[str] = []
    for section in sections(analysis):
        if section.name:
            parts.append(f"**{escape(section.name)}**")
        if texts := caption(analysis, section.lines, section.columns, section.names):
            parts.append(f"{'. '.join(texts)}.")
        tables = split(section.names, section.lines, section.columns)
        parts += [_table(section, part, "pipe", analysis.task) for part in tables]
        if "note" not in section.names and (found := notes(section.lines, section.columns)):
            parts.append("\n".join(f"- {escape(label)}: {escape(note)}" for label, note in found))
        parts += [text for text in (section.note, figures(section.key)) if text]
    if line := key(analysis.standings, analysis.task):
        parts.append(line)
    return "\n\n".join(parts) + "\n"


def leaderboard_markdown(analysis: Analysis) -> str:
    """Return the whole page: tables, all columns, grids, legend and provenance."""
    plan, table = analysis.plan, analysis.standings
    parts = [f"# {escape(plan.title or plan.suite)}"]
    if plan.description:
        parts.append(plan.description.strip())
    parts += [leaderboard_tables(analysis, figures_in(analysis.boards)).strip(), *_full(analysis), *_grids(analysis)]
    known = columns_for(analysis)
    shown = filled(tuple(known), lines_of(table), known) if len(table) else ()
    if text := legend(table, shown, plan.task):
        parts += ["## How to read the columns", text]
    return "\n\n".join([*parts, "## Provenance", *provenance_lines(analysis.frame)]) + "\n"


def leaderboard_html(analysis: Analysis) -> str:
    """Return the tables as HTML for a notebook, one per pair, with all text escaped."""
    parts = []
    for section in sections(analysis):
        if section.name:
            parts.append(f"<p><b>{html.escape(flat(section.name))}</b></p>")
        parts.append(str(_table(section, section.names, "html", analysis.task)))
    return "".join(parts)


def leaderboard_text(analysis: Analysis, width: int = SCREEN) -> str:
    """Return the tables for a terminal, no wider than it is.

    Columns of the command are all shown, in several tables where they do not fit; of those of the suite, as
    many as fit.

    Args:
        analysis: the tables.
        width: columns of the terminal.
    """
    suite = flat(analysis.plan.suite)
    commanded = analysis.view.columns != analysis.plan.report.columns
    parts = []
    for section in sections(analysis, width):
        text = [_wrapped(f"{suite}: {flat(section.name)}" if section.name else suite, width)]
        tables = split(section.names, section.lines, section.columns, width, wraps=False)
        tables = tables if commanded else tables[:1]
        text += [_table(section, part, "simple", analysis.task) for part in tables]
        found = [f"{line}." for line in caption(analysis, section.lines, section.columns, section.names)]
        found += [f"{label}: {note}" for label, note in notes(section.lines, section.columns) if "note" not in section.names]
        text += [_wrapped(line.replace("`", ""), width) for line in found]
        parts.append("\n".join(text))
    if unstable(analysis.standings):
        parts.append(_wrapped(f"{UNSTABLE}.".replace("`", ""), width))
    return "\n\n".join(parts)


def leaderboard_latex(analysis: Analysis) -> str:
    """Return the tables in LaTeX (``booktabs``), one per pair, for any engine."""
    parts = []
    for section in sections(analysis):
        if section.name:
            parts.append(latex(f"% {flat(section.name)}"))
        parts.append(latex(_table(section, section.names, "latex_booktabs", analysis.task)))
    return "\n\n".join(parts) + "\n"


def _full(analysis: Analysis) -> list[str]:
    """Return tables of all columns, by theme."""
    columns = columns_for(analysis)
    parts = ["## All columns"]
    for section in sections(analysis):
        heading = f"### {escape(section.name)}" if section.name else ""
        for theme, names in themes(analysis, columns).items():
            shown = filled([n for n in names if n in columns], section.lines, columns)
            tables = [part for part in split(("method", *shown), section.lines, columns) if len(part) > 1]
            parts += [text for text in (heading, f"**{theme}**" if tables else "") if text]
            heading = heading if not tables else ""
            parts += [_table(replace(section, columns=columns), part, "pipe", analysis.task) for part in tables]
    return parts


def _table(section: Section, names: Sequence[str], style: str, task: TaskInfo) -> str:
    found, columns, lines = {}, section.columns, section.lines
    best, markdown = _best(lines), style == "pipe"
    for name in names:
        column = columns[name]
        found[name] = [_cell(column, line, markdown=markdown) for line in lines]
        if name == task.primary and markdown:
            found[name] = [f"**{c}**" if i == best else c for i, c in enumerate(found[name])]
    return tabulate(
        list(zip(*found.values(), strict=True)),
        headers=[flat(columns[name].heading) for name in found],
        tablefmt=style,
        colalign=["left" if columns[name].untrusted else "right" for name in found],
        disable_numparse=True,
    )


def _cell(column: Column, line: Line, *, markdown: bool) -> str:
    text = column.cell(line)
    if column.untrusted:
        return escape(text) if markdown else flat(text)
    return text.replace(" ", HARD_SPACE) if markdown else text  # numbers never wrap


def _wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(flat(text, len(text)), width, subsequent_indent="  ")) or text


def _best(lines: Sequence[Line]) -> int | None:
    """Return the index of the row that is first alone; ``None`` without one."""
    first = [i for i, line in enumerate(lines) if number(line["place"]) == number(line["place_last"]) == 1]
    return first[0] if len(first) == 1 else None


def _grids(analysis: Analysis) -> list[str]:
    found, words = analysis.grids, Wording(analysis.task)
    if found.empty:
        return []
    parts = [
        "## Grids",
        "In bold the point shown above: of those that finished with the most seeds, the one with the best mean validation "
        f"{words.metric}. The test set had no say." + (f" {GRID}" if found["delta_low"].notna().any() else ""),
    ]
    headers = ["point", f"validation{words.percent_sign}", f"test{words.percent_sign}", "Δ supervised", "seeds finished"]
    for (pair, _, label), group in found.groupby(["pair", "fingerprint", "label"], sort=False):
        lines = [_grid_line(line, words) for line in lines_of(group)]
        shown = [i for i in range(len(headers)) if i != 3 or any(line[3] != "–" for line in lines)]
        table = tabulate(
            [[line[i] for i in shown] for line in lines],
            headers=[headers[i] for i in shown],
            tablefmt="pipe",
            disable_numparse=True,
            colalign=["left", *["right"] * (len(shown) - 1)],
        )
        parts.append(f"{escape(str(label))} ({escape(str(pair))})\n\n{table}")
    return parts


def _grid_line(line: Line, words: Wording) -> list[str]:
    point = escape(show_point(line["point"]))
    delta = words.difference(line["delta"]) if line["delta_seeds"] else "–"
    if not math.isnan(line["delta_low"]):
        low, high = words.difference(line["delta_low"]), words.difference(line["delta_high"])
        delta += f" [{low}, {high}]" + (" †" if line["significant"] else "")
    return [
        f"**{point}**" if line["chosen"] else point,
        words.value(line[metric_column(words.task, "validation")]),
        words.value(line[metric_column(words.task)]),
        delta,
        f"{line['finished']} of {line['seeds']}",
    ]
