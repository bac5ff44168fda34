"""Section `[potential]` of a study: which energy."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from thermosearch.potentials.ase_bridge import CalculatorPotential
from thermosearch.potentials.interface import Potential
from thermosearch.potentials.registry import ANALYTIC, find_model, load_potential, model_parity
from thermosearch.runtime.errors import InputError
from thermosearch.runtime.study import StrictModel


def _found_model(name: str, info: Any) -> str:
    """Full path of a file beside the study; a shipped name as it is."""
    beside = (info.context or {}).get("folder", Path()) / name
    found = str(beside.resolve()) if beside.is_file() else name
    try:
        find_model(found)
    except InputError as error:
        raise ValueError(str(error)) from error
    return found


ModelName = Annotated[str, AfterValidator(_found_model)]
"""A shipped model's name, or a model file; relative paths count from the study's folder."""


class PotentialSection(StrictModel):
    """Exactly one of `model`, `analytic`, `jax` and `ase`.

    A wrong name, or a wrong parameter of a potential, is found when the study is read; a wrong
    argument of a calculator when it is made.
    """

    model: ModelName | None = None
    """A shipped model's name, or a model file."""
    analytic: Literal[tuple(ANALYTIC)] | None = None  # type: ignore[valid-type]
    """An analytic potential's name."""
    jax: str | None = None
    """A `Potential` of one's own as "package.module:Class", or a function that returns one."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Of the analytic potential, or keyword arguments of one's own."""
    ase: str | None = None
    """An ASE calculator as "package.module:Calculator"."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the ASE calculator."""
    on_failure: Literal["raise", "nan"] = "raise"
    """What a failing ASE calculator does: end the run, or give NaN (the engine rejects it)."""

    @model_validator(mode="after")
    def _check(self) -> "PotentialSection":
        kinds = ("model", "analytic", "jax", "ase")
        chosen = [key for key in kinds if getattr(self, key) is not None]
        if len(chosen) != 1:
            given = ", ".join(chosen) or "none"
            raise ValueError(f"give exactly one of model, analytic, jax and ase (given: {given})")
        if self.parameters and self.analytic is None and self.jax is None:
            raise ValueError("parameters belong to an analytic or a jax potential")
        if self.arguments and self.ase is None:
            raise ValueError("arguments belong to an ase calculator")
        try:
            if self.analytic is not None or self.jax is not None:
                self.build()
            elif self.ase is not None:
                _imported(self.ase, "ase")
        except InputError as error:
            raise ValueError(str(error)) from error
        return self

    def build(self, precision: Literal["float32", "float64"] | None = None) -> Potential:
        """Make the potential.

        Parameters
        ----------
        precision : {"float32", "float64"}, optional
            Of a model (`[run] precision`). Analytic potentials compute in float64 unless their
            parameters say otherwise, one's own and calculators in what they are made for.

        Raises
        ------
        InputError
            Unknown parameter, unreadable file, or a potential or calculator that cannot be made.
        """
        if self.model is not None:
            return load_potential(self.model, precision)
        if self.analytic is not None:
            return _call(ANALYTIC[self.analytic], self.parameters, f"analytic = {self.analytic!r}")
        # What others wrote raises whatever it stumbles upon.
        if self.jax is not None:
            label = f"jax = {self.jax!r}"
            made = _call(_imported(self.jax, "jax"), self.parameters, label, Exception)
            return _checked(made, label)
        label = f"ase = {self.ase!r}"
        calculator = _call(_imported(self.ase, "ase"), self.arguments, label, Exception)
        return CalculatorPotential(calculator, on_failure=self.on_failure)

    def parity(self) -> dict[str, np.ndarray]:
        """Arrays that compare the model with reference data, for the report of a run.

        Returns
        -------
        dict of str to array
            `parity/SPLIT/energy_reference` and so on, and `parity/source`, its name; empty
            unless the potential is a model whose file holds such a comparison.
        """
        arrays = {} if self.model is None else model_parity(self.model)
        return arrays and arrays | {"parity/source": np.array(f"model {Path(self.model).stem}")}


def _call(
    function: Any,
    arguments: dict[str, Any],
    label: str,
    failures: type[Exception] | tuple[type[Exception], ...] = (TypeError, ValueError),
) -> Any:
    try:
        return function(**arguments)
    except failures as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"potential: {label}: wrong parameters {arguments}: {reason}") from error


def _checked(made: Any, label: str) -> Potential:
    """One's own potential, if it is one."""
    if not isinstance(made, Potential):
        raise InputError(
            f"potential: {label}: gives a {type(made).__name__}, not a thermosearch Potential"
        )
    return made


def _imported(name: str, key: str) -> Any:
    """Import what a key names as "package.module:Name"."""
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise InputError(f'potential: {key} = {name!r}: write "package.module:Name"')
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"potential: {key} = {name!r}: cannot be imported: {error}") from error
