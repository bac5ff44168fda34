"""Space groups."""

import warnings
from typing import NamedTuple

import numpy as np
import spglib

from thermosearch.configuration import Configuration


class SpaceGroup(NamedTuple):
    """Number in the International Tables and its Hermann-Mauguin symbol."""

    number: int
    symbol: str


UNKNOWN = SpaceGroup(1, "P1")


def space_group(configuration: Configuration, tolerance: float = 0.1) -> SpaceGroup:
    """Find the space group of a structure periodic in three directions.

    Parameters
    ----------
    configuration : Configuration
        One, without batch axis.
    tolerance : float
        Distance within which atoms coincide (spglib's `symprec`), A.

    Returns
    -------
    SpaceGroup
        P1 where spglib finds none: overlapping atoms, or symmetry that the tolerance breaks.
    """
    cell = (
        np.asarray(configuration.cell),
        np.linalg.solve(np.asarray(configuration.cell).T, np.asarray(configuration.positions).T).T,
        np.asarray(configuration.numbers),
    )
    with warnings.catch_warnings():
        # spglib says at every call that it is about to raise instead of returning None; phonopy,
        # once imported, makes it raise already.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="spglib")
        try:
            dataset = spglib.get_symmetry_dataset(cell, symprec=tolerance)
        except spglib.SpglibError:
            return UNKNOWN
    return UNKNOWN if dataset is None else SpaceGroup(int(dataset.number), dataset.international)
