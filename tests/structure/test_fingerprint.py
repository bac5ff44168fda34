"""The fingerprint is the same for one structure however it is written."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from numpy.typing import NDArray

from thermosearch.configuration import from_ase
from thermosearch.structure.fingerprint import fingerprint_distance, radial_fingerprint


def rattled(seed: int = 1) -> Atoms:
    atoms = bulk("Si", "diamond", a=5.43, cubic=True)
    atoms.positions += np.random.default_rng(seed).normal(scale=0.2, size=(8, 3))
    return atoms


def of(atoms: Atoms) -> NDArray:
    return radial_fingerprint(from_ase(atoms), np.arange(len(atoms)))


@pytest.mark.parametrize(
    "change", ["translate", "rotate", "permute", "wrap", "repeat", "skew", "mirror"]
)
def test_invariance(change: str) -> None:
    atoms = rattled()
    same = atoms.copy()
    if change == "translate":
        same.translate((0.3, -8.0, 1.1))
    elif change == "rotate":
        same.rotate(77.0, (1.0, 0.3, 2.0), rotate_cell=True)
    elif change == "permute":
        same = same[np.random.default_rng(0).permutation(8)]
    elif change == "wrap":
        same.positions += np.random.default_rng(0).integers(-2, 3, (8, 3)) @ same.cell
    elif change == "repeat":
        same = same.repeat((2, 1, 1))
    elif change == "skew":
        same = make_supercell(same, [[1, 0, 0], [1, 1, 0], [0, -1, 1]], wrap=False)
    else:
        same.positions[:, 0] *= -1.0
    np.testing.assert_allclose(of(same), of(atoms), atol=1e-9)
    assert fingerprint_distance(of(same), of(atoms)) < 1e-12


def test_different_structures_differ() -> None:
    assert fingerprint_distance(of(rattled(1)), of(rattled(2))) > 1e-3


def test_a_small_displacement_is_a_small_distance() -> None:
    atoms, near = rattled(), rattled()
    near.positions[0, 0] += 1e-3
    assert 0.0 < fingerprint_distance(of(atoms), of(near)) < 1e-4


def test_without_neighbours_it_is_like_another_such_alone() -> None:
    alone, pair = (
        radial_fingerprint(from_ase(Atoms("Si2", [[0, 0, 0], [0, 0, apart]])), np.arange(2))
        for apart in (50.0, 2.4)
    )
    assert not alone.any()
    assert fingerprint_distance(alone, alone) == 0.0
    assert fingerprint_distance(alone, pair) == fingerprint_distance(pair, alone) == 0.5


def test_elements_are_told_apart() -> None:
    atoms, swapped = rattled(), rattled()
    atoms.symbols[0] = swapped.symbols[1] = "Ge"
    assert of(atoms).shape == of(swapped).shape
    assert fingerprint_distance(of(atoms), of(swapped)) > 1e-4
