"""Columns of a table with little room, and what its caption says instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kdbench.analysis.analysis import Analysis
from kdbench.plan.trial import TaskInfo
from kdbench.report.cells import NOTHING, Line
from kdbench.report.columns import Column, plugin_metrics
from kdbench.report.text import code, short

PAGE = 116
"""Characters of a table's row that GitHub shows without scrolling (838 px)."""
PADDING = 4
"""Width of a column's padding on GitHub (27 px), in characters."""
SHORTEST = 16
"""Letters to which names are never cut."""
MOST = 8
"""Most columns of a default table."""
COSTS = ("parameters", "macs", "size", "latency", "throughput")
"""Columns that are the same for all rows of one network."""
UNITS = {"parameters": " parameters", "macs": " MACs", "size": " MB", "latency": " ms"}


def overview(
    lines: Sequence[Line], columns: Mapping[str, Column], task: TaskInfo, room: int = PAGE, *, wraps: bool = True
) -> tuple[str, ...]:
    """Return the columns of a default table: up to eight that tell its rows apart.

    Place, method, metric and difference come first, because they are what a narrow screen shows.

    Args:
        lines: the table's rows.
        columns: all columns.
        task: the task.
        room: characters of a row.
        wraps: whether headings wrap between their words.
    """
    students = [line for line in lines if line["role"] == "student"]
    others = tuple(name for name in task.metrics if name != task.primary)
    first = [name for name in ("place", "method", task.primary, "default", "delta") if _filled(lines, columns[name])]
    wanted = (*others, "tuned", "latency", "parameters", "gap", "throughput", "teacher", "agreement", "time")
    known = [name for name in wanted if name in columns and _filled(students, columns[name])]
    chosen = list(first)
    for name in known:
        differs = name not in (*COSTS, "teacher") or _differs(students, columns[name])
        if differs and len(chosen) < MOST and _width([*chosen, name], lines, columns, wraps=wraps) <= room:
            chosen.append(name)
    order = [*first, *others, "tuned", "gap", "teacher", "agreement", *COSTS, "time"]
    return tuple(sorted(chosen, key=order.index))


def cut_to_fit(lines: Sequence[Line], columns: Mapping[str, Column], task: TaskInfo, room: int) -> Column:
    """Return the column of methods, cut so that metric and difference fit beside it."""
    method = columns["method"]
    others = [name for name in ("place", task.primary, "delta") if _filled(lines, columns[name])]
    most = max(SHORTEST, room - 2 - _width(others, lines, columns, wraps=False))
    return replace(method, cell=lambda line: short(method.cell(line), most))


def split(
    names: Sequence[str], lines: Sequence[Line], columns: Mapping[str, Column], room: int = PAGE, *, wraps: bool = True
) -> list[tuple[str, ...]]:
    """Split columns into tables that fit; each begins with the method.

    Args:
        names: the columns.
        lines: the table's rows.
        columns: all columns.
        room: characters of a row.
        wraps: whether headings wrap between their words.
    """
    found: list[list[str]] = [[]]
    for name in names:
        if found[-1] and _width([*found[-1], name], lines, columns, wraps=wraps) > room:
            found.append(["method"])
        if name not in found[-1]:
            found[-1].append(name)
    return [tuple(part) for part in found if part]


def themes(analysis: Analysis, columns: Mapping[str, Column]) -> dict[str, tuple[str, ...]]:
    """Return the columns of the full tables by their theme; all columns are in one."""
    task = analysis.task
    settings = tuple(name for name in columns if "@" in name)
    metrics = tuple(dict.fromkeys([task.primary, *task.metrics]))
    return {
        "Comparison": ("place", "first", "default", "tuned", "lead", "delta", "delta_kd", "networks", "gap", "effect"),
        "Quality": (*metrics, "teacher", "agreement", "kl", "nll", "ece", "top5", "f1", *plugin_metrics(analysis)),
        "Cost": ("family", "parameters", "macs", "size", "compression", "extra", "efficiency", "time", "step", "tuning"),
        "Speed": (*settings, "speedup", "test_set"),
    }


