"""Curves of a search over energy+force calls, as arrays of `results.h5`."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

from thermosearch.search.observables import SlabReference, has_surface_energy, surface_energy
from thermosearch.search.problem import Problem
from thermosearch.search.quantities import energy_unit
from thermosearch.search.seed import History, SeedSearch
from thermosearch.search.success import FirstHits, success_curve

Arrays = dict[str, np.ndarray]


def convergence_curves(
    problem: Problem, seeds: Iterable[SeedSearch], reference: SlabReference | None
) -> Arrays:
    """Curves of every seed over its generations, of slabs in surface energies."""
    slab = reference is not None and has_surface_energy(problem.founder)

    def shown(energies: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        if not slab:
            return np.asarray(energies)
        return np.vectorize(
            lambda energy: surface_energy(problem.founder, reference, float(energy)),
            otypes=[np.float64],
        )(energies)

    arrays = {
        "convergence/label": np.array(
            "surface energy of the relaxed individuals" if slab else "energy"
        ),
        "convergence/unit": np.array("J/m^2" if slab else energy_unit(problem)),
    }
    if slab:
        arrays |= {
            "convergence/reference": shown(np.array(reference.ideal)),
            "convergence/reference_label": np.array("unreconstructed"),
        }
    for seed in seeds:
        arrays |= {
            f"convergence/{seed.name}/{name}": shown(array) if "energy" in name else array
            for name, array in _curves(seed.history).items()
        }
    return arrays


def success_curves(hits: dict[str, FirstHits], level: float, unit: str) -> Arrays:
    """Return the distribution of first hits of every engine, its band, and where seeds ended.

    Parameters
    ----------
    hits : dict of str to FirstHits
        By engine.
    level : float
        Energy at or below which a seed has succeeded.
    unit : str
        Of energies.
    """
    told = {"final_energies/level": np.array(level), "final_energies/unit": np.array(unit)}
    return told | {
        f"success/{engine}/{name}": array
        for engine, each in hits.items()
        for name, array in (
            *success_curve(each)._asdict().items(),
            ("first_hit_calls", each.calls),
            ("first_hit", each.hit),
            ("final_energy", each.energies),
        )
        if array is not None
    }


def _curves(history: History) -> Arrays:
    """Per generation; per individual too where all generations have the same number."""
    rounds = np.array(history.round)
    ends = np.flatnonzero(np.diff(rounds, append=rounds[-1] + 1))
    lowest = history.lowest()[ends]
    rejected = np.array(history.rejection)
    arrays = {
        "calls": history.cumulative_calls()[ends],
        "generation": rounds[ends] + 1,
        "energy": np.where(np.isinf(lowest), np.nan, lowest),
        "sigma": np.array(history.step),
        "rejected": np.bincount(rounds, weights=rejected != 0).astype(np.int64),
        "rejection": rejected,
        "individual_calls": np.array(history.calls, np.int64),
        "spread_eV": np.array(history.spread),
    }
    sizes = np.bincount(rounds)
    if len(set(sizes.tolist())) == 1 and sizes[0] > 1:
        arrays["generation_energy"] = np.array(history.energy).reshape(len(sizes), -1)
    else:
        arrays["individual_energy"] = np.array(history.energy)
    return {name: array for name, array in arrays.items() if not _is_empty(name, array)}


def _is_empty(name: str, array: np.ndarray) -> bool:
    """Whether an engine has nothing to say here: no step, no spread."""
    return name in {"sigma", "spread_eV"} and bool(np.all(np.isnan(array)))
