"""Frames in numpy archives: our own names, and those of the sGDML sets (R, z, E, F)."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from thermosearch.configuration import PADDING, Configuration
from thermosearch.dataset.frames import Frame, from_voigt
from thermosearch.dataset.units import energy_factor, length_factor
from thermosearch.runtime.errors import InputError

_NAMES = {
    "positions": ("positions", "R", "coordinates"),
    "numbers": ("numbers", "z", "Z", "species"),
    "energy": ("energy", "E", "energies"),
    "forces": ("forces", "F"),
    "stress": ("stress",),
    "cell": ("cell", "lattice"),
    "pbc": ("pbc",),
    "group": ("group", "config_type"),
}


def read(
    path: Path, length_unit: str | None, energy_unit: str | None, group_key: str | None
) -> list[Frame]:
    """Frames of an archive.

    `positions (k, n, 3)`, `numbers (n,)` or `(k, n)` (0 pads a smaller frame), `energy (k,)`,
    and, where present, `forces (k, n, 3)`, `cell (k, 3, 3)` or `(3, 3)`, `pbc (3,)` or `(k, 3)`,
    `stress (k, 3, 3)` or `(k, 6)` (xx, yy, zz, yz, xz, xy; eV/A^3), `group (k,)`. The archive may
    state `r_unit` and `e_unit`.
    """
    arrays = _load(path)
    named = {
        key: next((arrays[name] for name in names if name in arrays), None)
        for key, names in _NAMES.items()
    }
    if group_key is not None:
        named["group"] = arrays.get(group_key)
    positions, numbers = named["positions"], named["numbers"]
    if positions is None or numbers is None or positions.ndim != 3:
        raise InputError(f"{path}: needs positions (frames, atoms, 3) and numbers; has {[*arrays]}")
    named["energy"] = _one_a_frame(named["energy"], path)
    named["stress"] = _matrices(named["stress"], path)
    length = length_factor(length_unit or _stated(arrays, "r_unit", "A"), path)
    energy = energy_factor(energy_unit or _stated(arrays, "e_unit", "eV"), path)
    return [_frame(named, index, length, energy) for index in range(len(positions))]


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (ValueError, OSError, BadZipFile, EOFError, AttributeError) as error:
        raise InputError(f"{path}: not a numpy archive of plain arrays ({error})") from error


def _one_a_frame(energy: np.ndarray | None, path: Path) -> np.ndarray | None:
    """Energies (k,), also of the (k, 1) of the first MD17 sets."""
    if energy is not None and energy.shape[1:] not in ((), (1,)):
        raise InputError(f"{path}: energies of shape {energy.shape}; give one a frame")
    return energy.reshape(-1) if energy is not None and energy.ndim == 2 else energy


def _matrices(stress: np.ndarray | None, path: Path) -> np.ndarray | None:
    """Stresses (k, 3, 3), also of (k, 6)."""
    if stress is None or stress.shape[1:] == (3, 3):
        return stress
    if stress.shape[1:] != (6,):
        raise InputError(
            f"{path}: stress of shape {stress.shape}; give (frames, 3, 3), or (frames, 6) in the "
            "order xx, yy, zz, yz, xz, xy"
        )
    return np.array([from_voigt(row) for row in stress]).reshape(-1, 3, 3)


def _stated(arrays: dict[str, np.ndarray], key: str, default: str) -> str:
    value = arrays.get(key, default)
    text = value.item() if isinstance(value, np.ndarray) else value
    return text.decode() if isinstance(text, bytes) else str(text)


def _frame(named: dict[str, np.ndarray | None], index: int, length: float, energy: float) -> Frame:
    def of_frame(key: str, dimensions: int) -> np.ndarray | None:
        """Row of an array that may be common to all frames."""
        array = named[key]
        if array is None or (array.ndim > dimensions and index >= len(array)):
            return None
        return np.asarray(array[index] if array.ndim > dimensions else array)

    numbers = of_frame("numbers", 1)
    problem = "" if numbers is not None else "no numbers"
    positions = np.asarray(named["positions"][index], dtype=np.float64)
    numbers = np.zeros(0, dtype=np.int32) if numbers is None else numbers.astype(np.int32)
    if len(numbers) != len(positions):
        problem = problem or f"{len(numbers)} numbers for {len(positions)} positions"
        positions, numbers = positions[:0], numbers[:0]
    real = numbers != PADDING
    cell, pbc = of_frame("cell", 2), of_frame("pbc", 1)
    forces, stress = of_frame("forces", 2), of_frame("stress", 2)
    total, group = of_frame("energy", 0), of_frame("group", 0)
    cell = np.zeros((3, 3)) if cell is None else cell.astype(np.float64) * length
    if forces is not None:
        forces = forces.astype(np.float64) * energy / length
        forces = forces[real] if len(forces) == len(real) else forces
    return Frame(
        Configuration(
            positions=positions[real] * length,
            cell=cell,
            pbc=np.full(3, bool(cell.any())) if pbc is None else pbc.astype(bool),
            numbers=numbers[real],
            total_charge=np.zeros(()),
        ),
        None if total is None else float(total) * energy,
        forces,
        None if stress is None else stress.astype(np.float64),
        "" if group is None else str(group),
        index,
        problem,
    )
