"""What an engine asks to have relaxed."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Escape(NamedTuple):
    """Dynamics at constant energy from a minimum until the energy has had its nth minimum.

    Attributes
    ----------
    kinetic_energy : float
        At the start, eV an atom that may move.
    direction : (n, 3) float64
        Of the first velocities; only its direction counts.
    time_step : float
        fs, or reduced.
    steps : int
        At most.
    minima : int
        Minima of the potential energy along the way after which it ends.
    """

    kinetic_energy: float
    direction: Float[np.ndarray, "n 3"]
    time_step: float
    steps: int
    minima: int


class Proposal(NamedTuple):
    """A structure to be relaxed and judged.

    Attributes
    ----------
    positions : (n, 3) float64
        A.
    refine_below : float
        Relax it to the end at once if its energy comes out below this, eV.
    escape : Escape or None
        A short piece of dynamics before the relaxation.
    parent : float
        Energy of the minimum it was made from, eV; NaN where there is none.
    """

    positions: Float[np.ndarray, "n 3"]
    refine_below: float = -np.inf
    escape: Escape | None = None
    parent: float = np.nan
