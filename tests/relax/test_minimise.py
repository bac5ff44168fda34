"""Relaxation against ASE, exact minima and E(V); lanes that do not disturb one another."""

import jax
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.optimize import BFGS
from potentials.test_ase_bridge import Counted
from scipy.optimize import minimize_scalar

from thermosearch.configuration import Configuration, from_ase, stack, to_ase
from thermosearch.potentials.ase_bridge import CalculatorPotential, to_calculator
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.interface import Neighbours, Potential
from thermosearch.potentials.lennard_jones import LennardJones
from thermosearch.potentials.neighbours_device import DeviceList
from thermosearch.potentials.neighbours_host import host_neighbours
from thermosearch.potentials.stillinger_weber import StillingerWeber
from thermosearch.relax.fire import Fire
from thermosearch.relax.geometry import make_frame, matrix_exponential
from thermosearch.relax.lbfgs import Lbfgs
from thermosearch.relax.lists import first_plan
from thermosearch.relax.loop import Limits, Optimiser, Status, relax, result
from thermosearch.relax.minimise import Relaxed, minimise
from thermosearch.runtime.errors import InputError

GPA = 0.006241509125883258  # eV/A^3


@pytest.fixture(scope="module")
def silicon() -> StillingerWeber:
    return StillingerWeber()


@pytest.fixture(scope="module")
def cluster_potential() -> LennardJones:
    return LennardJones(cutoff=3.0, truncation="shifted")


def rattled(
    seed: int, amplitude: float = 0.25, repeat: tuple[int, int, int] = (1, 1, 1)
) -> Configuration:
    atoms = bulk("Si", "diamond", 5.43, cubic=True).repeat(repeat)
    atoms.rattle(amplitude, seed=seed)
    return from_ase(atoms)


def vacancy(seed: int) -> Configuration:
    """Seven atoms: a minimum other than the perfect crystal, at which forces had to work."""
    atoms = to_ase(rattled(seed, 0.1))
    del atoms[3]
    return from_ase(atoms)


def cluster(seed: int, spread: float = 1.0) -> Configuration:
    """Thirteen Lennard-Jones atoms at random, none nearer than 0.9 times the spread."""
    generator = np.random.default_rng(seed)
    points = [np.zeros(3)]
    while len(points) < 13:
        point = generator.uniform(-1.6, 1.6, 3) * spread
        if min(np.linalg.norm(point - other) for other in points) > 0.9 * spread:
            points.append(point)
    return from_ase(Atoms("Ar13", positions=points))


def settle(potential: Potential, starts: list[Configuration], **options: object) -> list[Relaxed]:
    """As `minimise`, in shapes that the tests share."""
    return minimise(potential, starts, capacity=32, width=4, **options)


def same_bits(one: Relaxed, other: Relaxed) -> bool:
    return all(
        np.array_equal(a, b, equal_nan=True)
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


@pytest.mark.parametrize("method", [Fire(), Lbfgs()], ids=["fire", "lbfgs"])
def test_ends_where_ase_ends(silicon: StillingerWeber, method: Optimiser) -> None:
    starts = [vacancy(1), vacancy(2)]
    relaxed = settle(silicon, starts, method=method, force_tolerance=1e-5)
    for start, found in zip(starts, relaxed, strict=True):
        atoms = to_ase(start)
        atoms.calc = to_calculator(silicon)
        assert BFGS(atoms, logfile=None).run(fmax=1e-5, steps=500)
        assert found.converged
        assert found.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-8)
        assert found.max_force <= 1e-5
        moved = found.configuration.positions - start.positions
        assert np.allclose(moved, atoms.positions - start.positions, atol=1e-4)


def test_result_belongs_to_the_configuration(silicon: StillingerWeber) -> None:
    # A list that had not been renewed would give another energy than a fresh one.
    found = settle(silicon, [rattled(3, 0.6)], max_steps=30, skin=0.1)[0]
    fresh = evaluate(silicon, [found.configuration])[0]
    assert found.energy == pytest.approx(float(fresh.energy), abs=1e-10)
    assert np.allclose(found.forces, fresh.forces, atol=1e-9)


