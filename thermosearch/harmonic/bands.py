"""Phonon bands and densities of states of effective crystals, by phonopy along ASE's paths."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase.cell import Cell

from thermosearch.harmonic.crystal import Crystal, phonopy_object
from thermosearch.harmonic.point import Point

BAND_POINTS = 120
"""Wave vectors along the whole path."""
DENSITY_POINTS = 240
"""Frequencies of the density of states."""
SHOWN = 4
"""Temperatures at most, spread over those there are."""


def band_arrays(crystal: Crystal, points: Sequence[Point]) -> dict[str, Any]:
    """Bands of one phase against temperature.

    Parameters
    ----------
    crystal : Crystal
        The phase.
    points : sequence of Point
        Of one pressure, the temperature rising.

    Returns
    -------
    dict
        `temperature` (t,) K, `distance` (q,) 1/A, `frequency` (t, q, b) THz, negative for
        imaginary ones, and where the corners of the path are: `ticks` (k,), `labels` (k,).
    """
    shown = _shown(points)
    phonons = [phonopy_object(crystal, point.effective) for point in shown]
    path = Cell(phonons[0].primitive.cell).bandpath(npoints=BAND_POINTS)
    distance, ticks, labels = path.get_linear_kpoint_axis()
    frequencies = []
    for phonon in phonons:
        phonon.run_qpoints(path.kpts)
        frequencies.append(np.array(phonon.qpoints.frequencies))
    return {
        "temperature": np.array([point.temperature for point in shown]),
        "distance": np.asarray(distance),
        "frequency": np.array(frequencies),
        "ticks": np.asarray(ticks),
        "labels": np.array(["Γ" if label == "G" else label for label in labels]),
    }


def density_arrays(crystal: Crystal, points: Sequence[Point], mesh: float) -> dict[str, Any]:
    """Densities of states of one phase against temperature.

    Parameters
    ----------
    crystal, points
        As in `band_arrays`.
    mesh : float
        Length that sets the q mesh, A.

    Returns
    -------
    dict
        `temperature` (t,) K, `frequency` (f,) THz, `density` (t, f) states of the primitive cell
        per THz.
    """
    shown = _shown(points)
    phonons = [phonopy_object(crystal, point.effective) for point in shown]
    for phonon in phonons:
        phonon.run_mesh(mesh)
    frequencies = [np.array(phonon.mesh.frequencies) for phonon in phonons]
    low = min(0.0, *(float(each.min()) for each in frequencies))
    high = 1.03 * max(float(each.max()) for each in frequencies)
    pitch = (high - low) / (DENSITY_POINTS - 1)
    densities = []
    for phonon in phonons:
        # Half a step more: the end is left out or not by rounding.
        phonon.run_total_dos(freq_min=low, freq_max=high + 0.5 * pitch, freq_pitch=pitch)
        densities.append(np.array(phonon.total_dos.dos[:DENSITY_POINTS]))
    return {
        "temperature": np.array([point.temperature for point in shown]),
        "frequency": low + pitch * np.arange(DENSITY_POINTS),
        "density": np.array(densities),
    }


def _shown(points: Sequence[Point]) -> list[Point]:
    chosen = np.unique(np.linspace(0, len(points) - 1, min(SHOWN, len(points))).astype(int))
    return [points[k] for k in chosen]
