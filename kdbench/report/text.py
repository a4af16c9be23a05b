"""Formatting of numbers and names; exact numbers are in the CSV files."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from kdbench.errors import flat

if TYPE_CHECKING:
    import pandas as pd

SPECIAL = re.compile(r"[\\`*|<>\[\]&~$]|(?<![^\W_])_|_(?![^\W_])")
"""Characters special in markdown; not underscores inside words such as ``tf_kd``."""

HARD_SPACE = "\N{NO-BREAK SPACE}"


def escape(text: str) -> str:
    """Return untrusted text on one line, escaped for markdown and its tables."""
    return SPECIAL.sub(lambda found: "\\" + found[0], flat(text))


def short(text: str, most: int = 26) -> str:
    """Return untrusted text on one line, short enough for a label.

    It is cut in the middle, because names differ at either end.
    """
    line = flat(text)
    tail = most // 3
    return line if len(line) <= most else f"{line[: most - tail - 1]}…{line[-tail:]}"


def without_controls(text: str) -> str:
    """Remove characters that control a terminal or change the direction of text."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(c for c in text if c == "\n" or c.isprintable() or c in "\t\N{NO-BREAK SPACE}\N{THIN SPACE}")


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Write a table as CSV, with exact numbers and no formula among its texts."""
    safe = table.rename(columns=_inert)
    for name in safe.columns:
        if safe[name].dtype.kind not in "biuf":
            safe[name] = safe[name].map(_inert)
    return safe.to_csv(index=False, lineterminator="\n").encode()


def _inert(value: object) -> object:
    """Make text inert to a spreadsheet, and leave anything else as it is."""
    if not isinstance(value, str):
        return value
    line = value if value.isprintable() else flat(value, len(value))
    return f"'{line}" if line.startswith(tuple("=+-@")) else line


def slug(*parts: str) -> str:
    """Join parts of a file's name: lower-case ASCII letters, digits and hyphens."""
    return "-".join(found for part in parts if (found := re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-"))) or "figure"


def code(text: str) -> str:
    """Return text as a code span, even if it contains backticks."""
    line = flat(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}"


def percent(share: float) -> str:
    """Format a share in [0, 1] in percent, with two decimals."""
    return "–" if math.isnan(share) else f"{100 * share:.2f}"


def points(difference: float) -> str:
    """Format a difference of shares in percentage points, with its sign."""
    text = f"{100 * difference:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "−")


def signed(difference: float) -> str:
    """Format a difference with three digits and its sign."""
    text = f"{difference:+.0f}" if abs(difference) >= 1000 else f"{difference:+#.3g}".rstrip(".")
    return "0" if float(text) == 0 else text.replace("-", "−")


def quantity(value: float) -> str:
    """Format a count with three digits and an SI prefix: ``107 k``, ``4.66 M``."""
    if math.isnan(value):
        return "–"
    rounded = float(f"{value:.3g}")
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if rounded >= factor:
            return f"{rounded / factor:.3g} {prefix}"
    return f"{value:.0f}"


def size(megabytes: float) -> str:
    """Format a size in MB (10^6 bytes), with three digits."""
    return "–" if math.isnan(megabytes) else f"{float(f'{megabytes:.3g}'):g}"


def times(ratio: float) -> str:
    """Format a ratio: ``43.7×``."""
    return "–" if math.isnan(ratio) else f"{ratio:.1f}×" if ratio < 99.95 else f"{ratio:.0f}×"


def duration(seconds: float) -> str:
    """Format seconds in a readable unit: ``0.42 s``, ``85 s``, ``14 min``, ``3.2 h``."""
    if math.isnan(seconds):
        return "–"
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7170 else f"{seconds / 3600:.1f} h"


def milliseconds(value: float) -> str:
    """Format milliseconds with three digits."""
    return "–" if math.isnan(value) else f"{float(f'{value:.3g}'):g}"


def decimals(value: float) -> str:
    """Format a number of the order of one, with four decimals."""
    return "–" if math.isnan(value) else f"{value:.4f}"
