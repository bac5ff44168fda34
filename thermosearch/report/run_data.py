"""What a run folder holds, read once; a missing or damaged piece becomes a sentence, no crash."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase
import ase.io
import h5py
import numpy as np

from thermosearch.runtime.errors import InputError

LOG_LINES = 60
# What the readers of text formats raise on a damaged file.
UNREADABLE = (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError)

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Measured:
    """One number of `results.json`: name, value, error (None for none), unit, conditions."""

    name: str
    value: float | None
    error: float | None
    unit: str
    conditions: Mapping[str, Any]


@dataclass(frozen=True)
class Structure:
    """One structure of a run.

    Attributes
    ----------
    label : str
        How the report calls it.
    atoms : ase.Atoms
        The frame.
    facts : mapping
        The other keys of its entry in `results.json`.
    """

    label: str
    atoms: ase.Atoms
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """Everything the report shows of a run folder.

    Attributes
    ----------
    folder : Path
        Where the run lies.
    results : mapping
        `results.json`; empty where it is missing.
    quantities : tuple of Measured
        Its numbers.
    structures : tuple of Structure
        Those that could be read.
    convergence, learning, parity : mapping of str to arrays
        Series, members and splits of `results.h5`.
    learning_data : mapping of str to array
        Errors against the number of training structures.
    curves, dead, walks : mapping of str to arrays
        Of nested sampling: thermodynamics of every pressure, points and walks of every run.
    phases, diagram : mapping of str to arrays
        Of nested sampling: what weighs at every pressure; its table `transitions`.
    success, surface_diagram : mapping of str to arrays
        Of a search: first hits of every engine; surface free energies of every slab.
    environments : mapping of str to array
        Map of the surroundings of atoms found, over those of the training data.
    thermal, bands, dos, iterations : mapping of str to arrays
        Of effective harmonic potentials, by phase and pressure: series against temperature,
        phonons, and the course of the loops.
    annotations : mapping of str to str or float
        Labels and units that stand beside the arrays, `convergence/unit`.
    versions : mapping of str to str
        Of the software, from `run.json`.
    texts : mapping of str to str
        Study as given, study as resolved, log: name of the file and its text.
    problems : tuple of str
        What is missing or damaged, a sentence each.
    """

    folder: Path
    results: Mapping[str, Any] = field(default_factory=dict)
    quantities: tuple[Measured, ...] = ()
    structures: tuple[Structure, ...] = ()
    convergence: Mapping[str, Arrays] = field(default_factory=dict)
    learning: Mapping[str, Arrays] = field(default_factory=dict)
    parity: Mapping[str, Arrays] = field(default_factory=dict)
    learning_data: Arrays = field(default_factory=dict)
    curves: Mapping[str, Arrays] = field(default_factory=dict)
    dead: Mapping[str, Arrays] = field(default_factory=dict)
    walks: Mapping[str, Arrays] = field(default_factory=dict)
    success: Mapping[str, Arrays] = field(default_factory=dict)
    surface_diagram: Mapping[str, Arrays] = field(default_factory=dict)
    environments: Arrays = field(default_factory=dict)
    thermal: Mapping[str, Arrays] = field(default_factory=dict)
    bands: Mapping[str, Arrays] = field(default_factory=dict)
    dos: Mapping[str, Arrays] = field(default_factory=dict)
    iterations: Mapping[str, Arrays] = field(default_factory=dict)
    phases: Mapping[str, Arrays] = field(default_factory=dict)
    diagram: Mapping[str, Arrays] = field(default_factory=dict)
    annotations: Mapping[str, str | float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The engine, "search" or "train"; empty where nothing says it."""
        return str(self.results.get("engine", ""))

    @property
    def finished(self) -> bool:
        """Whether the run says of itself that it ended."""
        return self.results.get("status") == "finished"


