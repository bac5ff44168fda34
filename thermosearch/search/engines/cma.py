"""CMA-ES over relaxed structures, with restarts and exchange between islands."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from thermosearch.search.engines.alignment import aligned
from thermosearch.search.engines.interface import Best, Setup, State
from thermosearch.search.engines.moves import relocated
from thermosearch.search.evaluate import Evaluated
from thermosearch.search.proposal import Proposal
from thermosearch.search.strategy import Strategy


class CmaSearch:
    """A strategy from a random start; when it has converged, another one by the study's rule.

    IPOP doubles the population at every restart. BIPOP alternates: whichever regime, large
    populations or small ones with small steps, has used fewer individuals so far is next.
    """

    def __init__(self, setup: Setup) -> None:
        """Begin with the first starts of the seed."""
        self._setup = setup
        self._best = Best(setup.method)
        self._spent = {"large": 0, "small": 0}
        self._restarts = self._drawn = 0
        self._doublings = 0
        self._regime = "large"
        self._lowest = (np.inf, np.zeros((0, 3)))
        self._strategy = self._begin()
        self._asked: Float[np.ndarray, "lambda d"] | None = None

    @property
    def finished(self) -> bool:
        """Whether it has converged and may not begin anew."""
        return self._setup.method.cma.restart == "none" and self._converged()

    @property
    def step(self) -> float:
        """Root mean square step of a coordinate, A at the top."""
        return self._strategy.step_size

    def ask(self) -> list[Proposal]:
        """Return the next generation."""
        vectors = self._strategy.ask()
        first = self._strategy.generation == 0 and self._setup.anywhere
        self._asked = self._starts(len(vectors)) if first else self._with_relocated(vectors)
        below, freedom = self._best.refine_below, self._setup.freedom
        return [Proposal(freedom.positions(vector), below) for vector in self._asked]

    def tell(self, results: Sequence[Evaluated]) -> None:
        """Learn from the generation last asked for; begin anew where it has converged."""
        if self._asked is None:
            raise ValueError("tell without ask")
        vectors = self._asked.copy()
        if self._setup.method.inheritance == "lamarckian":
            for k, result in enumerate(results):
                if not result.rejection:
                    vectors[k] = self._inherited(result)
        values = np.array([self._setup.fitness(result) for result in results])
        self._strategy.tell(vectors, values)
        self._best.see(results)
        for value, result in zip(values, results, strict=True):
            if value < self._lowest[0]:
                self._lowest = (float(value), np.array(result.positions))
        self._spent[self._regime] += len(results)
        self._asked = None
        if self._setup.method.cma.restart != "none" and self._converged():
            self._restart()

    def receive(self, positions: Float[np.ndarray, "n 3"]) -> None:
        """Make a structure from another island one of the next generation."""
        self._strategy.inject(self._setup.freedom.vector(self._placed(positions)))

    def state(self) -> State:
        """Return the strategy's state, and how often it began anew."""
        spent = [self._spent["large"], self._spent["small"]]
        return {
            "counts": np.array([self._restarts, self._doublings, self._drawn, *spent], np.int64),
            "regime": np.array(self._regime == "small"),
            "best": np.array([self._best.energy, self._lowest[0]]),
            "lowest": self._lowest[1],
            **self._strategy.state(),
        }

    def restore(self, state: State) -> None:
        """Go on from there."""
        counts = [int(number) for number in state["counts"]]
        self._restarts, self._doublings, self._drawn = counts[:3]
        self._spent["large"], self._spent["small"] = counts[3:]
        self._regime = "small" if state["regime"] else "large"
        self._best.energy, lowest = (float(energy) for energy in state["best"])
        self._strategy = self._begin()
        self._lowest = (lowest, np.array(state["lowest"]))
        self._strategy.restore({k: v for k, v in state.items() if k not in _OWN})

    def _starts(self, count: int) -> Float[np.ndarray, "lambda d"]:
        """Random starts, the first of them the mean: samples around one are no better placed.

        They draw atoms apart from one another, which samples of a normal distribution do not.
        """
        freedom = self._setup.freedom
        starts = [self._setup.start(self._drawn + k) for k in range(count)]
        return np.array([freedom.vector(start) for start in starts])

    def _with_relocated(
        self, vectors: Float[np.ndarray, "lambda d"]
    ) -> Float[np.ndarray, "lambda d"]:
        """Replace the last samples by variations of the lowest structure, where asked for."""
        count = round(self._setup.method.cma.relocation * len(vectors))
        if count == 0 or self._lowest[0] == np.inf:
            return vectors
        stream = [*self._setup.seed, self._setup.stream, self._restarts, 2]
        generator = np.random.default_rng([*stream, self._strategy.generation])
        freedom = self._setup.freedom
        for k in range(len(vectors) - count, len(vectors)):
            moved = relocated(freedom, self._lowest[1], generator)
            vectors[k] = freedom.vector(moved)
        return vectors

    def _inherited(self, result: Evaluated) -> Float[np.ndarray, " d"]:
        return self._setup.freedom.vector(self._placed(result.positions))

    def _placed(self, positions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Positions inside the region, atoms in the order nearest to the mean if asked."""
        freedom = self._setup.freedom
        if self._setup.method.cma.align:
            return aligned(freedom, positions, freedom.positions(self._strategy.mean))
        return freedom.confined(positions)

    def _converged(self) -> bool:
        rules = self._setup.method.cma
        return self._strategy.generation > 0 and (
            self._strategy.step_size < rules.step_tolerance
            or self._strategy.stagnation(rules.improvement) >= rules.stagnation
            or self._strategy.condition > rules.condition
        )

    def _restart(self) -> None:
        self._restarts += 1
        rule = self._setup.method.cma.restart
        self._drawn += self._strategy.population
        small = rule == "bipop" and self._spent["small"] < self._spent["large"]
        self._regime = "small" if small else "large"
        self._doublings += rule != "same" and not small
        self._lowest = (np.inf, np.zeros((0, 3)))
        self._strategy = self._begin()

    def _begin(self) -> Strategy:
        """Strategy of this restart: its population, step and streams follow from its number."""
        method, freedom = self._setup.method, self._setup.freedom
        population, step = method.population * 2**self._doublings, method.initial_step
        if self._regime == "small":
            draw = self._setup.generator(self._restarts)
            share = 0.5 * population / method.population
            population = int(method.population * max(share, 1.0) ** (draw.uniform() ** 2))
            step *= 10.0 ** (-2.0 * draw.uniform())
        return Strategy(
            freedom.vector(self._setup.start(self._drawn)),
            step,
            population,
            method.covariance,
            seed=[*self._setup.seed, self._setup.stream, self._restarts, 1],
        )


_OWN = frozenset({"counts", "regime", "best", "lowest"})
