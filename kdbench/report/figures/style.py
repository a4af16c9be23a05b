"""Style and writing of figures, with the same bytes for the same records."""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from kdbench.results.files import write_whole

FOLDER = "figures"
INK = "#1b1f24"
"""Text and axes; the HTML page turns it into the page's own text colour."""
MUTED = "#7f868e"
"""Grids, leader lines and baselines; legible on white and black."""
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999933")
"""Okabe, Ito 2008, "Color Universal Design"; without black, olive for yellow."""
MARKERS = "osD^vPX<>ph"
MAP = "cividis"
"""Colour map of shares; looks the same with and without red-green blindness."""
DPI = 160
TITLE_LETTER, TITLE_LINE = 0.085, 0.17
"""Mean width of a title's letters and height of its lines, inches."""

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9.0,
    "font.family": "DejaVu Sans",  # which comes with matplotlib
    "font.size": 8.5,
    "grid.alpha": 0.3,
    "grid.color": MUTED,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "savefig.dpi": DPI,
    "svg.fonttype": "none",
    "svg.hashsalt": "kdbench",
    "text.color": INK,
    "text.parse_math": False,  # a method may be called "$x"
    "xtick.color": INK,
    "ytick.color": INK,
}


@dataclass(frozen=True)
class Chart:
    """A figure and its description.

    Args:
        stem: its file's name without the extension: ASCII, unique in a report.
        section: the kind of figure, for the page's headings.
        title: its title: what it shows, and of which pair.
        sentence: description for those who cannot see it.
        figure: the figure.
    """

    stem: str
    section: str
    title: str
    sentence: str
    figure: Figure


class Look(NamedTuple):
    """Colour and mark of a family, the same in all figures of a report."""

    colour: str
    marker: str


class Picture(Figure):
    """A figure that a notebook displays even if pyplot is not imported."""

    def _repr_png_(self) -> bytes:
        return png(self)


@contextmanager
def styled() -> Iterator[None]:
    """Draw and write figures in here independently of the user's matplotlib settings."""
    settings: Any = {k: v for k, v in matplotlib.rcParamsDefault.items() if not k.startswith("backend")}
    settings.update(STYLE)
    with warnings.catch_warnings(), matplotlib.rc_context(settings):
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing from font"
        )  # a box in the PNG; the SVG's reader has the font
        yield


