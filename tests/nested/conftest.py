"""Small systems with exact answers, and a loop that samples them."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
from nested.small_study import context, never, parsed, small

from thermosearch.nested.analysis import DeadPoints
from thermosearch.nested.ending import Criteria, Gauge, advance, ended
from thermosearch.nested.execute import execute
from thermosearch.nested.finders import AllPairs
from thermosearch.nested.history import History, dead_points
from thermosearch.nested.measures import FlexibleCell, Measure, Sphere
from thermosearch.nested.moves.atom import AtomMove
from thermosearch.nested.moves.shear import ShearMove
from thermosearch.nested.moves.stretch import StretchMove
from thermosearch.nested.moves.volume import VolumeMove
from thermosearch.nested.sampler import Sampler, Sizes, State
from thermosearch.nested.walk import Plan
from thermosearch.nested.walker import System, Walker
from thermosearch.potentials.einstein import EinsteinCrystal
from thermosearch.potentials.ideal_gas import IdealGas
from thermosearch.potentials.interface import Potential
from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.results import Results


class Run(NamedTuple):
    points: DeadPoints
    state: State
    history: History
    reason: str


def cluster(potential: Potential, atoms: int, measure: Measure) -> System:
    return System(
        potential, measure, AllPairs(atoms), (False, False, False), atoms, tuple(range(atoms))
    )


def harmonic(atoms: int, radius: float = 1.0) -> System:
    """3 `atoms` oscillators of spring 1 in a sphere about their common site."""
    return cluster(EinsteinCrystal(np.zeros((atoms, 3))), atoms, Sphere(radius, "fixed_centre"))


def gas(atoms: int, *, volume_power: int, pressure: float = 1.0, highest: float = 50.0) -> System:
    """Ideal gas at constant pressure."""
    measure = FlexibleCell(
        pressure=jnp.asarray(pressure),
        volume_power=volume_power,
        lowest=1e-12,
        highest=highest,
        min_depth=0.5,
    )
    return System(
        IdealGas(), measure, AllPairs(atoms), (True, True, True), atoms, tuple(range(atoms))
    )


def founder(system: System, number: int = 18) -> Walker:
    return Walker(
        positions=jnp.zeros((system.atoms, 3), jnp.float64),
        cell=jnp.eye(3, dtype=jnp.float64) * (1.0 if any(system.pbc) else 0.0),
        numbers=jnp.full((system.atoms,), number, jnp.int32),
        energy=jnp.zeros((), jnp.float64),
    )


ATOMS = Plan((AtomMove(),), (1,), "lanes")
CELL = Plan((AtomMove(), VolumeMove(), ShearMove(), StretchMove()), (1, 2, 1, 1), "lanes")


def sampler(
    system: System, plan: Plan, seed: int, communicator: Communicator | None = None, **sizes: int
) -> Sampler:
    given = {"walkers": 64, "culled": 16, "extra": 0, "rounds": 10, "width": 16} | sizes
    given.setdefault("initial_rounds", 3 * given["rounds"])
    return Sampler(system, plan, Sizes(**given), seed, communicator or Communicator())


def run(sampler: Sampler, *, volume_power: int = 0, every: int = 0, **stop: Any) -> Run:
    """Sample until one of the criteria is met."""
    given = {
        "prior_mass": None,
        "temperature": None,
        "remaining_evidence": None,
        "kt": 1.0,
        "iterations": None,
    }
    criteria = Criteria(**(given | stop))
    state, history, gauge = sampler.start(founder(sampler.system)), History(every), Gauge()
    spread = np.full(sampler.sizes.culled, np.nan)
    while not (
        reason := ended(
            criteria,
            gauge,
            state,
            spread=spread,
            volume_power=volume_power,
        )
    ):
        state, culled = sampler.step(state)
        spread = culled.spread
        history.add(culled)
        gauge = advance(
            gauge,
            culled,
            state,
            sizes=sampler.sizes,
            watched=criteria.watched,
            volume_power=volume_power,
        )
    points = dead_points(sampler.system, history, state, sampler.sizes)
    return Run(points, state, history, reason)


@pytest.fixture(scope="session")
def oscillator() -> System:
    """One atom, d = 3: shared, so that it is compiled once."""
    return harmonic(1)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The small study, uninterrupted."""
    folder = tmp_path_factory.mktemp("nested")
    return execute(parsed(small()), context(folder, never, never))


@pytest.fixture
def one_iteration_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stops are looked for after every iteration, however quick it is."""
    monkeypatch.setattr("thermosearch.nested.campaign.STRETCH_SECONDS", 0.0)
