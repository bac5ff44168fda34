"""Derivatives and crossings of points with errors."""

import numpy as np
import pytest

from thermosearch.harmonic.phases import (
    Curve,
    bulk_modulus,
    crossings,
    expansion_tensor,
    gruneisen,
    heat_capacity_of_shifts,
    mode_gruneisen,
    slopes,
)


def test_slopes_are_exact_for_parabolas_on_uneven_points() -> None:
    x = np.array([0.0, 50.0, 70.0, 300.0, 310.0, 900.0])
    np.testing.assert_allclose(
        slopes(x, 5) @ (3.0 - 2.0 * x + 0.1 * x**2), -2.0 + 0.2 * x, rtol=1e-9
    )
    np.testing.assert_allclose(slopes(x[:2], 5) @ (7.0 * x[:2]), 7.0)
    with pytest.raises(ValueError, match="rising"):
        slopes(x[::-1], 5)


def test_expansion_of_a_sheared_cell_is_its_strain_rate() -> None:
    t = np.linspace(0.0, 400.0, 5)
    rate = np.array([[2e-6, 1e-6, 0.0], [1e-6, -3e-6, 0.0], [0.0, 0.0, 5e-6]])
    start = np.array([[5.0, 0.0, 0.0], [0.3, 5.2, 0.0], [-0.8, 0.1, 5.4]])
    cells = start @ (np.eye(3) + t[:, None, None] * rate)
    found = expansion_tensor(t, cells, np.full((5, 3, 3), 1e-5))
    np.testing.assert_allclose(found.value[0], rate, atol=1e-12)
    np.testing.assert_allclose(found.value[4], rate, atol=1e-8)  # per length at its own T
    scatter = np.random.default_rng(0).normal(0.0, 1e-5, (4000, 5)) @ slopes(t, 5).T
    np.testing.assert_allclose(found.error[:, 0, 0], scatter.std(axis=0), rtol=0.05)


def test_murnaghan_gives_back_its_bulk_modulus() -> None:
    pressure, b0, b1 = np.linspace(-2.0, 2.0, 9), 90.0, 4.0
    volume = 20.0 * (1.0 + b1 * pressure / b0) ** (-1.0 / b1)
    found = bulk_modulus(pressure, volume, np.full(9, 0.002))
    np.testing.assert_allclose(found.value, b0 + b1 * pressure, rtol=2e-3)
    assert np.all(found.error > 0.0)


def test_heat_capacity_of_softening_oscillators_is_that_of_their_entropy() -> None:
    t = np.linspace(100.0, 1000.0, 10)

    def entropy(kelvin: np.ndarray, theta: np.ndarray) -> np.ndarray:
        x = theta / kelvin
        return x / np.expm1(x) - np.log(-np.expm1(-x))

    def theta(kelvin: np.ndarray) -> np.ndarray:
        return 600.0 - 0.1 * kelvin

    x = theta(t) / t
    at_fixed = (0.5 * x / np.sinh(0.5 * x)) ** 2
    found = at_fixed + heat_capacity_of_shifts(t, entropy(t[:, None], theta(t)[None, :]))
    step = 1e-3
    rise = entropy(t + step, theta(t + step)) - entropy(t - step, theta(t - step))
    np.testing.assert_allclose(found, t * rise / (2.0 * step), rtol=2e-3)
    assert np.all(found > at_fixed)


def test_gruneisen_parameters_of_power_laws() -> None:
    volume = np.array([21.0, 20.0, 19.0, 18.5])
    frequency = np.stack([volume**-1.5, volume**0.7], axis=1)
    np.testing.assert_allclose(mode_gruneisen(volume, frequency), [[1.5, -0.7]] * 4, rtol=1e-9)
    one = np.ones(3)
    found = gruneisen(
        Curve(2.0 * one, 0.02 * one),
        Curve(3.0 * one, 0.0 * one),
        4.0 * one,
        Curve(12.0 * one, 0 * one),
    )
    np.testing.assert_allclose(found.value, 2.0)
    np.testing.assert_allclose(found.error, 0.02)


def test_a_crossing_is_found_with_a_calibrated_error() -> None:
    t, generator = np.linspace(1000.0, 3000.0, 9), np.random.default_rng(3)
    truth = 1e-4 * (t - 2050.0) + 2e-9 * (t - 2050.0) ** 2
    error = np.full(9, 0.01)
    z = []
    for _ in range(40):
        (found,) = crossings(t, truth + generator.normal(0.0, error), error, degree=2)
        assert found.stable_above == 1
        assert found.share > 0.99
        z.append((found.temperature - 2050.0) / found.error)
    assert abs(np.mean(z)) < 3.5 / np.sqrt(40)
    assert 0.4 < np.var(z) < 1.9


def test_members_that_disagree_give_a_model_error() -> None:
    t = np.linspace(1000.0, 3000.0, 5)
    shifted = np.stack([1e-4 * (t - t0) for t0 in (1900.0, 2000.0, 2100.0)], axis=1)
    (found,) = crossings(t, shifted.mean(axis=1), np.zeros(5), members=shifted)
    assert found.temperature == pytest.approx(2000.0)
    assert found.error == pytest.approx(0.0, abs=1e-6)
    assert found.model_error == pytest.approx(100.0)


def test_two_crossings_keep_their_own_errors_and_none_is_none() -> None:
    t = np.linspace(0.0, 100.0, 11)
    parabola = 1e-3 * (t - 20.0) * (t - 70.0)
    first, second = crossings(t, parabola, np.full(11, 0.01))
    assert (first.temperature, second.temperature) == pytest.approx((20.0, 70.0))
    assert (first.stable_above, second.stable_above) == (0, 1)
    assert max(first.error, second.error) < 2.0
    assert crossings(t, parabola + 10.0, np.full(11, 0.01)) == []
