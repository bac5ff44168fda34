"""Every move leaves the prior below a contour as it is: exact distributions after many steps."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nested.conftest import founder, gas, harmonic
from scipy import integrate, stats

from thermosearch.nested.finders import AllPairs, SkinnedList
from thermosearch.nested.measures import FixedCell, FlexibleCell, depths, volume
from thermosearch.nested.moves.all_atoms import AllAtomsMove
from thermosearch.nested.moves.atom import AtomMove
from thermosearch.nested.moves.galilean import GalileanMove
from thermosearch.nested.moves.hamiltonian import HamiltonianMove
from thermosearch.nested.moves.interface import OUTCOMES, Move
from thermosearch.nested.moves.shear import ShearMove
from thermosearch.nested.moves.stretch import StretchMove
from thermosearch.nested.moves.swap import SwapMove
from thermosearch.nested.moves.volume import VolumeMove
from thermosearch.nested.sampler import draw_walkers
from thermosearch.nested.walk import Plan, Walked, walk_all
from thermosearch.nested.walker import System, Walker
from thermosearch.potentials.interface import Potential, energy_forces
from thermosearch.potentials.lennard_jones import LennardJones
from thermosearch.potentials.neighbours_device import DeviceList
from thermosearch.potentials.stillinger_weber import StillingerWeber
from thermosearch.potentials.wells import PolynomialWell

WALKERS = 512


def walk(
    system: System, plan: Plan, walkers: Walker, *, limit: float, step: float, rounds: int
) -> Walked:
    count = walkers.energy.shape[-1]
    identities = np.stack((np.arange(count), np.ones(count))).astype(np.uint32)
    walked = walk_all(
        system,
        plan,
        walkers,
        np.full(count, limit),
        steps=np.full(len(plan.moves), step),
        rounds=np.int32(rounds),
        identities=identities,
        seed=np.uint32(1),
    )
    return jax.tree.map(np.asarray, walked)


def drawn(system: System, count: int = WALKERS) -> Walker:
    walkers = draw_walkers(system, founder(system), np.arange(count, dtype=np.uint32), np.uint32(2))
    return jax.tree.map(np.asarray, walkers)


@pytest.mark.parametrize(
    ("move", "step"), [(AtomMove(), 0.2), (AllAtomsMove(), 0.1), (GalileanMove(), 0.1)]
)
def test_atoms_stay_uniform_below_the_contour(move: Move, step: float) -> None:
    """Of 2 atoms in harmonic wells, (E / E_max)^(d/2) is uniform, d = 6."""
    system, limit = harmonic(2, radius=2.0), 0.5
    start = drawn(system)._replace(
        positions=np.full((2, 3, WALKERS), 1e-3), energy=np.full(WALKERS, 3e-6)
    )
    walked = walk(system, Plan((move,), (1,), "lanes"), start, limit=limit, step=step, rounds=300)
    assert np.all(walked.walker.energy < limit)
    assert stats.kstest((walked.walker.energy / limit) ** 3, "uniform").pvalue > 1e-3
    radii = np.sqrt((walked.walker.positions[0] ** 2).sum(axis=0))
    assert stats.kstest(radii, _ball_marginal).pvalue > 1e-3


@pytest.mark.parametrize("highest", [1.0, 0.2])
def test_momenta_and_atoms_are_uniform_below_the_contour_of_their_sum(highest: float) -> None:
    """In wells of d = 6: density E^2 K^2 where E + K < E_max and K < K_max, by a mix of moves."""
    limit = 0.5
    system = eqx.tree_at(
        lambda s: s.highest_kinetic,
        harmonic(2, radius=2.0),
        jnp.asarray(highest),
        is_leaf=lambda leaf: leaf is None,
    )
    start = drawn(system)._replace(
        positions=np.full((2, 3, WALKERS), 1e-3),
        energy=np.full(WALKERS, 3e-6),
        kinetic=np.full(WALKERS, 1e-3),
    )
    plan = Plan((HamiltonianMove(), AtomMove()), (1, 1), "lanes")
    walked = walk(system, plan, start, limit=limit, step=1.9, rounds=100).walker
    assert np.all(walked.energy + walked.kinetic < limit) and np.all(walked.kinetic <= highest)
    bound = min(limit, highest)
    k = np.linspace(0.0, bound, 20_001)
    e = np.linspace(0.0, limit, 20_001)
    of_k = integrate.cumulative_simpson(k**2 * (limit - k) ** 3, x=k, initial=0.0)
    of_e = integrate.cumulative_simpson(e**2 * np.minimum(limit - e, bound) ** 3, x=e, initial=0.0)
    for found, x, mass in ((walked.kinetic, k, of_k), (walked.energy, e, of_e)):
        share = np.interp(found, x, mass / mass[-1])
        assert stats.kstest(share, "uniform").pvalue > 1e-3


def test_trajectories_cross_the_well_and_are_taken() -> None:
    """Small time steps conserve H + K: all ends are accepted, momenta turned into height."""
    system = eqx.tree_at(
        lambda s: s.highest_kinetic,
        harmonic(2, radius=2.0),
        jnp.asarray(1.0),
        is_leaf=lambda leaf: leaf is None,
    )
    start = drawn(system)._replace(positions=np.zeros((2, 3, WALKERS)), energy=np.zeros(WALKERS))
    plan = Plan((HamiltonianMove(),), (1,), "lanes")
    walked = walk(system, plan, start, limit=0.5, step=0.02, rounds=1)
    assert np.all(walked.tally[0, OUTCOMES.index("accepted")] == 1)
    assert np.all(walked.evaluations == HamiltonianMove().length + 1)
    # From rest in the middle, x = p sin(t): a few time steps change H + K by O(dt^2) of it.
    total = walked.walker.energy + walked.walker.kinetic
    height = walked.walker.energy / total
    assert np.all((height > 0.0) & (height < np.sin(8 * 0.02) ** 2 * 1.01))


def _ball_marginal(radius: np.ndarray) -> np.ndarray:
    """P(|r_1| < r) in a ball of radius 1 in six dimensions, r_1 three of them."""
    return stats.beta(1.5, 2.5).cdf(radius**2)


@pytest.mark.parametrize("power", [4, 0])
def test_volume_follows_its_prior_below_the_contour(power: int) -> None:
    """(V / V_limit)^(power + 1) is uniform where P V_limit is the contour."""
    system = gas(4, volume_power=power)
    start = drawn(system)
    cells = start.cell * (2.0 / np.asarray(volume(start.cell))) ** (1 / 3)
    plan = Plan((VolumeMove(),), (1,), "lanes")
    walked = walk(system, plan, start._replace(cell=cells), limit=8.0, step=0.5, rounds=200)
    share = (np.asarray(volume(walked.walker.cell)) / 8.0) ** (power + 1)
    assert stats.kstest(share, "uniform").pvalue > 1e-3


def test_shear_and_stretch_share_one_distribution_of_shapes() -> None:
    """Two different kernels and the first draw agree, as they only do if all are right."""
    system = gas(1, volume_power=1)
    start = drawn(system)
    shapes = [np.min(np.asarray(depths(start.cell)), axis=0)]
    for move in (ShearMove(), StretchMove()):
        cube = np.broadcast_to(2.0 * np.eye(3)[..., None], (3, 3, WALKERS)).copy()
        plan = Plan(
            (move,) if isinstance(move, ShearMove) else (move, ShearMove()),
            (1,) * (1 if isinstance(move, ShearMove) else 2),
            "lanes",
        )
        walked = walk(system, plan, start._replace(cell=cube), limit=100.0, step=0.3, rounds=300)
        shapes.append(np.min(np.asarray(depths(walked.walker.cell)), axis=0) / 2.0)
        np.testing.assert_allclose(volume(walked.walker.cell), 8.0, rtol=1e-9)
    shapes[0] = shapes[0] / np.cbrt(np.asarray(volume(start.cell)))
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert stats.ks_2samp(shapes[first], shapes[second]).pvalue > 1e-3
    assert min(shape.min() for shape in shapes) >= 0.5 - 1e-9


def test_displacement_is_that_of_a_free_random_walk() -> None:
    """Uniform steps in a cube of half-width s: r s^2 after r of them, less the drift of n atoms.

    Changes of the cell carry atoms along, which is no displacement, and wrapping is none either.
    """
    system = gas(4, volume_power=4)
    start = drawn(system)
    alone, carried = (
        walk(system, Plan(moves, (1,) * len(moves), "lanes"), start, limit=100.0, step=s, rounds=40)
        for moves, s in (((AtomMove(),), 0.5), ((VolumeMove(), ShearMove()), 0.1))
    )
    expected = 40 * 0.5**2 * (1.0 - 1.0 / 4.0)
    # Of a Gaussian walk in 3 (n - 1) = 9 dimensions, which 40 uniform steps nearly are.
    error = expected * np.sqrt(2.0 / 9.0 / WALKERS)
    assert abs(alone.displacement.mean() - expected) < 4.0 * error
    assert np.abs(carried.displacement).max() < 1e-20


def test_walls_and_frozen_atoms_hold() -> None:
    """In a slab's box, periodic in two directions, with the first atom frozen."""
    measure = FixedCell((True, True, False), 8.0)
    system = System(
        LennardJones(cutoff=2.0, sigma=0.3),
        measure,
        DeviceList(2.0, 40, (2, 2, 0)),
        (True, True, False),
        3,
        (1, 2),
    )
    cell = np.diag([2.0, 2.0, 2.0])
    start = founder(system)._replace(cell=jnp.asarray(cell), positions=jnp.full((3, 3), 0.3))
    walkers = jax.tree.map(
        np.asarray, draw_walkers(system, start, np.arange(32, dtype=np.uint32), np.uint32(1))
    )
    walked = walk(
        system,
        Plan((AtomMove(), GalileanMove()), (1, 1), "lanes"),
        walkers,
        limit=1e3,
        step=0.4,
        rounds=30,
    )
    assert walked.needed.max() <= 40
    positions = walked.walker.positions
    assert np.array_equal(positions[0], np.full((3, 32), 0.3))
    assert positions.min() >= 0.0 and positions.max() <= 2.0
    assert walked.tally[:, OUTCOMES.index("outside")].sum() > 0


