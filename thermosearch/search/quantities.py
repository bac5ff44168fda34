"""The numbers a search reports, with the committee's spread as their error."""

import math

from thermosearch.runtime.results import Quantity
from thermosearch.search.finish import Minima
from thermosearch.search.members import RelaxedSlab
from thermosearch.search.observables import spread, surface_energy, top_dimers
from thermosearch.search.problem import Problem
from thermosearch.search.seed import SeedSearch


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
        second instead.
    """
    founder = problem.founder
    reconstructed = [surface_energy(founder, slab.reference, slab.energy) for slab in slabs]
    if problem.lattice_parameter is None:
        return [_quantity("surface_energy_change", reconstructed, "J/m^2", phase="reconstructed")]
    ideal = [surface_energy(founder, slab.reference, slab.reference.ideal) for slab in slabs]
    return [
        _quantity("surface_energy", reconstructed, "J/m^2", phase="reconstructed"),
        _quantity("surface_energy", ideal, "J/m^2", phase="unreconstructed"),
        Quantity("lattice_parameter_a", problem.lattice_parameter, None, "A", {"phase": "bulk"}),
    ]


def dimer_quantities(problem: Problem, slabs: list[RelaxedSlab]) -> list[Quantity]:
    """Dimers per cell, their mean length and mean buckling angle; only their number if none.

    A member's length and angle are those of the structure relaxed by that member; members that
    break a dimer the whole potential has are seen in `dimers_per_cell`.
    """
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


def success_quantities(seeds: list[SeedSearch], minima: Minima, tolerance: float) -> list[Quantity]:
    """How many seeds end within a tolerance of the best of all, and what a success costs.

    With k successes among n seeds the probability is k / n, its error the standard deviation
    of the posterior Beta(k + 1/2, n - k + 1/2) (Jeffreys' prior), which does not vanish at
    k = n; calls per success are all energy+force calls of the search over k, with the same
    relative error.

    Parameters
    ----------
    seeds : list of SeedSearch
        With their calls.
    minima : Minima
        With the lowest of each seed.
    tolerance : float
        eV of the cell.
    """
    best = minima.archive.minima[0].energy
    n = len(seeds)
    k = sum(each is not None and each.energy <= best + tolerance for each in minima.of_seeds)
    mean = (k + 0.5) / (n + 1.0)
    error = math.sqrt(mean * (1.0 - mean) / (n + 2.0))
    per_success = sum(seed.calls for seed in seeds) / k
    conditions = {"seeds": n, "within_eV": tolerance}
    return [
        Quantity("success_probability", k / n, error, "1", conditions),
        Quantity("calls_per_success", per_success, per_success * error / mean, "1", conditions),
    ]


def _quantity(name: str, values: list[float], unit: str, phase: str) -> Quantity:
    """Value of the whole potential (first), spread of the members (the others)."""
    return Quantity(name, values[0], spread(values[1:]), unit, {"phase": phase})
