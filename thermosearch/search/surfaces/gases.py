"""Chemical potentials of ideal gases from tabulated constants of their molecules."""

from typing import NamedTuple

import ase.build
import numpy as np
from ase.thermochemistry import IdealGasThermo

WAVENUMBER = 1.239841984e-4
"""eV of one cm^-1 (CODATA 2018)."""

BAR = 1.0e5
"""Pa."""


class Gas(NamedTuple):
    """A molecule: NIST Chemistry WebBook, constants of diatomic molecules and fundamentals.

    Attributes
    ----------
    composition : dict of str to int
        Atoms of a molecule.
    wavenumbers : tuple of float
        Fundamental vibrations, cm^-1.
    symmetry : int
        Number of rotations that bring it onto itself.
    spin : float
        Total spin; 1 for the triplet of O2.
    geometry : {"linear", "nonlinear"}
    """

    composition: dict[str, int]
    wavenumbers: tuple[float, ...]
    symmetry: int
    spin: float
    geometry: str


GASES = {
    "O2": Gas({"O": 2}, (1556.4,), 2, 1.0, "linear"),
    "H2": Gas({"H": 2}, (4161.2,), 2, 0.0, "linear"),
    "N2": Gas({"N": 2}, (2329.9,), 2, 0.0, "linear"),
    "H2O": Gas({"H": 2, "O": 1}, (1594.7, 3651.1, 3755.9), 2, 0.0, "nonlinear"),
}


def gas_free_energy(name: str, temperature: float, pressure: float) -> float:
    """Gibbs energy of a molecule of an ideal gas above its enthalpy at 0 K, eV.

    Rigid rotor, harmonic vibrations, spin degeneracy; the zero-point energy is in the
    enthalpy at 0 K and so not in here, as in Reuter and Scheffler, Phys. Rev. B 65, 035406
    (2001), doi:10.1103/PhysRevB.65.035406, whose table of O2 it gives to 0.01 eV an atom.

    Parameters
    ----------
    name : str
        One of `GASES`.
    temperature, pressure : float
        K and bar (partial pressure).
    """
    if temperature == 0.0:
        return 0.0
    gas = GASES[name]
    energies = np.array(gas.wavenumbers) * WAVENUMBER
    thermo = IdealGasThermo(
        vib_energies=energies,
        geometry=gas.geometry,
        atoms=ase.build.molecule(name),
        symmetrynumber=gas.symmetry,
        spin=gas.spin,
        potentialenergy=0.0,
    )
    gibbs = thermo.get_gibbs_energy(temperature, pressure * BAR, verbose=False)
    return float(gibbs - 0.5 * energies.sum())
