"""Second derivatives of the energy by the positions."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from thermosearch.configuration import Array, Configuration, validate
from thermosearch.potentials.interface import Neighbours, Potential, energy_forces
from thermosearch.potentials.neighbours_host import host_neighbours


def hessian(
    potential: Potential, configuration: Configuration
) -> Float[np.ndarray, "coordinates coordinates"]:
    """Second derivatives d2E / dx_i dx_j of the total energy, by two reverse passes.

    Parameters
    ----------
    potential : Potential
        A differentiable one: not an ASE calculator behind a callback.
    configuration : Configuration
        Without batch axis.

    Returns
    -------
    (3n, 3n) float64
        eV/A^2, symmetric to rounding; coordinates in the order of the atoms, x, y, z of each.

    Raises
    ------
    InputError
        Non-finite positions, singular cell, unknown element.
    """
    validate(configuration, elements=potential.elements, label="structure")
    listed = host_neighbours(configuration, potential.cutoff)
    return np.asarray(_hessian(potential, *jax.tree.map(jnp.asarray, (configuration, listed))))


@jax.jit
def _hessian(
    potential: Potential, configuration: Configuration, neighbours: Neighbours
) -> Float[Array, "coordinates coordinates"]:
    def slopes(positions: Float[Array, "n 3"]) -> Float[Array, "n 3"]:
        moved = configuration._replace(positions=positions)
        return -energy_forces(potential, moved, neighbours).forces

    size = configuration.positions.size
    _, pull_back = jax.vjp(slopes, configuration.positions)

    # Row by row: all rows at once would hold 3n reverse passes in memory.
    def row(coordinate: Array) -> Float[Array, " coordinates"]:
        unit = jnp.zeros(size, jnp.float64).at[coordinate].set(1.0)
        return pull_back(unit.reshape(-1, 3))[0].reshape(-1)

    return jax.lax.map(row, jnp.arange(size))
