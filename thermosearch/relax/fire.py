"""FIRE: steepest descent with inertia, in the semi-implicit form FIRE 2.0.

Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), doi:10.1103/PhysRevLett.97.170201;
Guénolé et al., Comput. Mater. Sci. 175, 109584 (2020), doi:10.1016/j.commatsci.2020.109584.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Array


class FireState(NamedTuple):
    """Where the relaxation stands.

    Attributes
    ----------
    position : (rows, 3) float64
        The point evaluated last.
    trial : (rows, 3) float64
        The point to evaluate next.
    velocity : (rows, 3) float64
    time_step, mixing : () float64
    downhill : () int32
        Steps since the motion last went uphill.
    """

    position: Float[Array, "*batch rows 3"]
    trial: Float[Array, "*batch rows 3"]
    velocity: Float[Array, "*batch rows 3"]
    time_step: Float[Array, "*batch"]
    mixing: Float[Array, "*batch"]
    downhill: Int[Array, "*batch"]


class StepInfo(NamedTuple):
    """What became of the trial point.

    Attributes
    ----------
    accepted : () bool
        Whether it is the new position.
    stalled : () bool
        Whether the optimiser can go no further.
    """

    accepted: Bool[Array, "*batch"]
    stalled: Bool[Array, "*batch"]


@dataclass(frozen=True)
class Fire:
    """FIRE 2.0 with unit masses.

    Attributes
    ----------
    time_step, largest_time_step, smallest_time_step : float
        A (eV)^-1/2 for unit mass.
    delay : int
        Downhill steps before the time step grows.
    grow, shrink : float
        Factors of the time step.
    mixing, mixing_decay : float
        Share of the force's direction mixed into the velocity, and its factor.
    largest_move : float
        Longest displacement of an atom in one step, A.
    """

    time_step: float = 0.1
    largest_time_step: float = 1.0
    smallest_time_step: float = 2e-3
    delay: int = 20
    grow: float = 1.1
    shrink: float = 0.5
    mixing: float = 0.25
    mixing_decay: float = 0.99
    largest_move: float = 0.2

    def init(self, position: Float[Array, "rows 3"]) -> FireState:
        """State that evaluates `position` first."""
        return FireState(
            position=position,
            trial=position,
            velocity=jnp.zeros_like(position),
            time_step=jnp.float64(self.time_step),
            mixing=jnp.float64(self.mixing),
            downhill=jnp.int32(0),
        )

    def step(
        self, state: FireState, value: Float[Array, ""], gradient: Float[Array, "rows 3"]
    ) -> tuple[FireState, StepInfo]:
        """Take in value and gradient at `state.trial` and choose the next trial.

        On an uphill move (power F.v <= 0) half of the last step is taken back, the motion
        stops and the time step shrinks.
        """
        del value  # FIRE follows forces alone
        force = -gradient
        power = jnp.sum(force * state.velocity)
        moving = jnp.any(state.velocity != 0.0)
        uphill = moving & (power <= 0.0)
        steps = jnp.where(uphill, 0, state.downhill + moving.astype(jnp.int32))
        grows = steps > self.delay
        time_step = jnp.where(
            uphill,
            jnp.maximum(self.shrink * state.time_step, self.smallest_time_step),
            jnp.where(
                grows,
                jnp.minimum(self.grow * state.time_step, self.largest_time_step),
                state.time_step,
            ),
        )
        mixing = jnp.where(
            uphill,
            self.mixing,
            jnp.where(grows, self.mixing_decay * state.mixing, state.mixing),
        )
        back = jnp.where(uphill, -0.5 * time_step, 0.0) * state.velocity
        velocity = jnp.where(uphill, 0.0, state.velocity) + time_step * force
        speed, strength = _norm(velocity), _norm(force)
        along = jnp.where(strength > 0.0, speed / jnp.where(strength > 0.0, strength, 1.0), 0.0)
        velocity = (1.0 - mixing) * velocity + mixing * along * force
        move = capped(back + time_step * velocity, self.largest_move)
        new = FireState(state.trial, state.trial + move, velocity, time_step, mixing, steps)
        return new, StepInfo(accepted=jnp.bool_(True), stalled=jnp.bool_(False))


def capped(move: Float[Array, "rows 3"], largest: float) -> Float[Array, "rows 3"]:
    """Scale a move down until no row is longer than `largest`."""
    longest = jnp.sqrt(jnp.max(jnp.sum(move**2, axis=-1)))
    return move * jnp.where(longest > largest, largest / longest, 1.0)


def _norm(rows: Float[Array, "rows 3"]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.sum(rows**2))
