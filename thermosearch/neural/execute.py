"""The train engine: from a study to a model file, its errors and its learning curve."""

import functools
import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from thermosearch.neural import model_file
from thermosearch.neural.metrics import errors, parity, predictions
from thermosearch.neural.model import NeuralPotential
from thermosearch.neural.parts import joined
from thermosearch.neural.study import TrainStudy
from thermosearch.neural.training.fit import (
    Trainer,
    TrainState,
    ended,
    predicted,
    start,
    trained,
)
from thermosearch.neural.training.prepare import Prepared, prepare
from thermosearch.neural.training.saved import restored, saveable
from thermosearch.potentials.registry import find_model
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.results import Quantity, Results

MODEL_NAME = "model.npz"
_UNITS = {
    "energy_mae_meV_per_atom": ("energy_mae", "meV/atom"),
    "energy_rmse_meV_per_atom": ("energy_rmse", "meV/atom"),
    "force_mae_eV_per_A": ("force_mae", "eV/A"),
    "force_rmse_eV_per_A": ("force_rmse", "eV/A"),
    "stress_mae_GPa": ("stress_mae", "GPa"),
}


def execute(study: TrainStudy, context: RunContext) -> Results:
    """Train a model as a study says; its file is `model.npz` in the run folder.

    The ranks share the descriptors of a committee; the numbers do not depend on their number.

    Raises
    ------
    InputError
        Unusable data, or a training that diverged again and again.
    """
    prepared = prepare(study)
    length = study.training.on(sum(item.atoms for item in prepared.train))
    study = study.model_copy(update={"training": length})
    context.log.info(
        "%d structures to train on, %d held out; cutoff %.2f A",
        *(len(prepared.train), len(prepared.held_out), prepared.parts[0].cutoff),
    )
    model, states = _trained(study, prepared, context)
    if model is None:
        return Results("train", "stopped", arrays=_learning(states))
    path = context.folder.file(MODEL_NAME)
    if context.communicator.rank == 0:
        # Whatever judging it stumbles upon must not cost the training.
        model_file.save(path, model, _about(study, prepared, states, {}))
    splits = {
        "train": prepared.train_data,
        "validation": prepared.held_out_data,
        **prepared.test_data,
    }
    found = {
        "train": predicted(model, prepared.train, study.training),
        "validation": predicted(model, prepared.held_out, study.training),
    }
    found |= {name: predictions(model, data) for name, data in prepared.test_data.items()}
    found = {name: got for name, got in found.items() if got}
    judged = {name: errors(splits[name], got) for name, got in found.items()}
    arrays = _learning(states)
    for name, got in found.items():
        drawn = thinned(parity(splits[name], got))
        arrays |= {f"parity/{name}/{key}": array for key, array in drawn.items()}
    if context.communicator.rank == 0:
        kept = {k: v for k, v in arrays.items() if k.startswith("parity/") and "/train/" not in k}
        about = _about(study, prepared, states, judged)
        model_file.save(path, model, about, kept)
        context.folder.write("errors.json", json.dumps(judged, indent=1) + "\n")
    return Results("train", "finished", _quantities(judged), arrays=arrays)


def _trained(
    study: TrainStudy, prepared: Prepared, context: RunContext
) -> tuple[NeuralPotential | None, list[TrainState]]:
    """Train all parts, with progress and checkpoints; no model if stopped before the end.

    A part is one descriptor with its members and draws by a seed of its own. The ranks share the
    parts; each trains its own one after the other.
    """
    config, parts, ranks = study.training, prepared.parts, context.communicator
    shares = [range(first, len(parts), ranks.size) for first in range(min(len(parts), ranks.size))]

    @functools.lru_cache(maxsize=1)  # one at a time: its batches fill the memory
    def trainer(part: int) -> Trainer:
        own = config.model_copy(update={"seed": config.seed + part})
        return Trainer(parts[part], prepared.train, prepared.held_out, own)

    def advance(share: Sequence[int]) -> list[tuple[int, TrainState]]:
        """One epoch of the first part of a share that has not ended."""
        part = next((k for k in share if not ended(states[k], config)), None)
        return [] if part is None else [(part, trainer(part).advance(states[part]))]

    saved = context.checkpoints.load_latest()
    states = restored(parts, config, saved) if saved else [start(part, config) for part in parts]
    with context.progress(len(parts) * config.epochs, "training") as bar:
        while not all(ended(state, config) for state in states):
            for part, state in itertools.chain(*ranks.map(advance, shares)):
                _tell_of_retreat(states[part], state, context)
                states[part] = state
            over = all(ended(state, config) for state in states)
            _show(states, bar)
            stopping = context.stop() and not over
            if stopping or over or context.checkpoint_due():
                passes = sum(state.passes for state in states)
                context.checkpoints.save(passes, *saveable(states))
            if stopping:
                return None, states
    models = [trained(part, state) for part, state in zip(parts, states, strict=True)]
    return joined(models), states


