"""When a run has gone far enough, or cannot go on."""

from collections.abc import Sequence
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


@dataclass(frozen=True)
class Criteria:
    """What ends a run, whichever comes first.

    Attributes
    ----------
    prior_mass : float or None
        ln X.
    temperature : float or None
        kT of the contour: (d ln X / dH)^-1, over the last 2 K dead points.
    remaining_evidence : float or None
        Share of Z at `kt` that the walkers alive still hold, were they the last.
    kt : float
        Lowest temperature asked for, in the unit of energy.
    iterations : int or None
        How many.
    spread : float or None
        Committee's, energy an atom: the mean over the points culled in an iteration, once the
        contour is below `highest_kt`.
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


class Gauge(NamedTuple):
    """How far a run has come.

    Attributes
    ----------
    log_mass : float
        Mean ln X.
    log_evidence : float
        ln Z of the dead points at the lowest temperature.
    level_since : float
        ln X at which all walkers began to share one value; NaN where they do not.
    """

    log_mass: float = 0.0
    log_evidence: float = -np.inf
    level_since: float = np.nan


def advance(
    gauge: Gauge, culled: Culled, state: State, *, sizes: Sizes, kt: float, volume_power: int
) -> Gauge:
    """Gauge after one more iteration; `volume_power` as in `analysis.averages`."""
    live = sizes.walkers - np.arange(sizes.culled)
    after = gauge.log_mass - np.cumsum(1.0 / live)
    masses = after + np.log(np.expm1(1.0 / live))
    terms = masses - culled.value / kt
    if volume_power:
        terms = terms + volume_power * np.log(volumes(culled.walkers))
    evidence = float(np.logaddexp(gauge.log_evidence, np.logaddexp.reduce(terms)))
    log_mass = float(after[-1])
    level = np.ptp(state.value) == 0.0
    since = gauge.level_since if level and not np.isnan(gauge.level_since) else log_mass
    return Gauge(log_mass, evidence, since if level else np.nan)


def ended(
    criteria: Criteria,
    gauge: Gauge,
    state: State,
    values: Sequence[Float[np.ndarray, " culled"]],
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
    values : sequence of (P,) float64
        Contour values of the dead points, an entry an iteration.
    spread : (P,) float64
        Of the committee at those of the last iteration.
    volume_power : int
        As in `analysis.averages`.
    """
    temperature = _temperature(len(state.value), values)
    reasons = {
        f"the iterations asked for ({criteria.iterations})": criteria.iterations is not None
        and state.iteration >= criteria.iterations,
        f"ln X = {criteria.prior_mass}": criteria.prior_mass is not None
        and gauge.log_mass <= criteria.prior_mass,
        f"temperature {criteria.temperature}": criteria.temperature is not None
        and temperature < criteria.temperature,
        f"remaining evidence {criteria.remaining_evidence}": criteria.remaining_evidence is not None
        and _remaining(criteria, gauge, state, volume_power) < np.log(criteria.remaining_evidence),
        f"a committee spread above {criteria.spread}": criteria.spread is not None
        and temperature < criteria.highest_kt
        and float(np.mean(spread)) > criteria.spread,
        f"a plateau: all walkers share the value {state.value[0]}": gauge.log_mass
        < gauge.level_since - PLATEAU_FOLDS,
        f"stuck: no proposal was accepted in {IDLE_ITERATIONS} iterations": state.idle
        >= IDLE_ITERATIONS,
    }
    return next((reason for reason, met in reasons.items() if met), None)


def _temperature(walkers: int, values: Sequence[Float[np.ndarray, " culled"]]) -> float:
    """Temperature kT at which the contour's shell weighs most, infinite before it is known."""
    if not values:
        return np.inf
    culled = len(values[-1])
    back = -(-2 * walkers // culled)
    if len(values) <= back:
        return np.inf
    fold = back * float(np.sum(1.0 / (walkers - np.arange(culled))))
    return float(values[-1 - back][-1] - values[-1][-1]) / fold


def _remaining(criteria: Criteria, gauge: Gauge, state: State, volume_power: int) -> float:
    """Logarithm of the share of Z that the walkers alive hold."""
    terms = -state.value / criteria.kt
    if volume_power:
        terms = terms + volume_power * np.log(volumes(state.walkers))
    alive = gauge.log_mass - np.log(len(terms)) + np.logaddexp.reduce(terms)
    return float(alive - np.logaddexp(alive, gauge.log_evidence))
