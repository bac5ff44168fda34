"""Surface thermodynamics from study to results."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import ase.io
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Configuration, from_ase, validate
from thermosearch.potentials.evaluate import evaluate, uncertainty
from thermosearch.potentials.interface import Committee, Potential
from thermosearch.relax.minimise import minimise
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.errors import InputError
from thermosearch.runtime.results import Results
from thermosearch.search.surfaces.gamma import (
    Slab,
    chemical_potentials,
    surface_free_energy,
)
from thermosearch.search.surfaces.gases import GASES, gas_free_energy
from thermosearch.search.surfaces.phonons import harmonic_free_energy, mode_energies
from thermosearch.search.surfaces.study import (
    ConditionsSection,
    ReservoirEntry,
    SlabEntry,
    SurfaceStudy,
)
from thermosearch.search.surfaces.summary import Diagram, summarise
from thermosearch.structure.surface import surface_area

FORCE = 0.005
"""Force, eV/A, down to which slabs are relaxed."""


class Reservoir(NamedTuple):
    """A phase the surface exchanges atoms with.

    Attributes
    ----------
    composition : (e,) float64
        Atoms of every element, of a cell, a molecule, or one atom of the free element.
    energy : float
        Of that, eV.
    gas : str or None
        Name of the ideal gas.
    free : bool
        Whether its chemical potential runs along the axis.
    mode_energies : (m,) float64
        Of its vibrations, eV.
    """

    composition: Float[np.ndarray, " e"]
    energy: float
    gas: str | None
    free: bool
    mode_energies: Float[np.ndarray, " m"]


def execute(study: SurfaceStudy, context: RunContext) -> Results:
    """Compute gamma of every slab along the study's axis.

    Raises
    ------
    InputError
        If a file cannot be read, an element is unknown to the potential, or the reservoirs do
        not fix every chemical potential.
    """
    potential = study.potential.build(study.run.precision)
    elements = _elements(study)
    slabs = context.communicator.map(partial(_slab, potential, elements), study.slabs)
    reservoirs = [_reservoir(potential, elements, entry) for entry in study.reservoirs]
    conditions = study.conditions
    axis = np.linspace(conditions.range.first, conditions.range.last, conditions.range.count)
    potentials = np.array([_potentials(reservoirs, conditions, float(x)) for x in axis])
    gammas = np.array(
        [
            [
                surface_free_energy(slab, row, _vibrational(slab, conditions, float(x)))
                for x, row in zip(axis, potentials, strict=True)
            ]
            for slab in slabs
        ]
    )
    diagram = Diagram(
        axis=axis,
        labels=[entry.label for entry in study.slabs],
        gammas=gammas,
        errors=np.array([_error(slab) for slab in slabs]),
        potentials=potentials,
        symbols=[chemical_symbols[number] for number in elements],
        excess=_excess(slabs, reservoirs),
    )
    return summarise(conditions, diagram, len(slabs) + len(reservoirs))


def check(study: SurfaceStudy) -> None:
    """Refuse, without running, elements the potential does not know and missing reservoirs."""
    potential, elements = study.potential.build(study.run.precision), _elements(study)
    for entry in study.slabs:
        validate(
            from_ase(_read(entry.file, entry.index)),
            elements=potential.elements,
            label=f"slabs: {entry.label}",
        )
    if len(study.reservoirs) != len(elements):
        raise InputError(
            f"reservoirs: {len(study.reservoirs)} for {len(elements)} elements: give as many "
            "as there are elements"
        )


def _slab(potential: Potential, elements: Int[np.ndarray, " e"], entry: SlabEntry) -> Slab:
    atoms = _read(entry.file, entry.index)
    configuration, mobile = from_ase(atoms), _mobile(atoms)
    validate(configuration, elements=potential.elements, label=f"slabs: {entry.label}")
    if entry.relax:
        (relaxed,) = minimise(
            potential, [configuration], mobile=mobile, force_tolerance=FORCE, width=1
        )
        if not relaxed.converged:
            raise InputError(f"slabs: {entry.label}: it does not relax ({relaxed.status.name})")
        configuration = relaxed.configuration
    modes = np.zeros(0)
    if entry.vibrations == "phonons":
        modes = mode_energies(potential, configuration, mobile)
    other = None if entry.other_face is None else from_ase(_read(entry.other_face, 0))
    return Slab(
        counts=_counts(configuration, elements),
        area=surface_area(configuration),
        energy=_energy(potential, configuration),
        error=float(np.hypot(entry.energy_error, _spread(potential, configuration))),
        mode_energies=modes,
        other_counts=None if other is None else _counts(other, elements),
        other_energy=0.0 if other is None else _energy(potential, other),
    )


def _reservoir(
    potential: Potential, elements: Int[np.ndarray, " e"], entry: ReservoirEntry
) -> Reservoir:
    atoms = None if entry.file is None else _read(entry.file, 0)
    energy, modes = entry.energy or 0.0, np.zeros(0)
    composition = np.zeros(len(elements))
    if atoms is not None:
        configuration = from_ase(atoms)
        energy = _energy(potential, configuration)
        composition = _counts(configuration, elements).astype(np.float64)
        if entry.vibrations == "phonons":
            modes = mode_energies(potential, configuration, _mobile(atoms))
    elif entry.gas is not None:
        for symbol, count in GASES[entry.gas].composition.items():
            composition[np.searchsorted(elements, atomic_numbers[symbol])] += count
    if entry.element is not None:
        own = elements == atomic_numbers[entry.element]
        if not own.any():
            raise InputError(f"reservoirs: no slab holds the element {entry.element}")
        if atoms is not None:
            energy /= float(len(atoms))
        composition = own.astype(np.float64)
    return Reservoir(composition, energy, entry.gas, entry.element is not None, modes)


def _potentials(
    reservoirs: list[Reservoir], conditions: ConditionsSection, at: float
) -> Float[np.ndarray, " e"]:
    """Chemical potentials at one point of the axis, eV."""
    temperature, pressure = conditions.temperature, conditions.pressure
    if conditions.axis == "temperature":
        temperature = at
    elif conditions.axis == "pressure":
        pressure = 10.0**at
    energies = []
    for each in reservoirs:
        energy = each.energy + harmonic_free_energy(each.mode_energies, temperature)
        if each.free:
            energy += at
        elif each.gas is not None:
            energy += gas_free_energy(each.gas, temperature, pressure)
        energies.append(energy)
    return chemical_potentials(np.stack([r.composition for r in reservoirs]), np.array(energies))


def _vibrational(slab: Slab, conditions: ConditionsSection, at: float) -> float:
    temperature = at if conditions.axis == "temperature" else conditions.temperature
    return harmonic_free_energy(slab.mode_energies, temperature)


def _excess(slabs: list[Slab], reservoirs: list[Reservoir]) -> Float[np.ndarray, " slabs"]:
    """-d gamma / d mu of the free element (or of the first gas molecule), 1/A^2."""
    driven = np.array([float(r.free or r.gas is not None) for r in reservoirs])
    shift = np.zeros(len(reservoirs))
    if driven.any():
        shift[int(np.argmax(driven))] = 1.0
    change = chemical_potentials(np.stack([r.composition for r in reservoirs]), shift)
    bare = [slab._replace(energy=0.0, other_energy=0.0) for slab in slabs]
    return np.array([-surface_free_energy(slab, change, 0.0) for slab in bare])


def _error(slab: Slab) -> float:
    faces = 2.0 if slab.other_counts is None else 1.0
    return slab.error / (faces * slab.area)


def _elements(study: SurfaceStudy) -> Int[np.ndarray, " e"]:
    slabs = [_read(entry.file, entry.index) for entry in study.slabs]
    return np.unique(np.concatenate([atoms.numbers for atoms in slabs]))


def _counts(configuration: Configuration, elements: Int[np.ndarray, " e"]) -> np.ndarray:
    numbers = np.asarray(configuration.numbers)
    return np.array([np.sum(numbers == element) for element in elements], np.int64)


def _mobile(atoms: Atoms) -> Bool[np.ndarray, " n"]:
    frozen = atoms.arrays.get("frozen", np.zeros(len(atoms), bool))
    return ~np.asarray(frozen, bool)


def _energy(potential: Potential, configuration: Configuration) -> float:
    return float(evaluate(potential, [configuration], ("energy",))[0].energy)


def _spread(potential: Potential, configuration: Configuration) -> float:
    if not isinstance(potential, Committee):
        return 0.0
    return float(uncertainty(potential, [configuration], ("energy",))[0].energy)


def _read(path: Path, index: int) -> Atoms:
    try:
        return ase.io.read(path, index=index)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path}: frame {index} cannot be read: {error}") from error
