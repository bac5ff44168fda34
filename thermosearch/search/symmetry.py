"""Operations that every structure of a search keeps, found in the founder and imposed."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from thermosearch.configuration import Configuration
from thermosearch.runtime.errors import InputError

TOLERANCE = 0.1
"""How far an atom of the founder may be from the image of another, A."""

ROTATIONS = {
    "inversion": -np.eye(3),
    "mirror_x": np.diag([-1.0, 1.0, 1.0]),
    "mirror_y": np.diag([1.0, -1.0, 1.0]),
    "mirror_z": np.diag([1.0, 1.0, -1.0]),
    "rotation_z": np.diag([-1.0, -1.0, 1.0]),
}
"""Operations by name; each is its own inverse, and any two commute."""

Operation = tuple[Float[np.ndarray, "3 3"], Int[np.ndarray, " n"]]
"""A rotation and where it takes each atom."""


class Symmetry(NamedTuple):
    """A group of operations on the atoms of a founder.

    Operation g takes the displacement u of atom i to g u of atom `image[g, i]`.

    Attributes
    ----------
    rotations : (g, 3, 3) float64
        Cartesian, the identity first.
    image : (g, n) int64
        Where each atom goes.
    """

    rotations: Float[np.ndarray, "g 3 3"]
    image: Int[np.ndarray, "g n"]

    @property
    def representatives(self) -> Int[np.ndarray, " r"]:
        """One atom of every orbit, the lowest number."""
        return np.unique(self.image.min(axis=0))

    def imposed(self, displacements: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Mean of a displacement field over the group: the symmetric part of it."""
        total = np.zeros_like(displacements)
        for rotation, image in zip(self.rotations, self.image, strict=True):
            total[image] += displacements @ rotation.T
        return total / len(self.rotations)

    def spread_out(self, displacements: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Continue the displacements of the representatives to all other atoms."""
        chosen = self.representatives
        field = np.zeros_like(displacements)
        seen = np.zeros(len(displacements))
        for rotation, image in zip(self.rotations, self.image, strict=True):
            field[image[chosen]] += displacements[chosen] @ rotation.T
            seen[image[chosen]] += 1.0
        return field / np.maximum(seen, 1.0)[:, None]


def find_symmetry(configuration: Configuration, names: tuple[str, ...]) -> Symmetry:
    """Find the operations, and the group they generate, in a structure.

    Each operation acts about a centre of its own, which is found: all combinations of the mid
    points of one atom with its equals are tried.

    Raises
    ------
    InputError
        If the structure lacks one of them.
    """
    positions = np.asarray(configuration.positions)
    group = [(np.eye(3), np.arange(len(positions)))]
    for name in names:
        found = _image(configuration, ROTATIONS[name])
        if found is None:
            raise InputError(
                f'system.symmetry: the founder has no "{name}" (to {TOLERANCE} A): give one that '
                "has it, or drop it from the list"
            )
        # An operation may leave every atom in its place: in a cell one atom wide, a mirror does.
        new = [(ROTATIONS[name] @ rotation, found[image]) for rotation, image in group]
        group += [each for each in new if not any(_equal(each, known) for known in group)]
    return Symmetry(np.stack([r for r, _ in group]), np.stack([i for _, i in group]))


def _equal(one: Operation, other: Operation) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def _image(
    configuration: Configuration, rotation: Float[np.ndarray, "3 3"]
) -> Int[np.ndarray, " n"] | None:
    """Permutation of the atoms by the rotation about the best centre; None if there is none."""
    positions, numbers = np.asarray(configuration.positions), np.asarray(configuration.numbers)
    rarest = min(set(numbers.tolist()), key=lambda z: int((numbers == z).sum()))
    candidates = np.flatnonzero(numbers == rarest)
    first = candidates[0]
    turned = positions @ rotation.T
    best, smallest = None, TOLERANCE
    for partner in candidates:
        shifted = turned + (positions[partner] - turned[first])
        image, farthest = assigned(configuration, shifted)
        # A glide by other than half a lattice vector of this cell is not its own inverse.
        if farthest < smallest and np.array_equal(image[image], np.arange(len(image))):
            best, smallest = image, farthest
    return best


def assigned(
    configuration: Configuration, points: Float[np.ndarray, "n 3"]
) -> tuple[Int[np.ndarray, " n"], float]:
    """Atom of the configuration nearest to each point, one to one and of equal element.

    Returns
    -------
    image : (n,) int64
        Atom `image[i]` is the one for point i.
    farthest : float
        Largest distance of a pair, A.
    """
    positions, numbers = np.asarray(configuration.positions), np.asarray(configuration.numbers)
    vectors = nearest_image(positions[None] - points[:, None], configuration)
    squared = np.sum(vectors**2, axis=-1)
    image = np.empty(len(numbers), np.int64)
    for element in np.unique(numbers):
        own = np.flatnonzero(numbers == element)
        rows, columns = linear_sum_assignment(squared[np.ix_(own, own)])
        image[own[rows]] = own[columns]
    return image, float(np.sqrt(squared[np.arange(len(image)), image].max()))


def nearest_image(
    vectors: Float[np.ndarray, "*pairs 3"], configuration: Configuration
) -> Float[np.ndarray, "*pairs 3"]:
    """Vectors brought into the cell around the origin, along the periodic directions.

    Exact for every vector that is shorter than half the smallest height of the cell.
    """
    periodic = np.where(np.asarray(configuration.pbc)[:, None], configuration.cell, 0.0)
    if not periodic.any():
        return vectors
    whole = np.round(vectors @ np.linalg.pinv(periodic))
    return vectors - whole @ periodic
