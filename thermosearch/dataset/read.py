"""`read_dataset`: any of the five formats, told by the file's name, into one `Dataset`."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from thermosearch.dataset import ase_formats, mlip, npz, runner
from thermosearch.dataset.frames import Dataset, Frame, Label, checked, listed
from thermosearch.dataset.units import Units, converted
from thermosearch.runtime.errors import InputError

Format = Literal["extxyz", "db", "npz", "runner", "mlip"]
_SUFFIXES: dict[str, Format] = {
    ".extxyz": "extxyz",
    ".xyz": "extxyz",
    ".db": "db",
    ".npz": "npz",
    ".data": "runner",
    ".cfg": "mlip",
}
_log = logging.getLogger(__name__)


def read_dataset(
    path: str | Path,
    *,
    format: Format | None = None,
    elements: Sequence[str] | None = None,
    length_unit: str | None = None,
    energy_unit: str | None = None,
    group_key: str | None = None,
    require: tuple[Label, ...] = ("energy", "forces"),
    bad: Literal["skip", "refuse"] = "skip",
    max_force: float = 500.0,
    duplicates: bool = False,
) -> Dataset:
    """Read reference calculations; frames come out in eV, A and eV/A^3 (ASE sign).

    Parameters
    ----------
    path : str or Path
        The file.
    format : {"extxyz", "db", "npz", "runner", "mlip"}, optional
        By default told by the suffix: .extxyz .xyz, .db (ASE database), .npz, .data (n2p2 and
        RuNNer `input.data`), .cfg (MLIP).
    elements : sequence of str, optional
        Symbols of the type numbers 0, 1, ... of an MLIP file, which does not name them.
    length_unit, energy_unit : str, optional
        Of the numbers in the file, whatever its format: "A" or "bohr"; "eV", "hartree",
        "kcal/mol" or "kJ/mol". Forces are in the quotient of the two, stresses in energy_unit by
        length_unit^3, a virial in energy_unit. Default: the format's own convention, bohr and
        hartree for RuNNer, what an .npz states as `r_unit` and `e_unit`, A and eV elsewhere.
    group_key : str, optional
        Where the name of a frame's group stands; default "group", then "config_type".
    require : tuple of {"energy", "forces", "stress"}
        Labels without which a frame is bad.
    bad : {"skip", "refuse"}
        Leave bad frames out (each is logged) or raise. Bad is: not finite, a required label
        missing, arrays of the wrong length, a repeated frame, an absurd force.
    max_force : float
        Largest believable force component, eV/A.
    duplicates : bool
        Keep repeated frames.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        Missing or empty file, unknown format or unit, bad frames where they are refused.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give an existing data file")
    kind = format or _SUFFIXES.get(path.suffix.lower())
    if kind is None:
        known = ", ".join(_SUFFIXES)
        raise InputError(f"{path}: format not told by its name (known: {known}); state `format`")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; give a file with reference calculations")
    frames, default = _as_written(path, kind, elements, group_key)
    stated = {"length": length_unit, "energy": energy_unit}
    units = default._replace(**{key: unit for key, unit in stated.items() if unit is not None})
    dataset = checked(
        converted(frames, units, path),
        str(path),
        bad=bad,
        require=require,
        max_force=max_force,
        duplicates=duplicates,
    )
    if dataset.skipped:
        count = f"{len(dataset.skipped)} of {len(dataset) + len(dataset.skipped)} frames left out"
        _log.warning("%s: %s: %s", path, count, listed(dataset.skipped))
    return dataset


def _as_written(
    path: Path, kind: Format, elements: Sequence[str] | None, group_key: str | None
) -> tuple[list[Frame], Units]:
    """Frames with the numbers of the file, and the units these are in unless others are stated."""
    match kind:
        case "extxyz":
            return ase_formats.read_extxyz(path, group_key), Units()
        case "db":
            return ase_formats.read_database(path, group_key), Units()
        case "npz":
            return npz.read(path, group_key)
        case "runner":
            return runner.read(path), Units("bohr", "hartree")
        case "mlip":
            return mlip.read(path, elements), Units()
