"""The study file of effective harmonic potentials: what the user writes, checked."""

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from thermosearch.potentials.section import PotentialSection
from thermosearch.runtime.study import InputFile, RunSection, StrictModel

Row = tuple[int, int, int]


def group_name(phase: str) -> str:
    """Name of a phase's groups in `results.h5`, where a slash would begin another one."""
    return phase.replace("/", "-")


def _matrix(value: Any) -> Any:
    """Write three repetitions as the diagonal of a matrix."""
    rows = list(value) if isinstance(value, list | tuple) else []
    if len(rows) == 3 and all(isinstance(each, int) for each in rows):
        return tuple(tuple(n if k == j else 0 for k in range(3)) for j, n in enumerate(rows))
    whole = [isinstance(each, list | tuple) and len(each) == 3 for each in rows]
    if len(rows) != 3 or not all(whole) or not all(isinstance(n, int) for r in rows for n in r):
        raise ValueError("expected three integers, or a 3 x 3 matrix of them")
    return tuple(tuple(row) for row in rows)


Supercell = Annotated[tuple[Row, Row, Row], BeforeValidator(_matrix)]
"""Repetitions along the vectors of the unit cell, or phonopy's supercell matrix."""


class BulkSection(StrictModel):
    """A simple crystal, built by ASE.

    Attributes
    ----------
    formula : str
        "Si", "NaCl".
    structure : str
        "diamond", "fcc", "bcc", "hcp", "rocksalt", "zincblende", ...
    a, c : float
        Lattice parameters, A.
    cubic : bool
        The cubic cell of a cubic structure; otherwise its primitive cell.
    """

    formula: str
    structure: Literal[
        "sc", "fcc", "bcc", "hcp", "diamond", "zincblende", "rocksalt", "cesiumchloride"
    ]
    a: PositiveFloat
    c: PositiveFloat | None = None
    cubic: bool = True


class PhaseSection(StrictModel):
    """A crystal: exactly one of `structure` and `bulk`.

    Attributes
    ----------
    name : str
        Of the phase.
    structure : file or None
        Its unit cell, any format of ASE, taken as given: relax it with the potential first ...
    bulk : BulkSection or None
        ... or built.
    supercell : 3 or 3 x 3 int
        Repetitions, or phonopy's supercell matrix.
    space_group : str, int or None
        Symbol or number it must have; found and reported where it is not given.
    born : file or None
        phonopy's BORN file: Born charges and dielectric tensor.
    distort : bool
        Where a mode is imaginary, displace the supercell along the softest one, to the lowest
        energy: a crystal of lower symmetry, whose unit cell is this supercell.
    """

    name: str = "crystal"
    structure: InputFile | None = None
    bulk: BulkSection | None = None
    supercell: Supercell
    space_group: str | int | None = None
    born: InputFile | None = None
    distort: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> "PhaseSection":
        if (self.structure is None) == (self.bulk is None):
            raise ValueError('give either structure = "FILE" or [bulk], not both or none')
        if self.distort and self.born is not None:
            raise ValueError("distort: Born charges are those of the cell as given; drop one")
        return self


class SystemSection(StrictModel):
    """The phases.

    Attributes
    ----------
    phases : tuple of PhaseSection
        At least one, each with a name of its own.
    """

    phases: tuple[PhaseSection, ...]

    @field_validator("phases")
    @classmethod
    def _named(cls, phases: tuple[PhaseSection, ...]) -> tuple[PhaseSection, ...]:
        if not phases:
            raise ValueError("give at least one phase")
        names = [phase.name for phase in phases]
        if len({group_name(name) for name in names}) < len(names):
            raise ValueError(
                f"the names of the phases are {names}: each needs one of its own, and results.h5 "
                'writes "/" as "-"'
            )
        return phases


class IntegrationSection(StrictModel):
    """From the effective crystal to the true potential (classical).

    Attributes
    ----------
    points : int
        Gauss-Legendre points to begin with.
    most_points : int
        At most; they are doubled while neighbouring ones hardly overlap.
    walkers : int
        Independent walks at each; the error comes from them.
    equilibration, samples : int
        Trajectories of each walk, dropped and kept.
    """

    points: PositiveInt = 4
    most_points: PositiveInt = 16
    walkers: Annotated[int, Field(ge=2)] = 8
    equilibration: NonNegativeInt = 20
    samples: PositiveInt = 100


