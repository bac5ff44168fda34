"""What points at several temperatures and pressures say together: derivatives and crossings.

Derivatives are slopes of parabolas through neighbouring points: linear in the data, so that their
errors follow from those of the points, whose samples are independent.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

EXACT, NOISY = 3, 5
"""Points a parabola is laid through, where there are as many: with five the error is less than half
of that with three, and the bias of the curvature that a parabola lacks three times as large."""
DRAWS = 1000
"""Resamplings for the error of a crossing."""


class Curve(NamedTuple):
    """Values and their standard errors along the points."""

    value: Float[np.ndarray, "*shape"]
    error: Float[np.ndarray, "*shape"]


class Crossing(NamedTuple):
    """A temperature at which two phases have one free energy.

    Attributes
    ----------
    temperature, error : float
        K; the error is statistical, from resampling the points.
    model_error : float or None
        K, standard deviation over the members of a committee whose difference crosses as well.
    share : float
        Of the resamplings in which a crossing was found; the error is of these.
    stable_above : int
        0 if the first phase is the stable one above it, 1 for the second.
    """

    temperature: float
    error: float
    model_error: float | None
    share: float
    stable_above: int


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
    degree: int = 2,
    common: bool = False,
    seed: int = 0,
) -> list[Crossing]:
    """Temperatures at which the free energies of two phases are equal, within the range given.

    A polynomial is laid through the differences, weighted by their errors; so again through
    differences drawn within their errors, and through those of every member.

    Parameters
    ----------
    temperature : (t,)
        K, rising.
    difference, error : (t,)
        G of the first phase minus G of the second, and its standard error.
    members : (t, members), optional
        The same difference by every member of a committee.
    degree : int
        Of the polynomial; at most t - 1.
    common : bool
        Whether the points were sampled with common random numbers, so that they err together.
    seed : int
        Of the resampling.
    """
    scale = np.max(error)
    weight = 1.0 / np.maximum(error, 1e-3 * scale) if scale > 0.0 else np.ones_like(error)
    degree = min(degree, len(temperature) - 1)
    generator = np.random.default_rng(seed)
    deviates = generator.standard_normal((DRAWS, 1 if common else len(error)))
    drawn = difference + error * deviates
    drawn_roots = _roots(temperature, drawn, weight, degree)
    by_member = [] if members is None else _roots(temperature, members.T, weight, degree)
    found = []
    roots = _roots(temperature, difference[None], weight, degree)[0]
    for root in roots:
        near = _nearest(drawn_roots, root, roots)
        of_model = _nearest(by_member, root, roots)
        slope = _slope_at(temperature, difference, weight, degree, root)
        found.append(
            Crossing(
                temperature=float(root),
                error=float(np.sqrt(np.mean((near - root) ** 2))) if len(near) else 0.0,
                model_error=float(np.std(of_model, ddof=1)) if len(of_model) > 1 else None,
                share=len(near) / DRAWS,
                stable_above=int(slope > 0.0),
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
    rows: Float[np.ndarray, "rows t"],
    weight: Float[np.ndarray, " t"],
    degree: int,
) -> list[Float[np.ndarray, " roots"]]:
    """Real roots of the polynomial through each row that lie within the temperatures."""
    low, high = temperature[0], temperature[-1]
    scaled = 2.0 * (temperature - low) / (high - low) - 1.0
    coefficients = np.polyfit(scaled, rows.T, degree, w=weight).T
    found = []
    for each in coefficients:
        root = np.roots(each)
        real = root[np.abs(root.imag) < 1e-9].real
        inside = np.sort(real[np.abs(real) <= 1.0])
        found.append(low + 0.5 * (inside + 1.0) * (high - low))
    return found


def _nearest(
    rows: list[Float[np.ndarray, " roots"]], root: float, among: Float[np.ndarray, " all"]
) -> Float[np.ndarray, " found"]:
    """From each row the root that is nearest to this one and to none of the others."""
    chosen = []
    for row in rows:
        own = [r for r in row if among[np.argmin(np.abs(among - r))] == root]
        if own:
            chosen.append(min(own, key=lambda r: abs(r - root)))
    return np.array(chosen)


def _slope_at(
    temperature: Float[np.ndarray, " t"],
    difference: Float[np.ndarray, " t"],
    weight: Float[np.ndarray, " t"],
    degree: int,
    root: float,
) -> float:
    middle = temperature.mean()
    fitted = np.polyfit(temperature - middle, difference, degree, w=weight)
    return float(np.polyval(np.polyder(fitted), root - middle))
