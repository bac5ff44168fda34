"""Units a data file may be written in."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ase import units as _ase

from thermosearch.dataset.frames import Frame
from thermosearch.runtime.errors import InputError

_LENGTHS = {"a": 1.0, "angstrom": 1.0, "ang": 1.0, "bohr": _ase.Bohr, "au": _ase.Bohr}
_ENERGIES = {
    "ev": 1.0,
    "hartree": _ase.Hartree,
    "ha": _ase.Hartree,
    "kcal/mol": _ase.kcal / _ase.mol,
    "kj/mol": _ase.kJ / _ase.mol,
}


class Units(NamedTuple):
    """Names of the units of a file; its forces and stresses are in quotients of these."""

    length: str = "A"
    energy: str = "eV"


def converted(frames: Iterable[Frame], units: Units, path: Path) -> list[Frame]:
    """Frames of a file in these units, in eV, A, eV/A and eV/A^3."""
    length = _factor(_LENGTHS, units.length, "length_unit", path)
    energy = _factor(_ENERGIES, units.energy, "energy_unit", path)
    return [_scaled(frame, length, energy) for frame in frames]


def _scaled(frame: Frame, length: float, energy: float) -> Frame:
    old = frame.configuration
    return replace(
        frame,
        configuration=old._replace(positions=old.positions * length, cell=old.cell * length),
        energy=None if frame.energy is None else frame.energy * energy,
        forces=None if frame.forces is None else frame.forces * (energy / length),
        stress=None if frame.stress is None else frame.stress * (energy / length**3),
    )


def _factor(table: dict[str, float], unit: str, key: str, path: Path) -> float:
    if unit.lower() not in table:
        raise InputError(f"{path}: {key} = {unit!r} is unknown; use one of {', '.join(table)}")
    return table[unit.lower()]
