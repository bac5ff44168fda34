"""Moves from one minimum to the neighbourhood of another."""

import numpy as np
from jaxtyping import Float, Int

from thermosearch.search.degrees_of_freedom import DegreesOfFreedom
from thermosearch.search.regions import Ball, Cell, Shell
from thermosearch.search.symmetry import nearest_image
from thermosearch.structure.surface import surface_normal

Positions = Float[np.ndarray, "n 3"]

CONTACT = 0.95
"""Distance at which a relocated atom touches, in typical nearest-neighbour distances."""

SHELL = 1.3
"""Neighbours are nearer than this many nearest-neighbour distances."""

TRIES = 6
"""Places looked at for a relocated atom; the one with most neighbours is taken."""


def displaced(
    freedom: DegreesOfFreedom, positions: Positions, step: float, generator: np.random.Generator
) -> Positions:
    """Displace every independent coordinate evenly by up to `step` times its scale, A."""
    shift = generator.uniform(-step, step, size=(len(freedom.independent), 3))
    vector = freedom.vector(positions) + shift.reshape(-1)
    return freedom.positions(vector)


def exchanged(
    freedom: DegreesOfFreedom, positions: Positions, generator: np.random.Generator
) -> Positions:
    """Exchange two moved atoms of different elements; unchanged where there is one element."""
    atoms, numbers = freedom.independent, np.asarray(freedom.founder.numbers)
    one = generator.choice(atoms)
    others = atoms[numbers[atoms] != numbers[one]]
    if not len(others):
        return positions
    other = generator.choice(others)
    vector = freedom.vector(positions).reshape(-1, 3)
    a, b = np.searchsorted(atoms, [one, other])
    origin, scale = np.asarray(freedom.founder.positions), freedom.scale
    vector[a] = (positions[other] - origin[one]) / scale[a]
    vector[b] = (positions[one] - origin[other]) / scale[b]
    return freedom.positions(vector.reshape(-1))


def relocated(
    freedom: DegreesOfFreedom, positions: Positions, generator: np.random.Generator
) -> Positions:
    """Put the atoms with the fewest neighbours elsewhere on the surface (or into a void).

    A surface move as in dynamic lattice searching (Shao et al., J. Chem. Phys. 120, 11401
    (2004)): one atom, or up to an eighth of them (at least up to two), each to that of a
    few random places where it touches most others.
    """
    spacing = _spacing(freedom, positions)
    counts = _neighbours(freedom, positions, freedom.independent, SHELL * spacing)
    most = min(max(2, len(freedom.independent) // 8), len(freedom.independent))
    number = int(generator.integers(1, most + 1))
    # Ties are broken at random.
    order = np.argsort(counts + generator.uniform(0.0, 0.5, len(counts)))
    positions = positions.copy()
    for atom in freedom.independent[order[:number]].tolist():
        places = [_place(freedom, positions, atom, spacing, generator) for _ in range(TRIES)]
        others = np.delete(positions, atom, axis=0)
        touching = [
            np.sum(_distances(freedom, others, place) < SHELL * spacing) for place in places
        ]
        positions[atom] = places[int(np.argmax(touching))]
    return freedom.positions(freedom.vector(positions))


def _place(
    freedom: DegreesOfFreedom,
    positions: Positions,
    atom: int,
    spacing: float,
    generator: np.random.Generator,
) -> Float[np.ndarray, "3"]:
    """Let an atom come in from outside until it touches; in a crystal, draw a place."""
    others = np.delete(positions, atom, axis=0)
    (point,) = freedom.region.draw(1, generator)
    if isinstance(freedom.region, Cell):
        return point
    if isinstance(freedom.region, Ball | Shell):
        centre = others.mean(axis=0)
        inward = -generator.standard_normal(3)
        inward /= np.linalg.norm(inward)
        reach = np.linalg.norm(others - centre, axis=1).max() + spacing
        begin = centre - reach * inward
    else:
        normal = surface_normal(freedom.founder)
        inward = -normal
        begin = point + (np.max(others @ normal) + spacing - point @ normal) * normal
    return begin + inward * _free_path(freedom, others, begin, inward, CONTACT * spacing)


def _free_path(
    freedom: DegreesOfFreedom,
    others: Float[np.ndarray, "k 3"],
    begin: Float[np.ndarray, "3"],
    direction: Float[np.ndarray, "3"],
    contact: float,
) -> float:
    """How far a point goes in a direction until something is at the contact distance, A."""
    vectors = others - begin
    along = vectors @ direction
    across = nearest_image(vectors - along[:, None] * direction, freedom.founder)
    squared = contact**2 - np.sum(across**2, axis=1)
    met = along[squared > 0.0] - np.sqrt(squared[squared > 0.0])
    met = met[met > 0.0]
    return float(met.min()) if len(met) else 0.0


def _spacing(freedom: DegreesOfFreedom, positions: Positions) -> float:
    """Median nearest-neighbour distance of the moved atoms, A."""
    nearest = [
        np.min(_distances(freedom, np.delete(positions, atom, axis=0), positions[atom]))
        for atom in freedom.independent
    ]
    return float(np.median(nearest))


def _neighbours(
    freedom: DegreesOfFreedom, positions: Positions, atoms: Int[np.ndarray, " m"], reach: float
) -> Int[np.ndarray, " m"]:
    return np.array(
        [np.sum(_distances(freedom, positions, positions[atom]) < reach) - 1 for atom in atoms]
    )


def _distances(
    freedom: DegreesOfFreedom, points: Float[np.ndarray, "k 3"], place: Float[np.ndarray, "3"]
) -> Float[np.ndarray, " k"]:
    return np.linalg.norm(nearest_image(points - place, freedom.founder), axis=1)
