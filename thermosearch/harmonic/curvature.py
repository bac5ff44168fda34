"""Curvature of the free energy in the centroids: whether a soft mode is stable.

The effective force constants are always positive; a crystal is unstable where the free energy
curves down in a centroid, which shows once the force constants follow it. To lowest order

    d2F/dR_a dR_b = Phi_ab - 1/2 sum_mn phi_amn L_mn phi_bmn

with the averaged third derivatives phi and the response L of the covariance to the force constants
(Bianco et al., Phys. Rev. B 96, 014111 (2017), doi:10.1103/PhysRevB.96.014111, without the fourth
derivatives inside the bubble).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from thermosearch.harmonic.evaluation import Request, evaluate_requests
from thermosearch.harmonic.point import PointProblem
from thermosearch.harmonic.regression import response
from thermosearch.harmonic.statistics import (
    THZ,
    Bath,
    Modes,
    antithetic_normals,
    displacements,
    variances,
)
from thermosearch.harmonic.variational import State
from thermosearch.potentials.interface import Potential
from thermosearch.runtime.communicator import Communicator


class Curvature(NamedTuple):
    """Of the softest modes of the supercell, one of each degenerate set.

    Attributes
    ----------
    effective : (k,) float64
        Their effective frequencies, THz.
    hessian : (k,) float64
        Frequencies by the free energy's curvature along them, THz, negative where it is.
    error : (k,) float64
        Standard errors of `hessian`, THz.
    evaluations : int
        Energy and force calls.
    """

    effective: Float[np.ndarray, " k"]
    hessian: Float[np.ndarray, " k"]
    error: Float[np.ndarray, " k"]
    evaluations: int


STEP = 0.4
"""Of the centroids in the finite differences, in standard deviations of the mode."""

BLOCKS = 8
"""Of pairs, half of them for either factor of the bubble."""

STREAM = 1_000_000
"""Number of the step that these random numbers belong to: no loop gets there."""


def curvature(
    potential: Potential,
    problem: PointProblem,
    state: State,
    ranks: Communicator,
    *,
    count: int,
    pairs: int,
) -> Curvature:
    """Measure the curvature of the free energy along the softest modes.

    Parameters
    ----------
    potential : Potential
        Of the study.
    problem, state : PointProblem, State
        The point, its loop ended.
    ranks : Communicator
        Share the samples.
    count : int
        Degenerate sets of modes, of which one mode each is displaced.
    pairs : int
        Antithetic pairs on either side of every mode.
    """
    modes, at, effective = state.modes, problem.at, state.effective
    chosen = softest(modes, count)
    normals = antithetic_normals((*problem.stream, STREAM), 0, pairs, len(modes.masses))
    x = displacements(modes, at, normals)
    rest = effective.configuration()
    steps = STEP * np.sqrt(variances(modes, at)[chosen])
    requests = []
    for mode, step in zip(chosen, steps, strict=True):
        away = step * modes.vectors[:, mode] / np.sqrt(modes.masses)
        for sign in (1.0, -1.0):
            moved = effective.centroids + (x + sign * away).reshape(len(x), -1, 3)
            requests.append(Request(rest, moved))
    found = evaluate_requests(potential, requests, ranks)
    changes = np.array(
        [
            (one.forces - other.forces).reshape(len(x), -1) / (2.0 * step)
            for one, other, step in zip(found[0::2], found[1::2], steps, strict=True)
        ]
    )
    squares, error = hessian(modes, at, chosen, x, changes)
    omega = np.sqrt(np.abs(squares))
    return Curvature(
        effective=modes.frequencies[chosen] / THZ,
        hessian=np.sign(squares) * omega / THZ,
        # Where omega^2 is hardly clear of zero, its own error bounds that of omega.
        error=np.minimum(error / (2.0 * np.maximum(omega, 1e-12)), np.sqrt(error)) / THZ,
        evaluations=2 * len(chosen) * len(x),
    )


def softest(modes: Modes, count: int) -> Int[np.ndarray, " k"]:
    """Take the first mode of each of the softest degenerate sets."""
    new = np.diff(modes.frequencies, prepend=-np.inf) > DEGENERATE * modes.frequencies
    return np.flatnonzero(new)[:count]


DEGENERATE = 1.0e-4
"""Relative difference of frequencies that symmetry made equal."""


def hessian(
    modes: Modes,
    at: Bath,
    chosen: Int[np.ndarray, " k"],
    x: Float[np.ndarray, "s n"],
    changes: Float[np.ndarray, "k s n"],
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Curvature of the free energy along the chosen modes, without their mixing.

    Parameters
    ----------
    modes : Modes
        At convergence.
    at : Bath
        Temperature and statistics.
    chosen : (k,)
        Numbers of the modes.
    x : (s, n)
        Displacements of the sample, in pairs.
    changes : (k, s, n)
        Derivative of the forces on each with the mass-weighted coordinate of each mode.

    Returns
    -------
    squares, errors : (k,) float64
        Squared angular frequencies. The two factors of the bubble are of independent halves of
        the sample: the square of one would count its noise as softening. The error is a jackknife
        over `BLOCKS` blocks of pairs.
    """
    weights = response(modes, at)
    count = min(BLOCKS, len(x) // 4 * 2)
    block = np.arange(len(x)) // 2 % count
    thirds = np.array(
        [
            [_third(modes, at, x[block == b], each[block == b]) for each in changes]
            for b in range(count)
        ]
    )
    total = [thirds[h::2].sum(axis=0) for h in (0, 1)]

    def bubble(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return -0.5 * np.einsum("amn,mn,amn->a", one, weights, other)

    size = count // 2
    whole = bubble(total[0], total[1]) / size**2
    left_out = np.array(
        [
            bubble(total[b % 2] - thirds[b], total[1 - b % 2]) / (size * (size - 1))
            for b in range(count if size > 1 else 0)
        ]
    )
    if not len(left_out):
        return modes.frequencies[chosen] ** 2 + whole, np.full(len(whole), np.nan)
    # Leaving out a block of one half leaves the other: a jackknife of two samples.
    spread = [np.sum((left_out[h::2] - left_out[h::2].mean(axis=0)) ** 2, axis=0) for h in (0, 1)]
    return modes.frequencies[chosen] ** 2 + whole, np.sqrt((size - 1) / size * sum(spread))


def _third(
    modes: Modes, at: Bath, x: Float[np.ndarray, "s n"], change: Float[np.ndarray, "s n"]
) -> Float[np.ndarray, "m m"]:
    """Third derivatives, mass-weighted, in the modes: -<df/da q> over the variances of q."""
    root = np.sqrt(modes.masses)
    q, force = (x * root) @ modes.vectors, (change / root) @ modes.vectors
    spread = variances(modes, at)
    mixed = force.T @ q / len(x)
    return -(mixed + mixed.T) / (spread[:, None] + spread[None, :])
