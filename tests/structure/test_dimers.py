"""Dimers and surface geometry on slabs built by hand."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import diamond100

from thermosearch.configuration import from_ase
from thermosearch.structure.dimers import surface_dimers
from thermosearch.structure.surface import (
    heights,
    highest_atoms,
    layers_from_top,
    surface_area,
    surface_normal,
)


def pair(length: float, angle: float, y: float = 3.0) -> Atoms:
    """One dimer along y; its centre lies near a cell edge, its ends may be in two cells."""
    centre, cell = np.array([0.1, y, 9.0]), (3.8, 7.6, 20.0)
    tilt = np.radians(angle)
    half = 0.5 * length * np.array([0.0, np.cos(tilt), np.sin(tilt)])
    atoms = Atoms("Si2", [centre - half, centre + half], cell=cell, pbc=(True, True, False))
    atoms.wrap(pbc=(True, True, False))
    return atoms


@pytest.mark.parametrize("angle", [0.0, 16.0, 75.0])
@pytest.mark.parametrize("y", [3.0, 0.0, 7.4])
def test_length_and_angle_across_cell_edges(angle: float, y: float) -> None:
    atoms = pair(2.3, angle, y)
    dimers = surface_dimers(from_ase(atoms), np.array([0, 1]), 2.7)
    np.testing.assert_allclose(dimers.lengths, [2.3], atol=1e-12)
    np.testing.assert_allclose(dimers.buckling_angles, [angle], atol=1e-6)
    if angle > 0:
        assert dimers.pairs.tolist() == [[1, 0]], "the higher atom goes first"


def test_normal_of_a_tilted_slab() -> None:
    atoms = pair(2.3, 20.0)
    atoms.rotate(35.0, (1.0, 2.0, 0.5), rotate_cell=True)
    configuration = from_ase(atoms)
    dimers = surface_dimers(configuration, np.array([0, 1]), 2.7)
    np.testing.assert_allclose(dimers.buckling_angles, [20.0], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(surface_normal(configuration)), 1.0)
    np.testing.assert_allclose(surface_area(configuration), 3.8 * 7.6)


def test_only_mutual_neighbours_pair_up() -> None:
    # A trimer along y: the middle atom pairs with the nearer end alone.
    positions = [(0.0, 0.0, 5.0), (0.0, 2.3, 5.0), (0.0, 4.7, 5.0)]
    atoms = Atoms("Si3", positions, cell=(4.0, 12.0, 20.0), pbc=(True, True, False))
    dimers = surface_dimers(from_ase(atoms), np.arange(3), 2.7)
    assert sorted(dimers.pairs[0].tolist()) == [0, 1]
    assert len(dimers.pairs) == 1


def test_unreconstructed_surface_has_none() -> None:
    slab = from_ase(diamond100("Si", (2, 2, 8), a=5.43, vacuum=6.0))
    top = highest_atoms(slab, 4)
    assert np.all(heights(slab)[top] == heights(slab).max())
    assert len(surface_dimers(slab, top, 2.7).pairs) == 0
    assert len(surface_dimers(slab, np.zeros(0, np.int64), 2.7).pairs) == 0


def test_layers_are_counted_from_the_top() -> None:
    atoms = diamond100("Si", (2, 2, 8), a=5.43, vacuum=6.0)
    assert layers_from_top(from_ase(atoms)).tolist() == (atoms.get_tags() - 1).tolist()


@pytest.mark.parametrize("third", [20.0, 0.0])
def test_upwards_does_not_depend_on_the_handedness_of_the_cell(third: float) -> None:
    slab = from_ase(diamond100("Si", (2, 2, 8), a=5.43, vacuum=6.0))
    slab.cell[2] = [0.0, 0.0, third]
    exchanged = slab._replace(cell=slab.cell[[1, 0, 2]])
    assert np.linalg.det(exchanged.cell) * np.linalg.det(slab.cell) <= 0.0
    for one in (slab, exchanged):
        np.testing.assert_array_equal(surface_normal(one), [0.0, 0.0, 1.0])
    assert layers_from_top(exchanged).tolist() == layers_from_top(slab).tolist()


def test_upwards_of_a_turned_slab_is_along_its_third_vector() -> None:
    atoms = diamond100("Si", (2, 2, 8), a=5.43, vacuum=6.0)
    tags = (atoms.get_tags() - 1).tolist()
    atoms.rotate(140.0, (1.0, 2.0, 0.5), rotate_cell=True)
    turned = from_ase(atoms)
    for cell in (turned.cell, turned.cell[[1, 0, 2]]):
        assert layers_from_top(turned._replace(cell=cell)).tolist() == tags


@pytest.mark.shared
def test_dimer_of_the_dft_slab(shared: Path) -> None:
    frame = ase.io.read(shared / "data/mlearn/Si_train.extxyz", index=64)
    configuration = from_ase(frame)
    dimers = surface_dimers(configuration, highest_atoms(configuration, 2), 2.7)
    # 2.30 A and about 16 degrees are the frame's numbers in its description.
    assert abs(dimers.lengths[0] - 2.30) < 0.01
    assert abs(dimers.buckling_angles[0] - 16.4) < 0.5
