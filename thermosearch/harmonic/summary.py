"""The results of effective harmonic potentials: quantities, series, phonons and structures."""

import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import ase.io
import numpy as np
from jaxtyping import Float

from thermosearch.harmonic.bands import band_arrays, density_arrays
from thermosearch.harmonic.crystal import Crystal, unit_cell
from thermosearch.harmonic.isobar import (
    Isobar,
    Series,
    error_of,
    of_harmonic,
    of_points,
    of_quasi_harmonic,
)
from thermosearch.harmonic.phases import Curve, bulk_modulus, gruneisen
from thermosearch.harmonic.point import Point, QuasiHarmonic, shortfall
from thermosearch.harmonic.quasi import SCALES
from thermosearch.harmonic.study import HarmonicStudy, group_name
from thermosearch.harmonic.transitions import doubtful, transitions, unlike
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.results import Quantity, Results
from thermosearch.units import BOLTZMANN_EV_PER_K, EV_PER_A3_IN_GPA

POOR_OVERLAP = 0.05
"""Of neighbouring points of an integration; below it Bennett's ratio means little."""
DISAGREEMENT = 4.0
"""Standard errors between integral and Bennett's ratio that are worth a warning."""


def summarise(
    study: HarmonicStudy,
    crystals: Mapping[str, Crystal],
    points: Sequence[Point],
    quasi: Sequence[QuasiHarmonic],
    context: RunContext,
) -> Results:
    """Put the points of a run together and write their structures.

    Parameters
    ----------
    study : HarmonicStudy
        For what was asked.
    crystals : mapping of str to Crystal
        The phases by name.
    points : sequence of Point
        All of them, grouped by phase and pressure.
    quasi : sequence of QuasiHarmonic
        One a phase and pressure, or none.
    context : RunContext
        Rank 0 writes the structures into its folder.
    """
    # Where the loop gave up there may be no crystal of this phase at all.
    converged = [point for point in points if point.converged]
    groups = _groups(study, converged)
    isobars = _isobars(study, crystals, groups, quasi)
    isobars = with_bulk_moduli(isobars)
    quantities = [each for isobar in isobars.values() for each in _stated(isobar)]
    if study.method.cell == "free":
        quantities += [_reached(point) for point in converged]
    quantities += [each for point in converged for each in _frequencies(point)]
    moves = list(transitions(list(isobars.values())))
    arrays: dict[str, Any] = {}
    for key, isobar in isobars.items():
        arrays |= _isobar_arrays(key, isobar)
    for key, group in _groups(study, points).items():
        arrays |= _courses(key, group)
    for key, group in groups.items():
        crystal = crystals[group[0].phase]
        arrays |= _below(f"bands/{key}", band_arrays(crystal, group))
        arrays |= _below(f"dos/{key}", density_arrays(crystal, group, study.analysis.mesh))
        arrays |= _integrations(key, group)
    return Results(
        engine="harmonic",
        status="finished",
        quantities=moves + quantities,
        structures=context.communicator.on_root(lambda: _write(crystals, points, context)),
        evaluations=sum(point.evaluations for point in points),
        arrays=arrays,
        warnings=[
            *_warnings(study, points),
            *_beyond_volumes(study, quasi),
            *doubtful(moves),
            *unlike(list(isobars.values())),
        ],
    )


