"""The measures: of what the prior is uniform, and what the contours bound.

Nested sampling compresses a prior. The prior of atoms is uniform in their positions, within a
container that the study states, because neither the partition function of a cluster nor the
volume of an ideal gas is finite without one. Cells of constant pressure add the shape and the
volume of the cell.

Walkers are the last axis of all arrays, here and in the moves: neighbouring numbers in memory then
belong to neighbouring walkers, which is what vector units want of small systems.
"""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from thermosearch.configuration import Array
from thermosearch.nested.streams import Stream, fold, normal, symmetric, uniform

SHAPE_STEPS = 400
SHAPE_STEP = 0.3


class Measure(eqx.Module):
    """Base of all measures."""

    @abstractmethod
    def value(self, energy: Float[Array, "*w"], cell: Float[Array, "3 3 *w"]) -> Float[Array, "*w"]:
        """Return what a contour bounds: the energy, or the enthalpy E + P V."""

    @abstractmethod
    def holds_atoms(
        self, positions: Float[Array, "n 3 *w"], cell: Float[Array, "3 3 *w"]
    ) -> Bool[Array, "*w"]:
        """Whether these positions of the mobile atoms are in the container."""

    @abstractmethod
    def draw(
        self, stream: Stream, cell: Float[Array, "3 3"], atoms: int
    ) -> tuple[Float[Array, "n 3"], Float[Array, "3 3"]]:
        """Positions of the mobile atoms and cell, drawn from the prior.

        A measure that cannot be drawn from directly hands out a first guess; `draw` is followed
        by a walk under no contour.
        """

    @property
    def smallest_volume(self) -> float:
        """Of the cell; infinite where there is none."""
        return np.inf

    @abstractmethod
    def log_size(self, atoms: int) -> float | None:
        """Logarithm of the prior's integral, int dr (or int dV V^N); None where it is not known."""


class Sphere(Measure):
    """A cluster in a sphere of stated radius, about a fixed centre or its centre of mass.

    About the centre of mass, the 3 (N - 1) coordinates relative to it are uniform wherever no
    atom is further than the radius from it: another measure, with other averages.

    Attributes
    ----------
    radius : float
        Of the sphere.
    about : {"fixed_centre", "centre_of_mass"}
        Where its centre is; the masses are taken as equal.
    """

    radius: float
    about: str = eqx.field(static=True)

    def value(self, energy: Float[Array, "*w"], cell: Float[Array, "3 3 *w"]) -> Float[Array, "*w"]:
        """Return the energy."""
        return energy

    def holds_atoms(
        self, positions: Float[Array, "n 3 *w"], cell: Float[Array, "3 3 *w"]
    ) -> Bool[Array, "*w"]:
        """Whether all atoms are in the sphere."""
        if self.about == "centre_of_mass":
            positions = positions - jnp.mean(positions, axis=0)
        return jnp.max(length_squared(positions, axis=1), axis=0) <= self.radius**2

    def draw(
        self, stream: Stream, cell: Float[Array, "3 3"], atoms: int
    ) -> tuple[Float[Array, "n 3"], Float[Array, "3 3"]]:
        """Uniform in the sphere; about the centre of mass, scaled into it."""
        direction = normal(fold(stream, 0), (atoms, 3))
        unit = direction / jnp.linalg.norm(direction, axis=1, keepdims=True)
        distance = uniform(fold(stream, 1), (atoms, 1)) ** (1.0 / 3.0)
        positions = self.radius * distance * unit
        if self.about == "centre_of_mass":
            positions = positions - jnp.mean(positions, axis=0)
            furthest = jnp.sqrt(jnp.max(length_squared(positions, axis=1)))
            positions = positions * jnp.minimum(1.0, 0.999 * self.radius / furthest)
        return positions, cell

    def log_size(self, atoms: int) -> float | None:
        """N ln(4/3 pi R^3) about a fixed centre."""
        if self.about == "centre_of_mass":
            return None
        return atoms * float(np.log(self.volume))

    @property
    def volume(self) -> float:
        """Volume of the sphere."""
        return 4.0 / 3.0 * np.pi * float(self.radius) ** 3


