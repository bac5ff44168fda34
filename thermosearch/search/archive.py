"""The lowest distinct structures met, each kept once however it is written."""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from thermosearch.search.founder import Founder
from thermosearch.structure.fingerprint import fingerprint_distance, radial_fingerprint
from thermosearch.structure.matching import same_structure

NAMES = 24
"""Longest name of an engine in a saved archive."""


@dataclass(frozen=True)
class Minimum:
    """One structure.

    Attributes
    ----------
    energy : float
        eV of the cell.
    positions : (n, 3) float64
        A.
    seed, generation : int
        Where it was first met.
    hits : int
        How often.
    engine : str
        Which engine met it first.
    calls : int
        Energy+force calls of that seed up to then.
    parent : float
        Energy of the minimum it was made from, eV; NaN for a start or a strategy's sample.
    converged : bool
        Whether it is relaxed to the end.
    """

    energy: float
    positions: Float[np.ndarray, "n 3"]
    seed: int
    generation: int
    hits: int = 1
    engine: str = "cma"
    calls: int = 0
    parent: float = np.nan
    converged: bool = False


@dataclass
class Archive:
    """Keeps the `capacity` lowest structures that differ from one another.

    Two may be the same when their energies are within `energy_tolerance` and the cosine
    distance of their radial fingerprints (of all mobile atoms) is below
    `fingerprint_tolerance`. That is enough before they are fully relaxed; with
    `exact_tolerance` a motion must also bring one onto the other atom by atom. Of two that
    are the same the lower one stays.

    Attributes
    ----------
    founder : Founder
        Cell, elements and mobile atoms.
    capacity : int
        Most structures kept.
    energy_tolerance : float
        eV of the cell.
    fingerprint_tolerance : float
        Cosine distance.
    exact_tolerance : float or None
        A.
    minima : list of Minimum
        Lowest first.
    """

    founder: Founder
    capacity: int
    energy_tolerance: float
    fingerprint_tolerance: float
    exact_tolerance: float | None = None
    minima: list[Minimum] = field(default_factory=list)

    def add(self, candidate: Minimum) -> None:
        """Take a structure in, unless it is known or higher than all of a full archive."""
        if len(self.minima) == self.capacity and candidate.energy > self.minima[-1].energy:
            return
        same = self._find(candidate)
        if same is not None:
            known = self.minima.pop(same)
            lower = candidate if candidate.energy < known.energy else known
            candidate = replace(
                known,
                energy=lower.energy,
                positions=lower.positions,
                converged=lower.converged,
                hits=known.hits + candidate.hits,
            )
        self.minima.append(candidate)
        self.minima.sort(key=lambda minimum: minimum.energy)
        del self.minima[self.capacity :]

    def state(self) -> dict[str, np.ndarray]:
        """Return plain arrays for `restore`."""
        if not self.minima:
            return {}
        return {
            "positions": np.stack([m.positions for m in self.minima]),
            "energy": np.array([(m.energy, m.parent) for m in self.minima]),
            "found": np.array(
                [(m.seed, m.generation, m.hits, m.calls, m.converged) for m in self.minima],
                np.int64,
            ),
            "engine": np.array([m.engine for m in self.minima], f"S{NAMES}"),
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over a saved state."""
        if not state:
            return
        self.minima = [
            Minimum(
                float(energy),
                np.array(positions),
                *(int(number) for number in found[:3]),
                engine=engine.decode(),
                calls=int(found[3]),
                parent=float(parent),
                converged=bool(found[4]),
            )
            for (energy, parent), positions, found, engine in zip(
                state["energy"], state["positions"], state["found"], state["engine"], strict=True
            )
        ]

    def _find(self, candidate: Minimum) -> int | None:
        near = [
            index
            for index, known in enumerate(self.minima)
            if abs(known.energy - candidate.energy) <= self.energy_tolerance
        ]
        if not near:
            return None
        own = self._fingerprint(candidate)
        for index in near:
            other = self._fingerprint(self.minima[index])
            if fingerprint_distance(own, other) < self.fingerprint_tolerance and self._fits(
                candidate, self.minima[index]
            ):
                return index
        return None

    def _fits(self, one: Minimum, other: Minimum) -> bool:
        if self.exact_tolerance is None:
            return True
        configuration = self.founder.configuration
        return same_structure(
            configuration._replace(positions=one.positions),
            configuration._replace(positions=other.positions),
            self.exact_tolerance,
        )

    def _fingerprint(self, minimum: Minimum) -> Float[np.ndarray, " bins"]:
        configuration = self.founder.configuration._replace(positions=minimum.positions)
        return radial_fingerprint(configuration, np.flatnonzero(self.founder.mobile))
