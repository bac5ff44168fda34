"""What all plots share: ink that follows the page's theme, and inline SVG as the output.

Plots are drawn in marker colours, which are replaced by the page's CSS variables in the SVG, so
that one figure serves light, dark and print. Text stays text. Crowded layers are rasterised
inside the SVG (`rasterized=True`), which is smaller than either format alone.
"""

import hashlib
import io
import re
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from thermosearch.report.html import Markup, element
from thermosearch.report.notation import SUPERSCRIPTS

INK, MUTED, GRID = "#000101", "#000102", "#000103"
SERIES = ("#0001a1", "#0001a2", "#0001a3", "#0001a4", "#0001a5", "#0001a6")
VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid"} | {
    colour: f"--series-{number}" for number, colour in enumerate(SERIES, start=1)
}
# Readable on light and dark: a raster layer cannot follow the theme.
RASTER_COLOUR = "#3987e5"
RASTER_GREY = "#8a8a8a"
RASTER_DPI = 160
LONGEST_TEXT = 60

STYLE = {
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "font.size": 10.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "thermosearch",
}


def new_axes(width: float = 5.4, height: float = 3.7) -> tuple[Figure, Axes]:
    """Figure of one panel, inches, without pyplot's global state."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.add_subplot()


def to_markup(figure: Figure, alt: str, caption: str) -> Markup:
    """Inline SVG in a `figure` element.

    Parameters
    ----------
    figure : matplotlib Figure
        Drawn with the colours of this module.
    alt : str
        What a reader who cannot see the figure should know.
    caption : str
        Sentence under the figure.
    """
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # A label in a script the font lacks is drawn by the browser, which has it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", metadata=nothing, dpi=RASTER_DPI)
    svg = _inline(buffer.getvalue(), alt)
    return element("figure", svg, element("figcaption", caption), class_="plot")


def plain(text: str) -> str:
    """Make text from a run fit for a plot: no longer than that, and `$` starts no formula."""
    shown = text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
    return shown.replace("$", r"\$")


def log_axis(axes: Axes, which: str) -> None:
    """Make the x or y axis logarithmic with plain numbers at its ticks."""
    axes.set_xscale("log") if which == "x" else axes.set_yscale("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axis.get_view_interval()
    within_two_decades = high < 100.0 * low
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if within_two_decades else (1.0,)))
    axis.set_major_formatter(FuncFormatter(_power_label))
    axis.set_minor_formatter(NullFormatter())


def add_legend(axes: Axes, columns: int = 1, **options: Any) -> None:
    """Legend in the page's ink."""
    with matplotlib.rc_context(STYLE):
        axes.legend(ncols=columns, fontsize=9, borderaxespad=0.2, **options)


def finite(*arrays: np.ndarray) -> Sequence[np.ndarray]:
    """Arrays as float64 at the entries where all of them are finite; empty on unequal lengths."""
    flat = [np.asarray(each, dtype=np.float64).ravel() for each in arrays]
    if len({each.size for each in flat}) != 1:
        return [np.empty(0) for _ in flat]
    keep = np.all(np.isfinite(flat), axis=0)
    return [each[keep] for each in flat]


def _power_label(value: float, _position: int | None = None) -> str:
    exponent = round(np.log10(value)) if value > 0 else 0
    if -4 < exponent < 5:
        return f"{value:g}"
    mantissa = value / 10.0**exponent
    factor = "" if abs(mantissa - 1.0) < 1e-6 else f"{mantissa:g}·"
    return f"{factor}10{str(exponent).translate(SUPERSCRIPTS)}"


def _inline(document: str, alt: str) -> Markup:
    """SVG element fit for a page: themed, unique ids, no style sheet that leaks."""
    svg = document[document.index("<svg") :]
    box = re.search(r'viewBox="([^"]*)"', svg)
    svg = svg[svg.index(">") + 1 :].removesuffix("\n").removesuffix("</svg>")
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"#0001[0a]\d", lambda match: f"var({VARIABLES[match[0]]})", svg)
    svg = re.sub(r"font: (\d+px|\d+\.\d+px) [^;\"]*", r"font-size: \1", svg)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r' (d|x|y)="[^"]*"', _shortened, svg)
    svg = _unique_ids(svg)
    view = box[1] if box else "0 0 1 1"
    # Points to pixels: all plots of a page have one font size.
    width = f"width: {float(view.split()[2]) / 0.75:.0f}px"
    return element("svg", Markup(svg), viewBox=view, role="img", aria_label=alt, style=width)


def _shortened(attribute: re.Match[str]) -> str:
    """Coordinates to a hundredth of a point: half the size of the figure."""
    return re.sub(r"(\d\.\d\d)\d+", r"\1", attribute[0])


def _unique_ids(svg: str) -> str:
    used = set(re.findall(r"(?:href=\"#|url\(#)([^\")]+)", svg))
    prefix = "f" + hashlib.sha256(svg.encode()).hexdigest()[:8]

    def rename(match: re.Match[str]) -> str:
        return f' id="{prefix}-{match[1]}"' if match[1] in used else ""

    svg = re.sub(r" id=\"([^\"]+)\"", rename, svg)
    return re.sub(r"(href=\"#|url\(#)", rf"\g<1>{prefix}-", svg)
