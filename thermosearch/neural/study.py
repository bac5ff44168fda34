"""The study file of a training: what the user writes, checked."""

from pathlib import Path
from typing import Annotated, Any, Literal

from ase.data import atomic_numbers
from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from thermosearch.neural.config import ModelConfig
from thermosearch.neural.training.step import TrainConfig
from thermosearch.potentials.section import ModelName
from thermosearch.runtime.study import InputFile, RunSection, StrictModel


class DataFile(StrictModel):
    """A file of reference calculations and how it is read.

    Attributes
    ----------
    file : file
        extxyz, ASE database, npz, n2p2/RuNNer input.data or MLIP .cfg.
    elements : list of str
        Symbols of the types of an MLIP file.
    length_unit, energy_unit : str
        As for `read_dataset`.
    """

    file: InputFile
    elements: tuple[str, ...] | None = None
    length_unit: str | None = None
    energy_unit: str | None = None

    @property
    def conventions(self) -> dict[str, Any]:
        """What `read_dataset` must be told of the file."""
        return self.model_dump(include={"elements", "length_unit", "energy_unit"})


class DataSection(DataFile):
    """A file to train on, `[[data]]`: the keys of `DataFile`, and these.

    Attributes
    ----------
    level : str
        Name of the level of theory. Each level gets element energies of its own; those of the
        first file's level are the model's zero.
    energy_weight, forces_weight, stress_weight : float
        Weights of its frames in the loss. A frame without an energy, or without forces, is bad
        unless their weight is 0.
    every : int
        Use only one of every so many sound frames.
    group_weights : table of float
        Factors on all weights of the frames of a group; groups not named have 1.
    soft_energy : float or None
        A frame e eV/atom above the lowest of its file counts 1 / (1 + (e / soft_energy)^2);
        energies of the elements are taken off before frames of other compositions are compared.
    soft_force : float or None
        Its forces count in addition 1 / (1 + (largest force / soft_force)^2).
    bad : {"skip", "refuse"}
        What to do with bad frames.
    max_force : float
        A larger force component (eV/A) marks a bad frame.
    """

    level: str = ""
    energy_weight: NonNegativeFloat = 1.0
    forces_weight: NonNegativeFloat = 1.0
    stress_weight: NonNegativeFloat = 1.0
    every: PositiveInt = 1
    group_weights: dict[str, PositiveFloat] = Field(default_factory=dict)
    soft_energy: PositiveFloat | None = None
    soft_force: PositiveFloat | None = None
    bad: Literal["skip", "refuse"] = "skip"
    max_force: PositiveFloat = 500.0


class ModelSection(StrictModel):
    """Section `[model]`: the fields of `ModelConfig`.

    Attributes
    ----------
    elements : list of str or None
        By default those of the data.
    cutoff : float or None
        A; or give
    cutoff_in_neighbour_distances : float
        the cutoff in units of the data's median nearest-neighbour distance.
    """

    elements: tuple[str, ...] | None = None
    cutoff: PositiveFloat | None = None
    cutoff_in_neighbour_distances: PositiveFloat = 2.2
    basis: Literal["bessel"] = "bessel"
    n_max: int = Field(default=11, ge=0)
    l_max: int = Field(default=4, ge=0)
    channels: PositiveInt = 4
    radial: tuple[PositiveInt, ...] | None = (8, 6, 5, 4, 3)
    smoothness: PositiveFloat | None = 3.0
    angular_smoothness: PositiveFloat | None = None
    cross: int = Field(default=1, ge=0)
    scalars: Literal["linear", "squared"] = "linear"
    feature_bound: PositiveFloat | None = 20.0
    couplings: tuple[tuple[int, int, int], ...] = ((1, 1, 2), (2, 2, 2), (1, 2, 3), (2, 2, 4))
    coupling_channels: PositiveInt = 3
    core: Literal["pyramid", "residual"] = "pyramid"
    widths: tuple[PositiveInt, ...] = (48, 24)
    members: PositiveInt = 4
    descriptors: PositiveInt = 1
    repulsion: tuple[PositiveFloat, PositiveFloat] | None = (0.35, 0.7)

    @field_validator("elements")
    @classmethod
    def _known(cls, symbols: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for symbol in symbols or ():
            if symbol not in atomic_numbers or symbol == "X":
                raise ValueError(f"{symbol!r} is no chemical symbol")
        return symbols

    @model_validator(mode="after")
    def _consistent(self) -> "ModelSection":
        self.config(self.elements or ("H",), self.cutoff or 5.0, "float32")
        return self

    def config(self, elements: tuple[str, ...], cutoff: float, precision: str) -> ModelConfig:
        """Architecture, once elements and cutoff are known."""
        fields: dict[str, Any] = self.model_dump(exclude={"cutoff_in_neighbour_distances"})
        fields |= {"elements": elements, "cutoff": cutoff, "precision": precision}
        return ModelConfig(**fields)


class ValidationSection(StrictModel):
    """Section `[validation]`: what is held out of the training.

    Attributes
    ----------
    fraction : float
        Share of every group of the data.
    seed : int
        Of the draw.
    """

    fraction: float = Field(default=0.1, ge=0.0, lt=1.0)
    seed: int = Field(default=0, ge=0)


def _as_table(value: Any) -> Any:
    """Table of a file that needs no more than its name."""
    return {"file": value} if isinstance(value, str | Path) else value


class TrainStudy(StrictModel):
    """A training study.

    Attributes
    ----------
    kind : "train"
    name : str
        Of the model; goes into its file.
    licence : str
        Of the model file, as its data demand.
    data : list of DataSection
        At least one file.
    test : list of file or DataFile
        Files the finished model is judged on; not seen in training.
    start : str or None
        Model (a file or a shipped name) to go on from: its weights, scales and element energies
        instead of random ones. The architecture is its own; of `[model]` only `repulsion` may
        differ.
    """

    kind: Literal["train"] = "train"
    name: str = "model"
    licence: str = ""
    data: tuple[DataSection, ...] = Field(min_length=1)
    test: tuple[Annotated[DataFile, BeforeValidator(_as_table)], ...] = ()
    start: ModelName | None = None
    model: ModelSection = ModelSection()
    validation: ValidationSection = ValidationSection()
    training: TrainConfig = TrainConfig()
    run: RunSection = RunSection()

    @field_validator("test")
    @classmethod
    def _told_apart(cls, files: tuple[DataFile, ...]) -> tuple[DataFile, ...]:
        names = [each.file.stem for each in files]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"{names.count(name)} files are named {name!r}, by which errors are reported: "
                    "rename all but one"
                )
        return files
