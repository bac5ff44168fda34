"""The train engine: from a study to a model file, its errors and its learning curve."""

import json
from typing import Any

import jax
import numpy as np

from thermosearch.dataset import read_dataset
from thermosearch.neural import model_file
from thermosearch.neural.metrics import errors, parity, predictions
from thermosearch.neural.model import NeuralPotential
from thermosearch.neural.study import TrainStudy
from thermosearch.neural.training.fit import TrainState, fit, predicted, start
from thermosearch.neural.training.prepare import Prepared, prepare
from thermosearch.potentials.registry import find_model
from thermosearch.runtime.checkpoint import Checkpoint
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

    Every rank does the same work, so that the numbers do not depend on their number.

    Raises
    ------
    InputError
        Unusable data, or a training that diverged again and again.
    """
    prepared = prepare(study)
    context.log.info(
        "%d structures to train on, %d held out; cutoff %.2f A",
        *(len(prepared.train), len(prepared.held_out), prepared.model.cutoff),
    )
    model, state, stopped = _trained(study, prepared, context)
    if stopped:
        return Results("train", "stopped", arrays=_learning(state))
    splits = {"train": prepared.train_data, "validation": prepared.held_out_data}
    found = {
        "train": predicted(model, prepared.train, study.training),
        "validation": predicted(model, prepared.held_out, study.training),
    }
    for path in study.test:
        name = f"test_{path.stem}"
        splits[name] = read_dataset(path, duplicates=True)
        found[name] = predictions(model, splits[name])
    found = {name: got for name, got in found.items() if got}
    judged = {name: errors(splits[name], got) for name, got in found.items()}
    arrays = _learning(state)
    for name, got in found.items():
        drawn = thinned(parity(splits[name], got))
        arrays |= {f"parity/{name}/{key}": array for key, array in drawn.items()}
    if context.communicator.rank == 0:
        kept = {k: v for k, v in arrays.items() if k.startswith("parity/") and "/train/" not in k}
        about = _about(study, prepared, state, judged)
        model_file.save(context.folder.file(MODEL_NAME), model, about, kept)
        context.folder.write("errors.json", json.dumps(judged, indent=1) + "\n")
    return Results("train", "finished", _quantities(judged), arrays=arrays)


def _trained(
    study: TrainStudy, prepared: Prepared, context: RunContext
) -> tuple[NeuralPotential, TrainState, bool]:
    """Train with progress and checkpoints; True if it was stopped before the end."""
    config = study.training
    saved = context.checkpoints.load_latest()
    fresh = start(prepared.model, config, 1)
    resume = None if saved is None else restored(fresh, saved)
    stopped = False
    with context.progress(config.epochs, "training") as bar:
        bar.update(0 if resume is None else resume.epoch)

        def after_epoch(state: TrainState) -> bool:
            nonlocal stopped
            bar.update(state.epoch - bar.n)
            if state.history:
                last = state.history[-1]
                bar.set_postfix_str(
                    f"{1e3 * last['energy_mae']:.2f} meV/atom, {last['force_mae']:.4f} eV/A"
                )
            stopped = context.stop() and state.epoch < config.epochs
            if stopped or context.checkpoint_due():
                context.checkpoints.save(state.epoch, *saveable(state))
            return stopped

        model, state = fit(
            prepared.model,
            *(prepared.train, prepared.held_out, config),
            resume=resume,
            after_epoch=after_epoch,
        )
    return model, state, stopped


def saveable(state: TrainState) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and JSON of a state."""
    leaves = jax.tree.leaves((state.weights, state.best))
    arrays = {f"leaf_{k:04d}": np.asarray(leaf) for k, leaf in enumerate(leaves)}
    score = state.best_score if np.isfinite(state.best_score) else None
    meta = {name: getattr(state, name) for name in ("epoch", "steps", "stale", "rate")}
    # NaN (no stress in the data) is no JSON number.
    history = [{k: None if np.isnan(v) else v for k, v in row.items()} for row in state.history]
    return arrays, {**meta, "best_score": score, "history": history}


def restored(fresh: TrainState, saved: Checkpoint) -> TrainState:
    """State of a checkpoint; `fresh` is any state of the same training."""
    leaves, structure = jax.tree.flatten((fresh.weights, fresh.best))
    arrays = [saved.arrays[f"leaf_{k:04d}"] for k in range(len(leaves))]
    weights, best = jax.tree.unflatten(structure, arrays)
    meta = dict(saved.meta)
    history = tuple(
        {k: float("nan") if v is None else v for k, v in row.items()} for row in meta.pop("history")
    )
    score = meta.pop("best_score")
    return TrainState(
        weights=weights,
        best=best,
        best_score=float("inf") if score is None else score,
        history=history,
        **meta,
    )


def _about(
    study: TrainStudy, prepared: Prepared, state: TrainState, judged: dict[str, Any]
) -> dict[str, Any]:
    """Tell the origin of a model: its data, errors and settings."""
    return {
        "name": study.name,
        "licence": study.licence,
        "data": list(prepared.notes),
        "errors": judged,
        "training": study.training.model_dump(mode="json"),
        "epochs": state.epoch,
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


def _learning(state: TrainState) -> dict[str, np.ndarray]:
    """Learning curve of the committee's mean."""
    columns = {
        "epoch": ("epoch", 1.0),
        "loss_train": ("loss_train", 1.0),
        "energy_mae_validation": ("energy_mae", 1e3),
        "force_mae_validation": ("force_mae", 1.0),
    }
    return {
        f"learning/mean/{name}": factor * np.array([row[key] for row in state.history])
        for name, (key, factor) in columns.items()
    }
