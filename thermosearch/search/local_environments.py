"""Whether a search stays inside what its potential has learnt: a map of atoms' surroundings.

Every atom gets a vector of its surroundings. The principal components of the training data's
vectors make the map; an atom whose nearest training atom is farther away than nearly all
training atoms are from one another is outside.
"""

from typing import NamedTuple

import numpy as np
from ase import Atoms
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from thermosearch.configuration import Configuration, from_ase, pairs_within
from thermosearch.dataset import read_dataset
from thermosearch.runtime.errors import InputError
from thermosearch.runtime.results import Quantity
from thermosearch.search.study import SearchStudy

REACH = 5.0
"""Cutoff of the surroundings, A."""

CENTRES = np.linspace(1.0, 4.75, 16)
"""Distances at which neighbours are counted, smeared by their spacing, A."""

ORDERS = 6
"""Legendre polynomials of the angles between neighbours within half the cutoff and a little."""

COMPONENTS = 8
"""Principal components in which distances are measured."""

INSIDE = 0.99
"""Share of the training atoms that count as inside among themselves."""

MOST_TRAINING = 20000
"""Training atoms used, of frames evenly picked."""


class Map(NamedTuple):
    """Principal components of surroundings.

    Attributes
    ----------
    training : (t, c) float64
        Of training atoms.
    found : (f, c) float64
        Of atoms of the structures found that may move.
    nearest : (f,) float64
        Distance of each to the nearest training atom.
    limit : float
        Distance within which `INSIDE` of the training atoms have one of another frame.
    """

    training: Float[np.ndarray, "t c"]
    found: Float[np.ndarray, "f c"]
    nearest: Float[np.ndarray, " f"]
    limit: float


def environment_map(
    study: SearchStudy, minima: list[Atoms]
) -> tuple[dict[str, np.ndarray], list[Quantity]]:
    """Arrays `environments/...` and the share of atoms outside; nothing without training data.

    Raises
    ------
    InputError
        If the training data hold none of the elements found.
    """
    if study.training_data is None:
        return {}, []
    frames = read_dataset(study.training_data, require=()).configurations
    numbers = np.unique(np.concatenate([atoms.numbers for atoms in minima]))
    if not any(np.isin(numbers, frame.numbers).all() for frame in frames):
        raise InputError(
            f"training_data: {study.training_data}: no frame holds all elements of the search"
        )
    free = [np.flatnonzero(~atoms.arrays["frozen"]) for atoms in minima]
    found = [
        surroundings(from_ase(atoms), numbers)[chosen]
        for atoms, chosen in zip(minima, free, strict=True)
    ]
    frames = frames[:: -(-sum(len(frame.numbers) for frame in frames) // MOST_TRAINING)]
    training = [surroundings(frame, numbers) for frame in frames]
    made = make_map(training, np.concatenate(found))
    structure = np.repeat(np.arange(len(minima)), [len(chosen) for chosen in free])
    share = float(np.mean(made.nearest[structure == 0] > made.limit))
    arrays = {
        "environments/training": made.training[:, :2],
        "environments/found": made.found[:, :2],
        "environments/nearest": made.nearest,
        "environments/structure": structure,
        "environments/limit": np.array(made.limit),
    }
    conditions = {"training_atoms": len(made.training), "structure": "best structure"}
    return arrays, [Quantity("share_of_atoms_outside_training", share, None, "1", conditions)]


def make_map(training: list[Float[np.ndarray, "_ d"]], found: Float[np.ndarray, "f d"]) -> Map:
    """Project on the training data's principal components and measure nearest distances.

    How far training atoms are from one another is measured from every second frame to the
    others: within a frame, an atom has copies of itself by symmetry, at no distance at all.
    """
    known = np.concatenate(training)
    centre = known.mean(axis=0)
    _, _, axes = np.linalg.svd(known - centre, full_matrices=False)
    known, new = ((x - centre) @ axes[:COMPONENTS].T for x in (known, found))
    frame = np.repeat(np.arange(len(training)), [len(each) for each in training])
    if len(training) > 1:
        among = cKDTree(known[frame % 2 == 0]).query(known[frame % 2 == 1])[0]
    else:
        among = cKDTree(known).query(known, k=2)[0][:, 1]
    return Map(known, new, cKDTree(known).query(new)[0], float(np.quantile(among, INSIDE)))


def surroundings(
    configuration: Configuration, numbers: Int[np.ndarray, " elements"]
) -> Float[np.ndarray, "n d"]:
    """Vector of every atom: smeared distances to each element, moments of the angles, itself.

    Invariant under rotation, translation and permutation, continuous where atoms enter.
    """
    atoms = np.asarray(configuration.numbers)
    i, j, shift, distance = pairs_within(configuration, REACH)
    vectors = (
        np.asarray(configuration.positions)[j]
        - np.asarray(configuration.positions)[i]
        + shift @ np.asarray(configuration.cell)
    )
    centre, partner = np.concatenate((i, j)), np.concatenate((j, i))
    reach = np.concatenate((distance, distance))
    unit = np.concatenate((vectors, -vectors)) / reach[:, None]
    weight = 0.5 * (1.0 + np.cos(np.pi * reach / REACH))
    smear = np.exp(-0.5 * ((reach[:, None] - CENTRES) / (CENTRES[1] - CENTRES[0])) ** 2)
    parts = [np.where(atoms[:, None] == numbers, 1.0, 0.0)]
    for number in numbers:
        radial = np.zeros((len(atoms), len(CENTRES)))
        own = atoms[partner] == number
        np.add.at(radial, centre[own], (weight[:, None] * smear)[own])
        parts.append(radial)
    parts.append(_angles(len(atoms), centre, unit, np.exp(-((reach / 3.0) ** 4)) * weight))
    return np.concatenate(parts, axis=1)


def _angles(
    atoms: int,
    centre: Int[np.ndarray, " pairs"],
    unit: Float[np.ndarray, "pairs 3"],
    weight: Float[np.ndarray, " pairs"],
) -> Float[np.ndarray, "n orders"]:
    """Weighted Legendre moments of the angles between the neighbours of every atom."""
    moments = np.zeros((atoms, ORDERS))
    order = np.argsort(centre, kind="stable")
    bounds = np.searchsorted(centre[order], np.arange(atoms + 1))
    for atom in range(atoms):
        own = order[bounds[atom] : bounds[atom + 1]]
        cosines = np.clip(unit[own] @ unit[own].T, -1.0, 1.0)
        pairs = np.outer(weight[own], weight[own])
        for k in range(1, ORDERS + 1):
            legendre = np.polynomial.legendre.Legendre.basis(k)(cosines)
            moments[atom, k - 1] = np.sum(pairs * legendre)
    return moments / np.sqrt(1.0 + np.abs(moments))
