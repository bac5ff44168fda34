"""Everything of one phase at one pressure against temperature, as named series with errors."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from ase.data import chemical_symbols
from ase.geometry import cell_to_cellpar
from jaxtyping import Float

from thermosearch.harmonic.crystal import Crystal, coordinate_masses
from thermosearch.harmonic.phases import (
    Curve,
    expansion_of,
    expansion_tensor,
    heat_capacity_of_shifts,
)
from thermosearch.harmonic.point import Point, QuasiHarmonic
from thermosearch.harmonic.statistics import bath, entropy, normal_modes
from thermosearch.units import EV_PER_A3_IN_GPA

LATTICE = ("a", "b", "c", "alpha", "beta", "gamma")
COMPONENTS = {"xx": (0, 0), "yy": (1, 1), "zz": (2, 2), "yz": (1, 2), "xz": (0, 2), "xy": (0, 1)}
SAME = 1.0e-7
"""Relative difference below which two lattice parameters, or expansions, are one by symmetry."""


class Series(NamedTuple):
    """One quantity against temperature.

    Attributes
    ----------
    value : (t,) float64
    error : (t,) float64 or None
        Standard error; None where none is known.
    unit : str
    members : (t, members) float64 or None
        What each member of a committee gives more than their mean.
    """

    value: Float[np.ndarray, " t"]
    error: Float[np.ndarray, " t"] | None
    unit: str
    members: Float[np.ndarray, "t members"] | None = None

    @property
    def model_error(self) -> Float[np.ndarray, " t"] | None:
        """Spread over the members."""
        if self.members is None:
            return None
        return np.std(self.members, axis=1, ddof=1)


class Isobar(NamedTuple):
    """One phase at one pressure, in one approximation.

    Attributes
    ----------
    phase : str
    pressure : float or None
        GPa; None where the cell is fixed.
    approximation : str
        "effective harmonic", "quasi-harmonic" or "harmonic".
    temperature : (t,) float64
        K, rising.
    series : dict of str to Series
        Per atom where the quantity is extensive.
    """

    phase: str
    pressure: float | None
    approximation: str
    temperature: Float[np.ndarray, " t"]
    series: dict[str, Series]


def of_points(
    crystal: Crystal, points: Sequence[Point], pressure: float | None, *, classical: bool
) -> Isobar:
    """Gather the points of one phase at one pressure.

    Parameters
    ----------
    crystal : Crystal
        The phase.
    points : sequence of Point
        Its points, in any order of temperature.
    pressure : float or None
        GPa; None where the cell is fixed.
    classical : bool
        The statistics of the points.
    """
    points = sorted(points, key=lambda point: point.temperature)
    temperature = np.array([point.temperature for point in points])
    series = _free_energies(crystal, points, pressure, classical)
    cells = np.array([point.unit_cell for point in points])
    strain_error = np.array([point.strain_error for point in points])
    members = _column(points, "member_strains")
    atoms = len(crystal.unit.numbers)
    if pressure is not None:
        series |= lattice_series(cells, strain_error, atoms, members)
        if len(points) > 1:
            series |= expansion_series(temperature, cells, strain_error, members)
    own = np.array([point.entropy for point in points]) / crystal.atoms
    series["entropy"] = Series(own, None, "k_B/atom")
    own = np.array([point.heat_capacity for point in points]) / crystal.atoms
    series["heat_capacity_of_modes"] = Series(own, None, "k_B/atom")
    if pressure is not None and len(points) > 1:
        shifting = heat_capacity_of_shifts(temperature, _entropies(points, classical))
        series["heat_capacity"] = Series(own + shifting / crystal.atoms, None, "k_B/atom")
    if pressure is None:
        series["pressure"] = Series(
            np.array([np.trace(point.pressure_tensor) / 3.0 for point in points]),
            # Components fluctuate together: the mean of their errors is not too small.
            np.array([np.trace(point.pressure_error) / 3.0 for point in points]),
            "GPa",
        )
    series |= _displacements(crystal, points)
    return Isobar(crystal.name, pressure, "effective harmonic", temperature, series)


def of_quasi_harmonic(crystal: Crystal, quasi: QuasiHarmonic) -> Isobar:
    """Give the quasi-harmonic approximation in the same form; it has no statistical errors."""
    atoms = len(crystal.unit.numbers)
    helmholtz = quasi.free_energy / crystal.atoms
    exact = np.zeros_like(quasi.unit_cell)
    series = {"free_energy": Series(helmholtz, None, "eV/atom")}
    series |= lattice_series(quasi.unit_cell, exact, atoms)
    volume = series["volume"].value
    work = quasi.pressure / EV_PER_A3_IN_GPA * volume
    series["gibbs_energy"] = Series(helmholtz + work, None, "eV/atom")
    if len(quasi.temperatures) > 1:
        series |= expansion_series(quasi.temperatures, quasi.unit_cell, exact)
    return Isobar(quasi.phase, quasi.pressure, "quasi-harmonic", quasi.temperatures, series)


def of_harmonic(crystal: Crystal, points: Sequence[Point]) -> Isobar | None:
    """Give the harmonic approximation at the structure as given; None where modes are imaginary."""
    points = sorted(points, key=lambda point: point.temperature)
    if any(point.harmonic_free_energy is None for point in points):
        return None
    value = np.array([point.harmonic_free_energy for point in points]) / crystal.atoms
    temperature = np.array([point.temperature for point in points])
    series = {"free_energy": Series(value, None, "eV/atom")}
    return Isobar(crystal.name, None, "harmonic", temperature, series)


def lattice_series(
    cells: Float[np.ndarray, "t 3 3"],
    strain_error: Float[np.ndarray, "t 3 3"],
    atoms: int,
    member_strains: Float[np.ndarray, "t members"] | None = None,
) -> dict[str, Series]:
    """Lattice parameters that symmetry leaves apart, and the volume per atom.

    Parameters
    ----------
    cells : (t, 3, 3)
        Unit cells, rows, A.
    strain_error : (t, 3, 3)
        Standard errors of their strains; components may err together, so that their effects are
        added, not their squares: an upper bound that is reached in cubic crystals.
    atoms : int
        In the unit cell.
    member_strains : (t, members), optional
        Mean linear strain that each member of a committee would add.
    """
    parameters = np.array([cell_to_cellpar(cell) for cell in cells])
    errors = np.array(
        [
            carried(cell_to_cellpar, cell, error)
            for cell, error in zip(cells, strain_error, strict=True)
        ]
    )
    series = {}
    for column in _distinct(parameters):
        length, value = column < 3, parameters[:, column]
        members = value[:, None] * member_strains if length and member_strains is not None else None
        series[f"lattice_parameter_{LATTICE[column]}"] = Series(
            value, _or_none(errors[:, column]), "A" if length else "deg", members
        )
    volume = np.abs(np.linalg.det(cells)) / atoms
    relative = np.trace(strain_error, axis1=1, axis2=2)
    members = None if member_strains is None else 3.0 * volume[:, None] * member_strains
    series["volume"] = Series(volume, _or_none(volume * relative), "A^3/atom", members)
    return series


def expansion_series(
    temperature: Float[np.ndarray, " t"],
    cells: Float[np.ndarray, "t 3 3"],
    strain_error: Float[np.ndarray, "t 3 3"],
    member_strains: Float[np.ndarray, "t members"] | None = None,
) -> dict[str, Series]:
    """Thermal expansion: one number where it is isotropic, else its Cartesian components.

    A member of a committee expands by the slope of the mean strain that it would add.
    """
    tensor = expansion_tensor(temperature, cells, strain_error)
    largest = float(np.abs(tensor.value).max())
    parts = {
        name: Curve(tensor.value[:, i, j], tensor.error[:, i, j])
        for name, (i, j) in COMPONENTS.items()
        if np.abs(tensor.value[:, i, j]).max() > SAME * largest
    }
    isotropic = set(parts) == {"xx", "yy", "zz"} and all(
        np.allclose(each.value, parts["xx"].value, rtol=0.0, atol=SAME * largest)
        for each in parts.values()
    )
    added = None if member_strains is None else expansion_of(temperature, member_strains)
    names = {"xx": ""} if isotropic else {name: f"_{name}" for name in parts}
    series = {
        f"thermal_expansion{end}": Series(
            parts[name].value, _or_none(parts[name].error), "1/K", added if isotropic else None
        )
        for name, end in names.items()
    }
    trace = Curve(*(np.trace(each, axis1=1, axis2=2) for each in tensor))
    added = None if added is None else 3.0 * added
    series["volume_thermal_expansion"] = Series(trace.value, _or_none(trace.error), "1/K", added)
    return series


def error_of(series: Series) -> Float[np.ndarray, " t"]:
    """Give the standard errors of a series, zero where none is known."""
    return np.zeros_like(series.value) if series.error is None else series.error


def carried(
    function: Callable[[np.ndarray], np.ndarray],
    cell: Float[np.ndarray, "3 3"],
    strain_error: Float[np.ndarray, "3 3"],
    step: float = 1e-6,
) -> Float[np.ndarray, " k"]:
    """Error of a function of the cell by errors of its strain, their effects added."""
    total = 0.0
    for i, j in COMPONENTS.values():
        strain = np.zeros((3, 3))
        strain[i, j] = strain[j, i] = step
        change = function(cell @ (np.eye(3) + strain)) - function(cell @ (np.eye(3) - strain))
        total = total + np.abs(change) / (2.0 * step) * strain_error[i, j]
    return total


def _free_energies(
    crystal: Crystal, points: Sequence[Point], pressure: float | None, classical: bool
) -> dict[str, Series]:
    """F on the supercell's q points and on the mesh, beyond the bound, and G of the best."""
    atoms = crystal.atoms
    members = _column(points, "member_energies")
    members = None if members is None else members / atoms

    def series_of(value: list[float], error: list[float]) -> Series:
        return Series(np.array(value) / atoms, np.array(error) / atoms, "eV/atom", members)

    error = [point.free_energy_error for point in points]
    series = {"free_energy": series_of([point.free_energy for point in points], error)}
    meshed = [point.free_energy_mesh for point in points]
    # Where interpolated modes are imaginary there is no mesh, and the supercell's value is G's.
    end = "" if any(value is None for value in meshed) else "_mesh"
    if end:
        series["free_energy_mesh"] = series_of(meshed, error)
    interpolated = series[f"free_energy{end}"].value - series["free_energy"].value
    found = [point.integrated for point in points if point.integrated is not None]
    if len(found) == len(points):
        gap = series_of([each.gap.value for each in found], [each.gap.error for each in found])
        bound = series["free_energy"]
        # Classical walks give the whole free energy; quantum bounds are lowered by their gap.
        total = (
            series_of(
                [each.free_energy.value for each in found],
                [each.free_energy.error for each in found],
            )
            if classical
            else bound._replace(
                value=bound.value + gap.value, error=np.hypot(bound.error, gap.error)
            )
        )
        series["anharmonic_gap"] = gap._replace(members=None)
        apart = [each.difference for each in found]
        series["integration_difference"] = series_of(
            [each.value for each in apart], [each.error for each in apart]
        )._replace(members=None)
        series["free_energy_integrated"] = total
        if end:
            mesh = total._replace(value=total.value + interpolated)
            series["free_energy_integrated_mesh"] = mesh
    if pressure is not None:
        volume = np.array([point.effective.volume for point in points]) / atoms
        work = pressure / EV_PER_A3_IN_GPA * volume
        for name in ("", "_integrated"):
            if f"free_energy{name}{end}" in series:
                best = series[f"free_energy{name}{end}"]
                series[f"gibbs_energy{name}"] = best._replace(value=best.value + work)
    return series


