"""How a search converged: best energy against energy and force calls, a line a seed."""

import re
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from thermosearch.report.figures.drawing import (
    GRID,
    INK,
    MUTED,
    RASTER_COLOUR,
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

# The first calls of a search lie far above what it finds; they may leave the frame.
SETTLED_AFTER = 0.05
SEEDS_FOR_A_MEDIAN = 3
# Energies closer than this share of the range shown are called the same.
SAME = 1e-3

Curves = dict[str, list[tuple[np.ndarray, np.ndarray]]]


def convergence_figures(
    series: Mapping[str, Arrays], annotations: Mapping[str, str | float]
) -> list[Markup]:
    """Figures of a search's course.

    Parameters
    ----------
    series : mapping of str to arrays
        `calls` and `energy` (best so far), each (k,), of `seed_0`, `seed_1`, `random_0`, ...; the
        name before the number is the method. Optional `generation_energy` (k, population) and
        `sigma` (k,).
    annotations : mapping
        `convergence/label`, `/unit`, `/reference`, `/reference_label`.

    Returns
    -------
    list of Markup
        Empty if no series can be drawn.
    """
    methods = _by_method(series, "energy")
    if not methods:
        return []
    label = str(annotations.get("convergence/label", "lowest energy"))
    measure = str(annotations.get("convergence/unit", "eV"))
    figures = [_best_energy(methods, label, measure, annotations, series)]
    low, high = _frame(methods, annotations)
    if high > low:
        figures.append(_distance(methods, label, measure, SAME * (high - low)))
    widths = _by_method(series, "sigma")
    return [*figures, _step_width(widths)] if widths else figures


def _best_energy(
    methods: Curves,
    label: str,
    measure: str,
    annotations: Mapping[str, str | float],
    series: Mapping[str, Arrays],
) -> Markup:
    figure, axes = new_axes()
    _draw_population(axes, series)
    _draw(axes, methods)
    low, high = _frame(methods, annotations)
    reference = _reference(annotations)
    if reference is not None:
        name = str(annotations.get("convergence/reference_label", "reference"))
        axes.axhline(reference, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
        axes.annotate(
            plain(name),
            (1.0, reference),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            fontsize=9,
            color=INK,
        )
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    axes.set_ylim(low - margin, high + margin)
    _label(axes, f"{label} ({unit(measure)})", methods)
    seeds = sum(len(curves) for curves in methods.values())
    lowest = min(energy.min() for curves in methods.values() for _, energy in curves)
    return to_markup(
        figure,
        f"{title(label)} against energy and force calls for {seeds} seeds; "
        f"the lowest value is {lowest:.5g} {unit(measure)}.",
        f"Lowest {label} so far, one line a seed"
        + ("; thick: the median of the seeds" if _has_median(methods) else "")
        + ("; dots: every individual." if _has_population(series) else "."),
    )


def _distance(methods: Curves, label: str, measure: str, near: float) -> Markup:
    lowest = min(energy.min() for curves in methods.values() for _, energy in curves)
    figure, axes = new_axes()
    shifted = {
        name: [(calls, np.maximum(energy - lowest, 1e-3 * near)) for calls, energy in each]
        for name, each in methods.items()
    }
    _draw(axes, shifted, median=False)
    log_axis(axes, "y")
    axes.set_ylim(near, None)
    _label(axes, f"above the lowest ({unit(measure)})", methods)
    reached = sum(each.min() < lowest + near for curves in methods.values() for _, each in curves)
    total = sum(len(curves) for curves in methods.values())
    return to_markup(
        figure,
        f"Distance of each seed from the lowest {label} of the run, logarithmic.",
        f"Distance from the lowest {label}; a line that leaves the frame has come within "
        f"{near:.1g} {unit(measure)} of it: {reached} of {total} seeds.",
    )


def _step_width(methods: Curves) -> Markup:
    figure, axes = new_axes()
    positive = {
        name: [(calls, np.where(width > 0, width, np.nan)) for calls, width in curves]
        for name, curves in methods.items()
    }
    _draw(axes, positive, median=False)
    log_axis(axes, "y")
    _label(axes, "step width σ", methods)
    return to_markup(
        figure,
        "Step width of the evolution strategy against energy and force calls, logarithmic.",
        "Step width σ of the CMA-ES, one line a seed: it falls as a seed settles.",
    )


def _by_method(series: Mapping[str, Arrays], name: str) -> Curves:
    methods: Curves = {}
    for key in sorted(series, key=_natural):
        arrays = series[key]
        if "calls" in arrays and name in arrays:
            calls, values = finite(arrays["calls"], arrays[name])
            if calls.size:
                methods.setdefault(re.sub(r"_?\d+$", "", key), []).append((calls, values))
    return methods


def _draw(axes: Axes, methods: Curves, median: bool = True) -> None:
    for number, (name, curves) in enumerate(methods.items()):
        colour = SERIES[number % len(SERIES)]
        with_median = median and len(curves) >= SEEDS_FOR_A_MEDIAN
        for index, (calls, values) in enumerate(curves):
            axes.step(
                calls,
                values,
                where="post",
                color=colour,
                linewidth=1.0 if with_median else 1.6,
                alpha=0.5 if with_median else 0.85,
                label=plain(_method_label(name)) if index == 0 else None,
            )
            axes.plot(calls[-1:], values[-1:], "o", color=colour, markersize=3.5)
        if with_median:
            axes.step(*_median(curves), where="post", color=colour, linewidth=2.4)


def _draw_population(axes: Axes, series: Mapping[str, Arrays]) -> None:
    """Every individual as a faint dot behind the curves."""
    for arrays in series.values():
        population = arrays.get("generation_energy")
        if population is None or population.ndim != 2 or "calls" not in arrays:
            continue
        calls = np.repeat(arrays["calls"].ravel(), population.shape[1])
        calls, energies = finite(calls, population)
        axes.plot(
            calls,
            energies,
            ".",
            color=RASTER_COLOUR,
            markersize=4,
            alpha=0.5,
            markeredgewidth=0,
            rasterized=True,
            zorder=1,
        )


def _median(curves: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Median over the seeds where all of them have begun, holding each one's last value."""
    calls = np.unique(np.concatenate([each for each, _ in curves]))
    calls = calls[calls >= max(each[0] for each, _ in curves)]
    held = [values[np.searchsorted(own, calls, "right") - 1] for own, values in curves]
    return calls, np.median(held, axis=0)


def _frame(methods: Curves, annotations: Mapping[str, str | float]) -> tuple[float, float]:
    """Range of energies to show: the reference, and the curves once they have settled."""
    reference = _reference(annotations)
    low, high = (np.inf, -np.inf) if reference is None else (reference, reference)
    for curves in methods.values():
        for calls, values in curves:
            settled = values[calls >= calls[0] + SETTLED_AFTER * (calls[-1] - calls[0])]
            low, high = min(low, values.min()), max(high, settled.max())
    return float(low), float(high)


def _reference(annotations: Mapping[str, str | float]) -> float | None:
    value = annotations.get("convergence/reference")
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def _label(axes: Axes, vertical: str, methods: Curves) -> None:
    axes.set_xlabel("energy and force calls")
    axes.set_ylabel(plain(vertical))
    axes.spines["left"].set_color(GRID)
    axes.spines["bottom"].set_color(MUTED)
    if len(methods) > 1:
        add_legend(axes, columns=len(methods), loc="lower right", bbox_to_anchor=(1.0, 1.0))


def _has_median(methods: Curves) -> bool:
    return any(len(curves) >= SEEDS_FOR_A_MEDIAN for curves in methods.values())


def _has_population(series: Mapping[str, Arrays]) -> bool:
    return any("generation_energy" in arrays for arrays in series.values())


def _method_label(name: str) -> str:
    return "CMA-ES" if name in {"seed", ""} else name.replace("_", " ")


def _natural(name: str) -> tuple[bool, str, int]:
    """Order of the series: our own strategy first, then by method and number."""
    number = re.search(r"(\d+)$", name)
    return not name.startswith("seed"), re.sub(r"\d+$", "", name), int(number[1]) if number else -1
