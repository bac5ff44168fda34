"""Where relaxations from kept configurations ended, and how that is kept in a checkpoint."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from thermosearch.configuration import Configuration


class Minimum(NamedTuple):
    """Where a relaxation from a kept configuration ended.

    Attributes
    ----------
    enthalpy, volume : float
        An atom; the energy and 0 where the cell is fixed.
    number : int
        Of its space group; 0 where it is not periodic in three directions.
    symbol : str
        Of its space group.
    configuration : Configuration
    """

    enthalpy: float
    volume: float
    number: int
    symbol: str
    configuration: Configuration


Ends = tuple[Minimum | None, ...]
"""Of relaxations in their order; None for one that came to no end."""


def describe_ends(ends: Ends) -> list[list[Any] | None]:
    """Give what of them is no array, for a checkpoint."""
    return [None if each is None else [each.number, each.symbol] for each in ends]


def ends_to_arrays(ends: Ends) -> dict[str, np.ndarray]:
    """All arrays of those that came to an end, for a checkpoint."""
    minima = [each for each in ends if each is not None]
    if not minima:
        return {}
    names = ("enthalpy", "volume")
    arrays = {name: np.array([getattr(each, name) for each in minima]) for name in names}
    return arrays | {
        name: np.stack([np.asarray(getattr(each.configuration, name)) for each in minima])
        for name in Configuration._fields
    }


def ends_from_arrays(arrays: dict[str, np.ndarray], about: Sequence[list[Any] | None]) -> Ends:
    """Rebuild them from `ends_to_arrays` and `describe_ends`."""
    rows = iter(range(len(about)))
    return tuple(None if each is None else _minimum(arrays, next(rows), *each) for each in about)


def _minimum(arrays: dict[str, np.ndarray], row: int, number: int, symbol: str) -> Minimum:
    configuration = Configuration(**{name: arrays[name][row] for name in Configuration._fields})
    enthalpy, volume = (float(arrays[name][row]) for name in ("enthalpy", "volume"))
    return Minimum(enthalpy, volume, number, symbol, configuration)
