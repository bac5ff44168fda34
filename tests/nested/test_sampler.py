"""The iteration: order statistics, plateaus, walkers that cannot move, overflow, mistakes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nested.conftest import ATOMS, cluster, founder, harmonic, run, sampler
from scipy import stats

from thermosearch.configuration import Array, Configuration
from thermosearch.nested.finders import AllPairs, SkinnedList
from thermosearch.nested.measures import FixedCell, FlexibleCell, Sphere
from thermosearch.nested.moves.all_atoms import AllAtomsMove
from thermosearch.nested.moves.atom import AtomMove
from thermosearch.nested.moves.volume import VolumeMove
from thermosearch.nested.sampler import State
from thermosearch.nested.walk import Batching, Plan
from thermosearch.nested.walker import System
from thermosearch.potentials.ideal_gas import IdealGas
from thermosearch.potentials.interface import Neighbours, Potential
from thermosearch.potentials.lennard_jones import LennardJones
from thermosearch.potentials.neighbours_device import DeviceList
from thermosearch.potentials.stillinger_weber import StillingerWeber
from thermosearch.runtime.errors import InputError


class Steps(Potential):
    """E = number of shells of width 1/4 from the centre outwards: plateaus only."""

    cutoff: None = None
    elements: None = None
    units: str = "reduced"

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Array:
        return jnp.floor(4.0 * jnp.linalg.norm(configuration.positions[0]))


class Listed(StillingerWeber):
    """Without rows of densities: its energies need lists of neighbours."""

    pair_densities = None


class Nothing(IdealGas):
    """No finite energy anywhere."""

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Array:
        return jnp.full((), jnp.nan, jnp.float64)


def equal(first: State, second: State) -> bool:
    return all(
        np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    )


def test_same_seed_same_run_and_other_seed_another(oscillator: System) -> None:
    runs = [run(sampler(oscillator, ATOMS, seed), iterations=5).state for seed in (1, 1, 2)]
    assert equal(runs[0], runs[1])
    assert not np.array_equal(runs[0].value, runs[2].value)


def test_contours_fall_and_walkers_stay_below(oscillator: System) -> None:
    one = sampler(oscillator, ATOMS, 4, extra=16)
    state, last = one.start(founder(oscillator)), np.inf
    for _ in range(10):
        state, culled = one.step(state)
        contour = culled.value[-1]
        assert np.all(np.diff(culled.value) <= 0.0) and culled.value[0] <= last
        assert np.all(state.value < contour)
        assert np.all(state.birth[culled.slot] == contour)
        last = contour


def test_step_sizes_follow_the_contour(oscillator: System) -> None:
    found = run(sampler(oscillator, ATOMS, 4), iterations=40)
    accepted = np.array([tally[0, 0] / tally.sum() for tally in found.history.columns["tally"]])
    assert found.state.steps[0] < 0.1 * found.history.columns["steps"][0][0]
    assert abs(accepted[10:].mean() - AtomMove().target) < 0.08


def test_plateaus_shrink_at_the_right_rate() -> None:
    """The prior masses of shells between plateaus are known, ties or not."""
    found = run(
        sampler(
            cluster(Steps(), 1, Sphere(1.0, "fixed_centre")),
            ATOMS,
            2,
            walkers=256,
            culled=64,
            width=64,
        ),
        prior_mass=-30.0,
    )
    assert found.reason.startswith("a plateau")
    below = -np.cumsum(1.0 / found.points.live)
    for shells in (1, 2, 3):
        log_mass = below[np.flatnonzero(found.points.value >= shells)[-1]]
        exact = 3.0 * np.log(shells / 4.0)
        assert abs(log_mass - exact) < 4.0 * np.sqrt(-exact / 256)


def test_a_run_ends_where_a_temperature_is_passed(oscillator: System) -> None:
    """Energies at kT are distributed as Gamma(3/2): 1e-4 of them are below 0.0026 kT."""
    found = run(sampler(oscillator, ATOMS, 3), temperature=0.01)
    assert found.reason == "temperature 0.01"
    lowest = found.history.columns["value"][-1][-1] / 0.01
    assert abs(np.log(lowest / stats.gamma(1.5).ppf(1e-4))) < 1.0


def test_a_dilute_gas_is_no_cold_contour() -> None:
    """Almost all of the prior has one energy: that the contour hardly falls is no end."""
    dimer = cluster(LennardJones(), 2, Sphere(12.0, "fixed_centre"))
    found = run(sampler(dimer, ATOMS, 5), temperature=0.05)
    assert found.reason == "temperature 0.05"
    assert found.history.columns["value"][-1][-1] < -0.9


def test_one_periodic_atom_ends() -> None:
    measure = FixedCell((True, True, True), 8.0)
    system = System(
        LennardJones(cutoff=1.5), measure, DeviceList(1.5, 8, (1, 1, 1)), (True,) * 3, 1, (0,)
    )
    one = sampler(system, ATOMS, 1, walkers=16, culled=4, width=4)
    start = founder(system)._replace(cell=2.0 * jnp.eye(3, dtype=jnp.float64))
    assert np.ptp(one.start(start).value) == 0.0
    found = run(
        sampler(
            cluster(IdealGas(), 1, Sphere(1.0, "fixed_centre")),
            ATOMS,
            1,
            walkers=16,
            culled=4,
            width=4,
        ),
        prior_mass=-1000.0,
    )
    assert found.reason.startswith("a plateau")


def test_walkers_that_cannot_move_end_the_run() -> None:
    """A well far narrower than any step the sampler may take."""
    boxed = harmonic(1)
    one = sampler(boxed, Plan((AtomMove(largest=1e30),), (1,), "lanes"), 1)
    found = run(one, iterations=200)
    assert found.reason.startswith("stuck")
    assert found.state.unmoved > 0


@pytest.mark.parametrize("batching", ["lanes", "loop"])
def test_overflowing_lists_change_nothing_but_the_capacity(batching: Batching) -> None:
    measure = FlexibleCell(jnp.asarray(0.01), 4, 60.0, 120.0, 0.7)
    plan = Plan((AllAtomsMove(), VolumeMove()), (4, 1), batching)

    def sampled(capacity: int) -> State:
        exact = DeviceList(StillingerWeber().cutoff, capacity, (1, 1, 1))
        system = System(
            Listed(),
            measure,
            exact if batching == "lanes" else SkinnedList(exact, 0.5),
            (True,) * 3,
            4,
            (0, 1, 2, 3),
        )
        return run(
            sampler(system, plan, 3, walkers=8, culled=4, width=4, rounds=3),
            iterations=2,
        ).state

    small, ample = sampled(4), sampled(60)
    assert 4 < small.capacity < 60
    np.testing.assert_allclose(small.value, ample.value, rtol=1e-10)
    np.testing.assert_allclose(small.walkers.positions, ample.walkers.positions, rtol=1e-10)


def test_a_potential_without_finite_energies_is_refused() -> None:
    one = sampler(cluster(Nothing(), 1, Sphere(1.0, "fixed_centre")), ATOMS, 1)
    with pytest.raises(InputError, match="no finite energy"):
        one.start(founder(one.system))


def test_more_culled_than_walkers_is_refused(oscillator: System) -> None:
    with pytest.raises(InputError, match="survivor"):
        sampler(oscillator, ATOMS, 1, walkers=8, culled=8)


def test_all_pairs_lists_every_pair_and_its_mirror(oscillator: System) -> None:
    n = 5
    found = AllPairs(n).find(oscillator.configuration(founder(oscillator)))
    index, reverse = np.asarray(found.index), np.asarray(found.reverse)
    rows = np.repeat(np.arange(n), n - 1)
    assert sorted(zip(rows, index.ravel(), strict=True)) == [
        (i, j) for i in range(n) for j in range(n) if i != j
    ]
    assert np.array_equal(index.ravel()[reverse.ravel()], rows)
