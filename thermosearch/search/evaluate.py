"""From an individual to the energy of its relaxed structure, or to the reason it is rejected."""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from thermosearch.potentials.evaluate import uncertainty
from thermosearch.potentials.interface import Committee, Potential
from thermosearch.relax.loop import Status
from thermosearch.relax.minimise import Relaxed, minimise
from thermosearch.search.degrees_of_freedom import DegreesOfFreedom, nearest_distance, repaired
from thermosearch.search.founder import Founder

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
    """Its relaxation carried an atom out of the window."""
    TOO_NEAR = 4
    """Its relaxation brought two atoms nearer than the minimum distance."""
    SPREAD = 5
    """The committee does not agree on it."""


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
    """

    energy: float
    positions: Float[np.ndarray, "n 3"]
    rejection: Rejection
    spread: float
    calls: int


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
    """

    steps: int
    force: float
    minimum_distance: float
    spread_limit: float | None


def relax_individuals(
    potential: Potential,
    founder: Founder,
    freedom: DegreesOfFreedom,
    positions: Sequence[Float[np.ndarray, "n 3"]],
    relaxation: Relaxation,
) -> list[Evaluated]:
    """Repair, relax and judge individuals, one batch.

    What becomes of one does not depend on the others. Nothing an individual can do raises.

    Parameters
    ----------
    potential : Potential
        A committee's mean drives the relaxation.
    founder : Founder
        Cell, elements, and which atoms are free.
    freedom : DegreesOfFreedom
        Window and moved atoms.
    positions : sequence of (n, 3)
        A.
    relaxation : Relaxation
        Length and limits.

    Returns
    -------
    list of Evaluated
        In the order given.
    """
    starts = [repaired(freedom, each, relaxation.minimum_distance) for each in positions]
    relaxed = iter(
        minimise(
            potential,
            [founder.configuration._replace(positions=start) for start, done in starts if done],
            mobile=founder.mobile,
            max_steps=relaxation.steps,
            force_tolerance=relaxation.force,
            width=len(positions),
        )
    )
    judged = [
        _judge(freedom, next(relaxed), relaxation.minimum_distance)
        if done
        else Evaluated(np.nan, start, Rejection.OVERLAP, np.nan, calls=0)
        for start, done in starts
    ]
    return _with_spread(potential, founder, judged, relaxation.spread_limit)


def count_reasons(codes: Int[np.ndarray, " k"]) -> str:
    """Say how often each reason rejected, "3 overlap, 1 escaped"."""
    reasons, counts = np.unique(codes[codes != Rejection.NONE], return_counts=True)
    return ", ".join(
        f"{count} {Rejection(code).name.lower().replace('_', ' ')}"
        for code, count in zip(reasons.tolist(), counts.tolist(), strict=True)
    )


def _judge(freedom: DegreesOfFreedom, relaxed: Relaxed, minimum: float) -> Evaluated:
    """Accept a relaxed individual, or say why not."""
    positions = np.asarray(relaxed.configuration.positions)
    rejection = Rejection.NONE
    if relaxed.status in FAILED:
        rejection = Rejection.EXPLODED
    elif freedom.escaped(positions):
        rejection = Rejection.ESCAPED
    elif nearest_distance(freedom, positions) < minimum:
        rejection = Rejection.TOO_NEAR
    energy = np.nan if rejection else relaxed.energy
    return Evaluated(energy, positions, rejection, np.nan, relaxed.executed)


def _with_spread(
    potential: Potential, founder: Founder, judged: list[Evaluated], limit: float | None
) -> list[Evaluated]:
    """Add the committee's spread to accepted individuals; reject where it is too large."""
    accepted = [k for k, each in enumerate(judged) if not each.rejection]
    if not isinstance(potential, Committee) or not accepted:
        return judged
    structures = [founder.configuration._replace(positions=judged[k].positions) for k in accepted]
    spreads = uncertainty(potential, structures, ("energy",))
    largest = np.inf if limit is None else limit * int(founder.mobile.sum())
    for k, spread in zip(accepted, spreads, strict=True):
        judged[k] = judged[k]._replace(spread=float(spread.energy))
        if judged[k].spread > largest:
            judged[k] = judged[k]._replace(energy=np.nan, rejection=Rejection.SPREAD)
    return judged
