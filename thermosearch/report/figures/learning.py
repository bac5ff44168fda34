"""How training went: loss and validation errors against epoch, and against the amount of data."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from thermosearch.report.figures.drawing import (
    SERIES,
    add_legend,
    finite,
    log_axis,
    new_axes,
    to_markup,
)
from thermosearch.report.html import Markup
from thermosearch.report.notation import unit
from thermosearch.report.run_data import Arrays


class Panel(NamedTuple):
    """One figure: the curves in it by key and legend, vertical label and caption."""

    curves: dict[str, str]
    label: str
    caption: str


PANELS = (
    Panel(
        {"loss_train": "training", "loss_validation": "validation"},
        "loss",
        "Loss of training and validation data",
    ),
    Panel(
        {"energy_mae_validation": "validation", "energy_mae_train": "training"},
        "energy MAE (meV/atom)",
        "Mean absolute error of the energy",
    ),
    Panel(
        {"force_mae_validation": "validation", "force_mae_train": "training"},
        "force MAE (eV/A)",
        "Mean absolute error of the force components",
    ),
    Panel(
        {"stress_mae_validation": "validation", "stress_mae_train": "training"},
        "stress MAE (GPa)",
        "Mean absolute error of the stress components",
    ),
    Panel({"learning_rate": "learning rate"}, "learning rate", "Learning rate of the schedule"),
)


def learning_figures(members: Mapping[str, Arrays]) -> list[Markup]:
    """Learning curves.

    Parameters
    ----------
    members : mapping of str to arrays
        `epoch` (k,) and any of `loss_train`, `loss_validation`, `energy_mae_validation`
        (meV/atom), `force_mae_validation` (eV/A), `stress_mae_validation` (GPa) and
        `learning_rate`, of each member.
    """
    return [each for panel in PANELS if (each := _panel(panel, members)) is not None]


def data_figures(errors: Arrays) -> list[Markup]:
    """Errors against the number of training structures, on logarithmic axes.

    Parameters
    ----------
    errors : mapping of str to array
        `n_train` (k,), `energy_mae` (k,) in meV/atom, `force_mae` (k,) in eV/A.
    """
    figures = []
    for number, (key, label) in enumerate(
        {"energy_mae": "energy MAE (meV/atom)", "force_mae": "force MAE (eV/A)"}.items()
    ):
        if "n_train" not in errors or key not in errors:
            continue
        count, value = finite(errors["n_train"], errors[key])
        kept = (count > 0) & (value > 0)
        if not kept.any():
            continue
        count, value = count[kept], value[kept]
        figure, axes = new_axes()
        axes.plot(count, value, "o-", color=SERIES[number], markersize=5)
        log_axis(axes, "x")
        log_axis(axes, "y")
        axes.set_xlabel("training structures")
        axes.set_ylabel(_with_unit(label))
        figures.append(
            to_markup(
                figure,
                f"{label} falls from {value[0]:.3g} with {count[0]:.0f} training structures to "
                f"{value[-1]:.3g} with {count[-1]:.0f}.",
                "Error against the amount of training data.",
            )
        )
    return figures


def _panel(panel: Panel, members: Mapping[str, Arrays]) -> Markup | None:
    figure, axes = new_axes()
    last: dict[str, list[float]] = {}
    for number, (key, name) in enumerate(panel.curves.items()):
        for arrays in members.values():
            if "epoch" not in arrays or key not in arrays:
                continue
            epoch, value = finite(arrays["epoch"], arrays[key])
            if not epoch.size:
                continue
            axes.plot(
                epoch,
                np.where(value > 0, value, np.nan),
                color=SERIES[number],
                linewidth=1.4,
                alpha=0.8,
                label=None if name in last else name,
            )
            last.setdefault(name, []).append(float(value[-1]))
    if not last:
        return None
    log_axis(axes, "y")
    axes.set_xlabel("epoch")
    axes.set_ylabel(_with_unit(panel.label))
    if len(last) > 1:
        add_legend(axes, loc="upper right")
    ends = ", ".join(f"{name} {np.mean(values):.3g}" for name, values in last.items())
    whose = "one line a member" if len(members) > 1 else "mean of the committee's members"
    return to_markup(
        figure,
        f"{_with_unit(panel.label)} against epoch; at the end: {ends}.",
        f"{panel.caption}, {whose}.",
    )


def _with_unit(label: str) -> str:
    name, _, rest = label.partition(" (")
    return f"{name} ({unit(rest.removesuffix(')'))})" if rest else name
