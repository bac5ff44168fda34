"""Random search: every individual a new random start."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from thermosearch.search.engines.interface import Best, Setup, State
from thermosearch.search.evaluate import Evaluated
from thermosearch.search.proposal import Proposal


class RandomSearch:
    """Random starts, relaxed; the baseline of every other engine."""

    def __init__(self, setup: Setup) -> None:
        """Begin with start 0 of the seed."""
        self._setup = setup
        self._drawn = 0
        self._best = Best(setup.method)

    finished = False
    step = np.nan

    def ask(self) -> list[Proposal]:
        """Return the next `population` starts."""
        first = self._drawn
        self._drawn += self._setup.method.population
        return [
            Proposal(self._setup.start(number), self._best.refine_below)
            for number in range(first, self._drawn)
        ]

    def tell(self, results: Sequence[Evaluated]) -> None:
        """Remember the lowest energy; nothing is learnt."""
        self._best.see(results)

    def receive(self, positions: Float[np.ndarray, "n 3"]) -> None:
        """Random search takes no advice."""

    def state(self) -> State:
        """Return how many starts were drawn and the lowest energy."""
        return {"drawn": np.array(self._drawn), "best": np.array(self._best.energy)}

    def restore(self, state: State) -> None:
        """Go on after the starts that were drawn."""
        self._drawn = int(state["drawn"])
        self._best.energy = float(state["best"])