def with_bulk_moduli(isobars: Mapping[str, Isobar]) -> dict[str, Isobar]:
    """Add bulk modulus and Grueneisen parameter where a phase was run at several pressures.

    Two pressures give the slope between them, which is that at neither: both quantities are then
    those of an isobar of their own, half way.
    """
    found = dict(isobars)
    kinds = {(each.phase, each.approximation) for each in isobars.values()}
    for kind in sorted(kinds):
        keys = [key for key, each in isobars.items() if (each.phase, each.approximation) == kind]
        keys = [key for key in keys if isobars[key].pressure is not None]
        keys.sort(key=lambda key: isobars[key].pressure)
        grid = isobars[keys[0]].temperature if keys else np.zeros(0)
        if len(keys) < 2 or any(not np.array_equal(isobars[k].temperature, grid) for k in keys):
            continue
        pressures = np.array([isobars[key].pressure for key in keys])
        volume = np.array([isobars[key].series["volume"].value for key in keys])
        error = np.array([error_of(isobars[key].series["volume"]) for key in keys])
        each = [bulk_modulus(pressures, v, e) for v, e in zip(volume.T, error.T, strict=True)]
        moduli = [Curve(*rows) for rows in np.array(each).transpose(2, 1, 0)]
        if len(keys) == 2:
            half_way = _half_way(*(isobars[key] for key in keys))
            series = _of_compression(half_way, moduli[0])
            found[f"{keys[0]}_half_way"] = half_way._replace(series=series)
            continue
        for key, modulus in zip(keys, moduli, strict=True):
            series = isobars[key].series | _of_compression(isobars[key], modulus)
            found[key] = isobars[key]._replace(series=series)
    return found


def _half_way(first: Isobar, second: Isobar) -> Isobar:
    """Means of what two pressures have in common."""
    series = {}
    for name, one in first.series.items():
        other = second.series.get(name)
        if other is not None:
            error = _or_none(0.5 * np.hypot(error_of(one), error_of(other)))
            series[name] = Series(0.5 * (one.value + other.value), error, one.unit)
    return first._replace(pressure=0.5 * (first.pressure + second.pressure), series=series)


def _groups(study: HarmonicStudy, points: Sequence[Point]) -> dict[str, list[Point]]:
    """Points of one phase and pressure, the temperature rising."""
    fixed = study.method.cell == "fixed"
    groups: dict[str, list[Point]] = {}
    for point in points:
        number = 0 if fixed else study.method.pressures.index(point.pressure)
        groups.setdefault(f"{group_name(point.phase)}_p{number}", []).append(point)
    return {key: sorted(each, key=lambda p: p.temperature) for key, each in groups.items()}


def _isobars(
    study: HarmonicStudy,
    crystals: Mapping[str, Crystal],
    groups: Mapping[str, list[Point]],
    quasi: Sequence[QuasiHarmonic],
) -> dict[str, Isobar]:
    fixed = study.method.cell == "fixed"
    classical = study.method.statistics == "classical"
    isobars = {}
    for key, group in groups.items():
        crystal, pressure = crystals[group[0].phase], None if fixed else group[0].pressure
        isobars[key] = of_points(crystal, group, pressure, classical=classical)
        harmonic = of_harmonic(crystal, group)
        if harmonic is not None:
            isobars[f"{group_name(crystal.name)}_harmonic"] = harmonic
    for each in quasi:
        number = study.method.pressures.index(each.pressure)
        if len(each.temperatures):
            key = f"{group_name(each.phase)}_p{number}_quasi"
            isobars[key] = of_quasi_harmonic(crystals[each.phase], each)
    return isobars


def _of_compression(isobar: Isobar, modulus: Curve) -> dict[str, Series]:
    series = {"bulk_modulus": Series(modulus.value, _or_none(modulus.error), "GPa")}
    expansion, capacity = (
        isobar.series.get(name) for name in ("volume_thermal_expansion", "heat_capacity_of_modes")
    )
    if expansion is None or capacity is None:
        return series
    # At 0 K, where there is no heat capacity, it is not a number.
    warm = capacity.value > 0.0
    per_kelvin = BOLTZMANN_EV_PER_K * capacity.value[warm]
    found = gruneisen(
        Curve(expansion.value[warm], error_of(expansion)[warm]),
        Curve(*(each[warm] / EV_PER_A3_IN_GPA for each in modulus)),
        isobar.series["volume"].value[warm],
        Curve(per_kelvin, np.zeros_like(per_kelvin)),
    )
    value, error = np.full(len(warm), np.nan), np.zeros(len(warm))
    value[warm], error[warm] = found.value, found.error
    return series | {"gruneisen_parameter": Series(value, _or_none(error), "1")}


