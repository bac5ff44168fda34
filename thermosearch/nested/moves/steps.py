"""How step sizes follow acceptance, between the iterations of a run."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from thermosearch.nested.moves.interface import OUTCOMES, Move

GAIN = 2.0
"""Of the step sizes: high enough to keep up with a contour that shrinks by a quarter at a time."""
SMALLEST_STEP = 1e-7


def adapted(
    moves: Sequence[Move], steps: Float[np.ndarray, " moves"], tally: Int[np.ndarray, "moves 4"]
) -> Float[np.ndarray, " moves"]:
    """Change step sizes towards the acceptance rates that the moves aim at.

    Parameters
    ----------
    moves : sequence of Move
        Their targets and bounds.
    steps : (moves,) float64
        Before.
    tally : (moves, 4) int64
        Outcomes of the proposals made with them.
    """
    tried = np.maximum(tally.sum(axis=1), 1)
    rate = tally[:, OUTCOMES.index("accepted")] / tried
    target = np.array([move.target for move in moves])
    largest = np.array([move.largest for move in moves])
    changed = np.where(target > 0.0, steps * np.exp(GAIN * (rate - target)), steps)
    return np.clip(changed, SMALLEST_STEP * largest, largest)
