"""What the networks need not learn: energies of the elements, and the scales of the data."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from thermosearch.dataset import Dataset
from thermosearch.neural.descriptor import damping, total_momenta
from thermosearch.neural.model import Environments, NeuralPotential
from thermosearch.neural.training.batches import Bucket, Example, collate


def reference_energies(
    dataset: Dataset, elements: tuple[int, ...]
) -> Float[np.ndarray, " elements"]:
    """Energies of the elements that explain the total energies best, by least squares.

    Minimises sum_s ((E_s - sum_Z n_sZ e_Z) / n_s)^2; of minimal norm where the compositions do
    not determine them.

    Parameters
    ----------
    dataset : Dataset
        Frames without an energy do not count.
    elements : tuple of int
        Atomic numbers in the order of the result.

    Returns
    -------
    (E,) float64
        eV an atom.
    """
    frames = [frame for frame in dataset if frame.energy is not None]
    counts = np.array([[np.sum(f.configuration.numbers == z) for z in elements] for f in frames])
    atoms = counts.sum(axis=1, keepdims=True)
    energies = np.array([frame.energy for frame in frames])
    solution, *_ = np.linalg.lstsq(counts / atoms, energies / atoms[:, 0], rcond=1e-8)
    return solution


def normalised(
    model: NeuralPotential, examples: Sequence[Example], atoms: int = 4000, seed: int = 0
) -> NeuralPotential:
    """Model whose features have zero mean and unit deviation on the training data.

    Atoms count by the force weight of their structure, so that a few violent structures do not
    set the scale; the deviation is less than one where `angular_smoothness` damps. The energy
    scale becomes the mean force component times 1 A, a robust measure of how strongly energies
    vary.

    Parameters
    ----------
    model : NeuralPotential
    examples : sequence of Example
        Training data; as many structures as hold about `atoms` atoms are drawn.
    """
    order = np.random.default_rng([seed, 2]).permutation(len(examples))
    sizes = np.array([examples[k].atoms for k in order])
    chosen = [examples[k] for k in order[: int(np.searchsorted(np.cumsum(sizes), atoms)) + 1]]
    features, species = _features(model, chosen)
    weights = np.concatenate([np.full(item.atoms, item.force_weight + 1e-9) for item in chosen])
    shift = np.zeros(model.feature_shift.shape)
    gain = np.ones(model.feature_gain.shape)
    for element in np.unique(species):
        own, weight = features[species == element], weights[species == element]
        shift[element] = np.average(own, axis=0, weights=weight)
        deviation = np.sqrt(np.average((own - shift[element]) ** 2, axis=0, weights=weight))
        # A feature that hardly varies here must not blow up elsewhere.
        gain[element] = 1.0 / np.maximum(deviation, 1e-3 * deviation.max() + 1e-12)
    gain *= damping(total_momenta(model.config), model.config.angular_smoothness)
    scale = sum(item.force_weight * np.abs(item.forces).sum() for item in examples)
    scale /= sum(item.force_weight * item.forces.size for item in examples) or 1.0
    dtype = model.feature_shift.dtype
    return eqx.tree_at(
        lambda m: (m.feature_shift, m.feature_gain, m.energy_scale),
        model,
        (jnp.asarray(shift, dtype), jnp.asarray(gain, dtype), jnp.asarray(scale or 1.0, dtype)),
    )


def _features(
    model: NeuralPotential, examples: Sequence[Example]
) -> tuple[Float[np.ndarray, "n features"], np.ndarray]:
    """Features of all atoms before normalisation, and their elements."""
    shape = Bucket(
        neighbours=max(item.neighbours for item in examples),
        atoms=max(item.atoms for item in examples),
        structures=1,
        members=(),
    )
    describe = jax.jit(_describe)
    found, species = [], []
    for position, item in enumerate(examples):
        batch = collate(examples, [position], shape, model.config.precision)
        environments = Environments(
            batch.vectors, batch.filled, batch.species, batch.partners, batch.structure == 0
        )
        found.append(np.asarray(describe(model, environments), np.float64)[: item.atoms])
        species.append(item.species)
    return np.concatenate(found), np.concatenate(species)


def _describe(model: NeuralPotential, environments: Environments) -> Float[jax.Array, "n features"]:
    return model.descriptor(environments.vectors, environments.filled, environments.partners)
