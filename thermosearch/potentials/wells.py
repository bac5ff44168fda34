"""Polynomial wells in one dimension, for which quadrature gives exact thermodynamics."""

from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from thermosearch.configuration import PADDING, Array, Configuration
from thermosearch.potentials.interface import Neighbours, Potential
from thermosearch.runtime.errors import InputError


class PolynomialWell(Potential):
    """Every atom moves in P(x) = c_0 + c_1 x + c_2 x^2 + ...; the energy is their sum.

    A double well is (0, 0, -1, 0, 1), a quartic (0, 0, 0, 0, 1).

    Parameters
    ----------
    coefficients : sequence of float
        c_0, c_1, ... in the energy and length of `units`.
    directions : tuple of int
        The Cartesian directions that feel P, each for itself; the others are free.
    units : {"eV", "reduced"}
        Of the energy.
    """

    coefficients: Float[Array, " order"]
    directions: tuple[int, ...] = eqx.field(static=True)
    units: Literal["eV", "reduced"] = eqx.field(static=True)
    cutoff: float | None = eqx.field(static=True)
    elements: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        coefficients: Sequence[float],
        directions: Sequence[int] = (0,),
        units: Literal["eV", "reduced"] = "reduced",
    ) -> None:
        if len(coefficients) == 0 or not set(directions) <= {0, 1, 2}:
            raise InputError(
                f"polynomial_well: coefficients = {list(coefficients)}, directions = "
                f"{list(directions)}: give at least one coefficient, and directions among 0, 1, 2"
            )
        self.coefficients = jnp.asarray(np.asarray(coefficients, np.float64))
        self.directions = tuple(directions)
        self.units = units
        self.cutoff = None
        self.elements = None

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Float[Array, ""]:
        """Sum of P over atoms and directions."""
        x = configuration.positions[:, np.array(self.directions, int)]
        value = jnp.zeros_like(x)
        for coefficient in self.coefficients[::-1]:
            value = value * x + coefficient
        real = (configuration.numbers != PADDING)[:, None]
        return jnp.sum(jnp.where(real, value, 0.0))