@pytest.mark.parametrize(
    "potential",
    [
        LennardJones(cutoff=2.5, truncation="tail"),
        StillingerWeber(sigma=2.5 / 1.8),
    ],
    ids=["pairs", "densities"],
)
def test_rows_of_pairs_are_the_whole_energy(potential: Potential) -> None:
    """Periodic cells thinner than the cutoff, than twice it, thicker: energies of the potential."""
    measure = FlexibleCell(jnp.asarray(0.1), 4, 25.0, 2000.0, 0.6)
    images = DeviceList(potential.cutoff, 100, (1, 1, 1))
    system = System(potential, measure, images, (True,) * 3, 4, (0, 1, 2, 3))
    start = drawn(system, 4)
    for side in (3.0, 4.5, 9.0):
        scale = side / np.cbrt(np.asarray(volume(start.cell)))
        scaled = start._replace(cell=start.cell * scale, positions=start.positions * scale)
        for energy, listed in moved_twice(system, scaled):
            np.testing.assert_allclose(energy, listed, rtol=1e-9, atol=1e-9)


def test_gradients_by_rows_are_those_by_lists() -> None:
    """Of densities; on frozen atoms they are zero."""
    potential = StillingerWeber(sigma=2.5 / 1.8)
    measure = FlexibleCell(jnp.asarray(0.1), 3, 60.0, 70.0, 0.6)
    images = DeviceList(potential.cutoff, 60, (1, 1, 1))
    system = System(potential, measure, images, (True,) * 3, 3, (0, 1, 2))

    @eqx.filter_jit
    def both(system: System, walker: Walker) -> tuple[jax.Array, jax.Array]:
        configuration = system.configuration(jax.tree.map(lambda a: a[..., 0], walker))
        listed = energy_forces(potential, configuration, images.find(configuration))
        return system.energy_gradient(walker)[1][..., 0], listed.forces

    start = drawn(system, 2)
    start = start._replace(positions=start.positions + np.array([0.0, 1.2, 2.4])[:, None, None])
    gradient, forces = both(system, start)
    assert np.abs(forces).max() > 0.1
    np.testing.assert_allclose(gradient, -forces, rtol=1e-8, atol=1e-8)
    frozen = replace(system, mobile=(1, 2))
    np.testing.assert_array_equal(both(frozen, start)[0][0], np.zeros(3))


