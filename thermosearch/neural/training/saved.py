"""The state of a training as arrays and JSON, for its checkpoint."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from thermosearch.neural.model import NeuralPotential
from thermosearch.neural.training.fit import TrainState, Validated, start
from thermosearch.neural.training.step import TrainConfig
from thermosearch.runtime.checkpoint import Checkpoint

_PLAIN = ("epoch", "steps", "passes", "retries", "stale", "rate")


def saveable(states: Sequence[TrainState]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and JSON of the states of all parts."""
    arrays, metas = {}, []
    for number, state in enumerate(states):
        leaves = jax.tree.leaves((state.weights, state.best, state.good.weights))
        arrays |= {f"{number}/leaf_{k:04d}": np.asarray(leaf) for k, leaf in enumerate(leaves)}
        # Neither infinity nor NaN (no stress in the data) is a JSON number.
        score = state.best_score if np.isfinite(state.best_score) else None
        history = [{k: None if np.isnan(v) else v for k, v in row.items()} for row in state.history]
        plain = {name: getattr(state, name) for name in _PLAIN}
        good = {"epoch": state.good.epoch, "steps": state.good.steps}
        metas.append({**plain, "good": good, "best_score": score, "history": history})
    return arrays, {"parts": metas}


def restored(
    parts: Sequence[NeuralPotential], config: TrainConfig, saved: Checkpoint
) -> list[TrainState]:
    """States of a checkpoint; inverse of `saveable`.

    Parameters
    ----------
    parts : sequence of NeuralPotential
        Models the training started from; their values do not matter.
    config : TrainConfig
    saved : Checkpoint
    """
    return [
        _restored(start(part, config), f"{number}/", saved.arrays, meta)
        for number, (part, meta) in enumerate(zip(parts, saved.meta["parts"], strict=True))
    ]


def _restored(
    fresh: TrainState, prefix: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]
) -> TrainState:
    leaves, structure = jax.tree.flatten((fresh.weights, fresh.best, fresh.good.weights))
    stored = [arrays[f"{prefix}leaf_{k:04d}"] for k in range(len(leaves))]
    weights, best, good = jax.tree.unflatten(structure, stored)
    history = tuple(
        {k: float("nan") if v is None else v for k, v in row.items()} for row in meta["history"]
    )
    score = meta["best_score"]
    return TrainState(
        weights=weights,
        best=best,
        good=Validated(good, **meta["good"]),
        best_score=float("inf") if score is None else score,
        history=history,
        **{name: meta[name] for name in _PLAIN},
    )
