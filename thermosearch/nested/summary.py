"""The results of nested sampling: quantities, curves, dead points and structures."""

import io
from collections.abc import Iterator
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from jaxtyping import Float

from thermosearch.configuration import Configuration, to_ase
from thermosearch.nested.analysis import (
    Averages,
    Estimate,
    averages,
    estimate,
    log_weights,
    peaks,
    pool,
)
from thermosearch.nested.campaign import Finished
from thermosearch.nested.free_energy import free_energy
from thermosearch.nested.moves.interface import OUTCOMES
from thermosearch.nested.problem import Problem
from thermosearch.nested.study import NestedStudy
from thermosearch.nested.walker import System, Walker
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.results import Quantity, Results

STATED = 9
"""Temperatures at which `results.json` states every quantity; all of them are in `results.h5`."""


def summarise(
    study: NestedStudy, problem: Problem, runs: list[Finished], context: RunContext
) -> Results:
    """Analyse all runs, pressure by pressure, and write their structures.

    Parameters
    ----------
    study : NestedStudy
        For what was asked.
    problem : Problem
        For units and measures.
    runs : list of Finished
        All of them.
    context : RunContext
        Rank 0 writes the structures into its folder.
    """
    quantities: list[Quantity] = []
    arrays: dict[str, Any] = {}
    for index, pressure in enumerate(problem.pressures):
        here = [run for run in runs if run.pressure == index]
        rows = [_averages(study, problem, run) for run in here]
        curves = _curves(problem, rows, pressure)
        names = problem.units.names
        stated = {} if pressure is None else {names["pressure"]: pressure}
        quantities += _stated(problem, curves, stated)
        quantities += _peaks(problem, rows, stated)
        arrays |= _curve_arrays(problem, curves, f"curves/{index}", pressure)
    for run in runs:
        arrays |= _run_arrays(problem, run)
    structures = context.communicator.on_root(lambda: _write_structures(problem, runs, context))
    return Results(
        engine="nested",
        status="finished",
        quantities=quantities,
        structures=structures,
        evaluations=sum(run.state.evaluations for run in runs),
        arrays=arrays,
        warnings=list(_warnings(problem, runs)),
    )


def _averages(study: NestedStudy, problem: Problem, run: Finished) -> Averages:
    return averages(
        run.points,
        problem.kt,
        draws=study.analysis.draws,
        seed=study.run.seed + run.repeat,
        volume_power=float(problem.reweighting),
    )


def _curves(
    problem: Problem, rows: list[Averages], pressure: float | None
) -> dict[str, tuple[Estimate, str]]:
    """Every quantity against temperature, with its unit."""
    names, k = problem.units.names, problem.units.boltzmann
    free = pressure is not None

    def over_runs(column: str, factor: float = 1.0) -> Estimate:
        return pool([estimate(factor * getattr(each, column)) for each in rows])

    curves = {
        "log_partition_function": (pool([estimate(_log_q(problem, each)) for each in rows]), "1"),
        "internal_energy": (over_runs("energy"), names["energy"]),
        "heat_capacity": (over_runs("heat_capacity"), "k_B"),
    }
    if free:
        per_temperature = f"1/{names['temperature_unit']}"
        curves["enthalpy"] = (over_runs("value"), names["energy"])
        curves["volume"] = (over_runs("volume"), names["volume"])
        curves["thermal_expansion"] = (over_runs("expansion", k), per_temperature)
        per_pressure = over_runs("compressibility", problem.units.pressure)
        curves["compressibility"] = (
            per_pressure,
            "reduced" if problem.units.reduced else "1/GPa",
        )
    absolute = _free_energies(problem, rows, pressure)
    if absolute is not None:
        curves["gibbs_free_energy" if free else "free_energy"] = (absolute, names["energy"])
    return curves


def _log_q(problem: Problem, rows: Averages) -> Float[np.ndarray, "s t"]:
    """Logarithm of the configuration integral, or relative to the prior where that is unknown."""
    measure, atoms = problem.system.measure, problem.system.atoms
    return rows.log_z + (measure.log_size(atoms) or 0.0)


def _free_energies(
    problem: Problem, rows: list[Averages], pressure: float | None
) -> Estimate | None:
    if problem.system.measure.log_size(problem.system.atoms) is None:
        return None
    numbers = np.asarray(problem.founder.numbers)
    in_energy = None if pressure is None else pressure * problem.units.pressure
    return pool(
        [
            estimate(
                free_energy(
                    problem.kt,
                    _log_q(problem, each),
                    numbers,
                    pressure=in_energy,
                    reduced=problem.units.reduced,
                )
            )
            for each in rows
        ]
    )


def _stated(
    problem: Problem, curves: dict[str, tuple[Estimate, str]], conditions: dict[str, Any]
) -> Iterator[Quantity]:
    temperatures = problem.kt / problem.units.boltzmann
    places = np.unique(np.linspace(0, len(temperatures) - 1, STATED).astype(int))
    key = problem.units.names["temperature"]
    relative = problem.system.measure.log_size(problem.system.atoms) is None
    notes = {
        "heat_capacity": {"part": "configurational"},
        "internal_energy": {"part": "configurational"},
        "enthalpy": {"part": "configurational"},
        "log_partition_function": {
            "integral": "relative to the prior" if relative else "configurational"
        },
    }
    for name, (curve, unit) in curves.items():
        for place in places:
            at = {key: float(temperatures[place])}
            yield Quantity(
                name,
                float(curve.value[place]),
                float(curve.error[place]),
                unit,
                conditions | at | notes.get(name, {}),
            )


