"""The results of a search: quantities, structures and curves."""

import numpy as np

from thermosearch.runtime.context import RunContext
from thermosearch.runtime.results import Results
from thermosearch.search.curves import convergence_curves, success_curves
from thermosearch.search.evaluate import Rejection, count_reasons
from thermosearch.search.finish import Minima
from thermosearch.search.frames import frames_of, write_frames
from thermosearch.search.local_environments import environment_map
from thermosearch.search.members import RelaxedSlab
from thermosearch.search.observables import has_surface_energy
from thermosearch.search.problem import Problem
from thermosearch.search.quantities import (
    dimer_quantities,
    energy_quantities,
    energy_unit,
    success_quantities,
    surface_quantities,
)
from thermosearch.search.seed import SeedSearch
from thermosearch.search.study import SearchStudy
from thermosearch.search.success import first_hits

REJECTED_SHARE = 0.25
"""Share of rejected individuals worth a warning."""


def summarise(
    study: SearchStudy,
    problem: Problem,
    seeds: list[SeedSearch],
    *,
    minima: Minima,
    slabs: list[RelaxedSlab],
    context: RunContext,
) -> Results:
    """Write the structures and gather what `results.json` and `results.h5` hold.

    Parameters
    ----------
    study, problem, seeds, minima
        The finished search.
    slabs : list of RelaxedSlab
        The best structure by the whole potential, then by each member.
    context : RunContext
        Where structures are written (rank 0).
    """
    frames = frames_of(problem, minima, slabs)
    if context.communicator.rank == 0:
        write_frames(frames, context)
    level = _level(study, minima)
    hits = {
        engine: first_hits(seeds, minima, level, engine, study.method.budget)
        for engine in study.method.engines
    }
    spent = [*(seed.calls for seed in seeds), *minima.calls, *(slab.calls for slab in slabs)]
    quantities = energy_quantities(problem, minima)
    if problem.founder.is_slab:
        quantities = [
            *surface_quantities(problem, slabs),
            *dimer_quantities(problem, slabs),
            *quantities,
        ]
    known, told = environment_map(study, frames["structures/minima.extxyz"])
    return Results(
        "search",
        "finished",
        quantities=[*quantities, *success_quantities(problem, seeds, minima, hits), *told],
        structures=[
            {"file": name, "index": index, **atoms.info}
            for name, group in frames.items()
            for index, atoms in enumerate(group)
        ],
        evaluations=sum(spent),
        arrays=convergence_curves(problem, seeds, slabs[0].reference)
        | success_curves(hits, level, energy_unit(problem))
        | known
        | study.potential.parity(),
        warnings=_warnings(problem, seeds, minima, slabs),
    )


def _level(study: SearchStudy, minima: Minima) -> float:
    """Energy at or below which a seed has succeeded."""
    target = study.method.target
    lowest = minima.archive.minima[0].energy if target is None else target
    return lowest + study.method.success


def _warnings(
    problem: Problem, seeds: list[SeedSearch], minima: Minima, slabs: list[RelaxedSlab]
) -> list[str]:
    """Say what a reader of the numbers should know."""
    warnings = []
    founder = problem.founder
    if founder.is_slab and not founder.added and not has_surface_energy(founder):
        warnings.append(
            "no surface energy: the lowest layer may relax, so that energies hold changes of the "
            "lower face too: freeze it in [system.frozen], or search both (both_faces = true)"
        )
    if not all(slab.converged for slab in slabs):
        warnings.append("the best structure is not fully relaxed: raise method.final_steps")
    codes = np.concatenate([np.array(seed.history.rejection) for seed in seeds])
    rejected = int(np.sum(codes != Rejection.NONE))
    if rejected > REJECTED_SHARE * len(codes):
        warnings.append(
            f"{rejected} of {len(codes)} individuals were rejected ({count_reasons(codes)})"
        )
    if len(minima.archive.minima) == minima.archive.capacity:
        warnings.append(
            f"the archive is full ({minima.archive.capacity} minima): raise method.archive"
        )
    return warnings
