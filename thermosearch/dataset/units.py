"""Units a data file may be written in."""

from pathlib import Path

from ase import units as _ase

from thermosearch.runtime.errors import InputError

_LENGTHS = {"a": 1.0, "angstrom": 1.0, "ang": 1.0, "bohr": _ase.Bohr, "au": _ase.Bohr}
_ENERGIES = {
    "ev": 1.0,
    "hartree": _ase.Hartree,
    "ha": _ase.Hartree,
    "kcal/mol": _ase.kcal / _ase.mol,
    "kj/mol": _ase.kJ / _ase.mol,
}


def length_factor(unit: str, path: Path) -> float:
    """Length of one `unit` in A."""
    return _factor(_LENGTHS, unit, "length_unit", path)


def energy_factor(unit: str, path: Path) -> float:
    """Energy of one `unit` in eV."""
    return _factor(_ENERGIES, unit, "energy_unit", path)


def _factor(table: dict[str, float], unit: str, key: str, path: Path) -> float:
    if unit.lower() not in table:
        raise InputError(f"{path}: {key} = {unit!r} is unknown; use one of {', '.join(table)}")
    return table[unit.lower()]