def read_run(folder: Path) -> Run:
    """Read a run folder.

    Parameters
    ----------
    folder : Path
        Must hold a `results.json` or a study file; every other piece may be missing.

    Raises
    ------
    InputError
        If nothing in the folder says that it is a run.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the --output folder of a run")
    texts = _texts(folder)
    if not (folder / "results.json").exists() and not any("study" in name for name in texts):
        raise InputError(
            f"{folder}: no results.json and no study file in it; give the --output folder of a run"
        )
    problems: list[str] = []
    results = _results(folder, problems)
    arrays = _arrays(folder / "results.h5", problems)
    return Run(
        folder=folder,
        results=results,
        quantities=_quantities(results, problems),
        structures=_structures(folder, results, problems),
        convergence=_grouped(arrays, "convergence"),
        learning=_grouped(arrays, "learning"),
        parity=_grouped(arrays, "parity"),
        learning_data=_below(arrays, "learning_data"),
        curves=_grouped(arrays, "curves"),
        dead=_grouped(arrays, "dead"),
        walks=_grouped(arrays, "walks"),
        phases=_grouped(arrays, "phases"),
        diagram=_grouped(arrays, "diagram"),
        success=_grouped(arrays, "success"),
        surface_diagram=_grouped(arrays, "surface_diagram"),
        environments=_below(arrays, "environments"),
        thermal=_grouped(arrays, "thermal"),
        bands=_grouped(arrays, "bands"),
        dos=_grouped(arrays, "dos"),
        iterations=_grouped(arrays, "iterations"),
        annotations={name: a.item() for name, a in arrays.items() if a.ndim == 0},
        versions=_versions(folder, problems),
        texts=texts,
        problems=tuple(problems),
    )


def _texts(folder: Path) -> dict[str, str]:
    names = [
        "study.toml",
        "study.json",
        *sorted(each.name for each in folder.glob("study*resolved*")),
    ]
    logs = sorted(each.name for each in folder.glob("*.log"))
    texts = {}
    for name in [*names, *logs]:
        if (folder / name).is_file():
            texts[name] = (folder / name).read_text(encoding="utf-8", errors="replace")
    for name in logs:
        texts[name] = "\n".join(texts[name].splitlines()[-LOG_LINES:])
    return texts


def _results(folder: Path, problems: list[str]) -> dict[str, Any]:
    path = folder / "results.json"
    if not path.exists():
        problems.append("results.json is not there: the run has not come to its first results.")
        return {}
    return _json_table(path, problems)


def _versions(folder: Path, problems: list[str]) -> dict[str, str]:
    path = folder / "run.json"
    versions = _json_table(path, problems).get("versions") if path.exists() else None
    if not isinstance(versions, dict):
        return {}
    return {str(name): str(version) for name, version in versions.items()}


def _json_table(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        problems.append(f"{path.name} cannot be read: {error}.")
        return {}
    if not isinstance(content, dict):
        problems.append(f"{path.name} does not hold a table.")
        return {}
    return content


def _quantities(results: Mapping[str, Any], problems: list[str]) -> tuple[Measured, ...]:
    quantities = []
    for entry in _entries(results, "quantities", problems):
        given = entry.get("conditions")
        quantities.append(
            Measured(
                name=str(entry.get("name", "unnamed")),
                value=_number(entry.get("value")),
                error=_number(entry.get("error")),
                unit=str(entry.get("unit") or ""),
                conditions=given if isinstance(given, dict) else {},
            )
        )
    return tuple(quantities)


def _structures(
    folder: Path, results: Mapping[str, Any], problems: list[str]
) -> tuple[Structure, ...]:
    frames: dict[str, list[ase.Atoms]] = {}
    structures = []
    for number, entry in enumerate(_entries(results, "structures", problems)):
        name = str(entry.get("file", ""))
        if name not in frames:
            frames[name] = _frames(folder, name, problems)
        index = entry.get("index", 0)
        if not frames[name]:
            continue
        if not isinstance(index, int) or not 0 <= index < len(frames[name]):
            problems.append(f"{name} has no frame {index}.")
            continue
        atoms = frames[name][index]
        if not len(atoms) or not np.isfinite([*atoms.positions, *atoms.cell.array]).all():
            problems.append(f"{name}, frame {index}, has no atoms or no finite positions.")
            continue
        label = str(entry.get("label") or f"structure {number}")
        structures.append(Structure(label, atoms, entry))
    return tuple(structures)


def _frames(folder: Path, name: str, problems: list[str]) -> list[ase.Atoms]:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        problems.append(f"{name} lies outside the run folder and is not read.")
        return []
    try:
        frames = ase.io.read(path, index=":", format="extxyz")
    except UNREADABLE as error:
        problems.append(f"{name} cannot be read: {error or type(error).__name__}.")
        return []
    if not frames:
        problems.append(f"{name} holds no structure.")
    return frames


def _entries(results: Mapping[str, Any], key: str, problems: list[str]) -> list[Mapping[str, Any]]:
    entries = results.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        problems.append(f"{key} in results.json is not a list of tables.")
        return []
    return entries


def _arrays(path: Path, problems: list[str]) -> Arrays:
    """All data sets by their path; attributes of groups as arrays without a dimension."""
    arrays: Arrays = {}

    def collect(name: str, item: h5py.Group | h5py.Dataset) -> None:
        for key, value in item.attrs.items():
            arrays[f"{name}/{key}"] = np.asarray(value)
        if isinstance(item, h5py.Dataset):
            values = item.asstr()[()] if h5py.check_string_dtype(item.dtype) else item[()]
            arrays[name] = np.asarray(values)

    if not path.exists():
        problems.append("results.h5 is not there: curves and parity plots cannot be shown.")
        return {}
    try:
        with h5py.File(path, "r") as file:
            file.visititems(collect)
    except UNREADABLE as error:
        problems.append(f"results.h5 cannot be read: {error}.")
    return arrays


def _grouped(arrays: Arrays, group: str) -> dict[str, Arrays]:
    """Arrays `group/member/name` as a table of tables."""
    members: dict[str, Arrays] = {}
    for name, array in arrays.items():
        parts = name.split("/")
        if parts[0] == group and len(parts) == 3 and array.ndim:
            members.setdefault(parts[1], {})[parts[2]] = array
    return members


def _below(arrays: Arrays, group: str) -> Arrays:
    return {
        name.removeprefix(f"{group}/"): array
        for name, array in arrays.items()
        if name.startswith(f"{group}/") and array.ndim
    }


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