def canvas(width: float, height: float) -> Figure:
    """Create an empty figure, in inches, that pyplot does not manage."""
    figure = Picture((width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def multiples(count: int, columns: int, top: float) -> tuple[Figure, list[Axes]]:
    """Create small panels that share their axes.

    They are laid out by hand, because constrained layout takes seconds for many panels.

    Args:
        count: number of panels.
        columns: largest number of panels in a row.
        top: room for a legend, inches.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    width, height = max(1.75 * columns + 0.65, 5.0), 1.45 * rows + 0.5 + top
    figure = Picture((width, height))
    FigureCanvasAgg(figure)
    edges = {"left": 0.6 / width, "right": 1 - 0.08 / width, "bottom": 0.45 / height, "top": 1 - (top + 0.22) / height}
    panels = figure.subplots(
        rows, columns, sharex=True, sharey=True, squeeze=False, gridspec_kw={**edges, "wspace": 0.1, "hspace": 0.36}
    )
    for axes in panels.flat[count:]:
        axes.remove()
    for i, axes in enumerate(panels.flat[:count]):
        axes.xaxis.set_tick_params(labelbottom=i + columns >= count)
    return figure, list(panels.flat[:count])


def png(figure: Figure) -> bytes:
    """Return a figure as PNG on white."""
    return _saved(figure, "png", {"Software": None})


def svg(figure: Figure, *, transparent: bool = False) -> str:
    """Return a figure as SVG with text as text, on white unless ``transparent``."""
    return _svg(figure, {}, transparent=transparent)


def png_file(chart: Chart) -> bytes:
    """Return a figure with its title as PNG on white."""
    with _titled(chart) as box:
        return _saved(chart.figure, "png", {"Software": None, "Title": chart.title}, bbox_inches=box)


def svg_file(chart: Chart) -> bytes:
    """Return a figure with its title as SVG on white."""
    with _titled(chart) as box:
        return _svg(chart.figure, {"Title": chart.title, "Description": chart.sentence}, bbox_inches=box).encode()


@contextmanager
def _titled(chart: Chart) -> Iterator[Bbox]:
    """Put the title above a figure; yield the box that holds both, in inches."""
    figure = chart.figure
    width, height = (float(v) for v in figure.get_size_inches())
    lines = textwrap.wrap(chart.title, max(20, int((width - 0.2) / TITLE_LETTER))) or [""]
    room = 0.08 + TITLE_LINE * len(lines)
    with styled():
        layout(figure)
        top = 1 + (room - 0.05) / height
        text = figure.text(0.08 / width, top, "\n".join(lines), va="top", fontsize=9.5, fontweight="bold", linespacing=1.15)
    try:
        yield Bbox([[0.0, 0.0], [width, height + room]])
    finally:
        text.remove()


def write_figures(charts: Sequence[Chart], folder: Path, ending: str, render: Callable[[Chart], bytes]) -> list[Path]:
    """Write ``figures/STEM.ENDING`` for each figure.

    Returns:
        The paths of the files written.
    """
    paths = [folder / FOLDER / f"{chart.stem}.{ending}" for chart in charts]
    for path, chart in zip(paths, charts, strict=True):
        write_whole(path, render(chart))
    return paths


def _svg(figure: Figure, metadata: dict[str, str], **options: Any) -> str:
    text = _saved(figure, "svg", {"Creator": None, "Date": None, "Format": None, "Type": None, **metadata}, **options).decode()
    # The reader's machine may lack the font of the layout; Verdana and similar fonts are as wide.
    return text.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, Geneva, sans-serif")


def layout(figure: Figure) -> None:
    """Lay a figure out once; matplotlib would otherwise do so at every drawing."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
    for legend in figure.legends:  # else it would move with the edge of the picture
        legend.set_bbox_to_anchor((0, 0, 1, 1), transform=figure.transFigure)


def _saved(figure: Figure, kind: str, metadata: dict[str, Any], **options: Any) -> bytes:
    content = io.BytesIO()
    with styled():
        layout(figure)
        figure.savefig(content, format=kind, metadata=metadata, **options)
    return content.getvalue()


def colours(families: Iterable[str]) -> dict[str, Look]:
    """Return colour and mark of each family: ink for the baseline, grey for teachers."""
    fixed = {"baseline": Look(INK, "o"), "teacher": Look(MUTED, "*"), "assistant": Look(MUTED, "d")}
    others = sorted({f for f in families if f not in fixed})
    return fixed | {f: Look(PALETTE[i % len(PALETTE)], MARKERS[(i + 1) % len(MARKERS)]) for i, f in enumerate(others)}


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return up to ``most`` round numbers between two others, for a logarithmic axis.

    They are of the finest of the usual steps that fit (1, 1.5, 2, 3, 5, 7; 1, 2, 5; 1, 3; decades), or evenly
    spaced where the range is too short for these.
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1.0, 1.5, 2.0, 3.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        found = [float(f"{s}e{d}") for d in decades for s in steps if low <= float(f"{s}e{d}") <= high]
        if 3 <= len(found) <= most:
            return found
    if high / low > 10:
        whole = [10.0**d for d in decades if low <= 10.0**d <= high]
        return whole[:: math.ceil(len(whole) / most)]
    spaced = MaxNLocator(most - 1, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(f"{t:.6g}") for t in spaced if low <= t <= high]


def on(colour: tuple[float, float, float, float]) -> str:
    """Return white or black, whichever is legible on a colour (WCAG's luminance)."""
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3])
    return "#ffffff" if 0.2126 * r + 0.7152 * g + 0.0722 * b < 0.179 else "#000000"


def cells(axes: Axes, values: np.ndarray, texts: Sequence[Sequence[str]] | None, **options: object) -> object:
    """Draw a map of values with texts, row 0 on top; return it for a colour bar."""
    rows, columns = values.shape
    edges = np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5
    if texts is None:
        mesh = axes.imshow(values, cmap=MAP, aspect="auto", interpolation="nearest", **options)  # type: ignore[arg-type]
    else:
        mesh = axes.pcolormesh(*edges, values, cmap=MAP, edgecolors="face", linewidth=0.2, **options)  # type: ignore[arg-type,assignment]
        for i in range(rows):
            for j in range(columns):
                if texts[i][j]:
                    axes.text(j, i, texts[i][j], ha="center", va="center", color=on(mesh.to_rgba(values[i, j])), fontsize=7)  # type: ignore[arg-type]
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    axes.grid(visible=False)
    return mesh
