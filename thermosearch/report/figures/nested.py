"""Nested sampling: thermodynamics against temperature, the dead points, the course of the walks."""

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.axes import Axes

from thermosearch.report.figures.drawing import (
    RASTER_COLOUR,
    SERIES,
    add_legend,
    log_axis,
    new_axes,
    plain,
    to_markup,
)
from thermosearch.report.html import Markup
from thermosearch.report.notation import label_of, titled
from thermosearch.report.run_data import Arrays

MOST_POINTS = 4000
# As the series, but of a raster layer: readable on light and dark.
POINT_COLOURS = (RASTER_COLOUR, "#da5e28", "#1e9569", "#795fd0", "#b8860b", "#c2408b")
CURVES = {
    "heat_capacity": "configurational heat capacity (k)",
    "internal_energy": "internal energy",
    "enthalpy": "enthalpy",
    "volume": "volume",
    "thermal_expansion": "thermal expansion",
    "coordination_number": "coordination number",
    "steinhardt_q4": "Steinhardt Q4",
    "steinhardt_q6": "Steinhardt Q6",
    "committee_spread": "committee spread",
}


def curve_figures(curves: Mapping[str, Arrays], units: Mapping[str, str | float]) -> list[Markup]:
    """Quantities against temperature, a line with its error band for every pressure.

    Parameters
    ----------
    curves : mapping of str to arrays
        `temperature`, and `NAME` with `NAME_error` (t,), of every pressure.
    units : mapping
        `curves/K/pressure` and `curves/K/NAME_unit`.
    """
    figures = []
    for name, title in CURVES.items():
        drawn = {key: each for key, each in sorted(curves.items()) if name in each}
        if not drawn:
            continue
        figure, axes = new_axes()
        for number, (key, each) in enumerate(drawn.items()):
            _band(axes, each, name, SERIES[number % len(SERIES)], _pressure(units, key))
        unit = str(units.get(f"curves/{next(iter(drawn))}/{name}_unit", ""))
        axes.set_xlabel(label_of(units, "temperature"))
        has_unit = name != "heat_capacity" and unit not in {"1", ""}
        axes.set_ylabel(plain(titled(title, unit if has_unit else None)))
        if len(drawn) > 1:
            add_legend(axes)
        figures.append(
            to_markup(
                figure,
                f"{title} against temperature for {len(drawn)} pressures.",
                f"{title[0].upper()}{title[1:]}, with one standard error.",
            )
        )
    return figures


def dead_point_figure(
    runs: Mapping[str, Arrays], units: Mapping[str, str | float]
) -> Markup | None:
    """Contour values against volume, or against the prior mass where the cell is fixed.

    Parameters
    ----------
    runs : mapping of str to arrays
        `value`, `volume`, `live` and, where walks have velocities, `kinetic` (d,), of every run.
    units : mapping
        `dead/KEY/label`, the conditions of a run in words, which repeats share (empty where all
        runs share them), and units.
    """
    dead = {key: each for key, each in runs.items() if "value" in each and "volume" in each}
    if not dead:
        return None
    figure, axes = new_axes()
    flexible = any(np.ptp(each["volume"]) > 0 for each in dead.values())
    heights = {key: each["value"] - each.get("kinetic", 0.0) for key, each in dead.items()}
    clouds = _clouds(dead, heights, units, flexible)
    for number, (name, points) in enumerate(clouds.items()):
        axes.plot(
            *points,
            ".",
            markersize=2,
            color=POINT_COLOURS[number % len(POINT_COLOURS)],
            rasterized=True,
            label=plain(name),
        )
    # The first points lie as high as overlapping atoms do: what matters is below.
    values = np.concatenate([*heights.values()])
    low, middle = float(values.min()), float(np.median(values))
    axes.set_ylim(low - 0.05 * (middle - low), low + 2.0 * (middle - low))
    axes.set_xlabel(label_of(units, "volume") if flexible else "ln of the prior mass")
    axes.set_ylabel(label_of(units, "energy", "enthalpy" if flexible else "energy"))
    if len(clouds) > 1:
        # Few states of a large volume or prior mass lie low.
        add_legend(axes, loc="lower right", markerscale=4)
    return to_markup(
        figure,
        "The dead points of all runs.",
        "Dead points; the highest are outside the frame.",
    )


def walk_figures(walks: Mapping[str, Arrays], units: Mapping[str, str | float]) -> list[Markup]:
    """Draw acceptance rates, step sizes and displacements of the walks of the first run."""
    for key, each in sorted(walks.items()):
        if {"accepted", "steps", "moves"} <= set(each):
            names = [str(name) for name in np.atleast_1d(each["moves"])]
            tried = sum(
                each[name]
                for name in ("accepted", "outside", "above_contour", "not_a_number")
                if name in each
            )
            rates = each["accepted"] / np.maximum(tried, 1)
            figures = list(_histories(key, names, rates, each["steps"]))
            return [*figures, *_displacements(key, each, units)]
    return []


def _clouds(
    dead: Mapping[str, Arrays],
    heights: Mapping[str, np.ndarray],
    units: Mapping[str, str | float],
    flexible: bool,
) -> dict[str, np.ndarray]:
    """Points (2, n) to draw, of the repeats under the same conditions together."""
    clouds: dict[str, list[np.ndarray]] = {}
    for key, each in sorted(dead.items()):
        every = max(1, len(each["value"]) // MOST_POINTS)
        across = each["volume"] if flexible else -np.cumsum(1.0 / each["live"])
        name = str(units.get(f"dead/{key}/label", "")) or key
        clouds.setdefault(name, []).append(np.stack((across, heights[key]))[:, ::every])
    return {name: np.concatenate(runs, axis=1) for name, runs in clouds.items()}


def _histories(
    key: str, names: list[str], rates: np.ndarray, steps: np.ndarray
) -> Iterator[Markup]:
    for title, columns in (("acceptance rate", rates), ("step size", steps)):
        figure, axes = new_axes()
        for number, name in enumerate(names):
            axes.plot(columns[:, number], color=SERIES[number % len(SERIES)], label=plain(name))
        if title == "step size":
            log_axis(axes, "y")
        else:
            axes.set_ylim(0.0, 1.0)
        axes.set_xlabel("iteration")
        axes.set_ylabel(title)
        if len(names) > 1:
            add_legend(axes)
        yield to_markup(
            figure,
            f"{title} of {len(names)} moves against the iteration.",
            f"{title[0].upper()}{title[1:]} of each move, {key}.",
        )


def _displacements(key: str, walks: Arrays, units: Mapping[str, str | float]) -> Iterator[Markup]:
    """How far walks carry atoms: below a bond, a liquid does not mix within one of them."""
    if "displacement" not in walks:
        return
    figure, axes = new_axes()
    axes.plot(walks["displacement"], color=SERIES[0])
    log_axis(axes, "y")
    axes.set_xlabel("iteration")
    axes.set_ylabel(label_of(units, "distance", "displacement in a walk"))
    yield to_markup(
        figure,
        "Root mean square displacement of the atoms in a walk against the iteration.",
        f"Displacement of an atom in one walk (root mean square), {key}: compare it with a bond.",
    )


def _band(axes: Axes, arrays: Arrays, name: str, colour: str, label: str) -> None:
    t, mean, error = arrays["temperature"], arrays[name], arrays[f"{name}_error"]
    axes.plot(t, mean, color=colour, label=plain(label))
    axes.fill_between(t, mean - error, mean + error, color=colour, alpha=0.25, linewidth=0)


def _pressure(units: Mapping[str, str | float], key: str) -> str:
    return str(units.get(f"curves/{key}/label", ""))
