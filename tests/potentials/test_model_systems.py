"""Ideal gas, Einstein crystal and wells: their exact energies."""

import numpy as np
import pytest
from ase.build import bulk

from thermosearch.configuration import from_ase
from thermosearch.potentials.einstein import EinsteinCrystal
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.ideal_gas import IdealGas
from thermosearch.potentials.wells import PolynomialWell
from thermosearch.runtime.errors import InputError


def test_ideal_gas_feels_nothing_even_where_atoms_coincide() -> None:
    atoms = bulk("Si", cubic=True)
    atoms.positions[1] = atoms.positions[0]
    found = evaluate(IdealGas(), [from_ase(atoms)], ("stress",))[0]
    assert found.energy == 0.0
    assert np.all(found.forces == 0.0)
    assert np.all(found.stress == 0.0)


def test_einstein_springs() -> None:
    atoms = bulk("Si", cubic=True)
    crystal = EinsteinCrystal(atoms.positions, spring=3.0)
    moved = np.random.default_rng(0).normal(size=(8, 3))
    atoms.positions += moved
    found = evaluate(crystal, [from_ase(atoms), from_ase(bulk("Si", cubic=True).repeat((2, 1, 1)))])
    assert found[0].energy == pytest.approx(1.5 * np.sum(moved**2))
    assert np.abs(found[0].forces + 3.0 * moved).max() < 1e-12
    assert np.isnan(found[1].energy)  # more atoms than sites
    with pytest.raises(InputError, match="8 sites, but only 2 atoms"):
        evaluate(crystal, [from_ase(bulk("Si"))])


def test_well_is_its_polynomial() -> None:
    coefficients = (0.5, -0.3, -1.0, 0.0, 1.0)
    well = PolynomialWell(coefficients, directions=(0, 2))
    atoms = bulk("Si")
    atoms.pbc = False
    x = atoms.positions[:, [0, 2]]
    found = evaluate(well, [from_ase(atoms)])[0]
    polynomial = np.polynomial.Polynomial(coefficients)
    assert found.energy == pytest.approx(polynomial(x).sum())
    assert np.abs(found.forces[:, [0, 2]] + polynomial.deriv()(x)).max() < 1e-12
    assert np.all(found.forces[:, 1] == 0.0)


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(InputError, match="einstein"):
        EinsteinCrystal(np.zeros((3, 3)), spring=-1.0)
    with pytest.raises(InputError, match="polynomial_well"):
        PolynomialWell([], directions=(0,))
    with pytest.raises(InputError, match="polynomial_well"):
        PolynomialWell([1.0], directions=(3,))
