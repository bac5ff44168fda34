"""A polar crystal with Born charges: the longitudinal mode at Gamma, and between the q points."""

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from phonopy import Phonopy
from springs import point, prepared, run_point, springs

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

CHARGE, DIELECTRIC, COULOMB = 1.1, 2.4, 14.4
"""Of sodium, of the electrons, and e^2 / (4 pi epsilon_0) in eV A as phonopy's file states it."""


def polar(folder: Path, method: str) -> Crystal:
    """Rock salt as a study reads it, with phonopy's BORN file."""

    def tensor(value: float) -> str:
        return " ".join(f"{each:.3f}" for each in (value * np.eye(3)).ravel())

    lines = [f"{COULOMB}", tensor(DIELECTRIC), tensor(CHARGE), tensor(-CHARGE)]
    (folder / "BORN").write_text("\n".join(lines) + "\n")
    phase = {
        "name": "rocksalt",
        "supercell": [2, 2, 2],
        "bulk": {"formula": "NaCl", "structure": "rocksalt", "a": 5.64, "cubic": False},
        "born": str(folder / "BORN"),
    }
    study = {
        "kind": "harmonic",
        "potential": {"ase": "ase.calculators.emt:EMT"},
        "system": {"phases": [phase]},
        "method": {"temperatures": [300.0]},
        "analysis": {"long_range": method},
    }
    return make_problem(check_content(study, "study.toml", folder)[0]).crystals[0]


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

    # omega_LO^2 - omega_TO^2 = Z^2 e^2 / (epsilon_0 epsilon mu V) (M. Born and K. Huang, 1954).
    sodium, chlorine = crystal.masses[crystal.unit_atoms]
    reduced = sodium * chlorine / (sodium + chlorine)
    volume = state.effective.volume / crystal.units
    splitting = 4.0 * np.pi * COULOMB * CHARGE**2 / (DIELECTRIC * reduced * volume)
    assert (along[2] ** 2 - transverse[2] ** 2) * THZ**2 == pytest.approx(splitting, rel=1e-3)

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
    without = make_crystal(bulk("NaCl", "rocksalt", a=5.64), (2, 2, 2))
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
