"""CMA-ES by pycma's ask and tell, with a state that is plain arrays.

Hansen, Ostermeier, Evol. Comput. 9, 159 (2001); Hansen, arXiv:1604.00772.
"""

from collections.abc import Sequence
from typing import Literal

import cma
import numpy as np
from cma.sigma_adaptation import CMAAdaptSigmaCSA
from jaxtyping import Float


class Strategy:
    """One CMA-ES run: `ask` for a generation, `tell` what its individuals are worth.

    All randomness comes from the generator of its own seed; numpy's global state is never
    touched. The state is the list of what it was told: pycma cannot hand out its own without
    pickle, and telling it the same again costs a millisecond a generation and gives the same
    bits.
    """

    def __init__(
        self,
        start: Float[np.ndarray, " d"],
        step: float,
        population: int,
        covariance: Literal["full", "diagonal"],
        seed: Sequence[int],
    ) -> None:
        """Begin at a mean with an isotropic step.

        Parameters
        ----------
        start : (d,) float64
            First mean.
        step : float
            First standard deviation, in units of the vector.
        population : int
            Individuals a generation.
        covariance : {"full", "diagonal"}
            Whether correlations are learnt.
        seed : sequence of int
            Of the run and of this search.
        """
        generator = np.random.default_rng(list(seed))
        self._told: list[tuple[np.ndarray, np.ndarray]] = []
        self._injected: list[tuple[int, np.ndarray]] = []
        self._cma = cma.CMAEvolutionStrategy(
            np.asarray(start, np.float64),
            step,
            {
                "popsize": population,
                "CMA_diagonal": covariance == "diagonal",
                # Some defaults look for mirrored samples among the individuals told; inherited
                # (Lamarckian) ones are not where they were.
                "AdaptSigma": CMAAdaptSigmaCSA,
                "CMA_mirrors": 0,
                "randn": lambda *shape: generator.standard_normal(shape),
                "seed": np.nan,
                "verbose": -9,
                "verb_log": 0,
                "verb_disp": 0,
            },
        )

    @property
    def generation(self) -> int:
        """Generations told so far."""
        return len(self._told)

    @property
    def population(self) -> int:
        """Individuals a generation."""
        return int(self._cma.popsize)

    @property
    def step_size(self) -> float:
        """Root mean square standard deviation of a coordinate."""
        return float(self._cma.sigma * np.sqrt(np.mean(self._cma.sm.variances)))

    @property
    def mean(self) -> Float[np.ndarray, " d"]:
        """Mean of the distribution."""
        return np.array(self._cma.mean)

    @property
    def condition(self) -> float:
        """Condition number of the covariance."""
        return float(self._cma.condition_number)

    def stagnation(self, improvement: float) -> int:
        """Count the generations since the lowest value was last improved by more than this."""
        lowest, since = np.inf, 0
        for _, values in self._told:
            best = np.min(values[np.isfinite(values)], initial=np.inf)
            if best < lowest - improvement:
                lowest, since = best, 0
            else:
                since += 1
        return since

    def ask(self) -> Float[np.ndarray, "lambda d"]:
        """Vectors of the next generation."""
        return np.array(self._cma.ask())

    def inject(self, vector: Float[np.ndarray, " d"]) -> None:
        """Make a vector one of the next generation (Hansen, arXiv:1110.4181)."""
        self._injected.append((self.generation, np.array(vector)))
        self._cma.inject([np.array(vector)])

    def tell(
        self, vectors: Float[np.ndarray, "lambda d"], values: Float[np.ndarray, " lambda"]
    ) -> None:
        """Hand back the generation.

        Parameters
        ----------
        vectors : (lambda, d) float64
            As asked, or where a relaxation carried them (Lamarckian).
        values : (lambda,) float64
            To be minimised; NaN for a rejected individual, which ranks below all others.
        """
        self._told.append((np.array(vectors), np.array(values)))
        self._cma.tell(list(np.array(vectors)), list(_ranked(values)))

    def state(self) -> dict[str, np.ndarray]:
        """Everything `restore` needs, as plain arrays."""
        state = {}
        if self._told:
            vectors, values = zip(*self._told, strict=True)
            state |= {"vectors": np.stack(vectors), "values": np.stack(values)}
        if self._injected:
            generations, injected = zip(*self._injected, strict=True)
            state |= {"injected_at": np.array(generations), "injected": np.stack(injected)}
        return state

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Bring a fresh strategy, made with the same arguments, to a saved state."""
        at, injected = state.get("injected_at", np.zeros(0)), state.get("injected", ())
        vectors, values = state.get("vectors", ()), state.get("values", ())
        for generation in range(len(values) + 1):
            for vector in np.array(injected)[at == generation]:
                self.inject(vector)
            if generation < len(values):
                self.ask()
                self.tell(vectors[generation], values[generation])


def _ranked(values: Float[np.ndarray, " lambda"]) -> Float[np.ndarray, " lambda"]:
    """Values with the rejected ones one above the worst: CMA-ES uses their order alone."""
    accepted = values[np.isfinite(values)]
    worst = accepted.max() if len(accepted) else 0.0
    return np.where(np.isfinite(values), values, worst + 1.0)
