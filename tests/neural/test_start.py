"""A training that goes on from a model: what it keeps, what it may change, what it refuses."""

from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from rattled import labelled_crystals

from thermosearch.configuration import from_ase
from thermosearch.launch import run
from thermosearch.neural.model import NeuralPotential
from thermosearch.neural.model_file import load_file
from thermosearch.neural.parts import joined
from thermosearch.neural.study import TrainStudy
from thermosearch.neural.training.prepare import prepare
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.registry import find_model, load_potential
from thermosearch.runtime.errors import InputError


def started(folder: Path, symbol: str = "Si", **changes: Any) -> NeuralPotential:
    """Model a training from the shipped one begins with."""
    frames = labelled_crystals(4)
    frames[0].symbols[0] = symbol
    write(folder / "data.extxyz", frames)
    given = {"data": [{"file": "data.extxyz"}], "start": "silicon"} | changes
    study = TrainStudy.model_validate(given, context={"folder": folder})
    return joined(prepare(study).parts)


def test_before_the_first_step_it_is_the_model_it_starts_from(tmp_path: Path) -> None:
    # The data have another energy zero; that of the model stays.
    model, shipped = started(tmp_path), load_potential("silicon")
    assert model.config == shipped.config
    assert bool(eqx.tree_equal(model, shipped))


def test_another_repulsion_changes_short_distances_only(tmp_path: Path) -> None:
    shipped, model = load_potential("silicon"), started(tmp_path, model={"repulsion": [0.9, 0.95]})
    assert model.config.repulsion == (0.9, 0.95) != shipped.config.repulsion
    pairs = [Atoms("Si2", [(0, 0, 0), (0, 0, d)], cell=np.eye(3) * 20) for d in (1.9, 2.3)]
    near, bonded = zip(
        *(evaluate(each, [from_ase(pair) for pair in pairs]) for each in (shipped, model)),
        strict=True,
    )
    assert bonded[0].energy == bonded[1].energy
    assert near[0].energy != near[1].energy


def test_another_architecture_is_refused_by_its_key(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model.n_max = 5 but start = silicon has \d+"):
        started(tmp_path, model={"n_max": 5})


def test_an_element_the_model_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data.extxyz: holds Ge"):
        started(tmp_path, symbol="Ge")


def test_a_model_that_is_not_there_is_found_when_the_study_is_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither a file nor a shipped model"):
        started(tmp_path, start="germanium")


def test_a_trained_file_tells_what_it_went_on_from(tmp_path: Path) -> None:
    started(tmp_path)
    study = {
        "kind": "train",
        "start": "silicon",
        "data": [{"file": str(tmp_path / "data.extxyz")}],
        "training": {"epochs": 1},
    }
    run(study, output=tmp_path / "run", quiet=True)
    about = load_file(tmp_path / "run" / "model.npz").about
    assert about["start"]["name"] == "silicon"
    assert about["start"]["epochs"] == load_file(find_model("silicon")).about["epochs"]
