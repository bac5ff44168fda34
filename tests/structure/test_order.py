"""Order parameters and space groups of perfect crystals, whose values are known."""

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk

from thermosearch.configuration import from_ase
from thermosearch.structure.order import (
    coordination,
    find_bonds,
    mean_nearest_distance,
    powder_pattern,
    radial_distribution,
    steinhardt,
)
from thermosearch.structure.symmetry import space_group

CRYSTALS = {
    # Neighbours, Q4 and Q6 of these, space group: P. J. Steinhardt et al. (1983); bcc with 14.
    "fcc": (bulk("Cu", "fcc", a=3.6), 12, 0.19094, 0.57452, 225),
    "bcc": (bulk("Fe", "bcc", a=2.87, cubic=True), 14, 0.03637, 0.51069, 229),
    "sc": (bulk("Po", "sc", a=3.3), 6, 0.76376, 0.35355, 221),
    "diamond": (bulk("Si", "diamond", a=5.43), 4, 0.50918, 0.62854, 227),
    "hcp": (bulk("Mg", "hcp", a=3.2, c=3.2 * np.sqrt(8 / 3)), 12, 0.09722, 0.48476, 194),
}


@pytest.mark.parametrize("name", CRYSTALS)
def test_crystals_have_their_known_order(name: str) -> None:
    atoms, neighbours, q4, q6, group = CRYSTALS[name]
    turned = atoms.copy()
    turned.rotate(40.0, (1.0, 2.0, 3.0), rotate_cell=True)
    turned.positions += 0.3
    for each in (atoms, turned, turned.repeat((2, 1, 1))):
        configuration = from_ase(each)
        bonds = find_bonds(configuration)
        assert coordination(bonds, len(each)) == neighbours
        assert steinhardt(bonds, 4) == pytest.approx(q4, abs=1e-4)
        assert steinhardt(bonds, 6) == pytest.approx(q6, abs=1e-4)
        assert space_group(configuration).number == group


def test_a_cluster_has_order_too() -> None:
    tetrahedron = Atoms("Ar4", positions=[[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    configuration = from_ase(tetrahedron)
    assert mean_nearest_distance(configuration) == pytest.approx(np.sqrt(8.0))
    assert coordination(find_bonds(configuration), 4) == 3
    assert (
        steinhardt(find_bonds(from_ase(Atoms("Ar2", positions=[[0, 0, 0], [9, 0, 0]])), 2.0), 4)
        == 0
    )


def test_pair_distribution_counts_shells() -> None:
    edges = np.linspace(0.0, 4.0, 81)
    found = radial_distribution(from_ase(bulk("Cu", "fcc", a=3.6)), edges, 3.6**3 / 4)
    counted = found * 4 / 3 * np.pi * np.diff(edges**3) * 4 / 3.6**3
    centres = 0.5 * (edges[1:] + edges[:-1])
    assert counted[centres < 2.7].sum() == pytest.approx(12)
    assert counted.sum() == pytest.approx(18)


def test_powder_lines_stand_where_bragg_puts_them() -> None:
    """Of fcc 111, 200 and 220, and none of the forbidden ones; the same for a larger cell."""
    q = np.linspace(0.05, 6.0, 600)
    lattice = bulk("Cu", "fcc", a=3.6, cubic=True)
    pattern = powder_pattern(from_ase(lattice), q, 0.02)
    maxima = q[1:-1][(pattern[1:-1] > pattern[:-2]) & (pattern[1:-1] > pattern[2:])]
    high = maxima[np.interp(maxima, q, pattern) > 0.1]
    np.testing.assert_allclose(high[:3], 2 * np.pi / 3.6 * np.sqrt([3, 4, 8]), atol=0.02)
    again = powder_pattern(from_ase(lattice.repeat((2, 1, 1))), q, 0.02)
    np.testing.assert_allclose(again, pattern, atol=0.02 * pattern.max())


def test_a_disordered_pattern_tends_to_one() -> None:
    generator, q = np.random.default_rng(1), np.linspace(0.5, 8.0, 200)
    gas = Atoms("Ar40", positions=generator.uniform(0, 12, (40, 3)), cell=12 * np.eye(3), pbc=True)
    assert powder_pattern(from_ase(gas), q, 0.1)[100:].mean() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("returns_none", [True, False])
def test_atoms_on_top_of_each_other_have_no_space_group(
    returns_none: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However spglib reports errors: phonopy changes that as it is imported."""
    monkeypatch.setattr(spglib.error, "OLD_ERROR_HANDLING", returns_none)
    atoms = Atoms("Si2", positions=[[0, 0, 0], [0, 0, 0.01]], cell=5 * np.eye(3), pbc=True)
    assert space_group(from_ase(atoms)).number == 1