@eqx.filter_jit
def moved_twice(system: System, walkers: Walker) -> list[tuple[jax.Array, jax.Array]]:
    """Energies before and after two atoms have moved, by rows and by lists."""

    def step(walker: Walker, atom: jax.Array) -> tuple[Walker, None]:
        moved = walker._replace(positions=walker.positions.at[atom].add(0.1))
        return system.evaluated_after(walker, moved, atom), None

    def listed(walker: Walker) -> jax.Array:
        configuration = system.configuration(walker)
        return system.potential.energy(configuration, system.finder.find(configuration))

    before, _ = system.evaluated(walkers)
    after, _ = jax.lax.scan(step, before, jnp.array([2, 0], jnp.int32))
    both = jax.vmap(jax.vmap(listed, in_axes=-1))(
        jax.tree.map(lambda *a: jnp.stack(a), walkers, after._replace(densities=None))
    )
    return [(before.energy, both[0]), (after.energy, both[1])]


def test_lanes_and_loop_are_the_same_walk() -> None:
    system = harmonic(2)
    start = drawn(system, 8)
    walks = [
        walk(
            system,
            Plan((GalileanMove(), AtomMove()), (1, 2), batching),
            start,
            limit=0.9,
            step=0.3,
            rounds=5,
        )
        for batching in ("lanes", "loop")
    ]
    np.testing.assert_allclose(walks[0].walker.positions, walks[1].walker.positions, rtol=1e-9)
    assert np.array_equal(walks[0].tally, walks[1].tally)