def _entropies(points: Sequence[Point], classical: bool) -> Float[np.ndarray, "t t"]:
    """Entropy, k_B, at every temperature (rows) of the modes of every point (columns)."""
    modes = [
        normal_modes(point.effective.force_constants, coordinate_masses(point.effective.masses))
        for point in points
    ]
    statistics = "classical" if classical else "quantum"
    baths = [bath(point.temperature, statistics) for point in points]
    return np.array([[entropy(each, at) for each in modes] for at in baths])


def _displacements(crystal: Crystal, points: Sequence[Point]) -> dict[str, Series]:
    """Mean squares of one Cartesian component, averaged over the atoms of each element."""
    numbers = np.asarray(crystal.unit.numbers)
    squares = np.array([point.mean_square_displacements for point in points])
    isotropic = np.trace(squares, axis1=2, axis2=3) / 3.0
    return {
        f"mean_square_displacement_{chemical_symbols[z]}": Series(
            isotropic[:, numbers == z].mean(axis=1), None, "A^2"
        )
        for z in np.unique(numbers)
    }


def _distinct(parameters: Float[np.ndarray, "t 6"]) -> list[int]:
    """Lattice parameters that differ from the ones before them, and angles that are not fixed."""
    kept = []
    for column in range(6):
        values = parameters[:, column]
        others = range(column) if column < 3 else range(3, column)
        same = any(np.allclose(values, parameters[:, k], rtol=SAME, atol=0.0) for k in others)
        fixed = column >= 3 and any(
            np.allclose(values, angle, rtol=SAME) for angle in (60, 90, 120)
        )
        if not same and not fixed:
            kept.append(column)
    return kept


def _column(points: Sequence[Point], name: str) -> Float[np.ndarray, "t members"] | None:
    values = [getattr(point, name) for point in points]
    return None if any(value is None for value in values) else np.array(values)


def _or_none(error: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"] | None:
    return error if np.any(error) else None
