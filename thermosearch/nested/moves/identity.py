"""Change of the species of an atom."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from thermosearch.configuration import Array
from thermosearch.nested.moves.interface import Proposal, propose
from thermosearch.nested.moves.species import SpeciesMove
from thermosearch.nested.walker import System, Walker


class IdentityMove(SpeciesMove):
    """A mobile atom drawn at random becomes one of the other species of the system.

    Every species is as likely in the prior, atom by atom; the chemical potentials are in the
    contour. It has no step size.
    """

    name: str = eqx.field(static=True, default="identity")

    def attempt(
        self,
        system: System,
        walker: Walker,
        limit: Float[Array, "*w"],
        task: tuple[Int[Array, ""], Float[Array, " 2 *w"]],
        memory: tuple[()],
    ) -> tuple[Proposal, tuple[()]]:
        """Try one change."""
        species = jnp.asarray(system.species, jnp.int32)
        counts = np.asarray([[len(system.mobile)], [len(species) - 1]], np.float64)
        drawn = (task[1] * counts).astype(jnp.int32)
        atom = jnp.asarray(system.moving)[drawn[0]]
        row = jnp.arange(drawn.shape[1], dtype=jnp.int32)
        held = walker.numbers[atom, row] == species[:, None]
        present = jnp.argmax(held, axis=0).astype(jnp.int32)
        other = (present + 1 + drawn[1]) % len(species)
        moved = walker._replace(numbers=walker.numbers.at[atom, row].set(species[other]))
        allowed = jnp.ones(limit.shape, bool)
        return propose(walker, moved, limit, allowed), memory
