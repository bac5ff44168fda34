"""Lennard-Jones against ASE, known clusters and lattice sums."""

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones as AseLennardJones
from scipy.integrate import quad

from thermosearch.configuration import from_ase
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.lennard_jones import LennardJones
from thermosearch.runtime.errors import InputError


def test_shifted_is_that_of_ase() -> None:
    atoms = bulk("Ar", cubic=True, a=5.26)
    atoms.positions += 0.2 * np.random.default_rng(0).normal(size=(4, 3))
    atoms.calc = AseLennardJones(epsilon=0.0104, sigma=3.4, rc=8.5, smooth=False)
    potential = LennardJones(
        epsilon=0.0104, sigma=3.4, cutoff=8.5, truncation="shifted", units="eV"
    )
    found = evaluate(potential, [from_ase(atoms)], ("stress",))[0]
    assert found.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-12)
    assert np.abs(found.forces - atoms.get_forces()).max() < 1e-12
    assert np.abs(found.stress - atoms.get_stress(voigt=False)).max() < 1e-12


def test_thirteen_atom_icosahedron_has_its_known_energy() -> None:
    """-44.326801 epsilon (Hoare & Pal 1971; the Cambridge Cluster Database)."""
    golden = (1.0 + np.sqrt(5.0)) / 2.0
    corners = [np.roll([0.0, a, b * golden], k) for a in (1, -1) for b in (1, -1) for k in range(3)]
    shell = np.array(corners) / np.linalg.norm(corners[0])
    radii = np.linspace(1.07, 1.09, 201)
    frames = [from_ase(Atoms("Ar13", np.vstack([[0, 0, 0], r * shell]))) for r in radii]
    energies = [p.energy for p in evaluate(LennardJones(), frames, ("energy",))]
    assert min(energies) == pytest.approx(-44.326801, abs=2e-5)


def test_tail_is_the_integral_over_a_uniform_density() -> None:
    atoms = bulk("Ar", "fcc", a=1.6)
    cut, tail = (
        evaluate(LennardJones(cutoff=2.5, truncation=kind), [from_ase(atoms)])[0].energy
        for kind in ("cut", "tail")
    )
    density = 1.0 / atoms.cell.volume
    beyond = quad(lambda r: 4.0 * (r**-12 - r**-6) * 2.0 * np.pi * r**2 * density, 2.5, np.inf)[0]
    assert tail - cut == pytest.approx(beyond, rel=1e-10)


def test_energy_of_fcc_is_its_lattice_sum() -> None:
    """E/N = 2 (12.13188 / d^12 - 14.45392 / d^6), d the spacing (Ashcroft & Mermin, table 20.2)."""
    spacing = 1.09
    atoms = bulk("Ar", "fcc", a=spacing * np.sqrt(2.0))
    exact = 2.0 * (12.13188 / spacing**12 - 14.45392 / spacing**6)
    potential = LennardJones(cutoff=8.0, truncation="tail")
    assert evaluate(potential, [from_ase(atoms)])[0].energy == pytest.approx(exact, abs=2e-3)


def test_tail_stress_is_its_derivative() -> None:
    potential = LennardJones(cutoff=2.5, truncation="tail")
    atoms = bulk("Ar", "fcc", a=1.6)
    frames = []
    for scale in (1.0, 1.0 + 1e-5, 1.0 - 1e-5):
        scaled = atoms.copy()
        scaled.set_cell(atoms.cell * scale, scale_atoms=True)
        frames.append(from_ase(scaled))
    here, larger, smaller = evaluate(potential, frames, ("stress",))
    slope = (larger.energy - smaller.energy) / 2e-5 / (3.0 * atoms.cell.volume)
    assert np.trace(here.stress) / 3.0 == pytest.approx(slope, rel=1e-6)


def test_infinite_cutoff_of_a_crystal_is_refused() -> None:
    with pytest.raises(InputError, match="pbc = false"):
        evaluate(LennardJones(), [from_ase(bulk("Ar", "fcc", a=1.6))])


@pytest.mark.parametrize(
    "wrong",
    [
        {"epsilon": -1.0},
        {"cutoff": 0.0},
        {"sigma": np.nan},
        {"truncation": "tail"},
        {"truncation": "shift", "cutoff": 2.5},
        {"truncation": "Tail", "cutoff": 2.5},
        {"units": "ev"},
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="lennard_jones"):
        LennardJones(**wrong)


def test_a_tail_needs_all_directions_periodic() -> None:
    crystal = from_ase(bulk("Ar", "fcc", a=1.6))
    slab = crystal._replace(pbc=np.array([True, True, False]))
    frames = [crystal, slab]
    energies = [
        evaluate(LennardJones(cutoff=2.5, truncation=kind), frames, ("energy",))
        for kind in ("tail", "shifted")
    ]
    assert [bool(np.isfinite(found.energy)) for found in energies[0]] == [True, False]
    assert all(np.isfinite(found.energy) for found in energies[1])
