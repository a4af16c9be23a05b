"""The leaderboard as text: a table a pair, best first; always the same for the same records."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from tabulate import tabulate

from kdbench.report.columns import COLUMNS, TERMINAL, Line, show_point
from kdbench.report.provenance import provenance_lines
from kdbench.report.standings import standings
from kdbench.report.text import escape, flat, percent
from kdbench.results.frame import SuiteFrame, grid_points

LEGEND = """\
- Δ supervised: difference to the student trained alone, in percentage points, paired by seed (the same initial weights and \
batches); in brackets, where there is more than one seed, the 95 % interval of the paired t test
- Teacher: mean test accuracy of the teachers that taught the row
- MACs: multiply-accumulates of one forward pass of one sample (fvcore)
- Size: the weights as safetensors, MB = 10⁶ bytes
- Compression: parameters of the first teacher over the row's
- Time: mean of a trial's own steps, its share of what its cohort shared, and evaluation"""


def leaderboard_tables(frame: SuiteFrame) -> str:
    """The tables in markdown, one a pair, without headings and provenance: what goes into a README."""
    return "\n\n".join(f"**{escape(name)}**\n\n{table}" if name else table for name, table in _tables(frame, "github")) + "\n"


def leaderboard_markdown(frame: SuiteFrame) -> str:
    """The whole page: tables, how to read them, grids, where the numbers come from."""
    plan = frame.plan
    parts = [f"# {escape(plan.title or plan.suite)}"]
    if plan.description:
        parts.append(plan.description.strip())
    parts += [leaderboard_tables(frame).strip(), _legend(frame), *_grids(frame), "## Provenance", *provenance_lines(frame)]
    return "\n\n".join(parts) + "\n"


def leaderboard_text(frame: SuiteFrame) -> str:
    """The tables for a terminal."""
    suite = flat(frame.plan.suite)
    return "\n\n".join(
        f"{suite}: {flat(name)}\n{t}" if name else f"{suite}\n{t}" for name, t in _tables(frame, "simple", TERMINAL)
    )


def _tables(frame: SuiteFrame, style: str, columns: Sequence[str] = tuple(COLUMNS)) -> list[tuple[str, str]]:
    """Names of pairs (none if there is one only) and their tables."""
    groups = list(standings(frame).groupby(["pair", "fingerprint"], sort=False))
    several_data = len({fingerprint for (_, fingerprint), _ in groups}) > 1
    found = []
    for (pair, fingerprint), group in groups:
        name = f"{pair} (data {fingerprint})" if several_data else str(pair) if len(groups) > 1 else ""
        found.append((name, _table(group, style, columns)))
    return found


def _table(group: pd.DataFrame, style: str, names: Sequence[str]) -> str:
    lines: list[Line] = [dict(zip(group.columns, values, strict=True)) for values in group.itertuples(index=False)]
    cells = {}
    for name in names:
        clean = escape if COLUMNS[name].foreign and style == "github" else flat
        cells[name] = [clean(COLUMNS[name].cell(line)) for line in lines]
    if not any(cells["note"]):
        del cells["note"]
    return tabulate(
        list(zip(*cells.values(), strict=True)),
        headers=[COLUMNS[name].heading for name in cells],
        tablefmt=style,
        colalign=["left" if COLUMNS[name].foreign else "right" for name in cells],
        disable_numparse=True,
    )


def _legend(frame: SuiteFrame) -> str:
    table = standings(frame)
    how = []
    if counts := sorted({n for n in table["finished"] if n > 1}):
        over = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
        how.append(f"mean ± sample standard deviation (n − 1) over {over} seeds")
    if (table["finished"] == 1).any():
        how.append("for a network trained once, in brackets Wilson's 95 % interval of the test samples")
    return f"- Test accuracy: {'; '.join(how)}\n{LEGEND}" if how else LEGEND


def _grids(frame: SuiteFrame) -> list[str]:
    found = grid_points(frame)
    found = found[found["point"] != ""]
    if found.empty:
        return []
    parts = [
        "## Grids",
        "In bold the point shown above: of those that finished with the most seeds, the one with the best mean validation "
        "accuracy. The test set had no say.",
    ]
    for (pair, _, label), group in found.groupby(["pair", "fingerprint", "label"], sort=False):
        lines = [
            [
                f"**{escape(show_point(point))}**" if chosen else escape(show_point(point)),
                percent(validation),
                percent(test),
                f"{finished} of {seeds}",
            ]
            for point, chosen, validation, test, finished, seeds in group[
                ["point", "chosen", "validation_accuracy", "test_accuracy", "finished", "seeds"]
            ].itertuples(index=False)
        ]
        headers = ["point", "validation %", "test %", "seeds finished"]
        table = tabulate(
            lines, headers=headers, tablefmt="github", disable_numparse=True, colalign=["left", "right", "right", "right"]
        )
        parts.append(f"{escape(str(label))} ({escape(str(pair))})\n\n{table}")
    return parts
