"""Programs started from a rank, which must not take themselves for ranks of our job."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

LAUNCHER_PREFIXES = (
    "PMI_",
    "PMIX_",
    "HYDI_",
    "HYDRA_",
    "MPI_LOCAL",
    "MV2_COMM_WORLD_",
    "OMPI_COMM_WORLD_",
    "OMPI_MCA_",
    "OMPI_UNIVERSE_SIZE",
    "PALS_",
    "PRTE_",
)
"""Of the variables by which MPICH, Intel MPI, MVAPICH, Open MPI and Cray tell their ranks."""


@contextmanager
def without_launcher_variables() -> Iterator[None]:
    """Take the MPI launcher's variables out of the environment that child processes inherit.

    Those by which a child finds an MPI library or a batch allocation (`MPI_HOME`, `SLURM_*`) stay.
    """
    taken = {
        name: value for name, value in os.environ.items() if name.startswith(LAUNCHER_PREFIXES)
    }
    for name in taken:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(taken)
