"""Short-range repulsion of Ziegler, Biersack and Littmark, switched off below bond lengths.

J. F. Ziegler, J. P. Biersack, U. Littmark, The Stopping and Range of Ions in Solids (1985):

    E(r) = Z1 Z2 e^2 / (4 pi eps0 r) phi(r / a),   a = 0.46850 A / (Z1^0.23 + Z2^0.23)

It keeps an exploration out of the region where a network has never seen data.
"""

import jax.numpy as jnp
from ase.data import covalent_radii
from jaxtyping import Float

from thermosearch.configuration import Array
from thermosearch.units import COULOMB_EV_A

SCREENING = ((0.18175, 3.19980), (0.50986, 0.94229), (0.28022, 0.40290), (0.02817, 0.20162))


def zbl(
    r: Float[Array, "*shape"], z1: Float[Array, "..."], z2: Float[Array, "..."]
) -> Float[Array, "*shape"]:
    """Universal screened Coulomb energy of a pair, eV.

    Parameters
    ----------
    r : (...)
        Distance, A.
    z1, z2 : broadcastable to (...)
        Atomic numbers.
    """
    scaled = r * (z1**0.23 + z2**0.23) / 0.46850
    screening = sum(amplitude * jnp.exp(-decay * scaled) for amplitude, decay in SCREENING)
    return COULOMB_EV_A * z1 * z2 / r * screening


def smooth_step(
    r: Float[Array, "*shape"], inner: Float[Array, "..."], outer: Float[Array, "..."]
) -> Float[Array, "*shape"]:
    """One up to `inner`, zero from `outer`, with two continuous derivatives at both ends."""
    s = jnp.clip((r - inner) / (outer - inner), 0.0, 1.0)
    return 1.0 - s**3 * (10.0 - 15.0 * s + 6.0 * s**2)


def pair_repulsion(
    r: Float[Array, "*shape"],
    z1: Float[Array, "..."],
    z2: Float[Array, "..."],
    radii: Float[Array, "..."],
    switch: tuple[float, float],
) -> Float[Array, "*shape"]:
    """Repulsion energy of each pair, eV: ZBL, switched off between two multiples of `radii`.

    Parameters
    ----------
    r : (...)
        Distance, A.
    z1, z2 : broadcastable to (...)
        Atomic numbers.
    radii : broadcastable to (...)
        Sum of the covalent radii, A.
    switch : tuple of float
        Where the switch begins and ends.
    """
    return zbl(r, z1, z2) * smooth_step(r, switch[0] * radii, switch[1] * radii)


def covalent_radius(number: int) -> float:
    """Covalent radius of an element, A (Cordero et al., Dalton Trans. 2832 (2008))."""
    return float(covalent_radii[number])
