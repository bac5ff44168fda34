"""Replica exchange between pressures: the ideal gas, whose walkers can be drawn exactly."""

import jax
import jax.numpy as jnp
import numpy as np
from nested.conftest import gas

from thermosearch.nested.exchange import exchange
from thermosearch.nested.sampler import State
from thermosearch.nested.walker import System, Walker

ATOMS, K = 2, 4000
PRESSURES, CONTOURS = (1.0, 2.5), (3.0, 4.0)


def uniform_below(system: System, contour: float, generator: np.random.Generator) -> State:
    """H = P V: below a contour, V is distributed as V^N up to contour / P."""
    top = contour / float(system.measure.pressure)
    volume = top * generator.uniform(size=K) ** (1.0 / (ATOMS + 1))
    cell = np.cbrt(volume) * np.eye(3)[..., None]
    walkers = Walker(np.zeros((ATOMS, 3, K)), cell, np.full((ATOMS, K), 18, np.int32), np.zeros(K))
    value = np.array(system.value(jax.tree.map(jnp.asarray, walkers)))
    return State(
        1,
        walkers,
        value,
        generator.uniform(size=K),
        np.arange(K, dtype=float),
        np.ones(1),
        np.zeros((1, 4), np.int64),
        *(0, 0, 0, 0, 0),
    )


def test_exchanges_leave_both_measures_as_they_are() -> None:
    systems = [gas(ATOMS, volume_power=ATOMS, pressure=pressure) for pressure in PRESSURES]
    generator = np.random.default_rng(3)
    states = [uniform_below(s, c, generator) for s, c in zip(systems, CONTOURS, strict=True)]
    after = exchange(systems, (states[0], states[1]), list(CONTOURS), generator)
    assert 0.1 * K < after[2].taken < 0.9 * K
    for system, before, state, contour in zip(systems, states, after[:2], CONTOURS, strict=True):
        assert np.all(state.value < contour)
        walkers = jax.tree.map(jnp.asarray, state.walkers)
        np.testing.assert_array_equal(state.value, np.asarray(system.value(walkers)))
        np.testing.assert_array_equal(state.birth, before.birth)
        np.testing.assert_array_equal(state.label, before.label)
        assert np.any(state.value != before.value)
        # ln (H / contour) is exponential with mean -1 / (N + 1).
        score = (np.mean(np.log(state.value / contour)) * (ATOMS + 1) + 1.0) * np.sqrt(K)
        assert abs(score) < 3.5


def test_walkers_outside_the_other_bounds_or_on_a_contour_stay() -> None:
    systems = [
        gas(ATOMS, volume_power=ATOMS, pressure=p, highest=h) for p, h in ((1.0, 3.0), (2.5, 1.0))
    ]
    generator = np.random.default_rng(4)
    states = [uniform_below(s, c, generator) for s, c in zip(systems, (3.0, 2.5), strict=True)]
    states[0].value[:10] = 3.0
    first, second, count = exchange(systems, (states[0], states[1]), [3.0, 2.5], generator)
    assert count.taken > 0
    assert np.all(np.asarray(systems[1].measure.holds_cell(jnp.asarray(second.walkers.cell))))
    np.testing.assert_array_equal(first.walkers.cell[..., :10], states[0].walkers.cell[..., :10])


def test_lists_hold_the_neighbours_of_those_who_move_in() -> None:
    systems = [gas(ATOMS, volume_power=ATOMS, pressure=pressure) for pressure in PRESSURES]
    generator = np.random.default_rng(5)
    states = [
        uniform_below(system, contour, generator)._replace(capacity=capacity)
        for system, contour, capacity in zip(systems, CONTOURS, (4, 64), strict=True)
    ]
    first, second, _ = exchange(systems, (states[0], states[1]), list(CONTOURS), generator)
    assert first.capacity == second.capacity == 64
