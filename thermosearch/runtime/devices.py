"""What a rank may use of its node: one thread where there are several ranks, one GPU."""

import os
from pathlib import Path

from thermosearch.runtime.communicator import Communicator

_THREAD_COUNTS = ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def claim_devices(communicator: Communicator) -> None:
    """Take this rank's share of the node; before JAX starts its backend.

    One rank alone keeps everything. Otherwise every rank gets one busy thread, unless the
    environment says how many (XLA's own thread flags do nothing on CPU; its pool follows
    `NPROC`), and the GPU of its node-local rank.

    Parameters
    ----------
    communicator : Communicator
        Of the job.
    """
    if communicator.size == 1:
        return
    for name in _THREAD_COUNTS:
        os.environ.setdefault(name, "1")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    gpus = visible_gpus()
    if len(gpus) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[communicator.local_rank % len(gpus)]


def visible_gpus() -> list[str]:
    """Names of the NVIDIA GPUs this process may use, as CUDA_VISIBLE_DEVICES takes them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name for name in chosen.split(",") if name]
    found = Path("/proc/driver/nvidia/gpus")
    return [str(index) for index, _ in enumerate(found.iterdir())] if found.is_dir() else []


def thread_count() -> int:
    """Threads XLA's CPU backend uses in this process."""
    chosen = os.environ.get("NPROC", "")
    return int(chosen) if chosen.isdigit() else len(os.sched_getaffinity(0))
