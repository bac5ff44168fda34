"""The surface phase diagram as numbers and arrays."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from thermosearch.runtime.results import Quantity, Results
from thermosearch.search.surfaces.gamma import above_hull, transitions
from thermosearch.search.surfaces.study import ConditionsSection
from thermosearch.units import EV_PER_A2_IN_J_PER_M2

AXES = {
    "temperature": ("transition_temperature", "K", "T_K"),
    "pressure": ("transition_pressure", "log10(bar)", "log10_p_bar"),
    "chemical_potential": ("transition_chemical_potential", "eV", "delta_mu_eV"),
}
"""Quantity of a transition along each axis, its unit, and the axis in conditions."""


class Diagram(NamedTuple):
    """Surface free energies along an axis.

    Attributes
    ----------
    axis : (k,) float64
    labels : list of str
        Of the slabs.
    gammas : (slabs, k) float64
        eV/A^2.
    covariance : (slabs, slabs) float64
        Of the gammas, the same along the whole axis, eV^2/A^4.
    potentials : (k, e) float64
        Chemical potentials, eV.
    symbols : list of str
        Of the elements.
    excess : (slabs,) float64
        Atoms (or molecules) of the driven reservoir on the surface, 1/A^2.
    """

    axis: Float[np.ndarray, " k"]
    labels: list[str]
    gammas: Float[np.ndarray, "slabs k"]
    covariance: Float[np.ndarray, "slabs slabs"]
    potentials: Float[np.ndarray, "k e"]
    symbols: list[str]
    excess: Float[np.ndarray, " slabs"]

    @property
    def errors(self) -> Float[np.ndarray, " slabs"]:
        """Standard error of each gamma, eV/A^2."""
        return np.sqrt(np.diag(self.covariance))


def summarise(conditions: ConditionsSection, diagram: Diagram, evaluations: int) -> Results:
    """Transitions, gammas at both ends of the axis and distances from the hull of terminations."""
    return Results(
        "surface",
        "finished",
        quantities=[
            *_transitions(conditions, diagram),
            *_gammas(conditions, diagram),
            *_hull(diagram),
        ],
        evaluations=evaluations,
        arrays=_arrays(conditions, diagram),
    )


def _transitions(conditions: ConditionsSection, diagram: Diagram) -> list[Quantity]:
    name, unit, _ = AXES[conditions.axis]
    return [
        Quantity(
            name,
            each.position,
            each.error,
            unit,
            {"below": diagram.labels[each.below], "above": diagram.labels[each.above]},
        )
        for each in transitions(diagram.axis, diagram.gammas, diagram.covariance)
    ]


def _gammas(conditions: ConditionsSection, diagram: Diagram) -> list[Quantity]:
    _, _, key = AXES[conditions.axis]
    ends = (0, -1) if len(diagram.axis) > 1 else (0,)
    return [
        Quantity(
            "surface_free_energy",
            float(diagram.gammas[k, end]) * EV_PER_A2_IN_J_PER_M2,
            float(diagram.errors[k]) * EV_PER_A2_IN_J_PER_M2,
            "J/m^2",
            {"phase": label, key: float(diagram.axis[end])},
        )
        for end in ends
        for k, label in enumerate(diagram.labels)
    ]


def _hull(diagram: Diagram) -> list[Quantity]:
    distances = above_hull(diagram.excess, diagram.gammas[:, 0]) * EV_PER_A2_IN_J_PER_M2
    return [
        Quantity("energy_above_hull", max(float(each), 0.0), None, "J/m^2", {"phase": label})
        for label, each in zip(diagram.labels, distances, strict=True)
    ]


def _arrays(conditions: ConditionsSection, diagram: Diagram) -> dict[str, np.ndarray]:
    _, unit, _ = AXES[conditions.axis]
    arrays = {
        "surface_diagram/axis_label": np.array(conditions.axis.replace("_", " ")),
        "surface_diagram/axis_unit": np.array(unit),
    }
    for k, label in enumerate(diagram.labels):
        name = f"surface_diagram/{k:02d}"
        arrays |= {
            f"{name}/axis": diagram.axis,
            f"{name}/gamma": diagram.gammas[k] * EV_PER_A2_IN_J_PER_M2,
            f"{name}/error": np.full(1, diagram.errors[k] * EV_PER_A2_IN_J_PER_M2),
            f"{name}/label": np.array(label),
        }
    return arrays | {
        f"chemical_potentials/{symbol}": diagram.potentials[:, k]
        for k, symbol in enumerate(diagram.symbols)
    }
