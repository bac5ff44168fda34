"""How soon seeds succeed: first hits, their distribution with a band, and what a success costs."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import chi2, norm

from thermosearch.search.finish import Minima
from thermosearch.search.seed import SeedSearch

CONFIDENCE = 0.95


class FirstHits(NamedTuple):
    """When each of n seeds first reached the target, or how long it looked in vain.

    Attributes
    ----------
    calls : (n,) int64
        Executed energy+force calls up to the first hit, or all of them (censored).
    hit : (n,) bool
    energies : (n,) float64 or None
        Of each seed's lowest structure, fully relaxed; NaN for a seed without any.
    """

    calls: Int[np.ndarray, " n"]
    hit: Bool[np.ndarray, " n"]
    energies: Float[np.ndarray, " n"] | None = None


class SuccessCurve(NamedTuple):
    """Share of seeds that have succeeded, with a pointwise band.

    Attributes
    ----------
    calls : (k,) float64
        Where the curve steps, 0 first.
    probability, low, high : (k,) float64
        From there on.
    """

    calls: Float[np.ndarray, " k"]
    probability: Float[np.ndarray, " k"]
    low: Float[np.ndarray, " k"]
    high: Float[np.ndarray, " k"]


class Estimate(NamedTuple):
    """A value with its confidence interval; infinite where nothing bounds it."""

    value: float
    low: float
    high: float


def first_hits(
    seeds: list[SeedSearch], minima: Minima, level: float, engine: str, budget: int | None
) -> FirstHits:
    """First individual of each seed of one engine at or below a level of energy.

    An individual counts with the calls up to and with it. What only the relaxations after the
    last generation bring to the level counts with those calls too. Hits beyond the budget are
    none: the seed is censored there.
    """
    calls, hit, energies = [], [], []
    for k, seed in enumerate(seeds):
        if seed.engine_name != engine:
            continue
        spent, found = seed.calls + minima.calls[k], False
        ended = minima.of_seeds[k]
        reached = np.flatnonzero(seed.history.lowest() <= level)
        if len(reached):
            spent, found = int(seed.history.cumulative_calls()[reached[0]]), True
        elif ended is not None:
            found = ended.energy <= level
        if budget is not None and spent > budget:
            spent, found = budget, False
        calls.append(spent)
        hit.append(found)
        energies.append(np.nan if ended is None else ended.energy)
    return FirstHits(np.array(calls, np.int64), np.array(hit, bool), np.array(energies))


def success_curve(hits: FirstHits, confidence: float = CONFIDENCE) -> SuccessCurve:
    """Distribution of the first hit by Kaplan and Meier, J. Am. Stat. Assoc. 53, 457 (1958).

    The band is Wilson's interval for the number of seeds that would give Greenwood's variance
    (Dorey, Korn, Stat. Med. 6, 679 (1987)); without censoring that is the number of seeds.
    """
    times = np.unique(hits.calls[hits.hit])
    at_risk = np.array([np.sum(hits.calls >= t) for t in times], np.float64)
    events = np.array([np.sum(hits.hit & (hits.calls == t)) for t in times], np.float64)
    remain = np.cumprod(1.0 - events / np.maximum(at_risk, 1.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(events / (at_risk * (at_risk - events)))
        effective = (1.0 - remain) / (remain * greenwood)
    seeds = float(len(hits.calls))
    effective = np.where(np.isfinite(effective) & (remain > 0.0), effective, at_risk)
    probability = np.concatenate([[0.0], 1.0 - remain])
    size = np.concatenate([[seeds], np.minimum(effective, seeds)])
    low, high = wilson(probability, size, confidence)
    return SuccessCurve(np.concatenate([[0.0], times]), probability, low, high)


def success_probability(hits: FirstHits, confidence: float = CONFIDENCE) -> Estimate:
    """Share of seeds that hit, with Wilson's interval (J. Am. Stat. Assoc. 22, 209 (1927))."""
    share = np.array([hits.hit.mean()])
    low, high = wilson(share, np.array([float(len(hits.hit))]), confidence)
    return Estimate(float(share[0]), float(low[0]), float(high[0]))


def calls_per_success(hits: FirstHits, confidence: float = CONFIDENCE) -> Estimate:
    """All calls, up to each seed's first hit, over the number of hits.

    The maximum-likelihood mean of an exponential waiting time under censoring; its interval
    is 2 T / chi^2 with 2 k + 2 and 2 k degrees of freedom for k hits in T calls.
    """
    total, count = float(hits.calls.sum()), int(hits.hit.sum())
    tail = 0.5 * (1.0 - confidence)
    low = 2.0 * total / chi2.ppf(1.0 - tail, 2 * count + 2)
    high = np.inf if count == 0 else 2.0 * total / chi2.ppf(tail, 2 * count)
    return Estimate(total / count if count else np.inf, float(low), float(high))


def calls_for(curve: SuccessCurve, share: float) -> float:
    """Return the calls after which this share of the seeds has succeeded; infinite if never."""
    reached = np.flatnonzero(curve.probability >= share - 1e-12)
    return float(curve.calls[reached[0]]) if len(reached) else float("inf")


def wilson(
    share: Float[np.ndarray, " k"], size: Float[np.ndarray, " k"], confidence: float
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Wilson's score interval of a share among `size` trials."""
    z = norm.ppf(0.5 * (1.0 + confidence))
    centre = (share + z**2 / (2.0 * size)) / (1.0 + z**2 / size)
    half = z / (1.0 + z**2 / size) * np.sqrt(share * (1.0 - share) / size + z**2 / (4.0 * size**2))
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)
