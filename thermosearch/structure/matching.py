"""Whether two structures are one: exactly, whatever their origin, order, images or orientation.

Candidate motions are few: an atom with rare surroundings must go to one with the same
surroundings. Each motion is tested on all atoms, so that the answer is yes only with a
one-to-one assignment of equal elements within the tolerance.
"""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from ase.geometry import minkowski_reduce
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Configuration, pairs_within

NEIGHBOURS = 12
"""Distances to this many nearest atoms tell the surroundings of an atom."""

REACH = 6.0
"""Cutoff of the surroundings in periodic structures, A."""


class Motion(NamedTuple):
    """Points p go to p @ rotation + shift."""

    rotation: Float[np.ndarray, "3 3"]
    shift: Float[np.ndarray, "3"]


def same_structure(one: Configuration, other: Configuration, tolerance: float = 0.1) -> bool:
    """Whether a motion brings one structure onto the other, atom by atom.

    Motions are rotations, reflections and translations for clusters; for periodic structures
    of equal cells translations and the symmetry operations of the lattice. The cells
    themselves must be equal.

    Parameters
    ----------
    one, other : Configuration
        Without padding.
    tolerance : float
        Largest distance of two atoms that stand for each other, A.
    """
    if sorted(np.asarray(one.numbers).tolist()) != sorted(np.asarray(other.numbers).tolist()):
        return False
    if not np.array_equal(one.pbc, other.pbc) or not np.allclose(one.cell, other.cell, atol=1e-6):
        return False
    return any(
        _fits(one, _moved(other, motion), tolerance) for motion in _motions(one, other, tolerance)
    )


def point_group_order(cluster: Configuration, tolerance: float = 0.1) -> int:
    """Count the rotations and reflections that bring a cluster onto itself.

    A linear cluster has infinitely many; those found by three of its atoms are counted.
    """
    found: list[Float[np.ndarray, "3 3"]] = []
    for motion in _motions(cluster, cluster, tolerance):
        new = all(np.abs(motion.rotation - known).max() > 0.2 for known in found)
        if new and _fits(cluster, _moved(cluster, motion), tolerance):
            found.append(motion.rotation)
    return len(found)


def _moved(configuration: Configuration, motion: Motion) -> Configuration:
    positions = np.asarray(configuration.positions) @ motion.rotation + motion.shift
    return configuration._replace(positions=positions)


def _fits(one: Configuration, other: Configuration, tolerance: float) -> bool:
    """Whether every atom of one has an atom of the other within the tolerance, one to one."""
    vectors = np.asarray(other.positions)[None] - np.asarray(one.positions)[:, None]
    squared = np.sum(_wrapped(vectors, one) ** 2, axis=-1)
    unlike = np.asarray(one.numbers)[:, None] != np.asarray(other.numbers)[None]
    squared[unlike] = np.inf
    nearest = np.argmin(squared, axis=1)
    within = squared[np.arange(len(nearest)), nearest] <= tolerance**2
    return bool(within.all() and len(np.unique(nearest)) == len(nearest))


def _wrapped(vectors: Float[np.ndarray, "n m 3"], configuration: Configuration) -> np.ndarray:
    periodic = np.where(np.asarray(configuration.pbc)[:, None], configuration.cell, 0.0)
    if not periodic.any():
        return vectors
    return vectors - np.round(vectors @ np.linalg.pinv(periodic)) @ periodic


def _motions(one: Configuration, other: Configuration, tolerance: float) -> Iterator[Motion]:
    surroundings = _surroundings(one)
    alike = _alike(surroundings, surroundings, one, one, 2.0 * tolerance)
    rarity = alike.sum(axis=1)
    targets = _alike(surroundings, _surroundings(other), one, other, 2.0 * tolerance)
    if np.asarray(one.pbc).any():
        yield from _lattice_motions(one, other, int(np.argmin(rarity)), targets)
    else:
        yield from _cluster_motions(one, other, rarity, targets, tolerance)


def _surroundings(configuration: Configuration) -> Float[np.ndarray, "n k"]:
    """Sorted distances of every atom to its nearest ones."""
    atoms = len(configuration.numbers)
    periodic = bool(np.asarray(configuration.pbc).any())
    i, j, _, distance = pairs_within(configuration, REACH if periodic else np.inf)
    rows = np.full((atoms, NEIGHBOURS), REACH if periodic else 0.0)
    centre, reach = np.concatenate((i, j)), np.concatenate((distance, distance))
    for atom in range(atoms):
        nearest = np.sort(reach[centre == atom])[:NEIGHBOURS]
        rows[atom, : len(nearest)] = nearest
    return rows


