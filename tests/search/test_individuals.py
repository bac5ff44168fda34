"""An individual becomes an energy or a reason, never a crash."""

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Float

from thermosearch.configuration import Array, Configuration
from thermosearch.potentials.interface import Committee, Neighbours
from thermosearch.potentials.stillinger_weber import StillingerWeber
from thermosearch.search.evaluate import Evaluated, Rejection, Relaxation, Relaxer
from thermosearch.search.founder import scrambled
from thermosearch.search.problem import Problem
from thermosearch.search.proposal import Escape, Proposal

SHORT = Relaxation(steps=25, force=0.02, minimum_distance=1.6, spread_limit=None)


def relaxed(problem: Problem, *positions: np.ndarray, how: Relaxation = SHORT) -> list[Evaluated]:
    """Relax individuals in batches of three: one compilation serves all."""
    relax = Relaxer(problem.potential, problem.founder, problem.freedom, how, width=3)
    return relax([Proposal(each) for each in positions])


@pytest.fixture
def individual(problem: Problem) -> np.ndarray:
    return scrambled(problem.founder, 1.0, np.random.default_rng(4))


def test_relaxation_lowers_the_energy_and_leaves_frozen_atoms(
    problem: Problem, individual: np.ndarray
) -> None:
    (result,) = relaxed(problem, individual)
    assert result.rejection is Rejection.NONE
    assert np.isnan(result.spread), "no committee, no spread"
    assert 0 < result.calls <= SHORT.steps
    frozen = ~problem.founder.mobile
    np.testing.assert_array_equal(result.positions[frozen], individual[frozen])
    (further,) = relaxed(problem, result.positions)
    assert further.energy < result.energy


def test_an_individual_does_not_depend_on_its_company(
    problem: Problem, individual: np.ndarray
) -> None:
    other = scrambled(problem.founder, 1.0, np.random.default_rng(5))
    hopeless = np.full_like(individual, np.nan)
    alone = relaxed(problem, individual)[0]
    with_others = relaxed(problem, other, hopeless, individual)[2]
    assert with_others.energy == alone.energy
    np.testing.assert_array_equal(with_others.positions, alone.positions)


def test_positions_that_are_not_finite(problem: Problem, individual: np.ndarray) -> None:
    broken = individual.copy()
    broken[problem.founder.moved[0]] = np.nan
    results = relaxed(problem, broken, individual, broken)
    assert results[0].rejection is results[2].rejection is Rejection.EXPLODED
    assert np.isnan(results[0].energy)
    assert results[1].rejection is Rejection.NONE


def test_atoms_without_room(problem: Problem, individual: np.ndarray) -> None:
    (result,) = relaxed(problem, individual, how=SHORT._replace(minimum_distance=4.0))
    assert result.rejection is Rejection.OVERLAP
    assert result.calls == 0


def test_bonds_shorter_than_the_minimum_distance(problem: Problem) -> None:
    # Far above the surface: the repair has nothing to do, the relaxed dimer is 2.4 A long.
    positions = np.array(problem.founder.configuration.positions)
    a, b = problem.founder.moved
    positions[b] = positions[a] + [0.0, 2.7, 0.0]
    (result,) = relaxed(problem, positions, how=SHORT._replace(minimum_distance=2.6))
    assert result.rejection is Rejection.TOO_NEAR


def test_an_atom_that_leaves(problem: Problem) -> None:
    # Pushed out of the window by hand: nothing pulls it back from beyond the cutoff.
    positions = np.array(problem.founder.configuration.positions)
    positions[problem.founder.moved[0], 2] += 8.0
    (result,) = relaxed(problem, positions)
    assert result.rejection is Rejection.ESCAPED


