"""What is stated of points: series, errors, transitions, phonons; points made by hand."""

import logging
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms

from thermosearch.harmonic.bands import band_arrays, density_arrays
from thermosearch.harmonic.crystal import (
    Crystal,
    EffectiveCrystal,
    coordinate_masses,
    effective_crystal,
    make_crystal,
)
from thermosearch.harmonic.integrate import Estimate, Integrated
from thermosearch.harmonic.isobar import Isobar, carried, lattice_series, of_points
from thermosearch.harmonic.point import Point
from thermosearch.harmonic.statistics import THZ, bath, entropy, heat_capacity, normal_modes
from thermosearch.harmonic.study import HarmonicStudy
from thermosearch.harmonic.summary import _stated, summarise, with_bulk_moduli
from thermosearch.harmonic.transitions import transitions
from thermosearch.runtime.checkpoint import CheckpointStore
from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.results import Quantity, Results
from thermosearch.runtime.run_folder import RunFolder

KELVIN = (200.0, 400.0, 600.0, 800.0, 1000.0)


def tetragonal(c: float, name: str) -> Crystal:
    return make_crystal(Atoms("Si", cell=[2.5, 2.5, c], pbc=True), (2, 2, 2), name)


def point(
    crystal: Crystal,
    temperature: float,
    energy: float,
    *,
    strain: np.ndarray | None = None,
    pressure: float = 0.0,
    spring: float = 3.0,
    members: np.ndarray | None = None,
    integrated: Integrated | None = None,
    mesh: float | None = 0.01,
) -> Point:
    """One whose atoms are tied by equal springs to their common centre; energies per atom."""
    n, strain = crystal.atoms, np.zeros((3, 3)) if strain is None else strain
    tied = np.kron(np.eye(n) - np.full((n, n), 1.0 / n), spring * np.eye(3))
    effective = effective_crystal(crystal, tied, static=-n * 4.0)
    effective = effective._replace(cell=effective.cell @ (np.eye(3) + strain))
    modes = normal_modes(effective.force_constants, coordinate_masses(crystal.masses))
    at = bath(temperature, "quantum")
    return Point(
        phase=crystal.name,
        temperature=temperature,
        pressure=pressure,
        effective=effective,
        unit_cell=np.asarray(crystal.unit.cell) @ (np.eye(3) + strain),
        strain_error=np.diag([1e-5, 1e-5, 2e-5]),
        free_energy=n * energy,
        free_energy_error=n * 1e-4,
        free_energy_mesh=None if mesh is None else n * (energy + mesh),
        harmonic_free_energy=n * (energy + 0.001),
        imaginary=0,
        member_energies=None if members is None else n * members,
        member_strains=None if members is None else 1e-2 * members,
        pressure_tensor=np.zeros((3, 3)),
        pressure_error=np.zeros((3, 3)),
        entropy=entropy(modes, at),
        heat_capacity=heat_capacity(modes, at),
        mean_square_displacements=0.01 * np.eye(3)[None],
        gamma_frequencies=np.zeros(3),
        hessian_frequencies=np.array([-0.5]),
        soft_frequencies=np.array([1.2]),
        integrated=integrated,
        course=(),
        evaluations=10,
        converged=temperature < 900.0,
    )


def gap_of(value: float) -> Integrated:
    nothing = np.ones((2, 3))
    of_supercell = Estimate(8.0 * value, 8.0 * 1e-5)
    return Integrated(
        free_energy=of_supercell,
        by_acceptance_ratio=of_supercell,
        difference=Estimate(0.5, 0.1),
        bound=of_supercell,
        gap=of_supercell,
        coupling=np.array([0.0, 1.0]),
        mean=nothing,
        acceptance=nothing,
        spread=nothing,
        overlap=np.ones(1),
        evaluations=7,
    )


@pytest.fixture(scope="module")
def low() -> Crystal:
    return tetragonal(3.0, "low")


@pytest.fixture(scope="module")
def high() -> Crystal:
    return tetragonal(3.4, "high/T")