def caption(analysis: Analysis, lines: Sequence[Line], columns: Mapping[str, Column], shown: Sequence[str]) -> list[str]:
    """Return what is not in a table because it is the same for all its students.

    It is a sentence for each network (the student's, then those of teachers and assistants), and one on how
    latency was measured.

    Args:
        analysis: the tables.
        lines: the table's rows.
        columns: all columns.
        shown: the table's columns.
    """
    hidden = [name for name in COSTS if name not in shown]
    students = [line for line in lines if line["role"] == "student" and line["finished"]]
    found = []
    if students:
        same = [name for name in hidden if not _differs(students, columns[name])]
        models = list(dict.fromkeys(_model(analysis, line) for line in students))
        network = f"Student {code(models[0])}" if len(models) == 1 and models[0] else "All students"
        found.append(_costs(network, students[0], columns, same))
    helpers = [line for line in lines if line["role"] in ("teacher", "assistant") and line["profile"]]
    networks: dict[str, list[Line]] = {}
    for line in helpers:
        networks.setdefault(str(line["profile"]), []).append(line)
    for known in networks.values():
        names = ", ".join(code(str(line["label"])) for line in known)
        found.append(_costs(f"{str(known[0]['role']).capitalize()} {names}", known[0], columns, hidden))
    return [text for text in (*found, _settings(lines)) if text]


def notes(lines: Sequence[Line], columns: Mapping[str, Column]) -> list[tuple[str, str]]:
    """Return the notes on a table's rows, with the rows' names."""
    return [(columns["method"].cell(line), note) for line in lines if (note := columns["note"].cell(line))]


def filled(names: Sequence[str], lines: Sequence[Line], columns: Mapping[str, Column]) -> tuple[str, ...]:
    """Return the columns that have something to show."""
    return tuple(name for name in names if _filled(lines, columns[name]))


def _model(analysis: Analysis, line: Line) -> str:
    profile = analysis.frame.profiles.get(str(line["profile"]))
    return "" if profile is None else profile.model


def _costs(network: str, line: Line, columns: Mapping[str, Column], names: Sequence[str]) -> str:
    values = [(name, columns[name].cell(line)) for name in names]
    known = [_cost(name, text, columns) for name, text in values if text != NOTHING]
    return f"{network}: {', '.join(known)}" if known else ""


def _cost(name: str, text: str, columns: Mapping[str, Column]) -> str:
    return f"{text} {columns[name].heading}" if name == "throughput" else f"{text}{UNITS[name]}"


def _settings(lines: Sequence[Line]) -> str:
    """Say in which settings latency and throughput were measured."""
    found = {}
    for name in ("latency", "throughput"):
        known = dict.fromkeys(str(line[f"{name}_name"]) for line in lines if line[f"{name}_name"])
        found[name] = " or ".join(map(_setting, known))
    if not found["latency"]:
        return ""
    device = found["latency"].rpartition(", ")[0]
    return f"Latency: {found['latency']}; throughput: {found['throughput'].removeprefix(f'{device}, ')}"


def _setting(name: object) -> str:
    """Describe a latency setting: ``cpu, eager, batch 1``."""
    where, _, batch = str(name).partition("@")
    return f"{where.replace('/', ', ')}, batch {batch}"


def _filled(lines: Sequence[Line], column: Column) -> bool:
    return any(column.cell(line) not in ("", NOTHING) for line in lines)


def _differs(lines: Sequence[Line], column: Column) -> bool:
    return len({text for line in lines if (text := column.cell(line)) != NOTHING}) > 1


def _width(names: Sequence[str], lines: Sequence[Line], columns: Mapping[str, Column], *, wraps: bool = True) -> int:
    return sum((PADDING if wraps else 2) + _widest(columns[name], lines, wraps=wraps) for name in names)


def _widest(column: Column, lines: Sequence[Line], *, wraps: bool) -> int:
    heading = column.heading
    words = [len(word) for word in heading.split()] if wraps else [len(heading) + 2]  # as tabulate pads it
    return max([*words, *(len(column.cell(line)) for line in lines)])
