"""After the last generation: full relaxations, distinct minima, and every member's opinion."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from thermosearch.potentials.interface import Potential
from thermosearch.potentials.members import members_of
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.errors import InputError
from thermosearch.search.archive import Archive, Minimum
from thermosearch.search.campaign import Relax, save
from thermosearch.search.evaluate import Relaxation, count_reasons
from thermosearch.search.members import RelaxedSlab, relax_with
from thermosearch.search.problem import Problem
from thermosearch.search.proposal import Proposal
from thermosearch.search.seed import SeedSearch
from thermosearch.search.shares import shares

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
) -> Minima | None:
    """Relax every seed's lowest distinct individuals to the end, those that are not yet.

    Parameters
    ----------
    problem : Problem
        For founder and size of the archive.
    seeds : list of SeedSearch
        At their end; they keep what becomes of their individuals.
    relax : callable
        Relaxes and judges one batch of proposals, to the end.
    batch : int
        Individuals a batch.
    context : RunContext
        Ranks share the relaxations; saved, and asked whether to stop, as often as every rank
        has relaxed a batch.

    Returns
    -------
    Minima or None
        None if it was told to stop; the checkpoint holds what is relaxed.

    Raises
    ------
    InputError
        If nothing is left, with the reasons counted.
    """
    if not any(seed.candidates.minima for seed in seeds):
        codes = np.concatenate([seed.history.rejection for seed in seeds])
        raise _all_rejected("individuals", codes)
    if not _relax_the_rest(seeds, relax, batch, context):
        return None
    archive = Archive(
        problem.founder, problem.method.archive, SAME_ENERGY, SAME_FINGERPRINT, SAME_PLACE
    )
    of_seeds = []
    for seed in seeds:
        ended = [each for each in seed.candidates.minima if each.converged] + _accepted(seed)
        of_seeds.append(min(ended, key=lambda each: each.energy, default=None))
        for minimum in ended:
            archive.add(minimum)
    if not archive.minima:
        codes = np.array([int(result.rejection) for seed in seeds for result in seed.final])
        raise _all_rejected("final structures", codes)
    return Minima(archive, of_seeds, [seed.final_calls for seed in seeds])


def relax_best_with_members(
    problem: Problem, best: Minimum, relaxation: Relaxation, context: RunContext
) -> list[RelaxedSlab] | None:
    """Relax the best structure with the whole potential, then with each of its members.

    None if it was told to stop; these few are not saved, a resumed run begins them again.
    """

    def relax(potential: Potential) -> RelaxedSlab:
        return relax_with(potential, problem.founder, problem.crystal, best.positions, relaxation)

    members = members_of(problem.potential)
    if not members:
        return None if context.stop() else [relax(problem.potential)]
    slabs: list[RelaxedSlab] = []
    for share in shares([problem.potential, *members], context.communicator.size):
        if context.stop():
            return None
        slabs += context.communicator.map(relax, share)
    return slabs


def _relax_the_rest(seeds: list[SeedSearch], relax: Relax, batch: int, context: RunContext) -> bool:
    """Relax what no checkpoint holds yet; False if told to stop.

    Batches are cut from the list of all seeds' individuals, so they are the same wherever it
    stopped and on any number of ranks.
    """
    unrelaxed = [(seed, each) for seed in seeds for each in seed.unrelaxed]
    done = sum(len(seed.final) for seed in seeds)
    batches = [unrelaxed[first : first + batch] for first in range(done, len(unrelaxed), batch)]
    for share in shares(batches, context.communicator.size):
        if context.stop():
            save(seeds, context)
            return False
        proposals = [[Proposal(each.positions) for _, each in group] for group in share]
        relaxed = context.communicator.map(relax, proposals)
        for group, results in zip(share, relaxed, strict=True):
            for (seed, _), result in zip(group, results, strict=True):
                seed.final.append(result)
        over = share[-1] is batches[-1]
        if context.checkpoint_due() or over:
            save(seeds, context)
    return True


def _accepted(seed: SeedSearch) -> list[Minimum]:
    return [
        replace(
            first,
            energy=result.energy,
            positions=result.positions,
            converged=result.converged,
        )
        for first, result in zip(seed.unrelaxed, seed.final, strict=True)
        if not result.rejection
    ]


def _all_rejected(what: str, codes: Int[np.ndarray, " k"]) -> InputError:
    return InputError(
        f"search: all {what} were rejected ({count_reasons(codes)}): reduce scramble or "
        "initial_step, widen window, or raise spread_limit in [method]"
    )
