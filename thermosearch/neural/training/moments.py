"""Descriptor coefficients of fixed atoms, made once, so that training only mixes them.

With one element the neighbours enter the descriptor through sums over pairs that hold nothing
learned: the moments A_i,nlm = sum_j g_nl(r_ij) Y_lm(r_ij) of the unmixed radial basis, of which
the model's coefficients are linear combinations. Positions do not change in training, so the
moments and their slopes dA_i/dr_ij are constants: energies are functions of A alone and forces
one product of dE/dA with the slopes, at a fraction of the cost of going through the pairs. The
price is memory, three numbers a moment and pair: large sets go through the pairs.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from thermosearch.configuration import Array
from thermosearch.neural.config import ModelConfig
from thermosearch.neural.descriptor import Descriptor, invariants
from thermosearch.neural.harmonics import solid_harmonics
from thermosearch.neural.model import Environments, NeuralPotential
from thermosearch.neural.radial import enveloped_series, series_terms
from thermosearch.neural.training.batches import Example

_BLOCK = 8192
_MOST_BYTES = 1_500_000_000


def with_moments(items: Sequence[Example], model: NeuralPotential) -> tuple[Example, ...]:
    """Add moments and repulsion to examples, if the model is of one element and they fit memory.

    Parameters
    ----------
    items : sequence of Example
        Whose neighbours are those within the model's cutoff.
    model : NeuralPotential
        Its parameters do not matter.
    """
    if len(model.config.elements) > 1 or not items or _bytes(items, model.config) > _MOST_BYTES:
        return tuple(items)
    vectors = np.concatenate([item.vectors[item.filled] for item in items])
    ends = np.cumsum([item.filled.sum() for item in items])
    done: list[Example] = []
    first = 0
    while len(done) < len(items):
        # As many examples as fill a block, or one that is larger.
        last = max(int(np.searchsorted(ends, first + _BLOCK, side="right")), len(done) + 1)
        parts = _of_pairs(model, vectors[first : ends[last - 1]])
        starts = np.concatenate(([first], ends[len(done) : last])) - first
        for low, high in pairwise(starts.tolist()):
            done.append(_extended(items[len(done)], *(x[low:high] for x in parts)))
        first = int(ends[last - 1])
    return tuple(done)


def _bytes(items: Sequence[Example], config: ModelConfig) -> int:
    """Memory the slopes of the moments would take."""
    slots = sum(item.filled.size for item in items)
    return slots * 3 * moment_count(config) * np.dtype(config.precision).itemsize


def _extended(
    item: Example,
    values: Float[np.ndarray, "pairs moments"],
    slopes: Float[np.ndarray, "pairs 3 moments"],
    repulsion: Float[np.ndarray, " pairs"],
    repulsion_slopes: Float[np.ndarray, "pairs 3"],
) -> Example:
    """Add to an example what its pairs, in the order of its slots, sum to."""

    def in_slots(of_pairs: np.ndarray) -> np.ndarray:
        slots = np.zeros((*item.filled.shape, *of_pairs.shape[1:]), of_pairs.dtype)
        slots[item.filled] = of_pairs
        return slots

    return replace(
        item,
        moments=in_slots(values).sum(axis=1),
        slopes=in_slots(slopes),
        fixed_energy=in_slots(repulsion).sum(axis=1),
        fixed_slopes=in_slots(repulsion_slopes),
    )


def _of_pairs(
    model: NeuralPotential, vectors: Float[np.ndarray, "pairs 3"]
) -> tuple[np.ndarray, ...]:
    """Moments (p, a), their slopes (p, 3, a), repulsion (p,) and its slopes (p, 3)."""
    found = []
    for first in range(0, max(len(vectors), 1), _BLOCK):
        block = vectors[first : first + _BLOCK]
        padded = np.ones((_BLOCK, 3), vectors.dtype)
        padded[: len(block)] = block
        moments = jax.device_get(_moments_and_slopes(padded, model.config))
        repulsion = jax.device_get(_repulsion_and_slopes(model, padded))
        found.append([x[: len(block)] for x in (*moments, *repulsion)])
    return tuple(np.concatenate(x) for x in zip(*found, strict=True))


def moment_count(config: ModelConfig) -> int:
    """Count the moments of an atom."""
    return sum((config.n_max - l + 1) * (2 * l + 1) for l in range(config.l_max + 1))


def learned_energies(
    model: NeuralPotential, moments: Float[Array, "n moments"]
) -> Float[Array, "members n"]:
    """Atomic energies of the networks: `model.learned_energies` from the moments of the atoms."""
    config = model.config
    coefficients, first = [], 0
    for l in range(config.l_max + 1):
        rows, columns = config.n_max - l + 1, 2 * l + 1
        block = moments[:, first : first + rows * columns].T.reshape(rows, columns, -1)
        if model.descriptor.mixing is None:
            coefficients.append(jnp.swapaxes(block, 0, 1))
        else:
            mixing = model.descriptor.mixing[l][:, 0]
            coefficients.append(jnp.einsum("qi,imn->mqn", mixing, block))
        first += rows * columns
    features = invariants(config, coefficients).T
    return model.network_energies(features, jnp.zeros(len(moments), jnp.int32))


@eqx.filter_jit
def _moments_and_slopes(
    vectors: Float[Array, "pairs 3"], config: ModelConfig
) -> tuple[Float[Array, "pairs moments"], Float[Array, "pairs 3 moments"]]:
    plain = Descriptor(replace(config, radial=None, descriptors=1), None, None)
    terms = series_terms(config.n_max, config.precision)
    matrices = plain.series_matrices(terms)

    def moments(columns: Float[Array, "3 pairs"]) -> Float[Array, "moments pairs"]:
        x, y, z = (columns / config.cutoff)[:, None]
        t = x * x + y * y + z * z
        series = enveloped_series(t, t < 1.0, terms)[:, 0]
        harmonics = solid_harmonics(x, y, z, config.l_max)
        products = [
            ((matrix.T @ series)[:, None] * jnp.concatenate(of_l)[None]).reshape(-1, t.shape[1])
            for matrix, of_l in zip(matrices, harmonics, strict=True)
        ]
        return jnp.concatenate(products)

    columns = vectors.T
    values = moments(columns)
    unit = jnp.eye(3, dtype=columns.dtype)
    slopes = [
        jax.jvp(moments, (columns,), (jnp.broadcast_to(e[:, None], columns.shape),))[1]
        for e in unit
    ]
    return values.T, jnp.stack(slopes).transpose(2, 0, 1)


@eqx.filter_jit
def _repulsion_and_slopes(
    model: NeuralPotential, vectors: Float[Array, "pairs 3"]
) -> tuple[Float[Array, " pairs"], Float[Array, "pairs 3"]]:
    """Repulsion of single pairs, the half that belongs to the first atom, and its slope."""

    def total(moved: Float[Array, "pairs 3"]) -> tuple[Float[Array, ""], Float[Array, " pairs"]]:
        rows = moved.shape[0]
        species = jnp.zeros(rows, jnp.int32)
        filled = jnp.ones((rows, 1), bool)
        pairs = Environments(moved[:, None], filled, species, species[:, None], filled[:, 0])
        repulsion = model.repulsion(pairs).astype(moved.dtype)
        return jnp.sum(repulsion), repulsion

    (_, repulsion), slopes = jax.value_and_grad(total, has_aux=True)(vectors)
    return repulsion, slopes
