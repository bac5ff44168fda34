"""The phase diagram: transition temperatures against pressure, and what lies on their two sides."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from thermosearch.nested.analysis import Averages, Estimate, pool, resample
from thermosearch.nested.peaks import Peak, highest, peaks
from thermosearch.nested.phases import Phases, phase_at
from thermosearch.nested.problem import Conditions, Problem
from thermosearch.runtime.results import Quantity

RESAMPLED = 400
"""Curves resampled for the errors of peaks."""


class Transition(NamedTuple):
    """A maximum of the heat capacity.

    Attributes
    ----------
    conditions : Conditions
        Pressure and composition.
    rank : int
        Among the maxima at these conditions, the highest first.
    peak : Peak
        In the unit of temperature of the study.
    below, above : str
        Phases that weigh most at half height on the two sides; empty where none is known.
    """

    conditions: Conditions
    rank: int
    peak: Peak
    below: str
    above: str


def find_transitions(
    problem: Problem, conditions: Conditions, rows: list[Averages], phases: Phases, seed: int
) -> list[Transition]:
    """Maxima of the heat capacity, with errors from the draws and from the repeats.

    Parameters
    ----------
    problem : Problem
        For the grid of temperatures.
    conditions : Conditions
        Of these runs.
    rows : list of Averages
        Of the repeats.
    phases : Phases
        At these conditions.
    seed : int
        Of the resampling.
    """
    temperatures = problem.temperatures
    curves = resample([each.heat_capacity for each in rows], RESAMPLED, seed)

    def name(temperature: float) -> str:
        return phase_at(phases, int(np.argmin(np.abs(temperatures - temperature))))

    return [
        Transition(conditions, rank, peak, name(peak.below), name(peak.above))
        for rank, peak in enumerate(peaks(temperatures, curves))
    ]


def state_transitions(problem: Problem, transitions: list[Transition]) -> Iterator[Quantity]:
    """Peak temperatures; at constant pressure also as transitions between phases."""
    unit = problem.units.names["temperature_unit"]
    for each in transitions:
        position = each.peak.position
        about: dict[str, Any] = problem.stated(each.conditions) | {
            "rank": each.rank,
            "interval_low": each.peak.low,
            "interval_high": each.peak.high,
        }
        number = (float(position.value), float(position.error), unit)
        height = {"height_k_B": float(each.peak.height.value)}
        yield Quantity("heat_capacity_peak_temperature", *number, about | height)
        if each.conditions.pressure is not None:
            sides = {"phase_below": each.below, "phase_above": each.above}
            known = {side: phase for side, phase in sides.items() if phase}
            yield Quantity("transition_temperature", *number, about | known)


def state_slopes(
    problem: Problem, rows: dict[Conditions, list[Averages]], transitions: list[Transition]
) -> Iterator[Quantity]:
    """Slopes dT/dp of the highest maximum: through all pressures, and between neighbouring ones.

    Where another phase melts the line has a kink, and only the slopes on its two sides mean
    something.
    """
    reduced = problem.units.reduced
    unit = "reduced" if reduced else f"{problem.units.names['temperature_unit']}/GPa"
    for numbers in dict.fromkeys(conditions.numbers for conditions in rows):
        chosen = [t for t in transitions if t.rank == 0 and t.conditions.numbers == numbers]
        chosen.sort(key=lambda each: each.conditions.pressure or 0.0)
        lines = [chosen] if len(chosen) > 1 else []
        if len(chosen) > 2:
            lines += [[one, other] for one, other in pairwise(chosen)]
        for line in lines:
            found = _slope(problem, rows, line)
            stated = problem.stated(line[0].conditions)
            about = {key: value for key, value in stated.items() if key == "composition"} | {
                "p_lowest": float(line[0].conditions.pressure),
                "p_highest": float(line[-1].conditions.pressure),
                "rank": 0,
            }
            number = (float(found.value), float(found.error))
            yield Quantity("transition_temperature_slope", *number, unit, about)


def _slope(
    problem: Problem, rows: dict[Conditions, list[Averages]], line: list[Transition]
) -> Estimate:
    """Slope of a straight line through the maxima.

    It is fitted to every repeat by itself, and the scatter of the slopes is their error: it holds
    whatever correlation exchanges make between the pressures. A single repeat has only the errors
    of its peaks, taken as independent.
    """
    pressures = np.array([each.conditions.pressure for each in line], np.float64)
    errors = np.array([float(each.peak.position.error) for each in line])
    weights = 1.0 / np.maximum(errors, 1e-12) ** 2
    shift = pressures - np.sum(weights * pressures) / np.sum(weights)
    inner = float(1.0 / np.sqrt(np.sum(weights * shift**2)))
    repeats = min(len(rows[each.conditions]) for each in line)
    slopes = []
    for repeat in range(repeats):
        tops = np.array([_top(problem, rows[each.conditions][repeat], each) for each in line])
        slopes.append(float(np.sum(weights * shift * tops) / np.sum(weights * shift**2)))
    # The error of the pooled peaks is that of all repeats together.
    return pool([Estimate(np.array(s), np.array(inner * np.sqrt(repeats))) for s in slopes])


def diagram_arrays(problem: Problem, transitions: list[Transition]) -> dict[str, Any]:
    """Table of the transitions, as `results.h5` has it."""
    chosen = [each for each in transitions if each.conditions.pressure is not None]
    if not chosen:
        return {}
    columns: dict[str, Float[np.ndarray, " r"] | np.ndarray] = {
        "pressure": np.array([each.conditions.pressure for each in chosen], np.float64),
        "temperature": np.array([float(each.peak.position.value) for each in chosen]),
        "error": np.array([float(each.peak.position.error) for each in chosen]),
        "rank": np.array([each.rank for each in chosen]),
        "below": np.array([each.below for each in chosen]),
        "above": np.array([each.above for each in chosen]),
        "composition": np.array(
            [str(problem.stated(each.conditions).get("composition", "")) for each in chosen]
        ),
    }
    return {f"diagram/transitions/{name}": column for name, column in columns.items()}


def _top(problem: Problem, row: Averages, transition: Transition) -> float:
    """Temperature of the maximum of one repeat nearest to that of all, within its half height."""
    temperatures = problem.temperatures
    peak = transition.peak
    left, right = (int(np.argmin(np.abs(temperatures - x))) for x in (peak.below, peak.above))
    return highest(temperatures, row.heat_capacity.mean(axis=0), left, right)[0]
