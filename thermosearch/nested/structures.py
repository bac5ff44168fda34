"""Structures of a nested run, as extxyz."""

import io
from typing import Any

import ase.io
import jax
import numpy as np
from ase import Atoms

from thermosearch.configuration import to_ase
from thermosearch.nested.analysis import log_weights
from thermosearch.nested.course import Course
from thermosearch.nested.phases import Basin, Phases
from thermosearch.nested.problem import Conditions, Problem
from thermosearch.nested.walker import Walker
from thermosearch.runtime.context import RunContext


def write_structures(
    problem: Problem,
    runs: list[Course],
    phases: dict[Conditions, Phases],
    context: RunContext,
) -> list[dict[str, Any]]:
    """Write the lowest minima, the lowest walker of every run, and the configurations kept.

    Parameters
    ----------
    problem : Problem
        For units.
    runs : list of Course
        All runs.
    phases : dict
        Of the conditions.
    context : RunContext
        Of rank 0.

    Returns
    -------
    list of dict
        Entries of `results.json`: minima and lowest walkers.
    """
    lowest, dead = [], []
    for run in runs:
        about = {"repeat": run.repeat} | problem.stated(problem.conditions[run.conditions])
        system = problem.system_at(problem.conditions[run.conditions])
        values = np.asarray(system.configurational_value(run.state.walkers))
        best = int(np.argmin(values))
        walker = jax.tree.map(lambda a, best=best: a[..., best], run.state.walkers)
        value = {"value": float(values[best])}
        lowest.append(_atoms(problem, walker, about | value))
        points = run.points(problem)
        weights = log_weights(points.live)
        for number, walker in run.history.kept:
            at = {"dead_point": number, "log_weight": float(weights[number])}
            value = {"value": float(points.configurational[number])}
            dead.append(_atoms(problem, walker, about | value | at))
    minima = [
        _basin(problem, conditions, basin)
        for conditions, found in phases.items()
        for basin in found.basins
    ]
    _write("structures/dead.extxyz", dead, context)
    return [
        *_write("structures/basins.extxyz", minima, context),
        *_write("structures/lowest.extxyz", lowest, context),
    ]


def _write(file: str, frames: list[Atoms], context: RunContext) -> list[dict[str, Any]]:
    """Write frames to a file; their entries for `results.json`."""
    if not frames:
        return []
    text = io.StringIO()
    ase.io.write(text, frames, format="extxyz")
    context.folder.write(file, text.getvalue())
    entries = []
    for index, frame in enumerate(frames):
        facts = dict(frame.info)
        label = facts.pop("label", f"lowest of run {index + 1}")
        entries.append({"file": file, "index": index, "label": label} | facts)
    return entries


def _basin(problem: Problem, conditions: Conditions, basin: Basin) -> Atoms:
    atoms = to_ase(basin.lowest.configuration)
    where = problem.label(conditions)
    name = "enthalpy" if conditions.pressure is not None else "energy"
    label = f"basin {basin.label}" + (f" at {where}" if where else "")
    facts: dict[str, Any] = {"label": label, f"{name}_per_atom": basin.enthalpy}
    if basin.volume:
        facts["volume_per_atom"] = basin.volume
    atoms.info |= facts | problem.stated(conditions)
    return atoms


def _atoms(problem: Problem, walker: Walker, facts: dict[str, Any]) -> Atoms:
    atoms = to_ase(problem.system.configuration(walker))
    atoms.info |= {"potential_energy": float(walker.energy)} | facts
    return atoms
