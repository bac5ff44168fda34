"""One application of a move, all of its attempts, compiled.

Moves only propose; energies are computed and decisions made here. So the energy, by far the largest
part of a program for a network, stands in it once, however many moves there are to choose from.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Array
from thermosearch.nested.moves.interface import OUTCOMES, Move, Proposal
from thermosearch.nested.streams import Stream
from thermosearch.nested.walker import System, Walker


class Trial(NamedTuple):
    """Walkers, and what became of their proposals so far.

    Attributes
    ----------
    walker : Walker
        Where they stand now.
    tally : (4, w) int32
        How many proposals met each of `OUTCOMES`.
    needed : (w,) int32
        Most neighbour slots that any of the energies would have needed.
    evaluations : (w,) int32
        Energies computed, a gradient counting as one.
    """

    walker: Walker
    tally: Int[Array, " 4 *w"]
    needed: Int[Array, "*w"]
    evaluations: Int[Array, "*w"]


class Choice(NamedTuple):
    """A move that the program knows only when it runs, out of those it may be.

    Attributes
    ----------
    moves : tuple of Move
        Out of these.
    place : () int32
        Its place among them.
    steps : (moves,) float64
        Step sizes of all of them.
    """

    moves: tuple[Move, ...]
    place: Int[Array, ""]
    steps: Float[Array, " moves"]

    def call(self, function: Callable[[int], Any]) -> Any:
        """Call a function of the place, compiled for each of the moves."""
        return jax.lax.switch(self.place, [partial(function, i) for i in range(len(self.moves))])


def apply(
    system: System,
    choice: Choice,
    walker: Walker,
    limit: Float[Array, " w"],
    fresh: Stream,
) -> Trial:
    """Make all attempts of one application of a move.

    Parameters
    ----------
    system : System
        Energy and measure.
    choice : Choice
        The move.
    walker : Walker
        A batch of w, each below its contour.
    limit : (w,) float64
        The contours.
    fresh : Stream
        Random numbers of this application.
    """
    memories, noises = _prepare(system, choice, fresh)
    none = jnp.zeros(limit.shape, jnp.int32)
    start = Trial(walker, jnp.zeros((len(OUTCOMES), *limit.shape), jnp.int32), none, none)
    counts = [move.attempts(system) for move in choice.moves]

    def attempt(carry: tuple[Trial, Any], task: tuple[Array, Any]) -> tuple[Any, None]:
        return _attempt(system, choice, carry, limit, task), None

    def numbered(number: Int[Array, ""], carry: tuple[Trial, Any]) -> tuple[Trial, Any]:
        noise = jax.tree.map(partial(_entry, number), noises)
        return attempt(carry, (number, noise))[0]

    if len(counts) == 1:
        numbers = jnp.arange(counts[0], dtype=jnp.int32)
        (trial, _), _ = jax.lax.scan(attempt, (start, memories), (numbers, noises))
        return trial
    count = jnp.asarray(counts, jnp.int32)[choice.place]
    return jax.lax.fori_loop(jnp.zeros_like(count), count, numbered, (start, memories))[0]


def _attempt(
    system: System,
    choice: Choice,
    carry: tuple[Trial, tuple[Any, ...]],
    limit: Float[Array, " w"],
    task: tuple[Int[Array, ""], tuple[Any, ...]],
) -> tuple[Trial, tuple[Any, ...]]:
    """Propose, compute, decide, conclude."""
    (before, memories), (number, noises) = carry, task

    def propose(place: int) -> tuple[Proposal, tuple[Any, ...]]:
        own = (number, noises[place])
        move, memory = choice.moves[place], memories[place]
        proposal, memory = move.attempt(system, before.walker, limit, own, memory)
        return proposal, _with(memories, place, memory)

    proposal, memories = choice.call(propose)
    there, needed = _evaluated(system, choice, number, before.walker, proposal)
    walker, outcome = decide(system, proposal, there)

    def conclude(place: int) -> tuple[Any, ...]:
        memory = choice.moves[place].conclude(number, outcome, memories[place])
        return _with(memories, place, memory)

    # What is rejected before its energy matters may overflow any list.
    needed = jnp.maximum(proposal.needed, jnp.where(proposal.allowed, needed, 0))
    spent = proposal.gradients + proposal.allowed.astype(jnp.int32)
    after = Trial(
        walker,
        before.tally + (outcome & proposal.counted).astype(jnp.int32),
        jnp.maximum(before.needed, needed),
        before.evaluations + spent,
    )
    return after, choice.call(conclude)


def decide(
    system: System, proposal: Proposal, there: Walker
) -> tuple[Walker, Bool[Array, " 4 *w"]]:
    """Take a proposal if the measure allows it and its value lies below the contour.

    Parameters
    ----------
    system : System
        For the value.
    proposal : Proposal
        Where to.
    there : Walker
        Where to, with the energy there.

    Returns
    -------
    walker : Walker
        Where they stand now.
    outcome : (4, w) bool
        Which of `OUTCOMES` it was.
    """
    value = system.value(there)
    below = value < proposal.limit  # False for NaN
    taken = proposal.allowed & below
    refused = proposal.allowed & ~below
    finite = jnp.isfinite(value)
    kept = jax.tree.map(lambda new, old: jnp.where(taken, new, old), there, proposal.otherwise)
    return kept, jnp.stack([taken, ~proposal.allowed, refused & finite, refused & ~finite])


def _evaluated(
    system: System,
    choice: Choice,
    number: Int[Array, ""],
    walker: Walker,
    proposal: Proposal,
) -> tuple[Walker, Int[Array, " w"]]:
    """Energies of proposals: a row of pairs where one atom moves among pairs; else the whole."""
    moved, none = proposal.walker, jnp.zeros(walker.energy.shape, jnp.int32)

    def whole() -> tuple[Walker, Array]:
        # Side by side some are nearly always allowed; alone, what is not is not paid for.
        if len(none) > 1:
            return system.evaluated(moved)
        return jax.lax.cond(
            proposal.allowed[0],
            lambda: system.evaluated(moved),
            lambda: (moved._replace(energy=walker.energy), none),
        )

    def row(place: int) -> tuple[Walker, Array]:
        atom = choice.moves[place].atom(system, number)
        return whole() if atom is None else (system.evaluated_after(walker, moved, atom), none)

    return choice.call(row) if system.sums_pairs else whole()


def _prepare(
    system: System, choice: Choice, fresh: Stream
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Memories and random numbers of all moves; those of others than the chosen are zeros."""
    every = range(len(choice.moves))

    def own(place: int) -> tuple[Any, Any]:
        return choice.moves[place].prepare(system, choice.steps[place], fresh)

    shapes = [jax.eval_shape(partial(own, place)) for place in every]
    blank = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)

    def chosen(place: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        both = [own(i) if i == place else blank[i] for i in every]
        return tuple(memory for memory, _ in both), tuple(noise for _, noise in both)

    return choice.call(chosen)


def _entry(number: Int[Array, ""], array: Float[Array, "..."]) -> Float[Array, "..."]:
    return jax.lax.dynamic_index_in_dim(array, number, keepdims=False)


def _with(memories: tuple[Any, ...], place: int, memory: Any) -> tuple[Any, ...]:
    return (*memories[:place], memory, *memories[place + 1 :])
