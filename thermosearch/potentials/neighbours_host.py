"""Neighbour lists made on the host: any size of cell, any mixture of periodic directions."""

import numpy as np
from jaxtyping import Int

from thermosearch.configuration import Configuration, pairs_within
from thermosearch.potentials.interface import Neighbours
from thermosearch.runtime.errors import InputError


def host_neighbours(
    configuration: Configuration, cutoff: float | None, capacity: int | None = None
) -> Neighbours:
    """List all neighbours within a cutoff in padded arrays, every periodic image counted.

    Parameters
    ----------
    configuration : Configuration
        One configuration of `n` atoms, padding included; padding atoms have no neighbours.
    cutoff : float or None
        A (or the potential's length); None gives an empty list; infinity is allowed where no
        direction is periodic.
    capacity : int, optional
        Slots an atom; just enough for the fullest atom by default. If it is too small, the list
        is incomplete and says so by `needed > capacity`.

    Returns
    -------
    Neighbours
        numpy arrays.
    """
    n = len(configuration.numbers)
    if cutoff is None:
        return _padded(n, *_NO_PAIRS, capacity=capacity)
    i, j, shift, _ = pairs_within(configuration, cutoff)
    return _padded(n, i, j, shift, capacity=capacity)


def refuse_negative_skin(skin: float) -> None:
    """Refuse to make lists that reach less far than the cutoff.

    Raises
    ------
    InputError
        If the skin is negative.
    """
    if skin < 0.0:
        raise InputError(
            f"skin = {skin}: lists would lack pairs within the cutoff: give 0 or more (A)"
        )


_NO_PAIRS = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3), np.int32))


def _padded(
    n: int,
    i: Int[np.ndarray, " pairs"],
    j: Int[np.ndarray, " pairs"],
    shift: Int[np.ndarray, "pairs 3"],
    *,
    capacity: int | None,
) -> Neighbours:
    """Both directions of every pair (i, j, S) in the rows of i and j, each knowing its mirror."""
    pairs = len(i)
    row, partner = np.concatenate((i, j)), np.concatenate((j, i))
    counts = np.bincount(row, minlength=n)
    needed = int(counts.max(initial=0))
    m = max(needed, 1) if capacity is None else capacity

    order = np.argsort(row, kind="stable")
    column = np.empty(2 * pairs, np.int64)
    column[order] = np.arange(2 * pairs) - np.repeat(np.cumsum(counts) - counts, counts)
    fits = column < m
    slot = np.where(fits, row * m + column, n * m)
    mirror = np.roll(slot, pairs)

    index = np.full(n * m, n, np.int32)
    shifts = np.zeros((n * m, 3), np.int32)
    reverse = np.full(n * m, n * m, np.int32)
    index[slot[fits]] = partner[fits]
    shifts[slot[fits]] = np.concatenate((shift, -shift))[fits]
    reverse[slot[fits]] = mirror[fits]
    return Neighbours(
        index=index.reshape(n, m),
        shift=shifts.reshape(n, m, 3),
        reverse=reverse.reshape(n, m),
        needed=np.asarray(needed, np.int32),
    )


def widen(neighbours: Neighbours, capacity: int, atoms: int | None = None) -> Neighbours:
    """Append empty slots to a complete list, and rows without neighbours for padding atoms.

    Parameters
    ----------
    neighbours : Neighbours
        numpy arrays of `n` rows.
    capacity : int
        Slots wanted for every atom.
    atoms : int, optional
        Rows wanted; `n` by default.

    Raises
    ------
    ValueError
        If the list is incomplete or already wider or longer.
    """
    n, m = neighbours.index.shape
    atoms = n if atoms is None else atoms
    if not (neighbours.needed <= m <= capacity and n <= atoms):
        raise ValueError(
            f"cannot widen {n} x {m} slots ({neighbours.needed} needed) to {atoms} x {capacity}"
        )
    more = ((0, atoms - n), (0, capacity - m))
    index = np.where(neighbours.index == n, atoms, neighbours.index)
    row, column = np.divmod(np.asarray(neighbours.reverse), max(m, 1))
    reverse = np.where(row < n, row * capacity + column, atoms * capacity).astype(np.int32)
    return Neighbours(
        index=np.pad(index, more, constant_values=atoms).astype(np.int32),
        shift=np.pad(neighbours.shift, (*more, (0, 0))),
        reverse=np.pad(reverse, more, constant_values=atoms * capacity),
        needed=neighbours.needed,
    )
