"""Phases of nested sampling: the diagram, shares, basins, pair distributions and patterns."""

from collections.abc import Mapping

import numpy as np

from thermosearch.report.figures.drawing import INK, SERIES, add_legend, new_axes, plain, to_markup
from thermosearch.report.html import Markup
from thermosearch.report.notation import label_of
from thermosearch.report.run_data import Arrays

MOST_CONDITIONS = 6
MOST_LINES = 6
LEAST_SHARE = 0.05
Units = Mapping[str, str | float]


def diagram_figure(transitions: Arrays, phases: Mapping[str, Arrays], units: Units) -> Markup:
    """Transition temperatures against pressure, over the phases that weigh most.

    Parameters
    ----------
    transitions : arrays
        `pressure`, `temperature`, `error` and `rank` of every transition.
    phases : mapping of str to arrays
        `temperature` and `dominant` of every pressure.
    units : mapping
        `curves/K/pressure` and `units/...`.
    """
    figure, axes = new_axes()
    named = {key: each for key, each in sorted(phases.items()) if "dominant" in each}
    names = list(dict.fromkeys(str(n) for each in named.values() for n in each["dominant"]))
    for number, name in enumerate(names):
        points = [
            (float(units[f"curves/{key}/pressure"]), t)
            for key, each in named.items()
            if f"curves/{key}/pressure" in units
            for t, at in zip(each["temperature"], each["dominant"], strict=True)
            if at == name
        ]
        if name and points:
            axes.plot(
                *zip(*points, strict=True),
                "s",
                color=SERIES[number % len(SERIES)],
                markersize=4,
                alpha=0.5,
                label=plain(name),
            )
    first = transitions["rank"] == 0
    for chosen, marker, label in ((first, "o-", "highest maximum"), (~first, "x", "others")):
        if np.any(chosen):
            order = np.argsort(transitions["pressure"][chosen])
            columns = (transitions[name][chosen][order] for name in ("pressure", "temperature"))
            axes.errorbar(
                *columns,
                yerr=transitions["error"][chosen][order],
                fmt=marker,
                color=INK,
                capsize=3,
                label=label,
            )
    axes.set_xlabel(label_of(units, "pressure"))
    axes.set_ylabel(label_of(units, "temperature"))
    # Above the frame: phases fill it from edge to edge.
    add_legend(axes, 2, loc="lower left", bbox_to_anchor=(0.0, 1.02))
    return to_markup(
        figure,
        f"Phase diagram: {int(np.sum(first))} transitions over {len(names)} phases.",
        "Maxima of the heat capacity, with one standard error, over the phases that hold more "
        "than half of the weight.",
    )


def share_figures(phases: Mapping[str, Arrays], units: Units) -> list[Markup]:
    """Shares of the phases in the weight against temperature, a figure for each pressure."""
    figures = []
    for key, each in sorted(phases.items())[:MOST_CONDITIONS]:
        if "shares" not in each or not any(str(name) for name in each["names"]):
            continue
        figure, axes = new_axes()
        drawn = [row for row, share in enumerate(each["shares"]) if share.max() > LEAST_SHARE]
        for number, row in enumerate(drawn[:MOST_LINES]):
            share, error = each["shares"][row], each["shares_error"][row]
            colour = SERIES[number]
            axes.plot(each["temperature"], share, color=colour, label=plain(each["names"][row]))
            low, high = np.clip((share - error, share + error), 0.0, 1.0)
            axes.fill_between(each["temperature"], low, high, color=colour, alpha=0.25, linewidth=0)
        axes.set_ylim(0.0, 1.0)
        axes.set_xlabel(label_of(units, "temperature"))
        axes.set_ylabel("share of the weight")
        add_legend(axes)
        where = _where(units, key)
        figures.append(
            to_markup(
                figure,
                f"Shares of {len(drawn)} phases against temperature{where}.",
                f"Phases by the space group of relaxed configurations{where}.",
            )
        )
    return figures


def basin_figures(phases: Mapping[str, Arrays], units: Units) -> list[Markup]:
    """Minima below the configurations: enthalpy an atom against what the configurations had."""
    figures = []
    for key, each in sorted(phases.items())[:MOST_CONDITIONS]:
        if "quench_basin" not in each:
            continue
        figure, axes = new_axes()
        counts = np.bincount(each["quench_basin"], minlength=len(each["basins"]))
        shown = sorted(np.argsort(-counts, kind="stable")[:MOST_LINES])
        for number, basin in enumerate(shown):
            here = each["quench_basin"] == basin
            axes.plot(
                each["quench_value"][here],
                each["quench_enthalpy"][here],
                ".",
                color=SERIES[number],
                label=plain(each["basins"][basin]),
            )
        axes.set_xlabel(label_of(units, "energy", "where the relaxation began"))
        axes.set_ylabel(label_of(units, "energy", "minimum, an atom"))
        add_legend(axes)
        where = _where(units, key)
        figures.append(
            to_markup(
                figure,
                f"Minima of {len(each['quench_basin'])} configurations{where}.",
                f"Basins: where relaxations from dead points ended{where}.",
            )
        )
    return figures


def pattern_figures(phases: Mapping[str, Arrays], units: Units) -> list[Markup]:
    """Pair distribution and powder pattern at three temperatures, for each pressure."""
    figures = []
    kinds = (
        ("pair_distribution", "distance", "pair distribution"),
        ("powder_pattern", "wave_number", "powder pattern of point scatterers"),
    )
    for key, each in sorted(phases.items())[:MOST_CONDITIONS]:
        temperatures = each.get("temperature")
        for name, across, title in kinds:
            if name not in each or across not in each or temperatures is None:
                continue
            figure, axes = new_axes()
            for number, place in enumerate((0, len(temperatures) // 2, len(temperatures) - 1)):
                axes.plot(
                    each[across],
                    each[name][:, place],
                    color=SERIES[number],
                    label=f"{temperatures[place]:g}",
                )
            axes.set_xlabel(label_of(units, across, across.replace("_", " ")))
            axes.set_ylabel(title)
            add_legend(axes, title=label_of(units, "temperature"))
            where = _where(units, key)
            figures.append(
                to_markup(
                    figure,
                    f"{title[0].upper()}{title[1:]} at three temperatures{where}.",
                    f"{title[0].upper()}{title[1:]}{where}.",
                )
            )
    return figures


def _where(units: Units, key: str) -> str:
    label = str(units.get(f"curves/{key}/label", ""))
    return f" at {label}" if label else ""
