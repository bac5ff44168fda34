"""Between a structure and the vector an engine works on."""

from dataclasses import dataclass

import numpy as np
from ase.geometry import get_distances
from jaxtyping import Float, Int

from thermosearch.configuration import Configuration
from thermosearch.search.founder import Founder
from thermosearch.search.regions import Region, Shell, TwoWindows, Window
from thermosearch.search.roles import depths
from thermosearch.search.symmetry import Symmetry, nearest_image
from thermosearch.structure.surface import heights, surface_normal

REPAIR_SWEEPS = 30


@dataclass(frozen=True)
class DegreesOfFreedom:
    """Coordinates of the moved atoms: r = origin + scale * x, kept inside a region.

    One unit of `x` is 1 A for an atom at the top and less for deeper ones, so that one step
    size fits all. With a symmetry only one atom of every orbit has coordinates.

    Attributes
    ----------
    founder : Configuration
        Where all other atoms stand.
    atoms : (m,) int64
        The moved atoms.
    independent : (k,) int64
        Those that have coordinates of their own; `atoms` without a symmetry.
    scale : (k,) float64
        A per unit of x.
    region : Region
        Of the moved atoms.
    symmetry : Symmetry or None
        Kept by every structure.
    """

    founder: Configuration
    atoms: Int[np.ndarray, " m"]
    independent: Int[np.ndarray, " k"]
    scale: Float[np.ndarray, " k"]
    region: Region
    symmetry: Symmetry | None = None

    @property
    def size(self) -> int:
        """Length of the vector."""
        return 3 * len(self.independent)

    def positions(self, vector: Float[np.ndarray, " d"]) -> Float[np.ndarray, "n 3"]:
        """Positions of all atoms of an individual, A."""
        displacement = np.zeros_like(self.founder.positions)
        displacement[self.independent] = self.scale[:, None] * vector.reshape(-1, 3)
        if self.symmetry is not None:
            displacement = self.symmetry.spread_out(displacement)
        return self.confined(np.asarray(self.founder.positions) + displacement)

    def vector(self, positions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " d"]:
        """Return the vector of positions inside the region; inverse of `positions`."""
        displacement = (positions - np.asarray(self.founder.positions))[self.independent]
        return (displacement / self.scale[:, None]).reshape(-1)

    def confined(self, positions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Positions with the moved atoms brought back into the region, symmetry imposed."""
        confined = positions.copy()
        confined[self.atoms] = self.region.confined(positions[self.atoms])
        return self.symmetric(confined)

    def symmetric(self, positions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Symmetric part of the displacements from the founder; nothing to do without one."""
        if self.symmetry is None:
            return positions
        origin = np.asarray(self.founder.positions)
        return origin + self.symmetry.imposed(positions - origin)

    def escaped(self, positions: Float[np.ndarray, "n 3"], tolerance: float = 0.5) -> bool:
        """Whether a relaxation carried a moved atom out of the region by more than this, A."""
        return self.region.outside(positions[self.atoms]) > tolerance


def make_degrees_of_freedom(
    founder: Founder, depth_decay: float | None, window: tuple[float, float]
) -> DegreesOfFreedom:
    """Choose scale and region of the moved atoms.

    Parameters
    ----------
    founder : Founder
        The structure and its roles.
    depth_decay : float or None
        Of a slab: the scale is exp(-depth / depth_decay), depth in A below the topmost atom
        (of the nearer face); 1 if None.
    window : (float, float)
        Of a slab: A below the lowest and above the highest moved atom (of the upper face); of a
        particle: nearer to its centre than the innermost and farther than the outermost.
    """
    configuration, moved = founder.configuration, founder.moved
    independent = moved
    if founder.symmetry is not None:
        independent = np.intersect1d(moved, founder.symmetry.representatives)
    scale = np.ones(len(independent))
    if founder.is_slab and depth_decay is not None:
        scale = np.exp(-depths(configuration, founder.both_faces)[independent] / depth_decay)
    region = founder.region
    if region is None:
        region = (_window if founder.is_slab else _shell)(founder, window)
    return DegreesOfFreedom(configuration, moved, independent, scale, region, founder.symmetry)


def repaired(
    freedom: DegreesOfFreedom, positions: Float[np.ndarray, "n 3"], minimum: float
) -> tuple[Float[np.ndarray, "n 3"], bool]:
    """Push moved atoms away from atoms that are too near.

    Parameters
    ----------
    freedom : DegreesOfFreedom
        Whose atoms may be pushed, within its region.
    positions : (n, 3)
        Of an individual, A.
    minimum : float
        Smallest distance asked for, A.

    Returns
    -------
    positions : (n, 3) float64
        Repaired positions.
    done : bool
        False if some atoms are still too near.
    """
    for _ in range(REPAIR_SWEEPS):
        push, near = _pushes(freedom, positions, minimum)
        if not near:
            return positions, True
        positions = positions.copy()
        positions[freedom.atoms] += push
        positions = freedom.confined(positions)
    return positions, not _pushes(freedom, positions, minimum)[1]


def nearest_distance(freedom: DegreesOfFreedom, positions: Float[np.ndarray, "n 3"]) -> float:
    """Shortest distance of a moved atom to any other, A."""
    return float(_separations(freedom, positions)[1].min())


def _window(founder: Founder, window: tuple[float, float]) -> Window | TwoWindows:
    configuration = founder.configuration
    height = heights(configuration)
    normal, cell = surface_normal(configuration), np.asarray(configuration.cell)
    middle = 0.5 * float(height.min() + height.max())
    moved = height[founder.moved]
    if founder.both_faces:
        moved = np.where(moved < middle, 2.0 * middle - moved, moved)
    upper = Window(normal, cell, float(moved.min() - window[0]), float(moved.max() + window[1]))
    return TwoWindows(upper, middle) if founder.both_faces else upper


def _shell(founder: Founder, window: tuple[float, float]) -> Shell:
    positions = np.asarray(founder.configuration.positions)
    centre = positions.mean(axis=0)
    moved = np.linalg.norm(positions[founder.moved] - centre, axis=1)
    return Shell(centre, max(float(moved.min()) - window[0], 0.0), float(moved.max()) + window[1])


def _pushes(
    freedom: DegreesOfFreedom, positions: Float[np.ndarray, "n 3"], minimum: float
) -> tuple[Float[np.ndarray, "m 3"], bool]:
    """Displacements that open every short distance, shared by two moved atoms."""
    vectors, distances = _separations(freedom, positions)
    near = distances < minimum
    if not near.any():
        return np.zeros((len(freedom.atoms), 3)), False
    shared = np.isin(np.arange(len(positions)), freedom.atoms)
    # A little more than asked for, so that the sweeps end.
    missing = np.where(near, minimum * 1.001 - distances, 0.0) * np.where(shared, 0.5, 1.0)
    # Atoms on one spot part along the normal, the first one upwards.
    upwards = np.where(freedom.atoms[:, None] < np.arange(len(positions)), 1.0, -1.0)
    apart = np.where(
        distances[..., None] > 1e-6,
        -vectors / np.maximum(distances, 1e-6)[..., None],
        upwards[..., None] * _upwards(freedom.founder),
    )
    return np.einsum("mn,mnk->mk", missing, apart), True


def _separations(
    freedom: DegreesOfFreedom, positions: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, "m n 3"], Float[np.ndarray, "m n"]]:
    """Vectors from every moved atom to every atom's nearest image, an atom's own at infinity.

    Distances beyond half the smallest height of the cell may be those of a farther image; in
    cells so small that this could matter, ASE looks at all images.
    """
    moved = positions[freedom.atoms]
    if _smallest_height(freedom.founder) < SMALL_CELL:
        vectors, distances = get_distances(
            moved,
            positions,
            cell=np.asarray(freedom.founder.cell),
            pbc=np.asarray(freedom.founder.pbc, bool),
        )
    else:
        vectors = nearest_image(positions[None] - moved[:, None], freedom.founder)
        distances = np.sqrt(np.einsum("mnk,mnk->mn", vectors, vectors))
    distances[np.arange(len(freedom.atoms)), freedom.atoms] = np.inf
    return vectors, distances


SMALL_CELL = 6.0
"""Cells of smaller heights, A, have several images of an atom within a bond."""


def _smallest_height(configuration: Configuration) -> float:
    """Smallest distance of opposite faces of the cell, periodic directions only."""
    pbc = np.asarray(configuration.pbc)
    if not pbc.any():
        return np.inf
    periodic = np.where(pbc[:, None], configuration.cell, 0.0)
    return float(1.0 / np.linalg.norm(np.linalg.pinv(periodic), axis=0)[pbc].max())


def _upwards(configuration: Configuration) -> Float[np.ndarray, "3"]:
    """Return the surface normal; the third axis where nothing spans a surface."""
    spans = np.linalg.norm(np.cross(configuration.cell[0], configuration.cell[1])) > 0.0
    return surface_normal(configuration) if spans else np.array([0.0, 0.0, 1.0])
