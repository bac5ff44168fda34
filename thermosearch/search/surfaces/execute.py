"""Surface thermodynamics from study to results."""

from functools import partial
from typing import NamedTuple

import numpy as np
from ase.data import chemical_symbols
from jaxtyping import Bool, Float

from thermosearch.configuration import Configuration, from_ase
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.interface import Potential
from thermosearch.potentials.members import members_of
from thermosearch.relax.minimise import minimise
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.errors import InputError
from thermosearch.runtime.results import Results
from thermosearch.search.surfaces.balance import is_mobile, vibrating
from thermosearch.search.surfaces.errors import gamma_covariance
from thermosearch.search.surfaces.gamma import (
    NO_MEMBERS,
    Slab,
    chemical_potentials,
    surface_free_energy,
    vibrational_excess,
)
from thermosearch.search.surfaces.gases import gas_free_energy
from thermosearch.search.surfaces.phonons import mode_energies
from thermosearch.search.surfaces.prepare import Prepared, prepare
from thermosearch.search.surfaces.reading import ReservoirFile, SlabFiles, counts
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


class Point(NamedTuple):
    """The reservoirs at one point of the axis.

    Attributes
    ----------
    temperature : float
        K.
    still : (e,) float64
        Chemical potentials without the vibrations of crystals, eV.
    vibrational : (e,) float64
        What these add, eV.
    """

    temperature: float
    still: Float[np.ndarray, " e"]
    vibrational: Float[np.ndarray, " e"]


def execute(study: SurfaceStudy, context: RunContext) -> Results:
    """Compute gamma of every slab along the study's axis.

    Raises
    ------
    InputError
        If `prepare` refuses the study, a slab does not relax, or a mode is unstable.
    """
    prepared = prepare(study)
    slabs = context.communicator.map(partial(_slab, prepared), prepared.slabs)
    reservoirs = [
        _reservoir(prepared.potential, each, held)
        for each, held in zip(prepared.reservoirs, prepared.compositions, strict=True)
    ]
    conditions = study.conditions
    axis = np.linspace(conditions.range.first, conditions.range.last, conditions.range.count)
    points = [_potentials(reservoirs, conditions, float(x)) for x in axis]
    gammas = np.array([[_gamma(slab, point) for point in points] for slab in slabs])
    diagram = Diagram(
        axis=axis,
        labels=[entry.label for entry in study.slabs],
        gammas=gammas,
        covariance=_covariance(slabs, reservoirs),
        potentials=np.array([point.still + point.vibrational for point in points]),
        symbols=[chemical_symbols[number] for number in prepared.elements],
        excess=_excess(slabs, reservoirs),
    )
    return summarise(conditions, diagram, len(slabs) + len(reservoirs))


def _slab(prepared: Prepared, slab: SlabFiles) -> Slab:
    potential, elements = prepared.potential, prepared.elements
    entry, atoms = slab.entry, slab.atoms
    configuration, vibrates = from_ase(atoms), vibrating(entry, atoms)
    if entry.relax:
        (relaxed,) = minimise(
            potential,
            [configuration],
            mobile=is_mobile(atoms),
            force_tolerance=FORCE,
            width=1,
        )
        if not relaxed.converged:
            raise InputError(f"slabs: {entry.label}: it does not relax ({relaxed.status.name})")
        configuration = relaxed.configuration
    other = None if slab.other is None else from_ase(slab.other)
    energy = _energy(potential, configuration)
    return Slab(
        counts=counts(atoms.numbers, elements),
        area=surface_area(configuration),
        energy=energy,
        error=entry.energy_error,
        vibrations=_vibrations(
            potential,
            entry,
            configuration,
            energy,
            masses=atoms.get_masses(),
            vibrates=vibrates,
        ),
        vibrating=counts(atoms.numbers[vibrates], elements) if vibrates.any() else None,
        deviations=_deviations(potential, configuration),
        other_counts=None if other is None else counts(other.numbers, elements),
        other_area=0.0 if other is None else surface_area(other),
        other_energy=0.0 if other is None else _energy(potential, other),
        other_deviations=NO_MEMBERS if other is None else _deviations(potential, other),
    )


def _reservoir(
    potential: Potential, reservoir: ReservoirFile, held: Float[np.ndarray, " e"]
) -> Reservoir:
    entry, atoms = reservoir
    free, gas = entry.element is not None, entry.gas
    if atoms is None:
        return Reservoir(held, entry.energy or 0.0, gas, free, NO_VIBRATIONS, entry.energy_error)
    configuration = from_ase(atoms)
    energy, deviations = _energy(potential, configuration), _deviations(potential, configuration)
    vibrations = _vibrations(
        potential,
        entry,
        configuration,
        energy,
        masses=atoms.get_masses(),
        vibrates=np.ones(len(atoms), bool),
    )
    # The free element is counted by the atom, also what vibrates.
    share = 1.0 / len(atoms) if free else 1.0
    return Reservoir(
        held,
        share * energy,
        gas,
        free,
        Share(vibrations, share),
        entry.energy_error,
        share * deviations,
    )


def _vibrations(
    potential: Potential,
    entry: SlabEntry | ReservoirEntry,
    configuration: Configuration,
    energy: float,
    *,
    masses: Float[np.ndarray, " n"],
    vibrates: Bool[np.ndarray, " n"],
) -> Vibrations:
    if entry.harmonic is not None:
        atoms = len(configuration.numbers)
        return from_harmonic_run(entry.harmonic, entry.harmonic_phase, energy, atoms)
    if entry.vibrations == "phonons":
        return Modes(mode_energies(potential, configuration, masses, vibrates))
    return NO_VIBRATIONS


def _potentials(reservoirs: list[Reservoir], conditions: ConditionsSection, at: float) -> Point:
    temperature, pressure = conditions.temperature, conditions.pressure
    if conditions.axis == "temperature":
        temperature = at
    elif conditions.axis == "pressure":
        pressure = 10.0**at
    energies = []
    for each in reservoirs:
        energy = each.energy
        if each.free:
            energy += at
        elif each.gas is not None:
            energy += gas_free_energy(each.gas, temperature, pressure)
        energies.append(energy)
    compositions = np.stack([each.composition for each in reservoirs])
    vibrations = [each.vibrations.free_energy(temperature) for each in reservoirs]
    return Point(
        temperature,
        chemical_potentials(compositions, np.array(energies)),
        chemical_potentials(compositions, np.array(vibrations)),
    )


def _gamma(slab: Slab, point: Point) -> float:
    vibrational = vibrational_excess(slab, point.vibrational, point.temperature)
    return surface_free_energy(slab, point.still, vibrational)


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


def _energy(potential: Potential, configuration: Configuration) -> float:
    return float(evaluate(potential, [configuration], ("energy",))[0].energy)


def _deviations(
    potential: Potential, configuration: Configuration
) -> Float[np.ndarray, " members"]:
    """Return what each member of a committee gives more than their mean, eV."""
    members = members_of(potential)
    if not members:
        return NO_MEMBERS
    energies = np.array([_energy(member, configuration) for member in members])
    return energies - energies.mean()
