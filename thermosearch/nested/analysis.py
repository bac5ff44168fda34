"""From dead points to thermodynamics, with errors from what is not known of the prior volumes.

With ln X_i the logarithm of the prior mass above which the i-th point died, its weight is the
mass between its neighbours, and Z(beta) = sum_i w_i exp(-beta H_i). The ln X_i themselves are not
measured; what is known is that each step down is the greatest of n uniform numbers, n the number
of points alive. They are drawn many times, and every quantity gets the spread over the draws.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

NEGLIGIBLE = 45.0
"""Points whose weight is this many e-folds below the greatest at every temperature are left out."""
BLOCK = 20
"""Draws handled together, which bounds the memory."""


class DeadPoints(NamedTuple):
    """The points of a run in the order in which they died, the last ones alive included.

    Attributes
    ----------
    value : (d,) float64
        Energy or enthalpy, what the contours bound; falling.
    energy, volume : (d,) float64
        Potential energy; volume of the cell (of the container where it is fixed).
    live : (d,) int64
        How many points were alive when this one died, itself included.
    birth : (d,) float64
        Value of the contour that it was born under.
    """

    value: Float[np.ndarray, " d"]
    energy: Float[np.ndarray, " d"]
    volume: Float[np.ndarray, " d"]
    live: Int[np.ndarray, " d"]
    birth: Float[np.ndarray, " d"]


class Averages(NamedTuple):
    """Averages at every temperature, and one such row for every draw of the prior volumes.

    Attributes
    ----------
    log_z : (s, t)
        ln sum_i w_i exp(-beta H_i), relative to the prior.
    value, energy, volume : (s, t)
        Means of H, E and V.
    heat_capacity : (s, t)
        Var(H) / (kT)^2, in units of k: without the kinetic part.
    expansion : (s, t)
        (1/V) dV/d(kT) = Cov(H, V) / ((kT)^2 <V>), per unit of kT.
    compressibility : (s, t)
        -(1/V) dV/dP = Var(V) / (kT <V>).
    """

    log_z: Float[np.ndarray, "s t"]
    value: Float[np.ndarray, "s t"]
    energy: Float[np.ndarray, "s t"]
    volume: Float[np.ndarray, "s t"]
    heat_capacity: Float[np.ndarray, "s t"]
    expansion: Float[np.ndarray, "s t"]
    compressibility: Float[np.ndarray, "s t"]


class Estimate(NamedTuple):
    """A value and its standard error, of any common shape."""

    value: Float[np.ndarray, "..."]
    error: Float[np.ndarray, "..."]


class Peak(NamedTuple):
    """A maximum of the heat capacity.

    Attributes
    ----------
    position, height : Estimate
        kT and Var(H) / (kT)^2 at the maximum.
    low, high : float
        Central 68 % interval of the position.
    """

    position: Estimate
    height: Estimate
    low: float
    high: float


def averages(
    points: DeadPoints,
    kt: Float[np.ndarray, " t"],
    *,
    draws: int,
    seed: int,
    volume_power: float = 0.0,
) -> Averages:
    """Averages at temperatures, for many draws of the prior volumes.

    Parameters
    ----------
    points : DeadPoints
        Of one run.
    kt : (t,) float64
        Temperatures, in the unit of the energies.
    draws : int
        s; 0 takes the mean of every ln X instead, and gives one row.
    seed : int
        Of the draws.
    volume_power : float
        Every point counts V^power more: the reweighting of a flat volume prior.
    """
    beta = 1.0 / np.asarray(kt)
    mean = log_weights(points.live)
    exponent = mean[:, None] - points.value[:, None] * beta
    if volume_power:
        exponent += volume_power * np.log(points.volume)[:, None]
    top = exponent.max(axis=0)
    kept = np.flatnonzero(np.any(exponent > top - NEGLIGIBLE, axis=1))
    boltzmann = np.exp(exponent[kept] - top)
    generator = np.random.default_rng(seed)
    blocks = []
    for first in range(0, max(draws, 1), BLOCK):
        count = min(BLOCK, max(draws, 1) - first)
        drawn = [log_weights(points.live, generator if draws else None) for _ in range(count)]
        ratio = np.exp(np.stack(drawn)[:, kept] - mean[kept])
        blocks.append(_moments(points, kept, ratio=ratio, boltzmann=boltzmann, beta=beta, top=top))
    return Averages(*(np.concatenate(column) for column in zip(*blocks, strict=True)))


def log_weights(
    live: Int[np.ndarray, " d"], generator: np.random.Generator | None = None
) -> Float[np.ndarray, " d"]:
    """Logarithms of the prior masses of the points; they sum to one.

    The mass of a point reaches from half-way to the point before to half-way to the next one.

    Parameters
    ----------
    live : (d,) int64
        Points alive at each death.
    generator : numpy Generator, optional
        Draws the shrinkages, each the greatest of `live` uniform numbers; without it their mean
        logarithms -1 / live are taken.
    """
    drawn = -1.0 if generator is None else np.log(generator.uniform(size=len(live)))
    log_x = np.cumsum(drawn / live)
    between = log_x[:-1] + np.log(0.5) + np.log1p(np.exp(np.diff(log_x)))
    upper = np.concatenate(([0.0], between))
    with np.errstate(divide="ignore"):
        fraction = np.concatenate((-np.expm1(np.diff(upper)), [1.0]))
        return upper + np.log(fraction)


def pool(runs: Sequence[Estimate]) -> Estimate:
    """Join independent repeats.

    The value is their mean. Its error is the greater of what the runs say of themselves and of
    what their scatter says, because the first does not see poor mixing and the second is itself
    uncertain when repeats are few.
    """
    values = np.stack([run.value for run in runs])
    inner = np.sqrt(np.mean(np.stack([run.error for run in runs]) ** 2, axis=0) / len(runs))
    if len(runs) == 1:
        return Estimate(values[0], inner)
    scatter = np.std(values, axis=0, ddof=1) / np.sqrt(len(runs))
    return Estimate(np.mean(values, axis=0), np.maximum(inner, scatter))


def estimate(rows: Float[np.ndarray, " s *t"]) -> Estimate:
    """Mean and standard deviation over the draws."""
    return Estimate(np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1))


def peaks(
    kt: Float[np.ndarray, " t"], curves: Float[np.ndarray, "s t"], significance: float = 2.0
) -> list[Peak]:
    """Maxima of the heat capacity inside the range of temperatures, highest first.

    Parameters
    ----------
    kt : (t,) float64
        Temperatures, rising.
    curves : (s, t) float64
        A row for every draw (or every repeat) of the prior volumes.
    significance : float
        A maximum counts if on both sides the mean curve falls below it by this many standard
        deviations of that very difference.
    """
    mean = curves.mean(axis=0)
    found = []
    for top in range(1, len(kt) - 1):
        left, right = _valley(mean, top, -1), _valley(mean, top, +1)
        if not left < top < right:
            continue
        falls = [curves[:, top] - curves[:, side] for side in (left, right)]
        if any(np.mean(fall) < significance * np.std(fall, ddof=1) for fall in falls):
            continue
        tops = np.array([_parabola(kt, curve, left, right) for curve in curves])
        low, high = np.percentile(tops[:, 0], (16.0, 84.0))
        found.append(Peak(estimate(tops[:, 0]), estimate(tops[:, 1]), float(low), float(high)))
    return sorted(found, key=lambda peak: -float(peak.height.value))


def _moments(
    points: DeadPoints,
    kept: Int[np.ndarray, " k"],
    *,
    ratio: Float[np.ndarray, "s k"],
    boltzmann: Float[np.ndarray, "k t"],
    beta: Float[np.ndarray, " t"],
    top: Float[np.ndarray, " t"],
) -> tuple[Float[np.ndarray, "s t"], ...]:
    """Averages of some draws: all of them are products of two matrices, draws by temperatures."""
    total = ratio @ boltzmann

    def mean(quantity: Float[np.ndarray, " k"]) -> Float[np.ndarray, "s t"]:
        return (ratio * quantity) @ boltzmann / total

    # About a centre: the difference of two large moments would lose the digits of the variance.
    share = boltzmann.sum(axis=1) / boltzmann.sum()
    centre, middle = points.value[kept] @ share, points.volume[kept] @ share
    value, volume = points.value[kept] - centre, points.volume[kept] - middle
    mean_value, mean_volume = mean(value), mean(volume)
    size = middle + mean_volume
    return (
        np.log(total) + top,
        centre + mean_value,
        mean(points.energy[kept]),
        size,
        (mean(value**2) - mean_value**2) * beta**2,
        (mean(value * volume) - mean_value * mean_volume) * beta**2 / size,
        (mean(volume**2) - mean_volume**2) * beta / size,
    )


def _valley(curve: Float[np.ndarray, " t"], top: int, step: int) -> int:
    """Lowest place that is reached from a maximum before the curve is higher than it."""
    lowest, place = top, top + step
    while 0 <= place < len(curve) and curve[place] < curve[top]:
        lowest = place if curve[place] < curve[lowest] else lowest
        place += step
    return lowest


def _parabola(
    kt: Float[np.ndarray, " t"], curve: Float[np.ndarray, " t"], left: int, right: int
) -> tuple[float, float]:
    """Maximum of a curve between two places, refined by a parabola through three points."""
    top = left + int(np.argmax(curve[left : right + 1]))
    if not left < top < right:
        return float(kt[top]), float(curve[top])
    x, y = kt[top - 1 : top + 2], curve[top - 1 : top + 2]
    second, first, constant = np.polyfit(x - x[1], y, 2)
    shift = -first / (2.0 * second)
    return float(x[1] + shift), float(constant + 0.5 * first * shift)
