"""The results of nested sampling: quantities, curves, dead points and structures."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from thermosearch.nested.analysis import Averages, log_weights
from thermosearch.nested.course import Course
from thermosearch.nested.curves import (
    Curve,
    curve_arrays,
    run_averages,
    state_curves,
    stated_places,
    thermodynamic_curves,
)
from thermosearch.nested.diagram import (
    Transition,
    diagram_arrays,
    find_transitions,
    state_slopes,
    state_transitions,
)
from thermosearch.nested.kept import Kept
from thermosearch.nested.measures import FlexibleCell
from thermosearch.nested.moves.interface import OUTCOMES
from thermosearch.nested.phases import Phases, find_phases, phase_arrays
from thermosearch.nested.problem import Conditions, Problem
from thermosearch.nested.quench import Quenched
from thermosearch.nested.structures import write_structures
from thermosearch.nested.study import NestedStudy
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.results import Quantity, Results

LEAST_SHARE = 0.05
"""Shares of phases below this are not stated."""
BURST = 0.9
"""Volume, as a share of that of an ideal gas pressed against the upper bound, from which on a cell
has no volume of its own."""


def summarise(
    study: NestedStudy,
    problem: Problem,
    courses: list[Course],
    *,
    kept: Sequence[Kept],
    quenched: Sequence[Quenched],
    context: RunContext,
) -> Results:
    """Analyse all runs, conditions by conditions, and write their structures.

    Parameters
    ----------
    study : NestedStudy
        For what was asked.
    problem : Problem
        For units and measures.
    courses : list of Course
        All runs.
    kept : sequence of Kept
        Of each run.
    quenched : sequence of Quenched
        Relaxations from them; none if nothing was to be relaxed.
    context : RunContext
        Ranks share the analysis; rank 0 writes the structures into its folder.
    """
    quantities: list[Quantity] = []
    arrays: dict[str, Any] = _units(problem)
    warnings: list[str] = [line for each in courses for line in _complaints(problem, each)]
    rows: dict[Conditions, list[Averages]] = {}
    found: dict[Conditions, Phases] = {}
    transitions: list[Transition] = []
    for index, conditions in enumerate(problem.conditions):
        here = [course for course in courses if course.conditions == index]
        rows[conditions] = [run_averages(study, problem, course) for course in here]
        phases = find_phases(
            study,
            problem,
            here,
            kept=[k for k, each in zip(kept, courses, strict=True) if each.conditions == index],
            quenched=[each for each in quenched if each.course.conditions == index],
            communicator=context.communicator,
        )
        found[conditions] = phases
        curves = thermodynamic_curves(problem, conditions, rows[conditions]) | phases.curves
        stated = problem.stated(conditions)
        quantities += state_curves(problem, curves, stated)
        quantities += _state_shares(problem, phases, stated)
        seed = study.run.seed + index
        transitions += find_transitions(problem, conditions, rows[conditions], phases, seed)
        arrays |= curve_arrays(problem, conditions, curves, f"curves/{index}")
        arrays |= phase_arrays(problem, phases, f"phases/{index}")
        warnings += _doubts(study, problem, conditions, phases)
        warnings += _bursts(problem, conditions, curves)
    first = [*state_transitions(problem, transitions), *state_slopes(problem, rows, transitions)]
    arrays |= diagram_arrays(problem, transitions)
    for course in courses:
        arrays |= _run_arrays(problem, course)
    structures = context.communicator.on_root(
        lambda: write_structures(problem, courses, found, context)
    )
    return Results(
        engine="nested",
        status="finished",
        quantities=first + quantities,
        structures=structures,
        evaluations=sum(course.state.evaluations for course in courses),
        arrays=arrays,
        warnings=warnings,
    )


def _state_shares(problem: Problem, phases: Phases, stated: dict[str, Any]) -> Iterator[Quantity]:
    for row, name in enumerate(phases.names):
        for place in stated_places(problem):
            share = float(phases.shares.value[row, place])
            if not name or share < LEAST_SHARE:
                continue
            temperature = float(problem.temperatures[place])
            at = {problem.units.names["temperature"]: temperature, "phase": name}
            error = float(phases.shares.error[row, place])
            yield Quantity("phase_share", share, error, "1", stated | at)


def _units(problem: Problem) -> dict[str, str]:
    """Units of what figures have on their axes."""
    names = problem.units.names
    of = {name: names[f"{name}_unit"] for name in ("temperature", "pressure")}
    of |= {"energy": names["energy"], "volume": names["volume"], "distance": names["length"]}
    of["wave_number"] = "reduced" if problem.units.reduced else "1/A"
    return {f"units/{name}": unit for name, unit in of.items()}


def _run_arrays(problem: Problem, run: Course) -> dict[str, Any]:
    """Every dead point, and the course of the walks."""
    name = f"p{run.conditions}_r{run.repeat}"
    points, history = run.points(problem), run.history
    columns = points._asdict().items()
    arrays = {f"dead/{name}/{key}": value for key, value in columns if value is not None}
    arrays[f"dead/{name}/log_weight"] = log_weights(points.live)
    arrays[f"dead/{name}/label"] = problem.label(problem.conditions[run.conditions])
    spread = np.concatenate(history.columns["spread"])
    if np.isfinite(spread).any():
        # Of those that died; the walkers alive at the end were not culled.
        arrays[f"dead/{name}/spread"] = spread
    tally = history.column("tally")
    arrays[f"walks/{name}/steps"] = history.column("steps")
    arrays[f"walks/{name}/displacement"] = history.column("displacement")
    arrays[f"walks/{name}/moves"] = np.array([move.name for move in problem.plan.moves])
    arrays[f"walks/{name}/evaluations"] = run.state.evaluations
    arrays[f"walks/{name}/unmoved"] = run.state.unmoved
    arrays[f"walks/{name}/ended_by"] = run.reason
    arrays[f"walks/{name}/exchanges_tried"] = run.exchanges.tried
    arrays[f"walks/{name}/exchanges_taken"] = run.exchanges.taken
    for column, outcome in enumerate(OUTCOMES):
        arrays[f"walks/{name}/{outcome}"] = tally[:, :, column]
    return arrays


def _complaints(problem: Problem, run: Course) -> Iterator[str]:
    """Say what a reader must know of how one run went."""
    where = problem.label(problem.conditions[run.conditions])
    name = f"run {run.repeat + 1}" + (f" at {where}" if where else "")
    if run.reason is not None and run.reason.startswith(("a plateau", "stuck", "a committee")):
        yield f"{name} ended by {run.reason}"
    share = run.state.unmoved / max(1, run.state.iteration * problem.sizes.culled)
    if share > 0.01:
        yield f"{name}: {share:.1%} of the clones never moved: the walks are too short"
    values = np.concatenate(run.history.columns["value"])
    equal = np.mean(np.diff(values) == 0.0)
    if equal > 0.01:
        yield f"{name}: {equal:.1%} of the dead points lie on plateaus of equal value"


def _doubts(
    study: NestedStudy, problem: Problem, conditions: Conditions, phases: Phases
) -> Iterator[str]:
    """Temperatures at which the committee disagrees on what weighs there."""
    spread = phases.curves.get("committee_spread")
    limit = study.analysis.spread_flag
    if spread is None or not np.any(spread.estimate.value > limit):
        return
    bad = problem.temperatures[spread.estimate.value > limit]
    where = problem.label(conditions)
    yield (
        f"{where + ': ' if where else ''}the committee's spread is above {limit:g} {spread.unit} "
        f"between {bad.min():.4g} and {bad.max():.4g} {problem.units.names['temperature_unit']} "
        f"(at most {float(spread.estimate.value.max()):.3g}): the model is not to be trusted there"
    )


def _bursts(problem: Problem, conditions: Conditions, curves: dict[str, Curve]) -> Iterator[str]:
    """Temperatures at which the cell grows to its bound, which is then what is averaged."""
    measure = problem.system.measure
    if not isinstance(measure, FlexibleCell):
        return
    n, unit = problem.system.atoms, problem.units.names["temperature_unit"]
    gas = (n + 1) / (n + 2) * float(measure.highest)
    burst = curves["volume"].estimate.value > BURST * gas
    if np.any(burst):
        lowest = float(problem.temperatures[burst].min())
        yield (
            f"{problem.label(conditions)}: from {lowest:.4g} {unit} on the cell grows to the upper "
            "bound of system.flexible_cell.volume_per_atom: raise it, or the pressure, or lower "
            "the highest temperature"
        )
