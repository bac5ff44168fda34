"""The study file of nested sampling: what the user writes, checked."""

from typing import Annotated, Literal, TypeVar

from ase.data import atomic_numbers
from pydantic import (
    AfterValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from thermosearch.nested.moves.catalogue import MOVES
from thermosearch.nested.moves.interface import Move
from thermosearch.potentials.section import PotentialSection
from thermosearch.runtime.study import InputFile, RunSection, StrictModel

Number = TypeVar("Number", int, float)


class SphereSection(StrictModel):
    """A cluster in a sphere.

    Attributes
    ----------
    radius : float
        Length unit of the potential.
    about : {"fixed_centre", "centre_of_mass"}
        Where the centre is. The two are different measures with different averages.
    """

    radius: PositiveFloat
    about: Literal["fixed_centre", "centre_of_mass"]


class CellSection(StrictModel):
    """Constant volume.

    Attributes
    ----------
    vectors : 3 x 3
        Lattice vectors, rows.
    pbc : 3 bool
        Directions that repeat; the others end at hard walls.
    """

    vectors: tuple[
        tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]
    ]
    pbc: tuple[bool, bool, bool] = (True, True, True)


class FlexibleCellSection(StrictModel):
    """Constant pressure: volume and shape of the cell are free.

    Attributes
    ----------
    pressures : tuple of float
        GPa (the potential's own unit where it is reduced); one run each.
    volume_per_atom : (float, float)
        Bounds.
    min_depth : float
        Least distance between opposite faces over V^(1/3).
    volume_prior : {"power", "flat"}
        V^N as in the partition function, or flat in V and reweighted afterwards.
    """

    pressures: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]
    volume_per_atom: tuple[PositiveFloat, PositiveFloat]
    min_depth: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.65
    volume_prior: Literal["power", "flat"] = "power"

    @field_validator("pressures")
    @classmethod
    def _distinct(cls, pressures: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(pressures)) < len(pressures):
            raise ValueError("every pressure once: `method.repeats` samples the same conditions")
        return pressures

    @field_validator("volume_per_atom")
    @classmethod
    def _ordered(cls, bounds: tuple[float, float]) -> tuple[float, float]:
        if bounds[0] >= bounds[1]:
            raise ValueError(f"the lower bound {bounds[0]} is not below the upper {bounds[1]}")
        return bounds


class FrozenSection(StrictModel):
    """Atoms that stay where they are: a slab, a cage.

    Attributes
    ----------
    file : path
        Any format that ASE reads; its cell must be that of the study.
    """

    file: InputFile


def _known(composition: dict[str, Number]) -> dict[str, Number]:
    unknown = [name for name in composition if name not in atomic_numbers or name == "X"]
    if unknown:
        raise ValueError(f"no chemical symbol: {', '.join(unknown)}")
    return composition


Composition = Annotated[dict[str, PositiveInt], Field(min_length=1), AfterValidator(_known)]
"""Chemical symbols and numbers of atoms."""


