"""CMA-ES as a resumable stream: same seed, same bits, and it minimises."""

import numpy as np
import pytest
from numpy.typing import NDArray

from thermosearch.search.strategy import Strategy


def ellipsoid(x: NDArray) -> float:
    return float(np.sum(np.arange(1, len(x) + 1) ** 2 * (x - 1.0) ** 2))


def make(covariance: str = "full", seed: tuple[int, int] = (1, 2), population: int = 8) -> Strategy:
    return Strategy(np.zeros(6), 0.5, population, covariance, seed)


def advance(strategy: Strategy, generations: int, lamarckian: bool = False) -> Strategy:
    for _ in range(generations):
        vectors = strategy.ask()
        values = np.array([ellipsoid(x) for x in vectors])
        values[3] = np.nan
        strategy.tell(vectors - 0.3 * (vectors - 1.0) if lamarckian else vectors, values)
    return strategy


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_it_minimises_although_one_in_eight_is_rejected(covariance: str) -> None:
    strategy = advance(make(covariance), 150)
    assert ellipsoid(strategy.ask().mean(axis=0)) < 1e-6
    assert strategy.step_size < 1e-2


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("lamarckian", [False, True])
@pytest.mark.parametrize("population", [4, 8])
def test_a_restored_strategy_goes_on_bit_for_bit(
    covariance: str, lamarckian: bool, population: int
) -> None:
    whole = advance(make(covariance, population=population), 40, lamarckian)
    half = advance(make(covariance, population=population), 17, lamarckian)
    restored = make(covariance, population=population)
    restored.restore(half.state())
    assert restored.generation == 17
    advance(restored, 23, lamarckian)
    np.testing.assert_array_equal(restored.ask(), whole.ask())
    assert restored.step_size == whole.step_size


def test_a_migrant_of_a_fresh_strategy_is_not_forgotten() -> None:
    whole, restored = make(), make()
    whole.inject(np.ones_like(whole.mean))
    restored.restore(whole.state())
    asked = whole.ask()
    assert not np.array_equal(asked, make().ask())
    np.testing.assert_array_equal(restored.ask(), asked)


def test_the_state_of_a_fresh_strategy_is_empty() -> None:
    fresh = make()
    fresh.restore(make().state())
    np.testing.assert_array_equal(fresh.ask(), make().ask())


def test_seeds_are_streams_of_their_own() -> None:
    assert not np.array_equal(make(seed=(1, 2)).ask(), make(seed=(1, 3)).ask())
    interleaved = [make(seed=(1, 2)), make(seed=(1, 3))]
    for strategy in interleaved * 3:
        advance(strategy, 1)
    np.testing.assert_array_equal(interleaved[0].ask(), advance(make(seed=(1, 2)), 3).ask())


def test_numpys_global_state_is_left_alone() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the state that must not be used
    advance(make(), 3)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_a_generation_of_rejected_individuals_is_survived() -> None:
    strategy = make()
    strategy.tell(strategy.ask(), np.full(8, np.nan))
    assert np.isfinite(strategy.ask()).all()