def crossing_points(low: Crystal, high: Crystal) -> list[Point]:
    """The second phase becomes the stable one at 700 K; integrated, 50 K earlier."""
    members = np.array([-0.002, 0.0, 0.002])
    return [
        each
        for kelvin in KELVIN
        for each in (
            point(low, kelvin, -4.0, members=members),
            point(
                high,
                kelvin,
                -4.0 + 1e-4 * (700.0 - kelvin),
                members=2.0 * members,
                integrated=gap_of(-0.005),
            ),
        )
    ]


def named(quantities: list[Quantity], name: str) -> list[Quantity]:
    return [each for each in quantities if each.name == name]


def test_lattice_parameters_and_their_errors(low: Crystal) -> None:
    cells = np.array([np.diag([2.5, 2.5, 3.0]), np.diag([2.6, 2.6, 3.2])])
    series = lattice_series(cells, np.array([np.diag([1e-4, 1e-4, 2e-4])] * 2), atoms=1)
    assert set(series) == {"lattice_parameter_a", "lattice_parameter_c", "volume"}
    np.testing.assert_allclose(series["lattice_parameter_c"].value, [3.0, 3.2])
    np.testing.assert_allclose(
        series["lattice_parameter_a"].error, 1e-4 * cells[:, 0, 0], rtol=1e-6
    )
    volume = series["volume"]
    np.testing.assert_allclose(volume.error, 4e-4 * volume.value, rtol=1e-6)

    sheared = np.array([[5.1, 0.0, 0.0], [0.0, 5.2, 0.0], [-0.9, 0.0, 5.2]])
    found = lattice_series(sheared[None], np.zeros((1, 3, 3)), atoms=12)
    assert set(found) == {*(f"lattice_parameter_{x}" for x in ("a", "b", "c", "beta")), "volume"}
    assert found["lattice_parameter_beta"].unit == "deg"
    assert found["volume"].error is None
    error = carried(lambda cell: np.array([cell[2] @ cell[2]]), sheared, np.full((3, 3), 1e-3))
    lengths = 2.0 * np.abs([0.9**2, 5.2**2, 2 * 0.9 * 5.2]).sum() * 1e-3
    assert error[0] == pytest.approx(lengths, rel=1e-5)


def test_series_of_an_anisotropic_crystal(low: Crystal) -> None:
    rate = np.diag([4e-6, 4e-6, -2e-6])
    points = [point(low, t, -4.0, strain=rate * (t - 200.0), spring=3.0 - 5e-4 * t) for t in KELVIN]
    found = of_points(low, points[::-1], 0.0, classical=False)
    np.testing.assert_array_equal(found.temperature, KELVIN)
    assert {"thermal_expansion_xx", "thermal_expansion_zz"} <= set(found.series)
    np.testing.assert_allclose(found.series["thermal_expansion_zz"].value, -2e-6, rtol=1e-2)
    np.testing.assert_allclose(found.series["volume_thermal_expansion"].value, 6e-6, rtol=2e-2)
    # Softening modes: heat capacity at constant pressure above that at fixed frequencies.
    softer = found.series["heat_capacity"].value - found.series["heat_capacity_of_modes"].value
    assert np.all(softer > 0.0)
    work = of_points(low, points, 3.0, classical=False).series["gibbs_energy"].value
    volume = np.array([each.effective.volume for each in points]) / low.atoms
    np.testing.assert_allclose(work, -4.0 + 0.01 + 3.0 / 160.21766 * volume, rtol=1e-7)


def test_without_a_mesh_the_supercell_gives_the_gibbs_energy(low: Crystal) -> None:
    found = of_points(low, [point(low, 300.0, -4.0, mesh=None)], 0.0, classical=False)
    assert "free_energy_mesh" not in found.series
    np.testing.assert_allclose(found.series["gibbs_energy"].value, -4.0)


def test_integrated_energies_are_the_walks_own_or_lower_the_quantum_bound(low: Crystal) -> None:
    points = [point(low, 300.0, -4.0, integrated=gap_of(-0.005))]
    quantum = of_points(low, points, 0.0, classical=False).series["free_energy_integrated"]
    np.testing.assert_allclose(quantum.value, -4.005)
    np.testing.assert_allclose(quantum.error, np.hypot(1e-4, 1e-5))
    classical = of_points(low, points, 0.0, classical=True).series["free_energy_integrated"]
    np.testing.assert_allclose(classical.value, -0.005)
    np.testing.assert_allclose(classical.error, 1e-5)