def _stated(isobar: Isobar) -> Iterator[Quantity]:
    about: dict[str, Any] = {"phase": isobar.phase, "approximation": isobar.approximation}
    if isobar.pressure is not None:
        about["p_GPa"] = isobar.pressure
    for name, series in isobar.series.items():
        for k, kelvin in enumerate(isobar.temperature):
            if not np.isfinite(series.value[k]):
                continue
            at = {"T_K": float(kelvin)} | about
            if series.model_error is not None:
                at["model_error"] = float(f"{series.model_error[k]:.3g}")
            error = None if series.error is None else float(series.error[k])
            yield Quantity(name, float(series.value[k]), error, series.unit, at)


def _reached(point: Point) -> Quantity:
    """Pressure of the last sample of a cell that follows the pressure asked for."""
    value, error = (np.trace(each) / 3.0 for each in (point.pressure_tensor, point.pressure_error))
    at = {"T_K": point.temperature, "p_GPa": point.pressure, "phase": point.phase}
    at["approximation"] = "effective harmonic"
    return Quantity("pressure", float(value), float(error), "GPa", at)


def _frequencies(point: Point) -> Iterator[Quantity]:
    """Softest and stiffest optical mode at Gamma, and the curvature's frequencies."""
    at = {"T_K": point.temperature, "p_GPa": point.pressure, "phase": point.phase}
    optical = np.delete(point.gamma_frequencies, np.argsort(np.abs(point.gamma_frequencies))[:3])
    if point.polar_frequencies is not None:
        mode = {"mode": "stiffest at Gamma along a*, with the field of its polarisation"}
        yield Quantity("frequency", float(point.polar_frequencies.max()), None, "THz", at | mode)
    if len(optical):
        for mode, value in (("softest optical", optical.min()), ("stiffest", optical.max())):
            yield Quantity(
                "frequency", float(value), None, "THz", at | {"mode": f"{mode} at Gamma"}
            )
    for kind, found, errors in (
        ("free-energy curvature", point.hessian_frequencies, point.hessian_error),
        ("effective", point.soft_frequencies, None),
    ):
        for number, value in enumerate(() if found is None else found):
            about = {"mode": f"softest {number + 1} of the supercell", "of": kind}
            error = None if errors is None else float(errors[number])
            yield Quantity("frequency", float(value), error, "THz", at | about)


def _isobar_arrays(key: str, isobar: Isobar) -> dict[str, Any]:
    arrays: dict[str, Any] = {
        "temperature": isobar.temperature,
        "phase": isobar.phase,
        "approximation": isobar.approximation,
    }
    if isobar.pressure is not None:
        arrays["pressure"] = isobar.pressure
    for name, series in isobar.series.items():
        arrays[name] = series.value
        arrays[f"{name}_unit"] = series.unit
        if series.error is not None:
            arrays[f"{name}_error"] = series.error
        if series.model_error is not None:
            arrays[f"{name}_model_error"] = series.model_error
    return _below(f"thermal/{key}", arrays)


def _courses(key: str, group: Sequence[Point]) -> dict[str, Any]:
    """Gather how the loops went: one row a sample, all temperatures after one another."""
    rows = [(point.temperature, *row) for point in group for row in point.course]
    names = ("temperature", *group[0].course[0]._fields) if rows else ()
    columns = zip(names, zip(*rows, strict=True), strict=True)
    return _below(f"iterations/{key}", {name: np.array(column) for name, column in columns})


def _integrations(key: str, group: Sequence[Point]) -> dict[str, Any]:
    """Gather how the integrations went, one row a temperature; points need not be as many."""
    done = [point for point in group if point.integrated is not None]
    if not done:
        return {}
    found = [point.integrated for point in done]
    arrays = {
        "temperature": np.array([point.temperature for point in done]),
        **{
            name: _rows([getattr(each, name) for each in found])
            for name in ("coupling", "mean", "acceptance", "spread", "overlap")
        },
    }
    return _below(f"integration/{key}", arrays)


