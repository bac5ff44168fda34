"""The space group of a supercell as an average: over translations, then over rotations.

Averaging over the group projects on what the symmetry allows, so force constants, centroids and
strains keep it exactly, whatever noise is averaged; and regression over samples carried by all
operations is regression within the allowed force constants, without a basis of them.

What translations leave as it is (force constants, covariances, their corrections) is
block-diagonal in `BlochFunctions`, one block a wave vector and its negative. Everything cubic in
the number of coordinates is done block by block.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from phonopy.structure.symmetry import Symmetry


class BlochFunctions(NamedTuple):
    """Real waves over the atoms of a supercell, cos(q r) and sin(q r) on each kind of atom.

    Attributes
    ----------
    waves : (n, n) float64
        Orthonormal columns.
    label : (n,) int64
        Number of the pair q, -q of each column.
    """

    waves: Float[np.ndarray, "n n"]
    label: Int[np.ndarray, " n"]


class SpaceGroup(NamedTuple):
    """Operations that map a supercell on itself, translations apart.

    Operation g carries atom i to atom `permutation[i]` and turns its displacement by R_g. The
    blocks (i, j) of a matrix that translations leave as it is are known from its rows of the
    first atoms, one of each orbit of the translations; `rows` and `all_rows` say where.

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
    first : (o,) int64
        First atoms.
    rows : (o, n, p) int64
        For every rotation, number o * n + j of the block that it carries to (first[o], j).
    all_rows : (n, n) int64
        Number of the block that some translation carries to (i, j).
    bloch : BlochFunctions
        Of the translations.
    """

    name: str
    translations: Int[np.ndarray, "t n"]
    rotations: Int[np.ndarray, "p 3 3"]
    permutations: Int[np.ndarray, "p n"]
    first: Int[np.ndarray, " o"]
    rows: Int[np.ndarray, "o n p"]
    all_rows: Int[np.ndarray, "n n"]
    bloch: BlochFunctions

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
    translations = translations[order]
    unique, chosen = np.unique(rotations.reshape(-1, 9), axis=0, return_index=True)
    permutations = permutations[chosen]
    first, all_rows = _rows_of_orbits(translations)
    inverse = np.argsort(permutations, axis=1)
    rows = all_rows[inverse[:, first][:, :, None], inverse[:, None, :]]
    return SpaceGroup(
        name=found.get_international_table().strip(),
        translations=translations,
        rotations=unique.reshape(-1, 3, 3),
        permutations=permutations,
        first=first,
        rows=np.ascontiguousarray(rows.transpose(1, 2, 0)),
        all_rows=all_rows,
        bloch=_bloch(translations, first),
    )


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
    # The inverses of all translations are all translations.
    mean = vectors[group.translations].mean(axis=0)
    carried = mean[np.argsort(group.permutations, axis=1)]
    return np.mean(carried @ cartesian_rotations(group, cell).transpose(0, 2, 1), axis=0)


def symmetrise_matrix(
    group: SpaceGroup, cell: Float[np.ndarray, "3 3"], matrix: Float[np.ndarray, "m m"]
) -> Float[np.ndarray, "m m"]:
    """Average of P_g M P_g^T over the group, for a matrix over the coordinates (m = 3 n)."""
    n, first = len(matrix) // 3, group.first
    blocks = matrix.reshape(n, 3, n, 3).transpose(0, 2, 1, 3).reshape(n * n, 9)
    moved = group.translations[:, first][:, :, None] * n + group.translations[:, None, :]
    rows = np.take(blocks, moved.reshape(len(moved), -1), axis=0).mean(axis=0)
    # R M R^T of all blocks and rotations by one product.
    turns = pair_turns(group, cell).transpose(0, 2, 1).reshape(-1, 9) / len(group.rotations)
    turned = np.take(rows, group.rows.reshape(len(rows), -1), axis=0)
    averaged = turned.reshape(len(rows), -1) @ turns
    full = np.take(averaged, group.all_rows, axis=0).reshape(n, n, 3, 3)
    return full.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)


def pair_turns(group: SpaceGroup, cell: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "p 9 9"]:
    """Kronecker squares of the rotations: what they make of the nine components of a tensor."""
    turn = cartesian_rotations(group, cell)
    return np.einsum("pab,pcd->pacbd", turn, turn).reshape(-1, 9, 9)


def _rows_of_orbits(
    translations: Int[np.ndarray, "t n"],
) -> tuple[Int[np.ndarray, " o"], Int[np.ndarray, "n n"]]:
    """First atom of each orbit, and of every block (i, j) the number of the one it comes from.

    Atom i is translation k of first atom o: the translation back brings (i, j) to
    (first[o], j'), block o * n + j'.
    """
    count = translations.shape[1]
    first = np.unique(translations.min(axis=0))
    images = translations[:, first]
    orbit, by = np.empty(count, np.int64), np.empty(count, np.int64)
    orbit[images] = np.arange(len(first))[None]
    by[images] = np.arange(len(images))[:, None]
    back = np.argsort(translations, axis=1)[by]
    return first, orbit[:, None] * count + back


def _bloch(translations: Int[np.ndarray, "t n"], first: Int[np.ndarray, " o"]) -> BlochFunctions:
    """Find the common eigenfunctions of the translations, by one generic sum of them.

    sum_k c_k (T_k + T_k^-1) has the eigenvalue 2 sum_k c_k cos(q r_k), the same for q and -q and,
    for generic c, for no other pair: its eigenspaces are the blocks.
    """
    count, atoms = translations.shape
    images = translations[:, first]
    place = np.empty(atoms, np.int64)
    place[images] = np.arange(count)[:, None]
    generic = np.zeros((count, count))
    weights = np.random.default_rng(0).standard_normal(count)
    for weight, permutation in zip(weights, translations, strict=True):
        generic[place[permutation[images[:, 0]]], np.arange(count)] += weight
    values, vectors = np.linalg.eigh(generic + generic.T)
    new = np.diff(values, prepend=-np.inf) > 1e-9 * np.abs(values).max()
    waves = np.zeros((atoms, count, len(first)))
    for o in range(len(first)):
        waves[images[:, o], :, o] = vectors
    return BlochFunctions(waves.reshape(atoms, atoms), np.repeat(np.cumsum(new) - 1, len(first)))
