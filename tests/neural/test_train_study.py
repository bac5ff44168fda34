"""A training study: what it reads before it trains, what it refuses, what it can do without."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from pydantic import ValidationError
from rattled import labelled_crystals

from thermosearch.launch import run
from thermosearch.neural import execute as execute_module
from thermosearch.neural.evaluate_file import evaluate_file
from thermosearch.neural.model_file import load, load_file
from thermosearch.neural.study import TrainStudy
from thermosearch.neural.training.prepare import Prepared, prepare
from thermosearch.runtime.errors import InputError

MODEL = {
    "cutoff": 3.5,
    "n_max": 3,
    "l_max": 1,
    "radial": [3, 2],
    "couplings": [],
    "widths": [5],
    "members": 2,
}


def bare(frames: list[Atoms], *labels: str) -> list[Atoms]:
    """Frames with these labels alone."""
    for atoms in frames:
        atoms.calc.results = {name: atoms.calc.results[name] for name in labels}
    return frames


def content(folder: Path, frames: list[Atoms] | None = None, **data: Any) -> dict[str, Any]:
    write(folder / "data.extxyz", labelled_crystals(6) if frames is None else frames)
    return {
        "kind": "train",
        "data": [{"file": str(folder / "data.extxyz"), **data}],
        "model": MODEL,
        "training": {"epochs": 2, "validate_every": 1},
        "validation": {"fraction": 0.3},
    }


def prepared(study: dict[str, Any]) -> Prepared:
    return prepare(TrainStudy.model_validate(study))


@pytest.mark.parametrize(
    ("label", "weight", "compared"),
    [("energy", "forces_weight", "energy_mae"), ("forces", "energy_weight", "force_mae")],
)
def test_data_of_one_label_are_trained_on(
    tmp_path: Path, label: str, weight: str, compared: str
) -> None:
    study = content(tmp_path, bare(labelled_crystals(6), label), **{weight: 0.0})
    results = run(study, output=tmp_path / "run", quiet=True)
    assert results.status == "finished"
    names = {quantity.name for quantity in results.quantities}
    assert names == {compared, compared.replace("mae", "rmse")}
    (start,) = prepared(study).parts
    output = np.asarray(load(tmp_path / "run" / "model.npz").networks.output)
    assert np.abs(output - np.asarray(start.networks.output)).max() > 0.0


def test_length_in_atoms_gone_through(tmp_path: Path) -> None:
    study = content(tmp_path)
    atoms = sum(item.atoms for item in prepared(study).train)
    study["training"] = {"atoms_seen": 3 * atoms + 1, "validate_every": 1}
    run(study, output=tmp_path / "run", quiet=True)
    about = load_file(str(tmp_path / "run" / "model.npz")).about
    assert about["epochs"] == [3]
    assert about["training"]["epochs"] == 3


def test_two_lengths_are_refused(tmp_path: Path) -> None:
    study = content(tmp_path)
    study["training"]["atoms_seen"] = 100
    with pytest.raises(ValidationError, match="epochs and atoms_seen both set the length"):
        prepared(study)


def test_weights_that_leave_nothing_to_learn_are_refused(tmp_path: Path) -> None:
    study = content(tmp_path, energy_weight=0.0, forces_weight=0.0)
    with pytest.raises(InputError, match=r"frames to train on have neither energies nor forces"):
        prepared(study)
    study = content(tmp_path, energy_weight=0.0)
    study["training"]["loss"] = {"forces": 0.0}
    with pytest.raises(InputError, match=r"training\.loss\.forces"):
        prepared(study)


def test_a_group_that_no_frame_has_is_refused_with_the_nearest(tmp_path: Path) -> None:
    frames = labelled_crystals(4)
    for atoms in frames:
        atoms.info["group"] = "Surface"
    study = content(tmp_path, frames, group_weights={"Surfaces": 2.0})
    with pytest.raises(InputError, match=r"no frame is of 'Surfaces'; did you mean \"Surface\""):
        prepared(study)


def test_soft_energies_know_compositions(tmp_path: Path) -> None:
    """Silicon in a file with germanium of a far lower energy zero weighs as by itself."""
    silicon, germanium = labelled_crystals(4), labelled_crystals(4)
    for atoms in germanium:
        atoms.numbers[:] = 32
        atoms.calc.atoms = atoms.copy()
        atoms.calc.results["energy"] -= 2000.0 * len(atoms)
    weights = []
    for frames in (silicon, silicon + germanium):
        study = content(tmp_path, frames, soft_energy=0.1) | {"validation": {"fraction": 0.0}}
        weights.append([item.energy_weight for item in prepared(study).train])
    assert min(weights[0]) < 0.9
    np.testing.assert_allclose(weights[1], weights[0] * 2, rtol=1e-6)


@pytest.mark.parametrize("wrong", ["broken", "germanium", "overlap"])
def test_a_test_file_is_checked_before_anything_is_trained(tmp_path: Path, wrong: str) -> None:
    frames = labelled_crystals(2)
    if wrong == "germanium":
        frames[1].symbols[0] = "Ge"
    if wrong == "overlap":
        frames[1].positions[1] = frames[1].positions[0]
    write(tmp_path / "judge.extxyz", frames)
    if wrong == "broken":
        (tmp_path / "judge.extxyz").write_text("nothing\n")
    messages = {"broken": "not an extended XYZ", "germanium": "Ge", "overlap": "frame 1: atoms"}
    study = content(tmp_path) | {"test": [str(tmp_path / "judge.extxyz")]}
    with pytest.raises(InputError, match=f"judge.extxyz: .*{messages[wrong]}"):
        prepared(study)


def test_a_test_file_may_need_its_elements_and_units(tmp_path: Path) -> None:
    frames = labelled_crystals(2)
    lines = []
    for atoms in frames:
        lines += ["begin", *("lattice " + " ".join(map(str, vector)) for vector in atoms.cell)]
        for place, force in zip(atoms.positions, atoms.get_forces(), strict=True):
            lines.append(" ".join(map(str, ("atom", *place, "Si", 0, 0, *force))))
        lines += [f"energy {atoms.get_potential_energy()}", "end"]
    (tmp_path / "input.data").write_text("\n".join(lines) + "\n")
    units = {"length_unit": "A", "energy_unit": "eV"}
    study = content(tmp_path) | {"test": [{"file": str(tmp_path / "input.data"), **units}]}
    (name,) = prepared(study).test_data
    assert name == "test_input"
    data = prepared(study).test_data[name]
    np.testing.assert_allclose(data[1].forces, frames[1].get_forces(), rtol=1e-12)
    found = evaluate_file("silicon", tmp_path / "input.data", **units)
    write(tmp_path / "same.extxyz", frames)
    same = evaluate_file("silicon", tmp_path / "same.extxyz")
    assert found["force_mae_eV_per_A"] == pytest.approx(same["force_mae_eV_per_A"], rel=1e-4)


def test_test_files_of_one_name_are_refused(tmp_path: Path) -> None:
    study = content(tmp_path)
    (tmp_path / "other").mkdir()
    files = [tmp_path / "judge.extxyz", tmp_path / "other" / "judge.extxyz"]
    for file in files:
        write(file, labelled_crystals(2))
    with pytest.raises(ValueError, match="2 files are named 'judge'"):
        TrainStudy.model_validate(study | {"test": [str(file) for file in files]})


def test_the_model_is_there_even_if_it_cannot_be_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise InputError("judge.extxyz: cannot be evaluated")

    monkeypatch.setattr(execute_module, "predictions", failing)
    write(tmp_path / "judge.extxyz", labelled_crystals(2))
    study = content(tmp_path) | {"test": [str(tmp_path / "judge.extxyz")]}
    with pytest.raises(InputError, match="cannot be evaluated"):
        run(study, output=tmp_path / "run", quiet=True)
    saved = load_file(tmp_path / "run" / "model.npz")
    assert saved.about["epochs"] == [2]


def test_a_repulsion_beyond_the_cutoff_of_the_data_is_one_line(tmp_path: Path) -> None:
    study = content(tmp_path)
    study["model"] = MODEL | {"repulsion": [0.5, 1.8]}
    with pytest.raises(InputError, match=r"model: repulsion = .* beyond the cutoff"):
        prepared(study)
