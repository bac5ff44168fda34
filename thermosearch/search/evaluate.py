"""From an individual to the energy of its relaxed structure, or to the reason it is rejected."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from thermosearch.potentials.evaluate import uncertainty
from thermosearch.potentials.interface import Potential, has_spread
from thermosearch.relax.loop import Status
from thermosearch.relax.minimise import Relaxed, minimise
from thermosearch.search.degrees_of_freedom import DegreesOfFreedom, nearest_distance, repaired
from thermosearch.search.escape import escaped_from
from thermosearch.search.founder import Founder
from thermosearch.search.proposal import Proposal

FAILED = frozenset({Status.NON_FINITE, Status.EXPLODED, Status.OVERFLOW, Status.INVALID})
"""Ends of a relaxation that leave nothing to compare."""


class Rejection(IntEnum):
    """Why an individual does not count."""

    NONE = 0
    """It counts."""
    OVERLAP = 1
    """Its atoms could not be pushed apart."""
    EXPLODED = 2
    """Its relaxation left all bounds: not finite, too far, or too dense for any list."""
    ESCAPED = 3
    """Its relaxation carried an atom out of the region."""
    TOO_NEAR = 4
    """Its relaxation brought two atoms nearer than the minimum distance."""
    SPREAD = 5
    """The committee does not agree on it."""
    STALLED = 6
    """Its relaxation could not go down along its own forces: energy and forces disagree."""


class Evaluated(NamedTuple):
    """One individual after its relaxation.

    Attributes
    ----------
    energy : float
        eV of the cell; NaN if rejected.
    positions : (n, 3) float64
        Relaxed, or as asked where there was nothing to relax, A.
    rejection : Rejection
        Whether and why it is rejected.
    spread : float
        Committee's standard deviation of the energy, eV; NaN where not evaluated.
    calls : int
        Energy+force calls executed for it, those of an idling lane included.
    converged : bool
        Whether it is relaxed to the end.
    """

    energy: float
    positions: Float[np.ndarray, "n 3"]
    rejection: Rejection
    spread: float
    calls: int
    converged: bool = False


class Relaxation(NamedTuple):
    """How far individuals are relaxed and what is accepted.

    Attributes
    ----------
    steps : int
        Most steps.
    force : float
        Largest force on a free atom that ends it, eV/A.
    minimum_distance : float
        A.
    spread_limit : float or None
        eV per mobile atom.
    final_steps, final_force : int, float
        The same of a relaxation to the end.
    together : bool
        Batch in one vectorised loop, in which lanes that have ended idle; their calls count.
    """

    steps: int
    force: float
    minimum_distance: float
    spread_limit: float | None
    final_steps: int = 300
    final_force: float = 0.005
    together: bool = False

    def to_the_end(self) -> "Relaxation":
        """Return the same with the final steps and force."""
        return self._replace(steps=self.final_steps, force=self.final_force)


@dataclass(frozen=True)
class Relaxer:
    """Repairs, relaxes and judges individuals, one batch a call.

    What becomes of one does not depend on the others. Nothing an individual can do raises.

    Attributes
    ----------
    potential : Potential
        A committee's mean drives the relaxation.
    founder : Founder
        Cell, elements, and which atoms are free.
    freedom : DegreesOfFreedom
        Region and moved atoms.
    relaxation : Relaxation
        Length and limits.
    width : int
        Lanes of a batch.
    """

    potential: Potential
    founder: Founder
    freedom: DegreesOfFreedom
    relaxation: Relaxation
    width: int = 1

    def __call__(self, proposals: Sequence[Proposal]) -> list[Evaluated]:
        """Evaluate proposals; results in the order given."""
        begun, dynamics = escaped_from(self.potential, self.founder, proposals)
        minimum = self.relaxation.minimum_distance
        starts = [repaired(self.freedom, each, minimum) for each in begun]
        relaxed = iter(self._relaxed([start for start, done in starts if done], self.relaxation))
        judged = [
            self._judge(next(relaxed))
            if done
            else Evaluated(np.nan, start, Rejection.OVERLAP, np.nan, calls=0)
            for start, done in starts
        ]
        judged = [
            each._replace(calls=each.calls + calls)
            for each, calls in zip(judged, dynamics, strict=True)
        ]
        return self._with_spread(self._refined(proposals, judged))

    def to_the_end(self) -> "Relaxer":
        """Return one that relaxes with the final steps and force."""
        return replace(self, relaxation=self.relaxation.to_the_end())

    def _relaxed(
        self, starts: list[Float[np.ndarray, "n 3"]], relaxation: Relaxation
    ) -> list[Relaxed]:
        return minimise(
            self.potential,
            [self.founder.configuration._replace(positions=start) for start in starts],
            mobile=self.founder.mobile,
            max_steps=relaxation.steps,
            force_tolerance=relaxation.force,
            together=relaxation.together,
            width=self.width,
        )

    def _judge(self, relaxed: Relaxed) -> Evaluated:
        """Accept a relaxed individual, or say why not."""
        positions = np.asarray(relaxed.configuration.positions)
        rejection = Rejection.NONE
        if relaxed.status in FAILED:
            rejection = Rejection.EXPLODED
        elif relaxed.status == Status.STALLED:
            rejection = Rejection.STALLED
        elif self.freedom.escaped(positions):
            rejection = Rejection.ESCAPED
        elif nearest_distance(self.freedom, positions) < self.relaxation.minimum_distance:
            rejection = Rejection.TOO_NEAR
        else:
            positions = self.freedom.symmetric(positions)
        energy = np.nan if rejection else relaxed.energy
        ended = relaxed.max_force <= self.relaxation.final_force
        return Evaluated(energy, positions, rejection, np.nan, relaxed.executed, converged=ended)

    def _refined(self, proposals: Sequence[Proposal], judged: list[Evaluated]) -> list[Evaluated]:
        """Relax to the end what came out low enough."""
        chosen = [
            k
            for k, each in enumerate(judged)
            if not each.rejection and not each.converged and each.energy < proposals[k].refine_below
        ]
        starts = [judged[k].positions for k in chosen]
        further = self._relaxed(starts, self.relaxation.to_the_end())
        for k, relaxed in zip(chosen, further, strict=True):
            result = self._judge(relaxed)
            judged[k] = result._replace(calls=judged[k].calls + result.calls)
        return judged

    def _with_spread(self, judged: list[Evaluated]) -> list[Evaluated]:
        """Add the committee's spread to accepted individuals; reject where it is too large."""
        accepted = [k for k, each in enumerate(judged) if not each.rejection]
        if not has_spread(self.potential) or not accepted:
            return judged
        configuration, limit = self.founder.configuration, self.relaxation.spread_limit
        structures = [configuration._replace(positions=judged[k].positions) for k in accepted]
        spreads = uncertainty(self.potential, structures, ("energy",))
        largest = np.inf if limit is None else limit * int(self.founder.mobile.sum())
        for k, spread in zip(accepted, spreads, strict=True):
            judged[k] = judged[k]._replace(spread=float(spread.energy))
            if judged[k].spread > largest:
                judged[k] = judged[k]._replace(energy=np.nan, rejection=Rejection.SPREAD)
        return judged


def count_reasons(codes: Int[np.ndarray, " k"]) -> str:
    """Say how often each reason rejected, "3 overlap, 1 escaped"."""
    reasons, counts = np.unique(codes[codes != Rejection.NONE], return_counts=True)
    return ", ".join(
        f"{count} {Rejection(code).name.lower().replace('_', ' ')}"
        for code, count in zip(reasons.tolist(), counts.tolist(), strict=True)
    )
