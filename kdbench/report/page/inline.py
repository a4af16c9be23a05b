"""Figures inside the page, in its text colour and with unique identifiers."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from kdbench.report.figures.style import INK, PALETTE, Chart, svg

BLUE = PALETTE[0].lower()
"""Too dark for a dark page, which uses a different blue."""
REFERENCE = re.compile(r'(?:href="#|url\(#)([^")]+)')
TAG = re.compile(r"<[^>]+>")
FINE = re.compile(r"\d+\.\d{3,}")
"""A number with more decimals than a screen can show."""
IDENTIFIER = re.compile(r' id="([^"]+)"')


def inline_svg(chart: Chart) -> Markup:
    """Return a figure's ``<svg>`` element.

    It has the page's text colour and background, and a name for screen readers.
    """
    text = svg(chart.figure, transparent=True)
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"\n\s*", "\n", text)
    text = text.replace(INK, "currentColor").replace(BLUE, f"var(--blue, {BLUE})")
    text = TAG.sub(lambda tag: FINE.sub(lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), tag[0]), text)
    used = set(REFERENCE.findall(text))
    text = IDENTIFIER.sub(lambda m: f' id="{chart.stem}-{m[1]}"' if m[1] in used else "", text)
    text = re.sub(r'((?:href="#|url\(#))', rf"\g<1>{chart.stem}-", text)
    label = escape(f"{chart.title}. {chart.sentence}")
    # matplotlib made this text, and has escaped the labels in it.
    return Markup(text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1))  # noqa: S704


def width(chart: Chart) -> int:
    """Return the CSS pixels of width that give a figure the page's small text size."""
    return round(96 * chart.figure.get_figwidth())
