"""Surface free energies of slabs against reservoirs; pure functions of energies and counts.

gamma = (G - sum_i n_i mu_i) / A for one face, G the free energy of the slab less that of its
other face (Reuter and Scheffler, Phys. Rev. B 65, 035406 (2001)). Vibrations are counted apart:
where m_i atoms vibrate in the slab, with F_vib, they are charged what the vibrations of the
crystals add to mu_i, and all other atoms vibrate as they would there.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from thermosearch.runtime.errors import InputError
from thermosearch.search.surfaces.vibrations import NO_VIBRATIONS, Vibrations

NO_MEMBERS = np.zeros(0)


class Slab(NamedTuple):
    """A slab as the thermodynamics sees it.

    Attributes
    ----------
    counts : (e,) int64
        Atoms of every element.
    area : float
        Of one face, A^2.
    energy, error : float
        eV, and its standard error apart from the committee's.
    vibrations : Vibrations
        Give its vibrational free energy; none by default.
    vibrating : (e,) int64 or None
        Atoms of every element whose vibrations these are; None for none.
    deviations : (members,) float64
        What each member of a committee gives more than their mean, eV.
    other_counts : (e,) int64 or None
        Of the slab whose two faces are like the lower face of this one; None if both faces of
        this one are alike.
    other_area : float
        Of one of its faces, A^2.
    other_energy, other_deviations
        Its energy, eV, and what each member gives more.
    """

    counts: Int[np.ndarray, " e"]
    area: float
    energy: float
    error: float
    vibrations: Vibrations = NO_VIBRATIONS
    vibrating: Int[np.ndarray, " e"] | None = None
    deviations: Float[np.ndarray, " members"] = NO_MEMBERS
    other_counts: Int[np.ndarray, " e"] | None = None
    other_area: float = 0.0
    other_energy: float = 0.0
    other_deviations: Float[np.ndarray, " members"] = NO_MEMBERS


class Transition(NamedTuple):
    """Where the stable termination changes along an axis.

    Attributes
    ----------
    position, error : float
        In the unit of the axis.
    below, above : int
        Slabs that are stable on either side.
    """

    position: float
    error: float
    below: int
    above: int


def surface_free_energy(
    slab: Slab, potentials: Float[np.ndarray, " e"], vibrational: float
) -> float:
    """Gamma of the searched face, eV/A^2.

    Parameters
    ----------
    slab : Slab
        Energies and counts.
    potentials : (e,) float64
        Chemical potentials without the vibrations of crystals, eV.
    vibrational : float
        `vibrational_excess` of the slab, eV.
    """
    excess = slab.energy + vibrational - float(slab.counts @ potentials)
    if slab.other_counts is None:
        return excess / (2.0 * slab.area)
    other = slab.other_energy - float(slab.other_counts @ potentials)
    return excess / slab.area - other / (2.0 * slab.other_area)


def vibrational_excess(
    slab: Slab, vibrational: Float[np.ndarray, " e"], temperature: float
) -> float:
    """F_vib of the slab less that of the same atoms in the crystals, sum_i m_i mu_i, eV.

    Parameters
    ----------
    slab : Slab
        With the counts m_i of what vibrates.
    vibrational : (e,) float64
        What vibrations of the crystals add to the chemical potentials, eV.
    temperature : float
        K.
    """
    if slab.vibrating is None:
        return 0.0
    return slab.vibrations.free_energy(temperature) - float(slab.vibrating @ vibrational)


def chemical_potentials(
    compositions: Float[np.ndarray, "r e"], energies: Float[np.ndarray, " r"]
) -> Float[np.ndarray, " e"]:
    """Solve sum_i n_i mu_i = g for the phases the surface is in equilibrium with.

    Raises
    ------
    InputError
        If there are not as many independent phases as elements.
    """
    phases, elements = compositions.shape
    if phases != elements or np.linalg.matrix_rank(compositions) < elements:
        raise InputError(
            f"reservoirs: {phases} phases for {elements} elements: give as many as there are "
            "elements, of independent compositions"
        )
    return np.linalg.solve(compositions, energies)


def transitions(
    axis: Float[np.ndarray, " k"],
    gammas: Float[np.ndarray, "slabs k"],
    covariance: Float[np.ndarray, "slabs slabs"],
) -> list[Transition]:
    """Crossings of the lowest gamma, by linear interpolation between the points of the axis.

    The error is that of the difference of the two gammas, whose covariance is given, over
    its slope.
    """
    stable = np.argmin(gammas, axis=0)
    found = []
    for k in np.flatnonzero(np.diff(stable)):
        below, above = int(stable[k]), int(stable[k + 1])
        left = gammas[above, k] - gammas[below, k]
        right = gammas[above, k + 1] - gammas[below, k + 1]
        width = axis[k + 1] - axis[k]
        slope = (right - left) / width
        variance = (
            covariance[below, below] + covariance[above, above] - 2.0 * covariance[below, above]
        )
        error = float(np.sqrt(max(variance, 0.0)) / abs(slope))
        found.append(Transition(float(axis[k] - left / slope), error, below, above))
    return found


def above_hull(
    excess: Float[np.ndarray, " slabs"], gammas: Float[np.ndarray, " slabs"]
) -> Float[np.ndarray, " slabs"]:
    """How far each termination lies above the lower convex hull, in the unit of gamma.

    A slab is stable at some chemical potential, however far it is driven, if and only if it
    is a corner of the hull of gamma (at a reference potential) over the excess of the free
    element an area.
    """
    order = np.lexsort((gammas, excess))
    hull: list[int] = []
    for k in order:
        if hull and excess[k] == excess[hull[-1]]:
            continue
        while len(hull) > 1 and _turns_down(excess, gammas, hull[-2], hull[-1], int(k)):
            hull.pop()
        hull.append(int(k))
    return gammas - np.interp(excess, excess[hull], gammas[hull])


def _turns_down(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], a: int, b: int, c: int
) -> bool:
    """Whether b lies on or above the line from a to c."""
    return bool((x[b] - x[a]) * (y[c] - y[a]) <= (x[c] - x[a]) * (y[b] - y[a]))
