"""Between a structure and the vector the strategy works on."""

from dataclasses import dataclass

import numpy as np
from ase.geometry import get_distances
from jaxtyping import Float, Int

from thermosearch.configuration import Configuration
from thermosearch.search.founder import Founder
from thermosearch.structure.surface import heights, surface_normal

REPAIR_SWEEPS = 30


@dataclass(frozen=True)
class DegreesOfFreedom:
    """Coordinates of the moved atoms: r = origin + scale * x, kept inside a window of height.

    One unit of `x` is 1 A for an atom at the top and less for deeper ones, so that one step
    size fits all.

    Attributes
    ----------
    founder : Configuration
        Where all other atoms stand.
    atoms : (m,) int64
        The moved atoms.
    scale : (m,) float64
        A per unit of x.
    lowest, highest : float
        Window of the heights of moved atoms, A.
    """

    founder: Configuration
    atoms: Int[np.ndarray, " m"]
    scale: Float[np.ndarray, " m"]
    lowest: float
    highest: float

    @property
    def size(self) -> int:
        """Length of the vector."""
        return 3 * len(self.atoms)

    def positions(self, vector: Float[np.ndarray, " d"]) -> Float[np.ndarray, "n 3"]:
        """Positions of all atoms of an individual, A."""
        positions = np.array(self.founder.positions)
        positions[self.atoms] += self.scale[:, None] * vector.reshape(-1, 3)
        return self.confined(positions)

    def vector(self, positions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " d"]:
        """Return the vector of positions inside the window; inverse of `positions`."""
        displacement = (positions - np.asarray(self.founder.positions))[self.atoms]
        return (displacement / self.scale[:, None]).reshape(-1)

    def confined(self, positions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Positions with the moved atoms brought back into the window along the normal."""
        normal = surface_normal(self.founder)
        height = positions[self.atoms] @ normal
        inside = np.clip(height, self.lowest, self.highest)
        confined = positions.copy()
        confined[self.atoms] += (inside - height)[:, None] * normal
        return confined

    def escaped(self, positions: Float[np.ndarray, "n 3"], tolerance: float = 0.5) -> bool:
        """Whether a relaxation carried a moved atom out of the window by more than this, A."""
        height = positions[self.atoms] @ surface_normal(self.founder)
        return bool(
            height.min() < self.lowest - tolerance or height.max() > self.highest + tolerance
        )


def make_degrees_of_freedom(
    founder: Founder, depth_decay: float | None, window: tuple[float, float]
) -> DegreesOfFreedom:
    """Choose scale and window of the moved atoms.

    Parameters
    ----------
    founder : Founder
        The slab and its roles.
    depth_decay : float or None
        The scale is exp(-depth / depth_decay), depth in A below the topmost atom; 1 if None.
    window : (float, float)
        A below the lowest and above the highest moved atom.
    """
    height = heights(founder.configuration)
    moved = height[founder.moved]
    depth = height.max() - moved
    scale = np.ones_like(depth) if depth_decay is None else np.exp(-depth / depth_decay)
    return DegreesOfFreedom(
        founder.configuration,
        founder.moved,
        scale,
        lowest=float(moved.min() - window[0]),
        highest=float(moved.max() + window[1]),
    )


def repaired(
    freedom: DegreesOfFreedom, positions: Float[np.ndarray, "n 3"], minimum: float
) -> tuple[Float[np.ndarray, "n 3"], bool]:
    """Push moved atoms away from atoms that are too near.

    Parameters
    ----------
    freedom : DegreesOfFreedom
        Whose atoms may be pushed, within its window.
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


def _pushes(
    freedom: DegreesOfFreedom, positions: Float[np.ndarray, "n 3"], minimum: float
) -> tuple[Float[np.ndarray, "m 3"], bool]:
    """Displacements that open every short distance, shared by two moved atoms."""
    vectors, distances = _separations(freedom, positions)
    near = distances < minimum
    shared = np.isin(np.arange(len(positions)), freedom.atoms)
    # A little more than asked for, so that the sweeps end.
    missing = np.where(near, minimum * 1.001 - distances, 0.0) * np.where(shared, 0.5, 1.0)
    # Atoms on one spot part along the normal.
    apart = np.where(
        distances[..., None] > 1e-6,
        -vectors / np.maximum(distances, 1e-6)[..., None],
        surface_normal(freedom.founder),
    )
    return np.einsum("mn,mnk->mk", missing, apart), bool(near.any())


def _separations(
    freedom: DegreesOfFreedom, positions: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, "m n 3"], Float[np.ndarray, "m n"]]:
    """Vectors from every moved atom to every atom's nearest image, an atom's own at infinity."""
    vectors, distances = get_distances(
        positions[freedom.atoms],
        positions,
        cell=np.asarray(freedom.founder.cell),
        pbc=np.asarray(freedom.founder.pbc, bool),
    )
    distances[np.arange(len(freedom.atoms)), freedom.atoms] = np.inf
    return vectors, distances
