"""NamedTuples of numbers as named arrays, for checkpoints, and back."""

import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np


def to_arrays(record: Any, prefix: str) -> dict[str, np.ndarray]:
    """Flatten a NamedTuple whose fields are numbers, text, arrays, records or tuples of records.

    A field that is None is left out.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, value in record._asdict().items():
        path = f"{prefix}/{name}"
        if hasattr(value, "_asdict"):
            arrays |= to_arrays(value, path)
        elif isinstance(value, tuple):
            arrays[path] = np.asarray(len(value))
            for index, each in enumerate(value):
                arrays |= to_arrays(each, f"{path}/{index}")
        elif value is not None:
            arrays[path] = np.asarray(value)
    return arrays


def from_arrays(kind: type, arrays: Mapping[str, np.ndarray], prefix: str) -> Any:
    """Rebuild a NamedTuple of this kind, by the types its fields are annotated with."""
    fields = {}
    for name, hint in get_type_hints(kind).items():
        path = f"{prefix}/{name}"
        inner = _without_none(hint)
        if hasattr(inner, "_fields"):
            known = any(key.startswith(f"{path}/") for key in arrays)
            fields[name] = from_arrays(inner, arrays, path) if known else None
        elif get_origin(inner) is tuple:
            row = get_args(inner)[0]
            count = int(arrays[path])
            fields[name] = tuple(from_arrays(row, arrays, f"{path}/{k}") for k in range(count))
        elif path not in arrays:
            fields[name] = None
        elif inner in {int, float, bool, str}:
            fields[name] = inner(arrays[path].item())
        else:
            fields[name] = arrays[path]
    return kind(**fields)


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in {Union, types.UnionType}:
        return next(each for each in get_args(hint) if each is not type(None))
    return hint
