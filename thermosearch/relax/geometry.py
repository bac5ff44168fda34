"""What a relaxation varies: positions, and with them the cell by its logarithmic strain.

The optimisers see one array of rows. The first n rows are the atoms' positions X in the
undeformed frame; when the cell is relaxed, three more hold the symmetric logarithmic strain
L times a length. With F = exp(L): r = X F and h = h0 F, as in ASE's FrechetCellFilter
(Tadmor et al., J. Comput. Phys.; Larsen et al., J. Phys.: Condens. Matter 29, 273002 (2017)).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from thermosearch.configuration import PADDING, Array, Configuration
from thermosearch.potentials.interface import (
    Neighbours,
    Potential,
    energy_forces,
    energy_forces_stress,
)


class Frame(NamedTuple):
    """What a relaxation starts from and holds fixed.

    Attributes
    ----------
    start : Configuration
    free : (n,) bool
        Atoms that may move; padding atoms may not. A fixed atom follows the cell (its scaled
        coordinates are kept) when the cell is relaxed.
    strain_projector : (3, 3) float64
        Projector P on the directions that may be strained: L = P L P. The unit matrix
        for a crystal, the projector on the plane of a slab.
    pressure : () float64
        External pressure, eV/A^3.
    """

    start: Configuration
    free: Bool[Array, "*batch n"]
    strain_projector: Float[Array, "*batch 3 3"]
    pressure: Float[Array, "*batch"]


class Evaluation(NamedTuple):
    """Energy and its derivatives at one point.

    Attributes
    ----------
    energy : () float64
        eV.
    enthalpy : () float64
        E + p V when the cell is relaxed, else E.
    forces : (n, 3) float64
        eV/A.
    stress : (3, 3) float64
        eV/A^3, positive in tension; zero when the cell is not relaxed.
    gradient : (rows, 3) float64
        Of the enthalpy with respect to the rows, zero for what is fixed.
    """

    energy: Float[Array, "*batch"]
    enthalpy: Float[Array, "*batch"]
    forces: Float[Array, "*batch n 3"]
    stress: Float[Array, "*batch 3 3"]
    gradient: Float[Array, "*batch rows 3"]


def make_frame(
    configuration: Configuration,
    free: Bool[Array, " n"] | None = None,
    pressure: float | Float[Array, ""] = 0.0,
    strain_projector: Float[Array, "3 3"] | None = None,
) -> Frame:
    """Frame of one configuration; everything free and all strains allowed by default.

    Of numpy arrays it makes numpy arrays: on the host, one small JAX operation an array would
    cost more than the relaxation of a small cell.
    """
    real = configuration.numbers != PADDING
    return Frame(
        start=configuration,
        free=real if free is None else real & free,
        strain_projector=np.eye(3) if strain_projector is None else strain_projector,
        pressure=np.asarray(pressure, np.float64) if isinstance(pressure, float) else pressure,
    )


def first_rows(frame: Frame, cell: bool) -> Float[Array, "rows 3"]:
    """Rows of the starting configuration."""
    if not cell:
        return frame.start.positions
    return jnp.concatenate([frame.start.positions, jnp.zeros((3, 3))])


def configuration_at(frame: Frame, rows: Float[Array, "rows 3"]) -> Configuration:
    """Return the configuration that the rows stand for."""
    atoms = frame.start.positions.shape[0]
    if rows.shape[0] == atoms:
        return frame.start._replace(positions=rows)
    deformation = matrix_exponential(rows[atoms:] / _strain_length(frame))
    return frame.start._replace(
        positions=rows[:atoms] @ deformation, cell=frame.start.cell @ deformation
    )


def evaluate_rows(
    potential: Potential,
    frame: Frame,
    rows: Float[Array, "rows 3"],
    neighbours: Neighbours,
) -> Evaluation:
    """Enthalpy and its gradient with respect to the rows."""
    configuration = configuration_at(frame, rows)
    if rows.shape[0] == frame.start.positions.shape[0]:
        energy, forces, _ = energy_forces(potential, configuration, neighbours)
        gradient = jnp.where(frame.free[:, None], -forces, 0.0)
        return Evaluation(energy, energy, forces, jnp.zeros((3, 3)), gradient)
    energy, forces, stress = energy_forces_stress(potential, configuration, neighbours)
    volume = jnp.abs(jnp.linalg.det(configuration.cell))
    gradient = _gradient_with_cell(frame, rows, forces, stress, volume)
    return Evaluation(energy, energy + frame.pressure * volume, forces, stress, gradient)


def largest_force(frame: Frame, evaluation: Evaluation) -> Float[Array, ""]:
    """Largest norm of the force on a free atom, eV/A."""
    squares = jnp.sum(evaluation.forces**2, axis=-1)
    return jnp.sqrt(jnp.max(jnp.where(frame.free, squares, 0.0)))


def largest_stress(frame: Frame, evaluation: Evaluation) -> Float[Array, ""]:
    """Largest component of stress + pressure among the strains that are free, eV/A^3."""
    return jnp.max(jnp.abs(_free_part(frame, evaluation.stress + frame.pressure * jnp.eye(3))))


def strain_at(frame: Frame, rows: Float[Array, "rows 3"]) -> Float[Array, "3 3"]:
    """Logarithmic strain of the cell at the rows; zero when the cell is not relaxed."""
    atoms = frame.start.positions.shape[0]
    if rows.shape[0] == atoms:
        return jnp.zeros((3, 3))
    return rows[atoms:] / _strain_length(frame)


def matrix_exponential(matrix: Float[Array, "3 3"]) -> Float[Array, "3 3"]:
    """Exponential of a 3 x 3 matrix with norm up to a few, by Taylor series and squaring.

    The remainder is (|A| / 64)^10 / 10! of the result, below rounding for |A| < 4.
    """
    scaled = matrix / 64.0
    result = jnp.eye(3)
    for order in range(9, 0, -1):
        result = jnp.eye(3) + _product(scaled, result) / order
    for _ in range(6):
        result = _product(result, result)
    return result


def _gradient_with_cell(
    frame: Frame,
    rows: Float[Array, "rows 3"],
    forces: Float[Array, "n 3"],
    stress: Float[Array, "3 3"],
    volume: Float[Array, ""],
) -> Float[Array, "rows 3"]:
    """dH/dX = dE/dr F, and dH/dL from dH/dF = F^-1 V (stress + p)."""
    atoms = forces.shape[0]
    length = _strain_length(frame)
    strain = rows[atoms:] / length
    deformation, pull_back = jax.vjp(matrix_exponential, strain)
    by_positions = jnp.where(frame.free[:, None], -forces @ deformation, 0.0)
    by_log_volume = volume * (stress + frame.pressure * jnp.eye(3))
    (by_strain,) = pull_back(_product(matrix_exponential(-strain), by_log_volume))
    return jnp.concatenate([by_positions, _free_part(frame, by_strain) / length])


def _free_part(frame: Frame, matrix: Float[Array, "3 3"]) -> Float[Array, "3 3"]:
    projected = frame.strain_projector @ matrix @ frame.strain_projector
    return 0.5 * (projected + projected.T)


def _strain_length(frame: Frame) -> Float[Array, ""]:
    """Length that makes a strain as stiff as an atom: sqrt(N) times the atomic spacing.

    The curvature of the energy in the strain is N times (bulk modulus) x (volume per atom).
    """
    atoms = jnp.sum(frame.start.numbers != PADDING).astype(jnp.float64)
    volume = jnp.abs(jnp.linalg.det(frame.start.cell))
    return jnp.sqrt(atoms) * jnp.cbrt(volume / atoms)


def _product(a: Float[Array, "3 3"], b: Float[Array, "3 3"]) -> Float[Array, "3 3"]:
    # A sum of elementwise products fuses; a 3 x 3 dot is a library call.
    return jnp.sum(a[:, :, None] * b[None, :, :], axis=1)
