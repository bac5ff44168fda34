"""Order parameters: what tells a crystal from a liquid, and one crystal from another."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import eval_legendre

from thermosearch.configuration import Configuration, pairs_within

REACH = 1.35
"""Atoms this many mean nearest-neighbour distances apart are neighbours, unless a cutoff is
given: 4 in diamond, 6 in simple cubic, 12 in fcc, 14 in bcc."""
MOST_WAVES = 100_000
BLOCK = 2**22
"""Pairs of bonds looked at together, which bounds the memory."""


class Bonds(NamedTuple):
    """Every neighbour of every atom, periodic images one by one.

    Attributes
    ----------
    centre : (b,) int
        Atom that it is a neighbour of.
    direction : (b, 3) float64
        Unit vectors.
    length : (b,) float64
        Distances.
    """

    centre: Int[np.ndarray, " b"]
    direction: Float[np.ndarray, "b 3"]
    length: Float[np.ndarray, " b"]


def find_bonds(configuration: Configuration, cutoff: float | None = None) -> Bonds:
    """Neighbours nearer than a cutoff; by default as far as `REACH` says.

    Parameters
    ----------
    configuration : Configuration
        One, without batch axis.
    cutoff : float, optional
        Largest distance.
    """
    reach = REACH * mean_nearest_distance(configuration) if cutoff is None else cutoff
    i, j, shift, distance = pairs_within(configuration, reach)
    positions, cell = np.asarray(configuration.positions), np.asarray(configuration.cell)
    unit = (positions[j] + shift @ cell - positions[i]) / distance[:, None]
    return Bonds(
        np.concatenate((i, j)),
        np.concatenate((unit, -unit)),
        np.concatenate((distance, distance)),
    )


def mean_nearest_distance(configuration: Configuration) -> float:
    """Mean over the atoms of the distance to the nearest other atom or image."""
    atoms = len(configuration.numbers)
    reach = _first_guess(configuration)
    while True:
        i, j, _, distance = pairs_within(configuration, reach)
        nearest = np.full(atoms, np.inf)
        np.minimum.at(nearest, i, distance)
        np.minimum.at(nearest, j, distance)
        if np.isfinite(nearest).all() or (atoms == 1 and not np.any(configuration.pbc)):
            return float(np.mean(nearest))
        reach *= 1.5


def steinhardt(bonds: Bonds, degree: int) -> float:
    """Bond-orientational order of all bonds together, Q_l.

    Q_l^2 = 4 pi / (2 l + 1) sum_m |<Y_lm>|^2 with the mean over all bonds (P. J. Steinhardt, D. R.
    Nelson, M. Ronchetti, Phys. Rev. B 28, 784 (1983), DOI 10.1103/PhysRevB.28.784), by the
    addition theorem: the mean of P_l(cos gamma) over all pairs of bonds. 0 without bonds.

    Parameters
    ----------
    bonds : Bonds
        Of `find_bonds`.
    degree : int
        l.
    """
    count = len(bonds.length)
    if not count:
        return 0.0
    total, rows = 0.0, max(1, BLOCK // count)
    for first in range(0, count, rows):
        cosine = bonds.direction[first : first + rows] @ bonds.direction.T
        total += float(np.sum(eval_legendre(degree, np.clip(cosine, -1.0, 1.0))))
    return float(np.sqrt(max(total, 0.0)) / count)


def coordination(bonds: Bonds, atoms: int) -> float:
    """Mean number of neighbours."""
    return len(bonds.length) / atoms


def radial_distribution(
    configuration: Configuration, edges: Float[np.ndarray, " k"], volume: float
) -> Float[np.ndarray, " bins"]:
    """Pair distribution g(r): neighbours at a distance over those of an even density N / V.

    Parameters
    ----------
    configuration : Configuration
        Of n atoms.
    edges : (k,) float64
        Of the bins, rising.
    volume : float
        V; of the cell, or of a cluster's container.

    Returns
    -------
    (k - 1,) float64
    """
    atoms = len(configuration.numbers)
    _, _, _, distance = pairs_within(configuration, float(edges[-1]))
    counts, _ = np.histogram(distance, edges)
    shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
    return 2.0 * counts * volume / (atoms**2 * shells)


def powder_pattern(
    configuration: Configuration, q: Float[np.ndarray, " k"], width: float
) -> Float[np.ndarray, " k"]:
    """Diffraction of a powder of a periodic structure, S(q) per atom.

    S(q) = 2 pi^2 / (V q^2) sum_{G != 0} |sum_j f_j exp(i G . r_j)|^2 delta(q - |G|) / sum_j f_j^2,
    the delta functions smeared to Gaussians; it tends to 1 at large q of a disordered structure.
    The atoms scatter as points with as many electrons as their number says (f_j = Z_j): positions
    of the lines are those of X-rays, their heights lack the fall of form factors. A cell so large
    that more than `MOST_WAVES` lines fall within the grid is a gas, and taken as one: S(q) = 1.

    Parameters
    ----------
    configuration : Configuration
        Periodic in three directions.
    q : (k,) float64
        Rising, positive, evenly spaced; inverse length.
    width : float
        Standard deviation of a line.
    """
    volume = abs(float(np.linalg.det(configuration.cell)))
    reach = q[-1] + 4.0 * width
    if volume * reach**3 / (6.0 * np.pi**2) > MOST_WAVES:
        return np.ones(len(q))
    length, intensity = _reflections(configuration, reach)
    weight = 2.0 * np.pi**2 / (volume * length**2) * intensity
    step = q[1] - q[0]
    edges = np.append(q - 0.5 * step, q[-1] + 0.5 * step)
    margin = int(np.ceil(4.0 * width / step))
    wide = step * np.arange(-margin, len(q) + margin + 1) + edges[0]
    heights, _ = np.histogram(length, wide, weights=weight)
    line = np.exp(-0.5 * (step * np.arange(-margin, margin + 1) / width) ** 2)
    return np.convolve(heights, line / (np.sum(line) * step), mode="same")[margin : margin + len(q)]


def _reflections(
    configuration: Configuration, reach: float
) -> tuple[Float[np.ndarray, " g"], Float[np.ndarray, " g"]]:
    """|G| below `reach` and |sum_j f_j exp(i G . r_j)|^2 / sum_j f_j^2, G and -G together as one.

    The phases of G are products of those of its three parts: a matrix product, few exponentials.
    """
    cell, inverse = np.asarray(configuration.cell), np.linalg.inv(configuration.cell)
    counts = np.floor(reach * np.linalg.norm(cell, axis=1) / (2.0 * np.pi)).astype(int)
    orders = [np.arange(0 if axis == 0 else -n, n + 1) for axis, n in enumerate(counts)]
    places = np.asarray(configuration.positions) @ inverse
    parts = [np.exp(2j * np.pi * np.outer(n, x)) for n, x in zip(orders, places.T, strict=True)]
    scatterer = np.asarray(configuration.numbers, np.float64)
    planes = (parts[0][:, None] * parts[1]).reshape(-1, len(scatterer))
    waves = (planes @ (parts[2] * scatterer).T).ravel()
    whole = np.stack(np.meshgrid(*orders, indexing="ij"), axis=-1).reshape(-1, 3)
    length = np.linalg.norm(whole @ (2.0 * np.pi * inverse.T), axis=1)
    both = np.where(whole[:, 0] > 0, 2.0, 1.0)
    near = (length > 1e-9) & (length < reach)
    intensity = both * np.abs(waves) ** 2 / np.sum(scatterer**2)
    return length[near], intensity[near]


def _first_guess(configuration: Configuration) -> float:
    atoms = len(configuration.numbers)
    if all(configuration.pbc):
        volume = abs(float(np.linalg.det(configuration.cell)))
    else:
        volume = float(np.prod(1.0 + np.ptp(np.asarray(configuration.positions), axis=0)))
    return 1.2 * float(np.cbrt(volume / atoms))
