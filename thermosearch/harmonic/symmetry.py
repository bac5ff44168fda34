"""The space group of a supercell as an average: over translations, then over rotations.

Averaging over the group projects on what the symmetry allows, so force constants, centroids and
strains keep it exactly, whatever noise is averaged; and regression over samples carried by all
operations is regression within the allowed force constants, without a basis of them.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from phonopy.structure.symmetry import Symmetry


class SpaceGroup(NamedTuple):
    """Operations that map a supercell on itself, translations apart.

    Operation g carries atom i to atom `permutation[i]` and turns its displacement by R_g.

    Attributes
    ----------
    name : str
        International symbol with number, "Fd-3m (227)".
    translations : (t, n) int64
        Permutations of the pure translations; the identity is the first.
    rotations : (p, 3, 3) int64
        One operation for every rotation, in lattice coordinates of the supercell: x -> W x.
    permutations : (p, n) int64
        Of these operations.
    """

    name: str
    translations: Int[np.ndarray, "t n"]
    rotations: Int[np.ndarray, "p 3 3"]
    permutations: Int[np.ndarray, "p n"]

    @property
    def order(self) -> int:
        """Number of operations."""
        return len(self.translations) * len(self.rotations)


def space_group(found: Symmetry) -> SpaceGroup:
    """Sort the operations that phonopy and spglib found for a supercell."""
    operations = found.symmetry_operations
    rotations = np.asarray(operations["rotations"], np.int64)
    permutations = np.asarray(found.atomic_permutations, np.int64)
    pure = np.all(rotations == np.eye(3, dtype=np.int64), axis=(1, 2))
    translations = permutations[pure]
    identity = np.flatnonzero(np.all(translations == np.arange(permutations.shape[1]), axis=1))
    order = np.r_[identity, np.setdiff1d(np.arange(len(translations)), identity)]
    unique, first = np.unique(rotations.reshape(-1, 9), axis=0, return_index=True)
    name = found.get_international_table().strip()
    return SpaceGroup(name, translations[order], unique.reshape(-1, 3, 3), permutations[first])


def cartesian_rotations(
    group: SpaceGroup, cell: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "p 3 3"]:
    """Rotations of Cartesian columns, R = h^T W h^-T, for a cell with rows h."""
    return cell.T @ group.rotations @ np.linalg.inv(cell.T)


def symmetrise_tensor(
    group: SpaceGroup, cell: Float[np.ndarray, "3 3"], tensor: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "3 3"]:
    """Average of R T R^T: the allowed part of a strain or stress."""
    turn = cartesian_rotations(group, cell)
    return np.mean(turn @ tensor @ turn.transpose(0, 2, 1), axis=0)


def symmetrise_vectors(
    group: SpaceGroup, cell: Float[np.ndarray, "3 3"], vectors: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "n 3"]:
    """Average of what the operations make of one vector an atom (displacements, forces)."""
    moved = np.empty_like(vectors)
    total = np.zeros_like(vectors)
    for permutation in group.translations:
        moved[permutation] = vectors
        total += moved
    mean = total / len(group.translations)
    total = np.zeros_like(vectors)
    for turn, permutation in zip(cartesian_rotations(group, cell), group.permutations, strict=True):
        moved[permutation] = mean @ turn.T
        total += moved
    return total / len(group.rotations)


def symmetrise_matrix(
    group: SpaceGroup, cell: Float[np.ndarray, "3 3"], matrix: Float[np.ndarray, "m m"]
) -> Float[np.ndarray, "m m"]:
    """Average of P_g M P_g^T over the group, for a matrix over the coordinates (m = 3 n)."""
    n = len(matrix) // 3
    blocks = matrix.reshape(n, 3, n, 3).transpose(0, 2, 1, 3)
    # Once translations are averaged, one row of blocks of every orbit of theirs tells all.
    first, shift = _orbits(group)
    rows = np.zeros((len(first), n, 3, 3))
    for permutation in group.translations:
        rows += blocks[permutation[first]][:, permutation]
    full = _spread(group, rows, shift)
    turned = np.zeros((len(first) * n, 9))
    for turn, permutation in zip(cartesian_rotations(group, cell), group.permutations, strict=True):
        inverse = np.argsort(permutation)
        carried = full[inverse[first][:, None], inverse].reshape(-1, 9)
        # R M R^T of all blocks by one product.
        turned += carried @ np.kron(turn, turn).T
    full = _spread(group, turned.reshape(rows.shape) / group.order, shift)
    return full.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)


def _orbits(
    group: SpaceGroup,
) -> tuple[Int[np.ndarray, " orbits"], tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]]:
    """First atom of each orbit of the translations; of every atom, its orbit and how it got there.

    Atom i is `translations[k][first[o]]`; returned are `first` and the arrays (o, k).
    """
    first = np.unique(group.translations.min(axis=0))
    images = group.translations[:, first]
    orbit = np.empty(images.size, np.int64)
    by = np.empty(images.size, np.int64)
    orbit[images] = np.arange(len(first))[None]
    by[images] = np.arange(len(images))[:, None]
    return first, (orbit, by)


def _spread(
    group: SpaceGroup,
    rows: Float[np.ndarray, "orbits n 3 3"],
    shift: tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]],
) -> Float[np.ndarray, "n n 3 3"]:
    """All rows of blocks of a matrix that translations leave as it is."""
    orbit, by = shift
    back = np.argsort(group.translations, axis=1)[by]
    return rows[orbit[:, None], back]
