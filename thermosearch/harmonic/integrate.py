"""Free energy beyond the bound: classical integration from the effective to the true crystal.

Along U_l = (1 - l) u + l U, from the effective harmonic potential u (l = 0), whose free energy is
known, to the true potential U (l = 1), with D = U - u:

    F = F_u + int_0^1 <D>_l dl,                                 F_u = u_0 + kT sum ln(hbar w / kT).

At l = 0 the integrand is what the variational bound adds, F_bound = F_u + <D>_0; it falls with l
(Gibbs, Bogoliubov), so F <= F_bound. The integral is taken at Gauss-Legendre points; the same walks
with those at both ends give it a second time by Bennett's acceptance ratio from each point to the
next (C. H. Bennett, J. Comput. Phys. 22, 245 (1976), DOI 10.1016/0021-9991(76)90078-4), which has
no quadrature.

Walks are hybrid Monte Carlo in the normal coordinates of u, whitened so that u / kT = |z|^2 / 2.
The harmonic part is propagated exactly, a rotation of (z, p), and D only kicks (A. Beskos et al.,
Stoch. Process. Appl. 121, 2201 (2011), DOI 10.1016/j.spa.2011.06.003): without D every quarter
turn is an independent sample, and the step is limited by D alone, not by the stiffest mode.

The modes left out of u (the three acoustic ones at the zone centre) stay out everywhere: the centre
of mass rests where it is in the effective crystal, in U as in u, and no free energy counts it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import brentq

from thermosearch.configuration import Array, Configuration
from thermosearch.harmonic.statistics import Bath, Modes, displacements, harmonic_free_energy
from thermosearch.potentials.interface import Neighbours, Potential, energy_forces
from thermosearch.potentials.neighbours_device import (
    UNANSWERABLE,
    DeviceList,
    answer_overflow,
)
from thermosearch.potentials.neighbours_host import host_neighbours
from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.errors import InputError

QUARTER_TURN = 0.5 * np.pi
WANTED_ACCEPTANCE = 0.8
TRIALS = 8
"""Samples of the reference from which the first neighbour list takes its width."""


class Reference(NamedTuple):
    """A harmonic crystal in whitened normal coordinates: u = static + kT |z|^2 / 2.

    Attributes
    ----------
    configuration : Configuration
        Where z = 0, the centroids.
    basis : (3n, k) float64
        Displacements x = basis @ z, A; a column is e sqrt(kT / m) / omega. The k modes integrated
        over; those left out stay at zero.
    static : float
        u at z = 0, eV.
    free_energy : float
        Classical free energy F_u of the k modes, static included, eV.
    kt : float
        eV.
    """

    configuration: Configuration
    basis: Float[Array, "x k"]
    static: Float[Array, ""]
    free_energy: Float[Array, ""]
    kt: Float[Array, ""]


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
    units = np.eye(len(modes.frequencies))
    return Reference(
        configuration=configuration,
        basis=displacements(modes, classical, units).T,
        static=np.asarray(static),
        free_energy=np.asarray(static + harmonic_free_energy(modes, classical)),
        kt=np.asarray(at.kt),
    )


class Walks(NamedTuple):
    """How long and how finely the walks go.

    Attributes
    ----------
    points : int
        Gauss-Legendre points; the two ends are walked at besides.
    walkers : int
        Independent walks, from which the errors come.
    equilibration, samples : int
        Trajectories at each point before, and while, D is taken.
    steps : int
        Forces a trajectory; together at most a quarter turn.
    """

    points: int = 4
    walkers: int = 8
    equilibration: int = 20
    samples: int = 100
    steps: int = 3


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
    walks: Walks = Walks(),
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
    walk = _Walk(potential, reference, coupling, walks, seed)
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


class _Taken(NamedTuple):
    """What one walker brings home: D / kT of every sample, and how the walk went."""

    work: Float[Array, "l s"]
    acceptance: Float[Array, " l"]
    spread: Float[Array, " l"]
    needed: Int[Array, ""]


class _Place(NamedTuple):
    """Where a walker stands: coordinates, D / kT and its gradient, slots its list needed."""

    z: Float[Array, " k"]
    work: Float[Array, ""]
    slope: Float[Array, " k"]
    needed: Int[Array, ""]


class _Walk:
    """A walker's whole way from l = 0 to 1, repeated with wider lists where they overflowed."""

    def __init__(
        self,
        potential: Potential,
        reference: Reference,
        coupling: Float[np.ndarray, " l"],
        walks: Walks,
        seed: int,
    ) -> None:
        self.potential, self.walks = potential, walks
        self.reference = jax.tree.map(jnp.asarray, reference)
        self.coupling = jnp.asarray(coupling)
        self.key = jax.random.PRNGKey(seed)
        self.finder = _first_list(potential, reference, self.key)

    def __call__(self, walker: int) -> _Taken:
        while True:
            taken = jax.device_get(
                _ladder(
                    self.potential,
                    self.reference,
                    self.coupling,
                    jax.random.fold_in(self.key, walker),
                    finder=self.finder,
                    walks=self.walks,
                )
            )
            if isinstance(self.finder, DeviceList) and taken.needed > self.finder.capacity:
                self.finder = _wider(self.finder, self.reference.configuration)
                continue
            if not np.all(np.isfinite(taken.work)):
                raise InputError(
                    "integration: the potential gives no finite energy at the centroids of the "
                    "effective crystal: check the potential and the structure"
                )
            return taken


