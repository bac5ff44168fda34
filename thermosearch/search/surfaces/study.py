"""The study file of surface thermodynamics: slabs against reservoirs."""

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from thermosearch.potentials.section import PotentialSection
from thermosearch.runtime.study import InputFile, RunSection, StrictModel
from thermosearch.search.surfaces.gases import GASES
from thermosearch.search.system_section import Symbol

Vibrations = Literal["none", "phonons"]


def _refuse_both(vibrations: Vibrations, harmonic: Path | None) -> None:
    if harmonic is not None and vibrations != "none":
        raise ValueError("give either vibrations or harmonic")


class SlabEntry(StrictModel):
    """One slab, relaxed already (a search's `structures/best.extxyz`) or to be relaxed here.

    Attributes
    ----------
    label : str
        Name in the diagram.
    file : file
        Any format of ASE; normal along +z.
    index : int
        Frame of the file.
    other_face : file or None
        Slab whose two faces are both like the lower face of this one: the ideal cut that a
        search began from, of any number of surface cells. Without it both faces of the slab are
        taken to be alike.
    relax : bool
        Relax it first, atoms of the array `frozen` apart.
    vibrations : {"none", "phonons"}
        Harmonic phonons, at the zone centre, of the atoms that are not `frozen`, against those
        of the same atoms in the crystals among the reservoirs, which need vibrations too. Frozen
        atoms and the other face vibrate as there.
    harmonic : folder or None
        Run folder of a `harmonic` run of this slab with the same potential: its free energies
        stand for the energy and the vibrations. It holds both faces, which must be alike.
    harmonic_phase : str or None
        Name of the slab in that run, if it holds several phases.
    energy_error : float
        Standard error of the energy, eV, besides the committee's spread.
    """

    label: str
    file: InputFile
    index: int = 0
    other_face: InputFile | None = None
    relax: bool = False
    vibrations: Vibrations = "none"
    harmonic: InputFile | None = None
    harmonic_phase: str | None = None
    energy_error: float = Field(default=0.0, ge=0.0)

    @model_validator(mode="after")
    def _one_source_of_vibrations(self) -> "SlabEntry":
        _refuse_both(self.vibrations, self.harmonic)
        return self


class ReservoirEntry(StrictModel):
    """A phase the surface exchanges atoms with: a crystal, a gas, or a free chemical potential.

    Attributes
    ----------
    file : file or None
        Crystal (or a molecule in a box, with `gas`) whose energy the potential gives.
    gas : str or None
        Ideal gas: its chemical potential follows temperature and pressure.
    energy : float or None
        Of the molecule, eV, instead of a file.
    element : str or None
        Its chemical potential runs along the axis `chemical_potential`, counted from `energy`
        (eV an atom) or from the crystal in `file`, which vibrates only if it has vibrations.
    vibrations : {"none", "phonons"}
        Harmonic phonons of the crystal in `file`, at the zone centre of that cell. Against those
        of a slab take the slab's surface cell, many layers long: three translations are left out.
    harmonic : folder or None
        Run folder of a `harmonic` run of that crystal with the same potential: its free
        energies at the lowest pressure stand for the energy and the vibrations.
    harmonic_phase : str or None
        Name of the crystal in that run, if it holds several phases.
    energy_error : float
        Standard error of the energy (of the cell, the molecule, or an atom of the free
        element), eV, besides the committee's spread.
    """

    file: InputFile | None = None
    gas: Literal[tuple(GASES)] | None = None  # type: ignore[valid-type]
    energy: float | None = None
    element: Symbol | None = None
    vibrations: Vibrations = "none"
    harmonic: InputFile | None = None
    harmonic_phase: str | None = None
    energy_error: float = Field(default=0.0, ge=0.0)

    @model_validator(mode="after")
    def _has_energy(self) -> "ReservoirEntry":
        if (self.file is None) == (self.energy is None):
            raise ValueError("give either file or energy")
        if self.file is None and self.gas is None and self.element is None:
            raise ValueError("an energy alone is no reservoir: name its gas or its element")
        if self.gas is not None and self.element is not None:
            raise ValueError("give either gas or element")
        _refuse_both(self.vibrations, self.harmonic)
        vibrates = self.harmonic is not None or self.vibrations != "none"
        if vibrates and (self.file is None or self.gas is not None):
            raise ValueError(
                "vibrations, harmonic: only a crystal in `file` has them; those of a gas are in "
                "its constants"
            )
        return self


class Range(StrictModel):
    """Evenly spaced values."""

    first: float
    last: float
    count: PositiveInt = 101


class ConditionsSection(StrictModel):
    """The axis of the diagram and what is held fixed.

    Attributes
    ----------
    axis : {"temperature", "pressure", "chemical_potential"}
        K; log10 of bar; eV an atom below the reference of the free element.
    range : Range
        Along the axis.
    temperature : float
        K, where it is not the axis.
    pressure : float
        bar, of all gases, where it is not the axis.
    """

    axis: Literal["temperature", "pressure", "chemical_potential"] = "chemical_potential"
    range: Range
    temperature: PositiveFloat = 300.0
    pressure: PositiveFloat = 1.0


class SurfaceStudy(StrictModel):
    """Which termination of a surface is stable."""

    kind: Literal["surface"] = "surface"
    potential: PotentialSection
    slabs: tuple[SlabEntry, ...] = Field(min_length=1)
    reservoirs: tuple[ReservoirEntry, ...] = Field(min_length=1)
    conditions: ConditionsSection
    run: RunSection = RunSection()

    @model_validator(mode="after")
    def _consistent(self) -> "SurfaceStudy":
        labels = [slab.label for slab in self.slabs]
        if len(set(labels)) != len(labels):
            raise ValueError("slabs: every label may be used once")
        free = sum(reservoir.element is not None for reservoir in self.reservoirs)
        if free > 1:
            raise ValueError("reservoirs: one element at most may run along the axis")
        if (self.conditions.axis == "chemical_potential") != (free == 1):
            raise ValueError(
                'the axis "chemical_potential" needs one reservoir with `element`, and only it'
            )
        reach = self.conditions.range
        if self.conditions.axis == "temperature" and min(reach.first, reach.last) < 0.0:
            raise ValueError("conditions.range: temperatures begin at 0 K")
        return self
