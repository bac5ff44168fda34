"""Invariant description of atomic environments: power spectrum and four-body couplings.

Every neighbour j adds R_q(r_ij, Z_j) Y_lm(r_ij) to the coefficients c_qlm of atom i, so the cost
is linear in neighbours; the invariants are polynomials of the coefficients:

    c_i00                       pair terms
    sum_m c_qlm c_q'lm          three-body: the power spectrum
    sum G c_l1m1 c_l2m2 c_l3m3  four-body: couplings of three angular momenta

The radial functions are the g_{n-l,l} of Kocer, Mason, Erturk (2020), weighted by the learned
vector of the neighbour's element, as they are or in learned linear combinations; of these there
may be several sets, each with its own invariants.
"""

from collections.abc import Sequence
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Array
from thermosearch.neural.config import ModelConfig
from thermosearch.neural.contraction import apply_matrix, couple, sum_over_neighbours
from thermosearch.neural.harmonics import gaunt, solid_harmonics
from thermosearch.neural.radial import chebyshev_series, enveloped_series, series_terms
from thermosearch.potentials.compilation import stage


class Descriptor(eqx.Module):
    """Map from pair vectors to invariant features, with its learned parameters.

    Attributes
    ----------
    config : ModelConfig
        Static.
    embedding : (E, K) or None
        Vector of each element as a neighbour; None for one element.
    mixing : tuple over l of (G Q_l, K, n_max - l + 1), or None
        Learned radial functions, one set after the other; None where the basis is taken as it is.
    """

    config: ModelConfig = eqx.field(static=True)
    embedding: Float[Array, "elements channels"] | None
    mixing: tuple[Float[Array, "..."], ...] | None

    @classmethod
    def initial(cls, config: ModelConfig, key: jax.Array) -> "Descriptor":
        """Random embedding; random mixing of unit rows."""
        dtype = jnp.dtype(config.precision)
        embedding_key, *mixing_keys = jax.random.split(key, config.l_max + 2)
        embedding, channels = None, 1
        if len(config.elements) > 1:
            channels = config.channels
            embedding = jax.random.normal(embedding_key, (len(config.elements), channels), dtype)
        mixing = None
        if config.radial is not None:
            sets, orders = config.descriptors, config.n_max + 1
            mixing = tuple(
                _unit_rows(mixing_keys[l], sets, (count, channels, orders - l), dtype)
                for l, count in enumerate(config.radial)
            )
        return cls(config, embedding, mixing)

    def __call__(
        self,
        vectors: Float[Array, "n m 3"],
        filled: Bool[Array, "n m"],
        species: Int[Array, "n m"],
    ) -> Float[Array, "n features"]:
        """Features of every atom.

        Parameters
        ----------
        vectors : (n, m, 3)
            From atom to neighbour, A.
        filled : (n, m) bool
            Slots that hold a neighbour.
        species : (n, m) int32
            Index of the neighbour's element in `config.elements`; any value in an empty slot.
        """
        # Atoms last: every operation from here to the invariants is a vector loop over atoms.
        n = vectors.shape[0]
        extra = _odd_lines(n) - n
        scaled = jnp.transpose(vectors / self.config.cutoff, (2, 1, 0))
        coefficients = self.coefficients(
            jnp.pad(scaled, ((0, 0), (0, 0), (0, extra))),
            jnp.pad(filled.T, ((0, 0), (0, extra))),
            jnp.pad(species.T, ((0, 0), (0, extra))),
        )
        return invariants(self.config, coefficients).T[:n]

    def coefficients(
        self,
        vectors: Float[Array, "3 m n"],
        filled: Bool[Array, "m n"],
        species: Int[Array, "m n"],
    ) -> list[Float[Array, "_ _ n"]]:
        """Expansion coefficients c_qlm of the neighbour densities, (2 l + 1, G q, n) for each l.

        Takes the pair vectors in units of the cutoff.
        """
        radial = self.radial_factors(vectors, filled, species)
        harmonics = stage(partial(_harmonics, self.config.l_max))(vectors)
        return [
            sum_over_neighbours(of_l, factors)
            for factors, of_l in zip(radial, harmonics, strict=True)
        ]

    def radial_factors(
        self,
        vectors: Float[Array, "3 m n"],
        filled: Bool[Array, "m n"],
        species: Int[Array, "m n"],
    ) -> list[Float[Array, "_ m n"]]:
        """R_q(r, Z) / (r / cutoff)^l of every pair, (G q, m, n) for each l; zero in empty slots.

        Takes the pair vectors in units of the cutoff.
        """
        terms = series_terms(self.config.n_max, self.config.precision)
        series = stage(partial(_series, terms))(vectors, filled)
        if self.embedding is not None:
            # A product with zeros and ones: the reverse pass of a gather would scatter.
            elements = jnp.arange(len(self.config.elements), dtype=species.dtype)
            of_element = species == elements[:, None, None]
            weights = apply_matrix(self.embedding.T, of_element.astype(vectors.dtype))
            series = (weights[:, None] * series[None]).reshape(-1, *filled.shape)
        matrices = self.series_matrices(terms)
        factors = apply_matrix(jnp.concatenate(matrices, axis=1).T, series)
        return jnp.split(factors, np.cumsum([a.shape[1] for a in matrices])[:-1])

    def series_matrices(self, terms: int) -> list[Float[Array, "terms q"]]:
        """For each l the matrix from (channel, Chebyshev polynomial) to radial functions q."""
        config = self.config
        channels = 1 if self.embedding is None else self.embedding.shape[1]
        matrices = []
        for l in range(config.l_max + 1):
            count = config.n_max - l + 1
            damped = damping(np.arange(count), config.smoothness)[:, None]
            damped = damped * chebyshev_series(config.cutoff, count, l, terms)
            series = jnp.asarray(damped, jnp.dtype(config.precision))
            if self.mixing is None:
                matrices.append(jnp.kron(jnp.eye(channels, dtype=series.dtype), series.T))
            else:
                mixed = jnp.einsum("qkn,nt->ktq", self.mixing[l], series)
                matrices.append(mixed.reshape(channels * terms, -1))
        return matrices


