"""What is known of a crystal before it is sampled: harmonic force constants, elastic response.

Both are finite differences of the potential at the given structure: phonopy's displacements and
its symmetry for the force constants, small allowed strains for the elastic response.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from phonopy import Phonopy

from thermosearch.configuration import Configuration
from thermosearch.harmonic.crystal import (
    Crystal,
    allowed,
    coordinate_masses,
    effective_crystal,
    phonopy_object,
)
from thermosearch.harmonic.statistics import THZ, Modes, force_constants_of, normal_modes
from thermosearch.harmonic.symmetry import symmetrise_tensor
from thermosearch.potentials.interface import Properties
from thermosearch.runtime.errors import InputError

Evaluate = Callable[[Sequence[Configuration]], list[Properties]]
"""Energies, forces and stresses of configurations, in order."""


class Elastic(NamedTuple):
    """Second derivatives of the static energy of the supercell in the allowed strains.

    Attributes
    ----------
    strains : (k, 3, 3) float64
        Orthonormal basis of the strains that keep the space group.
    stiffness : (k, k) float64
        At fixed fractional coordinates, eV.
    coupling : (n, k) float64
        Minus the change of the forces with strain, eV/A.
    softening : (k, n, n) float64
        Change of the harmonic force constants with strain, eV/A^2.
    """

    strains: Float[np.ndarray, "k 3 3"]
    stiffness: Float[np.ndarray, "k k"]
    coupling: Float[np.ndarray, "n k"]
    softening: Float[np.ndarray, "k n n"]


class Displaced(NamedTuple):
    """A crystal with phonopy's displacements of its atoms."""

    crystal: Crystal
    phonon: Phonopy
    configurations: list[Configuration]


class Prepared(NamedTuple):
    """Where the sampling begins.

    Attributes
    ----------
    force_constants : (n, n) float64
        Harmonic, eV/A^2; may have imaginary modes.
    elastic : Elastic
        With no strain at all where the cell is fixed.
    static : float
        Energy of the structure as given, eV of the supercell.
    evaluations : int
        What this cost.
    """

    force_constants: Float[np.ndarray, "n n"]
    elastic: Elastic
    static: float
    evaluations: int


DISPLACEMENT = 0.01
"""Of the finite differences, A."""

STRAIN, FAR_STRAIN = 1.0e-3, 5.0e-3
"""Of the finite differences, of stress and of force constants."""

FARTHEST = 1.0
"""Largest force, eV/A, of a structure that is taken to be near a stationary point."""


def prepare(crystal: Crystal, evaluate: Evaluate, *, cell: bool) -> Prepared:
    """Evaluate the finite differences of a crystal.

    Parameters
    ----------
    crystal : Crystal
        As given.
    evaluate : callable
        The potential.
    cell : bool
        Whether the cell will move, so that the elastic response is needed.

    Raises
    ------
    InputError
        If the structure is far from a stationary point, or its energy is not finite.
    """
    strains = allowed_strains(crystal) if cell else np.zeros((0, 3, 3))
    strained = [_strained(crystal.supercell, s * STRAIN) for e in strains for s in (e, -e)]
    farther = [_sheared(crystal, s * FAR_STRAIN) for e in strains for s in (e, -e)]
    displaced = [_displaced(each) for each in (crystal, *farther)]
    asked = [[crystal.supercell], strained, *(each.configurations for each in displaced)]
    answers = iter(evaluate([each for group in asked for each in group]))
    (rest,), response, *found = [[next(answers) for _ in group] for group in asked]
    _refuse(crystal, [rest, *response, *(each for group in found for each in group)])
    phonons = [_force_constants(*pair) for pair in zip(displaced, found, strict=True)]
    return Prepared(
        phonons[0],
        _elastic(strains, response, strained, phonons[1:], 3 * crystal.atoms),
        float(rest.energy),
        sum(len(group) for group in asked),
    )


def started(
    crystal: Crystal, force_constants: Float[np.ndarray, "n n"]
) -> tuple[Float[np.ndarray, "n n"], int]:
    """Make force constants fit to sample: |omega| for imaginary modes, a floor for soft ones.

    Returns
    -------
    force_constants : (n, n)
        With all frequencies at least `FLOOR`.
    changed : int
        How many modes were imaginary.
    """
    modes = normal_modes(force_constants, coordinate_masses(crystal.masses))
    if modes.frequencies.min() >= FLOOR:
        return force_constants, 0
    lifted = np.maximum(np.abs(modes.frequencies), FLOOR)
    whole = force_constants_of(modes, lifted)
    cell = np.asarray(crystal.supercell.cell)
    return allowed(crystal.group, cell, whole), imaginary(modes)