class Disagreeing(Committee):
    """Two Stillinger-Weber potentials whose energies differ by two in a hundred."""

    member: StillingerWeber = StillingerWeber()
    cutoff: float = StillingerWeber().cutoff
    elements: tuple[int, ...] = (14,)
    units: str = "eV"
    members: int = 2

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Float[Array, ""]:
        return self.member.energy(configuration, neighbours)

    def member_energies(
        self, configuration: Configuration, neighbours: Neighbours
    ) -> Float[Array, " members"]:
        return self.member.energy(configuration, neighbours) * np.array([0.99, 1.01])


@pytest.mark.parametrize(("limit", "reason"), [(1.0, Rejection.NONE), (0.01, Rejection.SPREAD)])
def test_the_spread_is_recorded_and_limits(
    problem: Problem, individual: np.ndarray, limit: float, reason: Rejection
) -> None:
    (plain,) = relaxed(problem, individual)
    how = SHORT._replace(spread_limit=limit)
    (result,) = Relaxer(Disagreeing(), problem.founder, problem.freedom, how)(
        [Proposal(individual)]
    )
    np.testing.assert_allclose(result.spread, abs(plain.energy) * 0.02 / np.sqrt(2.0), rtol=1e-9)
    assert result.rejection is reason
    assert np.isnan(result.energy) == bool(reason)


def test_a_low_one_is_relaxed_to_the_end_at_once(problem: Problem, individual: np.ndarray) -> None:
    relax = Relaxer(problem.potential, problem.founder, problem.freedom, SHORT, width=3)
    (short,) = relax([Proposal(individual, refine_below=-np.inf)])
    (full,) = relax([Proposal(individual, refine_below=short.energy + 1e-6)])
    assert not short.converged
    assert full.converged
    assert full.calls > short.calls
    assert full.energy < short.energy


def test_dynamics_carries_a_structure_on_and_is_paid_for(
    problem: Problem, individual: np.ndarray
) -> None:
    relax = Relaxer(problem.potential, problem.founder, problem.freedom, SHORT, width=3)
    (minimum,) = relax([Proposal(individual, refine_below=np.inf)])
    direction = np.random.default_rng(1).standard_normal(individual.shape)
    escape = Escape(3.0, direction, time_step=1.0, steps=60, minima=2)
    (hopped,) = relax([Proposal(minimum.positions, np.inf, escape)])
    (again,) = relax([Proposal(minimum.positions, np.inf, escape._replace(kinetic_energy=1e-6))])
    assert abs(again.energy - minimum.energy) < 1e-4, "too cold to leave"
    assert np.abs(hopped.positions - minimum.positions).max() > 0.3
    assert 10 < again.calls <= 61 + 20, "the dynamics, then next to nothing to relax"
    frozen = ~problem.founder.mobile
    np.testing.assert_array_equal(hopped.positions[frozen], individual[frozen])


class Pit(StillingerWeber):
    """A single point lies 1000 eV below all others, of which the forces know nothing."""

    point: Float[Array, "n 3"]

    def __init__(self, point: np.ndarray) -> None:
        super().__init__()
        self.point = point

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Float[Array, ""]:
        deep = jnp.where(jnp.all(configuration.positions == self.point), -1000.0, 0.0)
        return super().energy(configuration, neighbours) + deep


def test_forces_that_contradict_the_energy_stall(problem: Problem, individual: np.ndarray) -> None:
    relax = Relaxer(Pit(individual), problem.founder, problem.freedom, SHORT._replace(steps=100))
    (result,) = relax([Proposal(individual)])
    assert result.rejection is Rejection.STALLED
    assert np.isnan(result.energy)
    assert 20 < result.calls < 100


class Repelling(StillingerWeber):
    """A uniform field drives every atom upwards without end."""

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Float[Array, ""]:
        return -50.0 * jnp.sum(configuration.positions[:, 2])


def test_a_relaxation_without_end_explodes(problem: Problem, individual: np.ndarray) -> None:
    how = SHORT._replace(steps=2000)
    (result,) = Relaxer(Repelling(), problem.founder, problem.freedom, how)([Proposal(individual)])
    assert result.rejection is Rejection.EXPLODED
    assert result.calls < 2000, "it ends 100 A away, not at the last step"
