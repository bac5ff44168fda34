"""The archive keeps each structure once, however it is written, lowest first."""

import numpy as np
from numpy.typing import NDArray

from thermosearch.search.archive import Archive, Minimum
from thermosearch.search.founder import scrambled
from thermosearch.search.problem import Problem


def archive(problem: Problem, capacity: int = 5) -> Archive:
    return Archive(problem.founder, capacity, energy_tolerance=0.01, fingerprint_tolerance=1e-4)


def structure(problem: Problem, seed: int) -> NDArray:
    return scrambled(problem.founder, 0.8, np.random.default_rng(seed))


def test_translated_and_permuted_copies_are_one(problem: Problem) -> None:
    positions = structure(problem, 1)
    copy = positions + np.asarray(problem.founder.configuration.cell)[1] * 0.5
    a, b = problem.founder.moved[:2]
    copy[[a, b]] = copy[[b, a]]
    kept = archive(problem)
    kept.add(Minimum(-1.0, positions, seed=0, generation=2))
    kept.add(Minimum(-1.004, copy, seed=1, generation=5))
    assert len(kept.minima) == 1
    (minimum,) = kept.minima
    assert (minimum.energy, minimum.seed, minimum.generation, minimum.hits) == (-1.004, 0, 2, 2)


def test_equal_energy_alone_does_not_make_two_structures_one(problem: Problem) -> None:
    kept = archive(problem)
    kept.add(Minimum(-1.0, structure(problem, 1), 0, 0))
    kept.add(Minimum(-1.0, structure(problem, 2), 0, 0))
    assert len(kept.minima) == 2


def test_the_lowest_stay_and_a_restored_archive_is_the_same(problem: Problem) -> None:
    kept = archive(problem, capacity=3)
    for seed, energy in enumerate([3.0, 1.0, 5.0, 2.0, 4.0, 0.0]):
        kept.add(Minimum(energy, structure(problem, seed), seed, 0))
    assert [each.energy for each in kept.minima] == [0.0, 1.0, 2.0]
    assert [each.seed for each in kept.minima] == [5, 1, 3]
    restored = archive(problem, capacity=3)
    restored.restore(kept.state())
    assert [each.energy for each in restored.minima] == [0.0, 1.0, 2.0]
    for one, other in zip(restored.minima, kept.minima, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
        assert (one.seed, one.hits) == (other.seed, other.hits)
