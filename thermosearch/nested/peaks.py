"""Maxima of curves, with errors."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from thermosearch.nested.analysis import Estimate, estimate

LEAST = 1e-3
"""Shares of a maximum below this are not told apart."""


class Peak(NamedTuple):
    """A maximum of the heat capacity.

    Attributes
    ----------
    position, height : Estimate
        kT and Var(H) / (kT)^2 at the maximum.
    low, high : float
        Central 68 % interval of the position.
    below, above : float
        kT on its two sides at which the mean curve has come half the way down.
    """

    position: Estimate
    height: Estimate
    low: float
    high: float
    below: float
    above: float


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
        A maximum counts if on both sides the logarithm of the curves falls from it by this many
        standard deviations of that very difference. Each curve falls from its own maximum between
        the two valleys of the mean: draws of a sharp maximum move it by more than its width, and
        repeats that froze at different temperatures have it in different places.
    """
    mean = curves.mean(axis=0)
    found = []
    for top in range(1, len(kt) - 1):
        left, right = _valley(mean, top, -1), _valley(mean, top, +1)
        if not left < top < right:
            continue
        # The floor keeps a curve that vanishes, where one point has all the weight, out of it.
        logs = np.log(np.maximum(curves[:, left : right + 1], LEAST * mean[top]))
        falls = logs.max(axis=1, keepdims=True) - logs[:, [0, -1]]
        if np.any(falls.mean(axis=0) < significance * falls.std(axis=0, ddof=1)):
            continue
        tops = np.array([highest(kt, curve, left, right) for curve in curves])
        interval = np.percentile(tops[:, 0], (16.0, 84.0))
        sides = [kt[_half_way(mean, top, side)] for side in (left, right)]
        found.append(
            Peak(estimate(tops[:, 0]), estimate(tops[:, 1]), *map(float, (*interval, *sides)))
        )
    return sorted(found, key=lambda peak: -float(peak.height.value))


def highest(
    kt: Float[np.ndarray, " t"], curve: Float[np.ndarray, " t"], left: int, right: int
) -> tuple[float, float]:
    """Place and height of a curve's maximum between two places, by a parabola through three."""
    top = left + int(np.argmax(curve[left : right + 1]))
    if not left < top < right:
        return float(kt[top]), float(curve[top])
    x, y = kt[top - 1 : top + 2], curve[top - 1 : top + 2]
    second, first, constant = np.polyfit(x - x[1], y, 2)
    shift = -first / (2.0 * second)
    return float(x[1] + shift), float(constant + 0.5 * first * shift)


def _valley(curve: Float[np.ndarray, " t"], top: int, step: int) -> int:
    """Lowest place that is reached from a maximum before the curve is higher than it."""
    lowest, place = top, top + step
    while 0 <= place < len(curve) and curve[place] < curve[top]:
        lowest = place if curve[place] < curve[lowest] else lowest
        place += step
    return lowest


def _half_way(curve: Float[np.ndarray, " t"], top: int, side: int) -> int:
    """First place from a maximum towards a valley where half of the fall is done."""
    level = 0.5 * (curve[top] + curve[side])
    step = 1 if side > top else -1
    return next(place for place in range(top, side + step, step) if curve[place] <= level)
