from pathlib import Path

import jax
import numpy as np

from thermosearch.neural.config import ModelConfig
from thermosearch.neural.model import NeuralPotential
from thermosearch.neural.model_file import save
from thermosearch.potentials.section import PotentialSection


def test_parity_of_a_model_file_is_handed_on(tmp_path: Path) -> None:
    model = NeuralPotential.initial(ModelConfig(elements=("Si",)), jax.random.key(0))
    kept = {"parity/validation/energy_reference": np.array([-5.4, -5.2]), "other": np.zeros(2)}
    save(tmp_path / "small.npz", model, {}, kept)
    found = PotentialSection(model=str(tmp_path / "small.npz")).parity()
    assert set(found) == {"parity/validation/energy_reference", "parity/source"}
    np.testing.assert_array_equal(found["parity/validation/energy_reference"], [-5.4, -5.2])
    assert found["parity/source"] == "model small"


def test_potentials_without_a_comparison_give_none(tmp_path: Path) -> None:
    assert PotentialSection(analytic="stillinger_weber").parity() == {}
    model = NeuralPotential.initial(ModelConfig(elements=("Si",)), jax.random.key(0))
    save(tmp_path / "bare.npz", model)
    assert PotentialSection(model=str(tmp_path / "bare.npz")).parity() == {}
