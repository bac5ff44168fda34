"""Short pieces of molecular dynamics that carry a structure out of its minimum."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from thermosearch.potentials.interface import Potential
from thermosearch.relax.md import molecular_dynamics
from thermosearch.search.founder import Founder
from thermosearch.search.proposal import Escape, Proposal
from thermosearch.units import FS_IN_INTERNAL_TIME

PIECE = 8
"""Steps between looks at the energy: those beyond the end of an escape count too."""


def escaped_from(
    potential: Potential, founder: Founder, proposals: Sequence[Proposal]
) -> tuple[list[Float[np.ndarray, "n 3"]], list[int]]:
    """Run the dynamics of those proposals that ask for it, all atoms of mass 1 amu alike.

    Goedecker, J. Chem. Phys. 120, 9911 (2004): equal masses, since only the place where it
    ends matters.

    Returns
    -------
    positions : list of (n, 3) float64
        Where the relaxation begins.
    calls : list of int
        Energy+force calls executed.
    """
    positions = [each.positions for each in proposals]
    calls = [0] * len(proposals)
    for k, proposal in enumerate(proposals):
        if proposal.escape is not None:
            positions[k], calls[k] = _end(potential, founder, proposal)
    return positions, calls


def _end(
    potential: Potential, founder: Founder, proposal: Proposal
) -> tuple[Float[np.ndarray, "n 3"], int]:
    escape, mobile = proposal.escape, founder.mobile
    energy, positions = np.zeros(0), np.zeros((0, len(mobile), 3))
    for chunk in molecular_dynamics(
        potential,
        [founder.configuration._replace(positions=proposal.positions)],
        steps=escape.steps,
        time_step=escape.time_step,
        velocities=[_velocities(escape, mobile, potential.units == "reduced")],
        mobile=mobile,
        masses=[np.ones(len(mobile))],
        record_every=1,
        chunk=PIECE,
        trajectory=True,
        together=False,
        width=1,
    ):
        energy = np.concatenate([energy, chunk.potential_energy[0]])
        positions = np.concatenate([positions, chunk.positions[0]])
        passed = np.flatnonzero((energy[1:-1] < energy[:-2]) & (energy[1:-1] <= energy[2:])) + 1
        if len(passed) >= escape.minima:
            return positions[passed[escape.minima - 1]], len(energy)
        if not np.isfinite(energy).all():
            break
    # No such minimum, or the dynamics broke: the last point that could be evaluated.
    finite = np.flatnonzero(np.isfinite(energy))
    return positions[finite[-1]] if len(finite) else proposal.positions, len(energy)


def _velocities(escape: Escape, mobile: np.ndarray, reduced: bool) -> Float[np.ndarray, "n 3"]:
    """A/fs (or reduced) for atoms of mass 1 that carry the kinetic energy asked for."""
    direction = np.where(mobile[:, None], escape.direction, 0.0)
    energy = 0.5 * np.sum(direction**2)
    speed = np.sqrt(escape.kinetic_energy * mobile.sum() / energy)
    return direction * speed * (1.0 if reduced else FS_IN_INTERNAL_TIME)