def _show(states: Sequence[TrainState], bar: tqdm) -> None:
    """Epochs done, and the errors of the part that was validated last."""
    bar.update(sum(state.epoch for state in states) - bar.n)
    latest = [state.history[-1] for state in states if state.history]
    if latest:
        energy, force = latest[-1]["energy_mae"], latest[-1]["force_mae"]
        shown = ((energy, f"{1e3 * energy:.2f} meV/atom"), (force, f"{force:.4f} eV/A"))
        bar.set_postfix_str(", ".join(text for error, text in shown if not np.isnan(error)))


def _tell_of_retreat(before: TrainState, after: TrainState, context: RunContext) -> None:
    if after.rate < before.rate:
        context.log.warning(
            "loss not finite in epoch %d: back to epoch %d with %g of the learning rate",
            *(before.epoch + 1, after.epoch, after.rate),
        )


def _about(
    study: TrainStudy, prepared: Prepared, states: Sequence[TrainState], judged: dict[str, Any]
) -> dict[str, Any]:
    """Tell the origin of a model: its data, errors and settings."""
    return {
        "name": study.name,
        "licence": study.licence,
        "data": list(prepared.notes),
        "errors": judged,
        "training": study.training.model_dump(mode="json"),
        "epochs": [state.epoch for state in states],
        "start": None if study.start is None else _origin(study.start),
    }


def _origin(start: str) -> dict[str, Any]:
    """Tell how the model was made that a training went on from."""
    about = model_file.load_file(find_model(start)).about
    return {key: about.get(key) for key in ("name", "data", "training", "epochs", "start")}


def _quantities(judged: dict[str, dict[str, Any]]) -> list[Quantity]:
    """Errors of every split and of its groups."""
    rows = [({"split": split}, summary) for split, summary in judged.items()]
    for split, summary in judged.items():
        rows += [
            ({"split": split, "group": g}, of_group) for g, of_group in summary["groups"].items()
        ]
    return [
        Quantity(name, summary[key], None, unit, conditions)
        for conditions, summary in rows
        for key, (name, unit) in _UNITS.items()
        if summary[key] is not None
    ]


def thinned(arrays: dict[str, np.ndarray], most: int = 10_000) -> dict[str, np.ndarray]:
    """Parity arrays in float32, evenly thinned to what a figure can show."""
    kept = {}
    for name, array in arrays.items():
        if not name.endswith("_frame"):
            step = max(1, -(-len(array) // most))
            kept[name] = array[::step].astype(np.float32)
    return kept


def _learning(states: Sequence[TrainState]) -> dict[str, np.ndarray]:
    """Learning curves: of the committee's mean, or of the mean of each part."""
    columns = {
        "epoch": ("epoch", 1.0),
        "loss_train": ("loss_train", 1.0),
        "energy_mae_validation": ("energy_mae", 1e3),
        "force_mae_validation": ("force_mae", 1.0),
    }
    names = ["mean"] if len(states) == 1 else [f"descriptor {k + 1}" for k in range(len(states))]
    return {
        f"learning/{part}/{name}": factor * np.array([row[key] for row in state.history])
        for part, state in zip(names, states, strict=True)
        for name, (key, factor) in columns.items()
    }
