"""Shear of the cell."""

from typing import ClassVar, Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Float, Int

from thermosearch.configuration import Array
from thermosearch.nested.measures import shear, volume
from thermosearch.nested.moves.cell_shape import propose_cell
from thermosearch.nested.moves.interface import Move, Proposal
from thermosearch.nested.streams import Stream, symmetric
from thermosearch.nested.walker import System, Walker


class ShearMove(Move):
    """Each lattice vector in turn moves by up to `step` V^(1/3) in the plane of the other two.

    That plane, and so the proposal, does not change with the move: it is symmetric, and the
    determinant stays.
    """

    changes: ClassVar[Literal["atoms", "cell", "species"]] = "cell"

    name: str = eqx.field(static=True, default="shear")
    largest: float = eqx.field(static=True, default=1.0)
    target: float = eqx.field(static=True, default=0.35)

    def attempts(self, system: System) -> int:
        """One for each lattice vector."""
        return 3

    def prepare(
        self, system: System, step: Float[Array, ""], own: Stream
    ) -> tuple[tuple[()], Float[Array, "3 2 *w"]]:
        """Two amounts for each vector, in units of V^(1/3)."""
        return (), step * symmetric(own, (3, 2))

    def attempt(
        self,
        system: System,
        walker: Walker,
        limit: Float[Array, "*w"],
        task: tuple[Int[Array, ""], Float[Array, " 2 *w"]],
        memory: tuple[()],
    ) -> tuple[Proposal, tuple[()]]:
        """Shear along one vector."""
        vector, amounts = task
        order = (vector + jnp.arange(3, dtype=jnp.int32)) % 3
        turned = walker.cell[order]
        sheared = shear(turned, amounts * jnp.cbrt(volume(turned)))
        cell = jnp.zeros_like(sheared).at[order].set(sheared)
        return propose_cell(system, walker, cell, limit), memory
