"""The descriptors of a committee are shared by the ranks; the model is the same, bit for bit."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from ase.io import write
from neural.rattled import labelled_crystals

from thermosearch.neural.model_file import load

pytestmark = [pytest.mark.mpi, pytest.mark.timeout(300)]

Run = Callable[..., subprocess.CompletedProcess[str]]

STUDY = """
kind = "train"
[[data]]
file = "data.extxyz"
[model]
cutoff = 3.5
n_max = 4
l_max = 2
radial = [3, 2, 2]
couplings = []
widths = [5]
members = 3
descriptors = 3
[training]
epochs = 3
validate_every = 1
"""


def test_three_descriptors_on_one_and_two_ranks(mpirun: Run, tmp_path: Path) -> None:
    write(tmp_path / "data.extxyz", labelled_crystals(6))
    (tmp_path / "study.toml").write_text(STUDY)
    for ranks in (1, 2):
        done = mpirun(
            ranks,
            *("-m", "thermosearch", "train", "study.toml", "--output", f"run_{ranks}"),
            timeout=120.0,
        )
        assert done.returncode == 0, done.stderr
    models = [jax.tree.leaves(load(tmp_path / f"run_{ranks}" / "model.npz")) for ranks in (1, 2)]
    for one, other in zip(*models, strict=True):
        np.testing.assert_array_equal(one, other)
    errors = [
        json.loads((tmp_path / f"run_{ranks}" / "errors.json").read_text()) for ranks in (1, 2)
    ]
    assert errors[0] == errors[1]
