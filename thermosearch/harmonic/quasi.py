"""The quasi-harmonic approximation, beside the effective harmonic one.

The lattice relaxed at each of several volumes (shape and atoms, within the space group), its
harmonic phonons, and the volume that minimises E + F_harm + p V: what a quasi-harmonic program
does, here with the same supercell, q points and potential as the sampling.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize_scalar

from thermosearch.configuration import from_ase
from thermosearch.harmonic.cell import positive_inverse
from thermosearch.harmonic.crystal import (
    Crystal,
    EffectiveCrystal,
    coordinate_masses,
    effective_crystal,
    unit_cell,
)
from thermosearch.harmonic.point import QuasiHarmonic
from thermosearch.harmonic.prepare import Evaluate, Prepared, prepare, started
from thermosearch.harmonic.statistics import Modes, bath, harmonic_free_energy, normal_modes
from thermosearch.harmonic.symmetry import symmetrise_tensor, symmetrise_vectors
from thermosearch.runtime.errors import InputError
from thermosearch.units import EV_PER_A3_IN_GPA


class Lattice(NamedTuple):
    """The static lattice relaxed at one volume.

    Attributes
    ----------
    energy : float
        eV of the supercell.
    volume : float
        A^3 of the supercell.
    cell : (3, 3) float64
        Of the unit cell, A.
    modes : Modes
        Harmonic.
    """

    energy: float
    volume: float
    cell: Float[np.ndarray, "3 3"]
    modes: Modes


SCALES = np.linspace(0.985, 1.03, 10)
"""Of lengths, at which the lattice is relaxed."""

RELAXATIONS = 8
"""Most Newton steps at each volume."""

SMALL_FORCE, SMALL_STRAIN = 1.0e-4, 1.0e-6
"""That end them, eV/A and 1."""


def lattices(crystal: Crystal, prepared: Prepared, evaluate: Evaluate) -> list[Lattice]:
    """Relax the lattice at every volume and compute its phonons.

    Volumes at which it has imaginary modes, or leaves its basin as it is relaxed, are left out:
    fewer than `SCALES` come back.

    Parameters
    ----------
    crystal : Crystal
        As given.
    prepared : Prepared
        Its force constants and elastic response, for the Newton steps.
    evaluate : callable
        The potential.
    """
    found = []
    whole, _ = started(crystal, prepared.force_constants)
    start = effective_crystal(crystal, whole)
    for scale in SCALES:
        scaled = start._replace(centroids=start.centroids * scale, cell=start.cell * scale)
        try:
            relaxed = _relaxed(crystal, prepared, scaled, evaluate)
            phonons = prepare(_moved(crystal, relaxed), evaluate, cell=False)
        except InputError:
            continue
        modes = normal_modes(phonons.force_constants, coordinate_masses(crystal.masses))
        if modes.frequencies.min() > 0.0:
            cell = unit_cell(crystal, relaxed).cell[:]
            found.append(Lattice(phonons.static, relaxed.volume, np.array(cell), modes))
    return found


def quasi_harmonic(
    crystal: Crystal,
    known: list[Lattice],
    pressure: float,
    temperatures: list[float],
    statistics: str,
) -> QuasiHarmonic | None:
    """Minimise E + F_harm + p V over the volume at every temperature.

    The sum is interpolated by a polynomial in V^-2/3, the Birch-Murnaghan form.

    Parameters
    ----------
    crystal : Crystal
        The phase.
    known : list of Lattice
        By `lattices`.
    pressure : float
        GPa.
    temperatures : list of float
        K.
    statistics : {"quantum", "classical"}
        Of the modes.

    Returns
    -------
    QuasiHarmonic or None
        Only temperatures with a minimum between the volumes; None where there is none at all.
    """
    if len(known) < 5:
        return None
    volumes = np.array([each.volume for each in known])
    low, high = float(volumes.min()), float(volumes.max())
    cells = np.array([each.cell for each in known]).reshape(len(known), 9)
    rows = []
    for kelvin in sorted(temperatures):
        at = bath(kelvin, statistics)
        free = np.array([each.energy + harmonic_free_energy(each.modes, at) for each in known])
        fit = np.polynomial.Polynomial.fit(volumes ** (-2.0 / 3.0), free - free.min(), 4)
        work = pressure / EV_PER_A3_IN_GPA

        def gibbs(volume: float, fit: np.polynomial.Polynomial = fit, work: float = work) -> float:
            return float(fit(volume ** (-2.0 / 3.0))) + work * volume

        best = float(
            minimize_scalar(gibbs, bounds=(low, high), method="bounded", options={"xatol": 1e-7}).x
        )
        if not low + 1e-3 * (high - low) < best < high - 1e-3 * (high - low):
            continue
        shape = [np.polynomial.Polynomial.fit(volumes, column, 3)(best) for column in cells.T]
        rows.append((kelvin, gibbs(best) - work * best + float(free.min()), shape))
    if not rows:
        return None
    return QuasiHarmonic(
        crystal.name,
        pressure,
        np.array([row[0] for row in rows]),
        np.array([row[1] for row in rows]),
        np.array([row[2] for row in rows]).reshape(-1, 3, 3),
    )


def _relaxed(
    crystal: Crystal, prepared: Prepared, start: EffectiveCrystal, evaluate: Evaluate
) -> EffectiveCrystal:
    """Newton steps of atoms and shape at fixed volume, with the response of the start."""
    elastic, modes = (
        prepared.elastic,
        normal_modes(start.force_constants, coordinate_masses(crystal.masses)),
    )
    scaled = modes.vectors / np.sqrt(modes.masses)[:, None] / modes.frequencies
    trace = np.einsum("kaa->k", elastic.strains)
    # Strains that keep the volume: the allowed ones without their common dilation.
    keep = np.linalg.svd(trace[None])[2][1:] if len(trace) else np.zeros((0, 0))
    shapes = np.einsum("lk,kab->lab", keep, elastic.strains)
    in_modes = scaled.T @ elastic.coupling @ keep.T
    inverse = positive_inverse(keep @ elastic.stiffness @ keep.T - in_modes.T @ in_modes)
    volume, now = start.volume, start
    for _ in range(RELAXATIONS):
        (found,) = evaluate([now.configuration()])
        forces = symmetrise_vectors(crystal.group, now.cell, np.asarray(found.forces))
        stress = symmetrise_tensor(crystal.group, now.cell, np.asarray(found.stress))
        force = scaled.T @ forces.reshape(-1)
        push = -now.volume * np.einsum("lab,ab->l", shapes, stress)
        strain = inverse @ (push - in_modes.T @ force)
        if np.abs(forces).max() < SMALL_FORCE and np.abs(strain).max(initial=0.0) < SMALL_STRAIN:
            break
        shift = (scaled @ (force - in_modes @ strain)).reshape(-1, 3)
        deformation = np.eye(3) + np.einsum("l,lab->ab", strain, shapes)
        cell = now.cell @ deformation
        again = (volume / abs(np.linalg.det(cell))) ** (1.0 / 3.0)
        now = now._replace(
            centroids=(now.centroids + shift) @ deformation * again, cell=cell * again
        )
    return now


def _moved(crystal: Crystal, effective: EffectiveCrystal) -> Crystal:
    """Give the same crystal this cell and these positions."""
    supercell = crystal.supercell._replace(positions=effective.centroids, cell=effective.cell)
    return replace(crystal, unit=from_ase(unit_cell(crystal, effective)), supercell=supercell)
