"""A small fingerprint that is the same for the same periodic structure, however it is written."""

import numpy as np
from jaxtyping import Float, Int

from thermosearch.configuration import Configuration, pairs_within

WIDTH = 0.1
"""Gaussian width of a distance in the fingerprint, A."""


def radial_fingerprint(
    configuration: Configuration, atoms: Int[np.ndarray, " m"], cutoff: float = 5.0
) -> Float[np.ndarray, " bins"]:
    """Smeared distribution of distances around some atoms, by pair of elements.

    f_AB(r) = sum_{i in atoms of A} sum_{j of B} w(r_ij) exp(-(r - r_ij)^2 / 2 s^2) / m with
    w(r) = (1 + cos(pi r / r_c)) / 2, after Oganov and Valle, J. Chem. Phys. 130, 104504
    (2009). It does not change under translation, rotation, reflection, permutation of equal
    atoms, or another choice of the cell, and is continuous in the positions.

    Parameters
    ----------
    configuration : Configuration
        The structure.
    atoms : (m,) int
        The atoms whose surroundings count; the others enter as neighbours.
    cutoff : float
        Largest distance, A.

    Returns
    -------
    (bins,) float64
        The distributions of all pairs of elements, one after another.
    """
    numbers = np.asarray(configuration.numbers)
    i, j, _, distance = pairs_within(configuration, cutoff)
    centre, partner = np.concatenate((i, j)), np.concatenate((j, i))
    reach = np.concatenate((distance, distance))
    counted = np.isin(centre, atoms)
    weight = 0.5 * (1.0 + np.cos(np.pi * reach / cutoff))
    grid = np.arange(0.5, cutoff + WIDTH, WIDTH)
    parts = []
    for one in np.unique(numbers):
        for other in np.unique(numbers):
            pair = counted & (numbers[centre] == one) & (numbers[partner] == other)
            smear = np.exp(-0.5 * ((grid[:, None] - reach[pair]) / WIDTH) ** 2)
            parts.append(smear @ weight[pair] / len(atoms))
    return np.concatenate(parts)


def fingerprint_distance(
    one: Float[np.ndarray, " bins"], other: Float[np.ndarray, " bins"]
) -> float:
    """Cosine distance (1 - cos) / 2 of two fingerprints: 0 for equal ones, at most 1/2.

    Of one that is all zero (no neighbours), 0 to another such and 1/2 to any other.
    """
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    if norm == 0.0:
        return 0.5 * float(np.any(one) or np.any(other))
    return 0.5 * (1.0 - float(one @ other) / norm)
