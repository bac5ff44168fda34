"""What is computed for the configurations that were kept: order, spread, and their minima."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from ase.data import chemical_symbols
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Configuration
from thermosearch.nested.analysis import DeadPoints, log_weights
from thermosearch.nested.course import Course
from thermosearch.nested.history import kept_points
from thermosearch.nested.measures import FixedCell, Sphere
from thermosearch.nested.problem import Problem
from thermosearch.nested.study import NestedStudy
from thermosearch.nested.walker import Walker
from thermosearch.potentials.evaluate import bucket, uncertainty
from thermosearch.potentials.interface import Committee
from thermosearch.relax.loop import Status
from thermosearch.relax.minimise import minimise
from thermosearch.runtime.communicator import Communicator
from thermosearch.structure.order import (
    coordination,
    find_bonds,
    mean_nearest_distance,
    powder_pattern,
    radial_distribution,
    steinhardt,
)
from thermosearch.structure.symmetry import space_group

RELEVANT = 12.0
"""Points whose weight is this many e-folds below the greatest at every temperature do not count."""
CHUNK = 8
"""Configurations that a rank is given at a time."""
SHELLS = 3.0
"""Reach of the pair distribution, in nearest-neighbour distances of the lowest configuration."""
BINS = 120
COINCIDE = 0.05
"""Tolerance of space groups, in nearest-neighbour distances."""
SKIN_SLOTS = 1.6
"""Slots of a list with a skin of 15 %, for each slot of one without."""
STEPS = 400
"""Most steps of a relaxation."""
LIMITS = (Status.CONVERGED, Status.STEP_LIMIT, Status.STALLED)


class Kept(NamedTuple):
    """Configurations of one run that weigh at some temperature of the grid.

    Attributes
    ----------
    points : DeadPoints
        All points of the run.
    places : (m,) int
        Which of them these are; evenly chosen.
    configurations : list of Configuration
    """

    points: DeadPoints
    places: Int[np.ndarray, " m"]
    configurations: list[Configuration]


class Grids(NamedTuple):
    """Where pair distributions and powder patterns are computed.

    Attributes
    ----------
    edges : (BINS + 1,) float64
        Distances.
    q : (BINS * 2,) float64
        Wave numbers.
    """

    edges: Float[np.ndarray, " e"]
    q: Float[np.ndarray, " q"]


class Minimum(NamedTuple):
    """Where a relaxation from a kept configuration ended.

    Attributes
    ----------
    enthalpy, volume : float
        An atom; the energy and 0 where the cell is fixed.
    number : int
        Of its space group; 0 where it is not periodic in three directions.
    symbol : str
        Of its space group.
    configuration : Configuration
    """

    enthalpy: float
    volume: float
    number: int
    symbol: str
    configuration: Configuration


def relevant_kept(problem: Problem, course: Course) -> Kept:
    """Choose the kept configurations that weigh at some temperature of the grid."""
    points = course.points(problem)
    places, walkers = kept_points(course.history, course.state, problem.sizes)
    if not len(places):
        return Kept(points, places, [])
    exponent = log_weights(points.live)[places, None] - points.value[places, None] / problem.kt
    if problem.reweighting:
        exponent += problem.reweighting * np.log(points.volume[places])[:, None]
    chosen = np.flatnonzero(np.any(exponent > exponent.max(axis=0) - RELEVANT, axis=1))
    return Kept(points, places[chosen], [_configuration(problem, walkers[i]) for i in chosen])


def thinned(kept: Kept, count: int) -> Kept:
    """Every so many of them, so that no more than `count` are left."""
    stride = max(1, -(-len(kept.places) // count))
    return kept._replace(places=kept.places[::stride], configurations=kept.configurations[::stride])


def choose_grids(kept: Sequence[Kept]) -> Grids:
    """Grids that suit the lowest of all configurations."""
    lowest = min(kept, key=lambda each: each.points.value[-1])
    nearest = mean_nearest_distance(lowest.configurations[-1])
    return Grids(
        np.linspace(0.0, SHELLS * nearest, BINS + 1),
        np.linspace(0.0, 22.0 / nearest, 2 * BINS + 1)[1:],
    )


def order_of(
    problem: Problem,
    study: NestedStudy,
    configurations: Sequence[Configuration],
    grids: Grids,
    communicator: Communicator,
) -> dict[str, Float[np.ndarray, "m _"]]:
    """Order parameters, pair distributions and powder patterns, a row a configuration."""
    periodic = all(problem.system.pbc)
    cutoff = study.analysis.neighbour_cutoff
    fixed = problem.system.measure
    container = fixed.volume if isinstance(fixed, Sphere | FixedCell) else None

    def one(configuration: Configuration) -> dict[str, np.ndarray]:
        bonds = find_bonds(configuration, cutoff)
        size = container or abs(float(np.linalg.det(configuration.cell)))
        rows = {
            "coordination_number": [coordination(bonds, len(configuration.numbers))],
            "steinhardt_q4": [steinhardt(bonds, 4)],
            "steinhardt_q6": [steinhardt(bonds, 6)],
            "pair_distribution": radial_distribution(configuration, grids.edges, float(size)),
        }
        for number in problem.system.species:
            here = np.asarray(configuration.numbers)[problem.system.moving] == number
            rows[f"fraction_{chemical_symbols[number]}"] = [float(np.mean(here))]
        if periodic:
            rows["powder_pattern"] = powder_pattern(configuration, grids.q, grids.q[-1] / 160.0)
        return {name: np.asarray(row) for name, row in rows.items()}

    found = _shared(one, configurations, communicator)
    return {name: np.stack([each[name] for each in found]) for name in found[0]}


def spreads_of(problem: Problem, course: Course, kept: Kept) -> Float[np.ndarray, " m"]:
    """Committee's spread, energy an atom: recorded at death, computed for those still alive."""
    recorded = np.concatenate(course.history.columns["spread"])
    dead = kept.places < len(recorded)
    alive = [c for c, is_dead in zip(kept.configurations, dead, strict=True) if not is_dead]
    spread = np.full(len(kept.places), np.nan)
    spread[dead] = recorded[kept.places[dead]]
    if alive and isinstance(problem.system.potential, Committee):
        found = uncertainty(problem.system.potential, alive, ("energy",))
        spread[~dead] = [float(each.energy) / problem.system.atoms for each in found]
    return spread


