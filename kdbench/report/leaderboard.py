"""The leaderboard as text: a table a pair, best first; always the same for the same records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from tabulate import tabulate

from kdbench.analysis.frame import SuiteFrame
from kdbench.analysis.grids import HOW, grid_table
from kdbench.analysis.standings import standings
from kdbench.report.columns import COLUMNS, DEFAULT, TERMINAL, Line, check_columns, show_point, sorted_lines
from kdbench.report.legend import legend
from kdbench.report.provenance import provenance_lines
from kdbench.report.text import escape, flat, percent, points
from kdbench.suite.schema import ReportSpec


def with_view(frame: SuiteFrame, columns: Sequence[str] = (), sort: str | None = None) -> SuiteFrame:
    """The frame, to be shown as a command line says rather than as its suite does.

    Args:
        frame: the records.
        columns: names of columns, in order; none for the suite's.
        sort: name of the column that students are sorted by, the suite's by default; a leading ``-`` turns the order round.

    Raises:
        KdbenchError: a column is unknown.
    """
    asked = frame.plan.report
    if sort is not None:
        check_columns([sort.removeprefix("-")], "in --sort: ")
    names = check_columns(columns, "in --columns: ")
    view = ReportSpec(columns=names or asked.columns, sort=sort or asked.sort)
    return replace(frame, plan=frame.plan.model_copy(update={"report": view}))


def leaderboard_tables(frame: SuiteFrame) -> str:
    """The tables in markdown, one a pair, without headings and provenance: what goes into a README."""
    tables = _tables(frame, "github")
    return "\n\n".join(f"**{escape(name)}**\n\n{table}" if name else table for name, table in tables) + "\n"


def leaderboard_markdown(frame: SuiteFrame) -> str:
    """The whole page: tables, how to read them, grids, where the numbers come from."""
    plan, table = frame.plan, standings(frame)
    parts = [f"# {escape(plan.title or plan.suite)}"]
    if plan.description:
        parts.append(plan.description.strip())
    parts += [leaderboard_tables(frame).strip(), legend(table, shown_columns(table, plan.report.columns)), *_grids(frame)]
    return "\n\n".join([*parts, "## Provenance", *provenance_lines(frame)]) + "\n"


def leaderboard_text(frame: SuiteFrame) -> str:
    """The tables for a terminal."""
    suite = flat(frame.plan.suite)
    tables = _tables(frame, "simple", TERMINAL)
    return "\n\n".join(f"{suite}: {flat(name)}\n{t}" if name else f"{suite}\n{t}" for name, t in tables)


def leaderboard_latex(frame: SuiteFrame) -> str:
    """The tables in LaTeX (``booktabs``), one a pair."""
    tables = _tables(frame, "latex_booktabs")
    return "\n\n".join(f"% {flat(name)}\n{table}" if name else table for name, table in tables) + "\n"


def shown_columns(table: pd.DataFrame, asked: Sequence[str] = (), usual: Sequence[str] = DEFAULT) -> tuple[str, ...]:
    """Names of the columns that are shown: those asked for, or of the usual ones those in which any row has something.

    Args:
        table: standings.
        asked: names of columns; none for the usual ones.
        usual: names of the usual ones.
    """
    lines = lines_of(table)
    return tuple(asked) or tuple(n for n in usual if any(COLUMNS[n].cell(line) not in ("", "–") for line in lines))


def lines_of(table: pd.DataFrame) -> list[Line]:
    """Rows of standings as mappings."""
    return [dict(zip(table.columns, values, strict=True)) for values in table.itertuples(index=False)]


def groups_of(table: pd.DataFrame, by: str) -> list[tuple[str, pd.DataFrame]]:
    """Names of pairs (none if there is one only), told apart by data where these differ, and their sorted rows."""
    groups = list(sorted_lines(table, by).groupby(["pair", "fingerprint"], sort=False))
    several_data = len({fingerprint for (_, fingerprint), _ in groups}) > 1
    found = []
    for (pair, fingerprint), group in groups:
        name = f"{pair} (data {fingerprint})" if several_data else str(pair) if len(groups) > 1 else ""
        found.append((name, group))
    return found


def _tables(frame: SuiteFrame, style: str, usual: Sequence[str] = ()) -> list[tuple[str, str]]:
    table, view = standings(frame), frame.plan.report
    columns = shown_columns(table, (), usual) if usual else shown_columns(table, view.columns)
    return [(name, _table(group, style, columns)) for name, group in groups_of(table, view.sort)]


def _table(group: pd.DataFrame, style: str, names: Sequence[str]) -> str:
    cells = {}
    lines = lines_of(group)
    best = _best(lines)
    for name in names:
        column = COLUMNS[name]
        clean = escape if column.foreign and style == "github" else flat
        cells[name] = [clean(column.cell(line)) for line in lines]
        if name == "accuracy" and style == "github":
            cells[name] = [f"**{c}**" if i == best else c for i, c in enumerate(cells[name])]
    return tabulate(
        list(zip(*cells.values(), strict=True)),
        headers=[COLUMNS[name].heading for name in cells],
        tablefmt=style,
        colalign=["left" if COLUMNS[name].foreign else "right" for name in cells],
        disable_numparse=True,
    )


def _best(lines: Sequence[Line]) -> int | None:
    """The row that has the first place for itself; ``None`` when it is shared."""
    first = [i for i, line in enumerate(lines) if COLUMNS["place"].cell(line) == "1"]
    others = sum(line["role"] == "student" and line["finished"] > 0 for line in lines)
    return first[0] if len(first) == 1 and others > 1 else None


def _grids(frame: SuiteFrame) -> list[str]:
    found = grid_table(frame)
    if found.empty:
        return []
    parts = [
        "## Grids",
        "In bold the point shown above: of those that finished with the most seeds, the one with the best mean validation "
        "accuracy. The test set had no say." + (f" {HOW}" if found["delta_low"].notna().any() else ""),
    ]
    headers = ["point", "validation %", "test %", "Δ supervised", "seeds finished"]
    for (pair, _, label), group in found.groupby(["pair", "fingerprint", "label"], sort=False):
        lines = [_grid_line(line) for line in lines_of(group)]
        shown = [i for i in range(len(headers)) if i != 3 or any(line[3] != "–" for line in lines)]
        table = tabulate(
            [[line[i] for i in shown] for line in lines],
            headers=[headers[i] for i in shown],
            tablefmt="github",
            disable_numparse=True,
            colalign=["left", *["right"] * (len(shown) - 1)],
        )
        parts.append(f"{escape(str(label))} ({escape(str(pair))})\n\n{table}")
    return parts


def _grid_line(line: Line) -> list[str]:
    point = escape(show_point(line["point"]))
    delta = points(line["delta"]) if line["delta_seeds"] else "–"
    if not math.isnan(line["delta_low"]):
        delta += f" [{points(line['delta_low'])}, {points(line['delta_high'])}]" + (" †" if line["told_apart"] else "")
    return [
        f"**{point}**" if line["chosen"] else point,
        percent(line["validation_accuracy"]),
        percent(line["test_accuracy"]),
        delta,
        f"{line['finished']} of {line['seeds']}",
    ]
