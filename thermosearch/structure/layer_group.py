"""Layer groups, and the symmetry of any periodic structure as a label."""

import warnings

import numpy as np
import spglib

from thermosearch.configuration import Configuration
from thermosearch.structure.symmetry import space_group

TOLERANCE = 0.05
"""Atoms this near, A, are where a symmetry wants them."""


def symmetry_label(configuration: Configuration, tolerance: float = TOLERANCE) -> str:
    """International symbol and number, "p2mm (23)"; empty where there is none to be found.

    Parameters
    ----------
    configuration : Configuration
        Periodic in three directions (space group) or in all but one (layer group; the cell
        vector of that direction must span a volume with the others).
    tolerance : float
        A.
    """
    pbc = np.asarray(configuration.pbc)
    if pbc.all():
        group = space_group(configuration, tolerance)
        return f"{group.symbol} ({group.number})"
    if pbc.sum() != 2 or abs(np.linalg.det(configuration.cell)) == 0.0:
        return ""
    cell = (
        np.asarray(configuration.cell),
        np.asarray(configuration.positions) @ np.linalg.inv(configuration.cell),
        np.asarray(configuration.numbers),
    )
    direction = int(np.flatnonzero(~pbc)[0])
    with warnings.catch_warnings():
        # spglib returns None or, once phonopy is imported, raises: see `space_group`.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="spglib")
        try:
            found = spglib.get_symmetry_layerdataset(
                cell, aperiodic_dir=direction, symprec=tolerance
            )
        except spglib.SpglibError:
            return ""
    return "" if found is None else f"{found.international} ({found.number})"
