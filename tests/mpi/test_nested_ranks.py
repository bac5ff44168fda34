"""Nested sampling gives the same numbers on 1, 2 and 3 ranks, bit for bit."""

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

pytestmark = [pytest.mark.mpi, pytest.mark.timeout(280)]

Run = Callable[..., subprocess.CompletedProcess[str]]

STUDY = """
kind = "nested"
[potential]
analytic = "lennard_jones"
[system]
composition = {Ar = 3}
[system.sphere]
radius = 2.0
about = "fixed_centre"
[method]
walkers = 16
culled = 6
extra = 3
rounds = 3
width = 2
[method.stop]
iterations = 15
[analysis]
temperatures = [0.2, 1.0, 5]
draws = 20
"""


def fingerprint(folder: Path) -> str:
    with h5py.File(folder / "results.h5") as file:
        parts = [
            np.asarray(file[name]).tobytes()
            for name in (
                "dead/p0_r0/value",
                "walks/p0_r0/steps",
                "walks/p0_r0/accepted",
                "curves/0/log_partition_function_error",
            )
        ]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_same_bits_on_one_two_and_three_ranks(mpirun: Run, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    found = set()
    for ranks in (1, 2, 3):
        done = mpirun(
            ranks,
            *("-m", "thermosearch.cli", "nested", "study.toml", "--output", f"run_{ranks}"),
            "--quiet",
            timeout=250.0,
        )
        assert done.returncode == 0, done.stderr
        found.add(fingerprint(tmp_path / f"run_{ranks}"))
    assert len(found) == 1
