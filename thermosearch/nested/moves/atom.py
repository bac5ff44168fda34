"""Random walk of one atom after the other."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Float, Int

from thermosearch.configuration import Array
from thermosearch.nested.moves.interface import Move, Proposal, propose
from thermosearch.nested.streams import Stream, symmetric
from thermosearch.nested.walker import System, Walker


class AtomMove(Move):
    """A sweep: each mobile atom in turn is displaced within a cube of half-width `step`.

    The order is fixed: every single displacement leaves the measure invariant, so their sequence
    does. With a pair potential a displacement costs one row of pairs, not all of them.
    """

    name: str = eqx.field(static=True, default="atom")
    largest: float = eqx.field(static=True, default=5.0)
    target: float = eqx.field(static=True, default=0.35)

    def attempts(self, system: System) -> int:
        """One for each mobile atom."""
        return len(system.mobile)

    def prepare(
        self, system: System, step: Float[Array, ""], own: Stream
    ) -> tuple[tuple[()], Float[Array, "mobile 3 *w"]]:
        """All displacements of the sweep."""
        return (), step * symmetric(own, (len(system.mobile), 3))

    def attempt(
        self,
        system: System,
        walker: Walker,
        limit: Float[Array, "*w"],
        task: tuple[Int[Array, ""], Float[Array, " 3 *w"]],
        memory: tuple[()],
    ) -> tuple[Proposal, tuple[()]]:
        """Displace one atom."""
        number, displacement = task
        atom = self.atom(system, number)
        moved = walker._replace(positions=walker.positions.at[atom].add(displacement))
        return propose(walker, moved, limit, system.holds_atoms(moved)), memory

    def atom(self, system: System, number: Int[Array, ""]) -> Int[Array, ""]:
        """One after the other."""
        return jnp.asarray(system.moving)[number]
