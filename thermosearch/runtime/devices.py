"""What a rank may use of its node: one thread where there are several ranks, one GPU."""

import os
from pathlib import Path

from thermosearch.runtime.communicator import Communicator, launched_size

# XLA's own thread flags do nothing on CPU; its pool follows `NPROC`.
_THREAD_COUNTS = ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def claim_threads(ranks: int | None = None) -> None:
    """Keep one thread of several ranks busy, and every library to `NPROC` where that is set.

    Libraries count their threads when they are loaded, numpy's BLAS too, so the package does
    this before it imports anything else. What the environment states stays.

    Parameters
    ----------
    ranks : int, optional
        By default what the launcher announced.
    """
    several = (launched_size() if ranks is None else ranks) > 1
    threads = os.environ.get("NPROC") or ("1" if several else "")
    if threads:
        for name in _THREAD_COUNTS:
            os.environ.setdefault(name, threads)


def claim_devices(communicator: Communicator) -> None:
    """Take this rank's share of the node; before JAX starts its backend.

    One rank alone keeps everything. Otherwise every rank keeps one thread busy, unless the
    environment says how many, and takes the GPU of its node-local rank.

    Parameters
    ----------
    communicator : Communicator
        Of the job.
    """
    if communicator.size == 1:
        return
    claim_threads(communicator.size)
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
    if chosen.isdigit():
        return int(chosen)
    # macOS does not bind processes to processors.
    bound = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if bound else os.cpu_count() or 1