def test_transitions_carry_direction_and_errors(low: Crystal, high: Crystal) -> None:
    points = crossing_points(low, high)
    isobars = [
        of_points(each, [p for p in points if p.phase == each.name], 0.0, classical=False)
        for each in (low, high)
    ]
    (found,) = transitions(isobars)
    assert found.value == pytest.approx(700.0)
    assert found.conditions["phase"] == "low to high/T"
    # Common random numbers: the error of the difference over its slope, not less.
    assert found.error == pytest.approx(np.sqrt(2.0) * 1e-4 / 1e-4, rel=0.1)
    assert found.conditions["model_error_K"] == pytest.approx(20.0, rel=1e-6)


def test_energies_of_supercell_and_mesh_are_not_compared(low: Crystal, high: Crystal) -> None:
    points = crossing_points(low, high)
    meshed = of_points(low, [p for p in points if p.phase == low.name], 0.0, classical=False)
    without = [p._replace(free_energy_mesh=None) for p in points if p.phase == high.name]
    unmeshed = of_points(high, without, 0.0, classical=False)
    assert list(transitions([meshed, unmeshed])) == []


def test_bulk_modulus_of_volumes_under_pressure(low: Crystal) -> None:
    isobars = {}
    for number, pressure in enumerate((-1.0, 0.0, 1.0)):
        strain = -pressure / (3.0 * 90.0) * np.eye(3)
        points = [point(low, t, -4.0, strain=strain, pressure=pressure) for t in KELVIN]
        isobars[f"low_p{number}"] = of_points(low, points, pressure, classical=False)
    found = with_bulk_moduli(isobars)["low_p1"]
    np.testing.assert_allclose(found.series["bulk_modulus"].value, 90.0, rtol=1e-3)
    assert found.series["bulk_modulus"].error is not None
    np.testing.assert_allclose(found.series["gruneisen_parameter"].value, 0.0, atol=1e-6)


def compressed(low: Crystal, pressures: tuple[float, ...], kelvin: tuple[float, ...]) -> dict:
    """Isobars of a crystal whose volume follows Murnaghan's equation, and expands."""
    isobars = {}
    for number, pressure in enumerate(pressures):
        length = (1.0 + 4.0 * pressure / 90.0) ** (-1.0 / 12.0)
        points = [
            point(low, t, -4.0, strain=(length * (1.0 + 1e-5 * t) - 1.0) * np.eye(3))
            for t in kelvin
        ]
        isobars[f"low_p{number}"] = of_points(low, points, pressure, classical=False)
    return isobars


def test_two_pressures_give_the_bulk_modulus_half_way(low: Crystal) -> None:
    isobars = compressed(low, (0.0, 12.0), KELVIN)
    found = with_bulk_moduli(isobars)
    assert "bulk_modulus" not in found["low_p0"].series
    half_way = found["low_p0_half_way"]
    assert half_way.pressure == 6.0
    np.testing.assert_allclose(half_way.series["bulk_modulus"].value, 90.0 + 4.0 * 6.0, rtol=0.02)
    assert set(half_way.series) == {"bulk_modulus", "gruneisen_parameter"}
    three = with_bulk_moduli(compressed(low, (0.0, 6.0, 12.0), KELVIN))
    for number, exact in enumerate((90.0, 114.0, 138.0)):
        modulus = three[f"low_p{number}"].series["bulk_modulus"].value
        np.testing.assert_allclose(modulus, exact, rtol=0.06)
    between = three["low_p1"].series["gruneisen_parameter"].value
    np.testing.assert_allclose(half_way.series["gruneisen_parameter"].value, between, rtol=0.03)