def minima_of(
    problem: Problem, course: Course, kept: Kept, communicator: Communicator, *, slots: int
) -> tuple[Kept, list[Minimum]]:
    """Relax configurations to their minima, the cell with them where it is free.

    Parameters
    ----------
    problem : Problem
        For potential and pressure.
    course : Course
        Whose configurations these are.
    kept : Kept
        The configurations.
    communicator : Communicator
        Ranks share them.
    slots : int
        Neighbour slots that the walks needed; one number for all runs, since every other number
        of slots is a compilation.

    Returns
    -------
    kept : Kept
        Those whose relaxation came to an end.
    minima : list of Minimum
        Of these.
    """
    system = problem.system
    pressure = problem.conditions[course.conditions].pressure
    mobile = np.isin(np.arange(system.atoms), system.moving)
    potential = system.potential

    def chunk(members: Sequence[Configuration]) -> list[Minimum | None]:
        relaxed = minimise(
            potential,
            members,
            mobile=[mobile] * len(members) if system.has_frozen else None,
            cell=pressure is not None,
            pressure=0.0 if pressure is None else pressure * problem.units.pressure,
            max_steps=STEPS,
            capacity=bucket(int(SKIN_SLOTS * slots)),
            width=CHUNK,
        )
        return [_minimum(each) if each.status in LIMITS else None for each in relaxed]

    everything = kept.configurations
    chunks = [everything[first : first + CHUNK] for first in range(0, len(everything), CHUNK)]
    found = [each for group in communicator.map(chunk, chunks) for each in group]
    ended = np.array([each is not None for each in found], bool)
    return _masked(kept, ended), [each for each in found if each is not None]


def _minimum(relaxed: Any) -> Minimum:
    configuration, atoms = relaxed.configuration, len(relaxed.configuration.numbers)
    energy = float(relaxed.enthalpy) / atoms
    if not all(configuration.pbc):
        return Minimum(energy, 0.0, 0, "", configuration)
    tolerance = COINCIDE * mean_nearest_distance(configuration)
    group = space_group(configuration, tolerance)
    volume = abs(float(np.linalg.det(configuration.cell))) / atoms
    return Minimum(energy, volume, group.number, group.symbol, configuration)


def _masked(kept: Kept, mask: Bool[np.ndarray, " m"]) -> Kept:
    chosen = [c for c, is_chosen in zip(kept.configurations, mask, strict=True) if is_chosen]
    return kept._replace(places=kept.places[mask], configurations=chosen)


def _configuration(problem: Problem, walker: Walker) -> Configuration:
    made = problem.system.configuration(walker)
    return Configuration(*(np.asarray(part) for part in made))


def _shared(
    function: Callable[[Configuration], Any],
    configurations: Sequence[Configuration],
    communicator: Communicator,
) -> list[Any]:
    chunks = [
        configurations[first : first + CHUNK] for first in range(0, len(configurations), CHUNK)
    ]
    shares = communicator.map(lambda members: [function(each) for each in members], chunks)
    return [each for share in shares for each in share]
