"""The numbers a search reports, with the committee's spread as their error."""

import math

from thermosearch.runtime.results import Quantity
from thermosearch.search.finish import Minima
from thermosearch.search.members import RelaxedSlab
from thermosearch.search.observables import (
    has_dimers,
    has_surface_energy,
    spread,
    surface_energy,
    top_dimers,
)
from thermosearch.search.problem import Problem
from thermosearch.search.seed import SeedSearch
from thermosearch.search.success import (
    CONFIDENCE,
    Estimate,
    FirstHits,
    calls_for,
    calls_per_success,
    success_curve,
    success_probability,
)


def surface_quantities(problem: Problem, slabs: list[RelaxedSlab]) -> list[Quantity]:
    """Surface energies of the best structure and of the founder as cut.

    Parameters
    ----------
    problem : Problem
        Founder and lattice parameter.
    slabs : list of RelaxedSlab
        The best structure by the whole potential, then relaxed by each member at the lattice
        parameter of the whole: every member is measured against its own crystal and cut.

    Returns
    -------
    list of Quantity
        `surface_energy` of phases "reconstructed" and "unreconstructed", J/m^2. For a founder
        from a file, whose bulk is unknown, `surface_energy_change` of the first against the
        second instead; neither where the founder has no energy (an overlayer) or the lower face
        is not frozen. `lattice_parameter_a` where it is known.
    """
    founder, lattice = problem.founder, []
    if problem.lattice_parameter is not None:
        a = problem.lattice_parameter
        lattice = [Quantity("lattice_parameter_a", a, None, "A", {"phase": "bulk"})]
    if slabs[0].reference is None or not has_surface_energy(founder):
        return lattice
    reconstructed = [surface_energy(founder, slab.reference, slab.energy) for slab in slabs]
    if problem.lattice_parameter is None:
        return [_quantity("surface_energy_change", reconstructed, "J/m^2", phase="reconstructed")]
    ideal = [surface_energy(founder, slab.reference, slab.reference.ideal) for slab in slabs]
    return [
        _quantity("surface_energy", reconstructed, "J/m^2", phase="reconstructed"),
        _quantity("surface_energy", ideal, "J/m^2", phase="unreconstructed"),
        *lattice,
    ]


def dimer_quantities(problem: Problem, slabs: list[RelaxedSlab]) -> list[Quantity]:
    """Dimers per cell, their mean length and mean buckling angle; only their number if none.

    A member's length and angle are those of the structure relaxed by that member; members that
    break a dimer the whole potential has are seen in `dimers_per_cell`.
    """
    if not has_dimers(problem.founder):
        return []
    dimers = [top_dimers(problem.founder, slab.positions) for slab in slabs]
    counts = [float(len(each.pairs)) for each in dimers]
    found = [_quantity("dimers_per_cell", counts, "1", phase="reconstructed")]
    if counts[0] == 0:
        return found
    bonded = [each for each in dimers if len(each.pairs)]
    lengths = [float(each.lengths.mean()) for each in bonded]
    angles = [float(each.buckling_angles.mean()) for each in bonded]
    return [
        *found,
        _quantity("dimer_length", lengths, "A", phase="reconstructed"),
        _quantity("dimer_buckling_angle", angles, "degree", phase="reconstructed"),
    ]


def energy_quantities(problem: Problem, minima: Minima) -> list[Quantity]:
    """Lowest energy of the study, its distance to the next minimum, and how many were met."""
    unit = energy_unit(problem)
    found = minima.archive.minima
    quantities = [
        Quantity("lowest_energy", found[0].energy, None, unit),
        Quantity("distinct_minima", float(len(found)), None, "1"),
    ]
    if len(found) > 1:
        gap = found[1].energy - found[0].energy
        quantities.append(Quantity("energy_gap_to_second_minimum", gap, None, unit))
    return quantities


def energy_unit(problem: Problem) -> str:
    """Return "eV", or "epsilon" for a potential in reduced units."""
    return "eV" if problem.potential.units == "eV" else "epsilon"


def success_quantities(
    problem: Problem, seeds: list[SeedSearch], minima: Minima, hits: dict[str, FirstHits]
) -> list[Quantity]:
    """How many seeds of each engine reach the target, and what a success costs.

    Parameters
    ----------
    problem : Problem
        With the study's budget and tolerance.
    seeds, minima
        Of the finished campaign.
    hits : dict of str to FirstHits
        By engine.

    Returns
    -------
    list of Quantity
        `success_probability` with Wilson's interval, and `calls_per_success` and
        `calls_for_95_percent` where there is a success (or enough of them). The intervals are
        in the conditions `low` and `high`; `error` is a quarter of their width.
    """
    method = problem.method
    target = method.target if method.target is not None else minima.archive.minima[0].energy
    found = []
    for engine, each in hits.items():
        conditions = {
            "engine": engine,
            "seeds": len(each.hit),
            "target": target,
            "within": method.success,
            "calls": int(method.budget or each.calls.max()),
        }
        found.append(_interval("success_probability", success_probability(each), conditions))
        if each.hit.any():
            found.append(_interval("calls_per_success", calls_per_success(each), conditions))
        enough = calls_for(success_curve(each), 0.95)
        if math.isfinite(enough):
            found.append(Quantity("calls_for_95_percent", enough, None, "1", conditions))
    return found


def _interval(name: str, estimate: Estimate, conditions: dict) -> Quantity:
    error = 0.25 * (estimate.high - estimate.low)
    bounds = {"low": estimate.low, "high": estimate.high, "confidence": CONFIDENCE}
    return Quantity(name, estimate.value, error, "1", conditions | bounds)


def _quantity(name: str, values: list[float], unit: str, phase: str) -> Quantity:
    """Value of the whole potential (first), spread of the members (the others)."""
    return Quantity(name, values[0], spread(values[1:]), unit, {"phase": phase})