@pytest.mark.parametrize("skin", [0.05, 1.0])
def test_kept_lists_are_the_same_walk(skin: float) -> None:
    """Made anew at most steps, or at few of them; in cells of one image and of two."""
    potential = StillingerWeber()
    measure = FlexibleCell(jnp.asarray(0.01), 4, 60.0, 100.0, 0.6)
    exact = DeviceList(potential.cutoff, 48, (2, 2, 2), nearest_first=True)
    plan = Plan((GalileanMove(), VolumeMove(), ShearMove()), (2, 1, 1), "loop")

    def walked(finder: DeviceList | SkinnedList) -> Walked:
        atoms = (0, 1, 2, 3)
        system = System(potential, measure, finder, (True,) * 3, 4, atoms, keeps_densities=False)
        return walk(system, plan, drawn(system, 8), limit=1e4, step=0.05, rounds=20)

    searched, kept = walked(exact), walked(SkinnedList(exact, skin))
    assert kept.walker.held is None
    assert np.array_equal(searched.tally, kept.tally)
    assert np.array_equal(searched.needed, kept.needed)
    assert searched.displacement.min() > 0.01
    np.testing.assert_allclose(searched.walker.positions, kept.walker.positions, rtol=1e-8)
    np.testing.assert_allclose(searched.walker.energy, kept.walker.energy, rtol=1e-8)


def test_swaps_keep_the_composition() -> None:
    system = harmonic(4)
    numbers = np.tile(np.array([6, 6, 8, 1], np.int32)[:, None], (1, 64))
    walked = walk(
        system,
        Plan((SwapMove(),), (1,), "lanes"),
        drawn(system, 64)._replace(numbers=numbers),
        limit=np.inf,
        step=1.0,
        rounds=40,
    )
    assert np.array_equal(np.sort(walked.walker.numbers, axis=0), np.sort(numbers, axis=0))
    places = (walked.walker.numbers == 1).mean(axis=1)
    assert np.abs(places - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 64)


def test_not_a_number_is_rejected_and_counted() -> None:
    system = System(
        PolynomialWell([float("nan"), 1.0]),
        harmonic(1).measure,
        AllPairs(1),
        (False,) * 3,
        1,
        (0,),
    )
    start = drawn(harmonic(1), 4)._replace(positions=np.zeros((1, 3, 4)))
    walked = walk(system, Plan((AtomMove(),), (1,), "lanes"), start, limit=1.0, step=0.1, rounds=5)
    assert walked.tally[0, OUTCOMES.index("not_a_number")].sum() == 20
    assert np.array_equal(walked.walker.positions, start.positions)