class MethodSection(StrictModel):
    """The variational loop.

    Attributes
    ----------
    temperatures : tuple of float
        K, each once; each point starts from the one before it. 0 K has no classical free energy,
        and so neither classical statistics nor an integration.
    statistics : {"quantum", "classical"}
        Of the nuclei.
    cell : {"free", "fixed"}
        Whether the cell follows the pressure, as far as its symmetry lets it.
    pressures : tuple of float
        GPa, each once.
    samples : int
        First number of configurations on each harmonic potential; it grows as errors ask for.
    most_samples : int
        Limit of that.
    steps : int
        Most refits at each point.
    error : float
        Of the free energy to reach, eV per atom.
    strain_error : float
        Of the cell's strain to reach.
    curvature : int
        Softest modes whose free-energy curvature, bubble term included, is computed; 0 for none.
    member_samples : int
        Configurations on which the members of a committee are compared; 0 for none.
    quasi_harmonic : bool
        Compute the quasi-harmonic approximation beside.
    integration : IntegrationSection or None
        Beyond the variational bound.
    """

    temperatures: Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)]
    statistics: Literal["quantum", "classical"] = "quantum"
    cell: Literal["free", "fixed"] = "free"
    pressures: Annotated[tuple[float, ...], Field(min_length=1)] = (0.0,)
    samples: Annotated[int, Field(ge=8)] = 32
    most_samples: PositiveInt = 4096
    steps: PositiveInt = 40
    error: PositiveFloat = 2.0e-4
    strain_error: PositiveFloat = 1.0e-4
    curvature: NonNegativeInt = 0
    member_samples: NonNegativeInt = 8
    quasi_harmonic: bool = True
    integration: IntegrationSection | None = None

    @model_validator(mode="after")
    def _sensible(self) -> "MethodSection":
        if self.statistics == "classical" and min(self.temperatures) == 0.0:
            raise ValueError(
                "temperatures: 0 K has no classical free energy; take "
                'statistics = "quantum", or a temperature above zero'
            )
        if self.integration is not None and min(self.temperatures) == 0.0:
            raise ValueError(
                "temperatures: the integration is classical and has nothing at 0 K; leave 0 K or "
                "[method.integration] out"
            )
        for name in ("temperatures", "pressures"):
            given = getattr(self, name)
            if len(set(given)) < len(given):
                raise ValueError(f"{name} = {list(given)}: one is given twice")
        if self.cell == "fixed" and self.pressures != (0.0,):
            raise ValueError('pressures: with cell = "fixed" the pressure follows; leave them out')
        if self.most_samples < self.samples:
            raise ValueError(f"most_samples = {self.most_samples} is below samples")
        return self


class AnalysisSection(StrictModel):
    """What is made of the effective phonons.

    Attributes
    ----------
    mesh : float
        Length, A, that sets the q mesh of the interpolated free energy and the DOS.
    long_range : {"none", "gonze", "wang"}
        Non-analytic correction by the Born charges of each phase.
    """

    mesh: PositiveFloat = 60.0
    long_range: Literal["none", "gonze", "wang"] = "none"


class HarmonicRunSection(RunSection):
    """Section `[run]`; displacements are small, so the model computes in float64."""

    precision: Literal["float32", "float64"] = "float64"


class HarmonicStudy(StrictModel):
    """Free energies, thermal expansion and transitions of anharmonic crystals."""

    kind: Literal["harmonic"] = "harmonic"
    potential: PotentialSection
    system: SystemSection
    method: MethodSection
    analysis: AnalysisSection = AnalysisSection()
    run: HarmonicRunSection = HarmonicRunSection()

    @model_validator(mode="after")
    def _charges(self) -> "HarmonicStudy":
        missing = [phase.name for phase in self.system.phases if phase.born is None]
        if self.analysis.long_range != "none" and missing:
            raise ValueError(
                f'analysis.long_range = "{self.analysis.long_range}" needs Born charges: give '
                f'born = "BORN" (phonopy\'s format) in phase {missing[0]!r}, or "none"'
            )
        return self
