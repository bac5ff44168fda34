"""The training loop: stochastic gradient steps, averaged parameters, the best of them kept."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float

from thermosearch.neural.config import ModelConfig
from thermosearch.neural.model import NeuralPotential
from thermosearch.neural.training.batches import (
    Batch,
    Bucket,
    Example,
    buckets,
    epoch,
    packing,
)
from thermosearch.neural.training.loss import Prediction, predict
from thermosearch.neural.training.step import (
    Controls,
    TrainConfig,
    Weights,
    make_optimiser,
    make_step,
    partition,
)
from thermosearch.potentials.interface import Properties
from thermosearch.runtime.errors import InputError

_predict = eqx.filter_jit(predict)


class Validated(NamedTuple):
    """Where a training goes back to when it diverges: its last validation, or its start."""

    weights: Weights
    epoch: int = 0
    steps: int = 0


class TrainState(NamedTuple):
    """All that a training is at the end of an epoch; its arrays are its checkpoint.

    Attributes
    ----------
    weights : Weights
        As they are.
    best : NeuralPotential
        Averaged parameters of the best validation.
    good : Validated
        What it goes back to.
    epoch, steps : int
        Done so far.
    passes : int
        Epochs gone through, those that diverged and were taken back included: it only grows.
    retries : int
        Divergences since `good`.
    best_score : float
        Validation score of `best`.
    stale : int
        Validations since.
    rate : float
        Factor on the learning rate, halved after each divergence.
    history : tuple of dict
        One entry for each validation.
    """

    weights: Weights
    best: NeuralPotential
    good: Validated
    epoch: int = 0
    steps: int = 0
    passes: int = 0
    retries: int = 0
    best_score: float = float("inf")
    stale: int = 0
    rate: float = 1.0
    history: tuple[dict[str, float], ...] = ()


def start(model: NeuralPotential, config: TrainConfig) -> TrainState:
    """State before the first step."""
    parameters, _ = partition(model)
    # Only the steps of the schedule depend on how many there will be.
    optimiser = make_optimiser(config, steps=1).init(parameters)
    weights = Weights(parameters, parameters, optimiser)
    return TrainState(weights, best=parameters, good=Validated(weights))


def ended(state: TrainState, config: TrainConfig) -> bool:
    """Whether all epochs are done, or no better has been found for too long."""
    impatient = config.patience is not None and state.stale > config.patience
    return impatient or state.epoch >= config.epochs


def trained(model: NeuralPotential, state: TrainState) -> NeuralPotential:
    """Model with the averaged parameters of the best validation."""
    return eqx.combine(state.best, partition(model)[1])


class Trainer:
    """Takes the training of a model from epoch to epoch.

    All that is trained is in the state, so that a resumed training gives the numbers of an
    uninterrupted one; the trainer holds the data in batches and the compiled step.
    """

    def __init__(
        self,
        model: NeuralPotential,
        train: Sequence[Example],
        held_out: Sequence[Example],
        config: TrainConfig,
    ) -> None:
        """Make ready.

        Parameters
        ----------
        model : NeuralPotential
            Normalised, with its references.
        train, held_out : sequence of Example
            Without hold-out the training data validate.
        config : TrainConfig
        """
        shapes = buckets(train, config.batch_atoms, config.buckets)
        generator = np.random.default_rng([config.seed, 0, 0])
        batches = sum(1 for _ in packing(train, shapes, generator))
        self._config, (_, self._frozen) = config, partition(model)
        # Seeds are no business of the compiled step, so that trainings of other seeds share it.
        seedless = config.model_copy(update={"seed": 0})
        self._take_step = make_step(seedless, config.epochs * batches, _per_batch(train, batches))
        self._check = validator(held_out or train, config)
        self._shuffled = _Shuffled(train, shapes, config, model.config)

    def advance(self, state: TrainState) -> TrainState:
        """State an epoch later; or, where loss or errors are not finite, back at half the rate.

        Raises
        ------
        InputError
            They were not finite again and again.
        """
        config, frozen = self._config, self._frozen
        batches = self._shuffled.epoch(state.epoch)
        after, value = _one_epoch(state, frozen, batches, config, self._take_step)
        sound = np.isfinite(value)
        if sound and (after.epoch % config.validate_every == 0 or after.epoch == config.epochs):
            after = _validated(after, frozen, self._check, value, config)
            # The last step of an epoch may spoil the weights when all its losses are finite.
            sound = np.isfinite(after.history[-1]["score"])
        return (after if sound else _taken_back(state, config))._replace(passes=state.passes + 1)


class _Shuffled:
    """The training data in batches, packed anew every few epochs and drawn in another order each.

    What is random depends on seed and epoch alone, so that a resumed run agrees.
    """

    def __init__(
        self,
        train: Sequence[Example],
        shapes: Sequence[Bucket],
        config: TrainConfig,
        model: ModelConfig,
    ) -> None:
        self._train, self._shapes, self._config = train, shapes, config
        self._precision = model.precision
        self._bags = _bags(len(train), model.members, config)
        self._packed: tuple[int, list[Batch]] = (-1, [])

    def epoch(self, number: int) -> Iterator[tuple[Batch, Float[np.ndarray, "s members"]]]:
        """Batches of an epoch, each with its shares in the losses of the members."""
        age = number // self._config.repack_every
        if age != self._packed[0]:
            generator = np.random.default_rng([self._config.seed, 0, age])
            batches = epoch(self._train, self._shapes, generator, self._precision)
            self._packed = age, [jax.device_put(batch) for batch in batches]
        generator = np.random.default_rng([self._config.seed, 1, number])
        for k in generator.permutation(len(self._packed[1])):
            batch = self._packed[1][k]
            yield batch, _mixture(batch, self._bags, self._config.mean_share, generator)


def _one_epoch(
    state: TrainState,
    frozen: NeuralPotential,
    batches: Iterator[tuple[Batch, Float[np.ndarray, "s members"]]],
    config: TrainConfig,
    take_step: Callable[..., tuple[Weights, jax.Array]],
) -> tuple[TrainState, float]:
    """State after a pass over the data, and the mean loss in it."""
    weights, steps, values = state.weights, state.steps, []
    growth = config.loss.energy_end / config.loss.energy
    energy_weight = config.loss.energy * growth ** (state.epoch / config.epochs)
    for batch, mixture in batches:
        # The memory is short at first, so that the average forgets the random start.
        decay = min(1.0 - 1.0 / config.average_steps, (1.0 + steps) / (10.0 + steps))
        scalars = (np.asarray(x, mixture.dtype) for x in (energy_weight, state.rate, decay))
        weights, value = take_step(weights, frozen, batch, Controls(mixture, *scalars))
        values.append(value)
        steps += 1
    mean = float(np.mean(jax.device_get(values)))
    return state._replace(weights=weights, epoch=state.epoch + 1, steps=steps), mean


def _taken_back(state: TrainState, config: TrainConfig) -> TrainState:
    """State the training goes on from when the epoch after `state` diverged."""
    good, retries = state.good, state.retries + 1
    if retries > config.retries:
        raise InputError(
            f"training diverged {retries} times, last in epoch {state.epoch + 1}: lower "
            f"learning_rate (now {config.learning_rate * state.rate:g})"
        )
    # Best, score and history change in validations alone, so they are those of `good` still.
    return state._replace(
        weights=good.weights,
        epoch=good.epoch,
        steps=good.steps,
        retries=retries,
        rate=0.5 * state.rate,
    )


def _validated(
    state: TrainState,
    frozen: NeuralPotential,
    check: Callable[[NeuralPotential], dict[str, float]],
    value: float,
    config: TrainConfig,
) -> TrainState:
    errors = check(eqx.combine(state.weights.average, frozen))
    terms = (
        errors["energy_mae"] / config.loss.energy_scale,
        errors["force_mae"] / config.loss.force_scale,
    )
    # What is not trained on (no labels, or of no weight) has no error.
    score = sum(term for term in terms if not np.isnan(term))
    entry = {"epoch": state.epoch, "loss_train": value, "score": score, **errors}
    good = Validated(state.weights, state.epoch, state.steps)
    state = state._replace(history=(*state.history, entry), good=good, retries=0)
    if not score < state.best_score:
        return state._replace(stale=state.stale + 1)
    return state._replace(best=state.weights.average, best_score=score, stale=0)


def validator(
    examples: Sequence[Example], config: TrainConfig
) -> Callable[[NeuralPotential], dict[str, float]]:
    """Make a function that gives the mean absolute errors of a model's mean on these data.

    Frames count by their weights, as in the loss. The function returns `energy_mae` (eV/atom),
    `force_mae` (eV/A) and `stress_mae` (eV/A^3): NaN where no frame has the label with a weight,
    infinite where the model's predictions are not finite.
    """
    shapes = buckets(examples, config.batch_atoms, config.buckets)
    packed: list[Batch] = []

    def errors(model: NeuralPotential) -> dict[str, float]:
        if not packed:
            packed.extend(epoch(examples, shapes, None, model.config.precision))
        sums = dict.fromkeys(("energy", "force", "stress"), (0.0, 0.0))
        for batch in packed:
            got = _mean_prediction(model, batch)
            deviations = {
                "energy": ((got.energy - batch.energy) / batch.atoms, batch.energy_weight),
                "force": (got.forces - batch.forces, batch.force_weight[:, None]),
                "stress": (got.stress - batch.stress, batch.stress_weight[:, None, None]),
            }
            for name, (deviation, weight) in deviations.items():
                weights = np.broadcast_to(weight, deviation.shape).astype(np.float64)
                total, norm = sums[name]
                sums[name] = (total + np.sum(weights * np.abs(deviation)), norm + weights.sum())
        return {f"{name}_mae": _mean(total, norm) for name, (total, norm) in sums.items()}

    return errors


def _mean(total: float, norm: float) -> float:
    if norm == 0.0:
        return float("nan")
    return float(total / norm) if np.isfinite(total) else float("inf")


def predicted(
    model: NeuralPotential, examples: Sequence[Example], config: TrainConfig
) -> list[Properties]:
    """Energies (with references), forces and stress of all examples by the batches of training.

    Faster than `potentials.evaluate` for data whose neighbours and moments are made already.
    """
    found: dict[int, Properties] = {}
    if not examples:
        return []
    shapes = buckets(examples, config.batch_atoms, config.buckets)
    for batch in epoch(examples, shapes, None, model.config.precision):
        got = _mean_prediction(model, batch)
        for k, position in enumerate(batch.frame.tolist()):
            if position >= 0:
                reference = np.asarray(model.references)[examples[position].species].sum()
                found[position] = Properties(
                    np.asarray(got.energy[k] + reference),
                    got.forces[batch.structure == k].astype(np.float64),
                    got.stress[k].astype(np.float64),
                )
    return [found[k] for k in range(len(examples))]


def _mean_prediction(model: NeuralPotential, batch: Batch) -> Prediction:
    """Prediction of the committee's mean, numpy arrays."""
    members = model.config.members
    mixture = np.full((len(batch.frame), members), 1.0 / members, batch.vectors.dtype)
    return jax.device_get(_predict(model, batch, mixture))