FLOOR = 0.5 * THZ
"""Lowest frequency that a sampling is started from."""


def imaginary(modes: Modes) -> int:
    """Count the imaginary modes."""
    return int(np.sum(modes.frequencies < -1e-3 * THZ))


def allowed_strains(crystal: Crystal) -> Float[np.ndarray, "k 3 3"]:
    """Orthonormal basis of the symmetric strains that keep the space group."""
    cell = np.asarray(crystal.supercell.cell)
    rows = []
    for a in range(3):
        for b in range(a, 3):
            unit = np.zeros((3, 3))
            unit[a, b] = unit[b, a] = 1.0
            rows.append(symmetrise_tensor(crystal.group, cell, unit).reshape(9))
    _, values, vectors = np.linalg.svd(np.array(rows))
    basis = vectors[: int(np.sum(values > 1e-8))].reshape(-1, 3, 3)
    # One sign on every machine: the largest component is positive.
    largest = [b.flat[np.argmax(np.abs(np.round(b, 8)))] for b in basis]
    return basis * np.sign(np.array(largest))[:, None, None]


def _strained(configuration: Configuration, strain: Float[np.ndarray, "3 3"]) -> Configuration:
    deformation = np.eye(3) + strain
    return configuration._replace(
        positions=configuration.positions @ deformation, cell=configuration.cell @ deformation
    )


def _refuse(crystal: Crystal, found: list[Properties]) -> None:
    if not all(np.isfinite(each.energy) for each in found):
        raise InputError(f"{crystal.name}: the potential gives no finite energy for its structure")
    forces = np.linalg.norm(found[0].forces, axis=1)
    if forces.max() > FARTHEST:
        raise InputError(
            f"{crystal.name}: the structure is far from a stationary point: atom "
            f"{int(np.argmax(forces))} feels {forces.max():.3g} eV/A (at most {FARTHEST}); relax "
            "it with this potential first"
        )


def _sheared(crystal: Crystal, strain: Float[np.ndarray, "3 3"]) -> Crystal:
    """Give a crystal an allowed strain: its space group stays."""
    return replace(
        crystal,
        unit=_strained(crystal.unit, strain),
        supercell=_strained(crystal.supercell, strain),
    )


def _displaced(crystal: Crystal) -> Displaced:
    size = 3 * crystal.atoms
    phonon = phonopy_object(crystal, effective_crystal(crystal, np.zeros((size, size))))
    phonon.generate_displacements(distance=DISPLACEMENT, is_plusminus=True)
    moved = [
        crystal.supercell._replace(positions=np.array(each.positions))
        for each in phonon.supercells_with_displacements or []
    ]
    return Displaced(crystal, phonon, moved)


def _force_constants(of: Displaced, found: list[Properties]) -> Float[np.ndarray, "n n"]:
    crystal, phonon = of.crystal, of.phonon
    phonon.forces = np.array([each.forces for each in found])
    phonon.produce_force_constants(calculate_full_force_constants=True)
    n = crystal.atoms
    full = np.asarray(phonon.force_constants).transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)
    return allowed(crystal.group, np.asarray(crystal.supercell.cell), full)


def _elastic(
    strains: Float[np.ndarray, "k 3 3"],
    found: list[Properties],
    strained: list[Configuration],
    phonons: list[Float[np.ndarray, "n n"]],
    coordinates: int,
) -> Elastic:
    """Differences of dE/de_k = V sigma . (1 + e)^-1 E_k, of the forces and force constants."""
    k = len(strains)
    stiffness, coupling = np.zeros((k, k)), np.zeros((coordinates, k))
    for column in range(k):
        slopes = []
        for sign, index in ((1.0, 2 * column), (-1.0, 2 * column + 1)):
            volume = abs(np.linalg.det(strained[index].cell))
            inverse = np.linalg.inv(np.eye(3) + sign * STRAIN * strains[column])
            stress = volume * np.asarray(found[index].stress)
            slopes.append(np.einsum("kab,ac,cb->k", strains, inverse, stress))
        stiffness[:, column] = (slopes[0] - slopes[1]) / (2.0 * STRAIN)
        change = np.asarray(found[2 * column].forces) - np.asarray(found[2 * column + 1].forces)
        coupling[:, column] = -change.reshape(-1) / (2.0 * STRAIN)
    changes = [one - other for one, other in zip(phonons[0::2], phonons[1::2], strict=True)]
    softening = np.array(changes).reshape(k, coordinates, coordinates) / (2.0 * FAR_STRAIN)
    return Elastic(strains, 0.5 * (stiffness + stiffness.T), coupling, softening)
