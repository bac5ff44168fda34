"""What `thermosearch info` says about this installation and this job."""

from thermosearch.runtime.communicator import Communicator, mpi_library
from thermosearch.runtime.compile_cache import cache_folder
from thermosearch.runtime.devices import thread_count
from thermosearch.runtime.versions import versions


def describe(communicator: Communicator) -> list[tuple[str, str]]:
    """Name and value of everything worth knowing before a run or a bug report.

    Parameters
    ----------
    communicator : Communicator
        Of the job.

    Returns
    -------
    list of (str, str)
        In the order to show them.
    """
    import jax  # noqa: PLC0415 - a second that `thermosearch --help` need not pay

    devices = jax.devices()
    return [
        *versions().items(),
        ("backend", f"{devices[0].platform}, {len(devices)} x {devices[0].device_kind}"),
        ("ranks", str(communicator.size)),
        ("threads a rank", str(thread_count())),
        ("MPI library", mpi_library() or "none found: serial runs only"),
        ("compilation cache", str(cache_folder())),
    ]
