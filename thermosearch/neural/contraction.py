"""Products and sums with atoms last, whose reverse passes vectorise to any order.

Every array ends in the axis of atoms, so that each operation is a chain of multiply-adds over
contiguous atoms or one large matrix product. Left to itself, automatic differentiation would
transpose these layouts, sum over middle axes and form batches of tiny matrix products, and the
compiler would fuse sums with the products beside them, all several times slower on a CPU. Each
reverse pass here is written in the same operations, so forces are trained, and Hessians taken,
through the same loops.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from thermosearch.configuration import Array
from thermosearch.potentials.compilation import compiled_apart


@jax.custom_vjp
@compiled_apart
def sum_over_neighbours(
    a: Float[Array, "p m n"], b: Float[Array, "q m n"]
) -> Float[Array, "p q n"]:
    """Sum over neighbours, C_pqn = sum_m A_pmn B_qmn."""
    return jnp.sum(a[:, None] * b[None], axis=2)


@jax.custom_vjp
@compiled_apart
def sum_over_features(c: Float[Array, "p q n"], b: Float[Array, "q m n"]) -> Float[Array, "p m n"]:
    """Sum over features, A_pmn = sum_q C_pqn B_qmn."""
    total = c[:, 0, None, :] * b[0]
    for q in range(1, b.shape[0]):
        total = total + c[:, q, None, :] * b[q]
    return total


@jax.custom_vjp
def apply_matrix(matrix: Float[Array, "p q"], a: Float[Array, "q m n"]) -> Float[Array, "p m n"]:
    """Linear combinations of the rows, one matrix product: sum_q W_pq A_qmn."""
    return jnp.einsum("pq,qmn->pmn", matrix, a)


def couple(
    a: Float[Array, "i q n"], b: Float[Array, "j q n"], tensor: Float[np.ndarray, "i j k"]
) -> Float[Array, "k q n"]:
    """Bilinear coupling D_kqn = sum_ij T_ijk A_iqn B_jqn with a constant tensor."""
    i, j, k = tensor.shape
    products = outer(a, b).reshape(i * j, *a.shape[1:])
    return apply_matrix(jnp.asarray(tensor.reshape(i * j, k).T, a.dtype), products)


@jax.custom_vjp
@compiled_apart
def outer(a: Float[Array, "i q n"], b: Float[Array, "j q n"]) -> Float[Array, "i j q n"]:
    """All products of components, A_iqn B_jqn."""
    return a[:, None] * b[None]


def _neighbours_forward(a: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
    return sum_over_neighbours(a, b), (a, b)


def _neighbours_backward(factors: tuple[Array, Array], by_c: Array) -> tuple[Array, Array]:
    a, b = factors
    return sum_over_features(by_c, b), sum_over_features(jnp.swapaxes(by_c, 0, 1), a)


def _features_forward(c: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
    return sum_over_features(c, b), (c, b)


def _features_backward(factors: tuple[Array, Array], by_a: Array) -> tuple[Array, Array]:
    c, b = factors
    return sum_over_neighbours(by_a, b), sum_over_features(jnp.swapaxes(c, 0, 1), by_a)


def _matrix_forward(matrix: Array, a: Array) -> tuple[Array, tuple[Array, Array]]:
    return apply_matrix(matrix, a), (matrix, a)


def _matrix_backward(factors: tuple[Array, Array], by_p: Array) -> tuple[Array, Array]:
    matrix, a = factors
    return jnp.einsum("pmn,qmn->pq", by_p, a), apply_matrix(matrix.T, by_p)


def _outer_forward(a: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
    return outer(a, b), (a, b)


@compiled_apart
def _outer_backward(factors: tuple[Array, Array], by_ab: Array) -> tuple[Array, Array]:
    a, b = factors
    by_a = sum(by_ab[:, j] * b[j] for j in range(b.shape[0]))
    by_b = sum(by_ab[i] * a[i] for i in range(a.shape[0]))
    return by_a, by_b


sum_over_neighbours.defvjp(_neighbours_forward, _neighbours_backward)
sum_over_features.defvjp(_features_forward, _features_backward)
apply_matrix.defvjp(_matrix_forward, _matrix_backward)
outer.defvjp(_outer_forward, _outer_backward)
