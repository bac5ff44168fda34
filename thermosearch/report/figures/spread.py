"""What the committee's spread says: of the structures found, and whether it can be believed."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from thermosearch.report.figures.drawing import (
    INK,
    RASTER_COLOUR,
    SERIES,
    finite,
    log_axis,
    new_axes,
    plain,
    to_markup,
)
from thermosearch.report.figures.parity import PROPERTIES, Property, least_seen_first
from thermosearch.report.html import Markup
from thermosearch.report.notation import title, unit, value_error, with_unit
from thermosearch.report.run_data import Arrays

POINTS = 500
"""Beyond this many points the layer is rasterised."""
LONGEST_LABEL = 28


class Levels(NamedTuple):
    """Values of structures with the spread of the committee, (k,) each, in one unit."""

    name: str
    unit: str
    labels: Sequence[str]
    values: np.ndarray
    spreads: np.ndarray


def level_figure(levels: Levels) -> Markup:
    """Energies of the structures with the committee's spread as bars, lowest first."""
    order = np.argsort(levels.values)
    values, spreads = levels.values[order], levels.spreads[order]
    labels = [plain(levels.labels[index][:LONGEST_LABEL]) for index in order]
    figure, axes = new_axes(5.4, 1.2 + 0.28 * len(values))
    rows = np.arange(len(values))
    axes.errorbar(
        values, rows, xerr=spreads, fmt="o", color=SERIES[0], markersize=6, capsize=3, linewidth=1.6
    )
    axes.set_yticks(rows, labels)
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(plain(f"{levels.name.replace('_', ' ')} ({unit(levels.unit)})"))
    return to_markup(
        figure,
        f"{title(levels.name)} of {len(values)} structures with the committee's spread; the lowest "
        f"is {levels.labels[order[0]]} at {values[0]:.5g} {unit(levels.unit)}.",
        "Structures of the run; the bars are the spread of the committee (one standard deviation).",
    )


def member_figure(levels: Levels) -> Markup:
    """One number by every member of the committee, and their mean and standard deviation.

    `levels.spreads` is not used.
    """
    mean, deviation = float(levels.values.mean()), float(levels.values.std(ddof=1))
    figure, axes = new_axes(5.4, 1.7)
    axes.plot(levels.values, np.ones(levels.values.size), "o", color=SERIES[0], markersize=7)
    axes.errorbar(mean, 0.0, xerr=deviation, fmt="o", color=SERIES[1], markersize=7, capsize=4)
    axes.set_yticks([1.0, 0.0], ["members", "mean"])
    axes.set_ylim(-0.6, 1.6)
    axes.grid(visible=False, axis="y")
    name = levels.name.replace("_", " ")
    axes.set_xlabel(plain(f"{name} ({unit(levels.unit)})"))
    found = with_unit(value_error(mean, deviation), levels.unit)
    return to_markup(
        figure,
        f"{title(levels.name)} by each of {levels.values.size} members: {found}.",
        f"{title(levels.name)} of the best structure, relaxed by each member of the committee: "
        f"{found}, one standard deviation.",
    )


def calibration_figures(splits: Mapping[str, Arrays]) -> list[Markup]:
    """Error against spread, by property, on the split that training saw least of."""
    figures = []
    split = next(iter(least_seen_first(splits)), "")
    for each in PROPERTIES:
        keys = [f"{each.key}_{part}" for part in ("reference", "predicted", "spread")]
        if not split or not all(key in splits[split] for key in keys):
            continue
        reference, predicted, spread = finite(*(splits[split][key] for key in keys))
        error = np.abs(predicted - reference)
        kept = (error > 0) & (spread > 0)
        if kept.any():
            figures.append(_calibration(error[kept], spread[kept], each, split))
    return figures


def _calibration(error: np.ndarray, spread: np.ndarray, which: Property, split: str) -> Markup:
    figure, axes = new_axes(4.6, 4.3)
    error, spread = error * which.error_scale, spread * which.error_scale
    crowded = error.size > POINTS
    axes.plot(
        spread,
        error,
        "o",
        color=RASTER_COLOUR if crowded else SERIES[0],
        markersize=2 if crowded else 4,
        alpha=0.25 if crowded else 0.55,
        markeredgewidth=0,
        rasterized=crowded,
    )
    line = np.array([spread.min(), spread.max()])
    axes.plot(line, line, color=INK, linewidth=0.9)
    log_axis(axes, "x")
    log_axis(axes, "y")
    axes.set_xlabel(f"committee spread ({unit(which.error_unit)})")
    axes.set_ylabel(f"absolute error ({unit(which.error_unit)})")
    axes.set_title(plain(f"{split}: {which.name}"), loc="left", fontsize=10, fontweight="bold")
    within = float(np.mean(error <= spread))
    return to_markup(
        figure,
        f"Absolute error of the {which.name} against the committee's spread, {split}: "
        f"{within:.0%} of the errors are within one spread.",
        f"Error against spread, {split}: {within:.0%} of the errors are within one spread "
        "(a calibrated Gaussian error: 68%); on the line they are equal.",
    )
