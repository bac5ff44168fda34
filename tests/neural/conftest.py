"""The alloys of several tests, made once."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from neural.alloys import ELEMENTS, alloy, examples_of, labelled, model_of

from thermosearch.dataset import Dataset
from thermosearch.neural.model import NeuralPotential
from thermosearch.neural.training.batches import Example
from thermosearch.neural.training.references import normalised, reference_energies


@pytest.fixture(scope="module")
def data() -> Dataset:
    sizes = [(1, 1, 1), (2, 1, 1), (2, 2, 1), (2, 2, 2), (3, 1, 1), (1, 1, 2)] * 3
    groups = ["small" if np.prod(size) < 4 else "large" for size in sizes]
    frames = [
        labelled(alloy(k, size), k, group)
        for k, (size, group) in enumerate(zip(sizes, groups, strict=True))
    ]
    return Dataset(tuple(frames), "emt")


@pytest.fixture(scope="module")
def prepared(data: Dataset) -> tuple[NeuralPotential, list[Example]]:
    """float32 model with references and scales, and its examples."""
    model = model_of("float32")
    references = jnp.asarray(reference_energies(data, ELEMENTS))
    model = eqx.tree_at(lambda m: m.references, model, references)
    examples = examples_of(data, model)
    return normalised(model, examples), examples
