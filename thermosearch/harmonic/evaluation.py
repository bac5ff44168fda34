"""Configurations of all points at once, cut into portions and shared out over the ranks."""

from collections.abc import Sequence
from functools import partial

from thermosearch.configuration import Configuration
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.interface import Potential, Properties
from thermosearch.runtime.communicator import Communicator

PORTION = 16
"""Configurations a task; it belongs to the study, never to the ranks."""


def evaluate_all(
    potential: Potential,
    configurations: Sequence[Configuration],
    communicator: Communicator,
    portion: int = PORTION,
) -> list[Properties]:
    """Energies, forces and stresses in order, on every rank.

    Parameters
    ----------
    potential : Potential
        Any.
    configurations : sequence of Configuration
        The same on every rank.
    communicator : Communicator
        The ranks.
    portion : int
        Configurations evaluated together.
    """
    portions = [
        list(configurations[start : start + portion])
        for start in range(0, len(configurations), portion)
    ]
    work = partial(evaluate, potential, properties=("energy", "forces", "stress"))
    return [each for part in communicator.map(work, portions) for each in part]
