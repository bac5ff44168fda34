"""Relaxations of configurations that were kept: the minima below the sampled landscape."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from thermosearch.configuration import Configuration
from thermosearch.nested.course import Course
from thermosearch.nested.kept import CHUNK, Kept
from thermosearch.nested.problem import Problem
from thermosearch.potentials.evaluate import bucket
from thermosearch.relax.loop import Status
from thermosearch.relax.minimise import minimise
from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.context import RunContext
from thermosearch.structure.order import mean_nearest_distance
from thermosearch.structure.symmetry import space_group

COINCIDE = 0.05
"""Tolerance of space groups, in nearest-neighbour distances."""
SKIN_SLOTS = 1.6
"""Slots of a list with a skin of 15 %, for each slot of one without."""
STEPS = 400
"""Most steps of a relaxation."""
LIMITS = (Status.CONVERGED, Status.STEP_LIMIT, Status.STALLED)


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


class Quenched(NamedTuple):
    """Relaxations from one run.

    Attributes
    ----------
    course : Course
        The run.
    kept : Kept
        Configurations whose relaxation came to an end.
    minima : list of Minimum
        Of these.
    """

    course: Course
    kept: Kept
    minima: list[Minimum]


def quench_all(
    problem: Problem,
    courses: Sequence[Course],
    kept: Sequence[Kept],
    *,
    count: int,
    context: RunContext,
) -> list[Quenched] | None:
    """Relax configurations of every run, with progress.

    Parameters
    ----------
    problem : Problem
        For potential and pressures.
    courses : sequence of Course
        All runs.
    kept : sequence of Kept
        Of each run.
    count : int
        Most configurations of a run.
    context : RunContext
        Ranks share the relaxations; asked before every run whether to stop.

    Returns
    -------
    list of Quenched or None
        As the runs; None if it was told to stop.
    """
    # One number for all runs, since every other number of slots is a compilation.
    slots = max(course.state.capacity for course in courses)
    quenched: list[Quenched] = []
    with context.progress(len(courses), "relaxing walkers") as bar:
        for course, all_kept in zip(courses, kept, strict=True):
            if context.stop():
                return None
            chosen = _thinned(all_kept, count)
            quenched.append(_quench(problem, course, chosen, context.communicator, slots=slots))
            bar.update()
    return quenched


def _thinned(kept: Kept, count: int) -> Kept:
    """Every so many of them, so that no more than `count` are left."""
    stride = max(1, -(-len(kept.places) // count))
    return kept._replace(places=kept.places[::stride], configurations=kept.configurations[::stride])


def _quench(
    problem: Problem, course: Course, kept: Kept, communicator: Communicator, *, slots: int
) -> Quenched:
    """Relax configurations to their minima, the cell with them where it is free."""
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
    return Quenched(course, _masked(kept, ended), [each for each in found if each is not None])


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
