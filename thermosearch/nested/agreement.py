"""Whether a walk's energies are the potential's: what it assumes of a potential may not hold."""

import jax
import numpy as np

from thermosearch.nested.rows import sums_pairs
from thermosearch.nested.walker import System, Walker
from thermosearch.potentials.evaluate import evaluate
from thermosearch.runtime.errors import InputError

COMPARED = 4
"""Walkers looked at: that of the greatest energy, and the others evenly down from it."""
TOLERANCE = 1e-3
"""Relative to the energy, and to kT for each atom: far above single precision's rounding."""


def refuse_disagreement(system: System, walkers: Walker, kt: float) -> None:
    """Compare energies that walks left with what the potential gives at the positions.

    Walks wrap positions into a cell that repeats, list neighbours up to the cutoff, and sum pairs
    of a potential that says it is a sum of them.

    Parameters
    ----------
    system : System
        Its potential.
    walkers : Walker
        After a walk; the last axis is the walker's.
    kt : float
        The lowest of interest.

    Raises
    ------
    InputError
        If they differ.
    """
    energies = np.asarray(walkers.energy)
    falling = np.argsort(-np.abs(energies), kind="stable")
    chosen = falling[:: -(-len(falling) // COMPARED)]
    some = [system.configuration(jax.tree.map(lambda a, i=i: a[..., i], walkers)) for i in chosen]
    # Atoms may overlap: the prior holds such.
    found = evaluate(system.potential, some, ("energy",), closest=0.0)
    given = np.array([each.energy for each in found])
    near = TOLERANCE * (np.abs(given) + system.atoms * kt)
    off = np.flatnonzero(~(np.abs(given - energies[chosen]) <= near))
    if len(off):
        walked, alone = energies[chosen][off[0]], given[off[0]]
        raise InputError(
            f"potential: a walker's energy is {walked:.8g}, but {alone:.8g} is what the potential "
            f"gives at its positions: {_reason(system)}"
        )


def _reason(system: System) -> str:
    if sums_pairs(system.potential):
        return "its pair_energy or pair_densities are not what sampling expects (nested/rows.py)"
    if any(system.pbc):
        return "it does not repeat with the cell; set system.cell.pbc = [false, false, false]"
    return "it gives other energies each time"
