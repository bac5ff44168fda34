"""The results of a search: quantities, structures and curves."""

import io
from collections.abc import Iterable
from functools import partial

import ase.io
import numpy as np
from ase import Atoms
from jaxtyping import Float

from thermosearch.configuration import to_ase
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.results import Results
from thermosearch.search.evaluate import Rejection, count_reasons
from thermosearch.search.finish import Minima
from thermosearch.search.founder import FROZEN
from thermosearch.search.members import RelaxedSlab
from thermosearch.search.observables import SlabReference, dimer_labels, surface_energy, top_dimers
from thermosearch.search.problem import Problem
from thermosearch.search.quantities import (
    dimer_quantities,
    success_quantities,
    surface_quantities,
)
from thermosearch.search.seed import SeedSearch
from thermosearch.search.study import SearchStudy

REJECTED_SHARE = 0.25
"""Share of rejected individuals worth a warning."""

Frames = dict[str, list[Atoms]]
"""Structures by the name of their file."""


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
    frames = _frames(problem, minima, slabs)
    if context.communicator.rank == 0:
        _write(frames, context)
    spent = [*(seed.calls for seed in seeds), minima.calls, *(slab.calls for slab in slabs)]
    return Results(
        "search",
        "finished",
        quantities=[
            *surface_quantities(problem, slabs),
            *dimer_quantities(problem, slabs),
            *success_quantities(seeds, minima, study.method.success),
        ],
        structures=[
            {"file": name, "index": index, **atoms.info}
            for name, group in frames.items()
            for index, atoms in enumerate(group)
        ],
        evaluations=sum(spent),
        arrays=_curves(problem, seeds, slabs[0].reference) | study.potential.parity(),
        warnings=_warnings(seeds, slabs),
    )


def _warnings(seeds: list[SeedSearch], slabs: list[RelaxedSlab]) -> list[str]:
    """Say what a reader of the numbers should know."""
    warnings = []
    if not all(slab.converged for slab in slabs):
        warnings.append("the best structure is not fully relaxed: raise method.final_steps")
    codes = np.concatenate([row for seed in seeds for row in seed.history.rejection])
    rejected = int(np.sum(codes != Rejection.NONE))
    if rejected > REJECTED_SHARE * len(codes):
        warnings.append(
            f"{rejected} of {len(codes)} individuals were rejected ({count_reasons(codes)})"
        )
    return warnings


def _frames(problem: Problem, minima: Minima, slabs: list[RelaxedSlab]) -> Frames:
    """Every structure worth keeping, with what is known of it in `info`."""
    whole, members = slabs[0], slabs[1:]
    founder = np.asarray(problem.founder.configuration.positions)
    frame = partial(_frame, problem)
    own = partial(frame, whole.reference)
    return {
        "structures/best.extxyz": [own(whole.energy, whole.positions, label="best structure")],
        "structures/founder.extxyz": [own(whole.reference.ideal, founder, label="unreconstructed")],
        "structures/minima.extxyz": [
            own(
                each.energy,
                each.positions,
                label=f"minimum {rank}",
                seed=each.seed,
                generation=each.generation,
                hits=each.hits,
            )
            for rank, each in enumerate(minima.archive.minima)
        ],
        "structures/members.extxyz": [
            frame(
                slab.reference,
                slab.energy,
                slab.positions,
                label=f"best by member {member}",
                member=member,
            )
            for member, slab in enumerate(members)
        ],
    }


def _frame(
    problem: Problem,
    reference: SlabReference,
    energy: float,
    positions: Float[np.ndarray, "n 3"],
    **facts: str | int,
) -> Atoms:
    founder = problem.founder
    dimers = top_dimers(founder, positions)
    atoms = to_ase(founder.configuration._replace(positions=positions))
    atoms.arrays["role"] = founder.role
    atoms.arrays["frozen"] = founder.role == FROZEN
    atoms.arrays["dimer"] = dimer_labels(dimers, len(positions))
    atoms.info |= facts | {
        "energy_eV": energy,
        "surface_energy_J_per_m2": surface_energy(founder, reference, energy),
        "dimers": len(dimers.pairs),
    }
    if len(dimers.pairs):
        atoms.info["dimer_length_A"] = float(dimers.lengths.mean())
        atoms.info["dimer_buckling_deg"] = float(dimers.buckling_angles.mean())
    return atoms


def _write(frames: Frames, context: RunContext) -> None:
    for name, group in frames.items():
        if group:
            buffer = io.StringIO()
            ase.io.write(buffer, group, format="extxyz")
            context.folder.write(name, buffer.getvalue())


def _curves(
    problem: Problem, seeds: Iterable[SeedSearch], reference: SlabReference
) -> dict[str, np.ndarray]:
    """Curves of every seed over its generations, in surface energies."""

    def as_surface(energies: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        return np.vectorize(
            lambda energy: surface_energy(problem.founder, reference, float(energy)),
            otypes=[np.float64],
        )(energies)

    arrays = {
        "convergence/label": np.array("surface energy of the relaxed individuals"),
        "convergence/unit": np.array("J/m^2"),
        "convergence/reference": as_surface(np.array(reference.ideal)),
        "convergence/reference_label": np.array("unreconstructed"),
    }
    for seed in seeds:
        history = seed.history
        population = np.array(history.energy)
        lowest = np.min(np.where(np.isnan(population), np.inf, population), axis=1)
        best = np.minimum.accumulate(lowest)
        name = f"convergence/seed_{seed.index}"
        arrays |= {
            f"{name}/calls": np.cumsum(history.calls),
            f"{name}/generation": np.arange(1, len(population) + 1),
            f"{name}/energy": as_surface(np.where(np.isinf(best), np.nan, best)),
            f"{name}/generation_energy": as_surface(population),
            f"{name}/sigma": np.array(history.step),
            f"{name}/rejected": np.sum(np.array(history.rejection) != 0, axis=1),
            f"{name}/rejection": np.array(history.rejection),
            f"{name}/spread_eV": np.array(history.spread),
        }
    return arrays
