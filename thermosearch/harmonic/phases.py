"""What points at several temperatures and pressures say together: derivatives and crossings.

Derivatives are slopes of parabolas through neighbouring points: linear in the data, so that their
errors follow from those of the points, whose samples are independent. Crossings are roots of
polynomials through the points around a change of sign.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.polynomial import Polynomial
from scipy.optimize import brentq
from scipy.special import ndtr

EXACT, NOISY = 3, 5
"""Points a parabola is laid through, where there are as many: with five the error is less than half
of that with three, and the bias of the curvature that a parabola lacks three times as large."""
SURE = 3.0
"""Standard errors from zero, from which on the sign of a difference is taken to be known."""
AROUND = 4
"""Points at least around a change of sign, where there are as many: a cubic through them."""
STIFFEST = 4
"""Highest degree of the polynomial through more of them."""


class Curve(NamedTuple):
    """Values and their standard errors along the points."""

    value: Float[np.ndarray, "*shape"]
    error: Float[np.ndarray, "*shape"]


class Crossing(NamedTuple):
    """A temperature at which two phases have one free energy.

    Attributes
    ----------
    temperature, error : float
        K; the error is statistical, that of the difference over its slope.
    interpolation_error : float or None
        K, by how much the crossing moves at most without the first or the last of the points that
        the polynomial goes through; not in the error. None where points are left over and bear the
        polynomial out within their errors, and where there are only two.
    model_error : float or None
        K, standard deviation over the members of a committee whose difference crosses as well.
    inside : float
        Probability, by its error, that it lies within the temperatures.
    stable_above : int
        0 if the first phase is the stable one above it, 1 for the second.
    """

    temperature: float
    error: float
    interpolation_error: float | None
    model_error: float | None
    inside: float
    stable_above: int


class _Root(NamedTuple):
    """Where a difference is zero, with its slope there, per K, and the errors of both kinds, K."""

    temperature: float
    slope: float
    error: float
    interpolation_error: float | None


def expansion_tensor(
    temperature: Float[np.ndarray, " t"],
    cell: Float[np.ndarray, "t 3 3"],
    strain_error: Float[np.ndarray, "t 3 3"],
) -> Curve:
    """Thermal expansion tensor alpha = sym(h^-1 dh/dT), 1/K, Cartesian.

    Parameters
    ----------
    temperature : (t,)
        K, rising.
    cell : (t, 3, 3)
        Lattice vectors h, rows, A.
    strain_error : (t, 3, 3)
        Standard errors of the strain of each cell.
    """
    slope = slopes(temperature, _width(strain_error))
    rate = np.linalg.inv(cell) @ np.einsum("ij,jab->iab", slope, cell)
    variance = np.einsum("ij,jab->iab", slope**2, strain_error**2)
    return Curve(0.5 * (rate + rate.transpose(0, 2, 1)), np.sqrt(variance))


def expansion_of(
    temperature: Float[np.ndarray, " t"], strains: Float[np.ndarray, "t members"]
) -> Float[np.ndarray, "t members"]:
    """Slopes of small strains with temperature, 1/K."""
    return slopes(temperature, NOISY) @ strains


def bulk_modulus(
    pressure: Float[np.ndarray, " p"],
    volume: Float[np.ndarray, " p"],
    volume_error: Float[np.ndarray, " p"],
) -> Curve:
    """Isothermal bulk modulus -1 / (d ln V / dp), in the unit of the (rising) pressures."""
    slope = slopes(pressure, _width(volume_error))
    modulus = -1.0 / (slope @ np.log(volume))
    return Curve(modulus, modulus**2 * _carried(slope, volume_error / volume))


def heat_capacity_of_shifts(
    temperature: Float[np.ndarray, " t"], entropy: Float[np.ndarray, "t t"]
) -> Float[np.ndarray, " t"]:
    """Heat capacity that the change of the frequencies adds to that of the modes.

    C = T dS/dT = T (dS/dT at fixed frequencies) + T sum (dS/d omega) d omega / dT. The first is
    known without differences; this is the second, smooth enough for few temperatures.

    Parameters
    ----------
    temperature : (t,)
        K, rising.
    entropy : (t, t)
        Entropy at each temperature (row) of the modes found at each temperature (column).

    Returns
    -------
    (t,)
        In the unit of the entropy. On an isobar both together are C_p.
    """
    return temperature * np.sum(slopes(temperature, NOISY) * entropy, axis=1)


def mode_gruneisen(
    volume: Float[np.ndarray, " v"], frequency: Float[np.ndarray, "v m"]
) -> Float[np.ndarray, "v m"]:
    """Grueneisen parameters -d ln omega / d ln V of every mode, from rising or falling volumes."""
    order = np.argsort(volume)
    slope = slopes(np.log(volume[order]), EXACT)
    found = np.empty_like(frequency)
    found[order] = -slope @ np.log(frequency[order])
    return found


def gruneisen(
    expansion: Curve, bulk: Curve, volume: Float[np.ndarray, " t"], capacity: Curve
) -> Curve:
    """Thermodynamic Grueneisen parameter gamma = V alpha_V B / C_V.

    Parameters
    ----------
    expansion : Curve
        alpha_V, the trace of the tensor, 1/K.
    bulk : Curve
        B, eV/A^3.
    volume : (t,)
        A^3.
    capacity : Curve
        C_V, eV/K, of that volume.
    """
    value = volume * expansion.value * bulk.value / capacity.value
    relative = sum(
        np.divide(each.error, each.value, out=np.zeros_like(value), where=each.value != 0.0) ** 2
        for each in (expansion, bulk, capacity)
    )
    return Curve(value, np.abs(value) * np.sqrt(relative))


def crossings(
    temperature: Float[np.ndarray, " t"],
    difference: Float[np.ndarray, " t"],
    error: Float[np.ndarray, " t"],
    *,
    members: Float[np.ndarray, "t members"] | None = None,
    common: bool = False,
) -> list[Crossing]:
    """Temperatures at which the free energies of two phases are equal, within the range given.

    Between two points whose signs are known and differ (the ends of the range count as known)
    there is one crossing: the root of a polynomial, weighted by the errors. It is a parabola
    through as many points around as it misses by no more than their errors (root mean square); if
    these are too few, the polynomial of the lowest degree that does so through the two, those
    between and a neighbour on either side. A change of sign and back within the errors is none.

    Parameters
    ----------
    temperature : (t,)
        K, rising.
    difference, error : (t,)
        G of the first phase minus G of the second, and its standard error.
    members : (t, members), optional
        The same difference by every member of a committee.
    common : bool
        Whether the points were sampled with common random numbers, so that they err together.
    """
    roots = _roots(temperature, difference, error, common)
    by_member = () if members is None else members.T
    of_members = [_roots(temperature, member, error, common) for member in by_member]
    found = []
    for root in roots:
        near = _nearest(of_members, root, roots)
        found.append(
            Crossing(
                temperature=root.temperature,
                error=root.error,
                interpolation_error=root.interpolation_error,
                model_error=float(np.std(near, ddof=1)) if len(near) > 1 else None,
                inside=_inside(root, temperature),
                stable_above=int(root.slope > 0.0),
            )
        )
    return found


def slopes(x: Float[np.ndarray, " t"], neighbours: int) -> Float[np.ndarray, "t t"]:
    """Matrix D with D @ y the derivative dy/dx at every x.

    Row i is the slope at x_i of the least-squares parabola through so many neighbouring points
    (a straight line through two).
    """
    count = len(x)
    if count < 2 or np.any(np.diff(x) <= 0.0):
        raise ValueError(f"a derivative needs two or more rising points: {x}")
    matrix = np.zeros((count, count))
    width = min(neighbours, count)
    for i in range(count):
        first = int(np.clip(i - width // 2, 0, count - width))
        near = np.arange(first, first + width)
        scale = x[near[-1]] - x[near[0]]
        powers = np.vander((x[near] - x[i]) / scale, min(3, width), increasing=True)
        matrix[i, near] = np.linalg.pinv(powers)[1] / scale
    return matrix


def _width(error: Float[np.ndarray, " t *tensor"]) -> int:
    return NOISY if np.any(error) else EXACT


def _carried(slope: Float[np.ndarray, "t t"], error: Float[np.ndarray, " t"]) -> np.ndarray:
    return np.sqrt(slope**2 @ error**2)


def _roots(
    temperature: Float[np.ndarray, " t"],
    difference: Float[np.ndarray, " t"],
    error: Float[np.ndarray, " t"],
    common: bool,
) -> list[_Root]:
    found = (
        _root(temperature, difference, error, change, common)
        for change in _changes(difference, error)
    )
    return [root for root in found if root is not None]


def _changes(
    difference: Float[np.ndarray, " t"], error: Float[np.ndarray, " t"]
) -> list[tuple[int, int]]:
    """Neighbours, among the points whose sign is known and the ends, of opposite sign."""
    known = np.abs(difference) >= SURE * error
    known[[0, -1]] = True
    places = np.flatnonzero(known)
    above = difference[places] >= 0.0
    return [(int(places[k]), int(places[k + 1])) for k in np.flatnonzero(above[:-1] != above[1:])]


def _root(
    temperature: Float[np.ndarray, " t"],
    difference: Float[np.ndarray, " t"],
    error: Float[np.ndarray, " t"],
    change: tuple[int, int],
    common: bool,
) -> _Root | None:
    """Root between the two points of a change of sign; None where the polynomial has none there."""
    near, degree = _chosen(temperature, difference, error, change)
    x, y, of = temperature[near], difference[near], error[near]
    fitted = _polynomial(x, y, of, degree)
    ends = temperature[list(change)]
    # A point may itself be the crossing, and the polynomial miss it by rounding.
    low, high = ends + 1e-6 * (ends[1] - ends[0]) * np.array([-1.0, 1.0])
    if fitted(low) * fitted(high) >= 0.0:
        return None
    place = float(np.clip(brentq(fitted, low, high), *ends))
    slope = fitted.deriv()(place)
    # The fit is linear: it carries the errors as it does the values.
    carried = [_polynomial(x, row, of, degree)(place) for row in ([of] if common else np.diag(of))]
    untested = degree == len(x) - 1 and degree > 1
    return _Root(
        temperature=place,
        slope=float(slope),
        error=float(np.linalg.norm(carried) / abs(slope)),
        interpolation_error=float(_without_an_end(x, y, place) / abs(slope)) if untested else None,
    )


def _chosen(
    temperature: Float[np.ndarray, " t"],
    difference: Float[np.ndarray, " t"],
    error: Float[np.ndarray, " t"],
    change: tuple[int, int],
) -> tuple[slice, int]:
    """Points and degree of the polynomial for one change of sign: as many, as smooth as will do."""
    first, last = change
    count = len(temperature)
    fewest = min(count, max(last - first + 3, AROUND))
    highest = min(STIFFEST, fewest - 1)
    lowest = min(2, highest)
    choices = [(width, lowest) for width in range(count, fewest, -1)]
    choices += [(fewest, degree) for degree in range(lowest, highest + 1)]
    for width, degree in choices:
        low = int(np.clip((first + last + 1 - width) // 2, 0, count - width))
        near = slice(low, low + width)
        x, y, of = temperature[near], difference[near], error[near]
        misfit = _polynomial(x, y, of, degree)(x) - y
        if np.linalg.norm(_weight(of) * misfit) <= np.linalg.norm(_weight(of) * of):
            break
    return near, degree


def _polynomial(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    error: Float[np.ndarray, " n"],
    degree: int,
) -> Polynomial:
    return Polynomial.fit(x, y, degree, w=_weight(error))


def _weight(error: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    scale = np.max(error)
    return 1.0 / np.maximum(error, 1e-3 * scale) if scale > 0.0 else np.ones_like(error)


def _without_an_end(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], place: float) -> float:
    """Value there of the polynomial without the first point or the last, the larger of the two."""
    parts = (x[1:], y[1:]), (x[:-1], y[:-1])
    return max(abs(float(Polynomial.fit(*part, len(x) - 2)(place))) for part in parts)


def _inside(root: _Root, x: Float[np.ndarray, " n"]) -> float:
    """Probability, by its error, that a root lies within the points."""
    if root.error == 0.0:
        return 1.0
    below, above = ndtr((x[[0, -1]] - root.temperature) / root.error)
    return float(above - below)


def _nearest(rows: list[list[_Root]], root: _Root, among: list[_Root]) -> Float[np.ndarray, " f"]:
    """From each row the temperature that is nearest to this root and to none of the others."""
    chosen = []
    for row in rows:
        own = [
            r.temperature
            for r in row
            if min(among, key=lambda a: abs(a.temperature - r.temperature)) is root
        ]
        if own:
            chosen.append(min(own, key=lambda t: abs(t - root.temperature)))
    return np.array(chosen)
