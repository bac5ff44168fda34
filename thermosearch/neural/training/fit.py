"""The training loop: stochastic gradient steps, averaged parameters, the best of them kept."""

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import numpy as np
import optax
from jaxtyping import Float
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from thermosearch.configuration import Array
from thermosearch.neural.model import NeuralPotential
from thermosearch.neural.training.batches import Batch, Example, buckets, epoch, packing
from thermosearch.neural.training.loss import LossConfig, loss, predict
from thermosearch.runtime.errors import InputError
from thermosearch.runtime.study import StrictModel

_log = logging.getLogger(__name__)
_predict = eqx.filter_jit(predict)


class TrainConfig(StrictModel):
    """How to train.

    Attributes
    ----------
    epochs : int
        Passes over the data.
    batch_atoms : int
        Atoms in a batch.
    optimiser : {"adam", "adamw", "adabelief", "nadam", "amsgrad"}
        From optax.
    schedule : {"one_cycle", "cosine", "constant"}
        Of the learning rate.
    learning_rate : float
        Its largest value.
    warm_up : float
        Share of the steps over which the rate rises (one cycle).
    weight_decay : float
        Of adamw.
    clip : float
        Largest norm of the gradient.
    average_steps : float
        Memory of the exponential moving average of the parameters, in steps.
    mean_share : float
        Share of structures on which the committee's mean is trained; the others train one
        member each, drawn at random.
    bag : float
        Share of the structures each member is trained on by itself.
    buckets : int
        Number of batch shapes.
    repack_every : int
        Epochs for which the same structures stay together in a batch; the order of the batches
        changes every epoch.
    validate_every : int
        Epochs between validations.
    patience : int or None
        Stop after so many validations without improvement.
    retries : int
        How often a diverged run goes back to its last good state with half the rate.
    seed : int
    loss : LossConfig
    """

    epochs: PositiveInt = 300
    batch_atoms: PositiveInt = 192
    optimiser: Literal["adam", "adamw", "adabelief", "nadam", "amsgrad"] = "adam"
    schedule: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    learning_rate: PositiveFloat = 5e-3
    warm_up: float = Field(default=0.1, gt=0.0, lt=1.0)
    weight_decay: NonNegativeFloat = 0.0
    clip: PositiveFloat = 10.0
    average_steps: float = Field(default=300.0, ge=1.0)
    mean_share: float = Field(default=0.5, ge=0.0, le=1.0)
    bag: float = Field(default=1.0, gt=0.0, le=1.0)
    buckets: PositiveInt = 1
    repack_every: PositiveInt = 10
    validate_every: PositiveInt = 5
    patience: PositiveInt | None = None
    retries: NonNegativeInt = 3
    seed: NonNegativeInt = 0
    loss: LossConfig = LossConfig()


class Weights(NamedTuple):
    """Trained leaves of the model, their moving average, and the state of the optimiser."""

    parameters: NeuralPotential
    average: NeuralPotential
    optimiser: optax.OptState


