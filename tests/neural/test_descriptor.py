import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.special import eval_legendre

from thermosearch.configuration import Array
from thermosearch.neural.config import ModelConfig
from thermosearch.neural.contraction import apply_matrix, outer, sum_over_features
from thermosearch.neural.contraction import sum_over_neighbours as over_neighbours
from thermosearch.neural.descriptor import Descriptor, feature_count, total_momenta
from thermosearch.neural.radial import bessel_basis

COUPLINGS = ((1, 1, 2), (2, 2, 2), (1, 2, 3))


def _neighbours(seed: int, n: int = 3, m: int = 9) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, m, 3))
    vectors *= rng.uniform(1.5, 5.5, (n, m, 1)) / np.linalg.norm(vectors, axis=2, keepdims=True)
    filled = np.arange(m)[None] < rng.integers(4, m + 1, (n, 1))
    return jnp.asarray(vectors), jnp.asarray(filled), jnp.zeros((n, m), jnp.int32)


@pytest.mark.parametrize("smoothness", [None, 2.0])
def test_power_spectrum_is_the_double_sum_over_pairs(smoothness: float | None) -> None:
    config = ModelConfig(
        elements=("Si",), scalars="squared", smoothness=smoothness, precision="float64"
    )
    vectors, filled, species = _neighbours(0)
    found = np.asarray(Descriptor.initial(config, jax.random.key(0))(vectors, filled, species))
    for atom in range(len(vectors)):
        pairs = np.asarray(vectors[atom])[np.asarray(filled[atom])]
        r = np.linalg.norm(pairs, axis=1)
        pairs, r = pairs[r < 5.0], r[r < 5.0]
        cosines = (pairs / r[:, None]) @ (pairs / r[:, None]).T
        expected = []
        for l in range(6):
            g = bessel_basis(r, 5.0, 8 - l, l)
            if smoothness is not None:
                g /= 1.0 + (np.arange(8 - l)[:, None] / smoothness) ** 2
            legendre = (2 * l + 1) / (4 * np.pi) * eval_legendre(l, cosines)
            expected.extend(np.einsum("ni,nj,ij->n", g, g, legendre))
        np.testing.assert_allclose(found[atom], expected, atol=1e-10)


@pytest.mark.parametrize("elements", [("Si",), ("Sr", "Ti", "O")])
def test_rotation_reflection_and_order_of_neighbours_change_nothing(
    elements: tuple[str, ...],
) -> None:
    config = ModelConfig(
        elements=elements,
        l_max=3,
        radial=(5, 4, 4, 3),
        cross=1,
        couplings=COUPLINGS,
        coupling_channels=3,
        precision="float64",
    )
    of = jax.jit(Descriptor.initial(config, jax.random.key(1)).__call__)
    rng = np.random.default_rng(2)
    vectors, filled, _ = _neighbours(2)
    species = jnp.asarray(rng.integers(0, len(elements), filled.shape), jnp.int32)
    features = of(vectors, filled, species)
    assert features.shape == (3, feature_count(config))
    order = rng.permutation(filled.shape[1])
    for seed in range(5):
        turn = -Rotation.random(random_state=seed).as_matrix()
        turned = of(vectors[:, order] @ turn, filled[:, order], species[:, order])
        np.testing.assert_allclose(turned, features, atol=1e-10)


def test_sums_have_right_derivatives_twice() -> None:
    rng = np.random.default_rng(3)

    def random(*shape: int) -> Array:
        return jnp.asarray(rng.normal(size=shape))

    cases = [
        (over_neighbours, lambda a, b: jnp.einsum("pmn,qmn->pqn", a, b), (2, 4, 5), (3, 4, 5)),
        (sum_over_features, lambda c, b: jnp.einsum("pqn,qmn->pmn", c, b), (2, 3, 5), (3, 4, 5)),
        (apply_matrix, lambda w, a: jnp.einsum("pq,qmn->pmn", w, a), (2, 3), (3, 4, 5)),
        (outer, lambda a, b: jnp.einsum("iqn,jqn->ijqn", a, b), (2, 4, 5), (3, 4, 5)),
    ]
    for ours, plain, *shapes in cases:
        a, b = (random(*shape) for shape in shapes)

        def twice(function: Callable[[Array, Array], Array], a: Array, b: Array) -> tuple:
            def energy(a: Array, b: Array) -> Array:
                return jnp.sum(jnp.sin(function(a, b)))

            def slopes(a: Array, b: Array) -> Array:
                return sum(jnp.sum(jnp.cos(g)) for g in jax.grad(energy, (0, 1))(a, b))

            return energy(a, b), jax.grad(energy, (0, 1))(a, b), jax.grad(slopes, (0, 1))(a, b)

        for found, expected in zip(
            jax.tree.leaves(twice(ours, a, b)), jax.tree.leaves(twice(plain, a, b)), strict=True
        ):
            np.testing.assert_allclose(found, expected, atol=1e-12)


def test_total_momenta_stand_in_the_order_of_the_features() -> None:
    config = ModelConfig(
        elements=("Si",),
        n_max=3,
        l_max=2,
        radial=(2, 1, 2),
        cross=1,
        couplings=((1, 1, 2),),
        coupling_channels=1,
    )
    # Two pair terms; p_110; p_002 and p_112, then p_012; one coupling 1 + 1 + 2.
    assert total_momenta(config).tolist() == [0, 0, 2, 4, 4, 4, 4]
    assert feature_count(config) == 7
    twice = dataclasses.replace(config, members=2, descriptors=2)
    assert total_momenta(twice).tolist() == 2 * [0, 0, 2, 4, 4, 4, 4]
