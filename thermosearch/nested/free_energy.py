"""Absolute free energies from partition functions; the conventions, stated once.

Constant volume (sphere about a fixed centre, cell of fixed shape):
    F = -kT ln [ Q / (prod_s N_s! Lambda_s^(3 N_s)) ],  Q = int dr exp(-E / kT).
Constant pressure:
    G = -kT ln [ (P / kT) Q / (prod_s N_s! Lambda_s^(3 N_s)) ],
    Q = int dV V^N < int ds exp(-(E + P V) / kT) >, the mean over cell shapes of unit volume.
Lambda_s = h / sqrt(2 pi m_s kT) is the thermal wavelength; potentials in reduced units have no
mass and no Planck constant, and Lambda = 1 there. The centre of mass is free: it is among the
coordinates integrated over. About the centre of mass, Q is not known absolutely.
"""

import numpy as np
from ase.data import atomic_masses
from jaxtyping import Float, Int
from scipy.special import gammaln

from thermosearch.units import FS_IN_INTERNAL_TIME, REDUCED_PLANCK_EV_FS


def free_energy(
    kt: Float[np.ndarray, " t"],
    log_q: Float[np.ndarray, "*s t"],
    numbers: Int[np.ndarray, " n"],
    *,
    pressure: float | None,
    reduced: bool,
) -> Float[np.ndarray, "*s t"]:
    """Helmholtz free energy, or Gibbs where there is a pressure; see the module.

    Parameters
    ----------
    kt : (t,) float64
        Temperatures, in the unit of energy.
    log_q : (..., t) float64
        Logarithm of the configuration integral Q.
    numbers : (n,) int
        Atomic numbers of the mobile atoms.
    pressure : float or None
        Energy per volume.
    reduced : bool
        Whether the potential has no physical units.
    """
    _, counts = np.unique(numbers, return_counts=True)
    log_z = log_q - np.sum(gammaln(counts + 1.0))
    if not reduced:
        for mass in atomic_masses[numbers]:
            log_z = log_z - 3.0 * np.log(thermal_wavelength(kt, mass))
    if pressure is not None:
        log_z = log_z + np.log(pressure / kt)
    return -kt * log_z


def thermal_wavelength(kt: Float[np.ndarray, " t"], mass: float) -> Float[np.ndarray, " t"]:
    """Thermal wavelength h / sqrt(2 pi m kT), A, of a mass in amu at kT in eV."""
    planck = 2.0 * np.pi * REDUCED_PLANCK_EV_FS * FS_IN_INTERNAL_TIME
    return planck / np.sqrt(2.0 * np.pi * mass * kt)
