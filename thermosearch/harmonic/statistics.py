"""Harmonic oscillators in contact with a heat bath: modes, free energy, covariance, samples.

Coordinates are a flat vector x (for a crystal: x, y, z of every atom of the supercell); the
harmonic potential is u = x Phi x / 2 about the centroids.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from thermosearch.harmonic.symmetry import BlochFunctions
from thermosearch.units import BOLTZMANN_EV_PER_K, FS_IN_INTERNAL_TIME, REDUCED_PLANCK_EV_FS

HBAR = REDUCED_PLANCK_EV_FS * FS_IN_INTERNAL_TIME
"""Reduced Planck constant where energies are eV, lengths A and masses amu."""

THZ = 1.0e-3 * 2.0 * np.pi / FS_IN_INTERNAL_TIME
"""One THz (cycles) as an angular frequency, sqrt(eV/amu)/A."""


class Bath(NamedTuple):
    """Temperature and statistics.

    Attributes
    ----------
    kt : float
        Thermal energy, eV; zero is allowed in quantum statistics.
    quantum : bool
        Bose or Boltzmann occupation.
    hbar : float
        In the units of the other quantities; 1 in reduced units.
    """

    kt: float
    quantum: bool
    hbar: float = HBAR


class Modes(NamedTuple):
    """Normal modes of a harmonic potential; those left out (translations) are not among them.

    Attributes
    ----------
    frequencies : (m,) float64
        Angular, sqrt(eV/amu)/A, ascending; negative for imaginary ones.
    vectors : (n, m) float64
        Orthonormal eigenvectors of the mass-weighted force constants.
    masses : (n,) float64
        Of every coordinate, amu.
    label : (m,) int64 or None
        Modes that translations keep apart have different ones; None where none are known.
    """

    frequencies: Float[np.ndarray, " m"]
    vectors: Float[np.ndarray, "n m"]
    masses: Float[np.ndarray, " n"]
    label: Int[np.ndarray, " m"] | None = None


def bath(temperature: float, statistics: str) -> Bath:
    """Heat bath at a temperature in K; statistics is "quantum" or "classical"."""
    return Bath(BOLTZMANN_EV_PER_K * temperature, statistics == "quantum")


def normal_modes(
    force_constants: Float[np.ndarray, "n n"],
    masses: Float[np.ndarray, " n"],
    translations: int = 3,
    bloch: BlochFunctions | None = None,
) -> Modes:
    """Diagonalise force constants.

    Parameters
    ----------
    force_constants : (n, n)
        Symmetric, eV/A^2.
    masses : (n,)
        Of every coordinate, amu.
    translations : int
        Uniform translations along the first so many Cartesian directions are left out: 3 in a
        crystal, 0 in an external potential.
    bloch : BlochFunctions, optional
        Waves between which the force constants have no elements: quicker by far.

    Returns
    -------
    Modes
        n - translations of them.
    """
    root = np.sqrt(masses)
    dynamical = force_constants / np.outer(root, root)
    if translations:
        moved = np.zeros((len(masses), translations))
        for axis in range(translations):
            moved[axis::3, axis] = root[axis::3]
        moved /= np.linalg.norm(moved, axis=0)
        # Translations are lifted above the spectrum, where they are found and dropped.
        beyond = 1.0 + 2.0 * float(np.abs(dynamical).sum(axis=1).max())
        kept = dynamical - moved @ (moved.T @ dynamical)
        dynamical = kept - (kept @ moved) @ moved.T + beyond * moved @ moved.T
    dynamical = 0.5 * (dynamical + dynamical.T)
    if bloch is None:
        values, vectors = np.linalg.eigh(dynamical)
        label = None
    else:
        values, vectors, label = _eigh_of_waves(dynamical, bloch)
    count = len(masses) - translations
    values = values[:count]
    frequencies = np.sign(values) * np.sqrt(np.abs(values))
    kept = np.ascontiguousarray(vectors[:, :count])
    return Modes(frequencies, kept, masses, None if label is None else label[:count])


def stacks(label: Int[np.ndarray, " m"]) -> list[Int[np.ndarray, "k b"]]:
    """Numbers of the members of every label, a row each; one array for each size."""
    counts = np.bincount(label)
    order, begins = np.argsort(label, kind="stable"), np.cumsum(counts) - counts
    sizes = sorted(set(counts[counts > 0].tolist()))
    return [order[begins[counts == size][:, None] + np.arange(size)] for size in sizes]


def _eigh_of_waves(
    matrix: Float[np.ndarray, "n n"], bloch: BlochFunctions
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n n"], Int[np.ndarray, " n"]]:
    """Eigenvalues, ascending, their vectors and labels, block by block."""
    atoms = len(bloch.waves)
    half = (bloch.waves.T @ matrix.reshape(atoms, -1)).reshape(atoms, 3, atoms, 3)
    values, vectors, labels = [], [], []
    for members in stacks(bloch.label):
        count, size = members.shape
        waves = bloch.waves[:, members].transpose(1, 0, 2)
        rows = half[members].transpose(0, 1, 2, 4, 3).reshape(count, 9 * size, atoms)
        blocks = (rows @ waves).reshape(count, size, 3, 3, size).transpose(0, 1, 2, 4, 3)
        found, turn = np.linalg.eigh(blocks.reshape(count, 3 * size, 3 * size))
        spread = waves @ turn.reshape(count, size, -1)
        values.append(found.reshape(-1))
        vectors.append(
            spread.reshape(count, 3 * atoms, -1).transpose(1, 0, 2).reshape(len(matrix), -1)
        )
        labels.append(np.repeat(bloch.label[members[:, 0]], 3 * size))
    joined = np.concatenate(values)
    order = np.argsort(joined, kind="stable")
    return joined[order], np.hstack(vectors)[:, order], np.concatenate(labels)[order]


def force_constants_of(
    modes: Modes, frequencies: Float[np.ndarray, " m"]
) -> Float[np.ndarray, "n n"]:
    """Force constants with the given (real or, negative, imaginary) frequencies and vectors."""
    weighted = np.sqrt(modes.masses)[:, None] * modes.vectors
    return (weighted * (np.sign(frequencies) * frequencies**2)) @ weighted.T


def variances(modes: Modes, at: Bath) -> Float[np.ndarray, " m"]:
    """Mean squares of the mass-weighted normal coordinates, A^2 amu.

    hbar coth(hbar omega / 2 kT) / (2 omega), or kT / omega^2 in classical statistics.
    """
    omega = _stable(modes)
    if not at.quantum:
        return at.kt / omega**2
    return at.hbar / (2.0 * omega) * _coth(omega, at)


def covariance(modes: Modes, at: Bath) -> Float[np.ndarray, "n n"]:
    """Covariance <x x^T> of the displacements, A^2."""
    scaled = modes.vectors / np.sqrt(modes.masses)[:, None]
    return (scaled * variances(modes, at)) @ scaled.T


def harmonic_free_energy(modes: Modes, at: Bath) -> float:
    """Free energy of the modes, eV, momenta included; the static energy is not.

    Sum of hbar omega / 2 + kT ln(1 - exp(-hbar omega / kT)), or of kT ln(hbar omega / kT).
    """
    quanta = at.hbar * _stable(modes)
    if not at.quantum:
        return float(at.kt * np.sum(np.log(quanta / at.kt)))
    zero_point = 0.5 * float(np.sum(quanta))
    if at.kt == 0.0:
        return zero_point
    return zero_point + float(at.kt * np.sum(np.log(-np.expm1(-quanta / at.kt))))


def harmonic_energy(modes: Modes, at: Bath) -> float:
    """Mean of the harmonic potential u, eV: half of it is kinetic in both statistics."""
    return 0.5 * float(np.sum(_stable(modes) ** 2 * variances(modes, at)))


def entropy(modes: Modes, at: Bath) -> float:
    """Entropy (E - F) / kT of the modes, k_B: kinetic and potential energy are equal on average."""
    if at.kt == 0.0:
        return 0.0
    return (2.0 * harmonic_energy(modes, at) - harmonic_free_energy(modes, at)) / at.kt


def heat_capacity(modes: Modes, at: Bath) -> float:
    """Heat capacity of the modes at fixed frequencies, in units of k_B."""
    if not at.quantum:
        return float(len(modes.frequencies))
    if at.kt == 0.0:
        return 0.0
    half = 0.5 * at.hbar * _stable(modes) / at.kt
    # sinh overflows where the mode is frozen.
    return float(np.sum((half / np.sinh(np.minimum(half, 300.0))) ** 2))


def amplitudes(modes: Modes, at: Bath) -> Float[np.ndarray, "n m"]:
    """Matrix A of x = A z: one column a mode, A, for normal coordinates z of unit variance."""
    scale = np.sqrt(variances(modes, at))
    return modes.vectors * scale / np.sqrt(modes.masses)[:, None]


def displacements(
    modes: Modes, at: Bath, normals: Float[np.ndarray, "samples n"]
) -> Float[np.ndarray, "samples n"]:
    """Displacements x = M^-1/2 C^1/2 z of standard normal deviates z, A.

    C^1/2 is the symmetric root of the covariance in mass-weighted coordinates. Unlike its modes
    it is a smooth function of the force constants, even where modes are degenerate: the same
    deviates give nearly the same sample at the next temperature, and their errors cancel.
    """
    root = np.sqrt(modes.masses)
    along = normals @ modes.vectors
    return (along * np.sqrt(variances(modes, at))) @ modes.vectors.T / root


def antithetic_normals(
    stream: Sequence[int], first: int, pairs: int, size: int
) -> Float[np.ndarray, "samples size"]:
    """Draw standard normal deviates in pairs (z, -z): odd parts of averages cancel exactly.

    Every pair has a random stream of its own, so that a sample does not depend on who draws it
    nor on how many are drawn together.

    Parameters
    ----------
    stream : sequence of int
        Of the run and the step.
    first, pairs : int
        Number of the first pair, and how many.
    size : int
        Deviates a sample: one a coordinate.

    Returns
    -------
    (2 pairs, size) float64
        Samples 2 k and 2 k + 1 are a pair.
    """
    drawn = np.empty((pairs, 2, size))
    for k in range(pairs):
        generator = np.random.default_rng((*stream, first + k))
        drawn[k, 0] = generator.standard_normal(size)
    drawn[:, 1] = -drawn[:, 0]
    return drawn.reshape(2 * pairs, size)


def log_density(
    modes: Modes, at: Bath, displaced: Float[np.ndarray, "samples n"]
) -> Float[np.ndarray, " samples"]:
    """Logarithm of the density of displacements in the space of the modes, up to 2 pi."""
    spread = variances(modes, at)
    coordinates = (displaced * np.sqrt(modes.masses)) @ modes.vectors
    return -0.5 * np.sum(coordinates**2 / spread, axis=1) - 0.5 * np.sum(np.log(spread))


def _coth(omega: Float[np.ndarray, " m"], at: Bath) -> Float[np.ndarray, " m"]:
    if at.kt == 0.0:
        return np.ones_like(omega)
    return 1.0 / np.tanh(0.5 * at.hbar * omega / at.kt)


def _stable(modes: Modes) -> Float[np.ndarray, " m"]:
    if not np.all(modes.frequencies > 0.0):
        raise ValueError(f"no equilibrium: a mode has omega = {modes.frequencies.min():.3g}")
    return modes.frequencies