def _alike(
    a: Float[np.ndarray, "n k"],
    b: Float[np.ndarray, "n k"],
    one: Configuration,
    other: Configuration,
    tolerance: float,
) -> Bool[np.ndarray, "n n"]:
    """Atoms of equal element whose surroundings agree."""
    near = np.abs(a[:, None] - b[None]).max(axis=-1) <= tolerance
    return near & (np.asarray(one.numbers)[:, None] == np.asarray(other.numbers)[None])


def _lattice_motions(
    one: Configuration, other: Configuration, anchor: int, targets: Bool[np.ndarray, "n n"]
) -> Iterator[Motion]:
    place = np.asarray(one.positions)[anchor]
    for rotation in lattice_rotations(one):
        for atom in np.flatnonzero(targets[anchor]):
            yield Motion(rotation, place - np.asarray(other.positions)[atom] @ rotation)


def lattice_rotations(configuration: Configuration) -> list[Float[np.ndarray, "3 3"]]:
    """Rotations and reflections (p -> p @ R) that keep the periodic lattice, identity first.

    Directions that do not repeat are only turned as a whole: a slab may be turned over.
    """
    pbc = np.asarray(configuration.pbc)
    # Vectors this short go to sums of one another in which none counts more than once.
    cell = minkowski_reduce(np.asarray(configuration.cell), pbc)[0][pbc]
    rank = len(cell)
    metric = cell @ cell.T
    entries = np.array(list(product((-1, 0, 1), repeat=rank * rank))).reshape(-1, rank, rank)
    turned = np.einsum("mab,bc,mdc->mad", entries, metric, entries)
    kept = entries[np.abs(turned - metric).max(axis=(1, 2)) < 1e-4 * np.abs(metric).max()]
    normals = np.linalg.svd(cell)[2][rank:]
    rotations = [
        np.linalg.pinv(cell) @ (matrix @ cell) + normals.T @ (np.diag(signs) @ normals)
        for matrix in kept
        for signs in product((1.0, -1.0), repeat=len(normals))
    ]
    return sorted(rotations, key=lambda rotation: float(np.abs(rotation - np.eye(3)).sum()))


def _cluster_motions(
    one: Configuration,
    other: Configuration,
    rarity: Int[np.ndarray, " n"],
    targets: Bool[np.ndarray, "n n"],
    tolerance: float,
) -> Iterator[Motion]:
    """Motions that bring three atoms of the other onto three of the one, both handednesses."""
    points, moved = np.asarray(one.positions), np.asarray(other.positions)
    triple = _frame_of(points, rarity)
    if len(triple) < 3:
        yield from _short_motions(points, moved)
        return
    a, b, c = triple
    close = 2.0 * tolerance

    def apart(places: np.ndarray, i: int, j: int) -> float:
        return float(np.linalg.norm(places[i] - places[j]))

    for i in np.flatnonzero(targets[a]).tolist():
        for j in np.flatnonzero(targets[b]).tolist():
            if i == j or abs(apart(moved, i, j) - apart(points, a, b)) > close:
                continue
            for k in np.flatnonzero(targets[c]).tolist():
                if (
                    k not in (i, j)
                    and abs(apart(moved, i, k) - apart(points, a, c)) <= close
                    and abs(apart(moved, j, k) - apart(points, b, c)) <= close
                ):
                    yield from _from_triples(points[[a, b, c]], moved[[i, j, k]])


def _frame_of(points: Float[np.ndarray, "n 3"], rarity: Int[np.ndarray, " n"]) -> list[int]:
    """Three atoms that are not in line, the rarest first; fewer where there are none."""
    order = np.argsort(rarity, kind="stable").tolist()
    chosen = order[:1]
    for atom in order[1:]:
        vectors = points[[*chosen[1:], atom]] - points[chosen[0]]
        if np.linalg.matrix_rank(vectors, tol=0.3) == len(chosen):
            chosen.append(atom)
        if len(chosen) == 3:
            break
    return chosen


def _from_triples(
    goal: Float[np.ndarray, "3 3"], places: Float[np.ndarray, "3 3"]
) -> Iterator[Motion]:
    centre, origin = places.mean(axis=0), goal.mean(axis=0)
    left, _, right = np.linalg.svd((places - centre).T @ (goal - origin))
    for sign in (1.0, -1.0):
        rotation = left @ np.diag([1.0, 1.0, sign]) @ right
        yield Motion(rotation, origin - centre @ rotation)


def _short_motions(
    points: Float[np.ndarray, "n 3"], moved: Float[np.ndarray, "n 3"]
) -> Iterator[Motion]:
    """Motions of atoms in line: their axis onto the other's, in both directions."""
    centre, origin = moved.mean(axis=0), points.mean(axis=0)
    left = np.linalg.svd(moved - centre)[2]
    right = np.linalg.svd(points - origin)[2]
    for sign in (1.0, -1.0):
        rotation = left.T @ np.diag([sign, 1.0, 1.0]) @ right
        yield Motion(rotation, origin - centre @ rotation)
