"""The variational loop on crystals whose answers are known."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal as build
from phonopy.structure.symmetry import Symmetry
from springs import Quadratic, point, prepared, run_point, springs
from symfc import Symfc
from symfc.utils.utils import SymfcAtoms

from thermosearch.harmonic.crystal import (
    Crystal,
    allowed,
    coordinate_masses,
    effective_crystal,
    make_crystal,
    phonopy_cell,
    unit_cell,
)
from thermosearch.harmonic.prepare import allowed_strains, started
from thermosearch.harmonic.regression import Sample, gain_weights, refit, stepped
from thermosearch.harmonic.statistics import (
    antithetic_normals,
    bath,
    covariance,
    displacements,
    harmonic_free_energy,
    normal_modes,
)
from thermosearch.harmonic.symmetry import symmetrise_matrix
from thermosearch.harmonic.variational import LARGEST_STRAIN
from thermosearch.potentials.stillinger_weber import StillingerWeber


def hafnia() -> Atoms:
    basis = [(0.276, 0.04, 0.208), (0.07, 0.332, 0.345), (0.45, 0.757, 0.48)]
    cell = [5.12, 5.17, 5.3, 90.0, 99.2, 90.0]
    return build(["Hf", "O", "O"], basis, spacegroup=14, cellpar=cell)


CRYSTALS = {
    "cubic": (lambda: bulk("Si", cubic=True), (1, 1, 1), 4.5, "Fd-3m (227)", 1),
    "hexagonal": (lambda: bulk("Mg"), (2, 2, 1), 5.0, "P6_3/mmc (194)", 2),
    "tetragonal": (
        lambda: build(
            ["Ti", "O"],
            [(0, 0, 0), (0.305, 0.305, 0)],
            spacegroup=136,
            cellpar=[4.6, 4.6, 2.96, 90, 90, 90],
        ),
        (1, 1, 2),
        3.6,
        "P4_2/mnm (136)",
        2,
    ),
    "monoclinic": (hafnia, (1, 1, 1), 3.8, "P2_1/c (14)", 4),
}


@pytest.fixture(scope="module")
def silicon() -> Crystal:
    return make_crystal(bulk("Si"), (2, 2, 2))


@pytest.fixture(scope="module")
def phi(silicon: Crystal) -> np.ndarray:
    return prepared(springs(silicon, 4.5), silicon, cell=False).force_constants


def sample_of(crystal: Crystal, phi: np.ndarray, truth: np.ndarray, pairs: int) -> Sample:
    at, modes = bath(300.0, "quantum"), normal_modes(phi, coordinate_masses(crystal.masses))
    x = displacements(modes, at, antithetic_normals((3,), 0, pairs, len(phi)))
    rng = np.random.default_rng(5)
    noise = rng.normal(scale=0.1, size=x.shape)
    noise -= (
        noise.reshape(len(x), -1, 3).mean(axis=1).repeat(x.shape[1] // 3, axis=0).reshape(x.shape)
    )
    count = len(x)
    zero = np.zeros((count, 3, 3))
    return Sample(x, np.zeros(count), noise - x @ truth, zero, np.full(count, 1.0 / count))


@pytest.mark.parametrize("statistics", ["quantum", "classical"])
def test_harmonic_crystal_is_recovered_exactly(
    silicon: Crystal, phi: np.ndarray, statistics: str
) -> None:
    potential = Quadratic(np.asarray(silicon.supercell.positions), phi)
    elastic = prepared(potential, silicon, cell=False).elastic
    masses = coordinate_masses(silicon.masses)
    wrong = allowed(silicon.group, np.asarray(silicon.supercell.cell), 1.4 * phi + np.eye(len(phi)))
    problem = point(silicon, elastic, 400.0, statistics=statistics)
    state = run_point(potential, problem, effective_crystal(silicon, wrong))
    assert state.converged and state.step >= 1
    assert np.abs(state.effective.force_constants - phi).max() < 1e-10
    exact = harmonic_free_energy(normal_modes(phi, masses), problem.at)
    assert state.result.free_energy == pytest.approx(exact, abs=1e-10)
    assert state.result.free_energy_error < 1e-12


def test_regression_is_that_of_symfc(silicon: Crystal, phi: np.ndarray) -> None:
    """On equal masses and a sample of unit covariance both minimise the same sum of squares."""
    at, masses = bath(300.0, "classical"), coordinate_masses(silicon.masses)
    cell = np.asarray(silicon.supercell.cell)
    # All frequencies equal, so that normal coordinates are displacements but for one factor.
    flat = allowed(silicon.group, cell, 5.0 * np.eye(len(phi)))
    sample = sample_of(silicon, flat, phi, 6)
    modes = normal_modes(flat, masses)
    found = refit(
        modes, at, flat, sample, lambda matrix: symmetrise_matrix(silicon.group, cell, matrix)
    )
    scale = at.kt / 5.0
    x = modes.vectors
    mine = flat + x @ (found.change / scale) @ x.T
    atoms = SymfcAtoms(
        cell=cell,
        scaled_positions=silicon.supercell.positions @ np.linalg.inv(cell),
        numbers=silicon.supercell.numbers,
    )
    shape = (len(sample.energies), silicon.atoms, 3)
    other = Symfc(atoms)
    other.displacements = sample.displacements.reshape(shape)
    other.forces = sample.forces.reshape(shape)
    other.run(2, is_compact_fc=False)
    theirs = other.force_constants[2].transpose(0, 2, 1, 3).reshape(phi.shape)
    assert np.abs(mine - theirs).max() < 1e-9


def test_blocks_of_waves_change_no_number(silicon: Crystal, phi: np.ndarray) -> None:
    """Modes and refits, wave vector by wave vector and all at once."""
    at, masses = bath(300.0, "quantum"), coordinate_masses(silicon.masses)
    cell = np.asarray(silicon.supercell.cell)
    whole, split = (normal_modes(phi, masses, bloch=b) for b in (None, silicon.group.bloch))
    assert len(set(split.label.tolist())) > 1
    np.testing.assert_allclose(split.frequencies, whole.frequencies, rtol=1e-9)
    sample = sample_of(silicon, phi, 1.1 * phi, 8)
    fits, moved = [], []
    for modes in (whole, split):
        fit = refit(modes, at, phi, sample, lambda m: symmetrise_matrix(silicon.group, cell, m))
        fits.append(fit)
        moved.append(stepped(modes, at, phi, fit.change)[0])
    assert fits[0].gain == pytest.approx(fits[1].gain, rel=1e-9)
    assert fits[0].noise == pytest.approx(fits[1].noise, rel=1e-9)
    np.testing.assert_allclose(moved[0], moved[1], rtol=0.0, atol=1e-9 * np.abs(phi).max())


def test_gain_is_the_second_order_fall_of_the_free_energy(
    silicon: Crystal, phi: np.ndarray
) -> None:
    """For a harmonic truth F[Phi'] - F[Phi] is known in closed form."""
    masses, cell = coordinate_masses(silicon.masses), np.asarray(silicon.supercell.cell)
    random = np.random.default_rng(2).normal(size=phi.shape)
    away = phi + 0.02 * allowed(silicon.group, cell, random + random.T) * np.abs(phi).max()
    for at in (bath(300.0, "quantum"), bath(0.0, "quantum"), bath(300.0, "classical")):
        modes = normal_modes(away, masses)
        fall = (
            harmonic_free_energy(modes, at)
            + 0.5 * np.sum((phi - away) * covariance(modes, at))
            - harmonic_free_energy(normal_modes(phi, masses), at)
        )
        sample = sample_of(silicon, away, phi, 4)
        exact = sample._replace(forces=-sample.displacements @ phi)
        fitted = refit(modes, at, away, exact, lambda m: symmetrise_matrix(silicon.group, cell, m))
        assert np.sum(gain_weights(modes, at) * fitted.change**2) == pytest.approx(fall, rel=0.15)
        assert fitted.gain == pytest.approx(fall, rel=0.15)
        assert fitted.noise < 0.1 * fall
        whole, bounded = stepped(modes, at, away, fitted.change)
        assert bounded == 0
        assert np.abs(whole - phi).max() < 1e-10


@pytest.mark.parametrize("name", list(CRYSTALS))
def test_space_group_is_kept_and_the_cell_finds_its_pressure(name: str) -> None:
    make, supercell, cutoff, group, strains = CRYSTALS[name]
    crystal = make_crystal(make(), supercell, name)
    assert crystal.group.name == group
    assert len(allowed_strains(crystal)) == strains
    potential = springs(crystal, cutoff)
    start = prepared(potential, crystal, cell=True)
    whole, imaginary = started(crystal, start.force_constants)
    assert imaginary == 0
    problem = point(crystal, start.elastic, 500.0)
    state = run_point(potential, problem, effective_crystal(crystal, whole))
    assert state.converged
    assert state.step >= 1
    found = Symmetry(phonopy_cell(unit_cell(crystal, state.effective)), symprec=1e-8)
    assert found.get_international_table().strip() == group
    kept = allowed(crystal.group, state.effective.cell, state.effective.force_constants)
    assert np.abs(kept - state.effective.force_constants).max() < 1e-10
    # The cell grew, and its last sample is at zero pressure within what the strain left tells.
    assert state.effective.volume > abs(np.linalg.det(crystal.supercell.cell))
    assert np.abs(state.drift.strain).max() < 3.1 * max(
        problem.strain_error, state.drift.strain_error.max()
    )


def test_a_shortened_step_keeps_the_symmetry_of_a_crystal_turned_about() -> None:
    """Hexagonal, its axes along none of x, y and z, at a pressure that asks for 4 % at once."""
    atoms = bulk("Mg")
    atoms.rotate(35.0, "z", rotate_cell=True)
    atoms.rotate(20.0, "x", rotate_cell=True)
    crystal = make_crystal(atoms, (2, 2, 1), "turned")
    potential = springs(crystal, 5.0)
    start = prepared(potential, crystal, cell=True)
    whole, _ = started(crystal, start.force_constants)
    problem = point(crystal, start.elastic, 500.0, pressure=0.4)
    state = run_point(potential, problem, effective_crystal(crystal, whole))
    strain = np.cbrt(state.effective.volume / abs(np.linalg.det(crystal.supercell.cell))) - 1.0
    assert state.converged and strain < -LARGEST_STRAIN
    found = Symmetry(phonopy_cell(unit_cell(crystal, state.effective)), symprec=1e-8)
    assert found.get_international_table().strip() == "P6_3/mmc (194)"


def test_pressure_is_the_derivative_of_the_free_energy() -> None:
    crystal = make_crystal(bulk("Si", cubic=True), (1, 1, 1))
    potential = springs(crystal, 4.5)
    energies, pressures, volumes = [], [], []
    for scale in (0.998, 1.0, 1.002):
        atoms = bulk("Si", cubic=True)
        atoms.set_cell(atoms.cell * scale, scale_atoms=True)
        scaled = make_crystal(atoms, (1, 1, 1))
        start = prepared(potential, scaled, cell=False)
        whole, _ = started(scaled, start.force_constants)
        problem = point(scaled, start.elastic, 300.0, error=4e-5 * 8, most_pairs=1024)
        state = run_point(potential, problem, effective_crystal(scaled, whole))
        energies.append((state.result.free_energy, state.result.free_energy_error))
        pressures.append((state.result.pressure[0, 0], state.result.pressure_error[0, 0]))
        volumes.append(state.effective.volume)
    slope = -(energies[2][0] - energies[0][0]) / (volumes[2] - volumes[0])
    # The samples are made of the same random numbers, so this error is an upper bound.
    error = np.hypot(energies[2][1], energies[0][1]) / (volumes[2] - volumes[0])
    assert abs(slope - pressures[1][0]) < 3.0 * np.hypot(error, pressures[1][1])
    assert error < 0.1 * abs(pressures[2][0] - pressures[0][0])


def test_a_step_that_leads_uphill_shortens_the_next(silicon: Crystal) -> None:
    """Where the cell is taken for six times softer than it is, whole steps would never end."""
    potential = StillingerWeber()
    start = prepared(potential, silicon, cell=True)
    soft = start.elastic._replace(stiffness=start.elastic.stiffness / 6.0)
    small = effective_crystal(silicon, start.force_constants, start.static)
    states = [
        run_point(potential, point(silicon, each, 300.0, most_steps=25), small)
        for each in (start.elastic, soft)
    ]
    assert all(state.converged for state in states)
    assert min(row.damping for row in states[1].course if row.damping > 0.0) < 0.5
    lengths = [float(np.linalg.norm(state.effective.cell[0])) for state in states]
    assert lengths[1] == pytest.approx(lengths[0], rel=2e-3)
