"""JAX's compilations kept between runs, so that the second run starts at once."""

import hashlib
import importlib.metadata
import logging
import math
import os
import tempfile
from pathlib import Path

from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.versions import cpu_flags, cpu_model

VARIABLE = "THERMOSEARCH_CACHE"
"""Environment variable: a folder, or "off"."""

_WORTH_KEEPING_S = 0.2


def keep_compilations(communicator: Communicator, log: logging.Logger) -> Path | None:
    """Turn on JAX's persistent compilation cache.

    Compiled code fits one processor type and one version of JAX, so each pair has a folder of
    its own. Rank 0 alone writes: JAX writes entries in place, and two writers could collide.

    Parameters
    ----------
    communicator : Communicator
        Of the job.
    log : logging.Logger
        Told why where there is no cache.

    Returns
    -------
    Path or None
        The folder; None where the cache is off or cannot be written.
    """
    if os.environ.get(VARIABLE) == "off" or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return None
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        log.info("no compilation cache (%s: %s)", folder, error.strerror)
        return None
    import jax  # noqa: PLC0415 - a second that `thermosearch --help` need not pay

    worth = _WORTH_KEEPING_S if communicator.rank == 0 else math.inf
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", worth)
    return folder


def cache_folder() -> Path:
    """Where the compilations of this machine type and this JAX are kept."""
    chosen = os.environ.get(VARIABLE)
    user = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    base = Path(chosen) if chosen else Path(user) / "thermosearch"
    machine = hashlib.sha256(f"{cpu_model()}\n{cpu_flags()}".encode()).hexdigest()[:12]
    return base / f"jaxlib-{importlib.metadata.version('jaxlib')}-{machine}"