def test_zero_kelvin_leaves_out_its_own_grueneisen_parameter_only(low: Crystal) -> None:
    warm = with_bulk_moduli(compressed(low, (-1.0, 0.0, 1.0), KELVIN))["low_p1"]
    found = with_bulk_moduli(compressed(low, (-1.0, 0.0, 1.0), (0.0, *KELVIN)))["low_p1"]
    parameter = found.series["gruneisen_parameter"].value
    assert np.isnan(parameter[0])
    np.testing.assert_allclose(parameter[1:], warm.series["gruneisen_parameter"].value, rtol=0.01)
    assert not np.any(np.isnan(found.series["gruneisen_parameter"].error))
    stated = [q for q in _stated(found) if q.name == "gruneisen_parameter"]
    assert [q.conditions["T_K"] for q in stated] == list(KELVIN)


def test_summary_states_everything_with_its_conditions(
    low: Crystal, high: Crystal, tmp_path: Path
) -> None:
    results = summary_of(low, high, tmp_path)
    names = {each.name for each in results.quantities}
    assert {"free_energy", "gibbs_energy", "lattice_parameter_a", "thermal_expansion_xx"} <= names
    assert {"frequency", "transition_temperature", "entropy"} <= names
    stated = named(results.quantities, "free_energy")
    bound = [q for q in stated if q.conditions["approximation"] == "effective harmonic"]
    # The loop at 1000 K gave up: what it holds is no crystal of this phase.
    assert {q.conditions["T_K"] for q in bound} == set(KELVIN) - {1000.0}
    assert all(q.error == pytest.approx(1e-4) for q in bound)
    assert all(q.conditions["model_error"] > 0.0 for q in bound)
    curvature = [q for q in named(results.quantities, "frequency") if "of" in q.conditions]
    assert {q.value for q in curvature} == {-0.5, 1.2}
    for name in ("pressure", "frequency"):
        assert {q.conditions["T_K"] for q in named(results.quantities, name)} <= set(KELVIN[:-1])
    assert 1000.0 not in results.arrays["bands/low_p0/temperature"]
    assert any("not converged" in each for each in results.warnings)
    assert not any("came short" in each for each in results.warnings)
    assert any("unstable" in each for each in results.warnings)
    assert any("differ by" in each for each in results.warnings)
    beyond = [each for each in results.warnings if "no quasi-harmonic" in each]
    assert len(beyond) == 2
    assert "low at 0 GPa" in beyond[0]
    assert "at 200, 400, 600, 800, 1000 K" in beyond[0]
    assert "thermal/high-T_p0/lattice_parameter_c" in results.arrays
    frames = ase.io.read(tmp_path / "structures/points.extxyz", ":")
    assert [each.info["phase"] for each in frames[:2]] == ["low", "high/T"]
    assert len(frames) == len(results.structures) == 2 * len(KELVIN)
    assert results.evaluations == 20 * len(KELVIN)


def test_errors_that_the_samples_did_not_reach_are_in_the_warnings(
    low: Crystal, high: Crystal, tmp_path: Path
) -> None:
    results = summary_of(low, high, tmp_path, method={"error": 5e-5, "strain_error": 1e-5})
    short = [each for each in results.warnings if "came short" in each]
    assert len(short) == 2 * (len(KELVIN) - 1)  # all that converged
    assert "error = 5e-05 eV/atom (0.0001) and strain_error = 1e-05 (2e-05) came" in short[0]


def summary_of(
    low: Crystal, high: Crystal, folder: Path, method: dict[str, float] | None = None
) -> Results:
    study = HarmonicStudy.model_validate(
        {
            "potential": {"analytic": "stillinger_weber"},
            "system": {
                "phases": [
                    {
                        "name": each.name,
                        "supercell": (2, 2, 2),
                        "bulk": {"formula": "Si", "structure": "sc", "a": 2.5},
                    }
                    for each in (low, high)
                ]
            },
            "method": {"temperatures": KELVIN} | (method or {}),
            "analysis": {"mesh": 10.0},
        }
    )
    log = logging.getLogger("thermosearch")
    context = RunContext(
        folder=RunFolder(folder),
        communicator=Communicator(),
        checkpoints=CheckpointStore(folder / "checkpoints", Communicator(), log),
        stop=lambda: False,
        checkpoint_due=lambda: False,
        log=log,
    )
    crystals = {each.name: each for each in (low, high)}
    return summarise(study, crystals, crossing_points(low, high), [], context)


