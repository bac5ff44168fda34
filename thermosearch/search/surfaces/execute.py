"""Surface thermodynamics from study to results."""

from typing import NamedTuple

import numpy as np
from ase.data import chemical_symbols
from jaxtyping import Float, Int

from thermosearch.configuration import from_ase
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.results import Results
from thermosearch.search.surfaces.balance import vibrating
from thermosearch.search.surfaces.compute import Computed, compute_all
from thermosearch.search.surfaces.errors import gamma_covariance
from thermosearch.search.surfaces.gamma import (
    NO_MEMBERS,
    Slab,
    chemical_potentials,
    surface_free_energy,
    vibrational_excess,
)
from thermosearch.search.surfaces.gases import gas_free_energy
from thermosearch.search.surfaces.prepare import prepare
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

    Parameters
    ----------
    study : SurfaceStudy
        Slabs, reservoirs and the axis.
    context : RunContext
        Ranks and checkpoints; a checkpoint there is taken up.

    Returns
    -------
    Results
        With `status="stopped"` and no quantities if it was told to stop.

    Raises
    ------
    InputError
        If `prepare` refuses the study, a slab does not relax, or a mode is unstable.
    """
    prepared = prepare(study)
    computed = compute_all(prepared, context)
    if computed is None:
        return Results("surface", "stopped")
    slabs = [
        _slab(prepared.elements, each, computed[f"slabs/{k}"], computed.get(f"other_faces/{k}"))
        for k, each in enumerate(prepared.slabs)
    ]
    reservoirs = [
        _reservoir(each, held, computed.get(f"reservoirs/{k}"))
        for k, (each, held) in enumerate(
            zip(prepared.reservoirs, prepared.compositions, strict=True)
        )
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


def _slab(
    elements: Int[np.ndarray, " e"], slab: SlabFiles, own: Computed, face: Computed | None
) -> Slab:
    """Put a slab together with what the potential gives of it and of its other face."""
    entry, atoms, other = slab
    vibrates = vibrating(entry, atoms)
    alone = Slab(
        counts=counts(atoms.numbers, elements),
        area=surface_area(from_ase(atoms)),
        energy=own.energy,
        error=entry.energy_error,
        vibrations=_vibrations(entry, own, len(atoms)),
        vibrating=counts(atoms.numbers[vibrates], elements) if vibrates.any() else None,
        deviations=own.deviations,
    )
    if other is None or face is None:
        return alone
    return alone._replace(
        other_counts=counts(other.numbers, elements),
        other_area=surface_area(from_ase(other)),
        other_energy=face.energy,
        other_deviations=face.deviations,
    )


def _reservoir(
    reservoir: ReservoirFile, held: Float[np.ndarray, " e"], own: Computed | None
) -> Reservoir:
    entry, atoms = reservoir
    free, gas = entry.element is not None, entry.gas
    if atoms is None or own is None:
        return Reservoir(held, entry.energy or 0.0, gas, free, NO_VIBRATIONS, entry.energy_error)
    # The free element is counted by the atom, also what vibrates.
    share = 1.0 / len(atoms) if free else 1.0
    return Reservoir(
        held,
        share * own.energy,
        gas,
        free,
        Share(_vibrations(entry, own, len(atoms)), share),
        entry.energy_error,
        share * own.deviations,
    )


def _vibrations(entry: SlabEntry | ReservoirEntry, own: Computed, atoms: int) -> Vibrations:
    if entry.harmonic is not None:
        return from_harmonic_run(entry.harmonic, entry.harmonic_phase, own.energy, atoms)
    return Modes(own.modes)


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
