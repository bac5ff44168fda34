"""Real `mpiexec` runs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def mpirun(tmp_path: Path) -> Run:
    """`mpirun(2, "script.py", ...)` runs Python on two ranks, in a folder of the test's own.

    The mpiexec is the one beside this Python (the mpich wheel) or else the machine's.
    """
    beside = Path(sys.executable).with_name("mpiexec")
    launcher = str(beside) if beside.exists() else shutil.which("mpiexec")
    if launcher is None:
        pytest.skip("no mpiexec: install the extra [mpi-local]")
    counts = {"NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}
    environment = {name: value for name, value in os.environ.items() if name not in counts}
    # What one rank count has compiled the next ones read, as a user's runs do.
    environment["THERMOSEARCH_CACHE"] = str(tmp_path / "cache")

    def start(ranks: int, *arguments: object, timeout: float = 60.0) -> subprocess.CompletedProcess:
        command = [launcher, "-n", str(ranks), sys.executable, *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return start
