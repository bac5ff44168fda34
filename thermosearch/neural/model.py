"""The neural potential: descriptor, committee of networks, repulsion, reference energies."""

from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import PADDING, Array, Configuration
from thermosearch.neural.config import ModelConfig
from thermosearch.neural.descriptor import Descriptor, feature_count
from thermosearch.neural.networks import Networks
from thermosearch.neural.repulsion import covalent_radius, pair_repulsion
from thermosearch.potentials.interface import Committee, Neighbours, pair_vectors

_BLOCK = 256
"""Atoms whose intermediate arrays fit the cache of a core together."""


class NeuralPotential(Committee):
    """Sum of atomic energies of learned functions of the environments.

    E = sum_i [ reference(Z_i) + scale * mean_M network_M((D_i - shift) * gain) ] + repulsion

    Members that share a descriptor D differ in their networks only, so that their mean costs one
    descriptor and its reverse pass once. With several descriptors each has its share of the
    members; harmonics and radial basis are those of all.

    Attributes
    ----------
    config : ModelConfig
        Static.
    descriptor : Descriptor
        Pair vectors to features.
    feature_shift, feature_gain : (E, features)
        Normalisation of the features, for each element of the central atom; from training data.
    networks : Networks
        M heads.
    energy_scale : () in the model's precision
        Energy of one unit of network output, eV.
    references : (E,) float64
        Energy of each element that the networks do not see, eV.
    """

    config: ModelConfig = eqx.field(static=True)
    descriptor: Descriptor
    feature_shift: Float[Array, "elements features"]
    feature_gain: Float[Array, "elements features"]
    networks: Networks
    energy_scale: Float[Array, ""]
    references: Float[Array, " elements"]

    @classmethod
    def initial(cls, config: ModelConfig, key: jax.Array) -> "NeuralPotential":
        """Untrained model: random networks, features not normalised, references zero."""
        dtype = jnp.dtype(config.precision)
        descriptor_key, networks_key = jax.random.split(key)
        features, elements = feature_count(config), len(config.elements)
        return cls(
            config=config,
            descriptor=Descriptor.initial(config, descriptor_key),
            feature_shift=jnp.zeros((elements, features), dtype),
            feature_gain=jnp.ones((elements, features), dtype),
            networks=Networks.initial(config, features // config.descriptors, networks_key),
            energy_scale=jnp.ones((), dtype),
            references=jnp.zeros(elements, jnp.float64),
        )

    @property
    def cutoff(self) -> float:
        """Radius of the environment, A."""
        return self.config.cutoff

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers of the elements it knows."""
        return self.config.numbers

    @property
    def members(self) -> int:
        """Networks of the committee."""
        return self.config.members

    @property
    def units(self) -> Literal["eV"]:
        """Electronvolt and angstrom."""
        return "eV"

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Float[Array, ""]:
        """Mean total energy of the members, eV."""
        return jnp.sum(self.atomic_energies(configuration, neighbours))

    def atomic_energies(
        self, configuration: Configuration, neighbours: Neighbours
    ) -> Float[Array, " n"]:
        """Mean energies of the atoms, (n,) float64, eV; zero for padding atoms."""
        environments = self.environments(configuration, neighbours)
        learned = _mean_energies(self, environments)
        return self._totals(configuration, environments, learned)

    def member_energies(
        self, configuration: Configuration, neighbours: Neighbours
    ) -> Float[Array, " members"]:
        """Total energies of the members, (M,) float64, eV."""
        return jnp.sum(self.member_atomic_energies(configuration, neighbours), axis=1)

    def member_atomic_energies(
        self, configuration: Configuration, neighbours: Neighbours
    ) -> Float[Array, "members n"]:
        """Energies of the atoms by every member, (M, n) float64, eV.

        NaN for an atom of an element the model does not know.
        """
        environments = self.environments(configuration, neighbours)
        learned = self.learned_energies(environments)
        return self._totals(configuration, environments, learned)

    def _totals(
        self,
        configuration: Configuration,
        environments: "Environments",
        learned: Float[Array, "*members n"],
    ) -> Float[Array, "*members n"]:
        """Add references and repulsion; zero for padding, NaN for an unknown element."""
        of_element = self.references[environments.species]
        energies = learned.astype(jnp.float64) + of_element + self.repulsion(environments)
        energies = jnp.where(environments.known, energies, jnp.nan)
        return jnp.where(configuration.numbers == PADDING, 0.0, energies)

    def learned_energies(self, environments: "Environments") -> Float[Array, "members n"]:
        """Atomic energies of the networks alone: no references, no repulsion; eV.

        Many atoms are worked through in blocks, computed again in the reverse pass: cheaper
        than keeping them in memory.
        """
        n = environments.species.shape[0]
        if n <= 2 * _BLOCK or jax.default_backend() != "cpu":
            return self._learned_energies(environments)
        of_block = jax.checkpoint(partial(type(self)._learned_energies, self))
        of_blocks = jax.lax.map(of_block, _blocks(environments))
        return jnp.moveaxis(of_blocks, 0, 1).reshape(self.config.members, -1)[:, :n]

    def _learned_energies(self, environments: "Environments") -> Float[Array, "members n"]:
        species = environments.species
        features = self.descriptor(environments.vectors, environments.filled, environments.partners)
        return self.network_energies(features, species)

    def network_energies(
        self, features: Float[Array, "n features"], species: Int[Array, " n"]
    ) -> Float[Array, "members n"]:
        """Atomic energies of the networks from features as the descriptor gives them; eV."""
        x = (features - self.feature_shift[species]) * self.feature_gain[species]
        if self.config.feature_bound is not None:
            x = x * jax.lax.rsqrt(1.0 + (x / self.config.feature_bound) ** 2)
        return self.energy_scale * self.networks(x, species)

    def features(
        self, configuration: Configuration, neighbours: Neighbours
    ) -> Float[Array, "n features"]:
        """Features of the atoms before normalisation, in the model's precision."""
        environments = self.environments(configuration, neighbours)
        return self.descriptor(environments.vectors, environments.filled, environments.partners)

    def environments(self, configuration: Configuration, neighbours: Neighbours) -> "Environments":
        """Pair vectors in the model's precision and elements as indices."""
        dtype = jnp.dtype(self.config.precision)
        vectors, filled = pair_vectors(configuration, neighbours, dtype)
        index_of = np.full(PADDING + 200, -1, np.int32)
        index_of[np.array(self.elements)] = np.arange(len(self.elements), dtype=np.int32)
        found = jnp.asarray(index_of).at[configuration.numbers].get(mode="clip")
        species = jnp.maximum(found, 0)
        if len(self.elements) == 1:
            partners = jnp.zeros(filled.shape, jnp.int32)
        else:
            partners = species.at[neighbours.index].get(mode="clip")
        return Environments(vectors, filled, species, partners, found >= 0)

    def repulsion(self, environments: "Environments") -> Float[Array, " n"]:
        """Half of the repulsion of each atom's pairs, float64."""
        if self.config.repulsion is None:
            return jnp.zeros(environments.species.shape, jnp.float64)
        dtype = environments.vectors.dtype
        z = jnp.asarray(np.array(self.elements, float), dtype)
        radii = jnp.asarray([covalent_radius(number) for number in self.elements], dtype)
        own, partners = environments.species[:, None], environments.partners
        r = jnp.sqrt(jnp.sum(environments.vectors**2, axis=-1))
        of_pair = pair_repulsion(
            r, z[own], z[partners], radii[own] + radii[partners], self.config.repulsion
        )
        of_pair = jnp.where(environments.filled, of_pair, 0.0)
        return 0.5 * jnp.sum(of_pair.astype(jnp.float64), axis=1)


class Environments(NamedTuple):
    """What the descriptor sees of `n` atoms with up to `m` neighbours.

    Attributes
    ----------
    vectors : (n, m, 3)
        From atom to neighbour in the model's precision, A.
    filled : (n, m) bool
        Slots that hold a neighbour.
    species : (n,) int32
        Element index of each atom.
    partners : (n, m) int32
        Element index of each neighbour; any value in an empty slot.
    known : (n,) bool
        Whether the model knows the atom's element.
    """

    vectors: Float[Array, "n m 3"]
    filled: Bool[Array, "n m"]
    species: Int[Array, " n"]
    partners: Int[Array, "n m"]
    known: Bool[Array, " n"]


def _blocks(environments: Environments) -> Environments:
    """Cut into blocks along a new first axis.

    The last is filled up with atoms of zero vectors, where the descriptor's polynomials are
    smooth.
    """
    n = environments.species.shape[0]
    count = -(-n // _BLOCK)

    def cut(a: Array) -> Array:
        filling = ((0, count * _BLOCK - n), *((0, 0),) * (a.ndim - 1))
        return jnp.pad(a, filling).reshape(count, _BLOCK, *a.shape[1:])

    return jax.tree.map(cut, environments)


def _mean_energies(model: NeuralPotential, environments: Environments) -> Float[Array, " n"]:
    """Mean of the members' learned energies; in blocks of atoms where there are many."""
    if environments.species.shape[0] <= _BLOCK or jax.default_backend() != "cpu":
        return jnp.mean(model.learned_energies(environments), axis=0)
    return _mean_energies_in_blocks(model, environments)


@jax.custom_vjp
def _mean_energies_in_blocks(
    model: NeuralPotential, environments: Environments
) -> Float[Array, " n"]:
    def of_block(block: Environments) -> Float[Array, " b"]:
        return _mean_energies(model, block)

    energies = jax.lax.map(of_block, _blocks(environments))
    return energies.reshape(-1)[: environments.species.shape[0]]


def _blocks_forward(
    model: NeuralPotential, environments: Environments
) -> tuple[Float[Array, " n"], tuple[NeuralPotential, Environments, Float[Array, "n m 3"]]]:
    """Energies and, block by block while its arrays are in the cache, their slopes.

    The energy of an atom depends on the vectors of its own row alone.
    """

    def of_block(block: Environments) -> tuple[Float[Array, " b"], Float[Array, "b m 3"]]:
        def total(vectors: Float[Array, "b m 3"]) -> tuple[Float[Array, ""], Float[Array, " b"]]:
            energies = _mean_energies(model, block._replace(vectors=vectors))
            return jnp.sum(energies), energies

        (_, energies), slopes = jax.value_and_grad(total, has_aux=True)(block.vectors)
        return energies, slopes

    n, m = environments.filled.shape
    energies, slopes = jax.lax.map(of_block, _blocks(environments))
    return energies.reshape(-1)[:n], (model, environments, slopes.reshape(-1, m, 3)[:n])


def _blocks_backward(
    saved: tuple[NeuralPotential, Environments, Float[Array, "n m 3"]],
    by_energies: Float[Array, " n"],
) -> tuple[NeuralPotential, Environments]:
    model, environments, slopes = saved

    def of_parameters(model: NeuralPotential) -> Float[Array, " n"]:
        return jnp.mean(model.learned_energies(environments), axis=0)

    # Where nobody asks for it, the compiler leaves it out.
    (by_model,) = jax.vjp(of_parameters, model)[1](by_energies)
    by_vectors = by_energies[:, None, None] * slopes
    return by_model, Environments(by_vectors, None, None, None, None)


_mean_energies_in_blocks.defvjp(_blocks_forward, _blocks_backward)


def with_config(model: NeuralPotential, config: ModelConfig) -> NeuralPotential:
    """Copy a model under another config that fits its arrays."""
    descriptor = replace(model.descriptor, config=config)
    return replace(model, config=config, descriptor=descriptor)


def with_precision(
    model: NeuralPotential, precision: Literal["float32", "float64"]
) -> NeuralPotential:
    """Copy a model so that it computes in another precision."""

    def cast(leaf: Array) -> Array:
        return leaf.astype(jnp.dtype(precision))

    cast_model = jax.tree.map(cast, model)
    kept = replace(cast_model, references=model.references)
    return with_config(kept, replace(model.config, precision=precision))
