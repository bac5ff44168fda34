"""Units and constants: eV, A, amu, K, GPa and fs; every conversion of the package lives here.

The numbers are those of ASE (CODATA 2014), so that energies exchanged with ASE
calculators carry no rounding of their own.
"""

from ase import units as _ase

BOLTZMANN_EV_PER_K: float = _ase.kB
"""Boltzmann constant, eV/K."""

EV_PER_A3_IN_GPA: float = 1.0 / _ase.GPa
"""One eV/A^3 expressed in GPa (about 160.2)."""

EV_PER_A2_IN_J_PER_M2: float = _ase.m**2 / _ase.J
"""One eV/A^2 expressed in J/m^2 (about 16.02)."""

FS_IN_INTERNAL_TIME: float = _ase.fs
"""One fs in the time unit that makes eV, A and amu consistent, A sqrt(amu/eV)."""

REDUCED_PLANCK_EV_FS: float = _ase._hbar * _ase._e**-1 * 1.0e15
"""Reduced Planck constant, eV fs."""

COULOMB_EV_A: float = _ase.Hartree * _ase.Bohr
"""Coulomb constant e^2 / (4 pi epsilon_0), eV A (about 14.40)."""