def _peaks(
    problem: Problem, rows: list[Averages], conditions: dict[str, Any]
) -> Iterator[Quantity]:
    """Maxima of the heat capacity, found on the draws of all runs together."""
    temperatures = problem.kt / problem.units.boltzmann
    unit = problem.units.names["temperature_unit"]
    everything = np.concatenate([each.heat_capacity for each in rows])
    for rank, peak in enumerate(peaks(temperatures, everything)):
        about = conditions | {
            "rank": rank,
            "interval_low": peak.low,
            "interval_high": peak.high,
            "height_k_B": float(peak.height.value),
        }
        yield Quantity(
            "heat_capacity_peak_temperature",
            float(peak.position.value),
            float(peak.position.error),
            unit,
            about,
        )


def _curve_arrays(
    problem: Problem,
    curves: dict[str, tuple[Estimate, str]],
    prefix: str,
    pressure: float | None,
) -> dict[str, Any]:
    arrays: dict[str, Any] = {f"{prefix}/temperature": problem.kt / problem.units.boltzmann}
    if pressure is not None:
        arrays[f"{prefix}/pressure"] = pressure
    for name, (curve, unit) in curves.items():
        arrays[f"{prefix}/{name}"] = curve.value
        arrays[f"{prefix}/{name}_error"] = curve.error
        arrays[f"{prefix}/{name}_unit"] = unit
    return arrays


def _run_arrays(problem: Problem, run: Finished) -> dict[str, Any]:
    """Every dead point, and the course of the walks."""
    name = f"p{run.pressure}_r{run.repeat}"
    points, history = run.points, run.history
    arrays = {f"dead/{name}/{key}": value for key, value in points._asdict().items()}
    arrays[f"dead/{name}/log_weight"] = log_weights(points.live)
    tally = history.column("tally")
    arrays[f"walks/{name}/steps"] = history.column("steps")
    arrays[f"walks/{name}/moves"] = np.array([move.name for move in problem.plan.moves])
    arrays[f"walks/{name}/evaluations"] = run.state.evaluations
    arrays[f"walks/{name}/unmoved"] = run.state.unmoved
    arrays[f"walks/{name}/ended_by"] = run.reason
    for column, outcome in enumerate(OUTCOMES):
        arrays[f"walks/{name}/{outcome}"] = tally[:, :, column]
    return arrays


def _warnings(problem: Problem, runs: list[Finished]) -> Iterator[str]:
    for run in runs:
        name = f"run {run.repeat + 1} at pressure {problem.pressures[run.pressure]}"
        if problem.pressures[run.pressure] is None:
            name = f"run {run.repeat + 1}"
        if run.reason.startswith(("a plateau", "stuck")):
            yield f"{name} ended by {run.reason}"
        share = run.state.unmoved / max(1, run.state.iteration * problem.sizes.culled)
        if share > 0.01:
            yield f"{name}: {share:.1%} of the clones never moved: the walks are too short"
        equal = np.mean(np.diff(run.points.value[: -problem.sizes.walkers]) == 0.0)
        if equal > 0.01:
            yield f"{name}: {equal:.1%} of the dead points lie on plateaus of equal value"


def _write_structures(
    problem: Problem, runs: list[Finished], context: RunContext
) -> list[dict[str, Any]]:
    """Lowest walker of every run, and the configurations kept on the way."""
    lowest, kept = [], []
    for run in runs:
        best = int(np.argmin(run.state.value))
        walker = Walker(*(part[..., best] for part in run.state.walkers))
        system = problem.at(problem.pressures[run.pressure])
        lowest.append(_atoms(problem, system, walker, run, value=float(run.state.value[best])))
        for number, walker in run.history.kept:
            value = float(run.points.value[number])
            kept.append(_atoms(problem, system, walker, run, value=value, number=number))
    entries = []
    for file, label, frames in (
        ("structures/lowest.extxyz", "lowest of run", lowest),
        ("structures/dead.extxyz", "dead point", kept),
    ):
        if frames:
            text = io.StringIO()
            ase.io.write(text, frames, format="extxyz")
            context.folder.write(file, text.getvalue())
        if frames is lowest:
            entries += [
                {
                    "file": file,
                    "index": index,
                    "label": f"{label} {index + 1}",
                    "energy": frame.info["potential_energy"],
                }
                for index, frame in enumerate(frames)
            ]
    return entries


def _atoms(
    problem: Problem,
    system: System,
    walker: Walker,
    run: Finished,
    *,
    value: float,
    number: int | None = None,
) -> Atoms:
    configuration: Configuration = system.configuration(walker)
    atoms = to_ase(configuration)
    atoms.info |= {
        "value": value,
        "potential_energy": float(walker.energy),
        "repeat": run.repeat,
    }
    pressure = problem.pressures[run.pressure]
    if pressure is not None:
        atoms.info[problem.units.names["pressure"]] = pressure
    if number is not None:
        atoms.info["dead_point"] = number
        atoms.info["log_weight"] = float(log_weights(run.points.live)[number])
    return atoms
