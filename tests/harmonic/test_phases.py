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
from thermosearch.units import BOLTZMANN_EV_PER_K

GRIDS = {
    "hundreds": np.arange(0.0, 1001.0, 100.0),
    "fifties": np.arange(50.0, 801.0, 50.0),
    "uneven": np.array([100.0, 200.0, 400.0, 700.0, 1000.0]),
}
EINSTEIN = [(200.0, 350.0, 300.0), (150.0, 260.0, 320.0), (400.0, 600.0, 250.0)]
"""Einstein temperatures of two crystals, and where their static energies let them cross, K."""


def einstein_difference(t: np.ndarray, one: float, other: float, cross: float) -> np.ndarray:
    """G of an Einstein crystal less that of another, eV/atom."""

    def free_energy(kelvin: np.ndarray, theta: float) -> np.ndarray:
        kelvin = np.maximum(kelvin, 1e-9)
        thermal = kelvin * np.log(-np.expm1(-theta / kelvin))
        return 3.0 * BOLTZMANN_EV_PER_K * (0.5 * theta + thermal)

    both = [free_energy(t, one) - free_energy(t, other) for t in (t, np.array([cross]))]
    return both[0] - both[1]


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
        (found,) = crossings(t, truth + generator.normal(0.0, error), error)
        assert found.stable_above == 1
        assert found.inside > 0.99
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


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("crystals", EINSTEIN)
def test_einstein_crystals_cross_where_they_do(
    grid: str, crystals: tuple[float, float, float]
) -> None:
    t, cross = GRIDS[grid], crystals[-1]
    (found,) = crossings(t, einstein_difference(t, *crystals), np.zeros(len(t)))
    allowed = {"hundreds": 0.6, "fifties": 0.05, "uneven": 3.0}[grid]
    assert found.temperature == pytest.approx(cross, abs=allowed)
    assert (found.error, found.inside, found.stable_above) == (0.0, 1.0, 0)
    if cross in t:
        assert found.temperature == pytest.approx(cross, abs=1e-6)
    else:
        assert abs(found.temperature - cross) < found.interpolation_error


@pytest.mark.parametrize("common", [False, True])
@pytest.mark.parametrize(("grid", "noise"), [("hundreds", 1e-3), ("fifties", 2e-4)])
@pytest.mark.parametrize("crystals", EINSTEIN)
def test_crossings_of_noisy_einstein_crystals_have_calibrated_errors(
    grid: str, noise: float, common: bool, crystals: tuple[float, float, float]
) -> None:
    t, generator, seeds = GRIDS[grid], np.random.default_rng(5), 200
    error = noise * (1.0 + t / 1000.0)
    exact, cross = einstein_difference(t, *crystals), crystals[-1]
    z = []
    for _ in range(seeds):
        deviates = generator.standard_normal(1 if common else len(t))
        (found,) = crossings(t, exact + error * deviates, error, common=common)
        z.append((found.temperature - cross) / found.error)
    # A parabola that the errors do not refuse may be off by as much as they are.
    assert abs(np.mean(z)) < 1.0
    assert 0.6 < np.mean(np.square(z)) < 2.5


def test_two_points_give_a_straight_line() -> None:
    (found,) = crossings(np.array([300.0, 600.0]), np.array([-0.01, 0.02]), np.full(2, 1e-3))
    assert found.temperature == pytest.approx(400.0)
    assert found.error == pytest.approx(np.hypot(2.0 / 3.0, 1.0 / 3.0) * 1e-3 / 1e-4)
    assert found.interpolation_error is None


def test_points_within_their_errors_of_zero_make_one_crossing_or_none() -> None:
    t, generator = np.linspace(300.0, 1500.0, 13), np.random.default_rng(8)
    error = np.full(13, 1e-3)
    touching = 4e-8 * (t - 900.0) ** 2  # five points within two errors of zero, none below
    crossing = 5e-6 * (t - 900.0)  # a step is half an error
    numbers = []
    for _ in range(100):
        noise = generator.normal(0.0, error)
        numbers.append([len(crossings(t, y + noise, error)) for y in (touching, crossing)])
    of_touching, of_crossing = np.array(numbers).T
    assert np.mean(of_touching > 0) < 0.05
    assert np.mean(of_crossing == 1) > 0.95


def test_a_crossing_at_the_end_of_the_range_says_how_sure_it_is() -> None:
    t = np.linspace(300.0, 900.0, 7)
    (found,) = crossings(t, 1e-5 * (t - 860.0), np.full(7, 4e-4), common=True)
    assert (found.temperature, found.error) == pytest.approx((860.0, 40.0))
    assert found.inside == pytest.approx(0.8413, abs=1e-3)
    assert crossings(t, 1e-5 * (t - 940.0), np.full(7, 4e-4)) == []


def test_three_crossings_are_three() -> None:
    t = np.linspace(0.0, 100.0, 11)
    cubic = 1e-5 * (t - 15.0) * (t - 55.0) * (t - 85.0)
    found = crossings(t, cubic, np.full(11, 0.01))
    assert [each.temperature for each in found] == pytest.approx([15.0, 55.0, 85.0], abs=0.5)
    assert [each.stable_above for each in found] == [1, 0, 1]
