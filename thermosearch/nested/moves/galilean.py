"""Galilean Monte Carlo: straight flight at constant speed, reflected at the contour."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Array
from thermosearch.nested.moves.interface import OUTCOMES, Move, Trial, try_proposal
from thermosearch.nested.streams import Stream, normal
from thermosearch.nested.walker import System, Walker


class GalileanMove(Move):
    """A flight of `flights` straight steps, each of length `step` sqrt(3 N) in all coordinates.

    Where a step ends above the contour, the velocity is mirrored there at the gradient of the
    energy, v -> v - 2 n (n . v), and one more step is tried from that point; if that ends above
    the contour too, the walker stays and turns round (J. Skilling, AIP Conf. Proc. 1443, 145
    (2012), DOI 10.1063/1.3703630). Every step is its own inverse with the velocity reversed, so
    the measure is left as it is.
    """

    flights: int = eqx.field(static=True, default=8)
    name: str = eqx.field(static=True, default="galilean")
    largest: float = eqx.field(static=True, default=2.0)
    target: float = eqx.field(static=True, default=0.7)

    def attempts(self, system: System) -> int:
        """As many as there are flights."""
        return self.flights

    def prepare(
        self, system: System, step: Float[Array, ""], own: Stream
    ) -> tuple[Float[Array, "n 3 *w"], Float[Array, "flights 0"]]:
        """Draw a direction; all else is determined."""
        direction = normal(own, (len(system.mobile), 3))
        length = step * np.sqrt(3.0 * len(system.mobile))
        velocity = direction * (length / jnp.sqrt(jnp.sum(direction**2, axis=(0, 1))))
        return system.on_mobile(velocity), jnp.zeros((self.flights, 0), jnp.float64)

    def attempt(
        self,
        system: System,
        walker: Walker,
        limit: Float[Array, "*w"],
        task: tuple[Int[Array, ""], Float[Array, "0"]],
        memory: Float[Array, "n 3 *w"],
    ) -> tuple[Trial, Float[Array, "n 3 *w"]]:
        """Fly one step; `memory` is the velocity."""
        velocity = memory
        ahead = walker._replace(positions=walker.positions + velocity)
        allowed = system.holds_atoms(ahead)
        straight = try_proposal(system, walker, ahead, limit, allowed=allowed)

        # Only the contour mirrors. Where the container or a NaN stops the flight there is no
        # normal: turning round is as reversible.
        mirrors = straight.tally[OUTCOMES.index("above_contour")] > 0

        def reflect() -> tuple[Trial, Float[Array, "n 3 *w"]]:
            return _reflect(system, walker, ahead, limit, velocity=velocity, mirrors=mirrors)

        def stay() -> tuple[Trial, Float[Array, "n 3 *w"]]:
            nothing = jnp.zeros_like(straight.tally)
            return Trial(walker, nothing, jnp.zeros_like(straight.needed)), velocity

        # Most steps need no gradient, and that is the larger part of the work.
        bounced, mirrored = jax.lax.cond(jnp.any(mirrors), reflect, stay)
        arrived = straight.tally[OUTCOMES.index("accepted")] > 0
        reflected = bounced.tally[OUTCOMES.index("accepted")] > 0
        kept = jax.tree.map(lambda a, b: jnp.where(arrived, a, b), straight.walker, bounced.walker)
        turned = jnp.where(arrived, velocity, jnp.where(reflected, mirrored, -velocity))
        needed = jnp.maximum(straight.needed, bounced.needed)
        return Trial(kept, straight.tally, needed), turned


def _reflect(
    system: System,
    walker: Walker,
    ahead: Walker,
    limit: Float[Array, "*w"],
    *,
    velocity: Float[Array, "n 3 *w"],
    mirrors: Bool[Array, "*w"],
) -> tuple[Trial, Float[Array, "n 3 *w"]]:
    """Mirror the velocity where the flight ended, and try one step from there."""
    _, gradient, needed = system.energy_gradient(ahead)
    steepness = jnp.sqrt(jnp.sum(gradient**2, axis=(0, 1)))
    upward = gradient / jnp.maximum(steepness, 1e-300)
    mirrored = velocity - 2.0 * jnp.sum(upward * velocity, axis=(0, 1)) * upward
    aside = ahead._replace(positions=ahead.positions + mirrored)
    allowed = mirrors & system.holds_atoms(aside)
    bounced = try_proposal(system, walker, aside, limit, allowed=allowed)
    return bounced._replace(needed=jnp.maximum(needed, bounced.needed)), mirrored
