"""Geometry of a slab whose surface is spanned by its first two cell vectors."""

import numpy as np
from jaxtyping import Float, Int

from thermosearch.configuration import Configuration


def surface_normal(configuration: Configuration) -> Float[np.ndarray, " 3"]:
    """Return the unit vector a x b / |a x b| of the surface, pointing to the upper face."""
    normal = _cross(configuration)
    return normal / np.linalg.norm(normal)


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
