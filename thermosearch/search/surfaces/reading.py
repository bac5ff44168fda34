"""What the files of a surface study hold, in atoms of every element."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from jaxtyping import Float, Int

from thermosearch.configuration import read_atoms
from thermosearch.runtime.errors import InputError
from thermosearch.search.surfaces.gases import GASES
from thermosearch.search.surfaces.study import ReservoirEntry, SlabEntry


class SlabFiles(NamedTuple):
    """A slab of the study, its structure and that of its other face, None where it has none."""

    entry: SlabEntry
    atoms: Atoms
    other: Atoms | None


class ReservoirFile(NamedTuple):
    """A reservoir of the study and its structure, None where only its energy is given."""

    entry: ReservoirEntry
    atoms: Atoms | None


def read_slab(entry: SlabEntry) -> SlabFiles:
    """Read the files of a slab."""
    label, face = f"slabs: {entry.label}", entry.other_face
    other = None if face is None else read_atoms(face, f"{label}: other_face", 0)
    return SlabFiles(entry, read_atoms(entry.file, label, entry.index), other)


def read_reservoir(entry: ReservoirEntry) -> ReservoirFile:
    """Read the file of a reservoir."""
    atoms = None if entry.file is None else read_atoms(entry.file, "reservoirs", 0)
    return ReservoirFile(entry, atoms)


def elements_of(slabs: Sequence[SlabFiles]) -> Int[np.ndarray, " e"]:
    """Atomic numbers of all elements of the slabs, their other faces included."""
    read = [atoms for slab in slabs for atoms in (slab.atoms, slab.other) if atoms is not None]
    return np.unique(np.concatenate([atoms.numbers for atoms in read]))


def counts(
    numbers: Int[np.ndarray, " n"], elements: Int[np.ndarray, " e"]
) -> Int[np.ndarray, " e"]:
    """Atoms of every element."""
    return np.array([np.sum(np.asarray(numbers) == element) for element in elements], np.int64)


def name_of(entry: ReservoirEntry) -> str:
    """Return what messages call a reservoir."""
    return str(entry.file or entry.gas or entry.element)


def composition(
    elements: Int[np.ndarray, " e"], reservoir: ReservoirFile
) -> Float[np.ndarray, " e"]:
    """Atoms of every element that the energy of a reservoir is of.

    That of a crystal is of its cell, of a gas of a molecule, of a free element of one atom.

    Raises
    ------
    InputError
        If it holds an element that no slab does, or its file is not of its element or molecule.
    """
    entry, label = reservoir.entry, f"reservoirs: {name_of(reservoir.entry)}"
    held = Counter() if reservoir.atoms is None else Counter(reservoir.atoms.symbols)
    if entry.element is not None:
        if entry.file is not None and set(held) != {entry.element}:
            raise InputError(
                f"{label}: it holds {_formula(held)}, not {entry.element} alone: give a structure "
                "of the element, or its `energy`"
            )
        held = Counter([entry.element])
    elif entry.gas is not None:
        molecule = Counter(GASES[entry.gas].composition)
        if entry.file is not None and held != molecule:
            raise InputError(
                f"{label}: it holds {_formula(held)}, not one molecule of {entry.gas}: give that, "
                "or its `energy`"
            )
        held = molecule
    foreign = [symbol for symbol in held if atomic_numbers[symbol] not in elements]
    if foreign:
        raise InputError(
            f"{label}: no slab holds {', '.join(foreign)}: take phases of the slabs' elements alone"
        )
    return np.array([held[chemical_symbols[number]] for number in elements], np.float64)


def _formula(held: Counter[str]) -> str:
    return "".join(f"{symbol}{held[symbol] if held[symbol] > 1 else ''}" for symbol in sorted(held))
