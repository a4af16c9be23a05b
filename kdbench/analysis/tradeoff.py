"""Trade-off of a network's metric against its cost, and the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from kdbench.analysis.boards import column
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
    """

    label: str
    family: str
    cost: float
    value: float


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
    values = zip(table["label"], families, column(table, cost), column(table, metric_column(task)), strict=True)
    every = [Point(str(label), str(family), float(c), float(v)) for label, family, c, v in values]
    points = [p for p in every if p.cost > 0 and not math.isnan(p.value)]
    return Tradeoff(cost, setting, points, pareto(points, direction(task)))


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
