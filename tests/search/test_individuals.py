"""An individual becomes an energy or a reason, never a crash."""

import numpy as np
import pytest
from jaxtyping import Float

from thermosearch.configuration import Array, Configuration
from thermosearch.potentials.interface import Committee, Neighbours
from thermosearch.potentials.stillinger_weber import StillingerWeber
from thermosearch.search.evaluate import Evaluated, Rejection, Relaxation, relax_individuals
from thermosearch.search.founder import scrambled
from thermosearch.search.problem import Problem

SHORT = Relaxation(steps=25, force=0.02, minimum_distance=1.6, spread_limit=None)


def relaxed(problem: Problem, *positions: np.ndarray, how: Relaxation = SHORT) -> list[Evaluated]:
    """Relax one to three individuals in batches of three: one compilation serves all."""
    filled = [*positions, *positions[-1:] * (3 - len(positions))]
    results = relax_individuals(problem.potential, problem.founder, problem.freedom, filled, how)
    return results[: len(positions)]


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
    (result,) = relax_individuals(
        Disagreeing(), problem.founder, problem.freedom, [individual], how
    )
    np.testing.assert_allclose(result.spread, abs(plain.energy) * 0.02 / np.sqrt(2.0), rtol=1e-9)
    assert result.rejection is reason
    assert np.isnan(result.energy) == bool(reason)