def _first_list(potential: Potential, reference: Reference, key: Array) -> DeviceList | Neighbours:
    """List wide enough for some samples of the reference; fixed where no cutoff is."""
    if potential.cutoff is None:
        return host_neighbours(reference.configuration, None)
    drawn = np.asarray(jax.random.normal(key, (reference.basis.shape[1], TRIALS)))
    moved = (np.asarray(reference.basis) @ drawn).T.reshape(TRIALS, -1, 3)
    centre = reference.configuration
    tried = [centre._replace(positions=centre.positions + each) for each in moved]
    return DeviceList.covering([centre, *tried], potential.cutoff)


def _wider(finder: DeviceList, centre: Configuration) -> DeviceList:
    """A list with half as many slots again; the images cannot be short, the cell is fixed."""
    grown = answer_overflow(finder, [jax.device_get(centre)])
    capacity = max(grown.capacity, int(np.ceil(1.5 * finder.capacity / 4)) * 4)
    return DeviceList(grown.cutoff, capacity, grown.images)


@eqx.filter_jit
def _ladder(
    potential: Potential,
    reference: Reference,
    coupling: Float[Array, " l"],
    key: Array,
    *,
    finder: DeviceList | Neighbours,
    walks: Walks,
) -> _Taken:
    """Walk at every coupling in turn, each from where the one before ended."""
    modes = reference.basis.shape[1]
    start = _evaluate(potential, reference, finder, jnp.zeros(modes, jnp.float64))

    def rung(place: _Place, inputs: tuple[Array, Array]) -> tuple[_Place, _Taken]:
        strength, stream = inputs

        def trajectory(carry: tuple[_Place, Array], step: Array) -> tuple[Any, Any]:
            place, angle = carry
            moved, accepted = _trajectory(
                lambda z: _evaluate(potential, reference, finder, z),
                place,
                jax.random.fold_in(stream, step),
                strength=strength,
                angle=angle,
                steps=walks.steps,
            )
            learns = step < walks.equilibration
            drive = jnp.where(learns, accepted - WANTED_ACCEPTANCE, 0.0)
            rate = 1.0 / jnp.sqrt(1.0 + step)
            angle = jnp.minimum(angle * jnp.exp(rate * drive), QUARTER_TURN / walks.steps)
            spread = jnp.mean(moved.z**2)
            return (moved, angle), (moved.work, accepted, spread, moved.needed)

        count = walks.equilibration + walks.samples
        widest = jnp.asarray(QUARTER_TURN / walks.steps)
        (place, _), (work, accepted, spread, needed) = jax.lax.scan(
            trajectory, (place, widest), jnp.arange(count, dtype=jnp.int32)
        )
        kept = slice(walks.equilibration, None)
        return place, _Taken(
            work[kept], jnp.mean(accepted[kept]), jnp.mean(spread[kept]), jnp.max(needed)
        )

    streams = jax.vmap(lambda rung: jax.random.fold_in(key, rung))(
        jnp.arange(len(coupling), dtype=jnp.int32)
    )
    _, taken = jax.lax.scan(rung, start, (coupling, streams))
    return taken._replace(needed=jnp.maximum(jnp.max(taken.needed), start.needed))


def _trajectory(
    evaluate: Callable[[Array], _Place],
    place: _Place,
    key: Array,
    *,
    strength: Float[Array, ""],
    angle: Float[Array, ""],
    steps: int,
) -> tuple[_Place, Float[Array, ""]]:
    """One trajectory of kicks by D and exact turns by u, accepted by Metropolis' rule.

    The angle varies by up to a fifth, below its bound, so that no orbit closes.
    """
    draw, choose, vary = jax.random.split(key, 3)
    momentum = jax.random.normal(draw, place.z.shape)
    angle = angle * jax.random.uniform(vary, (), jnp.float64, 0.8, 1.0)
    cosine, sine = jnp.cos(angle), jnp.sin(angle)

    def total(place: _Place, momentum: Array) -> Array:
        return 0.5 * (place.z @ place.z + momentum @ momentum) + strength * place.work

    def step(carry: tuple[_Place, Array], _: None) -> tuple[tuple[_Place, Array], Array]:
        here, p = carry
        half = 0.5 * angle * strength
        p = p - half * here.slope
        z, p = here.z * cosine + p * sine, p * cosine - here.z * sine
        there = evaluate(z)
        p = p - half * there.slope
        return (there, p), there.needed

    (moved, last), needed = jax.lax.scan(step, (place, momentum), None, length=steps)
    change = total(moved, last) - total(place, momentum)
    accepted = jnp.log(jax.random.uniform(choose, (), jnp.float64)) < -change
    accepted = accepted & jnp.isfinite(moved.work)
    chosen = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), moved, place)
    return chosen._replace(needed=jnp.max(needed)), accepted.astype(jnp.float64)


def _evaluate(
    potential: Potential,
    reference: Reference,
    finder: DeviceList | Neighbours,
    z: Float[Array, " k"],
) -> _Place:
    """D / kT and its gradient in whitened coordinates."""
    centre = reference.configuration
    moved = centre.positions + (reference.basis @ z).reshape(-1, 3)
    configuration = centre._replace(positions=moved)
    neighbours = finder.find(configuration) if isinstance(finder, DeviceList) else finder
    found = energy_forces(potential, configuration, neighbours)
    work = (found.energy - reference.static) / reference.kt - 0.5 * z @ z
    slope = -(found.forces.reshape(-1) @ reference.basis) / reference.kt - z
    lost = neighbours.needed >= UNANSWERABLE
    return _Place(
        z,
        jnp.where(lost, jnp.nan, work),
        slope,
        jnp.where(lost, 0, jnp.asarray(neighbours.needed, jnp.int32)),
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
