"""Minima hopping: short dynamics out of a minimum, feedback on its energy.

Goedecker, J. Chem. Phys. 120, 9911 (2004), doi:10.1063/1.1724816.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from thermosearch.search.engines.interface import Best, Setup, State
from thermosearch.search.evaluate import Evaluated
from thermosearch.search.proposal import Escape, Proposal

HOTTER, COOLER = 1.1, 1.0 / 1.1
"""Factors of the kinetic energy: after a known minimum, after a new one."""

WIDER, NARROWER = 1.05, 1.0 / 1.05
"""Factors of the acceptance: after a refusal, after an acceptance."""

SAME = 0.005
"""Energies, eV, of one minimum."""


class MinimaHopping:
    """Escapes by dynamics; hotter when it meets what it knows, cooler when it does not."""

    def __init__(self, setup: Setup) -> None:
        """Begin with start 0 of the seed."""
        self._setup = setup
        self._best = Best(setup.method)
        self._positions = np.zeros((0, 3))
        self._energy = np.nan
        self._kinetic = setup.method.minima_hopping.kinetic_energy
        self._acceptance = setup.method.minima_hopping.acceptance
        self._known: list[float] = []
        self._round = self._starts = 0

    finished = False

    @property
    def step(self) -> float:
        """It has no step; its kinetic energy adapts instead."""
        return np.nan

    def ask(self) -> list[Proposal]:
        """Return one escape from the current minimum, or a random start."""
        below = self._best.refine_below
        if np.isnan(self._energy):
            return [Proposal(self._setup.start(self._starts), below)]
        section = self._setup.method.minima_hopping
        direction = self._setup.generator(self._round).standard_normal(self._positions.shape)
        symmetry = self._setup.founder.symmetry
        escape = Escape(
            self._kinetic,
            direction if symmetry is None else symmetry.imposed(direction),
            section.time_step,
            section.steps,
            section.minima,
        )
        return [Proposal(self._positions, below, escape, parent=self._energy)]

    def tell(self, results: Sequence[Evaluated]) -> None:
        """Adapt kinetic energy and acceptance, and go to the new minimum if it is low enough."""
        (result,) = results
        self._best.see(results)
        self._round += 1
        fresh = np.isnan(self._energy)
        self._starts += fresh
        if result.rejection:
            self._kinetic *= 1.0 if fresh else COOLER
            return
        fitness = self._setup.fitness(result)
        if not fresh and abs(fitness - self._energy) < SAME:
            self._kinetic *= HOTTER
            return
        known = any(abs(fitness - each) < SAME for each in self._known)
        if not known:
            self._known.append(fitness)
        if not fresh:
            self._kinetic *= HOTTER if known else COOLER
        accepted = fresh or fitness - self._energy < self._acceptance
        if accepted:
            self._positions, self._energy = np.array(result.positions), fitness
        if not fresh:
            self._acceptance *= NARROWER if accepted else WIDER

    def receive(self, positions: Float[np.ndarray, "n 3"]) -> None:
        """Ignore it: a single walk takes no one in."""

    def state(self) -> State:
        """Where the walk stands."""
        return {
            "positions": self._positions,
            "energies": np.array(
                [self._energy, self._kinetic, self._acceptance, self._best.energy]
            ),
            "known": np.array(self._known),
            "counts": np.array([self._round, self._starts], np.int64),
        }

    def restore(self, state: State) -> None:
        """Go on from there."""
        self._positions = np.array(state["positions"])
        self._energy, self._kinetic, self._acceptance, self._best.energy = (
            float(each) for each in state["energies"]
        )
        self._known = state["known"].tolist()
        self._round, self._starts = (int(n) for n in state["counts"])
