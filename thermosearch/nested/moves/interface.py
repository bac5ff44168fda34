"""What a move is: a Markov step that leaves the prior below a contour invariant."""

from abc import abstractmethod
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Array
from thermosearch.nested.streams import Stream
from thermosearch.nested.walker import System, Walker

OUTCOMES = ("accepted", "outside", "above_contour", "not_a_number")
"""What may become of a proposal: taken; out of the container or of the cell's bounds; on or above
the contour (or refused by the volume prior); without a finite energy."""


class Trial(NamedTuple):
    """Walkers after a move.

    Attributes
    ----------
    walker : Walker
        Where they stand now.
    tally : (4, w) int32
        How many proposals met each of `OUTCOMES`.
    needed : (w,) int32
        Most neighbour slots that any of its energies would have needed.
    """

    walker: Walker
    tally: Int[Array, " 4 *w"]
    needed: Int[Array, "*w"]


class Move(eqx.Module):
    """Base of all moves: a row of attempts, each a step of one walker without a loop in it.

    The walk runs the loops, around all walkers at once. A move is constant within a walk, so that
    it has no memory but what it hands from one attempt to the next.

    Attributes
    ----------
    name : str
        In reports.
    largest : float
        Upper bound of the step size.
    target : float
        Acceptance rate that the step size is adapted to, between iterations; 0 for a move without
        a step size.
    """

    name: eqx.AbstractVar[str]
    largest: eqx.AbstractVar[float]
    target: eqx.AbstractVar[float]

    @abstractmethod
    def attempts(self, system: System) -> int:
        """How many attempts one application has."""

    @abstractmethod
    def prepare(self, system: System, step: Float[Array, ""], own: Stream) -> tuple[Any, Any]:
        """Draw all random numbers of one application, for every walker.

        Parameters
        ----------
        system : System
            For its size.
        step : () float64
            Step size.
        own : Stream
            Random numbers of this application.

        Returns
        -------
        memory
            What the first attempt is handed.
        noise
            Arrays with one entry an attempt.
        """

    @abstractmethod
    def attempt(
        self,
        system: System,
        walker: Walker,
        limit: Float[Array, "*w"],
        task: tuple[Int[Array, ""], Any],
        memory: Any,
    ) -> tuple[Trial, Any]:
        """Make one attempt with every walker.

        Parameters
        ----------
        system : System
            Energy and measure.
        walker : Walker
            Below the contour.
        limit : (w,) float64
            The contour: only values strictly below it are allowed.
        task : tuple
            Number of the attempt, and its share of the noise.
        memory
            From the attempt before.
        """


def try_proposal(
    system: System,
    walker: Walker,
    proposed: Walker,
    limit: Float[Array, "*w"],
    *,
    allowed: Bool[Array, "*w"],
) -> Trial:
    """Compute the energy of a proposal and take it or not; arguments as of `decide`."""
    energy, needed = system.energy(proposed)
    proposed = proposed._replace(energy=energy)
    return decide(system, walker, proposed, limit, allowed=allowed, needed=needed)


def decide(
    system: System,
    walker: Walker,
    proposed: Walker,
    limit: Float[Array, "*w"],
    *,
    allowed: Bool[Array, "*w"],
    needed: Int[Array, "*w"],
) -> Trial:
    """Take a proposal if the measure allows it and its value lies below the contour.

    Parameters
    ----------
    system : System
        For the value.
    walker, proposed : Walker
        Before and after, energies included.
    limit : (w,) float64
        The contour.
    allowed : (w,) bool
        Whether the container and the prior take it.
    needed : (w,) int32
        Neighbour slots that the proposal's energy needed.
    """
    value = system.value(proposed)
    below = value < limit  # False for NaN
    taken = allowed & below
    finite = jnp.isfinite(value)
    outcome = jnp.stack([taken, ~allowed, allowed & finite & ~below, allowed & ~finite])
    kept = jax.tree.map(lambda new, old: jnp.where(taken, new, old), proposed, walker)
    # What is rejected before its energy matters may overflow any list.
    return Trial(kept, outcome.astype(jnp.int32), jnp.where(allowed, needed, 0))
