"""Whether two structures are one, whatever their origin, order, images or orientation."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, diamond100, molecule
from ase.cluster import Icosahedron
from scipy.spatial.transform import Rotation

from thermosearch.configuration import Configuration, from_ase
from thermosearch.structure.layer_group import symmetry_label
from thermosearch.structure.matching import lattice_rotations, point_group_order, same_structure


def moved(configuration: Configuration, seed: int, mirror: bool = True) -> Configuration:
    """A permuted copy, turned and shifted as a cluster or shifted through images as a crystal."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(configuration.numbers))
    positions = np.asarray(configuration.positions)[order]
    numbers = np.asarray(configuration.numbers)[order]
    if configuration.pbc.any():
        cell = np.where(configuration.pbc[:, None], configuration.cell, 0.0)
        positions = positions + generator.uniform(size=3) @ cell
        positions = positions + generator.integers(-2, 3, size=positions.shape) @ cell
    else:
        turn = Rotation.random(random_state=seed).as_matrix() * (-1.0 if mirror else 1.0)
        positions = positions @ turn + generator.normal(size=3)
    return configuration._replace(positions=positions, numbers=numbers)


def rattled(atoms: Atoms, amplitude: float, seed: int = 1) -> Configuration:
    atoms = atoms.copy()
    atoms.rattle(amplitude, seed=seed)
    atoms.info = {}
    return from_ase(atoms)


CASES = {
    "icosahedron": Icosahedron("Ar", 2),
    "water": molecule("H2O"),
    "dimer": molecule("N2"),
    "crystal": bulk("Si", "diamond", 5.43, cubic=True),
    "oxide": bulk("NaCl", "rocksalt", 5.6, cubic=True),
    "slab": Atoms(
        diamond100("Si", (2, 2, 4), a=5.43, vacuum=6.0), pbc=(True, True, False), info={}
    ),
}


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize("amplitude", [0.0, 0.2])
def test_a_moved_copy_is_the_same_and_a_rattled_one_is_not(name: str, amplitude: float) -> None:
    one = rattled(CASES[name], amplitude)
    assert same_structure(one, moved(one, 3))
    if name != "dimer":
        assert not same_structure(one, rattled(CASES[name], amplitude + 0.3, seed=8))


def test_an_exchange_of_elements_makes_another_structure() -> None:
    atoms = CASES["oxide"].copy()
    atoms.numbers[[0, 1]] = atoms.numbers[[1, 0]]
    assert not same_structure(from_ase(CASES["oxide"]), from_ase(atoms))
    assert not same_structure(from_ase(CASES["water"]), from_ase(molecule("CO2")))


@pytest.mark.parametrize(
    ("cluster", "order"),
    [
        (Icosahedron("Ar", 2), 120),
        (molecule("CH4"), 24),
        (molecule("H2O"), 4),
        (molecule("NH3"), 6),
    ],
)
def test_orders_of_point_groups(cluster: Atoms, order: int) -> None:
    assert point_group_order(from_ase(cluster)) == order


def test_a_square_slab_has_the_lattice_rotations_of_a_prism() -> None:
    assert len(lattice_rotations(from_ase(CASES["slab"]))) == 16
    assert len(lattice_rotations(from_ase(CASES["crystal"]))) == 48


def test_labels_of_crystals_and_layers() -> None:
    assert symmetry_label(from_ase(CASES["crystal"])) == "Fd-3m (227)"
    # A (001) slab of diamond has D2h with an even number of layers and D2d with an odd one.
    assert symmetry_label(from_ase(CASES["slab"])) == "pmma (41)"
    odd = Atoms(diamond100("Si", (1, 1, 5), a=5.43, vacuum=6.0), pbc=(True, True, False), info={})
    assert symmetry_label(from_ase(odd)).startswith("p-4m2")
    assert symmetry_label(from_ase(CASES["water"])) == ""


@pytest.mark.parametrize("shear", [0, 1, 2, 5])
def test_a_lattice_has_its_rotations_whatever_vectors_span_it(shear: int) -> None:
    """A square prism turned by a quarter, its second vector longer by multiples of the first."""
    cell = np.array([[5.0, 0.0, 0.0], [5.0 * shear, 5.0, 0.0], [0.0, 0.0, 7.0]])
    positions = np.array([[0.0, 0.0, 0.0], [1.0, 0.3, 0.2], [0.2, 1.2, 0.6]])
    quarter = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    one, other = (
        from_ase(Atoms("CuAgAu", places, cell=cell, pbc=True))
        for places in (positions, positions @ quarter)
    )
    assert len(lattice_rotations(one)) == 16
    assert same_structure(one, other)
