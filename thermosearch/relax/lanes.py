"""Loops over many independent systems ("lanes") that each carry a neighbour list.

A lane's state is a NamedTuple with a field `verlet`. On a CPU every lane runs its own
compiled loop, one after the other, so that a finished lane costs nothing; on a GPU, and for
very small systems, all lanes step together and finished ones idle, which costs calls: never
those of a potential that does not batch.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Int

from thermosearch.configuration import Array
from thermosearch.potentials.interface import Potential
from thermosearch.potentials.neighbours_device import Held

LaneState: TypeAlias = Any
"""NamedTuple pytree with a field `verlet`."""


def run_lanes(
    states: LaneState,
    *,
    running: Callable[[LaneState], Bool[Array, ""]],
    outdated: Callable[[LaneState], Bool[Array, ""]],
    rebuild: Callable[[LaneState], Held] | None,
    advance: Callable[[LaneState], LaneState],
    together: bool,
) -> tuple[LaneState, Int[Array, " lanes"]]:
    """Advance every lane until it stops running.

    Parameters
    ----------
    states : NamedTuple
        States of all lanes, stacked along a leading axis.
    running : callable
        Whether a lane wants another step.
    outdated : callable
        Whether the lane's list no longer serves its next step.
    rebuild : callable or None
        A new list for the lane; with None a lane pauses when its list is outdated, and
        whoever called renews the list and calls again.
    advance : callable
        One step.
    together : bool
        All lanes in one vectorised loop instead of one loop a lane.

    Returns
    -------
    states : NamedTuple
    executed : (lanes,) int32
        Steps carried out for each lane, idle ones included.
    """

    def goes_on(state: LaneState) -> Bool[Array, ""]:
        return running(state) if rebuild is not None else running(state) & ~outdated(state)

    if together:
        return _together(states, goes_on, outdated, rebuild, advance)
    return jax.lax.map(lambda state: _alone(state, goes_on, outdated, rebuild, advance), states)


def step_together(potential: Potential, atoms: int, asked: bool | None) -> bool:
    """Whether to: as asked, by default on an accelerator, and on a CPU up to 16 atoms.

    Never with a potential that does not batch.
    """
    default = jax.default_backend() != "cpu" or atoms <= 16
    return potential.batches and (default if asked is None else asked)


def select(choose: Bool[Array, " lanes"], chosen: LaneState, otherwise: LaneState) -> LaneState:
    """Lane by lane, one of two stacked pytrees."""

    def pick(a: Array, b: Array) -> Array:
        return jnp.where(choose.reshape(choose.shape + (1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(pick, chosen, otherwise)


def _alone(state, goes_on, outdated, rebuild, advance):  # noqa: ANN001, ANN202
    def body(carry: tuple) -> tuple:
        state, executed = carry
        if rebuild is not None:
            verlet = jax.lax.cond(outdated(state), rebuild, lambda s: s.verlet, state)
            state = state._replace(verlet=verlet)
        return advance(state), executed + 1

    return jax.lax.while_loop(lambda carry: goes_on(carry[0]), body, (state, jnp.int32(0)))


def _together(states, goes_on, outdated, rebuild, advance):  # noqa: ANN001, ANN202
    def renew(states: LaneState, stale: Bool[Array, " lanes"]) -> Held:
        # A fresh lane keeps its list: its sums must not depend on its company.
        return select(stale, jax.vmap(rebuild)(states), states.verlet)

    def body(carry: tuple) -> tuple:
        states, executed = carry
        going = jax.vmap(goes_on)(states)
        moved = states
        if rebuild is not None:
            stale = going & jax.vmap(outdated)(states)
            verlet = jax.lax.cond(
                jnp.any(stale), renew, lambda states, _: states.verlet, states, stale
            )
            moved = states._replace(verlet=verlet)
        return select(going, jax.vmap(advance)(moved), states), executed + 1

    lanes = jax.tree.leaves(states)[0].shape[0]
    states, executed = jax.lax.while_loop(
        lambda carry: jnp.any(jax.vmap(goes_on)(carry[0])), body, (states, jnp.int32(0))
    )
    return states, jnp.full((lanes,), executed)
