"""Parallel tempering of Lennard-Jones clusters in a sphere about a fixed centre.

An independent way to the same averages: nothing of the package is used, not even its potential.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

State = tuple[jax.Array, jax.Array, jax.Array]


class Averages(NamedTuple):
    """Energies and configurational heat capacities, (t,), with standard errors over the chains.

    `curves` are the heat capacities of every chain, (chains, t).
    """

    energy: np.ndarray
    energy_error: np.ndarray
    heat_capacity: np.ndarray
    heat_capacity_error: np.ndarray
    curves: np.ndarray


def parallel_tempering(
    atoms: int, radius: float, kt: np.ndarray, *, chains: int, sweeps: int, warm: int, seed: int
) -> Averages:
    """Sweeps of single-atom moves, then swaps of neighbouring temperatures, even and odd in turn.

    Step sizes are adapted during the first `warm` sweeps alone, which do not count.
    """
    key = jax.random.key(seed)
    first, second, third = jax.random.split(key, 3)
    shape = (chains, len(kt), atoms, 3)
    # On a small lattice: drawn anywhere, atoms would overlap.
    grid = np.stack(np.meshgrid(*[np.arange(3) - 1.0] * 3, indexing="ij"), -1).reshape(-1, 3)
    start = 1.12 * grid[np.argsort(np.sum(grid**2, axis=1), kind="stable")[:atoms]]
    positions = jnp.broadcast_to(jnp.asarray(start), shape)
    positions = positions + 0.01 * jax.random.normal(first, shape, jnp.float64)
    state = (positions, jax.vmap(jax.vmap(_energy))(positions), jnp.full(len(kt), 0.2, jnp.float64))
    state, _ = _run(state, jnp.asarray(kt), radius, second, sweeps=warm, adapt=True)
    _, sums = _run(state, jnp.asarray(kt), radius, third, sweeps=sweeps, adapt=False)
    mean, square = np.asarray(sums[0]) / sweeps, np.asarray(sums[1]) / sweeps
    capacity = (square - mean**2) / kt**2
    root = np.sqrt(chains)
    return Averages(
        mean.mean(axis=0),
        mean.std(axis=0, ddof=1) / root,
        capacity.mean(axis=0),
        capacity.std(axis=0, ddof=1) / root,
        capacity,
    )


@partial(jax.jit, static_argnames=("sweeps", "adapt"))
def _run(
    state: State, kt: jax.Array, radius: float, key: jax.Array, *, sweeps: int, adapt: bool
) -> tuple[State, tuple[jax.Array, jax.Array]]:
    atoms = state[0].shape[2]

    def sweep(carry: tuple[Any, Any], number: jax.Array) -> tuple[Any, None]:
        (positions, energy, step), (total, square) = carry
        own = jax.random.fold_in(key, number)
        moves, decides, swaps = jax.random.split(own, 3)
        shape = positions.shape
        trial = step[:, None, None] * jax.random.uniform(moves, shape, jnp.float64, -1.0, 1.0)
        chance = jnp.log(jax.random.uniform(decides, shape[:3], jnp.float64))

        def one(atom: jax.Array, inner: tuple[Any, ...]) -> tuple[Any, ...]:
            positions, energy, taken = inner
            new = positions[:, :, atom] + trial[:, :, atom]
            change = _row(positions, new, atom) - _row(positions, positions[:, :, atom], atom)
            accept = (chance[:, :, atom] < -change / kt) & (jnp.sum(new**2, -1) <= radius**2)
            moved = jnp.where(accept[..., None], new, positions[:, :, atom])
            energy = energy + jnp.where(accept, change, 0.0)
            return (
                positions.at[:, :, atom].set(moved),
                energy,
                taken + accept.mean(axis=0, dtype=jnp.float64),
            )

        start = (positions, energy, jnp.zeros(len(kt), jnp.float64))
        positions, energy, taken = jax.lax.fori_loop(0, atoms, one, start)
        if adapt:
            step = jnp.clip(step * jnp.exp(0.05 * (taken / atoms - 0.4)), 1e-3, 2.0)
        order = _swapped(energy, kt, swaps, number)
        energy = jnp.take_along_axis(energy, order, axis=1)
        positions = jnp.take_along_axis(positions, order[..., None, None], axis=1)
        return ((positions, energy, step), (total + energy, square + energy**2)), None

    zero = jnp.zeros(state[1].shape, jnp.float64)
    (state, sums), _ = jax.lax.scan(sweep, (state, (zero, zero)), jnp.arange(sweeps))
    return state, sums


def _swapped(energy: jax.Array, kt: jax.Array, key: jax.Array, number: jax.Array) -> jax.Array:
    """Who stands at which temperature after one round of swaps."""
    count = len(kt)
    place = jnp.arange(count)
    partner = jnp.where((place + number) % 2 == 0, place + 1, place - 1)
    partner = jnp.where((partner < 0) | (partner >= count), place, partner)
    gain = (1.0 / kt - 1.0 / kt[partner]) * (energy - energy[:, partner])
    drawn = jnp.log(jax.random.uniform(key, energy.shape, jnp.float64))
    pair = jnp.minimum(place, partner)
    accept = drawn[:, pair] < gain
    return jnp.where(accept, partner, place)


def _row(positions: jax.Array, place: jax.Array, atom: jax.Array) -> jax.Array:
    squared = jnp.sum((positions - place[:, :, None]) ** 2, axis=-1)
    squared = squared.at[:, :, atom].set(1.0)
    pairs = _pair(squared).at[:, :, atom].set(0.0)
    return jnp.sum(pairs, axis=-1)


def _energy(positions: jax.Array) -> jax.Array:
    i, j = np.triu_indices(positions.shape[0], 1)
    return jnp.sum(_pair(jnp.sum((positions[i] - positions[j]) ** 2, axis=-1)))


def _pair(squared: jax.Array) -> jax.Array:
    sixth = squared**-3
    return 4.0 * (sixth * sixth - sixth)
