"""What a move is: a Markov step that leaves the prior below a contour invariant."""

from abc import abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Array
from thermosearch.nested.streams import Stream
from thermosearch.nested.walker import System, Walker

OUTCOMES = ("accepted", "outside", "above_contour", "not_a_number")
"""What may become of a proposal: taken; out of the container or of the cell's bounds; on or above
the contour (or refused by the volume prior); without a finite energy."""


class Proposal(NamedTuple):
    """Where walkers would go. The walk computes the energy there and decides.

    Attributes
    ----------
    walker : Walker
        There; its energy is not looked at.
    otherwise : Walker
        Where they stay if they do not go there.
    limit : (w,) float64
        What the value there must be below.
    allowed : (w,) bool
        Whether the container and the prior take it; nothing is computed where they do not.
    counted : (w,) bool
        Whether it is one for the acceptance rate, which the step size follows.
    gradients : (w,) int32
        How many it took to find it.
    needed : (w,) int32
        Most neighbour slots that these needed.
    """

    walker: Walker
    otherwise: Walker
    limit: Float[Array, "*w"]
    allowed: Bool[Array, "*w"]
    counted: Bool[Array, "*w"]
    gradients: Int[Array, "*w"]
    needed: Int[Array, "*w"]


def propose(
    walker: Walker,
    moved: Walker,
    limit: Float[Array, "*w"],
    allowed: Bool[Array, "*w"],
    **unusual: Any,
) -> Proposal:
    """Make a proposal without gradients, which counts, and after which refused walkers stay.

    Parameters
    ----------
    walker, moved : Walker
        Before and there.
    limit, allowed
        As of `Proposal`.
    **unusual
        What of `Proposal` is otherwise.
    """
    none = jnp.zeros(limit.shape, jnp.int32)
    usual = Proposal(moved, walker, limit, allowed, jnp.ones(limit.shape, bool), none, none)
    return usual._replace(**unusual)


class Move(eqx.Module):
    """Base of all moves: a row of attempts, each a proposal for every walker without a loop in it.

    The walk runs the loops, around all walkers at once, and computes the energies: the potential
    is so compiled once, however many moves there are. A move is constant within a walk, so that
    it has no memory but what it hands from one attempt to the next.

    Attributes
    ----------
    changes : {"atoms", "cell", "species"}
        What it moves.
    uses_forces : bool
        Whether it asks for gradients on the way to a proposal.
    samples_momenta : bool
        Whether the momenta are part of the prior with it.
    name : str
        In reports.
    largest : float
        Upper bound of the step size.
    target : float
        Acceptance rate that the step size is adapted to, between iterations; 0 for a move without
        a step size.
    """

    changes: ClassVar[Literal["atoms", "cell", "species"]] = "atoms"
    uses_forces: ClassVar[bool] = False
    samples_momenta: ClassVar[bool] = False

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
    ) -> tuple[Proposal, Any]:
        """Propose where every walker may go.

        Parameters
        ----------
        system : System
            Measure, and energies and gradients on the way to the proposal.
        walker : Walker
            Below the contour.
        limit : (w,) float64
            The contour: only values strictly below it are allowed.
        task : tuple
            Number of the attempt, and its share of the noise.
        memory
            From the attempt before.
        """

    def conclude(self, number: Int[Array, ""], outcome: Bool[Array, " 4 *w"], memory: Any) -> Any:
        """Give the memory for the next attempt, knowing which of `OUTCOMES` this one had."""
        return memory

    def atom(self, system: System, number: Int[Array, ""]) -> Int[Array, ""] | None:
        """Which atom alone an attempt moves; None where it is more than one."""
        return None
