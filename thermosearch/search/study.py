"""The study file of a search: what the user writes, checked."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, model_validator

from thermosearch.potentials.section import PotentialSection
from thermosearch.runtime.study import InputFile, RunSection, StrictModel, seconds
from thermosearch.search.system_section import SystemSection

EngineName = Literal["cma", "random", "basin_hopping", "minima_hopping"]


class CmaSection(StrictModel):
    """CMA-ES beyond its basic keys, which stand in `[method]`.

    Attributes
    ----------
    restart : {"none", "same", "ipop", "bipop"}
        What a strategy that has converged does: stop, begin anew from another random start
        with the same population or twice as many (Auger, Hansen, CEC 2005), or alternate large
        and small ones (Hansen, GECCO BBOB 2009).
    step_tolerance : float
        It has converged when its step is below this, A, ...
    stagnation : int
        ... or has not improved for this many generations ...
    improvement : float
        ... by more than this, eV of the cell, ...
    condition : float
        ... or when the condition number of the covariance is above this.
    align : bool
        Before it learns from relaxed positions, exchange equal atoms so that each stands for
        the nearest one of the mean (and turn a cluster onto it): a permuted copy of a
        structure would otherwise look like another one.
    relocation : float
        Share of every generation that are, instead of samples, copies of the lowest structure
        of this strategy with its least bound atoms put elsewhere, as in basin hopping.
    islands : int
        Seeds of one island, which exchange their best individuals; 1 for none.
    migrate_every : int
        Generations between migrations.
    """

    restart: Literal["none", "same", "ipop", "bipop"] = "none"
    step_tolerance: PositiveFloat = 1e-3
    stagnation: PositiveInt = 30
    improvement: PositiveFloat = 1e-3
    condition: PositiveFloat = 1e14
    align: bool = False
    relocation: float = Field(default=0.0, ge=0.0, le=0.9)
    islands: PositiveInt = 1
    migrate_every: PositiveInt = 5


class HoppingSection(StrictModel):
    """Basin hopping (Wales, Doye, J. Phys. Chem. A 101, 5111 (1997), 10.1021/jp970984n).

    Attributes
    ----------
    temperature : float
        k_B T of the acceptance, eV.
    step : float
        Largest displacement of a coordinate in a move of all atoms, A.
    relocation : float
        Share of moves that instead put the atoms with the fewest neighbours elsewhere.
    exchange : float
        Share of moves that exchange two atoms of different elements.
    patience : int
        Moves without a new lowest energy after which it begins anew from a random start.
    """

    temperature: PositiveFloat = 0.8
    step: PositiveFloat = 0.4
    relocation: float = Field(default=0.5, ge=0.0, le=1.0)
    exchange: float = Field(default=0.0, ge=0.0, le=1.0)
    patience: PositiveInt = 100


class MinimaHoppingSection(StrictModel):
    """Minima hopping (Goedecker, J. Chem. Phys. 120, 9911 (2004), 10.1063/1.1724816).

    Attributes
    ----------
    kinetic_energy : float
        First kinetic energy of an escape, eV an atom; it adapts.
    acceptance : float
        First energy, eV, by which a new minimum may lie above the old one; it adapts.
    time_step : float
        fs, or reduced.
    steps : int
        Most steps of an escape.
    minima : int
        Minima of the energy along the trajectory after which it ends.
    """

    kinetic_energy: PositiveFloat = 0.5
    acceptance: PositiveFloat = 0.5
    time_step: PositiveFloat = 1.0
    steps: PositiveInt = 40
    minima: PositiveInt = 2


class MethodSection(StrictModel):
    """How structures are proposed, relaxed and judged.

    Attributes
    ----------
    engines : list of str
        Any of "cma", "random", "basin_hopping", "minima_hopping": side by side, the same seeds,
        starts and budget each.
    seeds : int
        Independent searches of each engine; each starts from its own random structure.
    generations : int
        Of each seed.
    budget : int or None
        Energy+force calls of each seed, instead of generations.
    target : float or None
        Energy of the structure looked for, eV of the cell; a seed that reaches it ends. The
        lowest energy of the whole study by default.
    population : int
        Individuals a generation of CMA-ES and of random search.
    covariance : {"full", "diagonal"}
        What CMA-ES adapts.
    start : {"scramble", "random"}
        Moved atoms begin displaced from the founder, or anywhere in the window without
        overlaps; of clusters and crystals always the latter.
    scramble : float
        Radius within which the moved atoms of a founder are displaced at random, A.
    initial_step : float
        First standard deviation of the top atoms' coordinates, A.
    depth_decay : float or None
        Length, A, over which the step falls with depth as exp(-depth / depth_decay).
    inheritance : {"lamarckian", "baldwinian"}
        Whether CMA-ES learns from the relaxed positions, or only from their energy.
    window : (float, float)
        How far, A, moved atoms may go below their lowest and above their highest place in
        the founder.
    minimum_distance : float
        Atoms nearer than this, A, are pushed apart before the relaxation and rejected after.
    relaxation_steps, relaxation_force : int, float
        Steps of the relaxation of an individual, and the force, eV/A, that ends it earlier.
    refine_within : float or None
        An individual within this, eV, of the lowest of its seed is relaxed to the end at once;
        None leaves that to the three best at the end.
    spread_limit : float or None
        Committee spread of the energy, eV per mobile atom, above which an individual is
        rejected; None sets no limit.
    spread_penalty : float
        Times the spread, added to the energy an engine compares.
    final_steps, final_force : int, float
        Steps and largest force, eV/A, of a relaxation to the end.
    success : float
        A seed succeeds when it comes within this, eV per cell, of the target.
    archive : int
        Distinct minima kept.
    cma, basin_hopping, minima_hopping
        The engines' own keys.
    """

    engines: tuple[EngineName, ...] = Field(default=("cma",), min_length=1)
    seeds: PositiveInt = 4
    generations: PositiveInt = 10
    budget: PositiveInt | None = None
    target: float | None = None
    population: int = Field(default=8, ge=2)
    covariance: Literal["full", "diagonal"] = "full"
    start: Literal["scramble", "random"] = "scramble"
    scramble: float = Field(default=1.0, ge=0.0)
    initial_step: PositiveFloat = 0.5
    depth_decay: PositiveFloat | None = 4.0
    inheritance: Literal["lamarckian", "baldwinian"] = "lamarckian"
    window: tuple[float, float] = (1.0, 2.0)
    minimum_distance: float = Field(default=1.6, ge=0.0)
    relaxation_steps: PositiveInt = 30
    relaxation_force: PositiveFloat = 0.02
    refine_within: float | None = Field(default=None, ge=0.0)
    spread_limit: PositiveFloat | None = None
    spread_penalty: float = Field(default=0.0, ge=0.0)
    final_steps: PositiveInt = 300
    final_force: PositiveFloat = 0.005
    success: PositiveFloat = 0.005
    archive: PositiveInt = 50
    cma: CmaSection = CmaSection()
    basin_hopping: HoppingSection = HoppingSection()
    minima_hopping: MinimaHoppingSection = MinimaHoppingSection()

    @model_validator(mode="after")
    def _distinct(self) -> "MethodSection":
        if len(set(self.engines)) != len(self.engines):
            raise ValueError("engines: each may be named once")
        if "cma" in self.engines and self.population < 4:
            raise ValueError(f"population = {self.population}: CMA-ES needs at least 4")
        return self


class SearchRunSection(RunSection):
    """Section `[run]` of a search."""

    checkpoint_interval: Annotated[float, Field(ge=0.0), BeforeValidator(seconds)] = 0.0
    """Time between checkpoints; 0 saves every generation."""


class SearchStudy(StrictModel):
    """A search for the lowest structures of a surface, a cluster or a cell."""

    kind: Literal["search"] = "search"
    potential: PotentialSection
    system: SystemSection
    method: MethodSection = MethodSection()
    run: SearchRunSection = SearchRunSection()
    training_data: InputFile | None = None
    """Reference data of the potential: are the structures found like those it learnt from?"""
