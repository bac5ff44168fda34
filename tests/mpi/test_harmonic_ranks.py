"""Effective harmonic potentials give the same numbers on 1 and 3 ranks, bit for bit."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.mpi, pytest.mark.timeout(600)]

Run = Callable[..., subprocess.CompletedProcess[str]]

STUDY = """
kind = "harmonic"
[potential]
analytic = "stillinger_weber"
[[system.phases]]
supercell = [2, 2, 2]
[system.phases.bulk]
formula = "Si"
structure = "diamond"
a = 5.431
cubic = false
[method]
temperatures = [600.0]
pressures = [0.0, 1.0]
error = 4e-4
quasi_harmonic = false
[analysis]
mesh = 20.0
"""


def test_same_bits_on_one_and_three_ranks(mpirun: Run, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    found = []
    for ranks in (1, 3):
        done = mpirun(
            ranks,
            *("-m", "thermosearch", "harmonic", "study.toml", "--output", f"run_{ranks}"),
            "--quiet",
            timeout=250.0,
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads((tmp_path / f"run_{ranks}" / "results.json").read_text()))
    assert found[0]["quantities"] == found[1]["quantities"]
    assert found[0]["evaluations"] == found[1]["evaluations"]