class FixedCell(Measure):
    """Constant volume: positions uniform in a cell that stays as it is.

    In directions that do not repeat, the cell's faces are hard walls: a box, or the space over a
    slab.

    Attributes
    ----------
    pbc : tuple of bool
        Which directions repeat.
    """

    pbc: tuple[bool, bool, bool] = eqx.field(static=True)
    volume: float

    def value(self, energy: Float[Array, "*w"], cell: Float[Array, "3 3 *w"]) -> Float[Array, "*w"]:
        """Return the energy."""
        return energy

    def holds_atoms(
        self, positions: Float[Array, "n 3 *w"], cell: Float[Array, "3 3 *w"]
    ) -> Bool[Array, "*w"]:
        """Whether all atoms are between the walls."""
        if all(self.pbc):
            return jnp.ones(cell.shape[2:], bool)
        walls = np.flatnonzero(~np.asarray(self.pbc))
        between = to_fractional(positions, cell)[:, walls]
        return jnp.all((between >= 0.0) & (between < 1.0), axis=(0, 1))

    def draw(
        self, stream: Stream, cell: Float[Array, "3 3"], atoms: int
    ) -> tuple[Float[Array, "n 3"], Float[Array, "3 3"]]:
        """Uniform in the cell."""
        return uniform(stream, (atoms, 3)) @ cell, cell

    @property
    def smallest_volume(self) -> float:
        """That of the cell."""
        return float(self.volume)

    def log_size(self, atoms: int) -> float | None:
        """N ln V."""
        return atoms * float(np.log(float(self.volume)))


class FlexibleCell(Measure):
    """Constant pressure: fractional coordinates, cell shape and volume are all free.

    The partition function is int dV V^N int dh0 delta(det h0 - 1) int ds exp(-(E + P V) / kT),
    with h0 = h / V^(1/3) (R. J. N. Baldock et al., Phys. Rev. E 96, 043311 (2017),
    DOI 10.1103/PhysRevE.96.043311). The shapes are those whose cell is nowhere thinner than
    `min_depth` V^(1/3); the integral over them is normalised to one.

    Attributes
    ----------
    pressure : float
        Energy per volume.
    volume_power : int
        N: the prior is V^N, as the integral has it; 0: it is flat, and the analysis reweights.
    lowest, highest : float
        Bounds of the cell's volume.
    min_depth : float
        Least distance between opposite faces over V^(1/3); 1 is the cube alone.
    """

    pressure: Float[Array, ""]
    volume_power: int = eqx.field(static=True)
    lowest: float
    highest: float
    min_depth: float

    def value(self, energy: Float[Array, "*w"], cell: Float[Array, "3 3 *w"]) -> Float[Array, "*w"]:
        """Return the enthalpy."""
        return energy + self.pressure * volume(cell)

    def holds_atoms(
        self, positions: Float[Array, "n 3 *w"], cell: Float[Array, "3 3 *w"]
    ) -> Bool[Array, "*w"]:
        """Everywhere: a periodic cell has no outside."""
        return jnp.ones(cell.shape[2:], bool)

    def holds_cell(self, cell: Float[Array, "3 3 *w"]) -> Bool[Array, "*w"]:
        """Whether volume and shape are within their bounds."""
        size = volume(cell)
        thick = jnp.min(depths(cell), axis=0) >= self.min_depth * jnp.cbrt(size)
        return (size >= self.lowest) & (size <= self.highest) & thick

    def draw(
        self, stream: Stream, cell: Float[Array, "3 3"], atoms: int
    ) -> tuple[Float[Array, "n 3"], Float[Array, "3 3"]]:
        """Volume by the inverse of its distribution, shape by a long walk, atoms uniform."""
        power = self.volume_power + 1
        least = (self.lowest / self.highest) ** power
        share = uniform(fold(stream, 0))
        size = self.highest * (least + share * (1.0 - least)) ** (1.0 / power)
        shape = _draw_shape(fold(stream, 1), self.min_depth)
        drawn = jnp.cbrt(size) * shape
        return uniform(fold(stream, 2), (atoms, 3)) @ drawn, drawn

    @property
    def smallest_volume(self) -> float:
        """The lower bound."""
        return float(self.lowest)

    def log_size(self, atoms: int) -> float | None:
        """Logarithm of int dV V^power between the bounds."""
        power = self.volume_power + 1
        ratio = float(self.lowest) / float(self.highest)
        return power * float(np.log(float(self.highest))) + float(
            np.log1p(-(ratio**power)) - np.log(power)
        )


