"""A committee whose energy is raised where its members disagree: holes of a model are no minima."""

import jax.numpy as jnp
from jaxtyping import Float

from thermosearch.configuration import PADDING, Array, Configuration
from thermosearch.potentials.interface import Committee, Neighbours, OnCommittee

STEEPNESS = 4.0
"""A hole as deep as four times its excess spread is filled."""


class CautiousCommittee(OnCommittee, Committee):
    """E = mean + 4 N max(0, s / N - limit), with s the members' sample standard deviation.

    Below the limit it is the committee itself. Nested sampling goes wherever the enthalpy is
    lowest, and a network may have minima outside of its data that no member shares with another.

    Attributes
    ----------
    limit : () float64
        Spread, energy an atom.
    """

    limit: Float[Array, ""]

    @property
    def members(self) -> int:
        """Of the committee."""
        return self.committee.members

    def member_energies(
        self, configuration: Configuration, neighbours: Neighbours
    ) -> Float[Array, " members"]:
        """Total energies of the members, as they are."""
        return self.committee.member_energies(configuration, neighbours)

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Float[Array, ""]:
        """Total energy, raised where the members disagree."""
        energies = self.member_energies(configuration, neighbours)
        atoms = jnp.sum(configuration.numbers != PADDING, dtype=jnp.float64)
        mean = jnp.mean(energies)
        # By hand: the gradient of a standard deviation is NaN where all members agree.
        variance = jnp.sum((energies - mean) ** 2) / (len(energies) - 1)
        spread = jnp.sqrt(jnp.maximum(variance, (1e-6 * atoms) ** 2))
        return mean + STEEPNESS * jnp.maximum(0.0, spread - self.limit * atoms)
