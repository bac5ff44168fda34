"""Real solid harmonics r^l Y_lm as polynomials of x, y, z, and their Gaunt coefficients."""

from functools import cache
from math import factorial, pi, sqrt

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from thermosearch.configuration import Array


def solid_harmonics(
    x: Float[Array, "*shape"], y: Float[Array, "*shape"], z: Float[Array, "*shape"], l_max: int
) -> list[list[Float[Array, "*shape"]]]:
    """Orthonormal real solid harmonics r^l Y_lm for l <= l_max, m = -l ... l.

    On the unit sphere they are orthonormal; without the Condon-Shortley phase. Built from
    Re/Im (x + i y)^m and the recurrence of the associated Legendre functions in z and r^2, so
    that no angle, root or division appears and everything is smooth at the origin.

    Parameters
    ----------
    x, y, z : (...)
        Components, in any layout.
    l_max : int
        Largest angular momentum.

    Returns
    -------
    list over l of lists over m
        Arrays of the shape of `x`.
    """
    square = x * x + y * y + z * z
    cosines, sines = [jnp.ones_like(x)], [jnp.zeros_like(x)]
    for _ in range(l_max):
        c, s = cosines[-1], sines[-1]
        cosines.append(x * c - y * s)
        sines.append(x * s + y * c)
    harmonics = [[x] * (2 * l + 1) for l in range(l_max + 1)]
    for m in range(l_max + 1):
        for l, legendre in enumerate(_legendre_column(z, square, m, l_max), start=m):
            norm = sqrt((2 * l + 1) / (4 * pi) * factorial(l - m) / factorial(l + m))
            if m == 0:
                harmonics[l][l] = norm * legendre
            else:
                harmonics[l][l + m] = sqrt(2.0) * norm * legendre * cosines[m]
                harmonics[l][l - m] = sqrt(2.0) * norm * legendre * sines[m]
    return harmonics


def _legendre_column(
    z: Float[Array, "*shape"], square: Float[Array, "*shape"], m: int, l_max: int
) -> list[Float[Array, "*shape"]]:
    """r^{l-m} P_lm(z / r) / sin^m, for l = m ... l_max."""
    column = [jnp.full_like(z, float(np.prod(np.arange(1, 2 * m, 2))))]
    for l in range(m + 1, l_max + 1):
        upper = (2 * l - 1) / (l - m) * z * column[-1]
        if l > m + 1:
            upper = upper - (l + m - 1) / (l - m) * square * column[-2]
        column.append(upper)
    return column


@cache
def gaunt(l1: int, l2: int, l3: int) -> Float[np.ndarray, "m1 m2 m3"]:
    """Integral of Y_l1m1 Y_l2m2 Y_l3m3 over the sphere, by an exact product quadrature."""
    degree = l1 + l2 + l3
    cosines, weights = np.polynomial.legendre.leggauss(degree // 2 + 1)
    phi = 2.0 * pi * np.arange(degree + 1) / (degree + 1)
    sines = np.sqrt(1.0 - cosines**2)
    x, y = np.outer(sines, np.cos(phi)), np.outer(sines, np.sin(phi))
    z = np.outer(cosines, np.ones_like(phi))
    with jax.ensure_compile_time_eval():
        harmonics = solid_harmonics(x, y, z, max(l1, l2, l3))
        first, second, third = (np.array(harmonics[l]) for l in (l1, l2, l3))
    measure = np.outer(weights, np.full_like(phi, 2.0 * pi / phi.size))
    values = np.einsum("aij,bij,cij,ij->abc", first, second, third, measure)
    return np.where(np.abs(values) < 1e-14, 0.0, values)
