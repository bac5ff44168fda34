"""Harmonic phonons, at the zone centre, of the atoms of a structure that may move."""

import numpy as np
from jaxtyping import Bool, Float

from thermosearch.configuration import Configuration
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.interface import Potential
from thermosearch.runtime.errors import InputError
from thermosearch.units import BOLTZMANN_EV_PER_K, FS_IN_INTERNAL_TIME, REDUCED_PLANCK_EV_FS

DISPLACEMENT = 0.01
"""Of the central differences, A."""

SOFTEST = 1e-3
"""Energies h-bar omega, eV, below which a mode is a translation, not a vibration."""


def mode_energies(
    potential: Potential,
    configuration: Configuration,
    masses: Float[np.ndarray, " n"],
    mobile: Bool[np.ndarray, " n"],
) -> Float[np.ndarray, " modes"]:
    """Energies h-bar omega of the vibrations, eV; translations of a free crystal left out.

    The matrix of force constants by central differences of the forces (6 evaluations a mobile
    atom), weighted with the masses (amu).

    Raises
    ------
    InputError
        If a mode is unstable: the structure is no minimum.
    """
    atoms = np.flatnonzero(mobile)
    structures = []
    for atom in atoms:
        for axis in range(3):
            for sign in (1.0, -1.0):
                positions = np.array(configuration.positions)
                positions[atom, axis] += sign * DISPLACEMENT
                structures.append(configuration._replace(positions=positions))
    forces = [each.forces[atoms].reshape(-1) for each in evaluate(potential, structures)]
    rows = (np.array(forces[1::2]) - np.array(forces[0::2])) / (2.0 * DISPLACEMENT)
    roots = np.repeat(np.sqrt(masses[atoms]), 3)
    squares = np.linalg.eigvalsh(0.5 * (rows + rows.T) / np.outer(roots, roots))
    planck = REDUCED_PLANCK_EV_FS * FS_IN_INTERNAL_TIME
    energies = np.sign(squares) * planck * np.sqrt(np.abs(squares))
    if energies[0] < -SOFTEST:
        raise InputError(
            f"vibrations: a mode of {energies[0] * 1e3:.1f} meV is unstable: relax the structure "
            "further, or leave its vibrations out"
        )
    return energies[energies > SOFTEST]


def harmonic_free_energy(energies: Float[np.ndarray, " modes"], temperature: float) -> float:
    """Sum of h w / 2 + k T ln(1 - exp(-h w / k T)) over the modes, eV."""
    if temperature == 0.0:
        return 0.5 * float(energies.sum())
    thermal = BOLTZMANN_EV_PER_K * temperature
    return float(np.sum(0.5 * energies + thermal * np.log(-np.expm1(-energies / thermal))))
