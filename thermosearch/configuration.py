"""One atomistic configuration, or a batch of them, as a small pytree of plain arrays."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import ase.io
import ase.parallel
import jax
import numpy as np
import vesin
from ase import Atoms
from ase.data import chemical_symbols
from jaxtyping import Bool, Float, Int

from thermosearch.runtime.errors import InputError

Array: TypeAlias = jax.Array | np.ndarray

# ASE finds mpi4py by itself and makes its readers and writers collective over all ranks; here a
# rank that reads or writes does so alone.
ase.parallel.world.comm = ase.parallel.DummyMPI()

PADDING = 0
"""Atomic number of a padding atom: no neighbours, no energy, no force."""


class Configuration(NamedTuple):
    """Positions and cell of `n` atoms; a batch adds a leading axis to every field.

    Attributes
    ----------
    positions : (n, 3) float64
        Cartesian positions in A (or in the reduced length of the potential).
    cell : (3, 3) float64
        Rows are the lattice vectors. A non-periodic direction may carry a vector
        (it is never wrapped) or zeros.
    pbc : (3,) bool
        Which lattice directions are periodic.
    numbers : (n,) int32
        Atomic numbers; `PADDING` (0) marks an atom that only fills the shape.
    total_charge : () float64
        Total charge in e.
    """

    positions: Float[Array, "*batch n 3"]
    cell: Float[Array, "*batch 3 3"]
    pbc: Bool[Array, "*batch 3"]
    numbers: Int[Array, "*batch n"]
    total_charge: Float[Array, "*batch"]


def read_atoms(path: Path, label: str, index: int = -1) -> Atoms:
    """Read one structure of a file in any format of ASE.

    Parameters
    ----------
    path : Path
        The file.
    label : str
        Of the study's key, for messages.
    index : int
        Frame, the last one by default.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        return ase.io.read(path, index=index)
    except Exception as error:  # ASE's readers raise whatever they stumble upon
        frame = "" if index == -1 else f"frame {index} of "
        reason = str(error) or type(error).__name__
        raise InputError(f"{label}: {frame}{path} cannot be read: {reason}") from error


def from_ase(atoms: Atoms) -> Configuration:
    """Return the configuration of an ASE structure, positions as they stand, not wrapped.

    Parameters
    ----------
    atoms : ase.Atoms
        `info["total_charge"]` (e) is taken over if present.

    Returns
    -------
    Configuration
        numpy arrays.

    Raises
    ------
    InputError
        If the structure holds an atom of unknown element (`X`): its number 0 marks padding here.
    """
    numbers = np.asarray(atoms.numbers, np.int32)
    if np.any(numbers <= PADDING):
        raise InputError(
            f"structure: atom {int(np.argmin(numbers))} is of no element (number "
            f"{int(numbers.min())}): give every atom a chemical element"
        )
    return Configuration(
        positions=np.array(atoms.positions, np.float64),
        cell=np.array(atoms.cell[:], np.float64),
        pbc=np.array(atoms.pbc, bool),
        numbers=numbers,
        total_charge=np.asarray(float(atoms.info.get("total_charge", 0.0))),
    )


def to_ase(configuration: Configuration) -> Atoms:
    """ASE structure of one configuration, without its padding atoms."""
    real = np.asarray(configuration.numbers) != PADDING
    charge = float(configuration.total_charge)
    return Atoms(
        numbers=np.asarray(configuration.numbers)[real],
        positions=np.asarray(configuration.positions)[real],
        cell=np.asarray(configuration.cell),
        pbc=np.asarray(configuration.pbc),
        info={"total_charge": charge} if charge else {},
    )


def pad(configuration: Configuration, n: int) -> Configuration:
    """Append padding atoms (at the origin) until there are `n` atoms."""
    missing = n - len(configuration.numbers)
    if missing < 0:
        raise ValueError(f"cannot pad {len(configuration.numbers)} atoms to {n}")
    return configuration._replace(
        positions=np.pad(configuration.positions, ((0, missing), (0, 0))),
        numbers=np.pad(configuration.numbers, (0, missing), constant_values=PADDING),
    )


def stack(configurations: Sequence[Configuration]) -> Configuration:
    """One batch of configurations with equal numbers of atoms (see `pad`)."""
    return Configuration(*(np.stack(field) for field in zip(*configurations, strict=True)))


OVERLAP = 0.1
"""Distance, A, at which two atoms stand for one, wherever nothing else is asked for."""


