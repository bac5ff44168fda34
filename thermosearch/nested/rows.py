"""Rows of pairs: one atom with all others and their images, walkers side by side, without lists.

What a potential sums over pairs changes, when one atom moves, by one row. Images are few in small
cells, and looking at all of them beats making a list of those within the cutoff.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Array
from thermosearch.nested.measures import depths, to_cartesian, to_fractional
from thermosearch.potentials.interface import Potential

Terms = tuple[Array, ...]
"""What is summed over pairs: one array each."""


@runtime_checkable
class PairPotential(Protocol):
    """A potential that is a sum over pairs and says so."""

    def pair_energy(self, squared: Float[Array, "*pairs"]) -> Float[Array, "*pairs"]:
        """Energies of pairs at these squared distances, truncation included."""
        ...


@runtime_checkable
class DensityPotential(Protocol):
    """A sum over atoms, each a function of sums over its pairs: of densities around it.

    Attributes
    ----------
    odd_densities : tuple of bool
        For each density, whether a pair seen from its other atom counts with the other sign.
    """

    odd_densities: tuple[bool, ...]

    def pair_densities(
        self, x: Float[Array, "*pairs"], y: Float[Array, "*pairs"], z: Float[Array, "*pairs"]
    ) -> Terms:
        """Give what each pair adds to the densities around its first atom."""
        ...

    def density_energy(self, densities: Terms) -> Float[Array, "*atoms"]:
        """Energies of atoms in these densities."""
        ...


def sums_pairs(potential: Potential) -> bool:
    """Whether one atom's move costs one row of pairs."""
    return isinstance(potential, PairPotential | DensityPotential)


class Lattice(NamedTuple):
    """How far a row reaches.

    Attributes
    ----------
    pbc : (3,) tuple of bool
        Which lattice directions repeat.
    images : (3,) tuple of int
        Images on either side that the thinnest cell allowed needs.
    cutoff : float
        Of the potential.
    """

    pbc: tuple[bool, bool, bool]
    images: tuple[int, int, int]
    cutoff: float


def row(
    pair_terms: Callable[[Array, Array, Array], Terms],
    lattice: Lattice,
    vectors: Float[Array, "places n 3 *w"],
    cell: Float[Array, "3 3 *w"],
    *,
    hidden: Bool[Array, " n"],
) -> Terms:
    """Sum the terms of the pairs of one atom with each of n others over the images of these.

    Parameters
    ----------
    pair_terms : callable
        Of the components of the vectors from the atom.
    lattice : Lattice
        Which images.
    vectors : (places, n, 3, w) float64
        From the atom, at each of some places, to the others.
    cell : (3, 3, w) float64
        Cells.
    hidden : (n,) bool
        For whom nothing is added: the atom itself, see `own_images`.

    Returns
    -------
    tuple of (places, n, w) float64
        One for each term.
    """
    if not any(lattice.pbc):
        return _without(hidden[:, None], pair_terms, vectors)
    flat = vectors.reshape(-1, *vectors.shape[2:])
    itself = jnp.tile(hidden, len(vectors))[:, None]
    fractional = to_fractional(flat, cell)

    def within(reach: int) -> Terms:
        near = fractional - _turns(fractional, _counts(lattice, reach), lattice.pbc)
        nearest, shifts = to_cartesian(near, cell), _translations(lattice, reach, cell)
        every = _without(itself, pair_terms, nearest + shifts[:, None])
        return tuple(jnp.sum(term, axis=0) for term in every)

    most = 2 * max(lattice.images) + 1
    reaches = [partial(within, reach) for reach in range(1, most + 1)]
    found = jax.lax.switch(_reach(lattice, cell, most), reaches)
    return tuple(term.reshape(*vectors.shape[:2], *vectors.shape[3:]) for term in found)


def own_images(
    pair_terms: Callable[[Array, Array, Array], Terms],
    lattice: Lattice,
    cell: Float[Array, "3 3 *w"],
) -> Terms:
    """Terms of the pairs of an atom with its own images, the same for every atom: (w,) each."""
    most = 2 * max(lattice.images) + 1 if any(lattice.pbc) else 1
    shifts = _translations(lattice, most, cell)[:, None]
    home = np.all(_whole(lattice, most) == 0, axis=1)[:, None, None]
    every = _without(jnp.asarray(home), pair_terms, shifts)
    return tuple(jnp.sum(term, axis=(0, 1)) for term in every)


def _without(
    hidden: Bool[Array, "..."],
    pair_terms: Callable[[Array, Array, Array], Terms],
    vectors: Float[Array, "a b 3 *w"],
) -> Terms:
    """Terms of pairs, (a, b, w) each, zero for those hidden."""
    # One component of these is anything but zero: no NaN is made.
    x = jnp.where(hidden, 1.0, vectors[:, :, 0])
    terms = pair_terms(x, vectors[:, :, 1], vectors[:, :, 2])
    return tuple(jnp.where(hidden, 0.0, term) for term in terms)


def _reach(lattice: Lattice, cell: Float[Array, "3 3 *w"], most: int) -> Int[Array, ""]:
    """Images a direction that any of the walkers needs, less one.

    With r images to choose from, all vectors shorter than r / 2 times the depth of the cell are
    among them: the nearest image alone for r = 1, that before and that behind for r = 2.
    """
    thin = jnp.where(jnp.asarray(lattice.pbc)[:, None], depths(cell), jnp.inf)
    thinnest = jnp.min(thin)
    short = [0.5 * r * thinnest < lattice.cutoff for r in range(1, most)]
    return sum((s.astype(jnp.int32) for s in short), start=jnp.zeros((), jnp.int32))


def _counts(lattice: Lattice, reach: int) -> tuple[int, ...]:
    """Images in each direction."""
    return tuple(min(reach, 2 * k + 1) for k in lattice.images)


def _turns(
    fractional: Float[Array, "n 3 *w"], counts: tuple[int, ...], pbc: tuple[bool, bool, bool]
) -> Float[Array, "n 3 *w"]:
    """Whole lattice vectors to take off: to the nearest image, or to the first one ahead."""
    parts = []
    for i, (count, repeats) in enumerate(zip(counts, pbc, strict=True)):
        part = fractional[:, i]
        turned = jnp.round(part) if count % 2 else jnp.floor(part)
        parts.append(turned if repeats else jnp.zeros_like(part))
    return jnp.stack(parts, axis=1)


def _whole(lattice: Lattice, reach: int) -> Int[np.ndarray, "images 3"]:
    """Lattice translations, in lattice vectors."""
    ranges = (range(-(c // 2), c - c // 2) for c in _counts(lattice, reach))
    return np.array(list(product(*ranges)), np.int32)


def _translations(
    lattice: Lattice, reach: int, cell: Float[Array, "3 3 *w"]
) -> Float[Array, "images 3 *w"]:
    """Lattice translations, Cartesian."""
    whole = jnp.asarray(_whole(lattice, reach), jnp.float64)[..., None]
    return to_cartesian(jnp.broadcast_to(whole, (*whole.shape[:2], *cell.shape[2:])), cell)
