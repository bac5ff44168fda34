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
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.interface import Potential
from thermosearch.relax.minimise import minimise
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.errors import InputError
from thermosearch.runtime.results import Results
from thermosearch.search.members import members_of
from thermosearch.search.surfaces.errors import gamma_covariance
from thermosearch.search.surfaces.gamma import (
    NO_MEMBERS,
    Slab,
    chemical_potentials,
    surface_free_energy,
)
from thermosearch.search.surfaces.gases import GASES, gas_free_energy
from thermosearch.search.surfaces.phonons import mode_energies
from thermosearch.search.surfaces.study import (
    ConditionsSection,
    ReservoirEntry,
    SlabEntry,
    SurfaceStudy,
)
from thermosearch.search.surfaces.summary import Diagram, summarise
from thermosearch.search.surfaces.vibrations import (
    NO_VIBRATIONS,
    Modes,
    Share,
    Vibrations,
    from_harmonic_run,
)
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
    vibrations : Vibrations
        Of that.
    error : float
        Of its energy, apart from the committee's, eV.
    deviations : (members,) float64
        What each member of a committee gives more than their mean, eV.
    """

    composition: Float[np.ndarray, " e"]
    energy: float
    gas: str | None
    free: bool
    vibrations: Vibrations
    error: float = 0.0
    deviations: Float[np.ndarray, " members"] = NO_MEMBERS


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
        covariance=_covariance(slabs, reservoirs),
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
    other = None if entry.other_face is None else from_ase(_read(entry.other_face, 0))
    energy = _energy(potential, configuration)
    return Slab(
        counts=_counts(configuration, elements),
        area=surface_area(configuration),
        energy=energy,
        error=entry.energy_error,
        vibrations=_vibrations(potential, entry, configuration, mobile, energy),
        deviations=_deviations(potential, configuration),
        other_counts=None if other is None else _counts(other, elements),
        other_energy=0.0 if other is None else _energy(potential, other),
        other_deviations=NO_MEMBERS if other is None else _deviations(potential, other),
    )


def _reservoir(
    potential: Potential, elements: Int[np.ndarray, " e"], entry: ReservoirEntry
) -> Reservoir:
    composition = _composition(elements, entry)
    free, gas = entry.element is not None, entry.gas
    if entry.file is None:
        return Reservoir(
            composition, entry.energy or 0.0, gas, free, NO_VIBRATIONS, entry.energy_error
        )
    atoms = _read(entry.file, 0)
    configuration, mobile = from_ase(atoms), _mobile(atoms)
    energy, deviations = _energy(potential, configuration), _deviations(potential, configuration)
    vibrations = _vibrations(potential, entry, configuration, mobile, energy)
    # The free element is counted by the atom, also what vibrates.
    share = 1.0 / len(atoms) if free else 1.0
    return Reservoir(
        composition,
        share * energy,
        gas,
        free,
        Share(vibrations, share),
        entry.energy_error,
        share * deviations,
    )


def _composition(elements: Int[np.ndarray, " e"], entry: ReservoirEntry) -> Float[np.ndarray, " e"]:
    """Atoms of every element that the energy of a reservoir is of."""
    if entry.element is not None:
        own = elements == atomic_numbers[entry.element]
        if not own.any():
            raise InputError(f"reservoirs: no slab holds the element {entry.element}")
        return own.astype(np.float64)
    if entry.file is not None:
        return _counts(from_ase(_read(entry.file, 0)), elements).astype(np.float64)
    composition = np.zeros(len(elements))
    for symbol, count in GASES[entry.gas].composition.items():
        composition[np.searchsorted(elements, atomic_numbers[symbol])] += count
    return composition


def _vibrations(
    potential: Potential,
    entry: SlabEntry | ReservoirEntry,
    configuration: Configuration,
    mobile: Bool[np.ndarray, " n"],
    energy: float,
) -> Vibrations:
    if entry.harmonic is not None:
        atoms = len(configuration.numbers)
        return from_harmonic_run(entry.harmonic, entry.harmonic_phase, energy, atoms)
    if entry.vibrations == "phonons":
        return Modes(mode_energies(potential, configuration, mobile))
    return NO_VIBRATIONS


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
        energy = each.energy + each.vibrations.free_energy(temperature)
        if each.free:
            energy += at
        elif each.gas is not None:
            energy += gas_free_energy(each.gas, temperature, pressure)
        energies.append(energy)
    return chemical_potentials(np.stack([r.composition for r in reservoirs]), np.array(energies))


def _vibrational(slab: Slab, conditions: ConditionsSection, at: float) -> float:
    temperature = at if conditions.axis == "temperature" else conditions.temperature
    return slab.vibrations.free_energy(temperature)


def _excess(slabs: list[Slab], reservoirs: list[Reservoir]) -> Float[np.ndarray, " slabs"]:
    """-d gamma / d mu of the free element (or of the first gas molecule), 1/A^2."""
    driven = np.array([float(r.free or r.gas is not None) for r in reservoirs])
    shift = np.zeros(len(reservoirs))
    if driven.any():
        shift[int(np.argmax(driven))] = 1.0
    change = chemical_potentials(np.stack([r.composition for r in reservoirs]), shift)
    bare = [slab._replace(energy=0.0, other_energy=0.0) for slab in slabs]
    return np.array([-surface_free_energy(slab, change, 0.0) for slab in bare])


def _covariance(slabs: list[Slab], reservoirs: list[Reservoir]) -> Float[np.ndarray, "slabs slabs"]:
    members = max((len(slab.deviations) for slab in slabs), default=0)
    deviations = np.zeros((len(reservoirs), members))
    for row, each in zip(deviations, reservoirs, strict=True):
        row[:] = each.deviations if len(each.deviations) else 0.0
    return gamma_covariance(
        slabs,
        np.stack([each.composition for each in reservoirs]),
        np.array([each.error for each in reservoirs]),
        deviations,
    )


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


def _deviations(
    potential: Potential, configuration: Configuration
) -> Float[np.ndarray, " members"]:
    """Return what each member of a committee gives more than their mean, eV."""
    members = members_of(potential, configuration)
    if not members:
        return NO_MEMBERS
    energies = np.array([_energy(member, configuration) for member in members])
    return energies - energies.mean()


def _read(path: Path, index: int) -> Atoms:
    try:
        return ase.io.read(path, index=index)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path}: frame {index} cannot be read: {error}") from error
