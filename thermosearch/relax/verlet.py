"""Neighbour lists with a skin: made once, valid until the atoms have moved too far."""

import math

import jax.numpy as jnp
from jaxtyping import Bool, Float

from thermosearch.configuration import Array, Configuration
from thermosearch.potentials.interface import Neighbours
from thermosearch.potentials.neighbours_device import Held


def is_outdated(
    verlet: Held, configuration: Configuration, cutoff: float, skin: float, deforms: bool
) -> Bool[Array, ""]:
    """Whether a pair outside the list may have come within the cutoff.

    With the deformation D = h0^-1 h since the list was made and the displacements
    u_i = r_i - r0_i D on top of it, a pair that was at r0 > cutoff + skin is now at
    r >= r0 (1 - |D - 1|) - 2 max|u|, so the list serves while
    2 max|u| + (cutoff + skin) |D - 1| <= skin. Not-a-number counts as outdated.

    Parameters
    ----------
    verlet : Held
        List of the pairs within cutoff + skin, and the geometry it was made for.
    configuration : Configuration
        The geometry to be evaluated next.
    cutoff, skin : float
        A.
    deforms : bool
        Whether the cell may change; if not, D = 1.
    """
    if math.isinf(cutoff):  # the list holds all pairs
        return jnp.any(jnp.isnan(verlet.positions))
    carried, strain = verlet.positions, 0.0
    if deforms:
        deformation = _inverse(verlet.cell) @ configuration.cell
        carried = carried @ deformation
        strain = jnp.linalg.norm(deformation - jnp.eye(3))
    travel = jnp.sqrt(jnp.max(jnp.sum((configuration.positions - carried) ** 2, axis=-1)))
    return ~(2.0 * travel + (cutoff + skin) * strain <= skin)


def no_list(configuration: Configuration, capacity: int) -> Held:
    """Return an empty list that is outdated at once."""
    atoms = configuration.positions.shape[0]
    neighbours = Neighbours(
        index=jnp.full((atoms, capacity), atoms, jnp.int32),
        shift=jnp.zeros((atoms, capacity, 3), jnp.int32),
        reverse=jnp.full((atoms, capacity), atoms * capacity, jnp.int32),
        needed=jnp.int32(0),
    )
    nowhere = jnp.full((atoms, 3), jnp.nan)
    return Held(neighbours, nowhere, jnp.asarray(configuration.cell))


def _inverse(cell: Float[Array, "3 3"]) -> Float[Array, "3 3"]:
    """Inverse by cross products: LAPACK costs more than the rest of the check."""
    a, b, c = cell
    columns = jnp.stack([jnp.cross(b, c), jnp.cross(c, a), jnp.cross(a, b)], axis=1)
    return columns / jnp.dot(a, jnp.cross(b, c))
