"""The variational loop of one point: sample, average, and refit until the gradient is noise.

A state asks for displaced configurations and is told their energies, forces and stresses:

    state = begin(...)
    while not state.done:
        request = ask(problem, state)
        state = tell(problem, state, request, evaluate(request))

One rule drives it. From independent halves of the sample on the present force constants come the
free energy still to be gained and the noise in that estimate. If the gain is more than noise (and
than half the error asked for), the force constants, centroids and cell take a step and a new
sample begins; else the sample grows until the errors are as small as asked. So the free energy
is always that of the harmonic potential that made the sample.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from thermosearch.harmonic.averages import Averages, averages, pressures
from thermosearch.harmonic.cell import Drift, drift, pull
from thermosearch.harmonic.crystal import Crystal, EffectiveCrystal, allowed, coordinate_masses
from thermosearch.harmonic.evaluation import Evaluated, Request
from thermosearch.harmonic.point import Course, PointProblem
from thermosearch.harmonic.regression import (
    Refit,
    Sample,
    combined,
    next_damping,
    refit,
    stepped,
)
from thermosearch.harmonic.statistics import (
    Bath,
    Modes,
    amplitudes,
    antithetic_normals,
    displacements,
    log_density,
    normal_modes,
    variances,
)
from thermosearch.harmonic.symmetry import symmetrise_matrix


class State(NamedTuple):
    """Between two requests.

    Attributes
    ----------
    effective : EffectiveCrystal
        Present centroids, cell and force constants.
    modes : Modes
        Of its force constants.
    sample : Sample or None
        What was drawn on it so far.
    request : int
        Pairs to draw next.
    step : int
        Refits so far.
    damping : float
        Of the last step.
    change : (n, n) float64
        Of the force constants that the last sample asked for; zero at first.
    clear : bool
        Whether that stood far above its noise, so that the next sample tells how long the step
        should have been.
    trust : float
        Share of the last step that was taken, of centroids, cell and force constants alike.
    reached : float or None
        Gibbs energy before the last step, eV; None before the first.
    reached_error : float
        Its standard error.
    strained : float
        Largest component of the strain that the last step gave the cell.
    older : Sample or None
        Of the force constants before, about the present centroids; only where the cell is fixed.
    older_density : (s,) float64 or None
        Logarithm of the density it was drawn from.
    course : tuple of Course
        One row a sample.
    result : Averages or None
        Of the last sample.
    drift : Drift or None
        Where centroids and cell want to go by the last sample.
    done : bool
        Nothing more to ask.
    converged : bool
        Whether the gradient vanished within its error; false where the loop gave up.
    """

    effective: EffectiveCrystal
    modes: Modes
    sample: Sample | None
    request: int
    step: int
    damping: float
    change: Float[np.ndarray, "n n"]
    clear: bool = False
    trust: float = 1.0
    reached: float | None = None
    reached_error: float = 0.0
    strained: float = 0.0
    older: Sample | None = None
    older_density: Float[np.ndarray, " s"] | None = None
    course: tuple[Course, ...] = ()
    result: Averages | None = None
    drift: Drift | None = None
    done: bool = False
    converged: bool = False


LARGEST_STRAIN = 0.02
"""Of one step."""

FAR = 3.0
"""Strain left, in units of the error asked for or reached, that makes another step."""

MOVED = 1.0e-3
"""Strain of the last step after which the force constants are those of another cell: to a percent
a frequency does not feel less."""

CLEAR = 4.0
"""Times its noise that the gain must be: a step taken on noise puts that noise into the cell and
the force constants, where the larger sample before it was better."""

RISEN = 3.0
"""Times its error that the Gibbs energy must have risen in a step: it went too far."""

LEAST_TRUST = 0.05
"""Of all steps, as a share of the whole one."""

GAIN_LEFT = 0.05
"""Free energy left to gain, as a share of the error asked for. It is of second order in what the
frequencies miss: at 300 K and 1e-4 eV an atom it leaves them right to about 1 %."""

LEAST_SHARE = 0.5
"""Effective share of an older sample below which it is not used again."""


def begin(
    problem: PointProblem,
    effective: EffectiveCrystal,
    damping: float = 1.0,
) -> State:
    """Start from a crystal whose force constants are positive definite.

    `damping` is the length of the first step; a point nearby knows a good one.
    """
    return State(
        effective=effective,
        modes=_modes(problem.crystal, effective),
        sample=None,
        request=problem.pairs,
        step=0,
        damping=damping,
        change=np.zeros_like(effective.force_constants),
    )


def ask(problem: PointProblem, state: State) -> Request:
    """Give the positions to evaluate: the centroids first, where their sample begins."""
    effective = state.effective
    drawn = 0 if state.sample is None else len(state.sample.energies) // 2
    x = _draw(problem, state, drawn)
    positions = effective.centroids + x.reshape(len(x), -1, 3)
    if not drawn:
        positions = np.concatenate([effective.centroids[None], positions])
    return Request(effective.configuration(), positions)


def tell(problem: PointProblem, state: State, request: Request, evaluated: Evaluated) -> State:
    """Take up what was evaluated of a request, and step or go on sampling."""
    state = _with_sample(state, request, evaluated)
    effective, sample = state.effective, state.sample
    modes = state.modes
    each = pressures(problem.crystal, effective, modes, problem.at, sample)
    result = averages(effective, modes, problem.at, sample, each)
    fitted = refitted(problem, effective, modes, sample)
    moved = drift(problem, modes, pull(problem, effective, modes, sample, each, fitted=fitted))
    gain, noise = fitted.gain + moved.gain, fitted.noise + moved.noise
    row = Course(
        step=state.step,
        pairs=len(sample.energies) // 2,
        free_energy=result.free_energy,
        error=result.free_energy_error,
        gain=gain,
        noise=noise,
        pressure=float(np.trace(result.pressure)) / 3.0,
        bounded=0,
        damping=0.0,
    )
    state = state._replace(result=result, drift=moved)
    if _unfinished(problem, state, gain, noise):
        if state.step >= problem.most_steps:
            return state._replace(done=True, course=(*state.course, row))
        return _step(problem, state, fitted, row)
    return _grow(problem, state, row)


def _unfinished(problem: PointProblem, state: State, gain: float, noise: float) -> bool:
    """Whether to step: there is free energy to gain, or the cell is off, or it has just moved."""
    strain, error = float(np.abs(state.drift.strain).max()), float(state.drift.strain_error.max())
    # Below the sample's own error a move is noise: stepping again would only repeat it.
    off = strain > FAR * max(problem.strain_error, error)
    just_moved = state.strained > max(MOVED, FAR * error)
    return off or just_moved or gain > max(CLEAR * noise, GAIN_LEFT * problem.error)


def _with_sample(state: State, request: Request, found: Evaluated) -> State:
    effective, before = state.effective, state.sample
    x = (request.positions - effective.centroids).reshape(len(request.positions), -1)
    if before is None:
        effective = effective._replace(static=float(found.energies[0]))
        x, found = x[1:], Evaluated(*(field[1:] for field in found))
    fields = [x, found.energies, found.forces.reshape(len(x), -1), found.stresses]
    if before is not None:
        fields = [np.concatenate(both) for both in zip(before, fields, strict=False)]
    count = len(fields[1])
    sample = Sample(*fields, np.full(count, 1.0 / count))
    return state._replace(effective=effective, sample=sample)


def _grow(problem: PointProblem, state: State, row: Course) -> State:
    """Draw more on the same force constants, if the errors ask for it."""
    ratio = max(
        (row.error / problem.error) ** 2,
        (float(state.drift.strain_error.max()) / problem.strain_error) ** 2,
        row.noise / problem.error,
    )
    course = (*state.course, row)
    enough = ratio <= 1.0 or row.pairs >= problem.most_pairs
    if enough:
        return state._replace(done=True, converged=True, course=course)
    wanted = row.pairs * min(max(1.15 * ratio, 1.25), 4.0)
    return state._replace(
        request=_whole(problem, min(wanted, problem.most_pairs) - row.pairs), course=course
    )


def _step(problem: PointProblem, state: State, fitted: Refit, row: Course) -> State:
    """Move force constants, centroids and cell; the next sample is as large as its noise asks."""
    effective, modes = state.effective, state.modes
    fitted, reused = _with_older(problem, state, fitted)
    to_x = amplitudes(modes, problem.at)
    gibbs = row.free_energy + problem.pressure * effective.volume
    damping, trust = state.damping, _trust(state, gibbs, row.error)
    if state.clear:
        before = to_x.T @ state.change @ to_x
        damping = next_damping(state.damping * state.trust, before, fitted.change)
    # Shortened as a whole: single components would leave the strains that symmetry allows.
    largest = float(np.abs(state.drift.strain).max())
    strain = trust * (LARGEST_STRAIN / max(largest, LARGEST_STRAIN)) * state.drift.strain
    strains = np.einsum("kab,ab->k", problem.elastic.strains, strain)
    following = np.einsum("k,kmn->mn", strains, fitted.following)
    change = trust * damping * fitted.change + following
    moved, bounded = stepped(modes, problem.at, effective.force_constants, change)
    cell = effective.cell @ (np.eye(3) + strain)
    shift = trust * _bounded_shift(modes, problem.at, state.drift.shift).reshape(-1, 3)
    after = effective._replace(
        centroids=(effective.centroids + shift) @ (np.eye(3) + strain),
        cell=cell,
        force_constants=allowed(problem.crystal.group, cell, moved),
    )
    from_x = modes.masses[:, None] * to_x / variances(modes, problem.at)
    wanted = row.pairs * min(4.0, max(0.25, 2.0 * row.noise / problem.error))
    own, fixed = state.sample, len(problem.elastic.strains) == 0
    about = own._replace(displacements=own.displacements - shift.reshape(-1))
    taken = row._replace(bounded=bounded, damping=trust * damping, reused=reused)
    return state._replace(
        effective=after,
        modes=_modes(problem.crystal, after),
        sample=None,
        request=_whole(problem, min(max(problem.pairs, wanted), problem.most_pairs)),
        step=state.step + 1,
        damping=damping,
        change=from_x @ fitted.change @ from_x.T,
        clear=row.gain > 10.0 * row.noise,
        trust=trust,
        reached=gibbs,
        reached_error=row.error,
        strained=float(np.abs(strain).max()),
        older=about if fixed else None,
        older_density=log_density(modes, problem.at, own.displacements) if fixed else None,
        course=(*state.course, taken),
    )


def _trust(state: State, gibbs: float, error: float) -> float:
    """Share of the next step: half the last where the Gibbs energy has risen, else a little more.

    The step is Newton's, with the static lattice's response; where that is not the crystal's at
    temperature, whole steps can lead uphill for ever.
    """
    if state.reached is None:
        return 1.0
    if gibbs - state.reached > RISEN * float(np.hypot(error, state.reached_error)):
        return max(LEAST_TRUST, 0.5 * state.trust)
    return min(1.0, 1.1 * state.trust)


def _with_older(problem: PointProblem, state: State, fitted: Refit) -> tuple[Refit, float]:
    """Refit with the sample before as well, reweighted to the present force constants.

    Its effective size (sum w)^2 / sum w^2 falls exponentially with the number of atoms and the
    change of the force constants; below a share it is left out.
    """
    if state.older is None:
        return fitted, 0.0
    own, older = state.sample, state.older
    density = log_density(state.modes, problem.at, older.displacements)
    weights = np.exp(density - state.older_density - np.max(density - state.older_density))
    weights /= weights.sum()
    effective_size = 1.0 / float(np.sum(weights**2))
    if effective_size < LEAST_SHARE * len(weights):
        return fitted, 0.0
    sizes = [float(len(own.energies)), effective_size]
    both = combined([own, older._replace(weights=weights)], sizes)
    return refitted(problem, state.effective, state.modes, both), effective_size


def refitted(
    problem: PointProblem, effective: EffectiveCrystal, modes: Modes, sample: Sample
) -> Refit:
    """Refit force constants within the space group, with what it says of the cell."""
    project = partial(symmetrise_matrix, problem.crystal.group, effective.cell)
    phi, strained = effective.force_constants, problem.elastic.softening
    return refit(modes, problem.at, phi, sample, project, strained=strained)


def _bounded_shift(
    modes: Modes, at: Bath, shift: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Let no mode move farther than its own standard deviation, which the sample has seen."""
    root, spread = np.sqrt(modes.masses), np.sqrt(variances(modes, at))
    along = modes.vectors.T @ (root * shift)
    return (modes.vectors @ np.clip(along, -spread, spread)) / root


def _draw(problem: PointProblem, state: State, drawn: int) -> Float[np.ndarray, "s n"]:
    normals = antithetic_normals(
        (*problem.stream, state.step), drawn, state.request, len(state.modes.masses)
    )
    return displacements(state.modes, problem.at, normals)


def _modes(crystal: Crystal, effective: EffectiveCrystal) -> Modes:
    masses = coordinate_masses(effective.masses)
    return normal_modes(effective.force_constants, masses, bloch=crystal.group.bloch)


def _whole(problem: PointProblem, pairs: float | int) -> int:
    """Round up to full portions of the first sample: few shapes to compile."""
    quantum = max(1, problem.pairs // 2)
    return int(np.ceil(pairs / quantum)) * quantum
