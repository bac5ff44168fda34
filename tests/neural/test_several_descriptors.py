"""A training of several descriptors, from its study to its model file."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from ase.io import write
from rattled import labelled_crystals

from thermosearch.launch import run
from thermosearch.neural.model_file import load
from thermosearch.neural.parts import parts


def study(folder: Path, **of_run: Any) -> dict[str, Any]:
    write(folder / "data.extxyz", labelled_crystals(6))
    return {
        "kind": "train",
        "data": [{"file": str(folder / "data.extxyz")}],
        "model": {"cutoff": 3.5, "n_max": 4, "l_max": 2, "radial": [3, 2, 2], "couplings": []}
        | {"widths": [5], "members": 4, "descriptors": 2},
        "training": {"epochs": 3, "validate_every": 1},
        "run": of_run,
    }


def test_stopped_after_every_epoch_it_gives_the_same_model(tmp_path: Path) -> None:
    whole = run(study(tmp_path), output=tmp_path / "whole", quiet=True)
    cut = study(tmp_path, walltime=1e-6)
    for _ in range(5):
        stopped = run(cut, output=tmp_path / "cut", resume=(tmp_path / "cut").exists(), quiet=True)
        assert stopped.status == "stopped"
    last = run(cut, output=tmp_path / "cut", resume=True, quiet=True)
    assert last.status == "finished"
    assert last.quantities == whole.quantities
    models = [load(tmp_path / name / "model.npz") for name in ("whole", "cut")]
    for one, other in zip(*map(jax.tree.leaves, models), strict=True):
        np.testing.assert_array_equal(one, other)
    # Three epochs each, from different starts.
    for k in (1, 2):
        np.testing.assert_array_equal(whole.arrays[f"learning/descriptor {k}/epoch"], [1, 2, 3])
    first, second = (part.descriptor.mixing[0] for part in parts(models[0]))
    assert np.abs(first - second).max() > 0.1
