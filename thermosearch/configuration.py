"""One atomistic configuration, or a batch of them, as a small pytree of plain arrays."""

from typing import NamedTuple, TypeAlias

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

Array: TypeAlias = jax.Array | np.ndarray

PADDING = 0
"""Atomic number of a padding atom: no neighbours, no energy, no force."""


class Configuration(NamedTuple):
    """Positions and cell of `n` atoms; a batch adds a leading axis to every field.

    Attributes
    ----------
    positions : (n, 3) float64
        Cartesian positions in A (or in the reduced length of the potential).
    cell : (3, 3) float64
        Rows are the lattice vectors. A non-periodic direction may carry a vector
        (it is never wrapped) or zeros.
    pbc : (3,) bool
        Which lattice directions are periodic.
    numbers : (n,) int32
        Atomic numbers; `PADDING` (0) marks an atom that only fills the shape.
    total_charge : () float64
        Total charge in e.
    """

    positions: Float[Array, "*batch n 3"]
    cell: Float[Array, "*batch 3 3"]
    pbc: Bool[Array, "*batch 3"]
    numbers: Int[Array, "*batch n"]
    total_charge: Float[Array, "*batch"]
