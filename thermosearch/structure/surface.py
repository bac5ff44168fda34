"""Geometry of a slab whose surface is spanned by its first two cell vectors."""

import numpy as np
from jaxtyping import Float, Int

from thermosearch.configuration import Configuration


def surface_normal(configuration: Configuration) -> Float[np.ndarray, " 3"]:
    """Return the unit vector normal to a and b that points to the upper face.

    Upwards is the third cell vector's side, whatever the handedness of the cell; +z where that
    vector is zero.
    """
    cross = _cross(configuration)
    normal = cross / np.linalg.norm(cross)
    rises = float(normal @ np.asarray(configuration.cell)[2]) or float(normal[2])
    return -normal if rises < 0.0 else normal


def surface_area(configuration: Configuration) -> float:
    """Area |a x b| of one face, A^2."""
    return float(np.linalg.norm(_cross(configuration)))


def heights(configuration: Configuration) -> Float[np.ndarray, " n"]:
    """Heights of the atoms along the surface normal, A."""
    return np.asarray(configuration.positions) @ surface_normal(configuration)


def layers_from_top(configuration: Configuration, tolerance: float = 0.3) -> Int[np.ndarray, " n"]:
    """Layer of every atom, counted from the top (0).

    Parameters
    ----------
    configuration : Configuration
        The slab.
    tolerance : float
        A gap in height larger than this, A, separates two layers.

    Returns
    -------
    (n,) int64
        Layer index.
    """
    height = heights(configuration)
    order = np.argsort(-height, kind="stable")
    starts = np.diff(-height[order], prepend=-height[order[:1]]) > tolerance
    layer = np.empty(len(height), np.int64)
    layer[order] = np.cumsum(starts)
    return layer


def highest_atoms(configuration: Configuration, count: int) -> Int[np.ndarray, " count"]:
    """Return the indices of the `count` highest atoms, in index order."""
    order = np.argsort(-heights(configuration), kind="stable")
    return np.sort(order[:count])


def _cross(configuration: Configuration) -> Float[np.ndarray, " 3"]:
    cell = np.asarray(configuration.cell)
    return np.cross(cell[0], cell[1])
