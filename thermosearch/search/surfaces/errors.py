"""Errors of surface free energies, correlated through reservoirs and committees."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from thermosearch.search.surfaces.gamma import (
    NO_MEMBERS,
    Slab,
    chemical_potentials,
    surface_free_energy,
)


def gamma_covariance(
    slabs: Sequence[Slab],
    compositions: Float[np.ndarray, "r e"],
    errors: Float[np.ndarray, " r"],
    deviations: Float[np.ndarray, "r members"],
) -> Float[np.ndarray, "slabs slabs"]:
    """Covariance of the gammas of slabs that share reservoirs, eV^2/A^4.

    Gamma is linear in every energy. Members of a committee are followed through slab, other
    face and reservoirs, where most of what they differ by cancels; other errors of slabs and
    reservoirs are independent. It is the same along the whole axis.

    Parameters
    ----------
    slabs : sequence of Slab
    compositions : (r, e) float64
        Of the reservoirs.
    errors : (r,) float64
        Of their energies, apart from the committee's, eV.
    deviations : (r, members) float64
        What each member gives more than their mean for each reservoir, eV; no columns without
        a committee.
    """
    reservoirs = _of_reservoirs(slabs, compositions)
    own = np.array([_gamma(slab, energy=1.0) for slab in slabs])
    independent = np.diag((own * np.array([slab.error for slab in slabs])) ** 2)
    independent += (reservoirs * errors**2) @ reservoirs.T
    members = deviations.shape[1]
    if members < 2:
        return independent
    moved = reservoirs @ deviations
    for k, slab in enumerate(slabs):
        moved[k] += own[k] * _given(slab.deviations, members)
        moved[k] += _gamma(slab, other=1.0) * _given(slab.other_deviations, members)
    moved -= moved.mean(axis=1, keepdims=True)
    return independent + moved @ moved.T / (members - 1)


def _of_reservoirs(
    slabs: Sequence[Slab], compositions: Float[np.ndarray, "r e"]
) -> Float[np.ndarray, "slabs r"]:
    """Change of each gamma with the energy of each reservoir, 1/A^2."""
    unit = np.eye(len(compositions))
    potentials = [chemical_potentials(compositions, row) for row in unit]
    return np.array([[_gamma(slab, potentials=each) for each in potentials] for slab in slabs])


def _gamma(
    slab: Slab,
    energy: float = 0.0,
    other: float = 0.0,
    potentials: Float[np.ndarray, " e"] | None = None,
) -> float:
    """Linear part of gamma in one of its energies."""
    potentials = np.zeros(len(slab.counts)) if potentials is None else potentials
    return surface_free_energy(slab._replace(energy=energy, other_energy=other), potentials, 0.0)


def _given(deviations: Float[np.ndarray, " m"], members: int) -> Float[np.ndarray, " members"]:
    return np.zeros(members) if deviations is NO_MEMBERS or not len(deviations) else deviations
