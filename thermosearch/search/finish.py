"""After the last generation: full relaxations, distinct minima, and every member's opinion."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from thermosearch.potentials.interface import Potential
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.errors import InputError
from thermosearch.search.archive import Archive, Minimum
from thermosearch.search.campaign import Relax, relax_all
from thermosearch.search.evaluate import Evaluated, Relaxation, count_reasons
from thermosearch.search.members import RelaxedSlab, members_of, relax_with
from thermosearch.search.problem import Problem
from thermosearch.search.seed import SeedSearch

SAME_ENERGY = 0.002
"""Energies, eV, within which two fully relaxed structures may be the same."""

SAME_FINGERPRINT = 1e-4
"""Cosine distance of the same, fully relaxed."""

KEPT_MINIMA = 12


@dataclass(frozen=True)
class Minima:
    """Fully relaxed structures of a campaign.

    Attributes
    ----------
    archive : Archive
        The distinct ones, lowest first.
    of_seeds : list of Minimum or None
        The lowest of each seed; None for a seed without any.
    calls : int
        Energy+force calls spent on them.
    """

    archive: Archive
    of_seeds: list[Minimum | None]
    calls: int


def relax_candidates(
    problem: Problem, seeds: list[SeedSearch], relax: Relax, batch: int, context: RunContext
) -> Minima:
    """Relax every seed's lowest distinct individuals to the end.

    Raises
    ------
    InputError
        If nothing is left, with the reasons counted.
    """
    if not any(seed.candidates.minima for seed in seeds):
        codes = np.concatenate([row for seed in seeds for row in seed.history.rejection])
        raise _all_rejected("individuals", codes)
    candidates = [seed.candidates.minima for seed in seeds]
    relaxed = relax_all(
        [[each.positions for each in group] for group in candidates], relax, batch, context
    )
    archive = Archive(problem.founder, KEPT_MINIMA, SAME_ENERGY, SAME_FINGERPRINT)
    of_seeds = []
    for group, results in zip(candidates, relaxed, strict=True):
        ended = _accepted(group, results)
        of_seeds.append(min(ended, key=lambda each: each.energy, default=None))
        for minimum in ended:
            archive.add(minimum)
    everything = [result for results in relaxed for result in results]
    if not archive.minima:
        codes = np.array([int(result.rejection) for result in everything])
        raise _all_rejected("final structures", codes)
    return Minima(archive, of_seeds, sum(result.calls for result in everything))


def relax_best_with_members(
    problem: Problem, best: Minimum, relaxation: Relaxation, context: RunContext
) -> list[RelaxedSlab]:
    """Relax the best structure with the whole potential, then with each of its members."""

    def relax(potential: Potential) -> RelaxedSlab:
        return relax_with(potential, problem.founder, problem.crystal, best.positions, relaxation)

    members = members_of(problem.potential, problem.founder.configuration)
    if not members:
        return [relax(problem.potential)]
    return context.communicator.map(relax, [problem.potential, *members])


def _accepted(group: list[Minimum], results: list[Evaluated]) -> list[Minimum]:
    return [
        Minimum(result.energy, result.positions, first.seed, first.generation, first.hits)
        for first, result in zip(group, results, strict=True)
        if not result.rejection
    ]


def _all_rejected(what: str, codes: Int[np.ndarray, " k"]) -> InputError:
    return InputError(
        f"search: all {what} were rejected ({count_reasons(codes)}): reduce scramble or "
        "initial_step, widen window, or raise spread_limit in [method]"
    )
