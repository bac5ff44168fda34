"""From the q points of the supercell to a mesh: interpolated free energy, phonons at Gamma.

The variational bound holds for the oscillators of the supercell, its commensurate q points. The
force constants interpolate between them, which corrects the harmonic part for the supercell's
size; that number is no bound. The acoustic modes at Gamma are left out on both sides.
"""

import numpy as np
from jaxtyping import Float

from thermosearch.harmonic.crystal import Crystal, EffectiveCrystal, phonopy_object
from thermosearch.harmonic.statistics import THZ, Bath, Modes, harmonic_free_energy


def mesh_correction(
    crystal: Crystal, effective: EffectiveCrystal, modes: Modes, at: Bath, length: float
) -> float | None:
    """Harmonic free energy on a mesh minus that of the supercell's q points, eV of the supercell.

    Parameters
    ----------
    crystal : Crystal
        The phase.
    effective : EffectiveCrystal
        Its force constants.
    modes : Modes
        Of the supercell.
    at : Bath
        Temperature and statistics.
    length : float
        That sets the mesh, A, as in phonopy.

    Returns
    -------
    float or None
        None where interpolated modes are imaginary.
    """
    phonon = phonopy_object(crystal, effective)
    phonon.run_mesh(length)
    mesh = phonon.mesh
    frequencies, weights = np.array(mesh.frequencies), np.asarray(mesh.weights, np.float64)
    at_gamma = np.all(np.abs(mesh.qpoints) < 1e-8, axis=1)
    total = 0.0
    for each, weight, gamma in zip(frequencies, weights, at_gamma, strict=True):
        kept = each[np.argsort(np.abs(each))[3:]] if gamma else each
        if kept.min() <= 0.0:
            return None
        oscillators = Modes(kept * THZ, np.zeros((0, len(kept))), np.zeros(0))
        total += weight * harmonic_free_energy(oscillators, at)
    primitives = crystal.atoms / len(phonon.primitive)
    return float(primitives * total / weights.sum()) - harmonic_free_energy(modes, at)


def gamma_frequencies(crystal: Crystal, effective: EffectiveCrystal) -> Float[np.ndarray, " k"]:
    """Frequencies at Gamma of the primitive cell, THz, ascending."""
    phonon = phonopy_object(crystal, effective)
    phonon.run_qpoints([[0.0, 0.0, 0.0]])
    return np.array(phonon.qpoints.frequencies[0], np.float64)
