"""What both kinds of structure picture need: bonds, dimers, radii and colours."""

from typing import NamedTuple

import ase
import numpy as np
from ase.data import atomic_numbers, covalent_radii
from ase.data.colors import jmol_colors
from ase.neighborlist import neighbor_list

# Two atoms are drawn as bonded up to this many times the sum of their covalent radii.
BOND_TOLERANCE = 1.2
# Deep to high; readable on light and dark pages.
HEIGHT_RAMP = ("#3b4a8c", "#2f6f9f", "#2a9d8f", "#7cc46b", "#f2d14b")


class Bonds(NamedTuple):
    """Pairs drawn as bonds, each once: atoms i and j and the cell j lies in, (m,) and (m, 3)."""

    first: np.ndarray
    second: np.ndarray
    shift: np.ndarray
    dimer: np.ndarray


def bonds(atoms: ase.Atoms) -> Bonds:
    """Bonds by covalent radii, periodic images counted; `dimer` marks partners of one dimer.

    Dimers are atoms with the same non-negative entry of the array `dimer`; atoms of number 0
    and directions with an empty cell vector are left out.
    """
    radii = covalent_radii[atoms.numbers] * BOND_TOLERANCE * (atoms.numbers > 0)
    periodic = atoms.pbc & (np.linalg.norm(atoms.cell.array, axis=1) > 1e-9)
    bare = ase.Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=periodic)
    first, second, shift = neighbor_list("ijS", bare, radii)
    once = (first < second) | ((first == second) & (_sign(shift) > 0))
    first, second, shift = first[once], second[once], shift[once]
    partner = atoms.arrays.get("dimer", np.full(len(atoms), -1))
    dimer = (partner[first] >= 0) & (partner[first] == partner[second])
    return Bonds(first, second, shift, dimer)


def cell_edges(atoms: ase.Atoms) -> np.ndarray:
    """Edges of the cell as (k, 2, 3) points; none where two of its vectors are missing.

    An open third direction, of a slab, is mostly vacuum: the box then ends where the atoms do.
    """
    cell, origin = atoms.cell.array.copy(), np.zeros(3)
    if not atoms.pbc[2]:
        low, high = atoms.positions[:, 2].min(), atoms.positions[:, 2].max()
        cell[2], origin[2] = (0.0, 0.0, high - low), low
    if np.linalg.norm(cell[:2], axis=1).min() < 0.1:
        return np.empty((0, 2, 3))
    corners = {bits: origin + np.array(bits) @ cell for bits in np.ndindex(2, 2, 2)}
    edges = [
        (start, end)
        for here, start in corners.items()
        for there, end in corners.items()
        if sum(there) - sum(here) == 1 and all(t >= h for t, h in zip(there, here, strict=True))
    ]
    return np.array(edges)


def colour_of(symbol: str) -> str:
    """Colour of an element, hexadecimal: Jmol's."""
    red, green, blue = (round(255 * each) for each in jmol_colors[atomic_numbers[symbol]])
    return f"#{red:02x}{green:02x}{blue:02x}"


def radius_of(symbol: str) -> float:
    """Radius at which an element is drawn in pictures, A."""
    return float(covalent_radii[atomic_numbers[symbol]])


def ramp(fraction: float) -> str:
    """Colour of the height ramp at 0 (deep) to 1 (high), hexadecimal."""
    place = min(max(fraction, 0.0), 1.0) * (len(HEIGHT_RAMP) - 1)
    low = min(int(place), len(HEIGHT_RAMP) - 2)
    return mix(HEIGHT_RAMP[low], HEIGHT_RAMP[low + 1], place - low)


def mix(colour: str, other: str, share: float) -> str:
    """Mix two colours, hexadecimal; `share` 1 gives the other one."""
    pairs = [(int(colour[k : k + 2], 16), int(other[k : k + 2], 16)) for k in (1, 3, 5)]
    return "#" + "".join(f"{round(own + share * (end - own)):02x}" for own, end in pairs)


def _sign(shift: np.ndarray) -> np.ndarray:
    """+1 or -1 by the first non-zero component: one of S and -S is kept."""
    return np.sign(shift @ np.array([1_000_000, 1_000, 1]))
