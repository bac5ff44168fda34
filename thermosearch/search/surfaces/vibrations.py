"""Vibrational free energies: of harmonic modes, or from the run folder of a `harmonic` run."""

from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import h5py
import numpy as np
from jaxtyping import Float

from thermosearch.runtime.errors import InputError
from thermosearch.search.surfaces.phonons import harmonic_free_energy

FARTHEST = 0.5
"""Vibrational free energies, eV an atom, above which two energies are of two potentials."""

APPROXIMATIONS = ("effective harmonic", "quasi-harmonic", "harmonic")
"""Of a harmonic run, the best first."""


@runtime_checkable
class Vibrations(Protocol):
    """What the vibrations of a structure add to its energy."""

    def free_energy(self, temperature: float) -> float:
        """At a temperature, eV."""


class Modes(NamedTuple):
    """Independent harmonic oscillators.

    Attributes
    ----------
    energies : (m,) float64
        h-bar omega, eV.
    """

    energies: Float[np.ndarray, " m"]

    def free_energy(self, temperature: float) -> float:
        """Sum of h w / 2 + k T ln(1 - exp(-h w / k T)), eV."""
        return harmonic_free_energy(self.energies, temperature)


class Table(NamedTuple):
    """Free energies above a static energy, interpolated between temperatures.

    Attributes
    ----------
    temperature : (t,) float64
        K, rising.
    values : (t,) float64
        eV.
    source : str
        For messages.
    """

    temperature: Float[np.ndarray, " t"]
    values: Float[np.ndarray, " t"]
    source: str

    def free_energy(self, temperature: float) -> float:
        """At a temperature within the table, eV."""
        first, last = self.temperature[0], self.temperature[-1]
        if not first <= temperature <= last:
            raise InputError(
                f"{self.source}: it has free energies from {first:g} to {last:g} K, not at "
                f"{temperature:g} K: choose conditions within, or run it there"
            )
        return float(np.interp(temperature, self.temperature, self.values))


class Share(NamedTuple):
    """Part of the vibrations of a structure: those of one of its atoms.

    Attributes
    ----------
    whole : Vibrations
    share : float
    """

    whole: Vibrations
    share: float

    def free_energy(self, temperature: float) -> float:
        """At a temperature, eV."""
        return self.share * self.whole.free_energy(temperature)


NO_VIBRATIONS = Modes(np.zeros(0))


def from_harmonic_run(folder: Path, phase: str | None, energy: float, atoms: int) -> Table:
    """Read what a phase of a harmonic run has more than a static energy of the same potential.

    Parameters
    ----------
    folder : Path
        Of the run.
    phase : str or None
        Its name there; not needed where the run has one phase.
    energy : float
        Of the structure at rest, eV.
    atoms : int
        Of that structure.

    Returns
    -------
    Table
        atoms * F(T) - energy, at the lowest pressure of the run.

    Raises
    ------
    InputError
        If the folder holds no such run or phase, or energies of another potential.
    """
    try:
        with h5py.File(folder / "results.h5", "r") as results:
            found = {key: _curve(group) for key, group in results.get("thermal", {}).items()}
    except OSError as error:
        raise InputError(f"{folder}: no finished harmonic run: {error}") from error
    names = sorted({curve.phase for curve in found.values()})
    if phase is None and len(names) == 1:
        phase = names[0]
    chosen = [curve for curve in found.values() if curve.phase == phase]
    if not chosen:
        raise InputError(f"{folder}: harmonic_phase = {phase!r}: it holds {', '.join(names)}")
    curve = min(chosen, key=lambda each: (each.rank, abs(each.pressure)))
    values = atoms * curve.free_energy - energy
    if abs(values[0]) > FARTHEST * atoms:
        raise InputError(
            f"{folder}: {curve.free_energy[0]:.3f} eV an atom there, {energy / atoms:.3f} at rest "
            "here: a harmonic run of another potential or of another structure"
        )
    return Table(curve.temperature, values, str(folder))


class _Curve(NamedTuple):
    phase: str
    rank: int
    pressure: float
    temperature: Float[np.ndarray, " t"]
    free_energy: Float[np.ndarray, " t"]


def _curve(group: h5py.Group) -> _Curve:
    """One isobar of a harmonic run: Gibbs energy where there is one, eV an atom."""
    name = "gibbs_energy" if "gibbs_energy" in group else "free_energy"
    return _Curve(
        group["phase"].asstr()[()],
        APPROXIMATIONS.index(group["approximation"].asstr()[()]),
        float(group["pressure"][()]) if "pressure" in group else 0.0,
        np.atleast_1d(group["temperature"][()]).astype(np.float64),
        np.atleast_1d(group[name][()]).astype(np.float64),
    )
