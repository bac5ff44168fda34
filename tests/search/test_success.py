"""Success curves: known distributions, coverage of the intervals, censoring."""

import numpy as np
import pytest
from scipy.stats import beta

from thermosearch.search.success import (
    FirstHits,
    calls_for,
    calls_per_success,
    success_curve,
    success_probability,
    wilson,
)


def geometric(generator: np.random.Generator, mean: float, budget: int, seeds: int) -> FirstHits:
    calls = generator.geometric(1.0 / mean, size=seeds)
    return FirstHits(np.minimum(calls, budget), calls <= budget)


def test_without_censoring_it_is_the_share() -> None:
    hits = FirstHits(np.array([30, 10, 20, 20]), np.ones(4, bool))
    curve = success_curve(hits)
    np.testing.assert_array_equal(curve.calls, [0, 10, 20, 30])
    np.testing.assert_allclose(curve.probability, [0.0, 0.25, 0.75, 1.0])
    low, high = wilson(np.array([0.25, 0.75]), np.array([4.0, 4.0]), 0.95)
    np.testing.assert_allclose(curve.low[1:3], low)
    np.testing.assert_allclose(curve.high[1:3], high)
    assert calls_for(curve, 0.75) == 20.0
    assert np.isinf(calls_for(success_curve(FirstHits(hits.calls, ~hits.hit)), 0.1))


def test_a_seed_that_stopped_early_counts_only_while_it_looked() -> None:
    # Kaplan-Meier by hand: S = 3/4 at 10, then 2 at risk: S = 3/8 at 30.
    hits = FirstHits(np.array([10, 20, 30, 40]), np.array([True, False, True, False]))
    curve = success_curve(hits)
    np.testing.assert_allclose(curve.probability, [0.0, 0.25, 0.625])


def test_calls_per_success_by_hand() -> None:
    hits = FirstHits(np.array([100, 200, 300]), np.array([True, True, False]))
    found = calls_per_success(hits)
    assert found.value == 300.0
    assert found.low < 300.0 < found.high
    nothing = calls_per_success(FirstHits(hits.calls, np.zeros(3, bool)))
    assert np.isinf(nothing.value) and np.isinf(nothing.high)
    assert nothing.low == pytest.approx(600.0 / -np.log(0.025), rel=1e-9)


def test_intervals_cover_what_they_promise() -> None:
    generator = np.random.default_rng(3)
    mean, budget, seeds, trials = 400.0, 1000, 50, 400
    share = 1.0 - (1.0 - 1.0 / mean) ** budget
    covered = {"cost": 0, "share": 0, "curve": 0}
    for _ in range(trials):
        hits = geometric(generator, mean, budget, seeds)
        cost, chance = calls_per_success(hits), success_probability(hits)
        covered["cost"] += cost.low <= mean <= cost.high
        covered["share"] += chance.low <= share <= chance.high
        curve = success_curve(hits)
        k = np.searchsorted(curve.calls, 300.0, "right") - 1
        truth = 1.0 - (1.0 - 1.0 / mean) ** 300
        covered["curve"] += curve.low[k] <= truth <= curve.high[k]
    for count in covered.values():
        # 95 % of the trials, to 1 in 10,000 either way; discrete numbers of hits make some
        # intervals wider than they need be.
        missed = trials - count
        low, high = beta.ppf([1e-4, 1 - 1e-4], [count, count + 1], [missed + 1, missed])
        assert low <= 0.95 <= high + 0.02
