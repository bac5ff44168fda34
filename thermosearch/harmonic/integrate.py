"""Free energy beyond the bound: classical integration from the effective to the true crystal.

Along U_l = (1 - l) u + l U, from the effective harmonic potential u (l = 0), whose free energy is
known, to the true potential U (l = 1), with D = U - u:

    F = F_u + int_0^1 <D>_l dl,                                 F_u = u_0 + kT sum ln(hbar w / kT).

At l = 0 the integrand is what the variational bound adds, F_bound = F_u + <D>_0; it falls with l
(Gibbs, Bogoliubov), so F <= F_bound. The integral is taken at Gauss-Legendre points; the same walks
with those at both ends give it a second time by Bennett's acceptance ratio from each point to the
next (C. H. Bennett, J. Comput. Phys. 22, 245 (1976), DOI 10.1016/0021-9991(76)90078-4), which has
no quadrature.

The modes left out of u (the three acoustic ones at the zone centre) stay out everywhere: the centre
of mass rests where it is in the effective crystal, in U as in u, and no free energy counts it.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq

from thermosearch.configuration import Configuration
from thermosearch.harmonic.statistics import Bath, Modes, amplitudes, harmonic_free_energy
from thermosearch.harmonic.walk import Reference, Walker, Walks
from thermosearch.potentials.interface import Potential
from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.errors import InputError


class Estimate(NamedTuple):
    """A value and its standard error, eV."""

    value: float
    error: float


class Integrated(NamedTuple):
    """Classical free energies of the supercell, eV, centre of mass at rest.

    Attributes
    ----------
    free_energy : Estimate
        By Gauss-Legendre integration.
    by_acceptance_ratio : Estimate
        By Bennett's ratio from point to point.
    difference : Estimate
        The first minus the second, with its own error: both use the same walks.
    bound : Estimate
        F_u + <D>_0.
    gap : Estimate
        The first minus the bound, not above zero but for noise.
    coupling : (l,) float64
        The points, both ends among them.
    mean : (l, w) float64
        <D> of every walker.
    acceptance : (l, w) float64
        Share of trajectories accepted; 1 at l = 0 unless energies there are not finite.
    spread : (l, w) float64
        <|z|^2> / k: 1 in the effective crystal; far more tells of a crystal that left its well.
    overlap : (l - 1,) float64
        Of neighbouring points, from 0 (Bennett's ratio means nothing) to 1.
    evaluations : int
        Forces computed.
    """

    free_energy: Estimate
    by_acceptance_ratio: Estimate
    difference: Estimate
    bound: Estimate
    gap: Estimate
    coupling: Float[np.ndarray, " l"]
    mean: Float[np.ndarray, "l w"]
    acceptance: Float[np.ndarray, "l w"]
    spread: Float[np.ndarray, "l w"]
    overlap: Float[np.ndarray, " stages"]
    evaluations: int


def integrate(
    potential: Potential,
    reference: Reference,
    walks: Walks,
    *,
    seed: int = 0,
    communicator: Communicator | None = None,
) -> Integrated:
    """Integrate from a harmonic reference to the true potential.

    Parameters
    ----------
    potential : Potential
        U.
    reference : Reference
        u.
    walks : Walks
    seed : int
        Walker w draws from `fold_in(seed, w)`, whatever the ranks.
    communicator : Communicator, optional
        Shares the walkers between its ranks.

    Raises
    ------
    InputError
        If fewer than two walkers are asked for, or the potential has no finite energy at the
        centroids.
    """
    if walks.walkers < 2:
        raise InputError(f"integration: walkers = {walks.walkers} gives no error: take at least 2")
    nodes, weights = np.polynomial.legendre.leggauss(walks.points)
    coupling = np.concatenate(([0.0], 0.5 * (nodes + 1.0), [1.0]))
    walk = Walker(potential, reference, coupling, walks, seed)
    share = (communicator or Communicator()).map
    taken = share(walk, list(range(walks.walkers)))
    kt = float(reference.kt)
    work = np.stack([each.work for each in taken], axis=1)
    return analyse(
        work * kt,
        kt,
        coupling,
        0.5 * weights,
        reference=float(reference.free_energy),
        acceptance=np.stack([each.acceptance for each in taken], axis=1),
        spread=np.stack([each.spread for each in taken], axis=1),
        evaluations=len(coupling)
        * walks.walkers
        * (walks.equilibration + walks.samples)
        * walks.steps,
    )


FAIR_OVERLAP = 0.1
"""Of neighbouring points, below which more points are taken."""


def integrate_finely(
    potential: Potential,
    reference: Reference,
    walks: Walks,
    most_points: int,
    *,
    seed: int = 0,
    communicator: Communicator | None = None,
) -> Integrated:
    """Integrate, again with twice the points while neighbours hardly overlap.

    Parameters
    ----------
    most_points : int
        Gauss-Legendre points at most.
    potential, reference, walks, seed, communicator
        As in `integrate`.

    Returns
    -------
    Integrated
        The last one; its evaluations are those of all.
    """
    spent = 0
    while True:
        found = integrate(potential, reference, walks, seed=seed, communicator=communicator)
        spent += found.evaluations
        points = min(2 * walks.points, most_points)
        if found.overlap.min() >= FAIR_OVERLAP or points <= walks.points:
            return found._replace(evaluations=spent)
        walks = walks._replace(points=points)


def whiten(configuration: Configuration, modes: Modes, static: float, at: Bath) -> Reference:
    """Make the reference of an effective crystal.

    Parameters
    ----------
    configuration : Configuration
        The supercell at its centroids.
    modes : Modes
        Of its force constants, all of them stable.
    static : float
        Potential energy at the centroids, eV.
    at : Bath
        Its temperature; the integration is classical whatever its statistics.

    Raises
    ------
    ValueError
        If a mode is unstable.
    """
    classical = at._replace(quantum=False)
    return Reference(
        configuration=configuration,
        basis=amplitudes(modes, classical),
        static=np.asarray(static),
        free_energy=np.asarray(static + harmonic_free_energy(modes, classical)),
        kt=np.asarray(at.kt),
    )


def analyse(
    differences: Float[np.ndarray, "l w s"],
    kt: float,
    coupling: Float[np.ndarray, " l"],
    weights: Float[np.ndarray, " inner"],
    *,
    reference: float,
    acceptance: Float[np.ndarray, "l w"],
    spread: Float[np.ndarray, "l w"],
    evaluations: int,
) -> Integrated:
    """Free energies from the samples of D; every error is a jackknife over the walkers.

    Parameters
    ----------
    differences : (l, w, s) float64
        D = U - u, eV, of every sample, at the coupling's points.
    kt : float
        eV.
    coupling, weights : (l,), (l - 2,)
        The points, and the quadrature's weights of all but the two ends.
    reference : float
        F_u, eV.
    acceptance, spread, evaluations
        Handed on.
    """
    mean = differences.mean(axis=2)
    by_points = weights @ mean[1:-1]
    acceptance_ratio, overlap = _bennett(differences, kt, coupling)
    count = mean.shape[1]
    left_out = np.array(
        [
            _bennett(np.delete(differences, walker, axis=1), kt, coupling)[0]
            for walker in range(count)
        ]
    )
    # Pseudovalues: a mean over walkers is its own jackknife, so all estimates share one rule.
    ratio = count * acceptance_ratio - (count - 1) * left_out
    return Integrated(
        free_energy=_estimate(reference + by_points),
        by_acceptance_ratio=_estimate(reference + ratio, reference + acceptance_ratio),
        difference=_estimate(by_points - ratio, by_points.mean() - acceptance_ratio),
        bound=_estimate(reference + mean[0]),
        gap=_estimate(by_points - mean[0]),
        coupling=coupling,
        mean=mean,
        acceptance=acceptance,
        spread=spread,
        overlap=overlap,
        evaluations=evaluations,
    )


def _bennett(
    differences: Float[np.ndarray, "l w s"], kt: float, coupling: Float[np.ndarray, " l"]
) -> tuple[float, Float[np.ndarray, " stages"]]:
    """Free energy from the first to the last coupling, eV, and the overlap of each stage.

    As many samples on both sides: sum_a f(w - x) = sum_b f(x - w), f(y) = 1 / (1 + e^y), with
    w = (l_b - l_a) D / kT and x the free energy of the stage over kT.
    """
    total, overlaps = 0.0, []
    for stage, width in enumerate(np.diff(coupling)):
        forward = width * differences[stage].ravel() / kt
        backward = width * differences[stage + 1].ravel() / kt

        def imbalance(x: float, up: np.ndarray = forward, down: np.ndarray = backward) -> float:
            return float(np.sum(_fermi(up - x)) - np.sum(_fermi(x - down)))

        low = min(forward.min(), backward.min()) - 1.0
        high = max(forward.max(), backward.max()) + 1.0
        x = brentq(imbalance, low, high, xtol=1e-12)
        total += kt * x
        overlaps.append(2.0 * np.mean(_fermi(forward - x)))
    return total, np.array(overlaps)


def _fermi(y: Float[np.ndarray, " s"]) -> Float[np.ndarray, " s"]:
    return 0.5 * (1.0 - np.tanh(0.5 * y))


def _estimate(by_walker: Float[np.ndarray, " w"], value: float | None = None) -> Estimate:
    error = np.std(by_walker, ddof=1) / np.sqrt(len(by_walker))
    return Estimate(float(by_walker.mean() if value is None else value), float(error))
