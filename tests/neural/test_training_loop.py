"""The training loop: learning, resume, divergence, patience, bags."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pytest

from thermosearch.neural.model import NeuralPotential
from thermosearch.neural.training import batches
from thermosearch.neural.training import fit as loop
from thermosearch.neural.training.batches import Example
from thermosearch.neural.training.saved import restored, saveable
from thermosearch.neural.training.step import TrainConfig, make_optimiser, partition
from thermosearch.runtime.checkpoint import Checkpoint, CheckpointStore
from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.errors import InputError


def run_through(
    model: NeuralPotential,
    train: Sequence[Example],
    held_out: Sequence[Example],
    config: TrainConfig,
    *,
    state: loop.TrainState | None = None,
    epochs: int | None = None,
) -> list[loop.TrainState]:
    """States of a training, from `state` on; the last at its end, or after so many epochs."""
    trainer = loop.Trainer(model, train, held_out, config)
    states = [state or loop.start(model, config)]
    while not loop.ended(states[-1], config) and states[-1].epoch != epochs:
        states.append(trainer.advance(states[-1]))
    return states


CONFIG = TrainConfig(epochs=6, batch_atoms=24, validate_every=2, learning_rate=2e-2)


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_training_learns(prepared: tuple, optimiser: str) -> None:
    model, examples = prepared
    config = CONFIG.model_copy(update={"epochs": 60, "optimiser": optimiser})
    state = run_through(model, examples, [], config)[-1]
    first, last = state.history[0], state.history[-1]
    assert last["energy_mae"] < 0.5 * first["energy_mae"]
    assert last["force_mae"] < 0.5 * first["force_mae"]
    assert state.best_score == min(row["score"] for row in state.history)
    members = np.asarray(loop.trained(model, state).networks.output)
    assert np.abs(members[0] - members[1]).max() > 1e-3


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_resumed_training_agrees_bit_for_bit(prepared: tuple, optimiser: str) -> None:
    model, examples = prepared
    config = CONFIG.model_copy(update={"optimiser": optimiser})
    data = (model, examples, examples[:3], config)
    whole = run_through(*data)[-1]
    half = run_through(*data, epochs=3)[-1]
    assert half.epoch == 3
    (again,) = restored([model], config, Checkpoint(3, *saveable([half])))
    resumed = run_through(*data, state=again)[-1]
    assert resumed.history == whole.history
    ends = [jax.tree.leaves(loop.trained(model, state)) for state in (whole, resumed)]
    for a, b in zip(*ends, strict=True):
        np.testing.assert_array_equal(a, b)


def test_hopeless_learning_rate_ends_in_a_clear_error(prepared: tuple) -> None:
    model, examples = prepared
    config = CONFIG.model_copy(update={"learning_rate": 1e30, "retries": 2})
    with pytest.raises(InputError, match=r"diverged 3 times.*lower learning_rate"):
        run_through(model, examples, [], config)


def test_divergence_goes_back_with_half_the_rate(
    prepared: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, examples = prepared
    honest, calls = loop._one_epoch, []

    def failing_once(state: loop.TrainState, *rest: object) -> tuple[loop.TrainState, float]:
        calls.append(state.epoch)
        state, value = honest(state, *rest)
        return state, (float("nan") if len(calls) == 4 else value)

    monkeypatch.setattr(loop, "_one_epoch", failing_once)
    states = run_through(model, examples, [], CONFIG)
    assert calls == [0, 1, 2, 3, 2, 3, 4, 5]
    assert [state.rate for state in states] == [1.0] * 4 + [0.5] * 5
    assert states[-1].epoch == CONFIG.epochs


@pytest.mark.parametrize("stops", [(), (3,), (4,), (1, 5), (2, 3, 4, 6)])
def test_stopped_around_a_divergence_it_gives_what_the_uninterrupted_gives(
    prepared: tuple, stops: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fourth pass diverges: stopped before it, after it, and on the way back."""
    model, examples = prepared
    honest = loop._one_epoch

    def diverging(state: loop.TrainState, *rest: object) -> tuple[loop.TrainState, float]:
        after, value = honest(state, *rest)
        return after, (float("nan") if state.epoch == 3 and state.rate == 1.0 else value)

    monkeypatch.setattr(loop, "_one_epoch", diverging)
    whole = run_through(model, examples, [], CONFIG)[-1]
    assert (whole.rate, whole.passes) == (0.5, 8)
    store = CheckpointStore(tmp_path, Communicator(), logging.getLogger("test"))
    trainer, state = loop.Trainer(model, examples, [], CONFIG), loop.start(model, CONFIG)
    while not loop.ended(state, CONFIG):
        state = trainer.advance(state)
        store.save(state.passes, *saveable([state]))
        if state.passes in stops:
            (state,) = restored([model], CONFIG, store.load_latest())
            trainer = loop.Trainer(model, examples, [], CONFIG)
    assert bool(eqx.tree_equal(state._replace(history=()), whole._replace(history=())))
    # NaN, where the data have no stress, is not equal to itself.
    np.testing.assert_equal(state.history, whole.history)


