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
    kinetic : (d,) float64 or None
        Kinetic energy, which is in the value and in no average; None where momenta are not sampled.
    """

    value: Float[np.ndarray, " d"]
    energy: Float[np.ndarray, " d"]
    volume: Float[np.ndarray, " d"]
    live: Int[np.ndarray, " d"]
    birth: Float[np.ndarray, " d"]
    kinetic: Float[np.ndarray, " d"] | None = None

    @property
    def configurational(self) -> Float[np.ndarray, " d"]:
        """Energy or enthalpy H, without the kinetic part."""
        return self.value if self.kinetic is None else self.value - self.kinetic


class Averages(NamedTuple):
    """Averages at every temperature, and one such row for every draw of the prior volumes.

    Attributes
    ----------
    log_z : (s, t)
        ln sum_i w_i exp(-beta H_i), relative to the prior; with momenta, of H + K.
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


def sampled_averages(
    points: DeadPoints,
    places: Int[np.ndarray, " m"],
    quantities: Float[np.ndarray, "m q"],
    kt: Float[np.ndarray, " t"],
    *,
    draws: int,
    seed: int,
    volume_power: float = 0.0,
) -> Estimate:
    """Averages of what was computed for some of the points only, evenly chosen.

    Parameters
    ----------
    points : DeadPoints
        All of a run.
    places : (m,) int
        Which of them were chosen.
    quantities : (m, q) float64
        At these.
    kt, draws, seed, volume_power
        As of `averages`.

    Returns
    -------
    Estimate of (q, t)
        Its variance is that over the draws plus sum w^2 (x - <x>)^2 / (sum w)^2, of choosing some.
    """
    generator = np.random.default_rng(seed)
    boltzmann = -points.value[places, None] / kt
    if volume_power:
        boltzmann = boltzmann + volume_power * np.log(points.volume[places])[:, None]

    def shares(masses: Float[np.ndarray, " d"]) -> Float[np.ndarray, "m t"]:
        exponent = masses[places, None] + boltzmann
        weight = np.exp(exponent - exponent.max(axis=0))
        return weight / weight.sum(axis=0)

    mean = shares(log_weights(points.live))
    value = quantities.T @ mean
    drawn = [quantities.T @ shares(log_weights(points.live, generator)) for _ in range(draws)]
    second = (quantities**2).T @ mean**2 - 2.0 * value * (quantities.T @ mean**2)
    choosing = second + value**2 * np.sum(mean**2, axis=0)
    variance = np.var(np.stack(drawn), axis=0, ddof=1) + np.maximum(choosing, 0.0)
    return Estimate(value, np.sqrt(variance))


def resample(
    runs: Sequence[Float[np.ndarray, "_ t"]], draws: int, seed: int
) -> Float[np.ndarray, "draws t"]:
    """Curves that the mean over the repeats might have been: repeats and their draws resampled.

    Parameters
    ----------
    runs : sequence of (s, t) float64
        A curve for every draw of the prior volumes, of every repeat.
    draws : int
        Curves wanted.
    seed : int
        Of the resampling.
    """
    generator = np.random.default_rng(seed)
    shape = (draws, len(runs))
    which = generator.integers(len(runs), size=shape)
    row = generator.integers(len(runs[0]), size=shape)
    return np.mean(np.stack(runs)[which, row], axis=1)


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
    enthalpy, size = points.configurational[kept], points.volume[kept]
    centre, middle = enthalpy @ share, size @ share
    value, volume = enthalpy - centre, size - middle
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
