"""The folder of one run: complete, and never shared with another run.

study.toml / study.json   as given
study.resolved.json       with every default filled in
run.json                  versions, seed, checksums of the input files, and one entry a session:
                          ranks, times, how it ended
results.json, results.h5  numbers with errors and units; arrays by name
checkpoints/, run.log     what `--resume` and a reader need
"""

import errno
import fcntl
import hashlib
import io
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from thermosearch.runtime.errors import EXIT_FINISHED, EXIT_STOPPED, InputError, explain_os_error
from thermosearch.runtime.files import sweep_parts, write_atomic
from thermosearch.runtime.results import Results, read_results, to_json
from thermosearch.runtime.versions import versions

SCHEMA = 1

_LOCK = ".lock"
# What may change between the sessions of one run: where and how long, never what is computed.
_FREE_KEYS = {"walltime", "output", "checkpoint_interval"}


@dataclass(frozen=True)
class GivenStudy:
    """A study as the user gave it and as it was understood.

    Attributes
    ----------
    kind : str
        Engine.
    text : str
        As given: the text of the file, or the JSON of what Python handed over.
    suffix : str
        ".toml" or ".json".
    resolved : mapping
        Every key with its value, plain JSON types.
    inputs : mapping of str to Path
        Files and folders it names, by their keys.
    """

    kind: str
    text: str
    suffix: str
    resolved: Mapping[str, Any]
    inputs: Mapping[str, Path]

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.resolved.get("run", {}).get("seed", 0))


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run."""

    path: Path

    def file(self, name: str) -> Path:
        """Path of a file of the run; the folder it lies in is there."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file of the run whole or not at all (rank 0 only).

        Raises
        ------
        InputError
            If the disk is full; the file that was there is untouched.
        """
        write_atomic(self.path / name, content)


@contextmanager
def opened_run(path: Path, study: GivenStudy, *, resume: bool) -> Iterator[RunFolder]:
    """Begin a run in a new or empty folder, or go on with the one that is there.

    While it is open no other process can run in the folder.

    Parameters
    ----------
    path : Path
        The run folder.
    study : GivenStudy
        What to run.
    resume : bool
        Go on with the run in `path`; it starts from the beginning where there is none.

    Raises
    ------
    InputError
        If the folder holds another run or other files, if the study or a file it names has
        changed, or if another process is running there.
    """
    folder = RunFolder(path)
    began = _check_folder(folder, study, resume)
    with _locked(folder):
        sweep_parts(path)
        if not began:
            _begin(folder, study)
        yield folder


def is_finished(folder: RunFolder) -> bool:
    """Whether the run has its final results."""
    path = folder.path / "results.json"
    return path.is_file() and read_results(path).status == "finished"


def begin_session(folder: RunFolder, ranks: int) -> None:
    """Record in `run.json` that `ranks` ranks are at work from now on."""
    record = json.loads((folder.path / "run.json").read_text(encoding="utf-8"))
    session = {"started": _now(), "ranks": ranks, "host": platform.node(), "pid": os.getpid()}
    if record["versions"] != versions():
        session["versions"] = versions()
    record["sessions"].append(session)
    folder.write("run.json", _json(record))


def finish_session(folder: RunFolder, study: GivenStudy, results: Results, wall_s: float) -> None:
    """Write `results.h5`, then `results.json`, then the session's record.

    Parameters
    ----------
    folder : RunFolder
        Of the run.
    study : GivenStudy
        For its seed.
    results : Results
        From the engine.
    wall_s : float
        Time of this session, s.
    """
    record = json.loads((folder.path / "run.json").read_text(encoding="utf-8"))
    session = record["sessions"][-1]
    session |= {
        "ended": _now(),
        "wall_s": round(wall_s, 3),
        "status": results.status,
        "exit_code": EXIT_FINISHED if results.status == "finished" else EXIT_STOPPED,
    }
    if results.arrays:
        folder.write("results.h5", to_hdf5(results.arrays))
    total = sum(each.get("wall_s", 0.0) for each in record["sessions"])
    folder.write(
        "results.json",
        to_json(results, seed=study.seed, ranks=session["ranks"], wall_s=total),
    )
    folder.write("run.json", _json(record))


def to_hdf5(arrays: Mapping[str, Any]) -> bytes:
    """Make an HDF5 file's bytes; `/` in a name makes a group, text becomes UTF-8 strings."""
    import h5py  # noqa: PLC0415 - 0.1 s that `thermosearch --help` need not pay

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, value in arrays.items():
            array = np.asarray(value)
            if array.dtype.kind == "U":
                file.create_dataset(name, data=array.astype(object), dtype=h5py.string_dtype())
            else:
                file.create_dataset(name, data=array)
    return buffer.getvalue()


