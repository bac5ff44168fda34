"""From the q points of the supercell to a mesh: interpolated free energy, phonons at Gamma.

The variational bound holds for the oscillators of the supercell, its commensurate q points. The
force constants interpolate between them, which corrects the harmonic part for the supercell's
size; that number is no bound. The acoustic modes at Gamma are left out on both sides.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from thermosearch.harmonic.crystal import Crystal, EffectiveCrystal, phonopy_object
from thermosearch.harmonic.statistics import THZ, Bath, Modes, harmonic_free_energy


class MeshCorrection(NamedTuple):
    """What the mesh adds.

    Attributes
    ----------
    free_energy : float or None
        Harmonic free energy on the mesh minus that of the supercell's q points, eV of the
        supercell; None where more than a share of the interpolated modes is imaginary.
    lowest : float
        Lowest interpolated frequency, THz, negative where imaginary.
    """

    free_energy: float | None
    lowest: float


IMAGINARY_SHARE = 0.01
"""Of the interpolated modes, that may be imaginary: next to Gamma the interpolation overshoots.
They count with |omega|."""


def mesh_correction(
    crystal: Crystal, effective: EffectiveCrystal, modes: Modes, at: Bath, length: float
) -> MeshCorrection:
    """Interpolate the harmonic free energy.

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
    """
    phonon = phonopy_object(crystal, effective)
    mesh = phonon.run_mesh(length)
    weights = np.asarray(mesh.weights, np.float64)
    at_gamma = np.all(np.abs(mesh.qpoints) < 1e-8, axis=1)
    total, imaginary, lowest = 0.0, 0.0, np.inf
    for each, weight, gamma in zip(np.array(mesh.frequencies), weights, at_gamma, strict=True):
        kept = each[np.argsort(np.abs(each))[3:]] if gamma else each
        imaginary += weight * float(np.mean(kept <= 0.0)) if len(kept) else 0.0
        lowest = min(lowest, float(kept.min(initial=np.inf)))
        oscillators = Modes(np.abs(kept) * THZ, np.zeros((0, len(kept))), np.zeros(0))
        total += weight * harmonic_free_energy(oscillators, at)
    if imaginary > IMAGINARY_SHARE * weights.sum():
        return MeshCorrection(None, lowest)
    primitives = crystal.atoms / len(phonon.primitive)
    here = harmonic_free_energy(modes, at)
    return MeshCorrection(float(primitives * total / weights.sum()) - here, lowest)


def gamma_frequencies(
    crystal: Crystal,
    effective: EffectiveCrystal,
    direction: tuple[float, float, float] | None = None,
) -> Float[np.ndarray, " k"]:
    """Frequencies at Gamma of the primitive cell, THz, ascending.

    With a direction (in reciprocal vectors) they are the limit along it: in a polar crystal with
    Born charges the longitudinal modes lie higher there.
    """
    phonon = phonopy_object(crystal, effective)
    found = phonon.run_qpoints([[0.0, 0.0, 0.0]], nac_q_direction=direction)
    return np.array(found.frequencies[0], np.float64)
