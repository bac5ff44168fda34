"""Checkpoints that a kill at any moment cannot lose or corrupt.

A file is one header line, then an uncompressed `.npz` archive:

    thermosearch-checkpoint SCHEMA SHA256-OF-THE-REST

It is written beside, flushed and renamed; the last two are kept, and a damaged newest one
falls back to the one before.
"""

import hashlib
import io
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.errors import InputError
from thermosearch.runtime.files import write_atomic

SCHEMA = 3
KEPT = 2

_MAGIC = "thermosearch-checkpoint"
_META = "__meta__"


@dataclass(frozen=True)
class Checkpoint:
    """State of an engine after `step` steps.

    Attributes
    ----------
    step : int
        Steps done.
    arrays : dict of str to numpy array
        As saved, bit for bit.
    meta : dict
        What JSON holds.
    """

    step: int
    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]


@dataclass(frozen=True)
class CheckpointStore:
    """Where a run keeps its checkpoints; every rank calls it, rank 0 touches the disk.

    Attributes
    ----------
    folder : Path
        Usually `RUN/checkpoints`.
    communicator : Communicator
        Of the run.
    log : logging.Logger
        Told of damaged files.
    """

    folder: Path
    communicator: Communicator
    log: logging.Logger

    def save(self, step: int, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        """Keep the state after `step` steps and drop all but the last two.

        Parameters
        ----------
        step : int
            Steps done; larger than that of every checkpoint before.
        arrays : mapping of str to array
            numpy or JAX arrays of any dtype of numbers, booleans or bytes.
        meta : mapping
            Anything JSON holds.

        Raises
        ------
        InputError
            If the disk is full; the checkpoints before are untouched.
        """
        if self.communicator.rank != 0:
            return
        path = self.folder / f"step_{step:010d}.ckpt"
        write_atomic(path, _encode(step, arrays, meta))
        for old in self._files()[:-KEPT]:
            old.unlink(missing_ok=True)

    def load_latest(self) -> Checkpoint | None:
        """Newest undamaged checkpoint, the same on every rank; None where there is none.

        Raises
        ------
        InputError
            If there are checkpoints and all of them are damaged.
        """
        return self.communicator.on_root(self._load_latest_here)

    def _load_latest_here(self) -> Checkpoint | None:
        files = self._files()
        for path in reversed(files):
            try:
                return read_checkpoint(path)
            except InputError as error:
                self.log.warning("%s; going back to the checkpoint before it", error)
        if files:
            raise InputError(
                f"{self.folder}: every checkpoint is damaged; start again with a new --output"
            )
        return None

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("step_*.ckpt"))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint file.

    Raises
    ------
    InputError
        If it is truncated, altered, foreign or of another schema.
    """
    header, _, body = path.read_bytes().partition(b"\n")
    words = header.decode("ascii", errors="replace").split(" ")
    if len(words) != 3 or words[0] != _MAGIC:
        raise InputError(f"{path}: not a checkpoint of thermosearch")
    if words[1] != str(SCHEMA):
        raise InputError(
            f"{path}: checkpoint schema {words[1]}, this version reads schema {SCHEMA}"
        )
    if words[2] != hashlib.sha256(body).hexdigest():
        raise InputError(f"{path}: the checkpoint is damaged (its checksum does not match)")
    return _decode(body)


def _encode(step: int, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> bytes:
    text = json.dumps({"step": step, "meta": dict(meta)}, allow_nan=False)
    plain = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in plain.items():
        if array.dtype.hasobject:
            raise TypeError(f"checkpoint array {name!r} holds Python objects")
    archive = io.BytesIO()
    np.savez(archive, allow_pickle=False, **plain, **{_META: np.frombuffer(text.encode(), "u1")})
    body = archive.getvalue()
    digest = hashlib.sha256(body).hexdigest()
    return f"{_MAGIC} {SCHEMA} {digest}\n".encode("ascii") + body


def _decode(body: bytes) -> Checkpoint:
    with np.load(io.BytesIO(body), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    header = json.loads(arrays.pop(_META).tobytes())
    return Checkpoint(header["step"], arrays, header["meta"])
