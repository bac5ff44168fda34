"""When a run has gone far enough, or cannot go on."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from thermosearch.nested.history import volumes
from thermosearch.nested.sampler import Culled, Sizes, State

PLATEAU_FOLDS = 15.0
"""A value that all walkers share while the prior mass falls by exp(-15) is the lowest there is."""
IDLE_ITERATIONS = 50
"""So many iterations without one accepted proposal are the end, whatever the step sizes."""
PASSED = 1e-4
"""A temperature is passed once the walkers alive hold less than this share of its Z."""
REACHED = 0.5
"""It is reached once they hold less than this."""


@dataclass(frozen=True)
class Criteria:
    """What ends a run, whichever comes first.

    Attributes
    ----------
    prior_mass : float or None
        ln X.
    temperature : float or None
        kT that the run is to pass.
    remaining_evidence : float or None
        Share of Z at `kt` that the walkers alive still hold, were they the last.
    kt : float
        Lowest temperature asked for, in the unit of energy.
    iterations : int or None
        How many.
    spread : float or None
        Committee's, energy an atom: the mean over the points culled in an iteration, once
        `highest_kt` is reached.
    highest_kt : float
        Highest temperature asked for.
    """

    prior_mass: float | None
    temperature: float | None
    remaining_evidence: float | None
    kt: float
    iterations: int | None
    spread: float | None = None
    highest_kt: float = np.inf

    @property
    def watched(self) -> Float[np.ndarray, " t"]:
        """Temperatures kT at which the evidence is followed: lowest, to be passed, highest."""
        passed = self.kt if self.temperature is None else self.temperature
        return np.array([self.kt, passed, self.highest_kt])


class Gauge(NamedTuple):
    """How far a run has come.

    Attributes
    ----------
    log_mass : float
        Mean ln X.
    level_since : float
        ln X at which all walkers began to share one value; NaN where they do not.
    log_evidence : (t,) float64
        ln Z of the dead points at the temperatures watched.
    """

    log_mass: float = 0.0
    level_since: float = np.nan
    log_evidence: Float[np.ndarray, " t"] = np.full(3, -np.inf)


def advance(
    gauge: Gauge,
    culled: Culled,
    state: State,
    *,
    sizes: Sizes,
    watched: Float[np.ndarray, " t"],
    volume_power: int,
) -> Gauge:
    """Gauge after one more iteration; `volume_power` as in `analysis.averages`."""
    live = sizes.walkers - np.arange(sizes.culled)
    after = gauge.log_mass - np.cumsum(1.0 / live)
    masses = after + np.log(np.expm1(1.0 / live))
    terms = masses - culled.value / watched[:, None]
    if volume_power:
        terms = terms + volume_power * np.log(volumes(culled.walkers))
    evidence = np.logaddexp(gauge.log_evidence, np.logaddexp.reduce(terms, axis=1))
    log_mass = float(after[-1])
    level = np.ptp(state.value) == 0.0
    since = gauge.level_since if level and not np.isnan(gauge.level_since) else log_mass
    return Gauge(log_mass, since if level else np.nan, evidence)


def ended(
    criteria: Criteria,
    gauge: Gauge,
    state: State,
    *,
    spread: Float[np.ndarray, " culled"],
    volume_power: int,
) -> str | None:
    """Why the run is over; None where it is not.

    Parameters
    ----------
    criteria : Criteria
        Of the study.
    gauge : Gauge
        After the last iteration.
    state : State
        After the last iteration.
    spread : (P,) float64
        Of the committee at those of the last iteration.
    volume_power : int
        As in `analysis.averages`.
    """
    # Not the contour's dH / d ln X: in a dilute gas, all of one energy, that looks cold.
    remaining = _remaining(criteria.watched, gauge, state, volume_power)
    passed, counts = remaining[1] < np.log(PASSED), remaining[2] < np.log(REACHED)
    reasons = {
        f"the iterations asked for ({criteria.iterations})": criteria.iterations is not None
        and state.iteration >= criteria.iterations,
        f"ln X = {criteria.prior_mass}": criteria.prior_mass is not None
        and gauge.log_mass <= criteria.prior_mass,
        f"temperature {criteria.temperature}": criteria.temperature is not None and passed,
        f"remaining evidence {criteria.remaining_evidence}": criteria.remaining_evidence is not None
        and remaining[0] < np.log(criteria.remaining_evidence),
        f"a committee spread above {criteria.spread}": criteria.spread is not None
        and counts
        and float(np.mean(spread)) > criteria.spread,
        f"a plateau: all walkers share the value {state.value[0]}": gauge.log_mass
        < gauge.level_since - PLATEAU_FOLDS,
        f"stuck: no proposal was accepted in {IDLE_ITERATIONS} iterations": state.idle
        >= IDLE_ITERATIONS,
    }
    return next((reason for reason, met in reasons.items() if met), None)


def _remaining(
    kt: Float[np.ndarray, " t"], gauge: Gauge, state: State, volume_power: int
) -> Float[np.ndarray, " t"]:
    """Logarithm of the share of Z that the walkers alive hold."""
    terms = -state.value / kt[:, None]
    if volume_power:
        terms = terms + volume_power * np.log(volumes(state.walkers))
    alive = gauge.log_mass - np.log(terms.shape[1]) + np.logaddexp.reduce(terms, axis=1)
    return alive - np.logaddexp(alive, gauge.log_evidence)
