"""Orthonormal spherical-Bessel radial functions g_{n-l,l}(r) that end smoothly at the cutoff.

Kocer, Mason, Erturk, AIP Advances 10, 015021 (2020). For each l, neighbouring Bessel functions
that vanish at the cutoff are paired so that the slope vanishes too (and with it, by the Bessel
equation, the curvature), then orthonormalised by a two-term recurrence.

In a model they are evaluated through their exact form r^l (1 - r^2/rc^2)^3 q_nl(r^2/rc^2): q_nl
is an entire function of r^2, of which a short Chebyshev series is accurate to rounding. So no
root, sine or division is needed, and the polynomials of all n, l are one matrix product.
"""

from functools import cache
from itertools import pairwise

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import brentq
from scipy.special import spherical_jn

from thermosearch.configuration import Array


def bessel_basis(
    r: Float[np.ndarray, " points"], cutoff: float, count: int, l: int
) -> Float[np.ndarray, "count points"]:
    """First `count` radial functions of angular momentum l, from their definition.

    They satisfy int_0^rc g_n g_n' r^2 dr = delta_nn', and g, g', g'' vanish at the cutoff.

    Parameters
    ----------
    r : (points,) float64
        Distances between 0 and the cutoff, A.
    cutoff : float
        A.
    count, l : int
        Number of functions, angular momentum.

    Returns
    -------
    (count, points) float64
        A^{-3/2}.
    """
    u = _bessel_roots(l, count + 1)
    waves = spherical_jn(l, u[:, None] * (r / cutoff)) / spherical_jn(l + 1, u)[:, None]
    squares = u**2
    pairs = (u[1:, None] * waves[:-1] - u[:-1, None] * waves[1:]) * np.sqrt(
        2.0 / (cutoff**3 * (squares[:-1] + squares[1:]))
    )[:, None]
    functions = [pairs[0]]
    d = 1.0
    for n in range(1, count):
        before, here, after = squares[n - 1 : n + 2]
        e = before * after / ((before + here) * (here + after))
        d_next = 1.0 - e / d
        functions.append((pairs[n] + np.sqrt(e / d) * functions[-1]) / np.sqrt(d_next))
        d = d_next
    return np.array(functions)


@cache
def chebyshev_series(cutoff: float, count: int, l: int, terms: int) -> Float[np.ndarray, "n k"]:
    """Coefficients C of g_n(r) = x^l (1 - x^2)^3 sum_k C_nk T_k(2 x^2 - 1), x = r / cutoff.

    Least squares in g itself: dividing its values by the envelope would magnify their rounding.
    """
    angles = np.pi * (np.arange(8 * terms) + 0.5) / (8 * terms)
    t = 0.5 * (np.cos(angles) + 1.0)
    polynomials = np.cos(np.outer(angles, np.arange(terms)))
    envelope = t ** (0.5 * l) * (1.0 - t) ** 3
    values = bessel_basis(np.sqrt(t) * cutoff, cutoff, count, l)
    return np.linalg.lstsq(envelope[:, None] * polynomials, values.T, rcond=None)[0].T


def series_terms(n_max: int, precision: str) -> int:
    """Length of the Chebyshev series that is accurate to rounding.

    The fastest function turns (n_max + 2) pi radians from 0 to the cutoff, so coefficients fall
    faster than exponentially beyond half as many terms.
    """
    return int(np.ceil(0.5 * np.pi * (n_max + 2))) + (4 if precision == "float32" else 10)


def enveloped_series(
    t: Float[Array, "m n"], inside: Bool[Array, "m n"], terms: int
) -> Float[Array, "terms m n"]:
    """(1 - t)^3 T_k(2 t - 1) for k < terms, zero where not `inside`; t = (r / cutoff)^2."""
    safe = jnp.where(inside, t, 1.0)
    doubled = 4.0 * safe - 2.0
    envelope = (1.0 - safe) ** 3
    # The envelope goes through the recurrence, which is linear.
    series = [envelope, 0.5 * doubled * envelope]
    while len(series) < terms:
        series.append(doubled * series[-1] - series[-2])
    return jnp.stack(series[:terms])


@cache
def _bessel_roots(l: int, count: int) -> Float[np.ndarray, " count"]:
    """First positive roots of j_l: those of j_l lie between those of j_{l-1}."""
    roots = np.pi * np.arange(1, count + l + 1)
    for order in range(1, l + 1):
        roots = np.array(
            [
                brentq(lambda x, order=order: spherical_jn(order, x), a, b, xtol=1e-14, rtol=1e-15)
                for a, b in pairwise(roots)
            ]
        )
    return roots
