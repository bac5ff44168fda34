"""One point (phase, temperature, pressure): what its loop is asked, its history, what it gave."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from thermosearch.harmonic.crystal import Crystal, EffectiveCrystal
from thermosearch.harmonic.integrate import Integrated
from thermosearch.harmonic.prepare import Elastic
from thermosearch.harmonic.statistics import Bath


@dataclass(frozen=True)
class PointProblem:
    """One point (phase, temperature, pressure).

    Attributes
    ----------
    crystal : Crystal
        The phase.
    elastic : Elastic
        Static response; with no strains the cell stays.
    temperature : float
        K.
    at : Bath
        The same, with the statistics.
    pressure : float
        To reach, eV/A^3.
    stream : tuple of int
        Of the random numbers. The same for all temperatures: their errors cancel in differences.
    pairs : int
        Antithetic pairs of the first sample.
    most_pairs : int
        At which a sample stops to grow, whatever its errors.
    most_steps : int
        At which the loop gives up.
    error : float
        Of the free energy, eV of the supercell.
    strain_error : float
        Of the cell's strain.
    """

    crystal: Crystal
    elastic: Elastic
    temperature: float
    at: Bath
    pressure: float
    stream: tuple[int, ...]
    pairs: int
    most_pairs: int
    most_steps: int
    error: float
    strain_error: float


class Course(NamedTuple):
    """One row of the history of the loop.

    Attributes
    ----------
    step : int
        Refits before it.
    pairs : int
        In the sample.
    free_energy, error : float
        On the force constants of this step, eV of the supercell.
    gain, noise : float
        Free energy still to be gained, and the noise of that, eV.
    pressure : float
        A third of the trace, eV/A^3.
    bounded : int
        Directions in which the step after it was cut to keep the modes stable.
    damping : float
        Length of the step after it; 0 where the sample grew instead.
    reused : float
        Effective number of older samples that the step used besides.
    """

    step: int
    pairs: int
    free_energy: float
    error: float
    gain: float
    noise: float
    pressure: float
    bounded: int
    damping: float
    reused: float = 0.0


class Point(NamedTuple):
    """One point.

    Attributes
    ----------
    phase : str
        Name.
    temperature : float
        K.
    pressure : float
        GPa: the target, or what it is where the cell is fixed.
    effective : EffectiveCrystal
        The harmonic crystal of least free energy.
    unit_cell : (3, 3) float64
        A, with the last sample's strain added.
    strain_error : (3, 3) float64
        Standard error of the cell's strain; zero where the cell is fixed.
    free_energy, free_energy_error : float
        Variational, on the q points of the supercell; eV of the supercell, static included.
    free_energy_mesh : float or None
        The same with the harmonic part interpolated to a mesh; None where too many interpolated
        modes are imaginary.
    harmonic_free_energy : float or None
        Harmonic approximation at the structure as given, on the supercell's q points, static
        included; None where modes are imaginary.
    imaginary : int
        Imaginary harmonic modes of the structure as given.
    member_energies, member_strains : (members,) float64 or None
        What each member of the committee would change: free energy, eV of the supercell, and mean
        linear strain; None where it was not asked for or there are no members.
    pressure_tensor, pressure_error : (3, 3) float64
        GPa.
    entropy, heat_capacity : float
        Of the effective modes at fixed frequencies, k_B of the supercell.
    mean_square_displacements : (u, 3, 3) float64
        Of the unit cell's atoms, A^2.
    gamma_frequencies : (k,) float64
        Of the effective phonons at Gamma of the primitive cell, THz.
    hessian_frequencies : (k,) float64 or None
        Of the softest modes of the supercell by the curvature of the free energy with the bubble
        term, THz, negative where the crystal is unstable; None where not asked for.
    soft_frequencies : (k,) float64 or None
        Effective frequencies of the same modes.
    integrated : Integrated or None
        Free energy of the true potential (classical), where asked for.
    course : tuple of Course
        Of the loop.
    evaluations : int
        Energy and force calls spent on it.
    converged : bool
        Whether the gradient vanished within its noise, before the steps ran out.
    mesh_lowest : float or None
        Lowest frequency interpolated on the mesh, THz, negative where imaginary.
    polar_frequencies : (k,) float64 or None
        As `gamma_frequencies`, in the limit along the first reciprocal vector; None without Born
        charges.
    hessian_error : (h,) float64 or None
        Standard errors of `hessian_frequencies`, THz.
    """

    phase: str
    temperature: float
    pressure: float
    effective: EffectiveCrystal
    unit_cell: Float[np.ndarray, "3 3"]
    strain_error: Float[np.ndarray, "3 3"]
    free_energy: float
    free_energy_error: float
    free_energy_mesh: float | None
    harmonic_free_energy: float | None
    imaginary: int
    member_energies: Float[np.ndarray, " members"] | None
    member_strains: Float[np.ndarray, " members"] | None
    pressure_tensor: Float[np.ndarray, "3 3"]
    pressure_error: Float[np.ndarray, "3 3"]
    entropy: float
    heat_capacity: float
    mean_square_displacements: Float[np.ndarray, "u 3 3"]
    gamma_frequencies: Float[np.ndarray, " k"]
    hessian_frequencies: Float[np.ndarray, " h"] | None
    soft_frequencies: Float[np.ndarray, " h"] | None
    integrated: Integrated | None
    course: tuple[Course, ...]
    evaluations: int
    converged: bool
    mesh_lowest: float | None = None
    polar_frequencies: Float[np.ndarray, " k"] | None = None
    hessian_error: Float[np.ndarray, " h"] | None = None


def shortfall(point: Point, error: float, strain_error: float) -> str:
    """Errors asked for (eV/atom; strain) that a point did not reach, in words; may be empty."""
    per_atom = point.free_energy_error / len(point.effective.numbers)
    strain, words = float(point.strain_error.max()), []
    if per_atom > error:
        words.append(f"error = {error:g} eV/atom ({per_atom:.2g})")
    if strain > strain_error:
        words.append(f"strain_error = {strain_error:g} ({strain:.2g})")
    return " and ".join(words)


class QuasiHarmonic(NamedTuple):
    """Quasi-harmonic approximation of a phase at one pressure, over the study's temperatures.

    Attributes
    ----------
    phase : str
        Name.
    pressure : float
        GPa.
    temperatures : (t,) float64
        K, ascending; only those at which the minimum lies within the volumes computed.
    free_energy : (t,) float64
        Helmholtz, eV of the supercell, static included, on the supercell's q points.
    unit_cell : (t, 3, 3) float64
        A.
    """

    phase: str
    pressure: float
    temperatures: Float[np.ndarray, " t"]
    free_energy: Float[np.ndarray, " t"]
    unit_cell: Float[np.ndarray, "t 3 3"]
