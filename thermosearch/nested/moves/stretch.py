"""Stretch of the cell along one direction, compression along another."""

from typing import ClassVar, Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Float, Int

from thermosearch.configuration import Array
from thermosearch.nested.moves.cell_shape import propose_cell
from thermosearch.nested.moves.interface import Move, Proposal
from thermosearch.nested.streams import Stream, symmetric
from thermosearch.nested.walker import System, Walker


class StretchMove(Move):
    """Space is scaled by exp(u) along one Cartesian axis and exp(-u) along another, |u| < `step`.

    A linear map of determinant one leaves the measure of shapes as it is. The three pairs of axes
    come in turn.
    """

    changes: ClassVar[Literal["atoms", "cell", "species"]] = "cell"

    name: str = eqx.field(static=True, default="stretch")
    largest: float = eqx.field(static=True, default=0.7)
    target: float = eqx.field(static=True, default=0.35)

    def attempts(self, system: System) -> int:
        """One for each pair of axes."""
        return 3

    def prepare(
        self, system: System, step: Float[Array, ""], own: Stream
    ) -> tuple[tuple[()], Float[Array, " 3 *w"]]:
        """Draw the amounts u."""
        return (), step * symmetric(own, (3,))

    def attempt(
        self,
        system: System,
        walker: Walker,
        limit: Float[Array, "*w"],
        task: tuple[Int[Array, ""], Float[Array, "*w"]],
        memory: tuple[()],
    ) -> tuple[Proposal, tuple[()]]:
        """Stretch along one pair of axes."""
        axis, amount = task
        axes = jnp.arange(3, dtype=jnp.int32)
        signs = jnp.where(axes == axis, 1.0, jnp.where(axes == (axis + 1) % 3, -1.0, 0.0))
        cell = walker.cell * jnp.exp(amount * signs[:, None])
        return propose_cell(system, walker, cell, limit), memory