def volume(cell: Float[Array, "3 3 *w"]) -> Float[Array, "*w"]:
    """Volume of cells."""
    return jnp.abs(jnp.sum(cell[0] * _cross(cell[1], cell[2]), axis=0))


def inverse(cell: Float[Array, "3 3 *w"]) -> Float[Array, "3 3 *w"]:
    """Inverse of cells, by cross products: batched LAPACK calls are slower."""
    across = jnp.stack([_cross(cell[(i + 1) % 3], cell[(i + 2) % 3]) for i in range(3)], axis=1)
    return across / jnp.sum(cell[0] * across[:, 0], axis=0)


def depths(cell: Float[Array, "3 3 *w"]) -> Float[Array, " 3 *w"]:
    """Distances between the opposite faces of cells."""
    return 1.0 / jnp.sqrt(length_squared(inverse(cell), axis=0))


def to_fractional(
    positions: Float[Array, "n 3 *w"], cell: Float[Array, "3 3 *w"]
) -> Float[Array, "n 3 *w"]:
    """Positions in units of the lattice vectors."""
    return to_cartesian(positions, inverse(cell))


def to_cartesian(
    fractional: Float[Array, "n 3 *w"], cell: Float[Array, "3 3 *w"]
) -> Float[Array, "n 3 *w"]:
    """Fractional positions times the cell."""
    return sum(fractional[:, i, None] * cell[None, i] for i in range(3))


def length_squared(vectors: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    """Squares of the lengths of vectors, whose components lie along `axis`."""
    x, y, z = (jnp.take(vectors, i, axis=axis) for i in range(3))
    return x * x + y * y + z * z


def shear(cell: Float[Array, "3 3 *w"], amounts: Float[Array, " 2 *w"]) -> Float[Array, "3 3 *w"]:
    """Move the first lattice vector within the plane of the other two; the volume stays."""
    first, second = cell[1], cell[2]
    along = first / jnp.sqrt(length_squared(first, axis=0))
    across = second - jnp.sum(second * along, axis=0) * along
    across = across / jnp.sqrt(length_squared(across, axis=0))
    return cell.at[0].add(amounts[0] * along + amounts[1] * across)


def _cross(a: Float[Array, " 3 *w"], b: Float[Array, " 3 *w"]) -> Float[Array, " 3 *w"]:
    return jnp.stack(
        [a[(i + 1) % 3] * b[(i + 2) % 3] - a[(i + 2) % 3] * b[(i + 1) % 3] for i in range(3)]
    )


def _draw_shape(stream: Stream, min_depth: float) -> Float[Array, "3 3"]:
    """Shape at unit volume, uniform among those thick enough, by a walk of shears from the cube."""

    def step(shape: Array, noise: Array) -> tuple[Array, None]:
        for vector in range(3):
            # Another vector comes first each time; the order of the vectors is no property of a
            # shape drawn at random.
            moved = jnp.roll(shear(shape, noise[vector]), 1, axis=0)
            shape = jnp.where(
                jnp.min(depths(moved)) >= min_depth, moved, jnp.roll(shape, 1, axis=0)
            )
        return shape, None

    noise = SHAPE_STEP * symmetric(stream, (SHAPE_STEPS, 3, 2))
    shape, _ = jax.lax.scan(step, jnp.eye(3, dtype=jnp.float64), noise)
    return shape / jnp.cbrt(volume(shape))
