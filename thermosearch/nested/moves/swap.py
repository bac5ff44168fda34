"""Exchange of the species of two atoms."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from thermosearch.configuration import Array
from thermosearch.nested.moves.interface import Proposal, propose
from thermosearch.nested.moves.species import SpeciesMove
from thermosearch.nested.walker import System, Walker


class SwapMove(SpeciesMove):
    """Two mobile atoms drawn at random exchange their species; equal species are no proposal.

    It has no step size.
    """

    name: str = eqx.field(static=True, default="swap")

    def attempt(
        self,
        system: System,
        walker: Walker,
        limit: Float[Array, "*w"],
        task: tuple[Int[Array, ""], Float[Array, " 2 *w"]],
        memory: tuple[()],
    ) -> tuple[Proposal, tuple[()]]:
        """Try one exchange."""
        count = len(system.mobile)
        drawn = (task[1] * np.asarray([[count], [count - 1]], np.float64)).astype(jnp.int32)
        other = drawn[1] + (drawn[1] >= drawn[0]).astype(jnp.int32)
        pair = jnp.asarray(system.moving)[jnp.stack([drawn[0], other])]
        row = jnp.arange(pair.shape[1], dtype=jnp.int32)
        first, second = walker.numbers[pair[0], row], walker.numbers[pair[1], row]
        numbers = walker.numbers.at[pair[0], row].set(second).at[pair[1], row].set(first)
        moved = walker._replace(numbers=numbers)
        differ = first != second
        return propose(walker, moved, limit, differ, counted=differ), memory