class SystemSection(StrictModel):
    """Which atoms, and where they may be: exactly one of sphere, cell and flexible_cell.

    Attributes
    ----------
    composition : dict of str to int
        Chemical symbols and numbers of atoms.
    compositions : tuple of such dicts
        Instead: several compositions of equally many atoms, each sampled at every pressure.
    chemical_potentials : dict of str to float or None
        Semi-grand: mobile atoms change between these species, two or more, at these chemical
        potentials, eV, without their kinetic parts; the composition then only counts the atoms.
    frozen : FrozenSection or None
        Atoms that come on top and do not move; in a cell of constant volume.
    """

    composition: Composition | None = None
    compositions: Annotated[tuple[Composition, ...], Field(min_length=1)] | None = None
    sphere: SphereSection | None = None
    cell: CellSection | None = None
    flexible_cell: FlexibleCellSection | None = None
    chemical_potentials: (
        Annotated[dict[str, float], Field(min_length=2), AfterValidator(_known)] | None
    ) = None
    frozen: FrozenSection | None = None

    @model_validator(mode="after")
    def _one_composition(self) -> "SystemSection":
        if (self.composition is None) == (self.compositions is None):
            raise ValueError("give exactly one of composition and compositions")
        counts = sorted({len(numbers) for numbers in self.all_numbers})
        if len(counts) > 1:
            raise ValueError(f"compositions of {counts} atoms: all need equally many")
        if len({tuple(sorted(numbers)) for numbers in self.all_numbers}) < len(self.all_numbers):
            raise ValueError("compositions: every one once")
        if self.chemical_potentials is not None and self.compositions is not None:
            raise ValueError("chemical_potentials choose the composition: give one composition")
        if self.frozen is not None and self.cell is None:
            raise ValueError("frozen atoms need [system.cell]")
        return self

    @model_validator(mode="after")
    def _one_container(self) -> "SystemSection":
        containers = (self.sphere, self.cell, self.flexible_cell)
        if sum(each is not None for each in containers) != 1:
            raise ValueError("give exactly one of sphere, cell and flexible_cell")
        if self.sphere and self.sphere.about == "centre_of_mass" and self.has_several_species:
            raise ValueError('about = "centre_of_mass" takes all masses as equal: one species only')
        return self

    @property
    def all_numbers(self) -> list[tuple[int, ...]]:
        """Atomic numbers of every composition, species by species."""
        given = self.compositions or (self.composition,)
        return [
            tuple(atomic_numbers[name] for name, count in each.items() for _ in range(count))
            for each in given
        ]

    @property
    def has_several_species(self) -> bool:
        """Whether there is something to swap in any composition."""
        if self.chemical_potentials is not None:
            return True
        return any(len(set(numbers)) > 1 for numbers in self.all_numbers)


def _move(name: str) -> str:
    if name not in MOVES:
        raise ValueError(f"no such move; there are {', '.join(MOVES)}")
    return name


class MoveSection(StrictModel):
    """A move of the walk.

    Attributes
    ----------
    name : str
        "atom": a sweep of single-atom displacements; "all_atoms": one displacement of all;
        "galilean": a flight reflected at the contour (uses forces); "hamiltonian": a trajectory
        under the contour of the total enthalpy (forces); "volume", "shear", "stretch": of a
        flexible cell; "swap": of two species; "identity": of one atom's species.
    count : int
        Applications in a round.
    length : int or None
        Steps of a flight or a trajectory; 8 by default.
    """

    name: Annotated[str, AfterValidator(_move)]
    count: PositiveInt = 1
    length: PositiveInt | None = None

    @model_validator(mode="after")
    def _length_fits(self) -> "MoveSection":
        if self.length is not None and not MOVES[self.name].uses_forces:
            raise ValueError(f'"{self.name}" has no length: flights and trajectories do')
        return self

    def move(self) -> Move:
        """Give the move itself."""
        kind = MOVES[self.name]
        return kind() if self.length is None else kind(length=self.length)


class StopSection(StrictModel):
    """What ends a run, whichever comes first.

    Attributes
    ----------
    remaining_evidence : float or None
        Share of Z at the lowest temperature of the analysis that is still to come.
    temperature : float or None
        K (kT of a reduced potential) that is passed: the walkers alive hold less than 1e-4 of
        its Z.
    prior_mass : float or None
        ln X.
    iterations : int or None
        How many.
    spread : float or None
        Committee's, eV an atom: its mean over the points culled in an iteration, once the
        walkers alive hold less than half of Z at the highest temperature of the analysis.
    """

    remaining_evidence: Annotated[float, Field(gt=0.0, lt=1.0)] | None = 1e-4
    temperature: PositiveFloat | None = None
    prior_mass: Annotated[float, Field(lt=0.0)] | None = None
    iterations: PositiveInt | None = None
    spread: PositiveFloat | None = None

    @model_validator(mode="after")
    def _any(self) -> "StopSection":
        if all(v is None for name, v in self.model_dump().items() if name != "spread"):
            raise ValueError("nothing ends the run: give at least one criterion")
        return self


