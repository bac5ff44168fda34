"""Thermodynamic quantities against temperature, at one pressure and composition."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from thermosearch.nested.analysis import Averages, Estimate, averages, estimate, pool
from thermosearch.nested.course import Course
from thermosearch.nested.free_energy import free_energy
from thermosearch.nested.momenta import log_share
from thermosearch.nested.problem import Conditions, Problem
from thermosearch.nested.study import NestedStudy
from thermosearch.runtime.results import Quantity

STATED = 9
"""Temperatures at which `results.json` states every quantity; all of them are in `results.h5`."""


class Curve(NamedTuple):
    """A quantity at every temperature of the grid, (t,), and its unit."""

    estimate: Estimate
    unit: str


def run_averages(study: NestedStudy, problem: Problem, course: Course) -> Averages:
    """Averages of one run, for every draw of its prior volumes."""
    return averages(
        course.points(problem),
        problem.kt,
        draws=study.analysis.draws,
        seed=study.run.seed + course.repeat,
        volume_power=float(problem.reweighting),
    )


def thermodynamic_curves(
    problem: Problem, conditions: Conditions, rows: list[Averages]
) -> dict[str, Curve]:
    """Every quantity that follows from values and volumes alone.

    Parameters
    ----------
    problem : Problem
        For units and measure.
    conditions : Conditions
        Of these runs.
    rows : list of Averages
        Of the repeats.
    """
    names, k = problem.units.names, problem.units.boltzmann
    free = conditions.pressure is not None

    def over_runs(column: str, factor: float = 1.0) -> Estimate:
        return pool([estimate(factor * getattr(each, column)) for each in rows])

    log_q = pool([estimate(_log_q(problem, each)) for each in rows])
    curves = {
        "log_partition_function": Curve(log_q, "1"),
        "internal_energy": Curve(over_runs("energy"), names["energy"]),
        "heat_capacity": Curve(over_runs("heat_capacity"), "k_B"),
    }
    if free:
        per_pressure = "reduced" if problem.units.reduced else "1/GPa"
        compressibility = over_runs("compressibility", problem.units.pressure)
        expansion = over_runs("expansion", k)
        # Not the mean of the values: in a semi-grand study these have mu N taken off.
        work = conditions.pressure * problem.units.pressure
        enthalpy = pool([estimate(each.energy + work * each.volume) for each in rows])
        curves["enthalpy"] = Curve(enthalpy, names["energy"])
        curves["volume"] = Curve(over_runs("volume"), names["volume"])
        curves["thermal_expansion"] = Curve(expansion, f"1/{names['temperature_unit']}")
        curves["compressibility"] = Curve(compressibility, per_pressure)
    if not is_relative(problem) and not problem.system.species:
        name = "gibbs_free_energy" if free else "free_energy"
        curves[name] = Curve(_free_energies(problem, conditions, rows), names["energy"])
    return curves


def stated_places(problem: Problem) -> np.ndarray:
    """Places on the grid of temperatures that `results.json` states."""
    return np.unique(np.linspace(0, len(problem.kt) - 1, STATED).astype(int))


def state_curves(
    problem: Problem, curves: dict[str, Curve], stated: dict[str, Any]
) -> Iterator[Quantity]:
    """Give the quantities at some temperatures of the grid.

    Parameters
    ----------
    problem : Problem
        For the grid.
    curves : dict of Curve
        By the names of the quantities.
    stated : dict
        Conditions that hold for all of them.
    """
    temperatures = problem.temperatures
    key = problem.units.names["temperature"]
    integral = "relative to the prior" if is_relative(problem) else "configurational"
    notes = {
        "heat_capacity": {"part": "configurational"},
        "internal_energy": {"part": "configurational"},
        "enthalpy": {"part": "configurational"},
        "log_partition_function": {"integral": integral},
    }
    for name, (curve, unit) in curves.items():
        for place in stated_places(problem):
            yield Quantity(
                name,
                float(curve.value[place]),
                float(curve.error[place]),
                unit,
                stated | {key: float(temperatures[place])} | notes.get(name, {}),
            )


def curve_arrays(
    problem: Problem, conditions: Conditions, curves: dict[str, Curve], prefix: str
) -> dict[str, Any]:
    """Curves on the whole grid, as `results.h5` has them."""
    arrays: dict[str, Any] = {f"{prefix}/temperature": problem.temperatures}
    if conditions.pressure is not None:
        arrays[f"{prefix}/pressure"] = conditions.pressure
    arrays[f"{prefix}/label"] = problem.label(conditions)
    for name, (curve, unit) in curves.items():
        arrays[f"{prefix}/{name}"] = curve.value
        arrays[f"{prefix}/{name}_error"] = curve.error
        arrays[f"{prefix}/{name}_unit"] = unit
    return arrays


def is_relative(problem: Problem) -> bool:
    """Whether partition functions are known relative to the prior only."""
    return problem.system.measure.log_size(len(problem.system.mobile)) is None


def _log_q(problem: Problem, rows: Averages) -> Float[np.ndarray, "s t"]:
    """Logarithm of the configuration integral, or relative to the prior where that is unknown."""
    system = problem.system
    species = len(system.mobile) * np.log(max(1, len(system.species)))
    momenta = 0.0
    if system.highest_kinetic is not None:
        momenta = log_share(problem.kt, float(system.highest_kinetic), 3 * len(system.mobile))
    return rows.log_z + (system.measure.log_size(len(system.mobile)) or 0.0) + species - momenta


def _free_energies(problem: Problem, conditions: Conditions, rows: list[Averages]) -> Estimate:
    pressure = conditions.pressure
    in_energy = None if pressure is None else pressure * problem.units.pressure

    def one(row: Averages) -> Estimate:
        energies = free_energy(
            problem.kt,
            _log_q(problem, row),
            np.array(conditions.numbers),
            pressure=in_energy,
            reduced=problem.units.reduced,
        )
        return estimate(energies)

    return pool([one(row) for row in rows])
