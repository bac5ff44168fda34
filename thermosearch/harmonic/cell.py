"""Where centroids and cell want to go, by the mean force and pressure of a sample.

The free energy is taken as quadratic in centroids, cell and force constants, coupled by what
strain does to forces and force constants in the static lattice. Eliminating the others leaves the
strain of a cell in which they have relaxed: force constants that are off by noise push the cell in
first order, which otherwise it would follow to and fro.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from thermosearch.harmonic.crystal import Crystal, EffectiveCrystal
from thermosearch.harmonic.prepare import Elastic
from thermosearch.harmonic.regression import Refit, Sample
from thermosearch.harmonic.statistics import Modes
from thermosearch.harmonic.symmetry import symmetrise_vectors


@runtime_checkable
class Place(Protocol):
    """What a pull needs of a point: the phase, its elastic response, the pressure to reach."""

    crystal: Crystal
    elastic: Elastic
    pressure: float


class Pull(NamedTuple):
    """Mean forces on centroids and cell, of two independent halves of a sample.

    Attributes
    ----------
    forces : (2, m) float64
        On the centroids, in modes, over the square root of their force constants, eV^1/2.
    pushes : (2, k) float64
        On the allowed strains, centroids and force constants following, eV.
    covariance : (k, k) float64
        Of the mean of the pushes, eV^2.
    coupling : (m, k) float64
        Of the static lattice: what strain does to the forces.
    stiffness : (k, k) float64
        Of the cell, centroids and force constants following, eV.
    """

    forces: Float[np.ndarray, "2 m"]
    pushes: Float[np.ndarray, "2 k"]
    covariance: Float[np.ndarray, "k k"]
    coupling: Float[np.ndarray, "m k"]
    stiffness: Float[np.ndarray, "k k"]


class Drift(NamedTuple):
    """Newton step of centroids and cell.

    Attributes
    ----------
    shift : (n,) float64
        Of the centroids at fixed strain, A.
    strain : (3, 3) float64
        Of the cell.
    gain, noise : float
        Expected fall of the free energy (unbiased), and what noise pretends, eV.
    strain_error : (3, 3) float64
        Standard error.
    """

    shift: Float[np.ndarray, " n"]
    strain: Float[np.ndarray, "3 3"]
    gain: float
    noise: float
    strain_error: Float[np.ndarray, "3 3"]


def pull(
    place: Place,
    effective: EffectiveCrystal,
    modes: Modes,
    sample: Sample,
    pressures_of: Float[np.ndarray, "s 3 3"],
    *,
    fitted: Refit,
) -> Pull:
    """Average the forces on centroids and cell.

    Parameters
    ----------
    place : Place
        A `PointProblem`: phase, elastic response and pressure, eV/A^3.
    effective, modes
        The crystal as it was sampled.
    sample : Sample
        Its sample.
    pressures_of : (s, 3, 3)
        By `averages.pressures`.
    fitted : Refit
        With what it says of the cell.
    """
    elastic, k = place.elastic, len(place.elastic.strains)
    forces = 0.5 * (sample.forces[0::2] + sample.forces[1::2])
    excess = 0.5 * (pressures_of[0::2] + pressures_of[1::2]) - place.pressure * np.eye(3)
    pushes = effective.volume * np.einsum("kab,pab->pk", elastic.strains, excess)
    pushes = pushes + 0.5 * (fitted.pushes[0::2] + fitted.pushes[1::2])
    scaled = modes.vectors / np.sqrt(modes.masses)[:, None] / modes.frequencies
    coupling = scaled.T @ elastic.coupling
    half = np.arange(len(forces)) % 2
    means, left = [], []
    for h in (0, 1):
        # Symmetrising is linear, so the mean is symmetrised rather than every pair.
        mean = forces[half == h].mean(axis=0).reshape(-1, 3)
        allowed = symmetrise_vectors(place.crystal.group, effective.cell, mean)
        means.append(scaled.T @ allowed.reshape(-1))
        left.append(pushes[half == h].mean(axis=0) - coupling.T @ means[-1])
    covariance = np.cov(pushes.T).reshape(k, k) / len(pushes) if k else np.zeros((0, 0))
    alone = elastic.stiffness - coupling.T @ coupling
    stiffness = _softened(alone, fitted.softening)
    return Pull(np.array(means), np.array(left), covariance, coupling, stiffness)


def drift(place: Place, modes: Modes, found: Pull) -> Drift:
    """Newton step by a pull."""
    inverse = positive_inverse(found.stiffness)
    (fa, fb), (ga, gb) = found.forces, found.pushes
    ea, eb = inverse @ ga, inverse @ gb
    strain = 0.5 * (ea + eb)
    force = 0.5 * (fa + fb) - found.coupling @ strain
    scaled = modes.vectors / np.sqrt(modes.masses)[:, None] / modes.frequencies
    error = inverse @ found.covariance @ inverse
    strains = place.elastic.strains
    return Drift(
        shift=scaled @ force,
        strain=np.einsum("k,kab->ab", strain, strains),
        gain=0.5 * float(fa @ fb + ga @ eb),
        noise=0.125 * float((fa - fb) @ (fa - fb) + (ga - gb) @ (ea - eb)),
        strain_error=np.sqrt(np.einsum("kl,kab,lab->ab", error, strains, strains)),
    )


SOFTEST = 0.3
"""Stiffness left to the cell, as a share of that of the static lattice."""


def _softened(
    stiffness: Float[np.ndarray, "k k"], softening: Float[np.ndarray, "k k"]
) -> Float[np.ndarray, "k k"]:
    """Take from the stiffness no more than leaves a share of it along every strain."""
    if not len(stiffness):
        return stiffness
    most = float(np.linalg.eigvalsh(positive_inverse(stiffness) @ softening).max())
    return stiffness - min(1.0, (1.0 - SOFTEST) / max(most, 1e-12)) * softening


def positive_inverse(matrix: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    """Inverse with the absolute eigenvalues: a static lattice that is unstable still steps down."""
    values, vectors = np.linalg.eigh(matrix)
    if not len(values):
        return matrix
    lifted = np.maximum(np.abs(values), 0.05 * np.abs(values).max())
    return (vectors / lifted) @ vectors.T
