"""Nested sampling gives the same numbers on 1, 2 and 3 ranks, bit for bit."""

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

pytestmark = [pytest.mark.mpi, pytest.mark.timeout(600)]

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
quenched = 12
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
                "phases/0/quench_enthalpy",
            )
        ]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_same_bits_on_one_two_and_three_ranks(mpirun: Run, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    found = set()
    for ranks in (1, 2, 3):
        done = mpirun(
            ranks,
            *("-m", "thermosearch", "nested", "study.toml", "--output", f"run_{ranks}"),
            "--quiet",
            timeout=250.0,
        )
        assert done.returncode == 0, done.stderr
        found.add(fingerprint(tmp_path / f"run_{ranks}"))
    assert len(found) == 1


PRESSURES = """
kind = "nested"
[potential]
analytic = "ideal_gas"
[system]
composition = {Ar = 2}
[system.flexible_cell]
pressures = [0.5, 1.0]
volume_per_atom = [1e-3, 40.0]
[method]
walkers = 16
culled = 6
rounds = 2
width = 2
repeats = 2
exchange_every = 3
structures_every = 5
[[method.moves]]
name = "atom"
[[method.moves]]
name = "volume"
[method.stop]
iterations = 12
[analysis]
temperatures = [0.2, 1.0, 5]
draws = 20
quenched = 0
"""


def test_runs_divided_between_ranks_exchange_the_same_walkers(mpirun: Run, tmp_path: Path) -> None:
    """Four runs on one rank, on three (unequal shares) and on five (one run has two ranks)."""
    (tmp_path / "study.toml").write_text(PRESSURES)
    found = set()
    for ranks in (1, 3, 5):
        done = mpirun(
            ranks,
            *("-m", "thermosearch", "nested", "study.toml", "--output", f"run_{ranks}"),
            "--quiet",
            timeout=250.0,
        )
        assert done.returncode == 0, done.stderr
        with h5py.File(tmp_path / f"run_{ranks}" / "results.h5") as file:
            assert file["walks/p0_r0/exchanges_taken"][()] > 0
            names = [f"dead/p{p}_r{r}/value" for p in (0, 1) for r in (0, 1)]
            names.append("curves/1/coordination_number")
            parts = b"".join(np.asarray(file[name]).tobytes() for name in names)
        found.add(hashlib.sha256(parts).hexdigest())
    assert len(found) == 1
