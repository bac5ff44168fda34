"""A crystal displaced along its imaginary mode is another one, of lower energy and symmetry."""

from collections.abc import Sequence

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from thermosearch.configuration import Configuration
from thermosearch.harmonic.crystal import Crystal, coordinate_masses, make_crystal
from thermosearch.harmonic.distort import distorted, softest_pattern
from thermosearch.harmonic.evaluation import evaluate_all
from thermosearch.harmonic.prepare import prepare
from thermosearch.harmonic.statistics import normal_modes
from thermosearch.potentials.interface import Properties
from thermosearch.potentials.stillinger_weber import StillingerWeber
from thermosearch.runtime.communicator import Communicator


def evaluate(configurations: Sequence[Configuration]) -> list[Properties]:
    return evaluate_all(StillingerWeber(), configurations, Communicator())


def silicon(structure: str, a: float) -> Crystal:
    return make_crystal(bulk("Si", structure, a=a), (2, 2, 2))


def test_body_centred_silicon_falls_into_its_imaginary_mode() -> None:
    cubic = silicon("bcc", 3.2)
    phi = prepare(cubic, evaluate, cell=False).force_constants
    modes = normal_modes(phi, coordinate_masses(cubic.masses))
    pattern = softest_pattern(modes).reshape(-1)
    curvature = pattern @ phi @ pattern / (pattern @ (modes.masses * pattern))
    assert modes.frequencies[0] < 0.0
    np.testing.assert_allclose(curvature, -(modes.frequencies[0] ** 2), rtol=1e-8)
    moved, spent = distorted(cubic, evaluate)
    assert spent > 15
    assert len(moved.unit.numbers) == cubic.atoms == 8
    assert moved.group.order < cubic.group.order
    before, after = evaluate([cubic.supercell, moved.supercell])
    assert float(after.energy) < float(before.energy) - 0.01 * cubic.atoms


@pytest.mark.parametrize("cubic", [3.0, -3.0])
def test_both_senses_of_a_mode_are_looked_along(cubic: float) -> None:
    """P4mm: the two atoms fall nearer or farther along c, E = -z^2 + c z^3 + 10 z^4."""
    atoms = Atoms("SiC", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.4]], cell=[4, 4, 5], pbc=True)
    atoms.set_masses([29.0, 13.0])
    crystal = make_crystal(atoms, (1, 1, 1))
    rest = np.diff(crystal.supercell.positions, axis=0)[0]

    def well(configurations: Sequence[Configuration]) -> list[Properties]:
        found = []
        for each in configurations:
            x, y, z = np.diff(each.positions, axis=0)[0] - rest
            slope = np.array([10 * x, 10 * y, -2 * z + 3 * cubic * z**2 + 40 * z**3])
            energy = np.asarray(5 * (x**2 + y**2) - z**2 + cubic * z**3 + 10 * z**4)
            found.append(Properties(energy, np.array([slope, -slope]), np.zeros((3, 3))))
        return found

    moved, _ = distorted(crystal, well)
    line = np.linspace(-0.9, 0.9, 1801)
    lowest = line[np.argmin(-(line**2) + cubic * line**3 + 10 * line**4)]
    u = (np.diff(moved.unit.positions, axis=0)[0] - rest) @ np.linalg.inv(atoms.cell[:])
    reached = (u - np.round(u)) @ atoms.cell[:]
    np.testing.assert_allclose(reached, [0.0, 0.0, lowest], atol=0.04)
    np.testing.assert_array_equal(moved.masses, [29.0, 13.0])


def test_a_stable_crystal_stays() -> None:
    diamond = silicon("diamond", 5.431)
    assert distorted(diamond, evaluate)[0] is diamond
