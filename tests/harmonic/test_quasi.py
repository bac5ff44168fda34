"""The quasi-harmonic approximation where the lattice leaves its basin."""

from collections.abc import Sequence

import numpy as np
from ase.build import bulk
from springs import prepared

from thermosearch.configuration import Configuration
from thermosearch.harmonic.crystal import make_crystal
from thermosearch.harmonic.evaluation import evaluate_all
from thermosearch.harmonic.quasi import SCALES, lattices
from thermosearch.potentials.interface import Properties
from thermosearch.potentials.stillinger_weber import StillingerWeber
from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.errors import InputError


def test_volumes_that_cannot_be_evaluated_are_left_out() -> None:
    """A run of many points must not end because one volume of the comparison cannot be had."""
    potential, crystal = StillingerWeber(), make_crystal(bulk("Si", cubic=True), (1, 1, 1))
    at_rest = abs(np.linalg.det(crystal.supercell.cell))
    largest = at_rest * 1.022**3

    def evaluate(configurations: Sequence[Configuration]) -> list[Properties]:
        if abs(np.linalg.det(configurations[0].cell)) > largest:
            raise InputError("too far")
        return evaluate_all(potential, configurations, Communicator())

    found = lattices(crystal, prepared(potential, crystal, cell=True), evaluate)
    volumes = np.array([each.volume for each in found])
    expected = at_rest * SCALES[SCALES < 1.022] ** 3
    np.testing.assert_allclose(volumes, expected, rtol=1e-12)
    assert len(found) < len(SCALES)
