"""What is computed for the configurations that were kept as they are: order and spread."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from ase.data import chemical_symbols
from jaxtyping import Float, Int

from thermosearch.configuration import Configuration
from thermosearch.nested.analysis import DeadPoints, log_weights
from thermosearch.nested.course import Course
from thermosearch.nested.history import kept_points
from thermosearch.nested.measures import FixedCell, Sphere
from thermosearch.nested.problem import Problem
from thermosearch.nested.study import NestedStudy
from thermosearch.nested.walker import Walker
from thermosearch.potentials.evaluate import uncertainty
from thermosearch.potentials.interface import has_spread
from thermosearch.runtime.communicator import Communicator
from thermosearch.structure.order import (
    coordination,
    find_bonds,
    mean_nearest_distance,
    powder_pattern,
    radial_distribution,
    steinhardt,
)

RELEVANT = 12.0
"""Points whose weight is this many e-folds below the greatest at every temperature do not count."""
CHUNK = 8
"""Configurations that a rank is given at a time."""
SHELLS = 3.0
"""Reach of the pair distribution, in nearest-neighbour distances of the lowest configuration."""
BINS = 120


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
    if alive and has_spread(problem.system.potential):
        # Atoms that overlap are what a committee is asked about.
        found = uncertainty(problem.system.potential, alive, ("energy",), closest=0.0)
        spread[~dead] = [float(each.energy) / problem.system.atoms for each in found]
    return spread


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
