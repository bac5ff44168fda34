"""`thermosearch evaluate`: a model, named or a file, against a file of reference data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thermosearch.dataset import read_dataset
from thermosearch.neural.metrics import evaluate_dataset
from thermosearch.potentials.registry import load_potential


def evaluate_file(
    model: str,
    data: Path,
    *,
    elements: Sequence[str] | None = None,
    length_unit: str | None = None,
    energy_unit: str | None = None,
) -> dict[str, Any]:
    """Errors of a model on a data file.

    Parameters
    ----------
    model : str
        File, or the name of a shipped model.
    data : Path
        Any format of `read_dataset`; frames need an energy, forces and stress are compared
        where present. Repeated frames count.
    elements, length_unit, energy_unit
        As for `read_dataset`.

    Returns
    -------
    dict
        As given by `thermosearch.neural.metrics.errors`.

    Raises
    ------
    InputError
        Unreadable model or data, or an element the model does not know.
    """
    dataset = read_dataset(
        data,
        elements=elements,
        length_unit=length_unit,
        energy_unit=energy_unit,
        require=("energy",),
        duplicates=True,
    )
    return evaluate_dataset(load_potential(model), dataset)