def test_lists_from_host_and_device_agree(silicon: StillingerWeber) -> None:
    starts = [rattled(3, 0.4), rattled(4, 0.4)]
    inside = settle(silicon, starts, force_tolerance=1e-6, skin=0.1, lists="device")
    outside = settle(silicon, starts, force_tolerance=1e-6, skin=0.1, lists="host")
    for a, b in zip(inside, outside, strict=True):
        assert a.converged and b.converged
        assert a.energy == pytest.approx(b.energy, abs=1e-9)


def test_clusters_end_in_true_minima(cluster_potential: LennardJones) -> None:
    starts = [cluster(seed) for seed in range(6)]
    relaxed = settle(cluster_potential, starts, force_tolerance=1e-7, max_steps=3000)
    assert all(found.converged for found in relaxed)

    @jax.jit
    def hessian(configuration: Configuration, neighbours: Neighbours) -> jax.Array:
        def energy(flat: jax.Array) -> jax.Array:
            moved = configuration._replace(positions=flat.reshape(-1, 3))
            return cluster_potential.energy(moved, neighbours)

        return jax.jacrev(jax.grad(energy))(configuration.positions.reshape(-1))

    for found in relaxed:
        neighbours = host_neighbours(found.configuration, 3.0, capacity=12)
        curvatures = np.linalg.eigvalsh(hessian(found.configuration, neighbours))
        assert np.all(np.abs(curvatures[:6]) < 1e-4)  # translations and rotations
        assert np.all(curvatures[6:] > 1e-3)


@pytest.mark.parametrize("pressure", [0.0, 8.0 * GPA])
def test_cell_of_silicon_under_pressure(silicon: StillingerWeber, pressure: float) -> None:
    def enthalpy(a: float) -> float:
        crystal = from_ase(bulk("Si", "diamond", a, cubic=True))
        return float(evaluate(silicon, [crystal], ("energy",))[0].energy) + pressure * a**3

    exact = minimize_scalar(enthalpy, bracket=(5.2, 5.5), tol=1e-10)
    atoms = to_ase(rattled(5, 0.05))
    strain = np.eye(3) + np.array([[0.04, 0.02, 0.0], [0.0, -0.03, 0.01], [0.0, 0.0, 0.02]])
    atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    found = settle(
        silicon,
        [from_ase(atoms)],
        cell=True,
        pressure=pressure,
        force_tolerance=1e-5,
        stress_tolerance=1e-7,
    )[0]
    assert found.converged
    assert found.enthalpy == pytest.approx(exact.fun, abs=1e-7)
    volume = np.linalg.det(found.configuration.cell)
    assert volume == pytest.approx(exact.x**3, rel=1e-5)
    assert found.enthalpy == pytest.approx(found.energy + pressure * volume, abs=1e-9)
    assert np.allclose(found.stress, -pressure * np.eye(3), atol=1e-7)


def test_cell_of_lennard_jones_crystal() -> None:
    potential = LennardJones(cutoff=3.0, truncation="shifted")

    def energy(a: float) -> float:
        return float(evaluate(potential, [from_ase(bulk("Ar", "fcc", a))], ("energy",))[0].energy)

    exact = minimize_scalar(energy, bracket=(1.45, 1.6), tol=1e-10)
    start = from_ase(bulk("Ar", "fcc", 1.65))
    found = settle(
        potential, [start], method=Fire(), cell=True, force_tolerance=1e-6, stress_tolerance=1e-5
    )[0]
    assert found.converged
    assert found.energy == pytest.approx(exact.fun, abs=1e-6)


def test_slab_strains_in_its_plane_only(silicon: StillingerWeber) -> None:
    atoms = to_ase(rattled(6, 0.02))
    atoms.pbc = (True, True, False)
    atoms.set_cell(np.diag([5.5, 5.3, 20.0]))
    found = settle(silicon, [from_ase(atoms)], cell=True, force_tolerance=1e-4)[0]
    assert found.converged
    assert np.array_equal(found.configuration.cell[2], [0.0, 0.0, 20.0])
    assert np.max(np.abs(found.stress[:2, :2])) <= 1e-4


