"""One run of a study: where it stands, and how that is kept in a checkpoint."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from thermosearch.nested.analysis import DeadPoints
from thermosearch.nested.ending import Gauge
from thermosearch.nested.history import History, dead_points, present, restore
from thermosearch.nested.minima import Ends, describe_ends, ends_from_arrays, ends_to_arrays
from thermosearch.nested.problem import Problem
from thermosearch.nested.sampler import State
from thermosearch.nested.walker import Walker

_PLAIN = ("iteration", "walks", "capacity", "evaluations", "unmoved", "idle")


class Exchanges(NamedTuple):
    """How many walkers were offered to the next pressure, and how many were taken."""

    tried: int = 0
    taken: int = 0


@dataclass(frozen=True)
class Course:
    """One run, under way or ended.

    Attributes
    ----------
    conditions : int
        Index of its conditions.
    repeat : int
        Which of the repeats.
    state : State
        Of the sampler.
    gauge : Gauge
        How far it has come.
    history : History
        Dead points and walks; grows in place.
    reason : str or None
        Why it ended; None while it is under way.
    exchanges : Exchanges
        With the run at the next higher pressure.
    ends : Ends
        Of the relaxations so far from configurations that were kept, once it has ended.
    """

    conditions: int
    repeat: int
    state: State
    gauge: Gauge = field(default_factory=Gauge)
    history: History = field(default_factory=lambda: History(0))
    reason: str | None = None
    exchanges: Exchanges = field(default_factory=Exchanges)
    ends: Ends = ()

    def points(self, problem: Problem) -> DeadPoints:
        """All of its points, those alive included."""
        system = problem.system_at(problem.conditions[self.conditions])
        return dead_points(system, self.history, self.state, problem.sizes)


def describe(courses: list[Course]) -> dict[str, Any]:
    """Give what of runs is no array, for a checkpoint."""
    names = ("conditions", "repeat", "reason")
    runs = [
        {name: getattr(course, name) for name in names}
        | {"exchanges": [*course.exchanges], "ends": describe_ends(course.ends)}
        for course in courses
    ]
    return {"runs": runs}


def to_arrays(courses: list[Course]) -> dict[str, np.ndarray]:
    """All arrays of runs, for a checkpoint."""
    arrays = {}
    for index, course in enumerate(courses):
        state = course.state
        own = course.history.arrays()
        own |= {f"walkers/{key}": value for key, value in present(state.walkers).items()}
        own |= {
            f"state/{key}": np.asarray(value)
            for key, value in state._asdict().items()
            if key != "walkers"
        }
        own |= {f"gauge/{key}": np.asarray(x) for key, x in course.gauge._asdict().items()}
        own |= {f"ends/{key}": value for key, value in ends_to_arrays(course.ends).items()}
        arrays |= {f"run_{index}/{key}": value for key, value in own.items()}
    return arrays


def from_arrays(
    everything: dict[str, np.ndarray], index: int, every: int, about: dict[str, Any]
) -> Course:
    """Rebuild one run from `to_arrays` and its entry of `describe`."""
    arrays = _below(everything, f"run_{index}")
    fields = _below(arrays, "state")
    plain = {name: int(fields.pop(name)) for name in _PLAIN}
    walkers = Walker(**_below(arrays, "walkers"))
    gauge = _below(arrays, "gauge")
    return Course(
        conditions=about["conditions"],
        repeat=about["repeat"],
        state=State(walkers=walkers, **fields, **plain),
        gauge=Gauge(float(gauge["log_mass"]), float(gauge["level_since"]), gauge["log_evidence"]),
        history=restore(every, arrays),
        reason=about["reason"],
        exchanges=Exchanges(*about["exchanges"]),
        ends=ends_from_arrays(_below(arrays, "ends"), about["ends"]),
    )


def _below(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    start = f"{prefix}/"
    return {
        name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)
    }
