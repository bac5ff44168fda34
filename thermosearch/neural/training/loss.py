"""What training minimises: errors of energies, forces and stress of a flat batch."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int
from pydantic import NonNegativeFloat, PositiveFloat

from thermosearch.configuration import Array
from thermosearch.neural.model import Environments, NeuralPotential
from thermosearch.neural.training.batches import Batch
from thermosearch.neural.training.moments import learned_energies
from thermosearch.runtime.study import StrictModel


class LossConfig(StrictModel):
    """Terms of the loss: each is the mean of rho(error / scale), times its weight.

    Attributes
    ----------
    form : {"log_cosh", "squared"}
        rho(x) = log cosh x, which is |x| for errors beyond the scale, or x^2 / 2.
    energy_scale : float
        eV/atom.
    force_scale : float
        eV/A.
    stress_scale : float
        eV/A^3.
    energy, forces, stress : float
        Weights at the start.
    energy_end : float
        Weight of the energies at the end; it grows geometrically over the training.
    """

    form: Literal["log_cosh", "squared"] = "log_cosh"
    energy_scale: PositiveFloat = 0.002
    force_scale: PositiveFloat = 0.05
    stress_scale: PositiveFloat = 0.002
    energy: PositiveFloat = 0.1
    forces: NonNegativeFloat = 1.0
    stress: NonNegativeFloat = 0.1
    energy_end: PositiveFloat = 0.5


class Prediction(NamedTuple):
    """Energies (s,), forces (n, 3) and stress (s, 3, 3) of a batch, relative to references."""

    energy: Float[Array, " s"]
    forces: Float[Array, "n 3"]
    stress: Float[Array, "s 3 3"]


def predict(model: NeuralPotential, batch: Batch, mixture: Float[Array, "s members"]) -> Prediction:
    """Evaluate all structures of a batch by one forward and one reverse pass.

    Parameters
    ----------
    model : NeuralPotential
    batch : Batch
    mixture : (s, M)
        Weights of the members in each structure, which sum to 1: 1/M each gives the mean,
        (0, .., 1, .., 0) one member. Because the members share the descriptor, any mixture
        costs one reverse pass.
    """
    atomic, slopes = (_from_pairs if batch.moments is None else _from_moments)(
        model, batch, jnp.asarray(mixture).at[batch.structure].get(mode="clip").T
    )
    structures = batch.energy.shape[0]
    energies = _by_structure(atomic, batch.structure, structures)
    slopes = jnp.where(batch.filled[..., None], slopes, 0.0)
    forces = jnp.sum(slopes - _mirrored(slopes, batch.reverse), axis=1)
    virial = jnp.einsum("nma,nmb->nab", batch.vectors, slopes)
    strain = _by_structure(virial, batch.structure, structures)
    stress = 0.5 * (strain + strain.mT) / batch.volume[:, None, None]
    return Prediction(energies, forces, stress)


def _from_pairs(
    model: NeuralPotential, batch: Batch, weights: Float[Array, "members n"]
) -> tuple[Float[Array, " n"], Float[Array, "n m 3"]]:
    """Atomic energies and the derivatives of their sum by the pair vectors."""

    def total(vectors: Float[Array, "n m 3"]) -> tuple[Float[Array, ""], Float[Array, " n"]]:
        environments = Environments(
            vectors, batch.filled, batch.species, batch.partners, jnp.ones_like(batch.species, bool)
        )
        learned = jnp.sum(weights * model.learned_energies(environments), axis=0)
        atomic = learned + model.repulsion(environments).astype(learned.dtype)
        # Padding rows have energies too; they belong to no structure.
        real = batch.structure < batch.energy.shape[0]
        return jnp.sum(jnp.where(real, atomic, 0.0)), atomic

    (_, atomic), slopes = jax.value_and_grad(total, has_aux=True)(batch.vectors)
    return atomic, slopes


def _from_moments(
    model: NeuralPotential, batch: Batch, weights: Float[Array, "members n"]
) -> tuple[Float[Array, " n"], Float[Array, "n m 3"]]:
    """As `_from_pairs`, from the moments made once."""

    def total(moments: Float[Array, "n a"]) -> tuple[Float[Array, ""], Float[Array, " n"]]:
        learned = jnp.sum(weights * learned_energies(model, moments), axis=0)
        return jnp.sum(learned), learned

    (_, learned), by_moments = jax.value_and_grad(total, has_aux=True)(batch.moments)
    by_moments = jax.lax.optimization_barrier(by_moments)
    slopes = jnp.einsum("nka,na->nk", batch.slopes, by_moments).reshape(batch.vectors.shape)
    return learned + batch.fixed_energy, slopes + batch.fixed_slopes


def loss(
    model: NeuralPotential,
    batch: Batch,
    mixture: Float[Array, "s members"],
    energy_weight: Float[Array, ""],
    *,
    config: LossConfig,
    per_batch: tuple[float, float, float],
) -> Float[Array, ""]:
    """Weighted loss of a batch.

    Sums over the batch are divided by what an average batch holds, not by what this one holds,
    so that the mean over an epoch is the mean over the data however it was packed.

    Parameters
    ----------
    energy_weight : ()
        Present weight of the energy term.
    config : LossConfig
    per_batch : three of float
        Structures with an energy, force components, and structures with a stress in an average
        batch, counted by weight.
    """
    found = predict(model, batch, mixture)
    rho = _FORMS[config.form]
    energy = rho((found.energy - batch.energy) / batch.atoms / config.energy_scale)
    forces = rho((found.forces - batch.forces) / config.force_scale)
    stress = rho((found.stress - batch.stress) / config.stress_scale)
    return (
        energy_weight * jnp.sum(batch.energy_weight * energy) / per_batch[0]
        + config.forces * jnp.sum(batch.force_weight[:, None] * forces) / per_batch[1]
        + config.stress * jnp.sum(batch.stress_weight * jnp.mean(stress, (1, 2))) / per_batch[2]
    )


def _log_cosh(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    # log cosh x = |x| + log(1 + exp(-2 |x|)) - log 2, which does not overflow.
    size = jnp.abs(x)
    return size + jnp.log1p(jnp.exp(-2.0 * size)) - jnp.log(2.0).astype(x.dtype)


def _squared(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return 0.5 * x**2


_FORMS = {"log_cosh": _log_cosh, "squared": _squared}


def _by_structure(
    values: Float[Array, "n ..."], structure: Int[Array, " n"], count: int
) -> Float[Array, "s ..."]:
    """Sum over the atoms of each structure; padding rows (structure = count) are dropped."""
    zeros = jnp.zeros((count, *values.shape[1:]), values.dtype)
    return zeros.at[structure].add(values, mode="drop")


@jax.custom_vjp
def _mirrored(slots: Float[Array, "n m 3"], reverse: Int[Array, "n m"]) -> Float[Array, "n m 3"]:
    """Put values of the mirrored pairs into every slot."""
    return slots.reshape(-1, 3).at[reverse].get(mode="fill", fill_value=0.0)


def _mirrored_forward(
    slots: Float[Array, "n m 3"], reverse: Int[Array, "n m"]
) -> tuple[Float[Array, "n m 3"], Int[Array, "n m"]]:
    return _mirrored(slots, reverse), reverse


def _mirrored_backward(
    reverse: Int[Array, "n m"], by_slots: Float[Array, "n m 3"]
) -> tuple[Float[Array, "n m 3"], None]:
    # Mirroring twice changes nothing, so its transpose is itself: a gather, not a scatter.
    return _mirrored(by_slots, reverse), None


_mirrored.defvjp(_mirrored_forward, _mirrored_backward)
