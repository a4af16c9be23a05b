"""``index.html``: one file with tables, figures and the records behind them; it needs no network and no server."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from kdbench.analysis.frame import SuiteFrame
from kdbench.report.figures import charts
from kdbench.report.figures.boards import boards
from kdbench.report.figures.style import Chart
from kdbench.report.page.evidence import HEADINGS, class_tables, details
from kdbench.report.page.inline import inline_svg, width
from kdbench.report.page.table import legend_lines, tables
from kdbench.report.text import flat
from kdbench.results.files import write_whole

SECTIONS = {
    "tradeoff": (
        "Accuracy against cost",
        "Names in bold are on the Pareto front: no other network is both cheaper and better.",
    ),
    "difference": (
        "Difference to the student alone",
        "Means over seeds, paired by seed, with the 95 % interval of the paired t test; an interval may run out of the picture.",
    ),
    "ranking": ("Over all pairs", "Methods that all pairs have, compared over the pairs."),
    "curves": (
        "Training curves",
        "The scale shows where methods differ: the first epochs may lie below it.",
    ),
    "grid": (
        "Grids",
        "Mean test accuracy; the point chosen on the validation set is framed. The test set had no say. Below it the difference to "
        "the student trained alone with the same seeds (without one, or with one seed: the half-width of the mean's 95 % t interval). "
        "Seeds are blocks, and the residual variance is pooled over the grid (two-way analysis of variance without interaction); "
        "† marks what the corrected test tells apart (Holm).",
    ),
    "confusion": (
        "Confusion matrices",
        "Colour is the share of the true class, on a scale that shows small shares; numbers are test samples, mean over seeds.",
    ),
    "reliability": (
        "Reliability",
        "How often networks are right when they are so sure, and how many samples that holds for. On the dashed line they would be "
        "as sure as they are right.",
    ),
}
"""Sections of figures in the page's order: heading, and how to read them."""
RECORDS = "records/records.json"
"""The compact copy of the records, beside the page; a link into it is a JSON pointer (RFC 6901)."""


def write_html(frame: SuiteFrame, folder: Path) -> list[Path]:
    """``index.html``."""
    path = folder / "index.html"
    write_whole(path, page(frame).encode())
    return [path]


def page(frame: SuiteFrame) -> str:
    """The whole page; everything that comes from plugins and suites is escaped by the template."""
    environment = Environment(
        autoescape=True, loader=FunctionLoader(_part), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    every = boards(frame)
    shown = tables(frame, every)
    style, script = _part("style.css"), _part("script.js")
    rows = [row for table in shown for row in table.rows]
    values: dict[str, Any] = {
        "title": flat(frame.plan.title or frame.plan.suite),
        "description": (frame.plan.description or "").strip(),
        "suite": frame.plan.suite,
        "finished": sum(r.status == "finished" for r in frame.records.values()),
        "failed": sum(r.status == "failed" for r in frame.records.values()),
        "planned": len(frame.plan.trials),
        "tables": shown,
        "legend": legend_lines(frame, every),
        "families": sorted({row.family for row in rows if row.role == "student"}),
        "sections": _sections(charts(frame)),
        "class_tables": class_tables(every),
        "details": details(every),
        "trial_headings": HEADINGS,
        "records": RECORDS,
        "style": Markup(style),  # noqa: S704  our own
        "script": Markup(script),  # noqa: S704
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    return environment.get_template("index.html.jinja").render(values)


def _sections(found: Sequence[Chart]) -> list[dict[str, Any]]:
    order = list(SECTIONS)
    ordered = sorted(found, key=lambda chart: order.index(chart.section))
    return [
        {
            "id": section,
            "heading": SECTIONS[section][0],
            "note": SECTIONS[section][1],
            "charts": [{"chart": c, "svg": inline_svg(c), "width": width(c)} for c in part],
        }
        for section, part in groupby(ordered, key=lambda chart: chart.section)
    ]


def _part(name: str) -> str:
    return (resources.files("kdbench.report.page") / name).read_text(encoding="utf-8")
