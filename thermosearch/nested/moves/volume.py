"""Change of the cell's volume."""

from typing import ClassVar, Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Float, Int

from thermosearch.configuration import Array
from thermosearch.nested.moves.interface import Move, Proposal, propose
from thermosearch.nested.streams import Stream, fold, symmetric, uniform
from thermosearch.nested.walker import System, Walker


class VolumeMove(Move):
    """The logarithm of the volume changes by up to `step`; atoms keep their fractional places.

    Under the prior V^N dV a change of ln V is taken with min(1, (V2 / V1)^(N + 1)): one power
    more than for a change of V itself, from dV = V d ln V.
    """

    changes: ClassVar[Literal["atoms", "cell", "species"]] = "cell"

    name: str = eqx.field(static=True, default="volume")
    largest: float = eqx.field(static=True, default=1.0)
    target: float = eqx.field(static=True, default=0.4)

    def attempts(self, system: System) -> int:
        """One."""
        return 1

    def prepare(
        self, system: System, step: Float[Array, ""], own: Stream
    ) -> tuple[tuple[()], Float[Array, "1 2 *w"]]:
        """Draw the change of ln V, and the logarithm that decides under the prior."""
        change = step * symmetric(fold(own, 0), (1,))
        return (), jnp.stack([change, jnp.log(uniform(fold(own, 1), (1,)))], axis=1)

    def attempt(
        self,
        system: System,
        walker: Walker,
        limit: Float[Array, "*w"],
        task: tuple[Int[Array, ""], Float[Array, " 2 *w"]],
        memory: tuple[()],
    ) -> tuple[Proposal, tuple[()]]:
        """Change the volume."""
        change, drawn = task[1]
        scale = jnp.exp(change / 3.0)
        moved = walker._replace(positions=walker.positions * scale, cell=walker.cell * scale)
        power = float(system.measure.volume_power + 1)
        allowed = system.measure.holds_cell(moved.cell)
        # A refusal by the prior counts as one by the contour: both shrink with the step.
        barrier = jnp.where(drawn < power * change, limit, -jnp.inf)
        return propose(walker, moved, barrier, allowed), memory