def _check_folder(folder: RunFolder, study: GivenStudy, resume: bool) -> bool:
    """Whether the folder holds a run to go on with; refuses what must not be touched."""
    path = folder.path
    if not path.exists() or (path.is_dir() and _is_fresh(path)):
        return False
    if not (path / "run.json").is_file():
        raise InputError(f"{path}: holds other files; give a new folder with --output")
    if not resume:
        raise InputError(
            f"{path}: already holds a run; go on with it by --resume, or give a new --output"
        )
    _check_same_study(folder, study)
    _check_same_inputs(folder, study)
    return True


def _is_fresh(path: Path) -> bool:
    """Whether the folder is empty, or holds what a run left that was killed as it began."""
    names = {entry.name for entry in path.iterdir() if entry.suffix != ".part"}
    own = {_LOCK, "study.toml", "study.json", "study.resolved.json"}
    return not names or (_LOCK in names and names <= own)


@contextmanager
def _locked(folder: RunFolder) -> Iterator[None]:
    try:
        file = folder.file(_LOCK).open("w", encoding="utf-8")
    except OSError as error:
        raise explain_os_error(error, f"writing into {folder.path}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{folder.path}: another process is running in it") from error
        except OSError as error:
            # Some parallel file systems have no locks; a run must work there all the same.
            if error.errno not in {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}:
                raise
        yield


def _begin(folder: RunFolder, study: GivenStudy) -> None:
    folder.write(f"study{study.suffix}", study.text)
    folder.write("study.resolved.json", _json(study.resolved))
    record = {
        "schema": SCHEMA,
        "kind": study.kind,
        "seed": study.seed,
        "versions": versions(),
        "inputs": _checksums(study),
        "sessions": [],
    }
    folder.write("run.json", _json(record))


def _check_same_study(folder: RunFolder, study: GivenStudy) -> None:
    before = json.loads((folder.path / "study.resolved.json").read_text(encoding="utf-8"))
    changed = [
        name
        for name in sorted(_differences(before, json.loads(_json(study.resolved))))
        if name.rpartition(".")[2] not in _FREE_KEYS
    ]
    if changed:
        raise InputError(
            f"{folder.path}: the study has changed since this run began ({', '.join(changed)}); "
            "undo the change, or begin a new run with another --output"
        )


def _check_same_inputs(folder: RunFolder, study: GivenStudy) -> None:
    record = json.loads((folder.path / "run.json").read_text(encoding="utf-8"))
    before = record.get("inputs", {})
    now = _checksums(study) if before else {}
    changed = [f"{key} = {study.inputs[key]}" for key in before if now.get(key) != before[key]]
    if changed:
        raise InputError(
            f"{folder.path}: a file has changed since this run began ({', '.join(changed)}); "
            "put back what it was, or begin a new run with another --output"
        )


def _checksums(study: GivenStudy) -> dict[str, str]:
    """SHA-256 of the content of every input; of a run folder, that of its arrays."""
    found = {}
    for key, path in study.inputs.items():
        file = path / "results.h5" if path.is_dir() else path
        if key.rpartition(".")[2] in _FREE_KEYS or not file.is_file():
            continue
        try:
            with file.open("rb") as stream:
                found[key] = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise explain_os_error(error, f"reading {key} = {file}") from error
    return found


def _differences(before: Any, after: Any, prefix: str = "") -> set[str]:
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return set() if before == after else {prefix.removesuffix(".")}
    return {
        name
        for key in before.keys() | after.keys()
        for name in _differences(before.get(key), after.get(key), f"{prefix}{key}.")
    }


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, default=str) + "\n"


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")
