"""Exchange of walkers between pressures (RENS).

Runs at neighbouring pressures hold walkers that are uniform under their own contours. Walker a of
run i and walker b of run j change places if each lies below the other's contour there,

    H_j(a) = H_i(a) - P_i V_a + P_j V_a < contour_j  and  H_i(b) < contour_i,

and both cells are inside the bounds of the other's measure: the product of the two uniform
measures is then left as it is (arXiv:2505.04390). The contour that a place in the run was born
under belongs to the place, not to the walker that moves in.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from thermosearch.nested.course import Course, Exchanges
from thermosearch.nested.problem import Problem
from thermosearch.nested.sampler import State
from thermosearch.nested.walker import System, Walker

STREAM = 0x52454E53
"""Sets the random numbers of exchanges apart from those of the walks."""


def exchange_all(
    problem: Problem, courses: list[Course], seed: int
) -> list[tuple[State, Exchanges]]:
    """One round: every second pair of neighbouring pressures of equal composition and repeat.

    Parameters
    ----------
    problem : Problem
        For the systems.
    courses : list of Course
        All runs; those that have ended take no part.
    seed : int
        Of the study.

    Returns
    -------
    list of (State, Exchanges)
        In the order given.
    """
    states = [course.state for course in courses]
    counts = [course.exchanges for course in courses]
    for low, high in _pairs(problem, courses):
        first, second = courses[low], courses[high]
        if first.reason is not None or second.reason is not None:
            continue
        turn = first.state.iteration
        generator = np.random.default_rng((seed, STREAM, low, turn))
        systems = [
            problem.system_at(problem.conditions[each.conditions]) for each in (first, second)
        ]
        contours = [each.history.columns["value"][-1][-1] for each in (first, second)]
        states[low], states[high], count = exchange(
            systems, (first.state, second.state), contours, generator
        )
        counts[low] = Exchanges(counts[low].tried + count.tried, counts[low].taken + count.taken)
    return list(zip(states, counts, strict=True))


def exchange(
    systems: list[System],
    states: tuple[State, State],
    contours: list[float],
    generator: np.random.Generator,
) -> tuple[State, State, Exchanges]:
    """Offer every walker of one run to a walker of the other drawn at random.

    Parameters
    ----------
    systems : two of System
        With their pressures.
    states : two of State
        With equally many walkers.
    contours : two of float
        Values that the walkers of each are below.
    generator : numpy Generator
        Draws the partners.
    """
    first, second = states
    partner = generator.permutation(len(second.value))
    offered = jax.tree.map(lambda a: a[..., partner], second.walkers)
    there = _values(systems[1], first.walkers)
    here = _values(systems[0], offered)
    # On a contour itself labels decide; such walkers stay, so that the way back is as likely.
    taken = (there < contours[1]) & (here < contours[0])
    taken &= (first.value < contours[0]) & (second.value[partner] < contours[1])
    taken &= _held(systems[1], first.walkers) & _held(systems[0], offered)
    mine, theirs = np.flatnonzero(taken), partner[taken]
    # Lists must hold the neighbours of whoever moved in, also if it dies before it walks.
    capacity = max(first.capacity, second.capacity)
    first, second = (each._replace(capacity=capacity) for each in (first, second))
    return (
        _with(first, mine, jax.tree.map(lambda a: a[..., theirs], second.walkers), here[mine]),
        _with(second, theirs, jax.tree.map(lambda a: a[..., mine], first.walkers), there[mine]),
        Exchanges(len(taken), len(mine)),
    )


def _pairs(problem: Problem, courses: list[Course]) -> list[tuple[int, int]]:
    """Find runs at neighbouring pressures; even pairs and odd pairs in turn."""
    chains: dict[tuple[object, int], list[int]] = {}
    for index, course in enumerate(courses):
        conditions = problem.conditions[course.conditions]
        chains.setdefault((conditions.numbers, course.repeat), []).append(index)
    pairs = []
    for chain in chains.values():
        chain.sort(key=lambda i: problem.conditions[courses[i].conditions].pressure)
        turn = max(len(courses[index].history.columns["value"]) for index in chain)
        first = (turn // problem.exchange_every) % 2 if len(chain) > 2 else 0
        pairs += list(zip(chain[first:-1:2], chain[first + 1 :: 2], strict=False))
    return pairs


def _values(system: System, walkers: Walker) -> Float[np.ndarray, " w"]:
    return np.asarray(system.value(jax.tree.map(jnp.asarray, walkers)))


def _held(system: System, walkers: Walker) -> Bool[np.ndarray, " w"]:
    return np.asarray(system.measure.holds_cell(jnp.asarray(walkers.cell)))


def _with(
    state: State, slots: Int[np.ndarray, " t"], walkers: Walker, value: Float[np.ndarray, " t"]
) -> State:
    """Put walkers into places; labels and births stay with the places."""
    placed = jax.tree.map(np.copy, state.walkers)
    for kept, new in zip(jax.tree.leaves(placed), jax.tree.leaves(walkers), strict=True):
        kept[..., slots] = new
    values = state.value.copy()
    values[slots] = value
    return state._replace(walkers=placed, value=values)
