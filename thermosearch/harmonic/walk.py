"""Walks from a harmonic to the true potential, compiled: one call takes a walker all the way.

Hybrid Monte Carlo in the normal coordinates of the harmonic u, whitened so that u / kT = |z|^2 / 2.
The harmonic part is propagated exactly, a rotation of (z, p), and D = U - u only kicks (A. Beskos
et al., Stoch. Process. Appl. 121, 2201 (2011), DOI 10.1016/j.spa.2011.06.003): without D every
quarter turn is an independent sample, and the step is limited by D alone, not by the stiffest mode.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from thermosearch.configuration import Array, Configuration
from thermosearch.potentials.interface import Neighbours, Potential, energy_forces
from thermosearch.potentials.neighbours_device import (
    UNANSWERABLE,
    DeviceList,
    answer_overflow,
)
from thermosearch.potentials.neighbours_host import host_neighbours
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
    steps: int = 2


class Taken(NamedTuple):
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


class Walker:
    """Takes a walker from l = 0 to 1, again with a wider list where it overflowed."""

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

    def __call__(self, walker: int) -> Taken:
        """Walk; the numbers depend on the walker alone, so every one begins with the first list."""
        finder = self.finder
        while True:
            taken = jax.device_get(
                _ladder(
                    self.potential,
                    self.reference,
                    self.coupling,
                    jax.random.fold_in(self.key, walker),
                    finder=finder,
                    walks=self.walks,
                )
            )
            if isinstance(finder, DeviceList) and taken.needed > finder.capacity:
                finder = _wider(finder, self.reference.configuration)
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
    """Add half as many slots again; the images cannot be short, as the cell is fixed."""
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
) -> Taken:
    """Walk at every coupling in turn, each from where the one before ended."""
    modes = reference.basis.shape[1]
    start = _evaluate(potential, reference, finder, jnp.zeros(modes, jnp.float64))

    def rung(place: _Place, inputs: tuple[Array, Array]) -> tuple[_Place, Taken]:
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
            rate = 1.0 / jnp.sqrt(1.0 + step.astype(jnp.float64))
            angle = jnp.minimum(angle * jnp.exp(rate * drive), QUARTER_TURN / walks.steps)
            spread = jnp.mean(moved.z**2)
            return (moved, angle), (moved.work, accepted, spread, moved.needed)

        count = walks.equilibration + walks.samples
        widest = jnp.asarray(QUARTER_TURN / walks.steps)
        (place, _), (work, accepted, spread, needed) = jax.lax.scan(
            trajectory, (place, widest), jnp.arange(count, dtype=jnp.int32)
        )
        kept = slice(walks.equilibration, None)
        return place, Taken(
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
