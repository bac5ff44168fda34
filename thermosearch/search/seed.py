"""One seed of a campaign: a scrambled founder and the strategy that starts from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from thermosearch.search.archive import Archive, Minimum
from thermosearch.search.degrees_of_freedom import DegreesOfFreedom
from thermosearch.search.evaluate import Evaluated
from thermosearch.search.founder import Founder, scrambled
from thermosearch.search.strategy import Strategy
from thermosearch.search.study import MethodSection

CANDIDATES = 3
"""Lowest distinct individuals of a seed that are relaxed to the end."""

ALIKE_ENERGY = 0.1
"""Energies, eV, within which two individuals may be the same before they are fully relaxed."""

ALIKE_FINGERPRINT = 2e-3
"""Cosine distance of the same, before they are fully relaxed."""


@dataclass
class History:
    """What happened in each generation, for curves; lists of equal length.

    Attributes
    ----------
    energy : list of (lambda,) float64
        Of the relaxed individuals, eV; NaN for rejected ones.
    rejection : list of (lambda,) int64
        `Rejection` codes.
    spread : list of (lambda,) float64
        Committee's spread, eV; NaN where there is none.
    calls : list of int
        Energy+force calls of the generation.
    step : list of float
        The strategy's step size after it, A at the top.
    """

    energy: list[Float[np.ndarray, " lambda"]] = field(default_factory=list)
    rejection: list[np.ndarray] = field(default_factory=list)
    spread: list[Float[np.ndarray, " lambda"]] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    step: list[float] = field(default_factory=list)


class SeedSearch:
    """CMA-ES from one scrambled founder.

    Attributes
    ----------
    index : int
        Of the seed.
    strategy : Strategy
        Its CMA-ES.
    candidates : Archive
        Its lowest distinct individuals.
    history : History
        Its generations.
    """

    def __init__(
        self,
        index: int,
        run_seed: int,
        founder: Founder,
        freedom: DegreesOfFreedom,
        method: MethodSection,
    ) -> None:
        """Scramble the founder and start the strategy there; streams belong to the seed."""
        self.index = index
        self._freedom = freedom
        self._lamarckian = method.inheritance == "lamarckian"
        start = scrambled(founder, method.scramble, np.random.default_rng([run_seed, index, 0]))
        self.strategy = Strategy(
            freedom.vector(freedom.confined(start)),
            method.initial_step,
            method.population,
            method.covariance,
            seed=[run_seed, index, 1],
        )
        self.candidates = Archive(founder, CANDIDATES, ALIKE_ENERGY, ALIKE_FINGERPRINT)
        self.history = History()
        self._asked: Float[np.ndarray, "lambda d"] | None = None

    @property
    def best_energy(self) -> float:
        """Lowest energy so far, eV; NaN before the first accepted individual."""
        return self.candidates.minima[0].energy if self.candidates.minima else np.nan

    @property
    def calls(self) -> int:
        """Energy+force calls so far."""
        return int(sum(self.history.calls))

    def ask(self) -> list[Float[np.ndarray, "n 3"]]:
        """Positions of the next generation."""
        self._asked = self.strategy.ask()
        return [self._freedom.positions(vector) for vector in self._asked]

    def tell(self, generation: Sequence[Evaluated]) -> None:
        """Learn from the generation last asked for, and remember it."""
        if self._asked is None:
            raise ValueError("tell without ask")
        vectors = self._asked.copy()
        for k, individual in enumerate(generation):
            if self._lamarckian and not individual.rejection:
                vectors[k] = self._freedom.vector(self._freedom.confined(individual.positions))
        for individual in generation:
            if not individual.rejection:
                self.candidates.add(
                    Minimum(
                        individual.energy,
                        individual.positions,
                        self.index,
                        self.strategy.generation,
                    )
                )
        energies = np.array([individual.energy for individual in generation])
        self.strategy.tell(vectors, energies)
        self.history.energy.append(energies)
        self.history.rejection.append(np.array([int(each.rejection) for each in generation]))
        self.history.spread.append(np.array([each.spread for each in generation]))
        self.history.calls.append(sum(each.calls for each in generation))
        self.history.step.append(self.strategy.step_size)
        self._asked = None

    def state(self) -> dict[str, np.ndarray]:
        """Return everything `restore` needs, as plain arrays."""
        parts = {
            "strategy": self.strategy.state(),
            "candidates": self.candidates.state(),
            "history": {name: np.array(rows) for name, rows in vars(self.history).items()},
        }
        return {
            f"seed_{self.index}/{part}/{name}": array
            for part, arrays in parts.items()
            for name, array in arrays.items()
        }

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Bring a fresh seed to a saved state; arrays of other seeds are ignored."""
        self.strategy.restore(_part(arrays, f"seed_{self.index}/strategy/"))
        self.candidates.restore(_part(arrays, f"seed_{self.index}/candidates/"))
        saved = _part(arrays, f"seed_{self.index}/history/")
        self.history = History(
            # Numbers become Python's again, rows stay arrays.
            **{
                name: rows.tolist() if rows.ndim == 1 else list(rows)
                for name, rows in saved.items()
            }
        )


def _part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
