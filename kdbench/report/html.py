"""``index.html``: tables and figures in one file that needs no network or server."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from itertools import groupby
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from kdbench.errors import flat
from kdbench.report.figures.style import Chart
from kdbench.report.page.classes import class_tables
from kdbench.report.page.inline import inline_svg, width
from kdbench.report.page.table import Heading, Table, budgets, legend_lines, tables
from kdbench.report.page.trials import details, headings
from kdbench.report.report import Report
from kdbench.report.text import csv_bytes
from kdbench.report.tuning import tuning_page
from kdbench.report.wording import Wording

RECORDS = "records/records.json"
"""The copy of the records beside the page; links into it are JSON pointers."""


def sections(words: Wording) -> dict[str, tuple[str, str]]:
    """Return the page's sections of figures, in order: heading and explanation."""
    return {
        "tradeoff": (
            f"{words.metric_title} against cost",
            "Names in bold are on the Pareto front: no other network is both cheaper and better.",
        ),
        "scores": (
            f"{words.metric_title} by method",
            "Means over seeds with the 95 % interval of each by itself; small dots are single seeds.",
        ),
        "difference": (
            "Difference to the student alone",
            "Means over seeds, with simultaneous 95 % intervals of the model of the table; an interval may run out of the picture.",
        ),
        "ranking": ("Over all pairs", "Methods that all pairs have, compared over the pairs."),
        "curves": (
            "Training curves",
            "The scale shows where methods differ: the first epochs may lie outside it.",
        ),
        "grid": (
            "Grids",
            f"Mean test {words.metric}; the point chosen on the validation set is framed. The test set had no say. Below it the "
            "difference to the student trained alone with the same seeds (without one, or with one seed: the half-width of the "
            "mean's 95 % t interval). † marks differences whose simultaneous 95 % interval, over the grid, excludes 0.",
        ),
        "confusion": (
            "Confusion matrices",
            "Colour is the share of the true class, on a scale that shows small shares; numbers are test samples, mean over seeds.",
        ),
        "reliability": (
            "Reliability",
            "How often networks are right at each level of confidence, and how many samples have it. On the dashed line they "
            "would be right as often as they are confident.",
        ),
    }


def page(report: Report) -> str:
    """Return the whole page; the template escapes all text from plugins and suites."""
    environment = Environment(
        autoescape=True, loader=FunctionLoader(_part), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    analysis, plan, words = report.analysis, report.plan, Wording(report.plan.task)
    shown = tables(analysis)
    style, script = _part("style.css"), _part("script.js")
    rows = [row for table in shown for row in table.rows]
    values: dict[str, Any] = {
        "title": flat(plan.title or plan.suite),
        "description": (plan.description or "").strip(),
        "suite": plan.suite,
        "finished": sum(r.status == "finished" for r in report.records.values()),
        "failed": sum(r.status == "failed" for r in report.records.values()),
        "planned": len(plan.trials),
        "tables": shown,
        "budgets": budgets(shown),
        "choices": _choices(shown),
        "primary": plan.task.primary,
        "lower": not plan.task.metrics[plan.task.primary].higher_is_better,
        "csv": base64.b64encode(csv_bytes(analysis.standings)).decode(),
        "legend": legend_lines(analysis),
        "families": sorted({row.family for row in rows if row.role == "student"}),
        "sections": _sections(report.charts, sections(words)),
        "tuning": tuning_page(analysis),
        "class_tables": class_tables(analysis),
        "details": details(analysis),
        "trial_headings": headings(words),
        "records": RECORDS,
        "style": Markup(style),  # noqa: S704  our own
        "script": Markup(script),  # noqa: S704
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    return environment.get_template("index.html.jinja").render(values)


def _choices(found: Sequence[Table]) -> list[Heading]:
    """Return the columns that a reader can choose: all but the first.

    Those that one of the tables shows at first are not extra.
    """
    headings = zip(*(table.headings for table in found), strict=True)
    return [replace(same[0], extra=all(heading.extra for heading in same)) for same in headings][1:]


def _sections(found: Sequence[Chart], known: dict[str, tuple[str, str]]) -> list[dict[str, Any]]:
    order = list(known)
    ordered = sorted(found, key=lambda chart: order.index(chart.section))
    return [
        {
            "id": section,
            "heading": known[section][0],
            "note": known[section][1],
            "charts": [{"chart": c, "svg": inline_svg(c), "width": width(c)} for c in part],
        }
        for section, part in groupby(ordered, key=lambda chart: chart.section)
    ]


def _part(name: str) -> str:
    return (resources.files("kdbench.report.page") / name).read_text(encoding="utf-8")
