"""What a run leaves behind: its dead points, and the course of its walks."""

from dataclasses import dataclass, field

import jax
import numpy as np
from jaxtyping import Float, Int, Shaped

from thermosearch.nested.analysis import DeadPoints
from thermosearch.nested.measures import Sphere, volume
from thermosearch.nested.sampler import Culled, Sizes, State
from thermosearch.nested.walker import System, Walker

_COLUMNS = (
    *("value", "energy", "kinetic", "volume", "birth", "slot", "spread"),
    *("steps", "tally", "displacement"),
)


@dataclass
class History:
    """Grows by one entry an iteration.

    Attributes
    ----------
    every : int
        A configuration is kept of every so many dead points; 0 keeps none.
    columns : dict
        Lists of arrays, one an iteration: value, energy, kinetic, volume, birth, slot, spread (P,),
        steps (moves,), tally (moves, 4) and displacement () of the walks.
    kept : list of (int, Walker)
        Number of a dead point, counted from 0, and its configuration.
    """

    every: int
    columns: dict[str, list[np.ndarray]] = field(
        default_factory=lambda: {name: [] for name in _COLUMNS}
    )
    kept: list[tuple[int, Walker]] = field(default_factory=list)

    def add(self, culled: Culled) -> None:
        """Take up the dead points of one iteration."""
        first = len(self.columns["value"]) * len(culled.value)
        entries = (
            culled.value,
            culled.walkers.energy,
            _kinetic(culled.walkers),
            volumes(culled.walkers),
            culled.birth,
            culled.slot,
            culled.spread,
            culled.steps,
            culled.tally,
            culled.displacement,
        )
        for name, entry in zip(_COLUMNS, entries, strict=True):
            self.columns[name].append(np.asarray(entry))
        for place in range(len(culled.value)):
            if self.every and (first + place) % self.every == 0:
                walker = jax.tree.map(
                    lambda a, place=place: np.array(a[..., place]), culled.walkers
                )
                self.kept.append((first + place, walker))

    def column(self, name: str) -> Shaped[np.ndarray, "..."]:
        """One column, an entry an iteration."""
        return np.stack(self.columns[name])

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it as arrays, for a checkpoint."""
        arrays = {f"history/{name}": self.column(name) for name in _COLUMNS if self.columns[name]}
        if self.kept:
            arrays["kept/number"] = np.array([number for number, _ in self.kept])
            stacked = jax.tree.map(lambda *each: np.stack(each), *(each for _, each in self.kept))
            arrays |= {f"kept/{key}": value for key, value in present(stacked).items()}
        return arrays


def restore(every: int, arrays: dict[str, np.ndarray]) -> History:
    """Rebuild a history from `History.arrays`."""
    history = History(every)
    for name in _COLUMNS:
        history.columns[name] = list(arrays.get(f"history/{name}", ()))
    for index, number in enumerate(arrays.get("kept/number", ())):
        fields = (name for name in Walker._fields if f"kept/{name}" in arrays)
        walker = Walker(**{name: arrays[f"kept/{name}"][index] for name in fields})
        history.kept.append((int(number), walker))
    return history


def dead_points(system: System, history: History, state: State, sizes: Sizes) -> DeadPoints:
    """All points in the order of their deaths; those alive at the end die last, highest first."""
    order = np.lexsort((state.label, state.value))[::-1]
    last = jax.tree.map(lambda a: a[..., order], state.walkers)
    ends = (state.value[order], last.energy, _kinetic(last), volumes(last), state.birth[order])
    names = ("value", "energy", "kinetic", "volume", "birth")
    joined = [
        np.concatenate([*history.columns[name], end]) for name, end in zip(names, ends, strict=True)
    ]
    k, iterations = sizes.walkers, len(history.columns["value"])
    live = np.concatenate((np.tile(k - np.arange(sizes.culled), iterations), k - np.arange(k)))
    value, energy, kinetic, size, birth = joined
    if isinstance(system.measure, Sphere):
        size = np.full_like(size, system.measure.volume)
    momenta = None if system.highest_kinetic is None else kinetic
    return DeadPoints(value, energy, size, live, birth, momenta)


def kept_points(
    history: History, state: State, sizes: Sizes
) -> tuple[Int[np.ndarray, " m"], list[Walker]]:
    """Gather the configurations that were kept, and as many of those alive at the end.

    Returns
    -------
    places : (m,) int
        Their places among `dead_points`: every `history.every`-th of these.
    walkers : list of Walker
        Without an axis of their own.
    """
    if not history.every:
        return np.zeros(0, int), []
    dead = len(history.columns["value"]) * sizes.culled
    order = np.lexsort((state.label, state.value))[::-1]
    alive = [
        (dead + rank, jax.tree.map(lambda a, slot=slot: np.array(a[..., slot]), state.walkers))
        for rank, slot in enumerate(order)
        if (dead + rank) % history.every == 0
    ]
    places, walkers = zip(*history.kept, *alive, strict=True)
    return np.array(places), list(walkers)


def present(walkers: Walker) -> dict[str, np.ndarray]:
    """Fields of walkers that there are, by name."""
    return {name: value for name, value in walkers._asdict().items() if value is not None}


def volumes(walkers: Walker) -> Float[np.ndarray, " w"]:
    """Volumes of the walkers' cells; 0 where there is none."""
    return np.asarray(volume(np.asarray(walkers.cell)))


def _kinetic(walkers: Walker) -> Float[np.ndarray, " w"]:
    """Kinetic energies; 0 where momenta are not sampled."""
    return np.zeros_like(walkers.energy) if walkers.kinetic is None else walkers.kinetic
