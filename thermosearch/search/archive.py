"""The lowest distinct structures met, each kept once however it is written."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from thermosearch.search.founder import Founder
from thermosearch.structure.fingerprint import fingerprint_distance, radial_fingerprint


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
    """

    energy: float
    positions: Float[np.ndarray, "n 3"]
    seed: int
    generation: int
    hits: int = 1


@dataclass
class Archive:
    """Keeps the `capacity` lowest structures that differ from one another.

    Two are the same when their energies are within `energy_tolerance` and the cosine distance
    of their radial fingerprints (of all mobile atoms) is below `fingerprint_tolerance`; of two
    that are the same the lower one stays.

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
    minima : list of Minimum
        Lowest first.
    """

    founder: Founder
    capacity: int
    energy_tolerance: float
    fingerprint_tolerance: float
    minima: list[Minimum] = field(default_factory=list)

    def add(self, candidate: Minimum) -> None:
        """Take a structure in, unless it is known or higher than all of a full archive."""
        if len(self.minima) == self.capacity and candidate.energy > self.minima[-1].energy:
            return
        same = self._find(candidate)
        if same is not None:
            known = self.minima.pop(same)
            lower = candidate if candidate.energy < known.energy else known
            candidate = Minimum(
                lower.energy,
                lower.positions,
                known.seed,
                known.generation,
                known.hits + candidate.hits,
            )
        self.minima.append(candidate)
        self.minima.sort(key=lambda minimum: minimum.energy)
        del self.minima[self.capacity :]

    def state(self) -> dict[str, np.ndarray]:
        """Return plain arrays for `restore`."""
        if not self.minima:
            return {}
        return {
            "positions": np.stack([minimum.positions for minimum in self.minima]),
            "energy": np.array([minimum.energy for minimum in self.minima]),
            "found": np.array([(m.seed, m.generation, m.hits) for m in self.minima], np.int64),
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over a saved state."""
        if not state:
            return
        self.minima = [
            Minimum(float(energy), positions, *(int(number) for number in found))
            for energy, positions, found in zip(
                state["energy"], state["positions"], state["found"], strict=True
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
            if fingerprint_distance(own, other) < self.fingerprint_tolerance:
                return index
        return None

    def _fingerprint(self, minimum: Minimum) -> Float[np.ndarray, " bins"]:
        configuration = self.founder.configuration._replace(positions=minimum.positions)
        return radial_fingerprint(configuration, np.flatnonzero(self.founder.mobile))
