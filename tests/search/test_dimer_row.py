"""The shipped silicon model on Si(001): the DFT frame it was trained on, and its own search."""

from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pytest

import thermosearch
from thermosearch.configuration import Configuration, from_ase
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.interface import Potential
from thermosearch.relax.minimise import minimise
from thermosearch.search.reference import diamond, relaxed_lattice_parameter
from thermosearch.search.study import SearchStudy
from thermosearch.structure.dimers import surface_dimers
from thermosearch.structure.surface import highest_atoms, surface_area
from thermosearch.units import EV_PER_A2_IN_J_PER_M2

DFT_LENGTH, DFT_ANGLE, DFT_GAMMA = 2.304, 16.4, 1.283
"""A, degrees, J/m^2 against -5.425 eV/atom: the (001) 2x1 slab of mlearn's Si_train, VASP PBE."""


@pytest.fixture(scope="module")
def silicon() -> Potential:
    return thermosearch.load_potential("silicon")


def top(configuration: Configuration) -> tuple[float, float]:
    """Length and buckling angle of the one dimer of a 2x1 cell."""
    dimers = surface_dimers(configuration, highest_atoms(configuration, 2), 2.7)
    return float(dimers.lengths[0]), float(dimers.buckling_angles[0])


@pytest.mark.shared
def test_the_relaxed_model_gives_the_dft_frame_back(silicon: Potential, shared: Path) -> None:
    frame = ase.io.read(shared / "data/mlearn/Si_train.extxyz", index=64)
    start = from_ase(frame)
    np.testing.assert_allclose(top(start), (DFT_LENGTH, DFT_ANGLE), atol=0.05)
    (relaxed,) = minimise(silicon, [start], force_tolerance=0.005, width=1)
    assert relaxed.converged
    length, angle = top(relaxed.configuration)
    assert length == pytest.approx(DFT_LENGTH, abs=0.03)
    assert angle == pytest.approx(DFT_ANGLE, abs=3.0)
    crystal = diamond("Si", relaxed_lattice_parameter(silicon, "Si"))
    (bulk,) = evaluate(silicon, [crystal], ("energy",))
    excess = relaxed.energy - len(frame) * float(bulk.energy) / 8
    gamma = excess / (2 * surface_area(start)) * EV_PER_A2_IN_J_PER_M2
    assert gamma == pytest.approx(DFT_GAMMA, abs=0.1)


def test_a_search_of_a_2x1_cell_finds_the_buckled_dimer(
    study: Callable[..., SearchStudy], tmp_path: Path
) -> None:
    neural = study(
        potential={"analytic": None, "model": "silicon"},
        system={"relaxed_layers": 7, "slab": {"layers": 12, "repeat": [1, 2]}},
        method={"seeds": 2, "generations": 4},
        run={"precision": "float32"},
    )
    results = thermosearch.run(neural, output=tmp_path / "run", quiet=True)
    found = {
        (quantity.name, quantity.conditions.get("phase")): quantity
        for quantity in results.quantities
    }
    gamma = found["surface_energy", "reconstructed"]
    assert gamma.value == pytest.approx(DFT_GAMMA, abs=0.1)
    unreconstructed = found["surface_energy", "unreconstructed"]
    assert unreconstructed.value - gamma.value > 5.0 * (gamma.error + unreconstructed.error)
    assert found["dimer_length", "reconstructed"].value == pytest.approx(DFT_LENGTH, abs=0.03)
    assert found["dimer_buckling_angle", "reconstructed"].value == pytest.approx(DFT_ANGLE, abs=3.0)
    for name in ("surface_energy", "dimer_length", "dimer_buckling_angle"):
        assert found[name, "reconstructed"].error > 0.0, "members do not agree to the last digit"
