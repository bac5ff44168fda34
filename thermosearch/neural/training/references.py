"""What the networks need not learn: energies of the elements, and the scales of the data."""

from collections.abc import Iterable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from thermosearch.dataset import Dataset, Frame
from thermosearch.neural.descriptor import damping, total_momenta
from thermosearch.neural.model import Environments, NeuralPotential
from thermosearch.neural.training.batches import Bucket, Example, collate

_ENOUGH = 200
"""Atoms of an element that tell how its features are distributed."""

_FEW = 10
"""Fewer say nothing about it."""


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
    if not frames:
        return np.zeros(len(elements))
    energies = np.array([frame.energy / len(frame) for frame in frames])
    solution, *_ = np.linalg.lstsq(_composition(frames, elements), energies, rcond=1e-8)
    return solution


def excess_energies(
    dataset: Dataset, elements: tuple[int, ...], references: Float[np.ndarray, " elements"]
) -> Float[np.ndarray, " frames"]:
    """Energies per atom above the lowest frame, those of the elements taken off, eV.

    Frames of one composition differ by their energies alone, whatever the references.

    Parameters
    ----------
    dataset : Dataset
    elements : tuple of int
        Atomic numbers.
    references : (E,)
        Energies of the elements, eV an atom.

    Returns
    -------
    (frames,) float64
        Not-a-number for a frame without an energy.
    """
    energies = np.array([np.nan if f.energy is None else f.energy / len(f) for f in dataset])
    known = np.flatnonzero(~np.isnan(energies))
    if not len(known):
        return energies
    shares = _composition(dataset, elements)
    relative = energies - shares @ references
    lowest = min(known, key=lambda k: (relative[k], energies[k]))
    return energies - energies[lowest] - (shares - shares[lowest]) @ references


def _composition(
    frames: Iterable[Frame], elements: tuple[int, ...]
) -> Float[np.ndarray, "frames elements"]:
    """Share of each element in the atoms of each frame."""
    counts = np.array([[np.sum(f.configuration.numbers == z) for z in elements] for f in frames])
    return counts / counts.sum(axis=1, keepdims=True)


def normalised(
    model: NeuralPotential, examples: Sequence[Example], atoms: int = 4000, seed: int = 0
) -> NeuralPotential:
    """Model whose features have zero mean and unit deviation on the training data.

    Atoms count by the force weight of their structure, so that a few violent structures do not
    set the scale; the deviation is less than one where `angular_smoothness` damps. An element of
    a handful of atoms, whose mean and deviation are chance, has those of all elements together;
    one of few has no deviation far below theirs. The energy scale becomes the mean force
    component times 1 A, a robust measure of how strongly energies vary.

    Parameters
    ----------
    model : NeuralPotential
    examples : sequence of Example
        Training data; as many structures as hold about `atoms` atoms are drawn, and for an
        element that is rare among them more of those that hold it.
    """
    order = np.random.default_rng([seed, 2]).permutation(len(examples))
    sizes = np.array([examples[k].atoms for k in order])
    drawn = int(np.searchsorted(np.cumsum(sizes), atoms)) + 1
    chosen = [examples[k] for k in order[:drawn]]
    common = sum(item.atoms for item in chosen)
    elements = len(model.elements)
    chosen += _with_rare(chosen, [examples[k] for k in order[drawn:]], elements)
    features, species = _features(model, chosen)
    weights = np.concatenate([np.full(item.atoms, item.force_weight + 1e-9) for item in chosen])
    rare = np.bincount(species[:common], minlength=elements) < _ENOUGH
    kept = rare[species] | (np.arange(len(species)) < common)
    shift, gain = _shift_and_gain(features[kept], species[kept], weights[kept], elements)
    gain *= damping(total_momenta(model.config), model.config.angular_smoothness)
    scale = sum(item.force_weight * np.abs(item.forces).sum() for item in examples)
    scale /= sum(item.force_weight * item.forces.size for item in examples) or 1.0
    dtype = model.feature_shift.dtype
    return eqx.tree_at(
        lambda m: (m.feature_shift, m.feature_gain, m.energy_scale),
        model,
        (jnp.asarray(shift, dtype), jnp.asarray(gain, dtype), jnp.asarray(scale or 1.0, dtype)),
    )


def _shift_and_gain(
    features: Float[np.ndarray, "n features"],
    species: Int[np.ndarray, " n"],
    weights: Float[np.ndarray, " n"],
    elements: int,
) -> tuple[Float[np.ndarray, "elements features"], Float[np.ndarray, "elements features"]]:
    """Mean of the features of each element, and the inverse of their deviation."""
    mean, spread = _moments(features, weights)
    shift, gain = [], []
    for element in range(elements):
        own = species == element
        atoms = int(own.sum())
        centre, deviation = (
            (mean, spread) if atoms < _FEW else _moments(features[own], weights[own])
        )
        # A feature that hardly varies here must not blow up elsewhere.
        least = (1e-4 if atoms >= _ENOUGH else 0.1) * spread
        least = np.maximum(least, 1e-3 * deviation.max() + 1e-12)
        shift.append(centre)
        gain.append(1.0 / np.maximum(deviation, least))
    return np.array(shift), np.array(gain)


def _moments(
    features: Float[np.ndarray, "n features"], weights: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " features"], Float[np.ndarray, " features"]]:
    """Weighted mean and standard deviation of each feature."""
    mean = np.average(features, axis=0, weights=weights)
    return mean, np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weights))


def _with_rare(
    chosen: Sequence[Example], others: Sequence[Example], elements: int
) -> list[Example]:
    """Those of the others that give every element its atoms, as far as they can."""
    counts = sum(np.bincount(item.species, minlength=elements) for item in chosen)
    found = []
    for item in others:
        if np.any(counts[item.species] < _ENOUGH):
            found.append(item)
            counts = counts + np.bincount(item.species, minlength=elements)
    return found


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
