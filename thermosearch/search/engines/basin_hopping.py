"""Basin hopping: a Metropolis walk over relaxed structures.

Wales and Doye, J. Phys. Chem. A 101, 5111 (1997), doi:10.1021/jp970984n.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from thermosearch.search.engines.interface import Best, Setup, State
from thermosearch.search.engines.moves import displaced, exchanged, relocated
from thermosearch.search.evaluate import Evaluated
from thermosearch.search.proposal import Proposal


class BasinHopping:
    """Moves the current minimum, relaxes, accepts by Metropolis; begins anew when it is stuck."""

    def __init__(self, setup: Setup) -> None:
        """Begin with start 0 of the seed."""
        self._setup = setup
        self._best = Best(setup.method)
        self._positions = np.zeros((0, 3))
        self._energy = np.nan
        self._lowest = np.inf
        self._round = self._starts = self._patience = 0

    finished = False

    @property
    def step(self) -> float:
        """Largest displacement of a coordinate, A."""
        return self._setup.method.basin_hopping.step

    def ask(self) -> list[Proposal]:
        """One move from the current minimum, or a random start."""
        below = self._best.refine_below
        if np.isnan(self._energy):
            return [Proposal(self._setup.start(self._starts), below)]
        return [Proposal(self._move(), below, parent=self._energy)]

    def tell(self, results: Sequence[Evaluated]) -> None:
        """Accept or not; a start is accepted unless it was rejected."""
        (result,) = results
        self._best.see(results)
        fresh = np.isnan(self._energy)
        self._starts += fresh
        if not result.rejection:
            fitness = self._setup.fitness(result)
            thermal = self._setup.method.basin_hopping.temperature
            draw = self._setup.generator(self._round).spawn(1)[0].uniform()
            if fresh or draw < np.exp(min(0.0, (self._energy - fitness) / thermal)):
                self._positions, self._energy = np.array(result.positions), fitness
            self._patience = 0 if fitness < self._lowest - 1e-6 else self._patience + 1
            self._lowest = min(self._lowest, fitness)
        else:
            self._patience += 1
        self._round += 1
        if self._patience >= self._setup.method.basin_hopping.patience:
            self._energy, self._lowest, self._patience = np.nan, np.inf, 0

    def receive(self, positions: Float[np.ndarray, "n 3"]) -> None:
        """Ignore it: a single walk takes no one in."""

    def state(self) -> State:
        """Where the walk stands."""
        return {
            "positions": self._positions,
            "energies": np.array([self._energy, self._lowest, self._best.energy]),
            "counts": np.array([self._round, self._starts, self._patience], np.int64),
        }

    def restore(self, state: State) -> None:
        """Go on from there."""
        self._positions = np.array(state["positions"])
        self._energy, self._lowest, self._best.energy = (float(e) for e in state["energies"])
        self._round, self._starts, self._patience = (int(n) for n in state["counts"])

    def _move(self) -> Float[np.ndarray, "n 3"]:
        section, freedom = self._setup.method.basin_hopping, self._setup.freedom
        generator = self._setup.generator(self._round)
        kind = generator.uniform()
        if kind < section.relocation:
            return relocated(freedom, self._positions, generator)
        if kind < section.relocation + section.exchange:
            return exchanged(freedom, self._positions, generator)
        return displaced(freedom, self._positions, section.step, generator)
