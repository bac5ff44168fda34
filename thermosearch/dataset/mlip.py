"""The `.cfg` of MLIP (Novikov et al., Mach. Learn.: Sci. Technol. 2, 025002 (2021)).

A and eV by default. `PlusStress` is the virial, -V times the stress in ASE's sign: positive when
the crystal is compressed. Types are numbers from 0, their symbols are not in the file.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from thermosearch.configuration import Configuration
from thermosearch.dataset.frames import Frame, from_voigt, unreadable
from thermosearch.runtime.errors import InputError

_VOIGT = ("xx", "yy", "zz", "yz", "xz", "xy")


def read(path: Path, elements: Sequence[str] | None) -> list[Frame]:
    """Frames of a `.cfg`; `elements` are the symbols of types 0, 1, ..."""
    if not elements:
        raise InputError(
            f"{path}: MLIP files only number their types; state `elements`, "
            "the symbols of types 0, 1, ..."
        )
    unknown = [symbol for symbol in elements if symbol not in atomic_numbers]
    if unknown:
        raise InputError(f"{path}: elements = {list(elements)}: unknown symbol {unknown[0]!r}")
    blocks = path.read_text(encoding="utf-8", errors="replace").split("BEGIN_CFG")
    if len(blocks) == 1 and blocks[0].strip():
        raise InputError(f"{path}: not an MLIP file: no BEGIN_CFG in it")
    numbers = np.array([atomic_numbers[symbol] for symbol in elements], dtype=np.int32)
    return [_frame(block, index, numbers) for index, block in enumerate(blocks[1:])]


def _frame(block: str, index: int, species: np.ndarray) -> Frame:
    problem = "" if "END_CFG" in block else "truncated"
    lines = [
        line.split() for line in block.split("END_CFG", maxsplit=1)[0].splitlines() if line.split()
    ]
    table: dict[str, list[list[str]]] = {}
    header: dict[str, list[str]] = {}
    key = ""
    for words in lines:
        if words[0][0].isalpha() and words[0] not in ("nan", "inf"):
            key = words[0].rstrip(":")
            table[key], header[key] = [], words[1:]
        elif key:
            table[key].append(words)
    try:
        return _parsed(table, header, index, species, problem)
    except (KeyError, ValueError, IndexError) as error:
        return unreadable(index, problem or f"unreadable ({error})")


def _parsed(
    table: dict[str, list[list[str]]],
    header: dict[str, list[str]],
    index: int,
    species: np.ndarray,
    problem: str,
) -> Frame:
    size, names = int(table["Size"][0][0]), header["AtomData"]
    columns = np.array(table["AtomData"], dtype=np.float64).reshape(-1, len(names))
    if len(columns) != size:
        problem = problem or f"{len(columns)} atom lines for {size} atoms"

    def field(*wanted: str) -> np.ndarray:
        return columns[:, [names.index(name) for name in wanted]]

    vectors = np.array(table.get("Supercell", table.get("SuperCell", [])), dtype=np.float64)
    cell = np.zeros((3, 3))
    cell[: len(vectors)] = vectors.reshape(-1, 3)
    if "direct_x" in names:
        positions = field("direct_x", "direct_y", "direct_z") @ cell
    else:
        positions = field("cartes_x", "cartes_y", "cartes_z")
    types = field("type")[:, 0].astype(int)
    if types.min(initial=0) < 0 or types.max(initial=0) >= len(species):
        problem = problem or f"type {types.max()} beyond the {len(species)} elements given"
        types = np.zeros_like(types)
    stress = None
    if "PlusStress" in table:
        virial = dict(zip(header["PlusStress"], table["PlusStress"][0], strict=True))
        volume = abs(np.linalg.det(cell))
        voigt = np.array([virial[key] for key in _VOIGT], dtype=np.float64)
        stress = from_voigt(-voigt / volume) if volume > 0 else None
    return Frame(
        Configuration(
            positions=positions,
            cell=cell,
            pbc=np.arange(3) < len(vectors),
            numbers=species[types],
            total_charge=np.zeros(()),
        ),
        float(table["Energy"][0][0]) if "Energy" in table else None,
        field("fx", "fy", "fz") if "fx" in names else None,
        stress,
        index=index,
        problem=problem,
    )
