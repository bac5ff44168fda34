import numpy as np
import pytest

from thermosearch.neural.radial import bessel_basis, chebyshev_series, series_terms

CUTOFF, N_MAX = 5.0, 7


@pytest.mark.parametrize("l", range(6))
def test_orthonormal(l: int) -> None:
    nodes, weights = np.polynomial.legendre.leggauss(200)
    r, weights = 0.5 * CUTOFF * (nodes + 1.0), 0.5 * CUTOFF * weights
    g = bessel_basis(r, CUTOFF, N_MAX - l + 1, l)
    np.testing.assert_allclose((g * weights * r**2) @ g.T, np.eye(len(g)), atol=1e-10)


@pytest.mark.parametrize("l", range(6))
def test_value_slope_and_curvature_vanish_at_the_cutoff(l: int) -> None:
    gap = 1e-2
    near = np.abs(bessel_basis(np.array([CUTOFF - gap, CUTOFF - gap / 2]), CUTOFF, 8 - l, l))
    # A triple zero: halving the distance to the cutoff divides the value by eight.
    np.testing.assert_allclose(near[:, 0] / near[:, 1], 8.0, rtol=0.05)


@pytest.mark.parametrize(("precision", "accuracy"), [("float32", 1e-6), ("float64", 1e-12)])
def test_series_is_accurate_to_rounding(precision: str, accuracy: float) -> None:
    terms = series_terms(N_MAX, precision)
    x = np.linspace(1e-3, 1.0, 500)
    for l in range(6):
        series = chebyshev_series(CUTOFF, N_MAX - l + 1, l, terms)
        polynomials = np.cos(np.outer(np.arange(terms), np.arccos(2.0 * x**2 - 1.0)))
        values = series @ polynomials * x**l * (1.0 - x**2) ** 3
        exact = bessel_basis(x * CUTOFF, CUTOFF, N_MAX - l + 1, l)
        np.testing.assert_allclose(values, exact, atol=accuracy)
