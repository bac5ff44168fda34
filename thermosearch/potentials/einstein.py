"""The Einstein crystal: independent harmonic springs, whose free energy is known exactly."""

from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from thermosearch.configuration import PADDING, Array, Configuration
from thermosearch.potentials.interface import Neighbours, Potential
from thermosearch.runtime.errors import InputError


class EinsteinCrystal(Potential):
    """Every atom is tied to its own site, E = (spring / 2) sum |r_i - R_i|^2.

    Sites stay where they are in space: they do not move with the cell, and positions must not
    be wrapped. Classical, F = -3 N k_B T ln(k_B T / (hbar omega)), omega^2 = spring / mass.

    Parameters
    ----------
    sites : (n, 3)
        Sites R_i of atoms 0 to n - 1, A.
    spring : float
        Spring constant, eV/A^2.
    units : {"eV", "reduced"}
        Of the energy.
    """

    sites: Float[Array, "n 3"]
    spring: Float[Array, ""]
    units: Literal["eV", "reduced"] = eqx.field(static=True)
    cutoff: float | None = eqx.field(static=True)
    elements: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        sites: Float[Array, "n 3"] | Sequence[Sequence[float]],
        spring: float = 1.0,
        units: Literal["eV", "reduced"] = "eV",
    ) -> None:
        given = np.asarray(sites, np.float64)
        if given.ndim != 2 or given.shape[1] != 3 or not spring > 0:
            raise InputError(
                f"einstein: sites of shape {given.shape}, spring = {spring}: give (n, 3) sites "
                "and a positive spring"
            )
        self.sites = jnp.asarray(given)
        self.spring = jnp.asarray(spring, jnp.float64)
        self.units = units
        self.cutoff = None
        self.elements = None

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Float[Array, ""]:
        """Sum of the springs; atoms beyond the last site are padding, else it is NaN."""
        atoms = configuration.positions.shape[0]
        if atoms < len(self.sites):
            raise InputError(f"einstein: {len(self.sites)} sites, but only {atoms} atoms")
        sites = jnp.pad(self.sites, ((0, atoms - len(self.sites)), (0, 0)))
        squared = jnp.sum((configuration.positions - sites) ** 2, axis=1)
        real = configuration.numbers != PADDING
        total = 0.5 * self.spring * jnp.sum(jnp.where(real, squared, 0.0))
        return jnp.where(jnp.any(real[len(self.sites) :]), jnp.nan, total)
