"""The `input.data` of n2p2 and RuNNer.

One frame is `begin`, lines of a keyword with its values, `end`: `lattice` (three lines, or none
for a cluster), `atom x y z symbol charge unused fx fy fz`, `energy`, `charge` (total). The
programs take the numbers as they come; the convention, and the default here, is bohr and
hartree. https://compphysvienna.github.io/n2p2/topics/cfg_file.html
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from thermosearch.configuration import Configuration
from thermosearch.dataset.frames import Frame, unreadable
from thermosearch.runtime.errors import InputError

_ATOM_FIELDS = 9


def read(path: Path) -> list[Frame]:
    """Frames of an `input.data`, the numbers as they come."""
    return [_frame(lines, index) for index, lines in enumerate(_blocks(path))]


def _blocks(path: Path) -> Iterator[list[list[str]]]:
    """Split lines of one frame after the other; the last may lack its `end`."""
    block: list[list[str]] | None = None
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for line in file:
            words = line.split()
            if not words:
                continue
            if words[0] == "begin":
                if block is not None:
                    yield [*block, ["truncated"]]
                block = []
            elif block is None:
                raise InputError(f"{path}: expected `begin`, found {line.strip()[:40]!r}")
            elif words[0] == "end":
                yield block
                block = None
            else:
                block.append(words)
    if block is not None:
        yield [*block, ["truncated"]]


def _frame(lines: list[list[str]], index: int) -> Frame:
    def values(key: str) -> list[list[str]]:
        return [words[1:] for words in lines if words[0] == key]

    atoms = [words for words in values("atom") if len(words) >= _ATOM_FIELDS]
    problem = "truncated" if values("truncated") else ""
    if len(atoms) != len(values("atom")):
        problem = problem or "an atom line without forces"
    try:
        numbers = [atomic_numbers.get(words[3].capitalize(), 0) for words in atoms]
        positions = np.array([words[:3] for words in atoms], dtype=np.float64).reshape(-1, 3)
        forces = np.array([words[6:9] for words in atoms], dtype=np.float64).reshape(-1, 3)
        cell = np.array(values("lattice"), dtype=np.float64)
        total = [float(words[0]) for words in values("energy")]
        charge = [float(words[0]) for words in values("charge")]
    except (ValueError, IndexError) as error:
        return unreadable(index, problem or f"unreadable ({error})")
    if cell.size not in (0, 9):
        cell, problem = np.zeros((0, 3)), problem or "lattice needs three lines of three numbers"
    periodic = cell.size == 9
    return Frame(
        Configuration(
            positions=positions,
            cell=cell if periodic else np.zeros((3, 3)),
            pbc=np.full(3, periodic),
            numbers=np.array(numbers, dtype=np.int32),
            total_charge=np.array(charge[0] if charge else 0.0),
        ),
        total[0] if total else None,
        forces,
        index=index,
        problem=problem,
    )
