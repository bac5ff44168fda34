"""The Stillinger-Weber potential of silicon."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from thermosearch.configuration import Array, Configuration
from thermosearch.potentials.interface import Neighbours, Potential, pair_vectors


class StillingerWeber(Potential):
    """Pairs and triplets that favour tetrahedra, with the published parameters of silicon.

    E = sum_{i<j} A eps (B (s/r)^4 - 1) exp(s / (r - a s))
        + sum_i sum_{j<k} lambda eps g(r_ij) g(r_ik) (cos theta_jik + 1/3)^2,
    g(r) = exp(gamma s / (r - a s)), both zero from r = a s on
    (F. H. Stillinger, T. A. Weber, Phys. Rev. B 31, 5262 (1985),
    DOI 10.1103/PhysRevB.31.5262).

    The triplet sum is linear in the neighbours: with unit vectors u_j,
    sum_{j,k} g_j g_k (u_j . u_k + 1/3)^2 = |sum g uu|^2 + 2/3 |sum g u|^2 + (sum g)^2 / 9.

    Parameters
    ----------
    epsilon, sigma : float
        2.1683 eV (50 kcal/mol) and 2.0951 A.
    a_pair, b_pair : float
        A = 7.049556277, B = 0.6022245584.
    reach : float
        a = 1.80; the cutoff is a sigma.
    lambda_, gamma : float
        21.0 and 1.20.
    precision : {"float64", "float32"}
        Of the pair terms; positions and the sum over atoms stay float64.
    """

    epsilon: Float[Array, ""]
    sigma: Float[Array, ""]
    a_pair: Float[Array, ""]
    b_pair: Float[Array, ""]
    lambda_: Float[Array, ""]
    gamma: Float[Array, ""]
    cutoff: float = eqx.field(static=True)
    elements: tuple[int, ...] | None = eqx.field(static=True)
    units: Literal["eV", "reduced"] = eqx.field(static=True)

    def __init__(
        self,
        *,
        epsilon: float = 2.1683,
        sigma: float = 2.0951,
        a_pair: float = 7.049556277,
        b_pair: float = 0.6022245584,
        reach: float = 1.80,
        lambda_: float = 21.0,
        gamma: float = 1.20,
        precision: Literal["float64", "float32"] = "float64",
    ) -> None:
        dtype = jnp.dtype(precision)
        self.epsilon = jnp.asarray(epsilon, dtype)
        self.sigma = jnp.asarray(sigma, dtype)
        self.a_pair = jnp.asarray(a_pair, dtype)
        self.b_pair = jnp.asarray(b_pair, dtype)
        self.lambda_ = jnp.asarray(lambda_, dtype)
        self.gamma = jnp.asarray(gamma, dtype)
        self.cutoff = reach * sigma
        self.elements = (14,)
        self.units = "eV"

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Float[Array, ""]:
        """Sum of pairs and triplets; see the class."""
        vectors, filled = pair_vectors(configuration, neighbours)
        vectors = vectors.astype(self.epsilon.dtype)
        squared = jnp.sum(vectors * vectors, axis=-1)
        # exp(s / (r - a s)) and all its derivatives are zero to rounding well before r = a s.
        inside = filled & (squared < (self.cutoff * (1.0 - 1e-3)) ** 2)
        inverse = 1.0 / jnp.sqrt(jnp.where(inside, squared, 1.0))
        distance = jnp.where(inside, squared * inverse, 0.5 * self.cutoff)
        decay = self.sigma / (distance - self.cutoff)
        per_atom = 0.5 * self._pairs(inverse, decay, inside) + self._triplets(
            vectors * inverse[..., None], decay, inside
        )
        return jnp.sum(per_atom.astype(jnp.float64))

    @property
    def odd_densities(self) -> tuple[bool, ...]:
        """Of `pair_densities`: the three first moments change sign."""
        return (False, *(True,) * 3, *(False,) * 6)

    def pair_densities(
        self, x: Float[Array, "*pairs"], y: Float[Array, "*pairs"], z: Float[Array, "*pairs"]
    ) -> tuple[Float[Array, "*pairs"], ...]:
        """Give what a pair adds to the sums of an atom that its energy is a function of.

        Its share of the pair energy, less the triplet of a neighbour with itself; then g u and
        g uu (xx, yy, zz, yz, zx, xy), of which sum g is the trace. For a walk that moves one atom
        at a time: only a row of pairs changes.
        """
        x, y, z = (component.astype(self.epsilon.dtype) for component in (x, y, z))
        squared = x * x + y * y + z * z
        inside = squared < (self.cutoff * (1.0 - 1e-3)) ** 2
        inverse = 1.0 / jnp.sqrt(jnp.where(inside, squared, 1.0))
        distance = jnp.where(inside, squared * inverse, 0.5 * self.cutoff)
        decay = self.sigma / (distance - self.cutoff)
        weight = jnp.where(inside, jnp.exp(self.gamma * decay), 0.0)
        # Roots and exponentials once, not once for each of the ten sums.
        inverse, weight, fall = jax.lax.optimization_barrier((inverse, weight, jnp.exp(decay)))
        ratio = (self.sigma * inverse) ** 2
        pair = self.a_pair * (self.b_pair * ratio * ratio - 1.0) * fall
        same = self.lambda_ * (4.0 / 3.0) ** 2 * weight * weight
        own = 0.5 * self.epsilon * (jnp.where(inside, pair, 0.0) - same)
        a, b, c = x * inverse, y * inverse, z * inverse
        u, v, w = weight * a, weight * b, weight * c
        densities = (own, u, v, w, u * a, v * b, w * c, v * c, w * a, u * b)
        return tuple(density.astype(jnp.float64) for density in densities)

    def density_energy(
        self, densities: tuple[Float[Array, "*atoms"], ...]
    ) -> Float[Array, "*atoms"]:
        """Energies of atoms with these sums."""
        own, x, y, z, xx, yy, zz, yz, zx, xy = densities
        zeroth = xx + yy + zz
        first = x * x + y * y + z * z
        second = xx * xx + yy * yy + zz * zz + 2.0 * (yz * yz + zx * zx + xy * xy)
        both_orders = second + (2.0 / 3.0) * first + (1.0 / 9.0) * zeroth * zeroth
        return own + (0.5 * self.lambda_ * self.epsilon).astype(jnp.float64) * both_orders

    def _pairs(
        self, inverse: Float[Array, "n m"], decay: Float[Array, "n m"], inside: Array
    ) -> Float[Array, " n"]:
        ratio = (self.sigma * inverse) ** 2
        pairs = (self.b_pair * ratio * ratio - 1.0) * jnp.exp(decay)
        return self.a_pair * self.epsilon * jnp.sum(jnp.where(inside, pairs, 0.0), axis=1)

    def _triplets(
        self, unit: Float[Array, "n m 3"], decay: Float[Array, "n m"], inside: Array
    ) -> Float[Array, " n"]:
        weight = jnp.where(inside, jnp.exp(self.gamma * decay), 0.0)
        weighted = weight[..., None] * unit
        zeroth = jnp.sum(weight, axis=1)
        first = jnp.sum(weighted, axis=1)
        second = jnp.einsum("nma,nmb->nab", weighted, unit)
        both_orders = (
            jnp.sum(second**2, axis=(1, 2))
            + (2.0 / 3.0) * jnp.sum(first**2, axis=1)
            + (1.0 / 9.0) * zeroth**2
        )
        same = (4.0 / 3.0) ** 2 * jnp.sum(weight**2, axis=1)
        return 0.5 * self.lambda_ * self.epsilon * (both_orders - same)
