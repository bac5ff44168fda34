"""How far a potential is from reference data: the numbers of `thermosearch evaluate`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from thermosearch.dataset import Dataset, Frame
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.interface import Potential, Properties
from thermosearch.runtime.errors import InputError
from thermosearch.units import EV_PER_A3_IN_GPA


def evaluate_dataset(potential: Potential, dataset: Dataset) -> dict[str, Any]:
    """Errors of a potential on a data set, as written by `thermosearch evaluate --json`.

    Parameters
    ----------
    potential : Potential
    dataset : Dataset

    Returns
    -------
    dict
        As given by `errors`.

    Raises
    ------
    InputError
        A frame holds an element the potential does not know.
    """
    return errors(dataset, predictions(potential, dataset))


def predictions(potential: Potential, dataset: Dataset) -> list[Properties]:
    """Energies, forces and, where the frames have a volume, stress of every frame.

    Raises
    ------
    InputError
        A frame holds an element the potential does not know.
    """
    known = potential.elements
    unknown = [] if known is None else sorted(set(dataset.elements) - set(known))
    if unknown:
        raise InputError(
            f"{dataset.source}: holds atomic number {unknown[0]}, which the model does not know "
            f"(it knows {', '.join(map(str, known or ()))})"
        )
    stressed = [k for k, frame in enumerate(dataset) if _has_stress(frame)]
    plain = [k for k, frame in enumerate(dataset) if not _has_stress(frame)]
    found: dict[int, Properties] = {}
    for positions, wanted in (
        (stressed, ("energy", "forces", "stress")),
        (plain, ("energy", "forces")),
    ):
        if positions:
            chosen = dataset.subset(positions).configurations
            found.update(zip(positions, evaluate(potential, chosen, wanted), strict=True))
    return [found[k] for k in range(len(dataset))]


def _has_stress(frame: Frame) -> bool:
    """Whether a stress can be compared: some codes give one to a molecule, which has no volume."""
    return frame.stress is not None and bool(np.linalg.det(frame.configuration.cell) != 0.0)


def errors(dataset: Dataset, found: Sequence[Properties]) -> dict[str, Any]:
    """Mean absolute and root mean square errors, over all frames and for each group.

    Energies count by structure, an atom's share each; forces by Cartesian component over all
    atoms; stresses by the six components of each stressed frame.

    Parameters
    ----------
    dataset : Dataset
    found : sequence of Properties
        Predictions for its frames.

    Returns
    -------
    dict
        `energy_mae_meV_per_atom`, `energy_rmse_meV_per_atom`, `force_mae_eV_per_A`,
        `force_rmse_eV_per_A`, `stress_mae_GPa` (None where nothing is there to compare),
        `n_structures`; and `groups`, the same for each named group.
    """
    arrays = parity(dataset, found)
    names = sorted(set(dataset.groups) - {""})
    groups = np.array(dataset.groups)
    everything = np.ones(len(dataset), dtype=bool)
    return {
        **_summary(arrays, everything),
        "groups": {name: _summary(arrays, groups == name) for name in names},
    }


def parity(dataset: Dataset, found: Sequence[Properties]) -> dict[str, np.ndarray]:
    """Lay reference and predicted numbers side by side, flattened, each with its frame.

    Returns
    -------
    dict of arrays
        `energy_reference`, `energy_predicted`, `energy_frame` (eV/atom), and `force_...` (eV/A)
        and `stress_...` (GPa) likewise.
    """
    rows: dict[str, list[tuple[int, np.ndarray, np.ndarray]]] = {
        "energy": [],
        "force": [],
        "stress": [],
    }
    upper = np.triu_indices(3)
    for k, (frame, got) in enumerate(zip(dataset, found, strict=True)):
        if frame.energy is not None:
            pair = np.array([frame.energy, float(got.energy)]) / len(frame)
            rows["energy"].append((k, pair[:1], pair[1:]))
        if frame.forces is not None and got.forces is not None:
            rows["force"].append((k, frame.forces.ravel(), np.asarray(got.forces).ravel()))
        if frame.stress is not None and got.stress is not None:
            pair = (frame.stress[upper], np.asarray(got.stress)[upper])
            rows["stress"].append((k, *(EV_PER_A3_IN_GPA * x for x in pair)))
    arrays = {}
    for name, entries in rows.items():
        frames = [np.full(len(reference), k, dtype=np.int64) for k, reference, _ in entries]
        arrays[f"{name}_frame"] = np.concatenate([np.zeros(0, dtype=np.int64), *frames])
        arrays[f"{name}_reference"] = np.concatenate([np.zeros(0), *(x for _, x, _ in entries)])
        arrays[f"{name}_predicted"] = np.concatenate([np.zeros(0), *(x for *_, x in entries)])
    return arrays


def _summary(arrays: dict[str, np.ndarray], chosen: np.ndarray) -> dict[str, Any]:
    """Errors over the chosen frames."""

    def deviation(name: str) -> np.ndarray:
        inside = chosen[arrays[f"{name}_frame"]]
        return (arrays[f"{name}_predicted"] - arrays[f"{name}_reference"])[inside]

    energy, force, stress = 1e3 * deviation("energy"), deviation("force"), deviation("stress")
    return {
        "energy_mae_meV_per_atom": _mean_absolute(energy),
        "energy_rmse_meV_per_atom": _root_mean_square(energy),
        "force_mae_eV_per_A": _mean_absolute(force),
        "force_rmse_eV_per_A": _root_mean_square(force),
        "stress_mae_GPa": _mean_absolute(stress),
        "n_structures": int(chosen.sum()),
    }


def _mean_absolute(x: np.ndarray) -> float | None:
    return float(np.mean(np.abs(x))) if len(x) else None


def _root_mean_square(x: np.ndarray) -> float | None:
    return float(np.sqrt(np.mean(x**2))) if len(x) else None
