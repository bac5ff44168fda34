"""Which of many equal descriptions of a structure is nearest to another structure."""

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from thermosearch.search.degrees_of_freedom import DegreesOfFreedom
from thermosearch.search.regions import Ball
from thermosearch.search.symmetry import nearest_image

ROUNDS = 4
"""Turns of a cluster between two assignments."""


def aligned(
    freedom: DegreesOfFreedom,
    positions: Float[np.ndarray, "n 3"],
    reference: Float[np.ndarray, "n 3"],
) -> Float[np.ndarray, "n 3"]:
    """Exchange equal moved atoms, take their nearest images, and turn a cluster.

    An evolution strategy averages positions: the mean of a structure and of a permuted copy
    of it is no structure. Only independent atoms are exchanged, so that a symmetry stays.
    """
    atoms = freedom.independent
    points, goal = positions[atoms], reference[atoms]
    if isinstance(freedom.region, Ball):
        points, goal = points - points.mean(axis=0), goal - goal.mean(axis=0)
    for _ in range(ROUNDS):
        points = _assigned(freedom, points, goal)
        if not isinstance(freedom.region, Ball):
            break
        points = points @ _rotation(points, goal)
    result = positions.copy()
    result[atoms] = points
    return freedom.confined(result)


def _assigned(
    freedom: DegreesOfFreedom, points: Float[np.ndarray, "m 3"], goal: Float[np.ndarray, "m 3"]
) -> Float[np.ndarray, "m 3"]:
    """Points in the order, and in the images, that are nearest to the goal."""
    numbers = np.asarray(freedom.founder.numbers)[freedom.independent]
    away = nearest_image(points[None] - goal[:, None], freedom.founder)
    squared = np.sum((away / freedom.scale[:, None, None]) ** 2, axis=-1)
    result = points.copy()
    for element in np.unique(numbers):
        own = np.flatnonzero(numbers == element)
        rows, columns = linear_sum_assignment(squared[np.ix_(own, own)])
        result[own[rows]] = goal[own[rows]] + away[own[rows], own[columns]]
    return result


def _rotation(
    points: Float[np.ndarray, "m 3"], goal: Float[np.ndarray, "m 3"]
) -> Float[np.ndarray, "3 3"]:
    """Proper or improper rotation R that brings points @ R nearest to the goal (Kabsch)."""
    left, _, right = np.linalg.svd(points.T @ goal)
    return left @ right
