"""Models of several descriptors taken apart and put together.

A part is one descriptor with its share of the members. Parts are trained one after the other, each
from its own random start: trained together they would lean on one another, and their mean would
gain little.
"""

from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp

from thermosearch.configuration import Array
from thermosearch.neural.model import NeuralPotential, with_config


def part(model: NeuralPotential, number: int) -> NeuralPotential:
    """One descriptor and its members as a model of their own."""
    sets = model.config.descriptors

    def own(array: Array, axis: int = 0) -> Array:
        return jnp.split(array, sets, axis=axis)[number]

    alone = replace(
        model,
        descriptor=replace(model.descriptor, mixing=jax.tree.map(own, model.descriptor.mixing)),
        feature_shift=own(model.feature_shift, 1),
        feature_gain=own(model.feature_gain, 1),
        networks=jax.tree.map(own, model.networks),
    )
    members = model.config.members // sets
    return with_config(alone, replace(model.config, members=members, descriptors=1))


def parts(model: NeuralPotential) -> tuple[NeuralPotential, ...]:
    """All parts of a model; `joined` is the inverse."""
    return tuple(part(model, k) for k in range(model.config.descriptors))


def single_member(model: NeuralPotential, member: int) -> NeuralPotential:
    """One member as a model of its own, which does not pay for the others."""
    number, within = divmod(member, model.config.members // model.config.descriptors)
    own = part(model, number)
    networks = jax.tree.map(lambda leaf: leaf[within : within + 1], own.networks)
    return with_config(replace(own, networks=networks), replace(own.config, members=1))


def joined(models: Sequence[NeuralPotential]) -> NeuralPotential:
    """One model whose members are those of all `models`.

    Parameters
    ----------
    models : sequence of NeuralPotential
        Of one architecture, with learned radial functions and the same references, repulsion and
        energy scale.
    """
    first, count = models[0], len(models)
    if count == 1:
        return first

    def together(*arrays: Array, axis: int = 0) -> Array:
        return jnp.concatenate(arrays, axis)

    embedding, config = None, first.config
    if first.descriptor.embedding is not None:
        # Each part has its own vectors of the elements: with the unit vectors in their place
        # they are the business of the radial functions.
        embedding = jnp.eye(len(config.elements), dtype=first.descriptor.embedding.dtype)
        config = replace(config, channels=len(config.elements))
    config = replace(config, members=count * config.members, descriptors=count * config.descriptors)
    mixing = jax.tree.map(together, *(_mixing_by_element(model) for model in models))
    whole = replace(
        first,
        descriptor=replace(first.descriptor, embedding=embedding, mixing=mixing),
        feature_shift=together(*(model.feature_shift for model in models), axis=1),
        feature_gain=together(*(model.feature_gain for model in models), axis=1),
        networks=jax.tree.map(together, *(model.networks for model in models)),
    )
    return with_config(whole, config)


def _mixing_by_element(model: NeuralPotential) -> tuple[Array, ...]:
    """Radial functions (q, E, n) of each l for every element of the neighbour."""
    mixing, embedding = model.descriptor.mixing, model.descriptor.embedding
    if embedding is None:
        return mixing
    return tuple(jnp.einsum("ek,qkn->qen", embedding, of_l) for of_l in mixing)