def test_weights_spoilt_by_the_last_step_are_not_gone_back_to(
    prepared: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All losses of the epoch before a validation are finite, the weights after it are not."""
    model, examples = prepared
    honest = loop._one_epoch

    def spoiling(state: loop.TrainState, *rest: object) -> tuple[loop.TrainState, float]:
        after, value = honest(state, *rest)
        if state.epoch == 1 and state.rate == 1.0:
            parameters, average = (
                jax.tree.map(lambda leaf: leaf * np.float32(np.nan), tree)
                for tree in (after.weights.parameters, after.weights.average)
            )
            after = after._replace(
                weights=after.weights._replace(parameters=parameters, average=average)
            )
        return after, value

    monkeypatch.setattr(loop, "_one_epoch", spoiling)
    states = run_through(model, examples, [], CONFIG)
    assert [state.epoch for state in states] == [0, 1, 0, 1, 2, 3, 4, 5, 6]
    assert np.isfinite(states[-1].best_score)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(states[-1].best))


@pytest.mark.parametrize("missing", ["energy_weight", "force_weight"])
def test_what_has_no_weight_does_not_keep_a_training_from_its_best(
    prepared: tuple, missing: str
) -> None:
    model, examples = prepared
    examples = [dataclasses.replace(item, **{missing: 0.0}) for item in examples]
    state = run_through(model, examples, [], CONFIG.model_copy(update={"epochs": 60}))[-1]
    error = "force_mae" if missing == "energy_weight" else "energy_mae"
    assert state.best_score == min(row["score"] for row in state.history)
    assert min(row[error] for row in state.history) < 0.7 * state.history[0][error]
    assert not bool(eqx.tree_equal(state.best, loop.start(model, CONFIG).best))


def test_patience_stops_and_the_best_is_kept(prepared: tuple) -> None:
    model, examples = prepared
    config = CONFIG.model_copy(
        update={"epochs": 40, "patience": 1, "validate_every": 1, "learning_rate": 1.0}
    )
    state = run_through(model, examples, examples[:3], config)[-1]
    assert state.epoch < 40
    assert state.best_score < state.history[-1]["score"]


def test_members_are_trained_on_their_own_bags() -> None:
    config = TrainConfig(bag=0.5, mean_share=0.0)
    bags = loop._bags(200, 4, config)
    assert np.all(bags.sum(axis=1) >= 1)
    assert 0.45 < bags.mean() < 0.7
    batch = batches._empty(1, 1, 200, np.dtype(np.float32))._replace(frame=np.arange(200))
    mixture = loop._mixture(batch, bags, 0.0, np.random.default_rng(0))
    np.testing.assert_array_equal(mixture.sum(axis=1), 1.0)
    assert np.all(bags[mixture > 0] == 1.0)
    mean = loop._mixture(batch, bags, 1.0, np.random.default_rng(0))
    np.testing.assert_array_equal(mean, np.float32(0.25))


def test_muon_steps_are_orthogonal_in_hidden_layers_and_nadams_elsewhere(prepared: tuple) -> None:
    model, _ = prepared
    parameters, _ = partition(model)
    config = CONFIG.model_copy(update={"optimiser": "muon", "schedule": "constant"})
    optimiser = make_optimiser(config, steps=1)
    keys = iter(jax.random.split(jax.random.key(3), len(jax.tree.leaves(parameters))))
    gradient = jax.tree.map(lambda p: jax.random.normal(next(keys), p.shape, p.dtype), parameters)
    with jax.numpy_dtype_promotion("standard"):
        step, _ = optimiser.update(gradient, optimiser.init(parameters), parameters)
    for layer in step.networks.weights:
        sizes = np.linalg.svd(np.asarray(layer), compute_uv=False)  # of every member
        one = config.learning_rate * 0.2 * max(layer.shape[1:]) ** 0.5
        # The Newton-Schulz iteration of five steps leaves singular values between 0.68 and 1.13.
        np.testing.assert_allclose(sizes, one, rtol=0.33)
    nadam = make_optimiser(config.model_copy(update={"optimiser": "nadam"}), steps=1)
    with jax.numpy_dtype_promotion("standard"):
        expected, _ = nadam.update(gradient, nadam.init(parameters), parameters)
    others = [
        jax.tree.leaves(eqx.tree_at(lambda m: m.networks.weights, tree, None))
        for tree in (step, expected)
    ]
    for a, b in zip(*others, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