@pytest.mark.parametrize("together", [False, True])
def test_outcome_does_not_depend_on_the_batch(silicon: StillingerWeber, together: bool) -> None:
    starts = [rattled(seed, 0.1 + 0.05 * seed) for seed in range(5)]
    options = {"force_tolerance": 1e-4, "together": together}
    batch = settle(silicon, starts, **options)
    for k in (3, 0):
        alone = settle(silicon, [starts[k]], **options)[0]
        assert same_bits(alone._replace(executed=0), batch[k]._replace(executed=0))
    assert all(found.executed >= found.calls for found in batch)
    if not together:
        assert all(found.executed == found.calls for found in batch)
    else:
        assert any(found.executed > found.calls for found in batch)


def test_a_calculator_is_called_for_nothing_that_idles() -> None:
    starts = [from_ase(bulk("Cu", cubic=True)) for _ in range(3)]
    for k, start in enumerate(starts):
        start.positions[:] += 0.05 * k * np.random.default_rng(k).normal(size=(4, 3))
    for together in (None, True):
        calculator = Counted()
        found = minimise(CalculatorPotential(calculator), starts, together=together)
        assert found[0].calls == 1 < found[1].calls
        assert [each.executed for each in found] == [each.calls for each in found]
        assert calculator.calls == sum(each.calls for each in found)


def test_second_call_compiles_nothing(silicon: StillingerWeber) -> None:
    compiled = []

    def listen(event: str, duration: float, **_: object) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(duration)

    options = {"together": False}
    settle(silicon, [rattled(1)], force_tolerance=1e-4, **options)
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        # Another number of lanes, tolerance and step limit: the same shapes.
        settle(silicon, [rattled(2), rattled(3)], force_tolerance=1e-3, max_steps=7, **options)
        assert compiled == []
        jax.jit(lambda x: x * 3.0 + 1.0)(np.ones(7))
        assert len(compiled) == 1  # the listener does count
    finally:
        jax.monitoring.clear_event_listeners()


def test_fixed_atoms_stay_bit_for_bit(silicon: StillingerWeber) -> None:
    start = rattled(7)
    free = np.arange(8) >= 3
    for method in (Lbfgs(), Fire()):
        found = settle(silicon, [start], mobile=free, method=method)[0]
        assert found.converged
        assert np.array_equal(found.configuration.positions[:3], start.positions[:3])
        assert np.all(np.any(found.configuration.positions[3:] != start.positions[3:], axis=1))
        assert found.max_force < np.linalg.norm(found.forces[:3], axis=1).max()


def test_failed_lanes_are_marked_and_disturb_nobody(silicon: StillingerWeber) -> None:
    good = rattled(8)
    lost = good._replace(positions=np.where(np.arange(24).reshape(8, 3) == 5, np.nan, 1.0))
    same_place = good.positions.copy()
    same_place[1] = same_place[0]
    collided = good._replace(positions=same_place)
    flat = good._replace(cell=np.zeros((3, 3)))
    for together in (False, True):
        options = {"together": together}
        alone = settle(silicon, [good], **options)[0]
        found = settle(silicon, [lost, collided, good, flat], **options)
        assert [f.status for f in found] == [
            Status.INVALID,
            Status.NON_FINITE,
            Status.CONVERGED,
            Status.INVALID,
        ]
        assert same_bits(found[2]._replace(executed=0), alone._replace(executed=0))


def test_scrambled_start_survives(silicon: StillingerWeber) -> None:
    generator = np.random.default_rng(0)
    start = rattled(9)._replace(positions=generator.uniform(0.0, 5.43, (8, 3)))
    found = settle(silicon, [start], max_steps=300)[0]
    assert found.status in {Status.CONVERGED, Status.STEP_LIMIT}
    assert found.energy < 0.0


def test_overflow_is_answered_with_more_slots(cluster_potential: LennardJones) -> None:
    sparse = cluster(3, spread=1.9)
    plan = first_plan(cluster_potential, sparse, skin=0.05, lists="device")
    for lists in ("device", "host"):
        found = minimise(
            cluster_potential,
            [sparse],
            max_steps=2000,
            skin=0.05,
            lists=lists,
            force_tolerance=1e-5,
        )[0]
        assert found.converged
        assert int(host_neighbours(found.configuration, 3.05).needed) > plan.capacity
        fresh = evaluate(cluster_potential, [found.configuration])[0]
        assert found.energy == pytest.approx(float(fresh.energy), abs=1e-10)


