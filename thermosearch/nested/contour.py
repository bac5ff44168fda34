"""The contour that walkers stay below.

Every value carries a label, uniform in (0, 1), and the contour is one of pairs (value, label) in
lexicographic order. Where values differ that changes nothing; where many configurations share one
value, a plateau, the labels go on to shrink the prior mass at the rate the order statistics want.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

ROUNDING = 1e-9
"""Relative excess over a contour that summing an energy afresh may make."""


class Contour(NamedTuple):
    """A contour (value, label): what is below it in lexicographic order is allowed."""

    value: float
    label: float

    def relabel(
        self, value: Float[np.ndarray, " w"], generator: np.random.Generator
    ) -> Float[np.ndarray, " w"]:
        """Labels drawn anew: uniform, given the value, among those below the contour."""
        drawn = generator.uniform(size=len(value))
        return np.where(value < self.value, drawn, drawn * self.label)

    def bounds(self, label: Float[np.ndarray, " w"]) -> Float[np.ndarray, " w"]:
        """Value that a walker of fixed label must stay strictly below."""
        # The float after 0 is denormal, and compiled code takes that for 0.
        after = np.nextafter(self.value, np.inf) if self.value else np.finfo(np.float64).tiny
        return np.where(label < self.label, after, self.value)

    def below(self, value: Float[np.ndarray, " w"]) -> Float[np.ndarray, " w"]:
        """Values summed afresh may exceed the contour by rounding, and by no more."""
        excess = float(np.max(value - self.value))
        if not excess <= ROUNDING * (1.0 + abs(self.value)):
            raise RuntimeError(f"a walk ended {excess} above its contour {self.value}")
        return np.minimum(value, self.value)
