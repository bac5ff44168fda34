"""Averages over the sample of a crystal: free energy and pressure.

The pressure tensor is that of the variational free energy at fixed force constants,

    P_ab = <-sigma_ab> - sum_i <u_ia f_ib + u_ib f_ia> / (2 V)

with all forces f, stress sigma in ASE's sign and the volume V of the supercell (Monacelli et al.,
Phys. Rev. B 98, 024106 (2018), doi:10.1103/PhysRevB.98.024106).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from thermosearch.harmonic.crystal import Crystal, EffectiveCrystal
from thermosearch.harmonic.regression import Sample, free_energy, pair_mean
from thermosearch.harmonic.statistics import Bath, Modes, variances
from thermosearch.harmonic.symmetry import pair_turns


class Averages(NamedTuple):
    """Of one sample, on the harmonic potential that made it.

    Attributes
    ----------
    free_energy, free_energy_error : float
        Of the supercell, eV, static energy included.
    pressure, pressure_error : (3, 3) float64
        eV/A^3, symmetrised over the space group.
    """

    free_energy: float
    free_energy_error: float
    pressure: Float[np.ndarray, "3 3"]
    pressure_error: Float[np.ndarray, "3 3"]


def averages(
    effective: EffectiveCrystal,
    modes: Modes,
    at: Bath,
    sample: Sample,
    pressures_of: Float[np.ndarray, "s 3 3"],
) -> Averages:
    """Average the sample of a crystal, with its pressures by `pressures`."""
    value, error = free_energy(modes, at, effective.force_constants, sample)
    pressure, pressure_error = pair_mean(sample, pressures_of)
    return Averages(value, error, pressure, pressure_error)


def pressures(
    crystal: Crystal, effective: EffectiveCrystal, modes: Modes, at: Bath, sample: Sample
) -> Float[np.ndarray, "s 3 3"]:
    """Pressure tensor of every sample; only the mean has a meaning, eV/A^3.

    The harmonic part u_a (Phi u)_b has a mean known exactly. Its fluctuation is subtracted as
    far as it explains that of the pressure: all of it would add noise, because the stress holds
    part of it already.
    """
    s, n = len(sample.energies), crystal.atoms
    u = sample.displacements.reshape(s, n, 3)
    f = sample.forces.reshape(s, n, 3)
    pulled = (sample.displacements @ effective.force_constants).reshape(s, n, 3)
    virial = u.transpose(0, 2, 1) @ f
    raw = -sample.stresses - 0.5 * (virial + virial.transpose(0, 2, 1)) / effective.volume
    # <x_ia (Phi x)_ib> summed over atoms: the modes' share of it is s omega^2 e_ia e_ib.
    shares = modes.vectors * np.sqrt(variances(modes, at)) * modes.frequencies
    of_axes = shares.reshape(n, 3, -1).transpose(1, 0, 2).reshape(3, -1)
    harmonic = (u.transpose(0, 2, 1) @ pulled - of_axes @ of_axes.T) / effective.volume
    cell = effective.cell
    turned = _turned(crystal, cell, raw)
    control = _turned(crystal, cell, 0.5 * (harmonic + harmonic.transpose(0, 2, 1)))
    return turned - _slope(turned, control) * control


def _turned(
    crystal: Crystal, cell: Float[np.ndarray, "3 3"], tensors: Float[np.ndarray, "s 3 3"]
) -> Float[np.ndarray, "s 3 3"]:
    """Average every tensor over the rotations, by one matrix for all."""
    mean = pair_turns(crystal.group, cell).mean(axis=0)
    return (tensors.reshape(-1, 9) @ mean.T).reshape(-1, 3, 3)


def _slope(
    values: Float[np.ndarray, "s 3 3"], control: Float[np.ndarray, "s 3 3"]
) -> Float[np.ndarray, "3 3"]:
    """Regression coefficient of the pairs' values on the pairs' control, each component."""
    if len(values) < 8:
        return np.zeros((3, 3))
    v, c = (0.5 * (each[0::2] + each[1::2]) for each in (values, control))
    v, c = v - v.mean(axis=0), c - c.mean(axis=0)
    square = np.sum(c * c, axis=0)
    return np.sum(v * c, axis=0) / np.where(square > 0.0, square, 1.0)
