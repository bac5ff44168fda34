"""Galilean Monte Carlo: straight flight at constant speed, reflected at the contour."""

from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Array
from thermosearch.nested.moves.interface import OUTCOMES, Move, Proposal, propose
from thermosearch.nested.streams import Stream, normal
from thermosearch.nested.walker import System, Walker


class Flight(NamedTuple):
    """What a flight remembers.

    Attributes
    ----------
    velocity : (n, 3, w) float64
        Way of one step.
    mirrored : (n, 3, w) float64
        Velocity behind the mirror at the point ahead.
    stopped : (w,) bool
        Whether the last step ended above the contour.
    """

    velocity: Float[Array, "n 3 *w"]
    mirrored: Float[Array, "n 3 *w"]
    stopped: Bool[Array, "*w"]


class GalileanMove(Move):
    """A flight of `length` straight steps, each of length `step` sqrt(3 N) in all coordinates.

    Where a step ends above the contour, the velocity is mirrored there at the gradient of the
    energy, v -> v - 2 n (n . v), and one more step is tried from that point; if that ends above
    the contour too, the walker stays and turns round (J. Skilling, AIP Conf. Proc. 1443, 145
    (2012), DOI 10.1063/1.3703630). Every step is its own inverse with the velocity reversed, so
    the measure is left as it is.
    """

    uses_forces: ClassVar[bool] = True

    length: int = eqx.field(static=True, default=8)
    name: str = eqx.field(static=True, default="galilean")
    largest: float = eqx.field(static=True, default=2.0)
    target: float = eqx.field(static=True, default=0.5)

    def attempts(self, system: System) -> int:
        """Two for each step: straight on, and behind the mirror for those that were stopped."""
        return 2 * self.length

    def prepare(
        self, system: System, step: Float[Array, ""], own: Stream
    ) -> tuple[Flight, Float[Array, "attempts 0"]]:
        """Draw a direction; all else is determined."""
        direction = normal(own, (len(system.mobile), 3))
        length = step * np.sqrt(3.0 * len(system.mobile))
        velocity = direction * (length / jnp.sqrt(jnp.sum(direction**2, axis=(0, 1))))
        velocity = system.on_mobile(velocity)
        stopped = jnp.zeros(own.first.shape, bool)
        return Flight(velocity, velocity, stopped), jnp.zeros((2 * self.length, 0), jnp.float64)

    def attempt(
        self,
        system: System,
        walker: Walker,
        limit: Float[Array, "*w"],
        task: tuple[Int[Array, ""], Float[Array, "0"]],
        memory: Flight,
    ) -> tuple[Proposal, Flight]:
        """Fly one step, or mirror the step before."""
        straight = task[0] % 2 == 0
        mirrors = ~straight & memory.stopped
        ahead = walker._replace(positions=walker.positions + memory.velocity)
        # Most steps need no gradient, and that is the larger part of the work.
        upward, needed = jax.lax.cond(
            jnp.any(mirrors), lambda: _upward(system, ahead), lambda: _nowhere(ahead)
        )
        along = jnp.sum(upward * memory.velocity, axis=(0, 1))
        mirrored = memory.velocity - 2.0 * along * upward
        aside = jnp.where(mirrors, ahead.positions + mirrored, ahead.positions)
        moved = walker._replace(positions=aside)
        allowed = (straight | mirrors) & system.holds_atoms(moved)
        proposal = propose(
            walker,
            moved,
            limit,
            allowed,
            counted=jnp.broadcast_to(straight, limit.shape),
            gradients=mirrors.astype(jnp.int32),
            needed=jnp.where(mirrors, needed, 0),
        )
        return proposal, memory._replace(mirrored=mirrored)

    def conclude(
        self, number: Int[Array, ""], outcome: Bool[Array, " 4 *w"], memory: Flight
    ) -> Flight:
        """Fly on, behind the mirror or back.

        Only the contour mirrors. Where the container or a NaN stops the flight there is no normal:
        turning round is as reversible.
        """
        straight = number % 2 == 0
        accepted = outcome[OUTCOMES.index("accepted")]
        above = outcome[OUTCOMES.index("above_contour")]
        on = memory.velocity
        after_straight = jnp.where(accepted | above, on, -on)
        after_mirror = jnp.where(memory.stopped, jnp.where(accepted, memory.mirrored, -on), on)
        velocity = jnp.where(straight, after_straight, after_mirror)
        return memory._replace(velocity=velocity, stopped=straight & above)


def _upward(system: System, ahead: Walker) -> tuple[Float[Array, "n 3 *w"], Int[Array, "*w"]]:
    """Direction of the gradient of the energy."""
    _, gradient, needed = system.energy_gradient(ahead)
    steepness = jnp.sqrt(jnp.sum(gradient**2, axis=(0, 1)))
    return gradient / jnp.maximum(steepness, 1e-300), needed


def _nowhere(ahead: Walker) -> tuple[Float[Array, "n 3 *w"], Int[Array, "*w"]]:
    return jnp.zeros_like(ahead.positions), jnp.zeros(ahead.energy.shape, jnp.int32)
