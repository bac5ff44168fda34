"""`read_dataset`: any of the five formats, told by the file's name, into one `Dataset`."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from thermosearch.dataset import ase_formats, mlip, npz, runner
from thermosearch.dataset.frames import Dataset, Frame, Label, checked, listed
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
        "A" or "bohr"; "eV", "hartree", "kcal/mol" or "kJ/mol". Default: the format's own
        convention, bohr and hartree for RuNNer, A and eV elsewhere.
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
    readers: dict[Format, Callable[[], list[Frame]]] = {
        "extxyz": lambda: ase_formats.read_extxyz(path, group_key),
        "db": lambda: ase_formats.read_database(path, group_key),
        "npz": lambda: npz.read(path, length_unit, energy_unit, group_key),
        "runner": lambda: runner.read(path, length_unit or "bohr", energy_unit or "hartree"),
        "mlip": lambda: mlip.read(path, elements),
    }
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; give a file with reference calculations")
    dataset = checked(
        readers[kind](),
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