def test_bands_and_densities_of_a_cubic_lattice_of_springs() -> None:
    crystal = make_crystal(Atoms("Si", cell=np.eye(3) * 2.5, pbc=True), (2, 2, 2), "cubic")
    points = [
        point(crystal, kelvin, -4.0)._replace(effective=tied_to_neighbours(crystal, spring))
        for kelvin, spring in ((100.0, 3.0), (200.0, 2.0))
    ]
    bands = band_arrays(crystal, points)
    assert bands["labels"][0] == "Γ"
    assert np.all(np.diff(bands["distance"]) >= 0.0)
    top = np.sqrt(12.0 * np.array([3.0, 2.0]) / crystal.masses[0]) / THZ
    np.testing.assert_allclose(bands["frequency"].max(axis=(1, 2)), top, rtol=1e-4)
    dos = density_arrays(crystal, points, 40.0)
    width = np.diff(dos["frequency"])[0]
    np.testing.assert_allclose(dos["density"].sum(axis=1) * width, 3.0, rtol=0.01)


def tied_to_neighbours(crystal: Crystal, spring: float) -> EffectiveCrystal:
    """All neighbours pull alike in all directions: omega^2 = (2 k / m) sum (1 - cos q_i a)."""
    ring = 2.0 * np.eye(2) - 2.0 * np.roll(np.eye(2), 1, axis=0)
    one = np.eye(2)
    chains = [(ring, one, one), (one, ring, one), (one, one, ring)]
    lattice = sum(np.kron(np.kron(x, y), z) for x, y, z in chains)
    place = np.round(np.asarray(crystal.supercell.positions) / 2.5).astype(int) % 2 @ (4, 2, 1)
    tied = spring * np.kron(lattice[np.ix_(place, place)], np.eye(3))
    return effective_crystal(crystal, tied)


def test_the_masses_of_the_structure_are_those_of_the_phonons() -> None:
    """Isotopes of four times the mass have half the frequency, in bands as in the supercell."""
    tops = []
    for mass in (28.0, 112.0):
        atoms = Atoms("Si", cell=np.eye(3) * 2.5, pbc=True, masses=[mass])
        crystal = make_crystal(atoms, (2, 2, 2), "cubic")
        effective = tied_to_neighbours(crystal, 3.0)
        modes = normal_modes(effective.force_constants, coordinate_masses(crystal.masses))
        bands = band_arrays(crystal, [point(crystal, 100.0, -4.0)._replace(effective=effective)])
        np.testing.assert_allclose(bands["frequency"].max(), modes.frequencies.max() / THZ, 1e-4)
        tops.append(bands["frequency"].max())
    assert tops[0] == pytest.approx(2.0 * tops[1], rel=1e-6)


def test_a_crystal_that_nears_a_smaller_cell_at_one_temperature_keeps_its_bands() -> None:
    """Two atoms along c, 0.02 A from a cell with one, which they reach at 200 K."""
    atoms = Atoms("Si2", positions=[[0, 0, 0], [0, 0, 2.72]], cell=[2.5, 2.5, 5.4], pbc=True)
    crystal = make_crystal(atoms, (2, 2, 1), "doubled")
    off = tied_to_neighbours(crystal, 3.0)
    straight = np.round(off.centroids / [2.5, 2.5, 2.7]) * [2.5, 2.5, 2.7]
    points = [
        point(crystal, kelvin, -4.0)._replace(effective=off._replace(centroids=places))
        for kelvin, places in ((100.0, off.centroids), (200.0, straight))
    ]
    assert band_arrays(crystal, points)["frequency"].shape[2] == 6


def test_isobars_are_named_tuples_that_compare_by_phase(low: Crystal) -> None:
    found = of_points(low, [point(low, 300.0, -4.0)], None, classical=False)
    assert isinstance(found, Isobar)
    assert found.pressure is None
    assert "pressure" in found.series
    assert not any(name.startswith(("gibbs", "lattice")) for name in found.series)
