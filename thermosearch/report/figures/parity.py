"""Predicted against reference values, with the errors in the plot."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm, to_rgba

from thermosearch.report.figures.drawing import (
    INK,
    RASTER_COLOUR,
    SERIES,
    finite,
    new_axes,
    plain,
    to_markup,
)
from thermosearch.report.html import Markup
from thermosearch.report.notation import unit
from thermosearch.report.run_data import Arrays

# Beyond this many points single ones hide one another and a density is drawn.
POINTS = 500
BINS = 110


class Property(NamedTuple):
    """What is compared: key in the arrays, name, unit, and the unit and scale of its errors."""

    key: str
    name: str
    unit: str
    error_unit: str
    error_scale: float


PROPERTIES = (
    Property("energy", "energy", "eV/atom", "meV/atom", 1000.0),
    Property("force", "force component", "eV/A", "eV/A", 1.0),
    Property("stress", "stress component", "GPa", "GPa", 1.0),
)


class Errors(NamedTuple):
    """Mean absolute and root mean square deviation of `count` values."""

    mae: float
    rmse: float
    count: int


def parity_figures(splits: Mapping[str, Arrays], source: str = "") -> list[Markup]:
    """One figure a split and property.

    Parameters
    ----------
    splits : mapping of str to arrays
        `energy_reference` and `energy_predicted` (n,) in eV/atom, `force_...` (m,) in eV/A,
        `stress_...` in GPa, of `train`, `validation`, `test`.
    source : str
        Where the values come from, for the caption.
    """
    figures = []
    for split in least_seen_first(splits):
        for each in PROPERTIES:
            pair = compared(splits[split], each)
            if pair is not None:
                figures.append(_parity(*pair, each, split, source))
    return figures


def least_seen_first(splits: Iterable[str]) -> list[str]:
    """Order splits by how little training saw of them: test sets, validation, the rest."""

    def seen(name: str) -> tuple[int, str]:
        ranks = [k for k, start in enumerate(("test", "validation")) if name.startswith(start)]
        return (ranks[0] if ranks else 2), name

    return sorted(splits, key=seen)


def compared(arrays: Arrays, which: Property) -> tuple[np.ndarray, np.ndarray] | None:
    """Pick reference and prediction of one property; None where a split lacks it."""
    keys = f"{which.key}_reference", f"{which.key}_predicted"
    if not all(key in arrays for key in keys):
        return None
    reference, predicted = finite(*(arrays[key] for key in keys))
    return (reference, predicted) if reference.size else None


def errors(reference: np.ndarray, predicted: np.ndarray, scale: float = 1.0) -> Errors:
    """Errors of `predicted`, multiplied by `scale`."""
    deviation = (predicted - reference) * scale
    return Errors(
        float(np.mean(np.abs(deviation))),
        float(np.sqrt(np.mean(deviation**2))),
        deviation.size,
    )


def _parity(
    reference: np.ndarray, predicted: np.ndarray, which: Property, split: str, source: str
) -> Markup:
    figure, axes = new_axes(4.3, 4.3)
    low = float(min(reference.min(), predicted.min()))
    high = float(max(reference.max(), predicted.max()))
    margin = 0.04 * (high - low) or 1.0
    frame = (low - margin, high + margin)
    axes.plot(frame, frame, color=INK, linewidth=0.9, zorder=1)
    if reference.size > POINTS:
        _density(axes, reference, predicted, frame)
    else:
        axes.plot(
            reference, predicted, "o", color=SERIES[0], markersize=4, alpha=0.55, markeredgewidth=0
        )
    axes.set(xlim=frame, ylim=frame, aspect="equal")
    axes.set_xlabel(f"reference {which.name} ({unit(which.unit)})")
    axes.set_ylabel(f"predicted ({unit(which.unit)})")
    measured = errors(reference, predicted, which.error_scale)
    error_unit = unit(which.error_unit)
    axes.set_title(plain(f"{split}: {which.name}"), loc="left", fontsize=10, fontweight="bold")
    axes.text(
        0.04,
        0.96,
        f"MAE {measured.mae:.3g} {error_unit}\nRMSE {measured.rmse:.3g} {error_unit}\n"
        f"{measured.count:,} values",
        transform=axes.transAxes,
        va="top",
        fontsize=9.5,
        color=INK,
        linespacing=1.4,
    )
    origin = f" ({source})" if source else ""
    return to_markup(
        figure,
        f"Predicted against reference {which.name}, {split}: MAE {measured.mae:.3g} {error_unit}, "
        f"RMSE {measured.rmse:.3g} {error_unit}, {measured.count} values.",
        f"{which.name.capitalize()}, {split}{origin}. The line is perfect agreement"
        + ("; the shade is the number of values" if reference.size > POINTS else "")
        + "; the errors are those of the values drawn.",
    )


def _density(
    axes: Axes, reference: np.ndarray, predicted: np.ndarray, frame: tuple[float, float]
) -> None:
    counts, x, y = np.histogram2d(reference, predicted, bins=BINS, range=[frame, frame])
    clear = to_rgba(RASTER_COLOUR, 0.4)
    shades = LinearSegmentedColormap.from_list("density", [clear, to_rgba(RASTER_COLOUR, 1.0)])
    axes.pcolormesh(
        x,
        y,
        np.ma.masked_equal(counts.T, 0),
        cmap=shades,
        norm=LogNorm(1, max(2.0, counts.max())),
        rasterized=True,
        zorder=2,
    )
