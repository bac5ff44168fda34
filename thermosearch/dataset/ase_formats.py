"""Extended XYZ and ASE databases, both through ASE."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from sqlite3 import DatabaseError

import numpy as np
from ase import Atoms
from ase.db import connect
from ase.io.extxyz import XYZError, read_xyz

from thermosearch.configuration import from_ase
from thermosearch.dataset.frames import Frame, from_voigt, unreadable
from thermosearch.runtime.errors import InputError

_GROUP_KEYS = ("group", "config_type")
_COUNT = re.compile(r"^\s*(\d+)\s*$")


def read_extxyz(path: Path, group_key: str | None) -> list[Frame]:
    """Frames of an extended XYZ file; one with the wrong number of lines spoils no other."""
    frames = []
    for index, lines in enumerate(_blocks(path)):
        try:
            count = int(lines[0])
            if len(lines) - 2 != count:
                raise XYZError(f"{max(len(lines) - 2, 0)} atom lines for {count} atoms")
            atoms = next(read_xyz(io.StringIO("".join(lines)), slice(0, 1)))
        except (XYZError, ValueError, KeyError, IndexError) as error:
            frames.append(unreadable(index, str(error)))
        else:
            frames.append(_frame(atoms, index, group_key))
    return frames


def read_database(path: Path, group_key: str | None) -> list[Frame]:
    """Rows of an ASE database in the order of their ids."""
    try:
        with connect(str(path)) as database:
            rows = [row.toatoms(add_additional_information=True) for row in database.select()]
    except DatabaseError as error:
        raise InputError(f"{path}: not an ASE database ({error})") from error
    for atoms in rows:
        atoms.info.update(atoms.info.pop("key_value_pairs", {}))
    return [_frame(atoms, index, group_key) for index, atoms in enumerate(rows)]


def _blocks(path: Path) -> Iterator[list[str]]:
    """Lines of one frame after the other.

    A frame starts at a line that is a lone integer: no atom line is, so that the next frame is
    found again after one whose count is wrong.
    """
    block: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            # The line after a count is a comment whatever it holds.
            if _COUNT.match(line) and len(block) != 1:
                if block:
                    yield block
                block = []
            if block or line.strip():
                if not block and not _COUNT.match(line):
                    raise InputError(f"{path}: not an extended XYZ file: starts with {line[:40]!r}")
                block.append(line)
    if block:
        while len(block) > 2 and not block[-1].strip():
            block.pop()
        yield block


def _frame(atoms: Atoms, index: int, group_key: str | None) -> Frame:
    results = dict(atoms.calc.results) if atoms.calc is not None else {}
    keys = _GROUP_KEYS if group_key is None else (group_key,)
    group = next((atoms.info[key] for key in keys if key in atoms.info), "")
    energy = results.get("energy", results.get("free_energy"))
    forces = results.get("forces")
    return Frame(
        from_ase(atoms),
        None if energy is None else float(energy),
        None if forces is None else np.asarray(forces, dtype=np.float64),
        _stress(atoms, results),
        str(group),
        index,
    )


def _stress(atoms: Atoms, results: dict) -> np.ndarray | None:
    if results.get("stress") is not None:
        stress = np.asarray(results["stress"], dtype=np.float64)
        return stress if stress.shape == (3, 3) else from_voigt(stress)
    if "virial" in atoms.info:
        # The virial of the extended XYZ files of QUIP, eV: -V times the stress.
        return (
            -np.asarray(atoms.info["virial"], dtype=np.float64).reshape(3, 3) / atoms.get_volume()
        )
    return None