def _rows(found: Sequence[Float[np.ndarray, " l *walkers"]]) -> Float[np.ndarray, "t l *walkers"]:
    """Stack what has its own number of points at every temperature; the rest is not a number."""
    longest = max(len(each) for each in found)
    rows = np.full((len(found), longest, *found[0].shape[1:]), np.nan)
    for row, each in zip(rows, found, strict=True):
        row[: len(each)] = each
    return rows


def _write(
    crystals: Mapping[str, Crystal], points: Sequence[Point], context: RunContext
) -> list[dict[str, Any]]:
    """Write the unit cell of every point, atoms at their centroids."""
    frames, entries = [], []
    file = "structures/points.extxyz"
    for index, point in enumerate(points):
        crystal = crystals[point.phase]
        atoms = unit_cell(crystal, point.effective)
        atoms.set_cell(point.unit_cell, scale_atoms=True)
        per_atom = point.free_energy / crystal.atoms
        atoms.info |= {"phase": point.phase, "temperature": point.temperature}
        frames.append(atoms)
        entries.append(
            {
                "file": file,
                "index": index,
                "label": f"{point.phase}, {point.temperature:g} K, {point.pressure:.3g} GPa",
                "free_energy_eV_per_atom": per_atom,
                "converged": point.converged,
            }
        )
    text = io.StringIO()
    ase.io.write(text, frames, format="extxyz")
    context.folder.write(file, text.getvalue())
    return entries


def _warnings(study: HarmonicStudy, points: Sequence[Point]) -> Iterator[str]:
    for point in points:
        name = f"{point.phase} at {point.temperature:g} K and {point.pressure:.3g} GPa"
        if not point.converged:
            yield (
                f"{name} is not converged, and in iterations and structures alone: the limit of "
                "refits (method.steps) came first"
            )
        elif short := shortfall(point, study.method.error, study.method.strain_error):
            yield f"{name}: {short} came short with method.most_samples"
        if point.hessian_frequencies is not None and np.any(point.hessian_frequencies < 0.0):
            yield f"{name} is unstable: the free energy's curvature has a negative direction"
        found = point.integrated
        if found is None:
            continue
        if abs(found.difference.value) > DISAGREEMENT * found.difference.error:
            yield (
                f"{name}: integral and acceptance ratio differ by {found.difference.value:.3g} "
                f"+- {found.difference.error:.2g} eV: take more method.integration.points"
            )
        if found.overlap.min() < POOR_OVERLAP:
            yield f"{name}: points of the integration hardly overlap: take more of them"
        if found.acceptance[0].min() < 1.0:
            yield f"{name}: the effective crystal reaches places where the energy is not finite"
    for phase in dict.fromkeys(point.phase for point in points):
        count = max(point.imaginary for point in points if point.phase == phase)
        if count:
            yield f"{phase}: {count} harmonic modes of the structure as given are imaginary"


def _beyond_volumes(study: HarmonicStudy, quasi: Sequence[QuasiHarmonic]) -> Iterator[str]:
    """Warn where the quasi-harmonic approximation was asked for and is not there."""
    method = study.method
    if not method.quasi_harmonic or method.cell == "fixed":
        return
    found = {(each.phase, each.pressure): set(each.temperatures) for each in quasi}
    for phase, pressure in product((each.name for each in study.system.phases), method.pressures):
        missing = sorted(set(method.temperatures) - found.get((phase, pressure), set()))
        if missing:
            kelvin = ", ".join(f"{each:g}" for each in missing)
            yield (
                f"{phase} at {pressure:.3g} GPa: no quasi-harmonic approximation at {kelvin} K, as "
                "there is no minimum among the volumes at which the lattice is stable (lengths "
                f"{SCALES[0]:g} to {SCALES[-1]:g} times those given): give the structure with a "
                "cell nearer to this pressure's, or quasi_harmonic = false"
            )


def _or_none(error: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"] | None:
    return error if np.any(error) else None


def _below(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}/{name}": value for name, value in arrays.items()}
