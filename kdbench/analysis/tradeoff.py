"""Trade-off of a network's metric against its cost, and the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from kdbench.analysis.boards import column
from kdbench.analysis.speeds import UNSTABLE
from kdbench.analysis.task import direction, metric_column
from kdbench.plan.trial import TaskInfo

COSTS = ("parameters", "macs", "size_mb", "latency_ms")


@dataclass(frozen=True)
class Point:
    """A network.

    Args:
        label: label of its row.
        family: family of its method; the role, for teachers and assistants.
        cost: its cost, > 0.
        value: mean primary metric on the test set.
        spread: half of the interquartile range of a latency that is unstable; 0 for other costs.
    """

    label: str
    family: str
    cost: float
    value: float
    spread: float = 0.0


@dataclass(frozen=True)
class Tradeoff:
    """Networks compared by one cost.

    Args:
        cost: one of ``COSTS``.
        setting: how a latency was measured; "" for other costs.
        points: the networks.
        front: the networks that no other beats in both cost and metric, cheapest first.
    """

    cost: str
    setting: str
    points: list[Point]
    front: list[Point]


def tradeoff(rows: pd.DataFrame, cost: str, task: TaskInfo) -> Tradeoff:
    """Return the networks of standings whose cost and primary metric are known."""
    table, setting = rows[rows["role"] != "generation"], ""
    if cost == "latency_ms" and "latency_setting" in table:
        settings = table.loc[column(table, cost).notna(), "latency_setting"].astype(str)
        if len(settings):  # latencies of different settings cannot be compared
            setting = str(settings.mode().iloc[0])
            table = table[table["latency_setting"].astype(str) == setting]
    families = table["family"].where(table["role"] == "student", table["role"])
    values = zip(
        table["label"], families, column(table, cost), column(table, metric_column(task)), _spread(table, cost), strict=True
    )
    every = [Point(str(label), str(family), float(c), float(v), s) for label, family, c, v, s in values]
    points = [p for p in every if p.cost > 0 and not math.isnan(p.value)]
    return Tradeoff(cost, setting, points, pareto(points, direction(task)))


def costs(rows: pd.DataFrame) -> list[str]:
    """Return the costs by which the students of standings differ.

    With one student there are none. Costs that would show the same picture are left out: the size of the
    weights, where it follows from the parameters.
    """
    students = rows[rows["role"] == "student"]
    found = [cost for cost in COSTS if column(students, cost).dropna().nunique() > 1]
    ratio = (column(rows, "size_mb") / column(rows, "parameters")).dropna()
    same = "parameters" in found and len(ratio) and ratio.max() <= 1.05 * ratio.min()
    return [cost for cost in found if cost != "size_mb" or not same]


def _spread(table: pd.DataFrame, cost: str) -> list[float]:
    if f"{cost}_note" not in table:
        return [0.0] * len(table)
    unstable = table[f"{cost}_note"].astype(str).str.startswith(UNSTABLE)
    return [float(v) for v in (column(table, f"{cost}_iqr") / 2).where(unstable, 0.0).fillna(0.0)]


def pareto(found: Sequence[Point], sign: int = 1) -> list[Point]:
    """Return the networks that no other beats in both cost and value, cheapest first.

    Of equal networks it keeps the first.

    Args:
        found: networks.
        sign: 1 if higher values are better, −1 if lower ones are.
    """
    front: list[Point] = []
    for point in sorted(found, key=lambda p: (p.cost, -sign * p.value)):
        if not front or sign * point.value > sign * front[-1].value:
            front.append(point)
    return front
