"""The members of a committee, each as a potential of its own."""

import jax
import numpy as np

from thermosearch.configuration import Configuration
from thermosearch.potentials.interface import Committee, CommitteeMember, Potential
from thermosearch.potentials.neighbours_host import host_neighbours


def members_of(potential: Potential, example: Configuration) -> list[CommitteeMember]:
    """Return each member as a potential of its own; none for a potential that is no committee.

    Parameters
    ----------
    potential : Potential
        Of any kind.
    example : Configuration
        Any one of elements it knows; only shapes are computed.
    """
    if not isinstance(potential, Committee):
        return []
    neighbours = host_neighbours(example, potential.cutoff)
    count = jax.eval_shape(potential.member_energies, example, neighbours).shape[0]
    return [CommitteeMember(potential, np.asarray(index, np.int32)) for index in range(count)]
