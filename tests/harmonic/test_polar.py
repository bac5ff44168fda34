"""A polar crystal with Born charges: the longitudinal mode at Gamma, and between the q points."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from ase.build import bulk
from phonopy import Phonopy
from springs import point, prepared, run_point, springs

import thermosearch
from thermosearch.harmonic.crystal import (
    Crystal,
    effective_crystal,
    make_crystal,
    phonopy_cell,
    phonopy_object,
    primitive_matrix,
    unit_cell,
)
from thermosearch.harmonic.mesh import gamma_frequencies, mesh_correction
from thermosearch.harmonic.prepare import started
from thermosearch.harmonic.problem import make_problem
from thermosearch.harmonic.statistics import THZ, bath
from thermosearch.launch import check_content
from thermosearch.runtime.errors import InputError

CHARGE, DIELECTRIC, COULOMB = 1.1, 2.4, 14.4
"""Of sodium, of the electrons, and e^2 / (4 pi epsilon_0) in eV A as phonopy's file states it."""


def polar_study(folder: Path, method: str) -> dict[str, Any]:
    """Rock salt with phonopy's BORN file beside the study."""

    def tensor(value: float) -> str:
        return " ".join(f"{each:.3f}" for each in (value * np.eye(3)).ravel())

    lines = [f"{COULOMB}", tensor(DIELECTRIC), tensor(CHARGE), tensor(-CHARGE)]
    (folder / "BORN").write_text("\n".join(lines) + "\n")
    phase = {
        "name": "rocksalt",
        "supercell": [2, 2, 2],
        "bulk": {"formula": "NaCl", "structure": "rocksalt", "a": 5.77, "cubic": False},
        "born": str(folder / "BORN"),
    }
    return {
        "kind": "harmonic",
        "potential": {"ase": "rocksalt:RockSalt"},
        "system": {"phases": [phase]},
        "method": {
            "temperatures": [100.0, 300.0],
            "error": 3e-3,
            "strain_error": 1.5e-3,
            "quasi_harmonic": False,
        },
        "analysis": {"long_range": method, "mesh": 20.0},
    }


def polar(folder: Path, method: str) -> Crystal:
    """The crystal as a study reads it."""
    study = polar_study(folder, method)
    return make_problem(check_content(study, "study.toml", folder)[0]).crystals[0]


def splitting(crystal: Crystal, volume: float) -> float:
    """omega_LO^2 - omega_TO^2 = Z^2 e^2 / (epsilon_0 epsilon mu V), V of a pair of ions.

    M. Born and K. Huang, Dynamical Theory of Crystal Lattices (1954).
    """
    sodium, chlorine = crystal.masses[crystal.unit_atoms]
    reduced = sodium * chlorine / (sodium + chlorine)
    return 4.0 * np.pi * COULOMB * CHARGE**2 / (DIELECTRIC * reduced * volume)


@pytest.mark.parametrize("method", ["gonze", "wang"])
def test_longitudinal_mode_is_phonopys_and_that_of_the_formula(method: str, tmp_path: Path) -> None:
    crystal = polar(tmp_path, method)
    potential = springs(crystal, 4.1, stiffness=2.0)
    start = prepared(potential, crystal, cell=False)
    whole, _ = started(crystal, start.force_constants)
    state = run_point(
        potential, point(crystal, start.elastic, 300.0), effective_crystal(crystal, whole)
    )
    transverse = gamma_frequencies(crystal, state.effective)[3:]
    along = gamma_frequencies(crystal, state.effective, (1.0, 0.0, 0.0))[3:]
    assert np.ptp(transverse) < 1e-6
    assert along[:2] == pytest.approx(transverse[:2], abs=1e-6)

    difference = (along[2] ** 2 - transverse[2] ** 2) * THZ**2
    expected = splitting(crystal, state.effective.volume / crystal.units)
    assert difference == pytest.approx(expected, rel=1e-3)

    # The same force constants and charges given to phonopy by hand.
    unit = phonopy_cell(unit_cell(crystal, state.effective))
    other = Phonopy(unit, crystal.supercell_matrix, primitive_matrix=primitive_matrix(unit))
    other.force_constants = phonopy_object(crystal, state.effective).force_constants
    charges = CHARGE * np.array([np.eye(3), -np.eye(3)])
    other.nac_params = {
        "born": charges,
        "factor": COULOMB,
        "dielectric": DIELECTRIC * np.eye(3),
        "method": method,
    }
    q = [[0.0, 0.0, 0.0], [0.1, 0.1, 0.0], [0.5, 0.25, 0.75]]
    ours = phonopy_object(crystal, state.effective)
    for one in (None, (1.0, 0.0, 0.0)):
        both = [each.run_qpoints(q, nac_q_direction=one).frequencies for each in (ours, other)]
        np.testing.assert_allclose(both[0], both[1], atol=1e-8)


