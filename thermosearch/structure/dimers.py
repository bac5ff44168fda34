"""Dimers of a reconstructed surface: which atoms pair up, how long and how tilted they are."""

from typing import NamedTuple

import numpy as np
from ase.geometry import get_distances
from jaxtyping import Float, Int

from thermosearch.configuration import Configuration
from thermosearch.structure.surface import surface_normal


class Dimers(NamedTuple):
    """Bonded pairs within one layer of a surface.

    Attributes
    ----------
    pairs : (d, 2) int64
        The two atoms of each dimer, the higher one first.
    lengths : (d,) float64
        Bond lengths, A.
    buckling_angles : (d,) float64
        Angle between the bond and the surface plane, degrees, 0 to 90.
    """

    pairs: Int[np.ndarray, "d 2"]
    lengths: Float[np.ndarray, " d"]
    buckling_angles: Float[np.ndarray, " d"]


def surface_dimers(
    configuration: Configuration, candidates: Int[np.ndarray, " c"], longest: float
) -> Dimers:
    """Find the dimers among atoms that are all of one surface layer.

    Two atoms make a dimer when each is the nearest candidate of the other and they are not
    farther apart than `longest`. The buckling angle is arcsin(dz / d), dz along the surface
    normal.

    Parameters
    ----------
    configuration : Configuration
        The slab; its surface is spanned by the first two cell vectors.
    candidates : (c,) int
        Atoms of the layer, for example `surface.highest_atoms`.
    longest : float
        Longest bond, A: between the bond length and the next distance within the layer.

    Returns
    -------
    Dimers
        In the order of their first candidate; empty when no two are bonded.
    """
    positions = np.asarray(configuration.positions)[candidates]
    vectors, distances = get_distances(
        positions, cell=np.asarray(configuration.cell), pbc=np.asarray(configuration.pbc)
    )
    np.fill_diagonal(distances, np.inf)
    nearest = np.argmin(distances, axis=1) if len(candidates) else np.zeros(0, np.int64)
    heights = vectors @ surface_normal(configuration)
    own = np.arange(len(candidates))
    # Of an exactly flat pair (height 0) the lower index goes first.
    first = (heights[own, nearest] < 0) | ((heights[own, nearest] == 0) & (own < nearest))
    bonded = distances[own, nearest] <= longest
    dimer = own[(nearest[nearest] == own) & bonded & first]
    partner = nearest[dimer]
    lengths = distances[dimer, partner]
    sine = np.clip(np.abs(heights[dimer, partner]) / lengths, 0.0, 1.0)
    pairs = np.stack([candidates[dimer], candidates[partner]], axis=1).astype(np.int64)
    return Dimers(pairs, lengths, np.degrees(np.arcsin(sine)))