class MethodSection(StrictModel):
    """The sampler.

    Attributes
    ----------
    walkers : int
        K; the error of ln Z falls as its root.
    culled : int
        P, replaced in each iteration.
    extra : int
        E, others that walk in each iteration.
    rounds : int
        Length of a walk.
    moves : tuple of MoveSection or None
        One round, in this order; by default what suits container and potential.
    width : int
        Walkers of one compiled call, and the portion a rank is given; at most culled + extra.
    batching : {"lanes", "loop"} or None
        Walkers side by side in the vector units or one after the other; by default side by side
        for pair potentials and on accelerators.
    repeats : int
        Independent runs: their scatter shows what the error of one run cannot.
    structures_every : int or None
        A configuration of every so many dead points goes to structures/, and the order
        parameters are averages over these; 0 for none, by default a quarter of the walkers.
    exchange_every : int or None
        Iterations between exchanges of walkers between neighbouring pressures; none by default.
    spread_limit : float or None
        Committee's spread, eV an atom, above which its energy is raised by four times the excess:
        the walkers then keep out of holes of the model. No limit by default.
    """

    walkers: PositiveInt = 128
    culled: PositiveInt = 32
    extra: NonNegativeInt = 0
    rounds: PositiveInt = 200
    moves: tuple[MoveSection, ...] | None = None
    width: PositiveInt = 32
    batching: Literal["lanes", "loop"] | None = None
    repeats: PositiveInt = 1
    structures_every: NonNegativeInt | None = None
    exchange_every: PositiveInt | None = None
    spread_limit: PositiveFloat | None = None
    stop: StopSection = StopSection()

    @property
    def kept_every(self) -> int:
        """Dead points between two configurations that are kept."""
        if self.structures_every is None:
            return max(1, self.walkers // 4)
        return self.structures_every

    @model_validator(mode="after")
    def _enough(self) -> "MethodSection":
        if self.culled >= self.walkers or self.culled + self.extra > self.walkers:
            raise ValueError(
                f"walkers = {self.walkers} cannot give culled = {self.culled} and extra = "
                f"{self.extra} and keep a survivor to clone: raise walkers, or lower the others"
            )
        return self


class AnalysisSection(StrictModel):
    """What is made of the dead points.

    Attributes
    ----------
    temperatures : (float, float, int)
        Lowest, highest and number, K (kT of a reduced potential), evenly spaced.
    draws : int
        Of the prior volumes, for the error bars.
    quenched : int
        Configurations of each run that are relaxed to their minima, for space groups and basins;
        0 for none.
    neighbour_cutoff : float or None
        Distance of neighbours in the order parameters; by default 1.35 times the mean distance
        of nearest neighbours.
    spread_flag : float
        Committee's spread, eV an atom, above which an average is flagged.
    """

    temperatures: tuple[PositiveFloat, PositiveFloat, Annotated[int, Field(ge=3)]]
    draws: Annotated[int, Field(ge=10)] = 200
    quenched: NonNegativeInt = 48
    neighbour_cutoff: PositiveFloat | None = None
    spread_flag: PositiveFloat = 0.05

    @field_validator("temperatures")
    @classmethod
    def _ordered(cls, grid: tuple[float, float, int]) -> tuple[float, float, int]:
        if grid[0] >= grid[1]:
            raise ValueError(f"the lowest temperature {grid[0]} is not below the highest {grid[1]}")
        return grid


class NestedStudy(StrictModel):
    """Thermodynamics of a system at all temperatures, at one or several pressures."""

    kind: Literal["nested"] = "nested"
    potential: PotentialSection
    system: SystemSection
    method: MethodSection = MethodSection()
    analysis: AnalysisSection
    run: RunSection = RunSection()

    @model_validator(mode="after")
    def _moves_fit(self) -> "NestedStudy":
        names = {move.name for move in self.method.moves or ()}
        cell_moves = sorted(name for name in names if MOVES[name].changes == "cell")
        if cell_moves and self.system.flexible_cell is None:
            raise ValueError(f"method.moves: {cell_moves} need [system.flexible_cell]")
        if "swap" in names and not self.system.has_several_species:
            raise ValueError('method.moves: "swap" needs two species')
        if names and ("identity" in names) != (self.system.chemical_potentials is not None):
            raise ValueError('method.moves: "identity" goes with system.chemical_potentials')
        if names and all(MOVES[name].changes != "atoms" for name in names):
            raise ValueError("method.moves: none of them moves an atom")
        if names and self.system.flexible_cell is not None and "volume" not in names:
            raise ValueError('method.moves: a flexible cell needs "volume"')
        flexible = self.system.flexible_cell
        if self.method.exchange_every and (flexible is None or len(flexible.pressures) < 2):
            raise ValueError("method.exchange_every: exchanges need two pressures")
        return self
