"""Gold and aluminium under ASE's EMT against python-sscha and phonopy, each in its convention."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from springs import point, prepared, run_point

from thermosearch.harmonic.crystal import effective_crystal, make_crystal
from thermosearch.harmonic.mesh import mesh_correction
from thermosearch.harmonic.prepare import started
from thermosearch.harmonic.variational import State
from thermosearch.potentials.ase_bridge import CalculatorPotential
from thermosearch.units import EV_PER_A3_IN_GPA

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def references(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "references" / "references.json").read_text())["scha_crystals"]


def meet(found: float, error: float, reference: list[float]) -> None:
    value, spread = reference
    assert abs(found - value) < 2.5 * np.hypot(error, spread)


def test_gold_against_python_sscha(references: dict[str, Any]) -> None:
    """Supercell q points, static energy included; the pressure beside."""
    wanted = references["Au_EMT_python_sscha"]
    crystal = make_crystal(bulk("Au", a=wanted["a_A"]), wanted["supercell"])
    potential = CalculatorPotential(EMT())
    start = prepared(potential, crystal, cell=False)
    assert start.static / crystal.atoms * 1e3 == pytest.approx(
        wanted["static_meV_per_atom"], abs=0.01
    )
    whole, _ = started(crystal, start.force_constants)
    problem = point(crystal, start.elastic, float(wanted["T_K"]), error=2e-4 * crystal.atoms)
    state: State = run_point(potential, problem, effective_crystal(crystal, whole))
    assert state.converged
    scale = 1e3 / crystal.atoms
    result = state.result
    meet(
        result.free_energy * scale,
        result.free_energy_error * scale,
        wanted["free_energy_meV_per_atom"],
    )
    meet(
        float(result.pressure[0, 0]) * EV_PER_A3_IN_GPA,
        float(result.pressure_error[0, 0]) * EV_PER_A3_IN_GPA,
        wanted["pressure_GPa"],
    )


def test_aluminium_against_phonopy(references: dict[str, Any]) -> None:
    """Interpolated mesh, relative to the static lattice."""
    wanted = references["Al_EMT_phonopy_scha"]
    crystal = make_crystal(bulk("Al", a=wanted["a_A"], cubic=True), (2, 2, 2))
    assert crystal.atoms == wanted["atoms"]
    potential = CalculatorPotential(EMT())
    start = prepared(potential, crystal, cell=False)
    whole, _ = started(crystal, start.force_constants)
    problem = point(crystal, start.elastic, float(wanted["T_K"]), error=4e-5 * crystal.atoms)
    state = run_point(potential, problem, effective_crystal(crystal, whole))
    correction = mesh_correction(crystal, state.effective, state.modes, problem.at, 60.0)
    assert state.converged
    assert correction.free_energy is not None
    scale = 1e3 / crystal.atoms
    found = (state.result.free_energy + correction.free_energy - state.effective.static) * scale
    meet(
        found,
        state.result.free_energy_error * scale,
        wanted["free_energy_relative_to_static_meV_per_atom"],
    )
