"""Shared by the moves of species: one attempt that draws two numbers."""

from typing import ClassVar, Literal

import equinox as eqx
from jaxtyping import Float

from thermosearch.configuration import Array
from thermosearch.nested.moves.interface import Move
from thermosearch.nested.streams import Stream, uniform
from thermosearch.nested.walker import System


class SpeciesMove(Move):
    """A change of species without a step size; two numbers say which."""

    changes: ClassVar[Literal["atoms", "cell", "species"]] = "species"

    largest: float = eqx.field(static=True, default=1.0)
    target: float = eqx.field(static=True, default=0.0)

    def attempts(self, system: System) -> int:
        """One."""
        return 1

    def prepare(
        self, system: System, step: Float[Array, ""], own: Stream
    ) -> tuple[tuple[()], Float[Array, "1 2 *w"]]:
        """Two numbers between 0 and 1 for each walker."""
        return (), uniform(own, (1, 2))
