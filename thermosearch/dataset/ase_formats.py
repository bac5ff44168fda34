"""Extended XYZ and ASE databases, both through ASE."""

import io
import re
from collections.abc import Callable, Iterator
from functools import partial
from json import JSONDecodeError
from pathlib import Path
from sqlite3 import DatabaseError

import numpy as np
from ase import Atoms
from ase.db import connect
from ase.db.row import AtomsRow
from ase.io.extxyz import XYZError, read_xyz
from ase.io.formats import UnknownFileTypeError

from thermosearch.configuration import from_ase
from thermosearch.dataset.frames import Frame, from_voigt, unreadable
from thermosearch.runtime.errors import InputError

_GROUP_KEYS = ("group", "config_type")
# What ASE raises over a frame it cannot parse, and what we refuse.
_UNREADABLE = (
    XYZError,
    InputError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
)
_COUNT = re.compile(r"^\s*(\d+)\s*$")


def read_extxyz(path: Path, group_key: str | None) -> list[Frame]:
    """Frames of an extended XYZ file; one with the wrong number of lines spoils no other."""
    blocks = enumerate(_blocks(path))
    return [_read_one(partial(_parsed, lines), index, group_key) for index, lines in blocks]


def read_database(path: Path, group_key: str | None) -> list[Frame]:
    """Rows of an ASE database in the order of their ids."""
    try:
        with connect(str(path), type="json" if path.suffix == ".json" else "db") as database:
            rows = list(database.select())
    except (DatabaseError, JSONDecodeError, UnknownFileTypeError) as error:
        raise InputError(f"{path}: not an ASE database ({error})") from error
    return [_read_one(partial(_of_row, row), index, group_key) for index, row in enumerate(rows)]


def _read_one(read: Callable[[], Atoms], index: int, group_key: str | None) -> Frame:
    """One frame; what is wrong with it spoils no other."""
    try:
        return _frame(read(), index, group_key)
    except _UNREADABLE as error:
        return unreadable(index, str(error))


def _parsed(lines: list[str]) -> Atoms:
    count = int(lines[0])
    if len(lines) - 2 != count:
        raise XYZError(f"{max(len(lines) - 2, 0)} atom lines for {count} atoms")
    return next(read_xyz(io.StringIO("".join(lines)), slice(0, 1)))


def _of_row(row: AtomsRow) -> Atoms:
    atoms = row.toatoms(add_additional_information=True)
    atoms.info.update(atoms.info.pop("key_value_pairs", {}))
    return atoms


def _blocks(path: Path) -> Iterator[list[str]]:
    """Lines of one frame after the other.

    A frame starts at a line that is a lone integer: no atom line is, so that the next frame is
    found again after one whose count is wrong.
    """
    block: list[str] = []
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for line in file:
            # The line after a count is a comment whatever it holds.
            if _COUNT.match(line) and len(block) != 1:
                if block:
                    yield _without_blank_end(block)
                block = []
            if block or line.strip():
                if not block and not _COUNT.match(line):
                    raise InputError(f"{path}: not an extended XYZ file: starts with {line[:40]!r}")
                block.append(line)
    if block:
        yield _without_blank_end(block)


def _without_blank_end(block: list[str]) -> list[str]:
    """Lines of a frame; its comment may be blank, what follows its atoms is none of its own."""
    last = max((k for k, line in enumerate(block) if line.strip()), default=0)
    return block[: max(last + 1, 2)]


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
        # The virial of the extended XYZ files of QUIP, an energy: -V times the stress.
        virial = np.asarray(atoms.info["virial"], dtype=np.float64).reshape(3, 3)
        # A molecule has no volume, so no stress.
        return -virial / atoms.get_volume() if atoms.cell.rank == 3 else None
    return None
