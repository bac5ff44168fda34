"""One seed of a campaign: an engine, what it has found and what that has cost."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from thermosearch.search.archive import Archive, Minimum
from thermosearch.search.engines import ENGINES, Setup
from thermosearch.search.evaluate import Evaluated, Rejection
from thermosearch.search.problem import Problem
from thermosearch.search.proposal import Proposal
from thermosearch.search.study import MethodSection

CANDIDATES = 3
"""Lowest distinct individuals of a seed that are relaxed to the end."""

ALIKE_ENERGY = 0.1
"""Energies, eV, within which two individuals may be the same before they are fully relaxed."""

ALIKE_FINGERPRINT = 2e-3
"""Cosine distance of the same, before they are fully relaxed."""


@dataclass
class History:
    """What became of every individual, in order, for curves.

    Attributes
    ----------
    energy, spread : list of float
        Of each individual, eV; NaN where rejected, or where there is no spread.
    rejection : list of int
        `Rejection` codes.
    calls : list of int
        Energy+force calls of each.
    round : list of int
        Generation each belongs to.
    step : list of float
        The engine's step size after each generation, A at the top.
    """

    energy: list[float] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)
    rejection: list[int] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    round: list[int] = field(default_factory=list)
    step: list[float] = field(default_factory=list)

    def lowest(self) -> Float[np.ndarray, " k"]:
        """Lowest energy up to and with each individual, eV; infinite before the first."""
        energy = np.array(self.energy)
        return np.minimum.accumulate(np.where(np.isnan(energy), np.inf, energy))

    def cumulative_calls(self) -> Int[np.ndarray, " k"]:
        """Sum the calls up to and with each individual."""
        return np.cumsum(np.array(self.calls, np.int64))

    def add(self, results: Sequence[Evaluated], round_: int) -> None:
        """Append a generation."""
        self.energy += [float(each.energy) for each in results]
        self.spread += [float(each.spread) for each in results]
        self.rejection += [int(each.rejection) for each in results]
        self.calls += [each.calls for each in results]
        self.round += [round_] * len(results)


class SeedSearch:
    """One engine from one random start.

    Attributes
    ----------
    engine_name : str
        In the study.
    index : int
        Of the seed.
    engine : Engine
        Proposes structures.
    candidates : Archive
        Its lowest distinct individuals.
    history : History
        Every individual.
    final : list of Evaluated
        After the last generation: its `unrelaxed` candidates, as far as they are by now.
    """

    def __init__(self, engine_name: str, index: int, run_seed: int, problem: Problem) -> None:
        """Set up the engine; its random streams belong to the seed, never to a rank."""
        self.engine_name = engine_name
        self.index = index
        self._method = problem.method
        setup = Setup(
            problem.founder,
            problem.freedom,
            problem.method,
            (run_seed, index),
            1 + list(ENGINES).index(engine_name),
        )
        self.engine = ENGINES[engine_name](setup)
        self.candidates = Archive(problem.founder, CANDIDATES, ALIKE_ENERGY, ALIKE_FINGERPRINT)
        self.history = History()
        self.final: list[Evaluated] = []
        self._asked: list[Proposal] = []

    @property
    def name(self) -> str:
        """Of this seed's curves: `seed_0` of CMA-ES, `random_0`, ..."""
        return f"{'seed' if self.engine_name == 'cma' else self.engine_name}_{self.index}"

    @property
    def rounds(self) -> int:
        """Generations done."""
        return len(self.history.step)

    @property
    def calls(self) -> int:
        """Energy+force calls so far."""
        return sum(self.history.calls)

    @property
    def final_calls(self) -> int:
        """Energy+force calls after its last generation."""
        return sum(each.calls for each in self.final)

    @property
    def unrelaxed(self) -> list[Minimum]:
        """Candidates that are not relaxed to the end by the search itself."""
        return [each for each in self.candidates.minima if not each.converged]

    @property
    def active(self) -> bool:
        """Whether it goes on: within its budget, target not reached, engine not finished."""
        return not (self.engine.finished or has_spent(self, self._method) or self._has_arrived())

    def ask(self) -> list[Proposal]:
        """Structures of the next generation."""
        self._asked = self.engine.ask()
        return self._asked

    def tell(self, results: Sequence[Evaluated]) -> None:
        """Learn from the generation last asked for, and remember it."""
        if len(results) != len(self._asked) or not self._asked:
            raise ValueError("tell without ask")
        calls = self.calls
        for proposal, result in zip(self._asked, results, strict=True):
            calls += result.calls
            if not result.rejection:
                self.candidates.add(
                    Minimum(
                        result.energy,
                        result.positions,
                        self.index,
                        self.rounds,
                        engine=self.engine_name,
                        calls=calls,
                        parent=proposal.parent,
                        converged=result.converged,
                    )
                )
        self.engine.tell(results)
        self.history.add(results, self.rounds)
        self.history.step.append(self.engine.step)
        self._asked = []

    def state(self) -> dict[str, np.ndarray]:
        """Return everything `restore` needs, as plain arrays."""
        parts = {
            "engine": self.engine.state(),
            "candidates": self.candidates.state(),
            "history": {name: np.array(rows) for name, rows in vars(self.history).items()},
            "final": _columns(self.final),
        }
        return {
            f"{self.name}/{part}/{name}": array
            for part, arrays in parts.items()
            for name, array in arrays.items()
        }

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Bring a fresh seed to a saved state; arrays of other seeds are ignored."""
        self.engine.restore(_part(arrays, f"{self.name}/engine/"))
        self.candidates.restore(_part(arrays, f"{self.name}/candidates/"))
        saved = _part(arrays, f"{self.name}/history/")
        self.history = History(**{name: rows.tolist() for name, rows in saved.items()})
        self.final = _rows(_part(arrays, f"{self.name}/final/"))

    def _has_arrived(self) -> bool:
        target = self._method.target
        if target is None or not self.candidates.minima:
            return False
        return self.candidates.minima[0].energy <= target + self._method.success


def has_spent(seed: SeedSearch, method: MethodSection) -> bool:
    """Whether a seed has used up its calls, or its generations where no budget is given."""
    if method.budget is not None:
        return seed.calls >= method.budget
    return seed.rounds >= method.generations


def _part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _columns(results: list[Evaluated]) -> dict[str, np.ndarray]:
    """Field by field, for a checkpoint; nothing of nothing."""
    fields = Evaluated._fields if results else ()
    return {name: np.array([getattr(each, name) for each in results]) for name in fields}


def _rows(columns: dict[str, np.ndarray]) -> list[Evaluated]:
    """Rebuild what `_columns` took apart."""
    if not columns:
        return []
    rows = zip(*(columns[name] for name in Evaluated._fields), strict=True)
    return [
        Evaluated(
            float(energy), positions, Rejection(code), float(spread), int(calls), bool(converged)
        )
        for energy, positions, code, spread, calls, converged in rows
    ]
