"""The Lennard-Jones potential, of clusters and of bulk."""

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from thermosearch.configuration import PADDING, Array, Configuration
from thermosearch.potentials.interface import Neighbours, Potential, pair_vectors
from thermosearch.runtime.errors import InputError
from thermosearch.runtime.mistakes import nearest


class LennardJones(Potential):
    """Pairs attract as r^-6 and repel as r^-12.

    phi(r) = 4 epsilon ((sigma / r)^12 - (sigma / r)^6), E = sum over pairs within the cutoff
    (J. E. Jones, Proc. R. Soc. A 106, 463 (1924), DOI 10.1098/rspa.1924.0082).

    Parameters
    ----------
    epsilon, sigma : float
        Well depth and the distance of zero energy; both 1 in reduced units.
    cutoff : float
        In the unit of `sigma`; infinity (the default) for clusters.
    truncation : {"cut", "shifted", "tail"}
        What happens at the cutoff: nothing (the energy jumps), phi(cutoff) is subtracted from
        every pair, or the mean energy of the pairs beyond it is added, assuming uniform density
        there (Allen & Tildesley, Computer Simulation of Liquids, eq. 2.144):
        (8/3) pi epsilon sigma^3 N^2/V ((sigma/r_c)^9 / 3 - (sigma/r_c)^3). A system that is not
        periodic in all directions has no such density: its energy is not-a-number.
    units : {"reduced", "eV"}
        "reduced": k_B = 1, energies in epsilon if it is 1.
    """

    epsilon: Float[Array, ""]
    sigma: Float[Array, ""]
    cutoff: float = eqx.field(static=True)
    truncation: Literal["cut", "shifted", "tail"] = eqx.field(static=True)
    units: Literal["eV", "reduced"] = eqx.field(static=True)
    elements: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        *,
        epsilon: float = 1.0,
        sigma: float = 1.0,
        cutoff: float = np.inf,
        truncation: str = "cut",
        units: str = "reduced",
    ) -> None:
        if not (epsilon > 0 and sigma > 0 and cutoff > 0):
            raise InputError(
                f"lennard_jones: epsilon = {epsilon}, sigma = {sigma}, cutoff = {cutoff}: "
                "all must be positive"
            )
        for key, value, known in (
            ("truncation", truncation, ("cut", "shifted", "tail")),
            ("units", units, ("reduced", "eV")),
        ):
            if value not in known:
                raise InputError(
                    f"lennard_jones: {key} = {value!r}: it is one of {', '.join(known)}"
                    f"{nearest(value, known)}"
                )
        if truncation == "tail" and np.isinf(cutoff):
            raise InputError("lennard_jones: truncation = 'tail' needs a finite cutoff")
        self.epsilon = jnp.asarray(epsilon, jnp.float64)
        self.sigma = jnp.asarray(sigma, jnp.float64)
        self.cutoff = float(cutoff)
        self.truncation = truncation
        self.units = units
        self.elements = None

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Float[Array, ""]:
        """Sum over pairs within the cutoff; see the class."""
        vectors, filled = pair_vectors(configuration, neighbours)
        pairs = self.pair_energy(jnp.sum(vectors**2, axis=-1))
        total = 0.5 * jnp.sum(jnp.where(filled, pairs, 0.0))
        return total + self._tail(configuration) if self.truncation == "tail" else total

    def pair_energy(self, squared: Float[Array, "*pairs"]) -> Float[Array, "*pairs"]:
        """Energies of pairs at these squared distances, cut or shifted; a tail is no pair's.

        What a Monte Carlo move of one atom needs: the row of its pairs, not the whole sum.
        """
        pairs = self._pair(squared)
        if np.isinf(self.cutoff):
            return pairs
        if self.truncation == "shifted":
            pairs = pairs - self._pair(jnp.asarray(self.cutoff**2, jnp.float64))
        return jnp.where(squared < self.cutoff**2, pairs, 0.0)

    def _pair(self, squared: Float[Array, "*pairs"]) -> Float[Array, "*pairs"]:
        sixth = (self.sigma**2 / squared) ** 3
        return 4.0 * self.epsilon * (sixth * sixth - sixth)

    def _tail(self, configuration: Configuration) -> Float[Array, ""]:
        atoms = jnp.sum(configuration.numbers != PADDING).astype(jnp.float64)
        density = atoms / jnp.abs(jnp.linalg.det(configuration.cell))
        third = (self.sigma / self.cutoff) ** 3
        tail = (
            (8.0 / 3.0 * np.pi)
            * self.epsilon
            * self.sigma**3
            * (atoms * density)
            * (third**3 / 3.0 - third)
        )
        return jnp.where(jnp.all(configuration.pbc), tail, jnp.nan)
