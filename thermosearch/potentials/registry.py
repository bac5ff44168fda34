"""Potentials by name: the analytic ones, the models that ship, and model files."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np

from thermosearch.potentials.einstein import EinsteinCrystal
from thermosearch.potentials.ideal_gas import IdealGas
from thermosearch.potentials.interface import Potential
from thermosearch.potentials.lennard_jones import LennardJones
from thermosearch.potentials.stillinger_weber import StillingerWeber
from thermosearch.potentials.wells import PolynomialWell
from thermosearch.runtime.errors import InputError

ANALYTIC: dict[str, Callable[..., Potential]] = {
    "lennard_jones": LennardJones,
    "stillinger_weber": StillingerWeber,
    "ideal_gas": IdealGas,
    "einstein": EinsteinCrystal,
    "polynomial_well": PolynomialWell,
}


def load_potential(
    name: str | Path, precision: Literal["float32", "float64"] | None = None
) -> Potential:
    """Load a shipped model by its name, or a model file by its path.

    Parameters
    ----------
    name : str or Path
        A name of `shipped_models()`, or a file.
    precision : {"float32", "float64"}, optional
        The model computes in; by default what its file says.

    Raises
    ------
    InputError
        If there is neither; or the file is truncated, altered or not a model.
    """
    # The rooms above `neural` must not need it: only whoever asks for a model imports it.
    from thermosearch.neural.model import with_precision  # noqa: PLC0415
    from thermosearch.neural.model_file import load  # noqa: PLC0415

    model = load(find_model(name))
    return model if precision is None else with_precision(model, precision)


def model_parity(name: str | Path) -> dict[str, np.ndarray]:
    """Read the comparison with reference data that a model's file holds of it.

    Parameters
    ----------
    name : str or Path
        A name of `shipped_models()`, or a file.

    Returns
    -------
    dict of str to array
        `parity/SPLIT/energy_reference` and so on; empty if the file holds none.

    Raises
    ------
    InputError
        As `load_potential`.
    """
    from thermosearch.neural.model_file import load_file  # noqa: PLC0415

    arrays = load_file(find_model(name)).arrays
    return {key: array for key, array in arrays.items() if key.startswith("parity/")}


def shipped_models() -> tuple[str, ...]:
    """List the names of the models that ship with the package."""
    return tuple(sorted(path.stem for path in _folder().glob("*.npz")))


def find_model(name: str | Path) -> Path:
    """Find the file of a shipped name or of a path.

    Raises
    ------
    InputError
        If there is neither.
    """
    if str(name) in shipped_models():
        return _folder() / f"{name}.npz"
    if Path(name).is_file():
        return Path(name)
    known = ", ".join(shipped_models()) or "none"
    raise InputError(f"model {str(name)!r}: neither a file nor a shipped model ({known})")


def _folder() -> Path:
    return Path(str(files("thermosearch") / "models"))
