"""Random walk of all atoms at once."""

import equinox as eqx
from jaxtyping import Float, Int

from thermosearch.configuration import Array
from thermosearch.nested.moves.interface import Move, Proposal, propose
from thermosearch.nested.streams import Stream, symmetric
from thermosearch.nested.walker import System, Walker


class AllAtomsMove(Move):
    """All mobile atoms are displaced together, each within a cube of half-width `step`.

    One energy a proposal, whatever the potential: the move of many-body potentials, which gain
    nothing from moving one atom alone.
    """

    name: str = eqx.field(static=True, default="all_atoms")
    largest: float = eqx.field(static=True, default=5.0)
    target: float = eqx.field(static=True, default=0.3)

    def attempts(self, system: System) -> int:
        """One."""
        return 1

    def prepare(
        self, system: System, step: Float[Array, ""], own: Stream
    ) -> tuple[tuple[()], Float[Array, "1 mobile 3 *w"]]:
        """Draw the displacements."""
        return (), step * symmetric(own, (1, len(system.mobile), 3))

    def attempt(
        self,
        system: System,
        walker: Walker,
        limit: Float[Array, "*w"],
        task: tuple[Int[Array, ""], Float[Array, "mobile 3 *w"]],
        memory: tuple[()],
    ) -> tuple[Proposal, tuple[()]]:
        """Displace all mobile atoms."""
        moved = walker._replace(positions=walker.positions + system.on_mobile(task[1]))
        return propose(walker, moved, limit, system.holds_atoms(moved)), memory