def test_small_cells_share_a_plan_whichever_way_they_are_thin(silicon: StillingerWeber) -> None:
    """Images are as many in all periodic directions, and those needed in a large cell."""
    plans = set()
    for direction in range(3):
        stretched = np.ones(3)
        stretched[direction] = 0.6
        thin = rattled(0)
        thin = thin._replace(positions=thin.positions * stretched, cell=thin.cell * stretched)
        plans.add(first_plan(silicon, thin, None, "device", capacity=96))
    (plan,) = plans
    assert len(set(plan.finder.images)) == 1
    chain = from_ase(bulk("Si", cubic=True).repeat((8, 1, 1)))
    assert first_plan(silicon, chain, None, "device").finder.images == (0, 1, 1)
    slab = thin._replace(pbc=np.array([True, True, False]))
    one, two, three = first_plan(silicon, slab, None, "device").finder.images
    assert one == two > three == 0


def test_step_limit_is_kept(silicon: StillingerWeber) -> None:
    found = settle(silicon, [rattled(10)], max_steps=5)[0]
    assert (found.status, found.calls) == (Status.STEP_LIMIT, 5)
    assert found.energy < float(evaluate(silicon, [rattled(10)])[0].energy)


def test_inside_another_jit(silicon: StillingerWeber) -> None:
    starts = [rattled(11), rattled(12)]
    finder = DeviceList.covering(starts, silicon.cutoff + 0.5)

    @jax.jit
    def best(
        potential: StillingerWeber, configurations: Configuration
    ) -> tuple[jax.Array, Configuration, jax.Array, jax.Array]:
        frames = jax.vmap(make_frame)(configurations)
        states, executed = relax(potential, frames, finder, limits=Limits(1e-5), together=False)
        return states.evaluation.energy.min(), jax.vmap(result)(states), states.calls, executed

    energy, configurations, calls, executed = best(silicon, stack(starts))
    expected = settle(silicon, starts, force_tolerance=1e-5)
    assert float(energy) == pytest.approx(min(e.energy for e in expected), abs=1e-9)
    assert np.array_equal(calls, executed)
    assert configurations.positions.shape == (2, 8, 3)


def test_wrong_input_is_named(silicon: StillingerWeber) -> None:
    start = rattled(1)
    with pytest.raises(InputError, match=r"structure 0.*18"):
        settle(silicon, [cluster(0)])
    with pytest.raises(InputError, match="length 3 for structure 0"):
        settle(silicon, [start], mobile=np.ones(3, bool))
    with pytest.raises(InputError, match="pressure"):
        settle(silicon, [start], pressure=0.1)
    with pytest.raises(InputError, match=r"skin = -0\.5"):
        settle(silicon, [start], skin=-0.5)
    narrow = DeviceList.covering([start], silicon.cutoff - 0.5)
    with pytest.raises(InputError, match=r"skin = -0\.5"):
        relax(silicon, jax.vmap(make_frame)(stack([start])), narrow)


def test_a_cell_without_volume_is_not_relaxed(cluster_potential: LennardJones) -> None:
    start = from_ase(Atoms("Ar2", [[0.0] * 3, [0.6, 0.9, 0.0]], cell=[1.2, 1.8, 0], pbc=[1, 1, 0]))
    assert settle(cluster_potential, [start])[0].converged
    with pytest.raises(InputError, match=r"cell = True: structure 0: .* no volume"):
        settle(cluster_potential, [start], cell=True)
    # What is not independent where it repeats is marked, as any structure that is no good.
    singular = start._replace(pbc=np.ones(3, bool))
    assert settle(cluster_potential, [singular], cell=True)[0].status == Status.INVALID


def test_matrix_exponential_against_scipy() -> None:
    from scipy.linalg import expm

    for scale in (1e-6, 0.1, 2.0):
        matrix = scale * np.random.default_rng(1).standard_normal((3, 3))
        assert np.allclose(matrix_exponential(matrix), expm(matrix), rtol=1e-13, atol=1e-15)
