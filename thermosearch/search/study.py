"""The study file of a search: what the user writes, checked."""

from typing import Literal

from ase.data import atomic_numbers
from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from thermosearch.potentials.section import PotentialSection
from thermosearch.runtime.study import InputFile, RunSection, StrictModel


class SlabSection(StrictModel):
    """A slab with two (001) faces cut from a diamond crystal.

    Attributes
    ----------
    element : str
        Chemical symbol, "Si".
    surface : "diamond100"
        Crystal and face.
    layers : int
        Atomic layers; even, so that dimers form along the second direction.
    repeat : (int, int)
        Primitive 1x1 surface cells along the two directions.
    vacuum : float
        Empty space above and below together, A.
    lattice_parameter : float or None
        Of the cubic bulk cell, A; None relaxes it with the potential.
    """

    element: str = "Si"
    surface: Literal["diamond100"] = "diamond100"
    layers: PositiveInt = 12
    repeat: tuple[PositiveInt, PositiveInt] = (2, 2)
    vacuum: PositiveFloat = 12.0
    lattice_parameter: PositiveFloat | None = None

    @field_validator("element")
    @classmethod
    def _known(cls, symbol: str) -> str:
        if symbol not in atomic_numbers or symbol == "X":
            raise ValueError(f"{symbol!r} is no chemical symbol")
        return symbol

    @field_validator("layers")
    @classmethod
    def _even(cls, layers: int) -> int:
        if layers % 2:
            raise ValueError(f"{layers} is odd; the dimers' direction needs an even number")
        return layers


class SystemSection(StrictModel):
    """The founder and which of its atoms may do what, by layer from the top.

    Attributes
    ----------
    slab : SlabSection or None
        Build the founder ...
    founder : file or None
        ... or read it, any format of ASE; its surface normal along +z, vacuum above.
    moved_layers : int
        Top layers whose atoms the strategy moves.
    relaxed_layers : int
        Layers below them that only relax; everything deeper is frozen.
    """

    slab: SlabSection | None = None
    founder: InputFile | None = None
    moved_layers: PositiveInt = 1
    relaxed_layers: int = Field(default=5, ge=0)

    @model_validator(mode="after")
    def _one_source(self) -> "SystemSection":
        if (self.slab is None) == (self.founder is None):
            raise ValueError('give either [system.slab] or founder = "FILE", not both or none')
        return self


class MethodSection(StrictModel):
    """CMA-ES over the moved atoms, with a local relaxation of every individual.

    Attributes
    ----------
    seeds : int
        Independent searches; each starts from its own scrambled founder.
    generations, population : int
        Of each seed.
    covariance : {"full", "diagonal"}
        What the strategy adapts.
    scramble : float
        Radius within which the moved atoms of a founder are displaced at random, A.
    initial_step : float
        First standard deviation of the top atoms' coordinates, A.
    depth_decay : float or None
        Length, A, over which the step falls with depth as exp(-depth / depth_decay).
    inheritance : {"lamarckian", "baldwinian"}
        Whether the strategy learns from the relaxed positions, or only from their energy.
    window : (float, float)
        How far, A, moved atoms may go below their lowest and above their highest place in
        the founder.
    minimum_distance : float
        Atoms nearer than this, A, are pushed apart before the relaxation and rejected after.
    relaxation_steps : int
        Steps of the relaxation of an individual.
    spread_limit : float or None
        Committee spread of the energy, eV per mobile atom, above which an individual is
        rejected; None sets no limit.
    final_steps, final_force : int, float
        Steps and largest force component, eV/A, of the relaxation of the best of each seed.
    success : float
        A seed succeeds when it ends within this, eV per cell, of the best of all.
    """

    seeds: PositiveInt = 4
    generations: PositiveInt = 10
    population: int = Field(default=8, ge=4)
    covariance: Literal["full", "diagonal"] = "full"
    scramble: float = Field(default=1.0, ge=0.0)
    initial_step: PositiveFloat = 0.5
    depth_decay: PositiveFloat | None = 4.0
    inheritance: Literal["lamarckian", "baldwinian"] = "lamarckian"
    window: tuple[float, float] = (1.0, 2.0)
    minimum_distance: float = Field(default=1.6, ge=0.0)
    relaxation_steps: PositiveInt = 30
    spread_limit: PositiveFloat | None = None
    final_steps: PositiveInt = 300
    final_force: PositiveFloat = 0.005
    success: PositiveFloat = 0.005


class SearchStudy(StrictModel):
    """A search for the lowest structure of a surface."""

    kind: Literal["search"] = "search"
    potential: PotentialSection
    system: SystemSection
    method: MethodSection = MethodSection()
    run: RunSection = RunSection()
