"""The decorrelating walk, compiled: many walkers, each below its own contour."""

from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt32

from thermosearch.configuration import Array
from thermosearch.nested.application import Choice, Trial, apply
from thermosearch.nested.measures import length_squared, to_cartesian, to_fractional
from thermosearch.nested.moves.interface import OUTCOMES, Move
from thermosearch.nested.streams import fold, stream
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
    evaluations : (w,) int32
        Energies computed, a gradient counting as one.
    displacement : (w,) float64
        Mean square over the mobile atoms, from where they set out; see `displacement`.
    """

    walker: Walker
    tally: Int[Array, "moves 4 *w"]
    needed: Int[Array, "*w"]
    evaluations: Int[Array, "*w"]
    displacement: Float[Array, "*w"]


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
    none = jnp.zeros(limit.shape, jnp.int32)
    tally = jnp.zeros((len(plan.moves), len(OUTCOMES), *limit.shape), jnp.int32)
    turns = _turns(plan)

    def turn(number: Int[Array, ""], walked: Walked) -> Walked:
        kind, again, count = (column[number % len(turns[0])] for column in turns)
        use = number // len(turns[0]) * count + again
        fresh = fold(own, use * len(plan.moves) + kind)

        def alone(which: int) -> Trial:
            chosen = slice(which, which + 1)
            choice = Choice(plan.moves[chosen], jnp.zeros_like(kind), steps[chosen])
            return apply(system, choice, walked.walker, limit, fresh)

        choice = Choice(plan.moves, kind, steps)
        if system.sums_pairs:
            # Pairs compile quickly, and are quicker with a loop for each move.
            trial = choice.call(alone)
        else:
            trial = apply(system, choice, walked.walker, limit, fresh)
        return walked._replace(
            walker=trial.walker,
            tally=walked.tally.at[kind].add(trial.tally),
            needed=jnp.maximum(walked.needed, trial.needed),
            evaluations=walked.evaluations + trial.evaluations,
        )

    if system.has_densities:
        walker, _ = system.evaluated(walker)
    walker = system.holding(walker)
    start = Walked(walker, tally, none, none, jnp.zeros_like(limit))
    end = rounds * len(turns[0])
    walked = jax.lax.fori_loop(jnp.zeros_like(end), end, turn, start)
    return _ended(system, walker, walked)


def _ended(system: System, start: Walker, walked: Walked) -> Walked:
    """Say how far it went, wrap the positions, and sum energies of pairs afresh."""
    walked = walked._replace(displacement=displacement(system, start, walked.walker))
    wrapped = _wrap(system, walked.walker)
    if not system.sums_pairs:
        return walked._replace(walker=wrapped._replace(held=None))
    # Afresh, so that no rounding error of the many small changes outlives the walk.
    energy, needed = system.energy(wrapped)
    return walked._replace(
        walker=wrapped._replace(energy=energy, densities=None),
        needed=jnp.maximum(walked.needed, needed),
        evaluations=walked.evaluations + 1,
    )


def _turns(plan: Plan) -> tuple[Int[Array, " t"], Int[Array, " t"], Int[Array, " t"]]:
    """Applications of a round in their order: which move, how often before, how often in all."""
    counts = np.asarray(plan.counts, np.int32)
    kind = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    again = np.concatenate([np.arange(count, dtype=np.int32) for count in counts])
    return jnp.asarray(kind), jnp.asarray(again), jnp.asarray(counts[kind])


def displacement(system: System, before: Walker, after: Walker) -> Float[Array, "*w"]:
    """Mean square displacement of the mobile atoms, the drift of all atoms taken off.

    In a cell it is that of the fractional coordinates, in the cell there is afterwards: what a
    change of the cell carries along does not count. Positions must not have been wrapped.
    """
    if any(system.pbc):
        places = [to_fractional(walker.positions, walker.cell) for walker in (before, after)]
        change = to_cartesian(places[1] - places[0], after.cell)
    else:
        change = after.positions - before.positions
    if not system.has_frozen:
        change = change - jnp.mean(change, axis=0)
    return jnp.mean(length_squared(change[system.moving], axis=1), axis=0)


def _wrap(system: System, walker: Walker) -> Walker:
    """Positions back in the cell along the directions that repeat; frozen atoms stay."""
    if not any(system.pbc):
        return walker
    fractional = to_fractional(walker.positions, walker.cell)
    mobile = np.zeros((system.atoms, 3, 1), bool)
    mobile[system.moving] = True
    turns = jnp.where(mobile & np.asarray(system.pbc)[:, None], jnp.floor(fractional), 0.0)
    return walker._replace(positions=walker.positions - to_cartesian(turns, walker.cell))
