"""The decorrelating walk, compiled: many walkers, each below its own contour."""

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt32

from thermosearch.configuration import Array
from thermosearch.nested.measures import to_cartesian, to_fractional
from thermosearch.nested.moves.interface import OUTCOMES, Move, Trial
from thermosearch.nested.streams import Stream, fold, stream
from thermosearch.nested.walker import System, Walker

Batching = Literal["lanes", "loop"]


class Plan(eqx.Module):
    """What a walk consists of: in every round, each move so many times, in this order.

    Attributes
    ----------
    moves : tuple of Move
        With their settings.
    counts : tuple of int
        Applications of each in a round.
    batching : {"lanes", "loop"}
        Walkers side by side in the vector units, or one after the other.
    """

    moves: tuple[Move, ...]
    counts: tuple[int, ...] = eqx.field(static=True)
    batching: Batching = eqx.field(static=True)


class Walked(NamedTuple):
    """Walkers after their walks; the last axis is the walker's.

    Attributes
    ----------
    walker : Walker
        Energies summed afresh.
    tally : (moves, 4, w) int32
        Outcomes of the proposals of every move.
    needed : (w,) int32
        Most neighbour slots needed anywhere on the way.
    """

    walker: Walker
    tally: Int[Array, "moves 4 *w"]
    needed: Int[Array, "*w"]


@eqx.filter_jit
def walk_all(
    system: System,
    plan: Plan,
    walkers: Walker,
    limits: Float[Array, " w"],
    *,
    steps: Float[Array, " moves"],
    rounds: Int[Array, ""],
    identities: UInt32[Array, "2 w"],
    seed: UInt32[Array, ""],
) -> Walked:
    """Walk every walker `rounds` rounds below its contour.

    The walkers are the last axis, here and in the result: neighbouring numbers in memory then
    belong to neighbouring walkers, which is what vector units want of small systems.

    Parameters
    ----------
    system : System
        Energy and measure.
    plan : Plan
        The moves.
    walkers : Walker
        A batch of w.
    limits : (w,) float64
        Values strictly below are allowed.
    steps : (moves,) float64
        Step sizes, the same from beginning to end.
    rounds : () int32
        Length of the walk.
    identities : (2, w) uint32
        Two integers that single out each walk: its random numbers follow from them and the seed,
        and from nothing else.
    seed : () uint32
        Of the run.
    """
    settings = {"steps": steps, "rounds": rounds, "seed": seed}
    if plan.batching == "lanes":
        return _walk(system, plan, walkers, limits, identity=identities, **settings)

    def one(walker: tuple[Walker, Array, Array]) -> Walked:
        alone, limit, identity = jax.tree.map(lambda a: a[..., None], walker)
        walked = _walk(system, plan, alone, limit, identity=identity, **settings)
        return jax.tree.map(lambda a: a[..., 0], walked)

    first = jax.tree.map(lambda a: jnp.moveaxis(a, -1, 0), (walkers, limits, identities))
    return jax.tree.map(lambda a: jnp.moveaxis(a, 0, -1), jax.lax.map(one, first))


def _walk(
    system: System,
    plan: Plan,
    walker: Walker,
    limit: Float[Array, " w"],
    *,
    identity: UInt32[Array, "2 w"],
    steps: Float[Array, " moves"],
    rounds: Int[Array, ""],
    seed: UInt32[Array, ""],
) -> Walked:
    own = stream(seed, identity[0], identity[1])
    start = Walked(
        walker,
        jnp.zeros((len(plan.moves), len(OUTCOMES), *limit.shape), jnp.int32),
        jnp.zeros(limit.shape, jnp.int32),
    )

    def one_round(number: Int[Array, ""], walked: Walked) -> Walked:
        for kind, count in enumerate(plan.counts):

            def apply(again: Int[Array, ""], trial: Trial, kind: int = kind) -> Trial:
                turn = (number * plan.counts[kind] + again) * len(plan.moves) + kind
                move, step = plan.moves[kind], steps[kind]
                return _apply(system, move, trial, limit, step=step, fresh=fold(own, turn))

            trial = Trial(walked.walker, walked.tally[kind], walked.needed)
            first = jnp.zeros_like(rounds)
            trial = jax.lax.fori_loop(first, jnp.full_like(rounds, count), apply, trial)
            walked = Walked(trial.walker, walked.tally.at[kind].set(trial.tally), trial.needed)
        return walked

    walked = jax.lax.fori_loop(jnp.zeros_like(rounds), rounds, one_round, start)
    wrapped = _wrap(system, walked.walker)
    if not system.sums_pairs:
        return walked._replace(walker=wrapped)
    # Afresh, so that no rounding error of the many small changes outlives the walk.
    energy, needed = system.energy(wrapped)
    return Walked(wrapped._replace(energy=energy), walked.tally, jnp.maximum(walked.needed, needed))


def _apply(
    system: System,
    move: Move,
    trial: Trial,
    limit: Float[Array, " w"],
    *,
    step: Float[Array, ""],
    fresh: Stream,
) -> Trial:
    """All attempts of one application of a move."""

    def attempt(carry: tuple[Trial, Any], task: tuple[Array, Any]) -> tuple[Any, None]:
        before, memory = carry
        after, memory = move.attempt(system, before.walker, limit, task, memory)
        tally = before.tally + after.tally
        needed = jnp.maximum(before.needed, after.needed)
        return (Trial(after.walker, tally, needed), memory), None

    memory, noise = move.prepare(system, step, fresh)
    numbers = jnp.arange(move.attempts(system), dtype=jnp.int32)
    (trial, _), _ = jax.lax.scan(attempt, (trial, memory), (numbers, noise))
    return trial


def _wrap(system: System, walker: Walker) -> Walker:
    """Positions back in the cell along the directions that repeat; frozen atoms stay."""
    if not any(system.pbc):
        return walker
    fractional = to_fractional(walker.positions, walker.cell)
    mobile = np.zeros((system.atoms, 3, 1), bool)
    mobile[system.moving] = True
    turns = jnp.where(mobile & np.asarray(system.pbc)[:, None], jnp.floor(fractional), 0.0)
    return walker._replace(positions=walker.positions - to_cartesian(turns, walker.cell))