def feature_count(config: ModelConfig) -> int:
    """Count the invariants of all sets."""
    return len(total_momenta(config))


def total_momenta(config: ModelConfig) -> Int[np.ndarray, " features"]:
    """Sum of the angular momenta that are coupled in each invariant; 0 for a pair term."""
    momenta = []
    for l, count in enumerate(config.radial_counts):
        if _linear(config, l):
            momenta += [0] * count
        else:
            shifts = range(min(config.cross, count - 1) + 1)
            momenta += [2 * l] * sum(count - shift for shift in shifts)
    momenta += [sum(triple) for triple in config.couplings for _ in range(config.coupling_channels)]
    return np.tile(np.array(momenta, int), config.descriptors)


def invariants(
    config: ModelConfig, coefficients: list[Float[Array, "_ _ n"]]
) -> Float[Array, "features n"]:
    """Pair terms, power spectrum and four-body couplings of the coefficients (2 l + 1, G q, n)."""
    sets = zip(*(jnp.split(c, config.descriptors, axis=1) for c in coefficients), strict=True)
    return jnp.concatenate([_of_one_set(config, of_set) for of_set in sets])


def _of_one_set(
    config: ModelConfig, coefficients: Sequence[Float[Array, "_ _ n"]]
) -> Float[Array, "features n"]:
    features = []
    for l, c in enumerate(coefficients):
        if _linear(config, l):
            features.append(c[0])
        else:
            features.extend(
                jnp.sum(c[:, : c.shape[1] - d] * c[:, d:], axis=0)
                for d in range(min(config.cross, c.shape[1] - 1) + 1)
            )
    for l1, l2, l3 in config.couplings:
        a, b, c = (coefficients[l][:, : config.coupling_channels] for l in (l1, l2, l3))
        features.append(jnp.sum(couple(a, b, gaunt(l1, l2, l3)) * c, axis=0))
    return jnp.concatenate(features)


def _series(
    terms: int, vectors: Float[Array, "3 m n"], filled: Bool[Array, "m n"]
) -> Float[Array, "terms m n"]:
    t = jnp.sum(vectors**2, axis=0)
    return enveloped_series(t, filled & (t < 1.0), terms)


def _harmonics(l_max: int, vectors: Float[Array, "3 m n"]) -> list[Float[Array, "_ m n"]]:
    """Solid harmonics (2 l + 1, m, n) for each l."""
    return [jnp.stack(of_l) for of_l in solid_harmonics(*vectors, l_max)]


def _linear(config: ModelConfig, l: int) -> bool:
    return l == 0 and config.scalars == "linear"


def damping(
    order: Int[np.ndarray, "*shape"], smoothness: float | None
) -> Float[np.ndarray, "*shape"]:
    """Factors 1 / (1 + (order / smoothness)^2); ones where smoothness is None."""
    return 1.0 / (1.0 + (order / (smoothness or np.inf)) ** 2)


def _odd_lines(n: int) -> int:
    """Length of the atom axis: from 256 atoms on an odd number of cache lines.

    Rows a multiple of 4 KiB apart would fall into the same few lines of the cache.
    """
    return n if n < 256 else 16 * (-(-n // 16) | 1)


def _unit_rows(
    key: jax.Array, sets: int, shape: tuple[int, int, int], dtype: np.dtype
) -> Float[Array, "rows channels n"]:
    """Rows of random orthogonal matrices, one a set: different functions from the start."""
    count, size = shape[0], shape[1] * shape[2]
    squares = jax.random.orthogonal(key, max(count, size), (sets,), dtype)
    return squares[:, :count, :size].reshape(sets * count, *shape[1:])
