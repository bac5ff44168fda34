"""`thermosearch evaluate`: a model, named or a file, against a file of reference data."""

from pathlib import Path
from typing import Any

from thermosearch.dataset import read_dataset
from thermosearch.neural.metrics import evaluate_dataset
from thermosearch.potentials.registry import load_potential


def evaluate_file(model: str, data: Path) -> dict[str, Any]:
    """Errors of a model on a data file.

    Parameters
    ----------
    model : str
        File, or the name of a shipped model.
    data : Path
        Any format of `read_dataset`; frames need an energy, forces and stress are compared
        where present. Repeated frames count.

    Returns
    -------
    dict
        As given by `thermosearch.neural.metrics.errors`.

    Raises
    ------
    InputError
        Unreadable model or data, or an element the model does not know.
    """
    dataset = read_dataset(data, require=("energy",), duplicates=True)
    return evaluate_dataset(load_potential(model), dataset)
