"""Second derivatives against closed forms and differences of forces."""

import numpy as np
import pytest
from ase import Atoms
from potentials.structures import distorted_silicon

from thermosearch.configuration import from_ase
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.hessian import hessian
from thermosearch.potentials.lennard_jones import LennardJones
from thermosearch.potentials.stillinger_weber import StillingerWeber
from thermosearch.runtime.errors import InputError


def test_pair_has_its_two_stiffnesses() -> None:
    r = 1.3
    pair = Atoms("Ar2", positions=[(0.0, 0.0, 0.0), (r, 0.0, 0.0)])
    found = hessian(LennardJones(), from_ase(pair))
    along = 4.0 * (156.0 * r**-14 - 42.0 * r**-8)
    across = 4.0 * (-12.0 * r**-14 + 6.0 * r**-8)
    block = np.diag([along, across, across])
    np.testing.assert_allclose(found, np.block([[block, -block], [-block, block]]), atol=1e-12)


def test_crystal_smaller_than_the_cutoff_agrees_with_differences_of_forces() -> None:
    potential, crystal = StillingerWeber(), from_ase(distorted_silicon())
    found, step = hessian(potential, crystal), 1e-5
    n = crystal.positions.size
    np.testing.assert_allclose(found, found.T, atol=1e-10)
    # Moving all atoms together costs nothing.
    np.testing.assert_allclose(found.reshape(n, -1, 3).sum(axis=1), 0.0, atol=1e-10)
    for k in (0, n // 2, n - 1):
        shift = np.zeros(n)
        shift[k] = step
        ends = [
            crystal._replace(positions=crystal.positions + sign * shift.reshape(-1, 3))
            for sign in (1, -1)
        ]
        ahead, behind = evaluate(potential, ends)
        slope = -(ahead.forces - behind.forces).reshape(-1) / (2.0 * step)
        np.testing.assert_allclose(found[k], slope, atol=1e-7)


def test_unknown_element_is_named() -> None:
    carbon = Atoms("C", cell=np.eye(3) * 3.0, pbc=True)
    with pytest.raises(InputError, match="C"):
        hessian(StillingerWeber(), from_ase(carbon))
