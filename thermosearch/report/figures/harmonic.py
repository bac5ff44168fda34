"""Effective harmonic potentials: thermodynamics, phonons, and the course of the loops."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from thermosearch.report.figures.drawing import (
    GRID,
    MUTED,
    SERIES,
    add_legend,
    finite,
    log_axis,
    new_axes,
    plain,
    to_markup,
)
from thermosearch.report.html import Markup
from thermosearch.report.notation import title, unit
from thermosearch.report.run_data import Arrays

STYLES = {"effective harmonic": "-", "quasi-harmonic": "--", "harmonic": ":"}
AGAINST_TEMPERATURE = (
    "lattice_parameter_",
    "volume",
    "thermal_expansion",
    "heat_capacity",
    "bulk_modulus",
    "gruneisen_parameter",
    "mean_square_displacement_",
    "pressure",
    "entropy",
)
"""Beginnings of the names of series that are drawn as they are, in this order."""
HIDDEN = ("heat_capacity_of_modes",)
MEV = 1000.0


class Line(NamedTuple):
    """One phase at one pressure in one approximation."""

    label: str
    phase: str
    pressure: float | None
    approximation: str
    arrays: Arrays


def thermal_figures(
    series: Mapping[str, Arrays], annotations: Mapping[str, str | float]
) -> list[Markup]:
    """Everything against temperature, the comparison of free energies first.

    Parameters
    ----------
    series : mapping of str to arrays
        `temperature`, and `NAME` with `NAME_error`, (t,), of every phase, pressure and
        approximation.
    annotations : mapping
        `thermal/KEY/phase`, `/pressure`, `/approximation` and `/NAME_unit`.
    """
    lines = _lines(series, annotations)
    figures = [*_between_phases(lines), *_between_approximations(lines)]
    names = dict.fromkeys(name for line in lines for name in line.arrays)
    for beginning in AGAINST_TEMPERATURE:
        for name in sorted(names):
            exact = beginning.endswith("_") or name == beginning
            expansion = beginning == "thermal_expansion" and name.startswith(f"{beginning}_")
            if not name.startswith(beginning) or not (exact or expansion):
                continue
            if name.endswith("_error") or name in HIDDEN:
                continue
            figure = _figure(lines, name, _unit_of(annotations, name))
            figures += [figure] if figure else []
    return figures


def band_figures(series: Mapping[str, Arrays]) -> list[Markup]:
    """Phonon bands, a colour for each temperature.

    Parameters
    ----------
    series : mapping of str to arrays
        `temperature` (t,), `distance` (q,), `frequency` (t, q, b), `ticks` and `labels` (k,).
    """
    figures = []
    for key, arrays in sorted(series.items()):
        temperature, distance, frequency = (
            arrays.get(name) for name in ("temperature", "distance", "frequency")
        )
        if frequency is None or frequency.ndim != 3 or temperature is None or distance is None:
            continue
        if frequency.shape[:2] != (len(temperature), len(distance)):
            continue
        figure, axes = new_axes()
        for number, kelvin in enumerate(temperature):
            drawn = axes.plot(
                distance, frequency[number], color=_by_temperature(number), linewidth=1.0
            )
            drawn[0].set_label(f"{kelvin:g} K")
        axes.axhline(0.0, color=MUTED, linewidth=0.8)
        ticks, labels = arrays.get("ticks"), arrays.get("labels")
        if ticks is not None and labels is not None and len(ticks) == len(labels):
            axes.set_xticks(*_corners(ticks, labels))
            axes.grid(axis="y", visible=False)
        axes.set_xlim(distance[0], distance[-1])
        axes.set_ylabel("frequency (THz)")
        add_legend(axes)
        figures.append(
            to_markup(
                figure,
                f"Phonon bands of {key} at {len(temperature)} temperatures.",
                f"Effective phonon bands, {key}; below zero: imaginary.",
            )
        )
    return figures


def density_figures(series: Mapping[str, Arrays]) -> list[Markup]:
    """Densities of states: `temperature` (t,), `frequency` (f,), `density` (t, f) of each."""
    figures = []
    for key, arrays in sorted(series.items()):
        if not {"temperature", "frequency", "density"} <= set(arrays):
            continue
        temperature, frequency, density = (
            arrays[name] for name in ("temperature", "frequency", "density")
        )
        if density.shape != (len(temperature), len(frequency)):
            continue
        figure, axes = new_axes()
        for number, kelvin in enumerate(temperature):
            axes.plot(
                frequency, density[number], color=_by_temperature(number), label=f"{kelvin:g} K"
            )
        axes.set_xlabel("frequency (THz)")
        axes.set_ylabel("states per THz")
        axes.set_ylim(bottom=0.0)
        add_legend(axes)
        alt = f"Densities of states of {key} at {len(temperature)} temperatures."
        figures.append(to_markup(figure, alt, f"Density of states of a primitive cell, {key}."))
    return figures


def course_figures(series: Mapping[str, Arrays]) -> list[Markup]:
    """How the loops converged: expected gain and its noise, sample after sample.

    Parameters
    ----------
    series : mapping of str to arrays
        `temperature`, `gain`, `noise` of every sample, (r,).
    """
    figures = []
    for key, arrays in sorted(series.items()):
        if not {"temperature", "gain", "noise"} <= set(arrays):
            continue
        kelvin, gain, noise = finite(arrays["temperature"], arrays["gain"], arrays["noise"])
        if not kelvin.size:
            continue
        figure, axes = new_axes()
        number = np.arange(1, len(gain) + 1)
        floor = max(1e-9, 1e-3 * float(noise[noise > 0.0].min(initial=1.0)))
        axes.plot(number, np.maximum(gain, floor), "o-", color=SERIES[0], label="still to gain")
        axes.plot(number, np.maximum(noise, floor), "-", color=SERIES[1], label="its noise")
        log_axis(axes, "y")
        for first in np.flatnonzero(np.diff(kelvin)) + 1.5:
            axes.axvline(first, color=GRID, linewidth=1.0)
        axes.set_xlabel("sample, all temperatures after one another")
        axes.set_ylabel("free energy of the supercell (eV)")
        add_legend(axes)
        alt = f"Gain and noise of {len(gain)} samples of {key}."
        caption = (
            f"Free energy that the next refit would gain, {key}; a loop ends when it is noise. "
            "Gains at or below zero stand at the lower edge."
        )
        figures.append(to_markup(figure, alt, caption))
    return figures


def _between_phases(lines: Sequence[Line]) -> Iterator[Markup]:
    """Gibbs energies relative to the first phase: where they cross, the stable phase changes."""
    for name in ("gibbs_energy_integrated", "gibbs_energy"):
        found = [line for line in lines if name in line.arrays and line.pressure is not None]
        keys = dict.fromkeys((line.pressure, line.approximation) for line in found)
        for pressure, approximation in keys:
            group = [
                line
                for line in found
                if (line.pressure, line.approximation) == (pressure, approximation)
            ]
            if len(group) < 2:
                continue
            base = group[0]
            measured = [(line, *_difference(line, base, name, name)) for line in group[1:]]
            label = f"energy above {base.phase} (meV/atom)"
            caption = (
                f"{title(name)} relative to {base.phase} at {pressure:g} GPa, {approximation}; "
                "the phase with the lowest one is stable."
            )
            yield _differences(measured, label, caption, lambda line: line.phase)


def _between_approximations(lines: Sequence[Line]) -> Iterator[Markup]:
    """Free energies less the harmonic one, phase by phase."""
    for base in [line for line in lines if line.approximation == "harmonic"]:
        measured = []
        for line in lines:
            if line.phase != base.phase or line is base:
                continue
            for name in ("free_energy", "free_energy_integrated"):
                if name in line.arrays and "free_energy" in base.arrays:
                    integrated = name.endswith("integrated")
                    shown = line._replace(label=f"{line.label}{', integrated' * integrated}")
                    measured.append((shown, *_difference(line, base, name, "free_energy")))
        if measured:
            yield _differences(
                measured,
                "beyond harmonic (meV/atom)",
                f"Free energy of {base.phase} less that of the harmonic approximation at the "
                "structure as given, with one standard error.",
                lambda line: line.label,
            )


def _differences(
    measured: Sequence[tuple[Line, np.ndarray, np.ndarray, np.ndarray]],
    label: str,
    caption: str,
    name: Callable[[Line], str],
) -> Markup:
    figure, axes = new_axes()
    for number, (line, kelvin, value, error) in enumerate(measured):
        colour, style = SERIES[number % len(SERIES)], STYLES.get(line.approximation, "-")
        points = (kelvin, MEV * value, MEV * error)
        _band(axes, points, colour=colour, style=style, label=name(line))
    axes.axhline(0.0, color=MUTED, linewidth=0.8)
    axes.set_xlabel("temperature (K)")
    axes.set_ylabel(plain(label))
    add_legend(axes)
    return to_markup(figure, f"{len(measured)} free energies, compared.", caption)


def _figure(lines: Sequence[Line], name: str, measure: str) -> Markup | None:
    drawn = [line for line in lines if name in line.arrays]
    if not drawn:
        return None
    figure, axes = new_axes()
    phases = list(dict.fromkeys((line.phase, line.pressure) for line in drawn))
    for line in drawn:
        error = line.arrays.get(f"{name}_error", np.zeros_like(line.arrays[name]))
        points = tuple(finite(line.arrays["temperature"], line.arrays[name], error))
        colour = SERIES[phases.index((line.phase, line.pressure)) % len(SERIES)]
        style = STYLES.get(line.approximation, "-")
        _band(axes, points, colour=colour, style=style, label=line.label)
    axes.set_xlabel("temperature (K)")
    printed = unit(measure)
    axes.set_ylabel(plain(f"{title(name)} ({printed})" if printed else title(name)))
    if len(drawn) > 1:
        add_legend(axes)
    caption = f"{title(name)} against temperature, with one standard error where there is one."
    return to_markup(figure, f"{title(name)} of {len(drawn)} lines against temperature.", caption)


def _lines(series: Mapping[str, Arrays], annotations: Mapping[str, str | float]) -> list[Line]:
    lines = []
    for key, arrays in sorted(series.items()):
        if "temperature" not in arrays:
            continue
        phase = str(annotations.get(f"thermal/{key}/phase", key))
        approximation = str(annotations.get(f"thermal/{key}/approximation", ""))
        given = annotations.get(f"thermal/{key}/pressure")
        pressure = float(given) if isinstance(given, int | float) else None
        place = "" if pressure is None else f", {pressure:g} GPa"
        lines.append(
            Line(f"{phase}{place}, {approximation}", phase, pressure, approximation, arrays)
        )
    return lines


def _difference(
    line: Line, base: Line, name: str, base_name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One series less another at the temperatures they share, and its error."""
    kelvin, i, j = np.intersect1d(
        line.arrays["temperature"], base.arrays["temperature"], return_indices=True
    )
    errors = [
        each.arrays.get(f"{of}_error", np.zeros_like(each.arrays[of]))[k]
        for each, of, k in ((line, name, i), (base, base_name, j))
    ]
    value = line.arrays[name][i] - base.arrays[base_name][j]
    return kelvin, value, np.hypot(*errors)


def _band(
    axes: Axes,
    points: tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    colour: str,
    style: str,
    label: str,
) -> None:
    kelvin, value, error = points
    marker = "o" if style == "-" else ""
    axes.plot(kelvin, value, style, marker=marker, markersize=3, color=colour, label=plain(label))
    if np.any(error):
        axes.fill_between(kelvin, value - error, value + error, color=colour, alpha=0.25, lw=0)


def _by_temperature(number: int) -> str:
    return SERIES[number % len(SERIES)]


def _corners(ticks: np.ndarray, labels: np.ndarray) -> tuple[list[float], list[str]]:
    """Ticks of a path; where it jumps, both names stand at one place."""
    places: list[float] = []
    names: list[str] = []
    for place, label in zip(ticks, labels, strict=True):
        if places and abs(place - places[-1]) < 1e-9:
            names[-1] = f"{names[-1]}|{label}"
            continue
        places.append(float(place))
        names.append(plain(str(label)))
    return places, names


def _unit_of(annotations: Mapping[str, str | float], name: str) -> str:
    for key, value in annotations.items():
        if key.startswith("thermal/") and key.endswith(f"/{name}_unit"):
            return str(value)
    return ""