def validate(
    configuration: Configuration,
    *,
    elements: Collection[int] | None = None,
    closest: float = 0.0,
    label: str = "structure",
) -> None:
    """Refuse what no potential can be asked about.

    Parameters
    ----------
    configuration : Configuration
        One configuration.
    elements : collection of int or None
        Atomic numbers allowed; None for any.
    closest : float
        Two atoms (or an atom and its own image) at this distance or nearer overlap.
    label : str
        What the message calls the structure.

    Raises
    ------
    InputError
        Naming the first mistake: no atoms, non-finite positions, cell or charge, a cell singular
        in its periodic directions, unknown elements, overlapping atoms.
    """
    positions, cell = np.asarray(configuration.positions), np.asarray(configuration.cell)
    if len(positions) == 0:
        raise InputError(f"{label}: it has no atoms: give one at least")
    finite = np.isfinite(positions).all(axis=1)
    if not finite.all():
        atom = int(np.argmin(finite))
        raise InputError(f"{label}: position of atom {atom} is {positions[atom]}: must be finite")
    if not (np.isfinite(cell).all() and np.isfinite(configuration.total_charge)):
        raise InputError(f"{label}: cell or total charge is not finite: {cell.tolist()}")
    if _is_singular(cell[np.asarray(configuration.pbc)]):
        raise InputError(
            f"{label}: the periodic cell vectors {cell.tolist()} span no volume: give independent "
            "vectors, or pbc = false in the directions that do not repeat"
        )
    if elements is not None:
        _refuse_unknown(np.asarray(configuration.numbers), elements, label)
    _refuse_overlap(configuration, closest, label)


def pairs_within(
    configuration: Configuration, cutoff: float
) -> tuple[
    Int[np.ndarray, " pairs"],
    Int[np.ndarray, " pairs"],
    Int[np.ndarray, "pairs 3"],
    Float[np.ndarray, " pairs"],
]:
    """Every pair of atoms nearer than the cutoff, once, on the host (vesin).

    Parameters
    ----------
    configuration : Configuration
        One configuration; padding atoms have no pairs. Non-periodic directions never wrap,
        whatever their cell vector.
    cutoff : float
        May be infinite if no direction is periodic.

    Returns
    -------
    i, j : (pairs,) int64
        The atoms; an atom pairs with its own images too.
    shift : (pairs, 3) int32
        Lattice translation S: r_ij = r_j + S @ cell - r_i.
    distance : (pairs,) float64
        |r_ij|.
    """
    real = np.flatnonzero(np.asarray(configuration.numbers) != PADDING)
    positions = np.asarray(configuration.positions)[real]
    pbc = np.asarray(configuration.pbc)
    if np.isinf(cutoff):
        if pbc.any():
            raise InputError("potential: an infinite cutoff needs pbc = false in all directions")
        cutoff = 1.0 + float(np.linalg.norm(np.ptp(positions, axis=0)))
    cell = _independent_cell(np.asarray(configuration.cell), pbc)
    # One thread: ranks share the cores, and the order of pairs must not depend on them.
    search = vesin.NeighborList(cutoff=cutoff, full_list=False, n_threads=1)
    i, j, shift, distance = search.compute(
        _closed_up(positions, cell[~pbc], cutoff), cell, pbc, "ijSd"
    )
    return real[i.astype(np.int64)], real[j.astype(np.int64)], shift.astype(np.int32), distance


def _independent_cell(
    cell: Float[np.ndarray, "3 3"], pbc: Bool[np.ndarray, "3"]
) -> Float[np.ndarray, "3 3"]:
    """Cell with the non-periodic vectors replaced by unit vectors normal to the periodic ones."""
    normals = np.linalg.svd(np.where(pbc[:, None], cell, 0.0))[2]
    replaced = cell.copy()
    replaced[~pbc] = normals[pbc.sum() :]
    return replaced


def _closed_up(
    positions: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "k 3"], cutoff: float
) -> Float[np.ndarray, "n 3"]:
    """Positions with empty space wider than the cutoff narrowed along the open directions.

    The search bins the box around the atoms: one that flew off would make it endless, or end the
    process. The atoms on the median's side of every such gap stay where they are, bit for bit.
    """
    for normal in normals:
        height = positions @ normal
        order = np.argsort(height)
        gaps = np.diff(height[order], prepend=height[order[:1]])
        spare = np.cumsum(np.maximum(gaps - 1.5 * cutoff, 0.0))
        if np.any(spare):
            lowered = np.empty_like(height)
            lowered[order] = spare - spare[len(spare) // 2]
            positions = positions - lowered[:, None] * normal
    return positions


def _is_singular(vectors: Float[np.ndarray, "k 3"]) -> bool:
    """Whether the lattice vectors are dependent to rounding."""
    singular = np.linalg.svd(vectors, compute_uv=False)
    return len(vectors) > 0 and bool(singular[-1] <= 1e-10 * singular[0])


def _refuse_unknown(numbers: Int[np.ndarray, " n"], elements: Collection[int], label: str) -> None:
    unknown = sorted({int(z) for z in numbers} - {*elements, PADDING})
    if unknown:
        names = ", ".join(chemical_symbols[z] for z in unknown)
        known = ", ".join(chemical_symbols[z] for z in sorted(elements))
        raise InputError(f"{label}: the potential does not know {names}; it knows {known}")


def _refuse_overlap(configuration: Configuration, closest: float, label: str) -> None:
    if closest <= 0.0:
        return
    # The search bins space by its radius: far below the atoms' spacing it only counts empty bins.
    i, j, _, distance = pairs_within(configuration, max(closest, 2.0))
    if len(i) and distance.min() <= closest:
        pair = int(np.argmin(distance))
        raise InputError(
            f"{label}: atoms {i[pair]} and {j[pair]} overlap, {distance[pair]:.3g} apart: "
            "remove one or move it"
        )
