"""The same slab by the whole potential and by every member of a committee."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from thermosearch.configuration import Configuration
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.interface import Potential
from thermosearch.relax.minimise import minimise
from thermosearch.search.evaluate import Relaxation
from thermosearch.search.founder import Founder
from thermosearch.search.observables import SlabReference


class RelaxedSlab(NamedTuple):
    """A relaxed slab and what its energy is measured against, by one potential.

    Attributes
    ----------
    reference : SlabReference or None
        By the same potential; None where the founder has no energy of its own: a cluster, a
        crystal, an overlayer without a place.
    energy : float
        eV.
    positions : (n, 3) float64
        A.
    calls : int
        Energy+force calls of the relaxation.
    converged : bool
        Whether it reached the force asked for.
    """

    reference: SlabReference | None
    energy: float
    positions: Float[np.ndarray, "n 3"]
    calls: int
    converged: bool


def relax_with(
    potential: Potential,
    founder: Founder,
    crystal: Configuration | None,
    positions: Float[np.ndarray, "n 3"],
    relaxation: Relaxation,
) -> RelaxedSlab:
    """Relax a slab to the end with one potential and evaluate its references with the same.

    Parameters
    ----------
    potential : Potential
        The whole one, or a member.
    founder : Founder
        The slab as cut.
    crystal : Configuration or None
        Of the bulk, where the founder was cut from one.
    positions : (n, 3)
        Where to begin, A.
    relaxation : Relaxation
        Steps and force.
    """
    (relaxed,) = minimise(
        potential,
        [founder.configuration._replace(positions=positions)],
        mobile=founder.mobile,
        max_steps=relaxation.steps,
        force_tolerance=relaxation.force,
        together=relaxation.together,
        width=1,
    )
    return RelaxedSlab(
        slab_reference(potential, founder, crystal),
        relaxed.energy,
        np.asarray(relaxed.configuration.positions),
        relaxed.executed,
        relaxed.converged,
    )


def slab_reference(
    potential: Potential, founder: Founder, crystal: Configuration | None
) -> SlabReference | None:
    """Energies of the slab as cut and, an atom, of the crystal it was cut from."""
    if founder.added or founder.region is not None:
        return None
    structures = [founder.configuration] + ([] if crystal is None else [crystal])
    energies = [float(each.energy) for each in evaluate(potential, structures, ("energy",))]
    per_atom = None if crystal is None else energies[1] / len(crystal.numbers)
    return SlabReference(per_atom, energies[0])
