"""What a sample says about the harmonic potential that made it.

The sample's displacements x follow the Gaussian of the harmonic potential u = x Phi x / 2. With
the residual forces g = f + Phi x, the variational free energy F <= F_harm + <U - u> is stationary
where <g x^T> = 0, and the regression of g on x gives the correction D = <d2U/dx2> - Phi: the
harmonic part of the forces cancels sample by sample, which the naive average <f x^T> leaves to
chance (Bianco et al., Phys. Rev. B 96, 014111 (2017), doi:10.1103/PhysRevB.96.014111).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from thermosearch.harmonic.statistics import (
    Bath,
    Modes,
    harmonic_free_energy,
    stacks,
    variances,
)

Projection = Callable[[np.ndarray], np.ndarray]
"""Puts a matrix over the coordinates into the space that the symmetry allows."""


class Sample(NamedTuple):
    """Displaced configurations and their energies; rows 2 k and 2 k + 1 are antithetic pairs.

    Attributes
    ----------
    displacements : (s, n) float64
        From the centroids, A.
    energies : (s,) float64
        Potential energies, eV.
    forces : (s, n) float64
        eV/A.
    stresses : (s, 3, 3) float64
        eV/A^3, ASE sign.
    weights : (s,) float64
        Sum to one.
    """

    displacements: Float[np.ndarray, "s n"]
    energies: Float[np.ndarray, " s"]
    forces: Float[np.ndarray, "s n"]
    stresses: Float[np.ndarray, "s 3 3"]
    weights: Float[np.ndarray, " s"]


class Refit(NamedTuple):
    """Correction of the force constants.

    Attributes
    ----------
    change : (m, m) float64
        D in the coordinates z of unit variance: the curvature missing, eV.
    gain : float
        By how much the free energy is expected to fall, eV; from independent halves of the
        sample, so that noise does not count as gain (it may come out negative).
    noise : float
        By how much the correction's own noise is expected to lift the free energy, eV.
    pushes : (s, k) float64
        What every sample says of how the correction will push the cell, eV.
    following : (k, m, m) float64
        Change of the curvature with the cell's strain, as expected from the static lattice, eV.
    softening : (k, k) float64
        By how much the cell is less stiff with the force constants following it, eV.
    """

    change: Float[np.ndarray, "m m"]
    gain: float
    noise: float
    pushes: Float[np.ndarray, "s k"]
    following: Float[np.ndarray, "k m m"]
    softening: Float[np.ndarray, "k k"]


def combined(samples: list[Sample], shares: list[float]) -> Sample:
    """Join samples, each with its share of the weight."""
    total = sum(shares)
    weights = [s.weights * (share / total) for s, share in zip(samples, shares, strict=True)]
    fields = [np.concatenate([s[k] for s in samples]) for k in range(4)]
    return Sample(*fields, np.concatenate(weights))


def free_energy(
    modes: Modes, at: Bath, force_constants: Float[np.ndarray, "n n"], sample: Sample
) -> tuple[float, float]:
    """Variational free energy F_harm + <U - u> of the potential that made the sample.

    Returns
    -------
    value, error : float
        eV; the standard error from the scatter of the pairs, which are independent blocks.
    """
    quadratic = np.einsum("si,si->s", sample.displacements @ force_constants, sample.displacements)
    value, error = pair_mean(sample, sample.energies - 0.5 * quadratic)
    return harmonic_free_energy(modes, at) + float(value), float(error)


def pair_mean(
    sample: Sample, values: Float[np.ndarray, " s *shape"]
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """Weighted mean of one value a sample, and its standard error from the pairs' scatter."""
    origin = values[0]
    flat = (values - origin).reshape(len(values), -1)
    mean = sample.weights @ flat
    pairs = flat.reshape(len(flat) // 2, 2, -1).mean(axis=1) if len(flat) > 1 else flat
    error = np.std(pairs, axis=0, ddof=1) / np.sqrt(len(pairs)) if len(pairs) > 1 else 0.0 * mean
    shape = values.shape[1:]
    return np.asarray(origin + mean.reshape(shape)), np.asarray(error.reshape(shape))


def refit(
    modes: Modes,
    at: Bath,
    force_constants: Float[np.ndarray, "n n"],
    sample: Sample,
    project: Projection,
    *,
    strained: Float[np.ndarray, "k n n"] | None = None,
) -> Refit:
    """Regress the residual forces on the displacements, within what the symmetry allows.

    Minimises the mean of |A^T g + D z|^2 over symmetric D, with x = A z and z of unit variance,
    over the sample carried by all operations of the space group. In these coordinates all modes
    count alike, soft and stiff. Modes of different labels have nothing to do with each other.

    Parameters
    ----------
    modes : Modes
        Of the force constants.
    at : Bath
        Temperature and statistics.
    force_constants : (n, n)
        About which the residual is taken.
    sample : Sample
        Its weights may be those of a reweighting.
    project : callable
        Average over the space group.
    strained : (k, n, n), optional
        Change Phi' of the force constants with strains e of the cell. With it the free energy is,
        to second order, sum w (D + Phi' e)^2 + K e^2 / 2 - push e in both: eliminating Phi leaves
        the push + 2 sum w Phi' D and the stiffness K - 2 sum w Phi' Phi'.
    """
    scale = np.sqrt(variances(modes, at))
    root = np.sqrt(modes.masses)[:, None]
    to_modes, from_modes = root * modes.vectors / scale, modes.vectors * scale / root
    x, weights = sample.displacements, sample.weights
    residual = sample.forces + x @ force_constants
    half = np.arange(len(x)) // 2 % 2 if len(x) > 2 else np.zeros(len(x), int)
    shares = [float(np.sum(weights[half == k])) for k in (0, 1)]
    mixed = [project(_outer(residual, x, weights * (half == k))) @ to_modes for k in (0, 1)]
    spread = project(_outer(x, x, weights)) @ to_modes
    change, gain, noise = np.zeros((len(scale), len(scale))), 0.0, 0.0
    along = np.zeros((0, *change.shape)) if strained is None else _in_modes(modes, scale, strained)
    answer, softening = np.zeros_like(along), np.zeros((len(along), len(along)))
    for members in blocks_of(modes):
        there = members[:, :, None], members[:, None, :]
        weighing = gain_weights(modes, at, members)
        values, turn = np.linalg.eigh(_symmetric(_in_blocks(to_modes, spread, members)))
        both = [
            -_sylvester(values, turn, 2.0 * _symmetric(_in_blocks(from_modes, each, members)))
            for each in mixed
        ]
        change[there] = both[0] + both[1]
        within = along[:, *there]
        softening += 2.0 * np.einsum("kcab,cab,lcab->kl", within, weighing, within, optimize=True)
        for each, own in zip(answer, within, strict=True):
            each[there] = _sylvester(values, turn, weighing * own)
        if min(shares) > 0.0:
            first, second = both[0] / shares[0], both[1] / shares[1]
            gain += float(np.sum(weighing * first * second))
            noise += 0.25 * float(np.sum(weighing * (first - second) ** 2))
        else:
            gain += float(np.sum(weighing * change[there] ** 2))
    seen = [-4.0 * _each(x, to_modes @ each @ from_modes.T, residual) for each in answer]
    return Refit(change, gain, noise, np.array(seen).reshape(-1, len(x)).T, along, softening)


def _in_modes(
    modes: Modes, scale: Float[np.ndarray, " m"], matrices: Float[np.ndarray, "k n n"]
) -> Float[np.ndarray, "k m m"]:
    """Change of force constants with strain in the coordinates of unit variance.

    Along imaginary modes of the static lattice it can be wild: no omega^2 is taken to change by
    more than `STEEPEST` times the strain.
    """
    to_x = modes.vectors * scale / np.sqrt(modes.masses)[:, None]
    found = to_x.T @ matrices @ to_x
    unit = scale * modes.frequencies
    for members in blocks_of(modes):
        there = members[:, :, None], members[:, None, :]
        for each in found:
            values, turn = np.linalg.eigh(_symmetric((each / np.outer(unit, unit))[there]))
            bounded = turn * np.clip(values, -STEEPEST, STEEPEST)[:, None, :]
            each[there] = unit[there[0]] * (bounded @ turn.transpose(0, 2, 1)) * unit[there[1]]
    return found


STEEPEST = 12.0
"""Relative change of omega^2 with strain: a Grueneisen parameter of 3.5 where all lengths grow."""


def _each(
    left: Float[np.ndarray, "s n"],
    matrix: Float[np.ndarray, "n n"],
    right: Float[np.ndarray, "s n"],
) -> Float[np.ndarray, " s"]:
    return np.einsum("si,si->s", left @ matrix, right)


def blocks_of(modes: Modes) -> list[Int[np.ndarray, "k b"]]:
    """Numbers of the modes that mix, a row each set; one array for each size."""
    if modes.label is None:
        return [np.arange(len(modes.frequencies))[None]]
    return stacks(modes.label)


def gain_weights(
    modes: Modes, at: Bath, members: Int[np.ndarray, "k b"] | None = None
) -> Float[np.ndarray, "*k b b"]:
    """Weights of the second-order fall of the free energy, sum_st w_st D_st^2, 1/eV.

    w_st = L_st / (4 s_s s_t) with the `response` L and the variances s, which take D to
    mass-weighted coordinates. Between all modes, or between the members of each set.
    """
    spread = variances(modes, at)
    spread = spread if members is None else spread[members]
    return 0.25 * response(modes, at, members) / (spread[..., :, None] * spread[..., None, :])


def response(
    modes: Modes, at: Bath, members: Int[np.ndarray, "k b"] | None = None
) -> Float[np.ndarray, "*k b b"]:
    """How the covariance answers a change of the force constants, both mass-weighted, in modes.

    L_st = (s_s - s_t) / (omega_t^2 - omega_s^2) with the variances s, so that a change D of the
    force constants changes the covariance by -L_st D_st. Between all modes, or between the members
    of each set.
    """
    squares, spread = modes.frequencies**2, variances(modes, at)
    # d(variance)/d(omega^2) by a small difference where two modes are degenerate.
    step = 1.0e-4
    nearby = modes._replace(frequencies=modes.frequencies * (1.0 + step))
    own = (spread - variances(nearby, at)) / (squares * ((1.0 + step) ** 2 - 1.0))
    if members is not None:
        squares, spread, own = squares[members], spread[members], own[members]
    rise = spread[..., :, None] - spread[..., None, :]
    run = squares[..., None, :] - squares[..., :, None]
    equal = np.abs(run) < 1e-6 * (squares[..., :, None] + squares[..., None, :])
    slope = np.where(equal, 0.0, rise / np.where(equal, 1.0, run))
    return np.where(equal, 0.5 * (own[..., :, None] + own[..., None, :]), slope)


LARGEST_FALL, LARGEST_RISE = -0.7, 2.0
"""Bounds of the relative change of omega^2, in any direction, in one step."""


def stepped(
    modes: Modes,
    at: Bath,
    force_constants: Float[np.ndarray, "n n"],
    change: Float[np.ndarray, "m m"],
    damping: float = 1.0,
) -> tuple[Float[np.ndarray, "n n"], int]:
    """Take the step, no farther than the harmonic potential stays one.

    Relative to Phi the change is W = Phi^-1/2 D Phi^-1/2; its eigenvalues are bounded, so that
    Phi stays positive definite. What the bound held back is counted, never hidden: the next
    sample shows whether the crystal is really that soft.

    Returns
    -------
    force_constants : (n, n)
        After the step.
    bounded : int
        Number of directions in which the step was cut.
    """
    root = np.sqrt(modes.masses)[:, None]
    unit = np.sqrt(variances(modes, at)) * modes.frequencies
    relative = change / np.outer(unit, unit)
    stiff = root * modes.vectors * modes.frequencies
    moved, bounded = force_constants, 0
    for members in blocks_of(modes):
        blocks = relative[members[:, :, None], members[:, None, :]]
        values, turn = np.linalg.eigh(_symmetric(blocks))
        allowed = np.clip(damping * values, LARGEST_FALL, LARGEST_RISE)
        bounded += int(np.sum(allowed != damping * values))
        turned = stiff[:, members].transpose(1, 0, 2) @ turn
        columns = [np.hstack(list(each)) for each in (turned * allowed[:, None, :], turned)]
        moved = moved + columns[0] @ columns[1].T
    return 0.5 * (moved + moved.T), bounded


def next_damping(
    damping: float,
    before: Float[np.ndarray, "m m"],
    now: Float[np.ndarray, "m m"],
) -> float:
    """Length of the next step by what the last one did (Barzilai and Borwein).

    The full step is the fixed-point iteration Phi <- <d2U/dx2>, which overshoots where the
    crystal is strongly anharmonic: a softer Phi samples farther out and comes back stiffer. If
    the correction fell from D to r D along itself, the step should have been 1 / (1 - r) times
    as long.

    Parameters
    ----------
    damping : float
        Of the last step.
    before, now : (m, m)
        Corrections before and after it, both in the coordinates of unit variance of now.
    """
    ratio = float(np.sum(before * now) / np.sum(before * before))
    return float(np.clip(damping / max(1.0 - ratio, 0.1), SHORTEST, 1.0))


SHORTEST = 0.05
"""Of all steps, as a share of the full one."""


def shifted(modes: Modes, at: Bath, mean_force: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Move of the centroids to where the mean force vanishes, Phi^-1 <f>, A.

    No mode moves farther than its own standard deviation, which the sample has seen.
    """
    spread = np.sqrt(variances(modes, at))
    scaled = modes.vectors / np.sqrt(modes.masses)[:, None]
    move = (scaled.T @ mean_force) / modes.frequencies**2
    return scaled @ np.clip(move, -spread, spread)


def _outer(
    left: Float[np.ndarray, "s n"],
    right: Float[np.ndarray, "s n"],
    weights: Float[np.ndarray, " s"],
) -> Float[np.ndarray, "n n"]:
    return (weights[:, None] * left).T @ right


def _in_blocks(
    left: Float[np.ndarray, "n m"],
    right: Float[np.ndarray, "n m"],
    members: Int[np.ndarray, "k b"],
) -> Float[np.ndarray, "k b b"]:
    """Blocks of left^T right."""
    return left[:, members].transpose(1, 2, 0) @ right[:, members].transpose(1, 0, 2)


def _symmetric(blocks: Float[np.ndarray, "k b b"]) -> Float[np.ndarray, "k b b"]:
    return 0.5 * (blocks + blocks.transpose(0, 2, 1))


def _sylvester(
    values: Float[np.ndarray, "k b"],
    turn: Float[np.ndarray, "k b b"],
    right: Float[np.ndarray, "k b b"],
) -> Float[np.ndarray, "k b b"]:
    """Symmetric D of least norm with D C + C D = right, for C = turn diag(values) turn^T."""
    back = turn.transpose(0, 2, 1)
    total = values[:, :, None] + values[:, None, :]
    seen = total > 1e-10 * values.max()
    turned = np.where(seen, back @ right @ turn / np.where(seen, total, 1.0), 0.0)
    return turn @ turned @ back
