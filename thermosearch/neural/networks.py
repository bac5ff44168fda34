"""Committee of small networks from features to atomic energies."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from thermosearch.configuration import Array
from thermosearch.neural.config import ModelConfig


class Networks(eqx.Module):
    """M networks of one shape, their weights stacked along the first axis.

    Hidden layers are swish(W h + b), in sequence ("pyramid") or added to their input
    ("residual"); elements share the weights and differ in the biases of the first layer and of
    the output. Features may come in G equal parts: the first M / G networks read the first part,
    and so on.

    Attributes
    ----------
    core : str
        Static.
    weights : tuple of (M, in, out)
        Hidden layers.
    biases : tuple of (M, out)
        Of the hidden layers after the first.
    first_biases : (M, E, out)
        Of the first hidden layer, for the element of the central atom.
    output : (M, in)
        Weights of the last layer.
    output_bias : (M, E)
        Energy of each element where the hidden layers give none.
    """

    core: str = eqx.field(static=True)
    weights: tuple[Float[Array, "members _ _"], ...]
    biases: tuple[Float[Array, "members _"], ...]
    first_biases: Float[Array, "members elements _"]
    output: Float[Array, "members _"]
    output_bias: Float[Array, "members elements"]

    @classmethod
    def initial(cls, config: ModelConfig, features: int, key: jax.Array) -> "Networks":
        """Draw normal weights of variance 1 / inputs, different for each member.

        Parameters
        ----------
        config : ModelConfig
        features : int
            That a network reads.
        key : jax.Array
        """
        dtype = jnp.dtype(config.precision)
        members, elements = config.members, len(config.elements)
        sizes = (features, *config.widths)
        *keys, bias_key, output_key = jax.random.split(key, len(config.widths) + 2)
        weights = tuple(
            jax.random.normal(k, (members, rows, columns), dtype) * float(rows**-0.5)
            for k, rows, columns in zip(keys, sizes[:-1], sizes[1:], strict=True)
        )
        first = jax.random.normal(bias_key, (members, elements, sizes[1]), dtype)
        return cls(
            core=config.core,
            weights=weights,
            biases=tuple(jnp.zeros((members, size), dtype) for size in config.widths[1:]),
            first_biases=first,
            output=jax.random.normal(output_key, (members, sizes[-1]), dtype)
            * float(sizes[-1] ** -0.5),
            output_bias=jnp.zeros((members, elements), dtype),
        )

    def __call__(
        self, features: Float[Array, "n all_features"], species: Int[Array, " n"]
    ) -> Float[Array, "members n"]:
        """Energies of all atoms by all members.

        Parameters
        ----------
        features : (n, G features)
            Normalised.
        species : (n,) int32
            Element index of each atom.
        """
        first = self.weights[0]
        parts = features.T.reshape(-1, first.shape[1], len(features))
        by_part = first.reshape(len(parts), -1, *first.shape[1:])
        layer = jnp.einsum("gmfh,gfn->gmhn", by_part, parts).reshape(*first.shape[::2], -1)
        hidden = jax.nn.swish(layer + _by_element(self.first_biases, species))
        for weight, bias in zip(self.weights[1:], self.biases, strict=True):
            layer = jnp.einsum("mfh,mfn->mhn", weight, hidden)
            layer = jax.nn.swish(layer + bias[:, :, None])
            hidden = hidden + layer if self.core == "residual" else layer
        out = jnp.einsum("mh,mhn->mn", self.output, hidden)
        return out + _by_element(self.output_bias[..., None], species)[:, 0]


def _by_element(
    values: Float[Array, "members elements size"], species: Int[Array, " n"]
) -> Float[Array, "members size _"]:
    """Values of each atom's element, atoms last; one element needs no look-up."""
    if values.shape[1] == 1:
        return values[:, 0, :, None]
    return jnp.swapaxes(values.at[:, species].get(mode="clip"), 1, 2)
