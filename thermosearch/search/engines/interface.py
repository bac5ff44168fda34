"""What every engine of a search is: it asks for structures and is told what became of them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from thermosearch.search.degrees_of_freedom import DegreesOfFreedom
from thermosearch.search.evaluate import Evaluated
from thermosearch.search.founder import Founder
from thermosearch.search.placement import random_start, starts_anywhere
from thermosearch.search.proposal import Proposal
from thermosearch.search.study import MethodSection

State = dict[str, np.ndarray]


@runtime_checkable
class Engine(Protocol):
    """One search by one method; all its random numbers follow from its seed."""

    @property
    def finished(self) -> bool:
        """Whether it has nothing more to propose."""

    @property
    def step(self) -> float:
        """Its step size, A, for curves; NaN where it has none."""

    def ask(self) -> list[Proposal]:
        """Structures of the next round."""

    def tell(self, results: Sequence[Evaluated]) -> None:
        """Learn what became of the structures asked for last."""

    def receive(self, positions: Float[np.ndarray, "n 3"]) -> None:
        """Take a structure from another island into the next round."""

    def state(self) -> State:
        """Everything `restore` needs, as plain arrays."""

    def restore(self, state: State) -> None:
        """Bring a fresh engine, made with the same setup, to a saved state."""


class Setup(NamedTuple):
    """What an engine is made from.

    Attributes
    ----------
    founder, freedom, method
        Of the study.
    seed : (int, int)
        Of the run and of this search; all engines of one search have the same starts.
    stream : int
        Of this engine's own random numbers.
    """

    founder: Founder
    freedom: DegreesOfFreedom
    method: MethodSection
    seed: tuple[int, int]
    stream: int

    @property
    def anywhere(self) -> bool:
        """Whether random starts lie anywhere in the region, not near the founder."""
        return starts_anywhere(self.founder, self.method)

    def start(self, number: int) -> Float[np.ndarray, "n 3"]:
        """Return random start `number` of this seed, the same for every engine."""
        generator = np.random.default_rng([*self.seed, 0, number])
        return random_start(self.founder, self.freedom, self.method, generator)

    def generator(self, round_: int) -> np.random.Generator:
        """Return the random stream of one round of this engine."""
        return np.random.default_rng([*self.seed, self.stream, round_])

    def fitness(self, result: Evaluated) -> float:
        """Energy to be compared, eV, the penalty for the committee's spread included."""
        penalty = 0.0 if np.isnan(result.spread) else self.method.spread_penalty * result.spread
        return result.energy + penalty


class Best:
    """Lowest energy met, and from where on an individual is worth a full relaxation."""

    def __init__(self, method: MethodSection) -> None:
        """Know nothing but the target, if the study names one."""
        self._method = method
        self.energy = np.inf

    def see(self, results: Sequence[Evaluated]) -> bool:
        """Take results in; whether one was lower than all before."""
        lowest = min((each.energy for each in results if not each.rejection), default=np.inf)
        improved = lowest < self.energy
        self.energy = min(self.energy, lowest)
        return improved

    @property
    def refine_below(self) -> float:
        """Energy, eV, below which an individual is relaxed to the end at once."""
        within, target = self._method.refine_within, self._method.target
        known = [each for each in (self.energy, target) if each is not None and each < np.inf]
        return -np.inf if within is None or not known else max(known) + within
