"""Displaced supercells of all points at once, cut into portions and shared out over the ranks.

All samples of a request have cell and elements in common, so that one compiled loop lists their
neighbours and evaluates them; a portion's numbers depend on nothing but the portion.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float, Int

from thermosearch.configuration import Array, Configuration
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.interface import Potential, Properties, energy_forces_stress
from thermosearch.potentials.neighbours_device import DeviceList, answer_overflow
from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.errors import InputError

PORTION = 16
"""Configurations a task; it belongs to the study, never to the ranks."""


class Request(NamedTuple):
    """Positions of one crystal to evaluate.

    Attributes
    ----------
    configuration : Configuration
        Cell and elements; its own positions are not evaluated.
    positions : (s, n, 3) float64
        A.
    """

    configuration: Configuration
    positions: Float[np.ndarray, "s n 3"]


class Evaluated(NamedTuple):
    """What was found for a request.

    Attributes
    ----------
    energies : (s,) float64
        eV.
    forces : (s, n, 3) float64
        eV/A.
    stresses : (s, 3, 3) float64
        eV/A^3, ASE sign.
    """

    energies: Float[np.ndarray, " s"]
    forces: Float[np.ndarray, "s n 3"]
    stresses: Float[np.ndarray, "s 3 3"]


def evaluate_requests(
    potential: Potential,
    requests: Sequence[Request],
    communicator: Communicator,
    portion: int = PORTION,
) -> list[Evaluated]:
    """Evaluate requests over the ranks; results in order, on every rank.

    Parameters
    ----------
    potential : Potential
        Any.
    requests : sequence of Request
        The same on every rank.
    communicator : Communicator
        The ranks.
    portion : int
        Samples of a task.

    Raises
    ------
    InputError
        If an energy is not finite: a sample has left what the potential knows.
    """
    tasks = [
        Task(each._replace(positions=each.positions[start : start + portion]), lists)
        for each in requests
        for lists in [_lists(potential, each)]
        for start in range(0, len(each.positions), portion)
    ]
    found = iter(communicator.map(partial(evaluate_portion, potential, portion), tasks))
    results = []
    for each in requests:
        parts = [next(found) for _ in range(0, len(each.positions), portion)]
        joined = Evaluated(*(np.concatenate(field) for field in zip(*parts, strict=True)))
        if not np.isfinite(joined.energies).all():
            raise InputError(
                "potential: a thermally displaced supercell has no finite energy; lower the "
                "temperature, or use a potential that knows such structures"
            )
        results.append(joined)
    return results


def evaluate_all(
    potential: Potential, configurations: Sequence[Configuration], communicator: Communicator
) -> list[Properties]:
    """Energies, forces and stresses of any configurations, in order, on every rank."""
    portions = [configurations[k : k + PORTION] for k in range(0, len(configurations), PORTION)]
    work = partial(evaluate, potential, properties=("energy", "forces", "stress"))
    return [each for part in communicator.map(work, portions) for each in part]


class Task(NamedTuple):
    """Some samples of a request, and how to list neighbours in it; None for any way."""

    request: Request
    lists: DeviceList | None


def _lists(potential: Potential, request: Request) -> DeviceList | None:
    """Make lists that fit most samples of a request, by some of them spread over it."""
    if potential.cutoff is None or np.isinf(potential.cutoff):
        return None
    shown = np.unique(np.linspace(0, len(request.positions) - 1, LOOKED_AT).astype(int))
    some = [request.configuration._replace(positions=request.positions[k]) for k in shown]
    return DeviceList.covering(some, potential.cutoff, RESERVE)


def evaluate_portion(potential: Potential, width: int, task: Task) -> Evaluated:
    """Evaluate one task, in a shape of `width` samples whatever their number."""
    (configuration, positions), lists = task
    count = len(positions)
    if lists is None:
        moved = [configuration._replace(positions=each) for each in positions]
        each = evaluate(potential, moved, ("energy", "forces", "stress"))
        return Evaluated(*(np.stack(field) for field in zip(*each, strict=True)))
    missing = np.repeat(positions[-1:], width - count, axis=0)
    filled = np.concatenate([positions, missing])
    while True:
        found, needed = jax.device_get(_run(potential, lists, configuration, filled))
        if int(np.max(needed)) <= lists.capacity:
            break
        fullest = configuration._replace(positions=filled[int(np.argmax(needed))])
        lists = answer_overflow(lists, [fullest], RESERVE)
    return Evaluated(
        np.asarray(found.energy[:count]),
        np.asarray(found.forces[:count]),
        np.asarray(found.stress[:count]),
    )


RESERVE = 1.08
"""Room in the neighbour lists beyond what the samples looked at need."""

LOOKED_AT = 3
"""Samples of a request by which its lists are made."""


@eqx.filter_jit
def _run(
    potential: Potential,
    lists: DeviceList,
    configuration: Configuration,
    positions: Float[Array, "s n 3"],
) -> tuple[Properties, Int[Array, " s"]]:
    def one(each: Float[Array, "n 3"]) -> tuple[Properties, Int[Array, ""]]:
        moved = configuration._replace(positions=each)
        neighbours = lists.find(moved)
        return energy_forces_stress(potential, moved, neighbours), neighbours.needed

    if jax.default_backend() == "cpu":
        return jax.lax.map(one, positions)
    return jax.vmap(one)(positions)