def test_the_field_lifts_the_interpolated_free_energy(tmp_path: Path) -> None:
    with_field = polar(tmp_path, "gonze")
    without = make_crystal(bulk("NaCl", "rocksalt", a=5.77), (2, 2, 2))
    potential = springs(without, 4.1, stiffness=2.0)
    start = prepared(potential, without, cell=False)
    problem = point(without, start.elastic, 300.0)
    effective = effective_crystal(without, start.force_constants)
    state = run_point(potential, problem, effective)
    at = bath(300.0, "quantum")
    found = [
        mesh_correction(each, state.effective, state.modes, at, 30.0).free_energy
        for each in (with_field, without)
    ]
    assert found[0] > found[1] + 1e-4


@pytest.mark.parametrize("first", ["# epsilon and Z* of atoms 1 2", "default"])
def test_a_file_that_leaves_the_factor_to_phonopy(first: str, tmp_path: Path) -> None:
    """As phonopy's own tools write it: the same modes as with e^2 / (4 pi epsilon_0) there."""
    study, crystals = polar_study(tmp_path, "gonze"), [polar(tmp_path, "gonze")]
    _, rest = (tmp_path / "BORN").read_text().split("\n", 1)
    (tmp_path / "BORN").write_text(f"{first}\n{rest}")
    crystals += make_problem(check_content(study, "study.toml", tmp_path)[0]).crystals
    phi = prepared(springs(crystals[0], 4.1), crystals[0], cell=False).force_constants
    along = [
        gamma_frequencies(each, effective_crystal(each, phi), (1.0, 0.0, 0.0)) for each in crystals
    ]
    np.testing.assert_allclose(along[1][3:], along[0][3:], rtol=1e-4)
    assert along[1][5] > 1.1 * along[1][3]


def test_a_polar_crystal_through_the_command(tmp_path: Path) -> None:
    """From study file to results: the cell expands, and the field splits its optical modes."""
    study = polar_study(tmp_path, "gonze")
    crystal = polar(tmp_path, "gonze")
    results = thermosearch.run(study, output=tmp_path / "run", quiet=True)

    def of(name: str, kelvin: float, **conditions: object) -> float:
        wanted = {"T_K": kelvin, **conditions}.items()
        (found,) = [
            each.value
            for each in results.quantities
            if each.name == name and wanted <= dict(each.conditions).items()
        ]
        return found

    for kelvin in study["method"]["temperatures"]:
        volume = 2.0 * of("volume", kelvin, approximation="effective harmonic")
        along = of(
            "frequency",
            kelvin,
            mode="stiffest at Gamma along a*, with the field of its polarisation",
        )
        across = of("frequency", kelvin, mode="softest optical at Gamma")
        assert (along**2 - across**2) * THZ**2 == pytest.approx(
            splitting(crystal, volume), rel=2e-3
        )
    assert of("thermal_expansion", 300.0, approximation="effective harmonic") > 0.0
    with h5py.File(tmp_path / "run" / "results.h5") as found:
        (bands,) = found["bands"].values()
        # Next to Gamma the bands have the longitudinal branch.
        assert bands["frequency"][()].max() == pytest.approx(along, rel=0.1)


def test_a_polar_crystal_without_its_charges_is_refused(tmp_path: Path) -> None:
    study = polar_study(tmp_path, "gonze")
    (tmp_path / "BORN").unlink()
    with pytest.raises(InputError, match="BORN"):
        thermosearch.run(study, output=tmp_path / "run", quiet=True)
