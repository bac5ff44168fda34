"""After the last generation: full relaxations, distinct minima, and every member's opinion."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from thermosearch.potentials.interface import Potential
from thermosearch.potentials.members import members_of
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.errors import InputError
from thermosearch.search.archive import Archive, Minimum
from thermosearch.search.campaign import Relax, relax_all
from thermosearch.search.evaluate import Evaluated, Relaxation, count_reasons
from thermosearch.search.members import RelaxedSlab, relax_with
from thermosearch.search.problem import Problem
from thermosearch.search.proposal import Proposal
from thermosearch.search.seed import SeedSearch

SAME_ENERGY = 0.002
"""Energies, eV, within which two fully relaxed structures may be the same."""

SAME_FINGERPRINT = 1e-3
"""Cosine distance of fully relaxed structures that may be the same; then they are matched."""

SAME_PLACE = 0.15
"""Distance, A, of two atoms that stand for each other in one structure."""


@dataclass(frozen=True)
class Minima:
    """Fully relaxed structures of a campaign.

    Attributes
    ----------
    archive : Archive
        The distinct ones of all engines, lowest first.
    of_seeds : list of Minimum or None
        The lowest of each seed; None for a seed without any.
    calls : list of int
        Energy+force calls spent on those of each seed.
    """

    archive: Archive
    of_seeds: list[Minimum | None]
    calls: list[int]


def relax_candidates(
    problem: Problem, seeds: list[SeedSearch], relax: Relax, batch: int, context: RunContext
) -> Minima:
    """Relax every seed's lowest distinct individuals to the end, those that are not yet.

    Raises
    ------
    InputError
        If nothing is left, with the reasons counted.
    """
    if not any(seed.candidates.minima for seed in seeds):
        codes = np.concatenate([seed.history.rejection for seed in seeds])
        raise _all_rejected("individuals", codes)
    candidates = [seed.candidates.minima for seed in seeds]
    open_ = [[each for each in group if not each.converged] for group in candidates]
    relaxed = relax_all(
        [[Proposal(each.positions) for each in group] for group in open_], relax, batch, context
    )
    archive = Archive(
        problem.founder, problem.method.archive, SAME_ENERGY, SAME_FINGERPRINT, SAME_PLACE
    )
    of_seeds = []
    for group, begun, results in zip(candidates, open_, relaxed, strict=True):
        ended = [each for each in group if each.converged] + _accepted(begun, results)
        of_seeds.append(min(ended, key=lambda each: each.energy, default=None))
        for minimum in ended:
            archive.add(minimum)
    if not archive.minima:
        codes = np.array([int(result.rejection) for group in relaxed for result in group])
        raise _all_rejected("final structures", codes)
    calls = [sum(result.calls for result in results) for results in relaxed]
    return Minima(archive, of_seeds, calls)


def relax_best_with_members(
    problem: Problem, best: Minimum, relaxation: Relaxation, context: RunContext
) -> list[RelaxedSlab]:
    """Relax the best structure with the whole potential, then with each of its members."""

    def relax(potential: Potential) -> RelaxedSlab:
        return relax_with(potential, problem.founder, problem.crystal, best.positions, relaxation)

    members = members_of(problem.potential)
    if not members:
        return [relax(problem.potential)]
    return context.communicator.map(relax, [problem.potential, *members])


def _accepted(group: list[Minimum], results: list[Evaluated]) -> list[Minimum]:
    return [
        replace(
            first,
            energy=result.energy,
            positions=result.positions,
            converged=result.converged,
        )
        for first, result in zip(group, results, strict=True)
        if not result.rejection
    ]


def _all_rejected(what: str, codes: Int[np.ndarray, " k"]) -> InputError:
    return InputError(
        f"search: all {what} were rejected ({count_reasons(codes)}): reduce scramble or "
        "initial_step, widen window, or raise spread_limit in [method]"
    )
