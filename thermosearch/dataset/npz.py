"""Frames in numpy archives: our own names, and those of the sGDML sets (R, z, E, F)."""

from pathlib import Path
from typing import TypeAlias
from zipfile import BadZipFile

import numpy as np
from ase.data import chemical_symbols

from thermosearch.configuration import PADDING, Configuration
from thermosearch.dataset.frames import Frame, from_voigt
from thermosearch.dataset.units import Units
from thermosearch.runtime.errors import InputError

_Shapes: TypeAlias = tuple[tuple[int, ...], ...]

_NAMES = {
    "positions": ("positions", "R", "coordinates"),
    "numbers": ("numbers", "z", "Z", "species"),
    "energy": ("energy", "E", "energies"),
    "forces": ("forces", "F"),
    "stress": ("stress",),
    "cell": ("cell", "lattice"),
    "pbc": ("pbc",),
    "group": ("group", "config_type"),
    "length_unit": ("r_unit",),
    "energy_unit": ("e_unit",),
}
_TEXT, _NUMERIC = "SU", "biuf"
_KINDS = {
    "numbers": _NUMERIC + _TEXT,
    "group": _NUMERIC + _TEXT,
    "length_unit": _TEXT,
    "energy_unit": _TEXT,
}
_SYMBOLS = {"": PADDING} | {symbol: z for z, symbol in enumerate(chemical_symbols) if z > 0}


def read(path: Path, group_key: str | None) -> tuple[list[Frame], Units]:
    """Frames of an archive, the numbers as they come, and its units.

    `positions (k, n, 3)`, `numbers (n,)` or `(k, n)`, atomic numbers or symbols (0 or an empty
    symbol pads a smaller frame), and, where present, `energy (k,)` or `(k, 1)`,
    `forces (k, n, 3)`, `stress (k, 3, 3)` or `(k, 6)` (xx, yy, zz, yz, xz, xy),
    `cell (k, 3, 3)` or `(k, 9)`, the lengths `(k, 3)` of rectangular ones, `(3, 3)` or `(3,)` for
    all frames, `pbc (k, 3)`, `(3,)` or `()`, `group (k,)` or `()`, `r_unit` and `e_unit`. A cell
    `(3, 3)` of three frames is refused: it may be one cell or the lengths of three.
    """
    arrays = _load(path)
    names = _NAMES if group_key is None else {**_NAMES, "group": (group_key,)}
    # Of several names of one quantity the first counts.
    found = {key: name for key, known in names.items() for name in known[::-1] if name in arrays}
    if not {"positions", "numbers"} <= found.keys() or arrays[found["positions"]].ndim != 3:
        raise InputError(f"{path}: needs positions (frames, atoms, 3) and numbers; has {[*arrays]}")
    shapes = _shapes(*arrays[found["positions"]].shape[:2])
    for key, name in found.items():
        _check(arrays[name], f"{path}: {name}", _KINDS.get(key, _NUMERIC), shapes[key])
    named = {key: arrays[name] for key, name in found.items()}
    named["numbers"] = _numbers(named["numbers"], f"{path}: {found['numbers']}")
    stated = {key: f"{key}_unit" for key in Units._fields if f"{key}_unit" in named}
    units = Units(**{key: str(_text(named[name]).item()) for key, name in stated.items()})
    return _frames(named), units


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (ValueError, OSError, BadZipFile, EOFError, AttributeError) as error:
        raise InputError(f"{path}: not a numpy archive of plain arrays ({error})") from error


def _shapes(k: int, n: int) -> dict[str, _Shapes]:
    """Shapes the arrays of k frames of n atoms may have."""
    # With three frames (k, 3) and (3, 3) cannot be told apart.
    flat_cells = ((k, 3), (3, 3)) if k != 3 else ()
    return {
        "positions": ((k, n, 3),),
        "numbers": ((n,), (k, n)),
        "energy": ((k,), (k, 1)),
        "forces": ((k, n, 3),),
        "stress": ((k, 3, 3), (k, 6)),
        "cell": ((k, 3, 3), (k, 9), (3,), *flat_cells),
        "pbc": ((k, 3), (3,), ()),
        "group": ((k,), ()),
        "length_unit": ((), (1,)),
        "energy_unit": ((), (1,)),
    }


def _check(array: np.ndarray, label: str, kinds: str, shapes: _Shapes) -> None:
    """Refuse an array of another kind or shape."""
    if array.dtype.kind not in kinds:
        wanted = "text" if kinds == _TEXT else "numbers"
        raise InputError(f"{label} of type {array.dtype}; give {wanted}")
    if array.shape not in shapes:
        raise InputError(f"{label} of shape {array.shape}; give {' or '.join(map(str, shapes))}")


def _numbers(numbers: np.ndarray, label: str) -> np.ndarray:
    """Atomic numbers of numbers or symbols."""
    if numbers.dtype.kind in _TEXT:
        try:
            return np.vectorize(_SYMBOLS.__getitem__, otypes=[np.int32])(_text(numbers))
        except KeyError as error:
            raise InputError(f"{label}: unknown symbol {error}; give chemical symbols") from error
    if np.any(numbers != np.rint(numbers)):
        raise InputError(f"{label} not whole; give atomic numbers or chemical symbols")
    return numbers.astype(np.int32)


def _text(array: np.ndarray) -> np.ndarray:
    """Strings, also of bytes."""
    return np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array


def _cells(cell: np.ndarray | None, k: int) -> np.ndarray:
    """Cells (k, 3, 3) of any of the shapes they come in; zeros if there are none."""
    if cell is None:
        return np.zeros((k, 3, 3))
    if cell.shape == (k, 9):
        cell = cell.reshape(k, 3, 3)
    elif cell.shape in ((k, 3), (3,)):
        cell = cell[..., None] * np.eye(3)
    return np.broadcast_to(cell, (k, 3, 3))


def _frames(named: dict[str, np.ndarray]) -> list[Frame]:
    floats = {
        key: named[key].astype(np.float64)
        for key in ("positions", "energy", "forces", "stress", "cell")
        if key in named
    }
    k, n = floats["positions"].shape[:2]
    cells = _cells(floats.get("cell"), k)
    numbers = np.broadcast_to(named["numbers"], (k, n))
    pbc = named.get("pbc", cells.any(axis=(1, 2))[:, None]).astype(bool)
    pbc = np.broadcast_to(pbc, (k, 3))
    groups = np.broadcast_to(_text(named.get("group", np.array(""))), (k,))
    return [
        Frame(
            Configuration(
                positions=floats["positions"][index][real],
                cell=cells[index],
                pbc=pbc[index],
                numbers=numbers[index][real],
                total_charge=np.zeros(()),
            ),
            floats["energy"][index].item() if "energy" in floats else None,
            floats["forces"][index][real] if "forces" in floats else None,
            _matrix(floats["stress"][index]) if "stress" in floats else None,
            str(groups[index]),
            index,
        )
        for index, real in enumerate(numbers != PADDING)
    ]


def _matrix(stress: np.ndarray) -> np.ndarray:
    return stress if stress.shape == (3, 3) else from_voigt(stress)
