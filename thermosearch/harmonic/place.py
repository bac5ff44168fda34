"""What the variational loop of a point is asked, and the rows of its history."""

from dataclasses import dataclass
from typing import NamedTuple

from thermosearch.harmonic.crystal import Crystal
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