class TrainState(NamedTuple):
    """All that a training is at the end of an epoch; its arrays are its checkpoint.

    Attributes
    ----------
    weights : Weights
        As they are.
    best : NeuralPotential
        Averaged parameters of the best validation.
    epoch, steps : int
        Done so far.
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
    epoch: int = 0
    steps: int = 0
    best_score: float = float("inf")
    stale: int = 0
    rate: float = 1.0
    history: tuple[dict[str, float], ...] = ()


class Controls(NamedTuple):
    """What changes from step to step: member weights (s, M), loss weight, rate factor, decay."""

    mixture: Float[Array, "s members"]
    energy_weight: Float[Array, ""]
    rate: Float[Array, ""]
    decay: Float[Array, ""]


def start(model: NeuralPotential, config: TrainConfig, steps: int) -> TrainState:
    """State before the first step."""
    trained, _ = partition(model)
    optimiser = _optimiser(config, steps).init(trained)
    return TrainState(Weights(trained, trained, optimiser), best=trained)


def partition(model: NeuralPotential) -> tuple[NeuralPotential, NeuralPotential]:
    """Split a model into its trained leaves and the rest; `eqx.combine` joins them."""
    nothing = jax.tree.map(lambda _: False, model)
    everything = jax.tree.map(lambda _: True, (model.descriptor, model.networks))
    which = eqx.tree_at(lambda m: (m.descriptor, m.networks), nothing, everything)
    return eqx.partition(model, which)


def fit(
    model: NeuralPotential,
    train: Sequence[Example],
    held_out: Sequence[Example],
    config: TrainConfig,
    *,
    resume: TrainState | None = None,
    after_epoch: Callable[[TrainState], bool] = lambda state: False,
) -> tuple[NeuralPotential, TrainState]:
    """Train a model.

    Parameters
    ----------
    model : NeuralPotential
        Normalised, with its references.
    train, held_out : sequence of Example
        Without hold-out the training data validate.
    config : TrainConfig
    resume : TrainState, optional
        Go on from here; the result is that of the uninterrupted run.
    after_epoch : callable
        Called with the state after every epoch (to write a checkpoint, to show progress); the
        training ends early if it returns True.

    Returns
    -------
    model : NeuralPotential
        With the averaged parameters of the best validation.
    state : TrainState

    Raises
    ------
    InputError
        The loss became NaN again and again.
    """
    shapes = buckets(train, config.batch_atoms, config.buckets)
    generator = np.random.default_rng([config.seed, 0, 0])
    batches = sum(1 for _ in packing(train, shapes, generator))
    steps = config.epochs * batches
    _, frozen = partition(model)
    take_step = _step(config, steps, _per_batch(train, batches))
    check = validator(held_out or train, config)
    bags = _bags(len(train), model.config.members, config)

    packed: dict[int, list[Batch]] = {}

    def batches_of(number: int) -> Iterator[tuple[Batch, Float[np.ndarray, "s members"]]]:
        # Randomness depends on seed and epoch alone, so that a resumed run agrees.
        age = number // config.repack_every
        if age not in packed:
            packed.clear()
            generator = np.random.default_rng([config.seed, 0, age])
            packed[age] = [
                jax.device_put(batch)
                for batch in epoch(train, shapes, generator, model.config.precision)
            ]
        generator = np.random.default_rng([config.seed, 1, number])
        for k in generator.permutation(len(packed[age])):
            batch = packed[age][k]
            yield batch, _mixture(batch, bags, config.mean_share, generator)

    state = resume or start(model, config, steps)
    last_good, retries = state, 0
    while state.epoch < config.epochs:
        state, value = _one_epoch(state, frozen, batches_of(state.epoch), config, take_step)
        if not np.isfinite(value):
            retries += 1
            if retries > config.retries:
                raise InputError(
                    f"training diverged {retries} times, last in epoch {state.epoch}: lower "
                    f"learning_rate (now {config.learning_rate * state.rate:g})"
                )
            rate = last_good.rate * 0.5**retries
            _log.warning(
                "loss not finite in epoch %d: back to epoch %d with %g of the learning rate",
                *(state.epoch, last_good.epoch, rate),
            )
            state = last_good._replace(rate=rate)
            continue
        if state.epoch % config.validate_every == 0 or state.epoch == config.epochs:
            state = _validated(state, frozen, check, value, config)
            last_good, retries = state, 0
        if after_epoch(state):
            break
        if config.patience is not None and state.stale > config.patience:
            _log.info("no better for %d validations: stopped", state.stale)
            break
    return eqx.combine(state.best, frozen), state


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


def _validated(
    state: TrainState,
    frozen: NeuralPotential,
    check: Callable[[NeuralPotential], dict[str, float]],
    value: float,
    config: TrainConfig,
) -> TrainState:
    errors = check(eqx.combine(state.weights.average, frozen))
    score = (
        errors["energy_mae"] / config.loss.energy_scale
        + errors["force_mae"] / config.loss.force_scale
    )
    entry = {"epoch": state.epoch, "loss_train": value, "score": score, **errors}
    state = state._replace(history=(*state.history, entry))
    if not score < state.best_score:
        return state._replace(stale=state.stale + 1)
    return state._replace(best=state.weights.average, best_score=score, stale=0)


def validator(
    examples: Sequence[Example], config: TrainConfig
) -> Callable[[NeuralPotential], dict[str, float]]:
    """Make a function that gives the mean absolute errors of a model's mean on these data.

    Frames count by their weights, as in the loss. The function returns `energy_mae` (eV/atom),
    `force_mae` (eV/A) and `stress_mae` (eV/A^3;
    NaN without stresses).
    """
    shapes = buckets(examples, config.batch_atoms, config.buckets)
    packed: list[Batch] = []

    def errors(model: NeuralPotential) -> dict[str, float]:
        members = model.config.members
        sums = dict.fromkeys(("energy", "force", "stress"), (0.0, 0.0))
        if not packed:
            packed.extend(epoch(examples, shapes, None, model.config.precision))
        for batch in packed:
            mixture = np.full((len(batch.frame), members), 1.0 / members, batch.vectors.dtype)
            got = jax.device_get(_predict(model, batch, mixture))
            deviations = {
                "energy": ((got.energy - batch.energy) / batch.atoms, batch.energy_weight),
                "force": (got.forces - batch.forces, batch.force_weight[:, None]),
                "stress": (got.stress - batch.stress, batch.stress_weight[:, None, None]),
            }
            for name, (deviation, weight) in deviations.items():
                weights = np.broadcast_to(weight, deviation.shape).astype(np.float64)
                total, norm = sums[name]
                sums[name] = (total + np.sum(weights * np.abs(deviation)), norm + weights.sum())
        return {
            f"{name}_mae": float(total / norm) if norm > 0 else float("nan")
            for name, (total, norm) in sums.items()
        }

    return errors


@functools.lru_cache(maxsize=4)
def _step(
    config: TrainConfig, steps: int, per_batch: tuple[float, float, float]
) -> Callable[..., tuple[Weights, jax.Array]]:
    """Make the jitted step; it is compiled once for each batch shape."""
    optimiser = _optimiser(config, steps)

    @jax.jit
    def step(
        weights: Weights, frozen: NeuralPotential, batch: Batch, controls: Controls
    ) -> tuple[Weights, jax.Array]:
        def objective(trained: NeuralPotential) -> Float[Array, ""]:
            model = eqx.combine(trained, frozen)
            terms = (controls.mixture, controls.energy_weight)
            return loss(model, batch, *terms, config=config.loss, per_batch=per_batch)

        value, gradient = jax.value_and_grad(objective)(weights.parameters)
        # The schedules of optax mix integers and floats.
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimiser.update(gradient, weights.optimiser, weights.parameters)
        rate, decay = controls.rate, controls.decay
        parameters = jax.tree.map(lambda p, u: p + rate * u, weights.parameters, updates)
        average = jax.tree.map(lambda a, p: a + (1 - decay) * (p - a), weights.average, parameters)
        return Weights(parameters, average, state), value

    return step


def _optimiser(config: TrainConfig, steps: int) -> optax.GradientTransformation:
    schedules = {
        "one_cycle": lambda: optax.cosine_onecycle_schedule(
            steps, config.learning_rate, config.warm_up, div_factor=10.0, final_div_factor=300.0
        ),
        "cosine": lambda: optax.cosine_decay_schedule(config.learning_rate, steps),
        "constant": lambda: optax.constant_schedule(config.learning_rate),
    }
    rate = schedules[config.schedule]()
    if config.optimiser == "adamw":
        method = optax.adamw(rate, weight_decay=config.weight_decay)
    else:
        method = getattr(optax, config.optimiser)(rate)
    return optax.chain(optax.clip_by_global_norm(config.clip), method)


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
