"""L-BFGS with a longest move an atom and a backtracking line search, one call a step.

Liu and Nocedal, Math. Program. 45, 503 (1989), doi:10.1007/BF01589116 (two-loop recursion);
Li and Fukushima, SIAM J. Optim. 11, 1054 (2001) (pairs of too little curvature are left out);
Hager and Zhang, SIAM J. Optim. 16, 170 (2005), doi:10.1137/030601880 (approximate Wolfe
condition: near the minimum the gradient is compared, since energies only differ by rounding).
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Array
from thermosearch.relax.fire import StepInfo, capped


class LbfgsState(NamedTuple):
    """Where the relaxation stands.

    Attributes
    ----------
    position, gradient : (rows, 3) float64
        The point accepted last.
    value : () float64
    trial : (rows, 3) float64
        The point to evaluate next.
    moves, changes : (memory, rows, 3) float64
        Steps and gradient differences, newest last; unused ones are zero.
    rejected : () int32
        Trials rejected since the last accepted one.
    started : () bool
    """

    position: Float[Array, "*batch rows 3"]
    gradient: Float[Array, "*batch rows 3"]
    value: Float[Array, "*batch"]
    trial: Float[Array, "*batch rows 3"]
    moves: Float[Array, "*batch memory rows 3"]
    changes: Float[Array, "*batch memory rows 3"]
    rejected: Int[Array, "*batch"]
    started: Bool[Array, "*batch"]


@dataclass(frozen=True)
class Lbfgs:
    """Limited-memory BFGS.

    Attributes
    ----------
    memory : int
        Pairs kept.
    largest_move : float
        Longest displacement of an atom in one step, A.
    curvature : float
        Guess of the curvature for the first step, eV/A^2.
    sufficient_decrease : float
        Share of the linear decrease that a step must reach (Armijo).
    noise : float
        Energy differences below `noise * |E|` decide nothing; the slope does.
    forget_after, give_up_after : int
        Rejections in a row after which the memory is dropped, and the relaxation ends.
    """

    memory: int = 10
    largest_move: float = 0.2
    curvature: float = 50.0
    sufficient_decrease: float = 1e-4
    noise: float = 1e-6
    forget_after: int = 4
    give_up_after: int = 20

    def init(self, position: Float[Array, "rows 3"]) -> LbfgsState:
        """State that evaluates `position` first."""
        history = jnp.zeros((self.memory, *position.shape))
        return LbfgsState(
            position=position,
            gradient=jnp.zeros_like(position),
            value=jnp.float64(jnp.inf),
            trial=position,
            moves=history,
            changes=history,
            rejected=jnp.int32(0),
            started=jnp.bool_(False),
        )

    def step(
        self, state: LbfgsState, value: Float[Array, ""], gradient: Float[Array, "rows 3"]
    ) -> tuple[LbfgsState, StepInfo]:
        """Take in value and gradient at `state.trial` and choose the next trial."""
        accepted = ~state.started | self._descends(state, value, gradient)
        new = jax.lax.cond(accepted, self._accept, self._reject, state, value, gradient)
        return new, StepInfo(accepted, stalled=new.rejected >= self.give_up_after)

    def _descends(
        self, state: LbfgsState, value: Float[Array, ""], gradient: Float[Array, "rows 3"]
    ) -> Bool[Array, ""]:
        move = state.trial - state.position
        slope, slope_there = jnp.sum(state.gradient * move), jnp.sum(gradient * move)
        armijo = value <= state.value + self.sufficient_decrease * slope
        within_noise = value <= state.value + self.noise * jnp.abs(state.value)
        gentle = slope_there <= (2.0 * self.sufficient_decrease - 1.0) * slope
        return armijo | (within_noise & gentle)

    def _accept(
        self, state: LbfgsState, value: Float[Array, ""], gradient: Float[Array, "rows 3"]
    ) -> LbfgsState:
        move, change = state.trial - state.position, gradient - state.gradient
        curved = jnp.sum(move * change) > 1e-8 * jnp.sum(move**2)
        curved &= state.started
        moves = jnp.where(curved, _push(state.moves, move), state.moves)
        changes = jnp.where(curved, _push(state.changes, change), state.changes)
        direction = -_inverse_hessian_times(moves, changes, gradient, 1.0 / self.curvature)
        return LbfgsState(
            position=state.trial,
            gradient=gradient,
            value=value,
            trial=state.trial + capped(direction, self.largest_move),
            moves=moves,
            changes=changes,
            rejected=jnp.int32(0),
            started=jnp.bool_(True),
        )

    def _reject(
        self, state: LbfgsState, value: Float[Array, ""], gradient: Float[Array, "rows 3"]
    ) -> LbfgsState:
        """Shorten the step to the parabola's minimum; later go down the gradient instead."""
        del gradient
        move = state.trial - state.position
        slope = jnp.sum(state.gradient * move)
        shorter = move * jnp.clip(-0.5 * slope / (value - state.value - slope), 0.1, 0.5)
        rejected = state.rejected + 1
        forget = rejected == self.forget_after
        steepest = capped(-state.gradient / self.curvature, 0.1 * self.largest_move)
        keep = jnp.where(forget, 0.0, 1.0)
        return state._replace(
            trial=state.position + jnp.where(forget, steepest, shorter),
            moves=state.moves * keep,
            changes=state.changes * keep,
            rejected=rejected,
        )


def _push(
    history: Float[Array, "memory rows 3"], newest: Float[Array, "rows 3"]
) -> Float[Array, "memory rows 3"]:
    return jnp.concatenate([history[1:], newest[None]])


def _inverse_hessian_times(
    moves: Float[Array, "memory rows 3"],
    changes: Float[Array, "memory rows 3"],
    gradient: Float[Array, "rows 3"],
    first_guess: float,
) -> Float[Array, "rows 3"]:
    """Two-loop recursion; unused pairs have zero curvature and drop out."""
    curvatures = jnp.sum(moves * changes, axis=(1, 2))
    used = curvatures > 0.0
    weights = jnp.where(used, 1.0 / jnp.where(used, curvatures, 1.0), 0.0)

    def newest_first(q: Array, pair: tuple) -> tuple[Array, Array]:
        move, change, weight = pair
        share = weight * jnp.sum(move * q)
        return q - share * change, share

    def oldest_first(r: Array, pair: tuple) -> tuple[Array, None]:
        move, change, weight, share = pair
        return r + move * (share - weight * jnp.sum(change * r)), None

    pairs = (moves, changes, weights)
    q, shares = jax.lax.scan(newest_first, gradient, pairs, reverse=True)
    squares = jnp.sum(changes[-1] ** 2)
    scale = jnp.where(used[-1], curvatures[-1] / jnp.where(used[-1], squares, 1.0), first_guess)
    result, _ = jax.lax.scan(oldest_first, scale * q, (*pairs, shares))
    return result
