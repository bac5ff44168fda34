"""Relaxations of configurations that were kept: the minima below the sampled landscape."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from thermosearch.configuration import Configuration
from thermosearch.nested.course import Course
from thermosearch.nested.kept import CHUNK, Kept
from thermosearch.nested.minima import Minimum
from thermosearch.nested.problem import Problem
from thermosearch.nested.saving import save
from thermosearch.potentials.evaluate import bucket
from thermosearch.relax.loop import Status
from thermosearch.relax.minimise import minimise
from thermosearch.runtime.context import RunContext
from thermosearch.structure.order import mean_nearest_distance
from thermosearch.structure.symmetry import space_group

COINCIDE = 0.05
"""Tolerance of space groups, in nearest-neighbour distances."""
SKIN_SLOTS = 2.0
"""Slots of a list with a skin of 15 %, for each slot of one without, and a quarter in reserve."""
STEPS = 400
"""Most steps of a relaxation."""
LIMITS = (Status.CONVERGED, Status.STEP_LIMIT, Status.STALLED)


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
    """Relax configurations of every run, from where the latest checkpoint left off.

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
        Ranks share the relaxations; asked after each of their turns whether to stop.

    Returns
    -------
    list of Quenched or None
        As the runs; None if it was told to stop.
    """
    courses = list(courses)
    chosen = [_thinned(each, count) for each in kept]
    # One number for all runs, since every other number of slots is a compilation.
    slots = max(course.state.capacity for course in courses)
    tasks = [
        (run, first)
        for run, (course, each) in enumerate(zip(courses, chosen, strict=True))
        for first in range(len(course.ends), len(each.configurations), CHUNK)
    ]

    def relax(task: tuple[int, int]) -> list[Minimum | None]:
        run, first = task
        members = chosen[run].configurations[first : first + CHUNK]
        pressure = problem.conditions[courses[run].conditions].pressure
        return _relaxed(problem, members, pressure, slots)

    ranks = context.communicator
    with context.progress(sum(len(each.places) for each in chosen), "relaxing walkers") as bar:
        bar.update(sum(len(course.ends) for course in courses))
        for turn in range(0, len(tasks), ranks.size):
            together = tasks[turn : turn + ranks.size]
            for (run, _), ends in zip(together, ranks.map(relax, together), strict=True):
                courses[run] = replace(courses[run], ends=(*courses[run].ends, *ends))
                bar.update(len(ends))
            stopping = context.stop()
            if stopping or context.checkpoint_due():
                save(courses, context)
            if stopping:
                return None
    return [_quenched(*pair) for pair in zip(courses, chosen, strict=True)]


def _thinned(kept: Kept, count: int) -> Kept:
    """Every so many of them, so that no more than `count` are left."""
    stride = max(1, -(-len(kept.places) // count))
    return kept._replace(places=kept.places[::stride], configurations=kept.configurations[::stride])


def _relaxed(
    problem: Problem, members: Sequence[Configuration], pressure: float | None, slots: int
) -> list[Minimum | None]:
    """Relax configurations to their minima, the cell with them where it is free."""
    system = problem.system
    mobile = np.isin(np.arange(system.atoms), system.moving)
    relaxed = minimise(
        system.potential,
        members,
        mobile=[mobile] * len(members) if system.has_frozen else None,
        cell=pressure is not None,
        pressure=0.0 if pressure is None else pressure * problem.units.pressure,
        max_steps=STEPS,
        capacity=bucket(int(SKIN_SLOTS * slots)),
        width=CHUNK,
    )
    return [_minimum(each) if each.status in LIMITS else None for each in relaxed]


def _minimum(relaxed: Any) -> Minimum:
    configuration, atoms = relaxed.configuration, len(relaxed.configuration.numbers)
    energy = float(relaxed.enthalpy) / atoms
    if not all(configuration.pbc):
        return Minimum(energy, 0.0, 0, "", configuration)
    tolerance = COINCIDE * mean_nearest_distance(configuration)
    group = space_group(configuration, tolerance)
    volume = abs(float(np.linalg.det(configuration.cell))) / atoms
    return Minimum(energy, volume, group.number, group.symbol, configuration)


def _quenched(course: Course, kept: Kept) -> Quenched:
    """Those that came to an end."""
    pairs = zip(kept.places, kept.configurations, course.ends, strict=True)
    ended = [pair for pair in pairs if pair[2] is not None]
    kept = kept._replace(
        places=np.array([place for place, _, _ in ended], kept.places.dtype),
        configurations=[configuration for _, configuration, _ in ended],
    )
    return Quenched(course, kept, [minimum for _, _, minimum in ended])
