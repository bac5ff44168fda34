"""Errors as `thermosearch evaluate` reports them, against numbers worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from thermosearch.configuration import Configuration
from thermosearch.dataset import Dataset, Frame
from thermosearch.neural.metrics import errors, parity, predictions
from thermosearch.potentials.interface import Properties
from thermosearch.potentials.stillinger_weber import StillingerWeber
from thermosearch.units import EV_PER_A3_IN_GPA

KEYS = {
    "energy_mae_meV_per_atom",
    "energy_rmse_meV_per_atom",
    "force_mae_eV_per_A",
    "force_rmse_eV_per_A",
    "stress_mae_GPa",
    "n_structures",
}


def frame(atoms: int, group: str, stressed: bool) -> Frame:
    configuration = Configuration(
        positions=np.zeros((atoms, 3)),
        cell=np.eye(3),
        pbc=np.ones(3, bool),
        numbers=np.full(atoms, 14, np.int32),
        total_charge=np.zeros(()),
    )
    stress = np.zeros((3, 3)) if stressed else None
    return Frame(configuration, 1.0, np.zeros((atoms, 3)), stress, group)


@pytest.fixture
def found() -> dict:
    data = Dataset((frame(1, "a", True), frame(2, "b", False)))
    stress = np.diag([1.0, 0.0, 0.0])
    stress[0, 1] = stress[1, 0] = 0.5
    predicted = [
        Properties(np.array(1.003), np.array([[0.3, 0.0, 0.0]]), stress),
        Properties(np.array(0.998), np.full((2, 3), -0.1), None),
    ]
    return errors(data, predicted)


def test_numbers(found: dict) -> None:
    # Energies: +3 meV on one atom, -1 meV/atom on two. Nine force components in all.
    assert found["energy_mae_meV_per_atom"] == pytest.approx(2.0)
    assert found["energy_rmse_meV_per_atom"] == pytest.approx(np.sqrt(5.0))
    assert found["force_mae_eV_per_A"] == pytest.approx(0.9 / 9)
    assert found["force_rmse_eV_per_A"] == pytest.approx(np.sqrt(0.15 / 9))
    assert found["stress_mae_GPa"] == pytest.approx(1.5 / 6 * EV_PER_A3_IN_GPA)
    assert found["n_structures"] == 2


def test_keys_and_groups(found: dict) -> None:
    assert set(found) == KEYS | {"groups"}
    assert set(found["groups"]) == {"a", "b"}
    assert all(set(group) == KEYS for group in found["groups"].values())
    assert found["groups"]["a"]["energy_mae_meV_per_atom"] == pytest.approx(3.0)
    assert found["groups"]["b"]["force_mae_eV_per_A"] == pytest.approx(0.1)
    assert found["groups"]["b"]["stress_mae_GPa"] is None


def test_parity_arrays_lie_side_by_side() -> None:
    data = Dataset((frame(2, "", False),))
    predicted = [Properties(np.array(3.0), np.arange(6.0).reshape(2, 3), None)]
    arrays = parity(data, predicted)
    np.testing.assert_array_equal(arrays["energy_reference"], [0.5])
    np.testing.assert_array_equal(arrays["energy_predicted"], [1.5])
    np.testing.assert_array_equal(arrays["force_predicted"], np.arange(6.0))
    assert arrays["stress_reference"].shape == (0,)


def test_a_stress_without_a_volume_is_not_compared() -> None:
    """Some codes write a stress for a molecule: its energy and forces count all the same."""
    dimer = frame(2, "", True)
    places = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.4]])
    molecule = dimer.configuration._replace(
        positions=places, cell=np.zeros((3, 3)), pbc=np.zeros(3, bool)
    )
    crystal = dimer.configuration._replace(positions=places, cell=5.0 * np.eye(3))
    frames = [replace(dimer, configuration=each) for each in (molecule, crystal)]
    data = Dataset(tuple(frames))
    found = predictions(StillingerWeber(), data)
    assert [each.stress is None for each in found] == [True, False]
    assert len(parity(data, found)["stress_reference"]) == 6
    assert errors(data, found)["n_structures"] == 2