def _per_batch(examples: Sequence[Example], batches: int) -> tuple[float, float, float]:
    """Weighted energies, force components and stresses of an average batch."""
    energies = sum(item.energy_weight for item in examples)
    forces = sum(3 * item.atoms * item.force_weight for item in examples)
    stresses = sum(item.stress_weight for item in examples)
    return tuple(max(total / batches, 1e-6) for total in (energies, forces, stresses))


def _bags(frames: int, members: int, config: TrainConfig) -> Float[np.ndarray, "frames members"]:
    """Which member may be trained on which frame by itself; every frame has one member."""
    generator = np.random.default_rng([config.seed, 2])
    inside = generator.random((frames, members)) < config.bag
    inside[np.arange(frames), generator.integers(members, size=frames)] = True
    return inside.astype(np.float64)


def _mixture(
    batch: Batch,
    bags: Float[np.ndarray, "frames members"],
    mean_share: float,
    generator: np.random.Generator,
) -> Float[np.ndarray, "s members"]:
    """Weights of the members for each structure of a batch: the mean, or one of them."""
    members = bags.shape[1]
    allowed = bags[np.asarray(batch.frame)]
    keys = np.where(allowed > 0, generator.random(allowed.shape), -1.0)
    single = np.eye(members)[np.argmax(keys, axis=1)]
    mean = generator.random(len(allowed)) < mean_share
    mixture = np.where(mean[:, None], 1.0 / members, single)
    return mixture.astype(batch.vectors.dtype)
