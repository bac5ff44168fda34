"""Where moved atoms may be: a window above a surface, a shell, a ball, or a periodic cell."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

Points = Float[np.ndarray, "m 3"]


@runtime_checkable
class Region(Protocol):
    """Confines the moved atoms and draws random places for them."""

    def confined(self, points: Points) -> Points:
        """Points brought back into the region."""

    def outside(self, points: Points) -> float:
        """How far the farthest point is out of the region, A; at most 0 inside."""

    def draw(self, count: int, generator: np.random.Generator) -> Points:
        """Points drawn evenly from the region."""


@dataclass(frozen=True)
class Window:
    """Heights between two planes of a slab.

    Attributes
    ----------
    normal : (3,) float64
        Of the surface, a unit vector.
    cell : (3, 3) float64
        Its first two vectors span the surface.
    lowest, highest : float
        Heights along the normal, A.
    """

    normal: Float[np.ndarray, "3"]
    cell: Float[np.ndarray, "3 3"]
    lowest: float
    highest: float

    def confined(self, points: Points) -> Points:
        """Clip the heights."""
        height = points @ self.normal
        return points + (np.clip(height, self.lowest, self.highest) - height)[:, None] * self.normal

    def outside(self, points: Points) -> float:
        """Compare the heights with both planes."""
        height = points @ self.normal
        return float(max(self.lowest - height.min(), height.max() - self.highest))

    def draw(self, count: int, generator: np.random.Generator) -> Points:
        """Draw anywhere over the cell, between the planes."""
        inside = generator.uniform(size=(count, 2)) @ self.cell[:2]
        height = generator.uniform(self.lowest, self.highest, size=count)
        return inside + (height - inside @ self.normal)[:, None] * self.normal


@dataclass(frozen=True)
class TwoWindows:
    """The windows of both faces of a slab with a symmetry that exchanges them.

    Attributes
    ----------
    upper : Window
        Of the upper face; the lower one is its mirror image about `middle`.
    middle : float
        Height of the slab's centre along the normal, A.
    """

    upper: Window
    middle: float

    def confined(self, points: Points) -> Points:
        """Clip each point in the window of its own face."""
        return self._mirrored(self.upper.confined(self._mirrored(points, points)), points)

    def outside(self, points: Points) -> float:
        """Measure each point against the window of its own face."""
        return self.upper.outside(self._mirrored(points, points))

    def draw(self, count: int, generator: np.random.Generator) -> Points:
        """Draw from the upper window; the symmetry makes the lower face."""
        return self.upper.draw(count, generator)

    def _mirrored(self, points: Points, origin: Points) -> Points:
        below = origin @ self.upper.normal < self.middle
        height = points @ self.upper.normal - self.middle
        return points - np.where(below, 2.0 * height, 0.0)[:, None] * self.upper.normal


@dataclass(frozen=True)
class Ball:
    """A sphere around the centre of the atoms, which is kept at the origin.

    Attributes
    ----------
    radius : float
        A.
    """

    radius: float

    def confined(self, points: Points) -> Points:
        """Centre the atoms, bring those outside back to the sphere, and shrink what is left."""
        points = points - points.mean(axis=0)
        distance = np.linalg.norm(points, axis=1)
        if distance.max() <= self.radius:
            return points
        points = points * np.minimum(1.0, self.radius / np.maximum(distance, 1e-12))[:, None]
        # Their centre has moved; the farthest sets the scale, so that all are inside again.
        points = points - points.mean(axis=0)
        return points * min(1.0, self.radius / np.linalg.norm(points, axis=1).max())

    def outside(self, points: Points) -> float:
        """Measure from the centre of the atoms."""
        centred = points - points.mean(axis=0)
        return float(np.linalg.norm(centred, axis=1).max() - self.radius)

    def draw(self, count: int, generator: np.random.Generator) -> Points:
        """Draw evenly from the ball."""
        return in_ball(count, self.radius, generator)


@dataclass(frozen=True)
class Shell:
    """Distances from the centre of a particle whose inner atoms stay where they are.

    Attributes
    ----------
    centre : (3,) float64
        A.
    inner, outer : float
        A.
    """

    centre: Float[np.ndarray, "3"]
    inner: float
    outer: float

    def confined(self, points: Points) -> Points:
        """Clip the distances."""
        away = points - self.centre
        distance = np.maximum(np.linalg.norm(away, axis=1), 1e-12)
        return self.centre + away * (np.clip(distance, self.inner, self.outer) / distance)[:, None]

    def outside(self, points: Points) -> float:
        """Compare the distances with both spheres."""
        distance = np.linalg.norm(points - self.centre, axis=1)
        return float(max(self.inner - distance.min(), distance.max() - self.outer))

    def draw(self, count: int, generator: np.random.Generator) -> Points:
        """Draw evenly from the shell."""
        away = in_ball(count, 1.0, generator)
        cubed = np.linalg.norm(away, axis=1) ** 3
        distance = np.cbrt(self.inner**3 + cubed * (self.outer**3 - self.inner**3))
        return self.centre + away * (distance / np.cbrt(cubed))[:, None]


@dataclass(frozen=True)
class Cell:
    """A periodic cell: nowhere is outside.

    Attributes
    ----------
    cell : (3, 3) float64
        Rows are the lattice vectors, A.
    """

    cell: Float[np.ndarray, "3 3"]

    def confined(self, points: Points) -> Points:
        """Leave the points where they are: an image is as good as another."""
        return points

    def outside(self, points: Points) -> float:
        """Nothing is outside."""
        return -np.inf

    def draw(self, count: int, generator: np.random.Generator) -> Points:
        """Draw anywhere in the cell."""
        return generator.uniform(size=(count, 3)) @ self.cell


def in_ball(count: int, radius: float, generator: np.random.Generator) -> Points:
    """Points drawn evenly from a ball around the origin."""
    direction = generator.standard_normal((count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return direction * radius * np.cbrt(generator.uniform(size=(count, 1)))
