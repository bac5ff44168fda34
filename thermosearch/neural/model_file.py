"""Model files: an `.npz` of plain arrays with a JSON header, never pickle.

The header is the array `header` (UTF-8 bytes); the parameters are `parameters/...`, and arrays
that belong to the model's story (parity of its errors) `about/...`. The header holds the SHA-256
of all other arrays, so that an altered file is seen.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from thermosearch.neural.config import ModelConfig
from thermosearch.neural.model import NeuralPotential
from thermosearch.runtime.errors import InputError, explain_os_error
from thermosearch.runtime.files import write_atomic

FORMAT = "thermosearch-neural-potential"
SCHEMA = 1


@dataclass(frozen=True)
class ModelFile:
    """A model and what is known about it.

    Attributes
    ----------
    model : NeuralPotential
    about : dict
        JSON: `training` (data, errors, settings), `licence`, and what else was saved.
    arrays : dict of str to array
        Parity arrays and the like.
    """

    model: NeuralPotential
    about: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def save(
    path: str | Path,
    model: NeuralPotential,
    about: Mapping[str, Any] | None = None,
    arrays: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a model file, wholly or not at all.

    Parameters
    ----------
    path : str or Path
        Ends in `.npz`.
    model : NeuralPotential
    about : mapping, optional
        Anything JSON holds: training data and errors, licence.
    arrays : mapping, optional
        Arrays to keep beside the model.

    Raises
    ------
    InputError
        The disk is full or not writable.
    """
    content = {f"parameters/{name}": array for name, array in _leaves(model).items()}
    content |= {f"about/{name}": np.asarray(array) for name, array in (arrays or {}).items()}
    header = {
        "format": FORMAT,
        "schema": SCHEMA,
        "elements": list(model.config.elements),
        "cutoff_A": model.cutoff,
        "units": {"energy": "eV", "length": "A"},
        "config": model.config.to_json(),
        "about": dict(about or {}),
        "sha256": _digest(content),
    }
    text = json.dumps(header, allow_nan=False).encode("utf-8")
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, header=np.frombuffer(text, np.uint8), **content)
    write_atomic(Path(path), stream.getvalue())


def load(path: str | Path) -> NeuralPotential:
    """Read the model of a file; see `load_file` for what else is in it."""
    return load_file(path).model


def load_file(path: str | Path) -> ModelFile:
    """Read a model file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    ModelFile

    Raises
    ------
    InputError
        The file is missing, truncated, altered, of another program or of a newer version.
    """
    path = Path(path)
    content = _read_arrays(path)
    header = _read_header(path, content)
    if header.get("sha256") != _digest(content):
        raise InputError(f"{path}: the model file was altered: its checksum does not match")
    try:
        config = ModelConfig.from_json(header["config"])
        # Shapes alone: drawing random weights to throw away takes seconds of compiling.
        shapes = eqx.filter_eval_shape(NeuralPotential.initial, config, jax.random.key(0))
        model = _filled(shapes, content)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: the model's header and arrays disagree: {error}") from error
    prefix = "about/"
    arrays = {k.removeprefix(prefix): v for k, v in content.items() if k.startswith(prefix)}
    return ModelFile(model, header["about"], arrays)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise explain_os_error(error, f"reading the model file {path}") from error
    if not data.startswith(b"PK"):
        raise InputError(f"{path}: not a model file (no .npz archive)")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    # zipfile has no one error for archives with a byte changed.
    except (
        *(zipfile.BadZipFile, zipfile.zlib.error, NotImplementedError, RuntimeError),
        *(ValueError, EOFError, OSError),
    ) as error:
        raise InputError(f"{path}: the model file is truncated or damaged ({error})") from error


def _read_header(path: Path, content: dict[str, np.ndarray]) -> dict[str, Any]:
    """Take the header out of the arrays and check whose it is."""
    try:
        header = json.loads(content.pop("header").tobytes().decode("utf-8"))
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: not a model file of thermosearch (no header)") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise InputError(f"{path}: not a model file of thermosearch")
    if header.get("schema") != SCHEMA:
        raise InputError(
            f"{path}: model file schema {header.get('schema')}, this version reads schema {SCHEMA}"
        )
    return header


def _digest(content: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of names, types, shapes and bytes of the arrays."""
    digest = hashlib.sha256()
    for name in sorted(content):
        array = np.ascontiguousarray(content[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _leaves(model: NeuralPotential) -> dict[str, np.ndarray]:
    """Array leaves by their path in the model."""
    found = jax.tree_util.tree_leaves_with_path(eqx.filter(model, eqx.is_array))
    return {_name(path): np.asarray(leaf) for path, leaf in found}


def _filled(shapes: NeuralPotential, content: Mapping[str, np.ndarray]) -> NeuralPotential:
    """Model with the stored arrays in the places of `shapes`."""
    stored = {
        name.removeprefix("parameters/"): array
        for name, array in content.items()
        if name.startswith("parameters/")
    }
    places, structure = jax.tree_util.tree_flatten_with_path(shapes)
    own = {_name(path): shape for path, shape in places}
    if set(own) != set(stored):
        raise ValueError(f"parameters differ: {sorted(set(own) ^ set(stored))}")
    for name, shape in own.items():
        if shape.shape != stored[name].shape or shape.dtype != stored[name].dtype:
            raise ValueError(f"{name} is {stored[name].shape}, expected {shape.shape}")
    return jax.tree.unflatten(structure, [jnp.asarray(stored[name]) for name in own])


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")
