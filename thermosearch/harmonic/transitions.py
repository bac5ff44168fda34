"""Transitions: where the Gibbs energies of two phases cross, and what casts doubt on them."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float

from thermosearch.harmonic.isobar import Isobar, Series, error_of
from thermosearch.harmonic.phases import crossings
from thermosearch.runtime.results import Quantity

SURELY, LIKELY = 0.999, 0.9
"""Probabilities of a crossing to lie in the range of temperatures: below the first it is stated,
below the second a warning says so."""


def transitions(isobars: Sequence[Isobar]) -> Iterator[Quantity]:
    """Crossings of the Gibbs energies of every two phases at one pressure.

    The points of a run are sampled with common random numbers, so that those of one phase are
    taken to err together.
    """
    for first, second in combinations(isobars, 2):
        if first.approximation != second.approximation or first.phase == second.phase:
            continue
        if first.pressure is None or first.pressure != second.pressure:
            continue
        if _meshed(first) != _meshed(second):
            continue
        shared, i, j = np.intersect1d(first.temperature, second.temperature, return_indices=True)
        names = [
            name for name in first.series if name.startswith("gibbs") and name in second.series
        ]
        for name in names if len(shared) > 1 else []:
            one, other = first.series[name], second.series[name]
            found = crossings(
                shared,
                one.value[i] - other.value[j],
                np.hypot(error_of(one)[i], error_of(other)[j]),
                members=_member_differences(one, other, i, j),
                common=True,
            )
            for each in found:
                pair = (first.phase, second.phase)
                above = pair[each.stable_above]
                below = pair[1 - each.stable_above]
                conditions = {"p_GPa": first.pressure, "phase": f"{below} to {above}"}
                conditions |= {"approximation": first.approximation, "by": name}
                if each.model_error is not None:
                    conditions["model_error_K"] = each.model_error
                if each.interpolation_error is not None:
                    conditions["interpolation_error_K"] = float(f"{each.interpolation_error:.3g}")
                if each.inside < SURELY:
                    conditions["probability_in_range"] = float(f"{each.inside:.3g}")
                error = each.error if np.any(error_of(one)) or np.any(error_of(other)) else None
                yield Quantity("transition_temperature", each.temperature, error, "K", conditions)


def doubtful(moves: Sequence[Quantity]) -> Iterator[str]:
    """Warn of transitions that may lie beyond the temperatures."""
    for each in moves:
        inside = each.conditions.get("probability_in_range", 1.0)
        if inside < LIKELY:
            yield (
                f"transition {each.conditions['phase']} ({each.conditions['by']}): by its error it "
                f"is in the range of temperatures with a probability of only {inside:.0%}"
            )


def unlike(isobars: Sequence[Isobar]) -> Iterator[str]:
    """Warn of phases whose Gibbs energies are not compared."""
    for first, second in combinations(isobars, 2):
        alike = first.approximation == second.approximation and first.pressure == second.pressure
        if alike and first.pressure is not None and _meshed(first) != _meshed(second):
            yield (
                f"{first.phase} and {second.phase}: no transition is looked for, as one of them "
                "has imaginary modes between the supercell's q points"
            )


def _meshed(isobar: Isobar) -> bool:
    """Whether its Gibbs energies are of the mesh; those of the supercell lie higher."""
    return "free_energy_mesh" in isobar.series


def _member_differences(
    one: Series, other: Series, i: np.ndarray, j: np.ndarray
) -> Float[np.ndarray, "t members"] | None:
    if one.members is None or other.members is None:
        return None
    difference = (one.value[i] - other.value[j])[:, None]
    return difference + one.members[i] - other.members[j]
