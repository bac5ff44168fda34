"""One step of stochastic gradient descent: its settings, its state, its compiled function."""

import functools
from collections.abc import Callable
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import optax
from jaxtyping import Float
from optax.contrib import MuonDimensionNumbers, muon
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from thermosearch.configuration import Array
from thermosearch.neural.model import NeuralPotential
from thermosearch.neural.training.batches import Batch
from thermosearch.neural.training.loss import LossConfig, loss
from thermosearch.runtime.study import StrictModel

_SIZE_OF_ADAM = 0.2
"""Root mean square of an orthogonal step's entries, in units of the rate: about that of Adam's."""


class TrainConfig(StrictModel):
    """How to train.

    Attributes
    ----------
    epochs : int
        Passes over the data.
    atoms_seen : int or None
        Length of the training as atoms gone through, instead of `epochs`: as many whole passes
        over the data as come nearest. What a training costs does not depend on the data then.
    batch_atoms : int
        Atoms in a batch.
    optimiser : {"muon", "adam", "adamw", "adabelief", "nadam", "amsgrad"}
        From optax. Muon makes the steps of the networks' hidden layers orthogonal matrices (Liu et
        al., arXiv:2502.16982) and takes Nadam for the rest.
    schedule : {"one_cycle", "cosine", "constant"}
        Of the learning rate.
    learning_rate : float
        Its largest value.
    warm_up : float
        Share of the steps over which the rate rises (one cycle).
    weight_decay : float
        Of adamw, and of muon's matrices.
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
    atoms_seen: PositiveInt | None = None
    batch_atoms: PositiveInt = 192
    optimiser: Literal["muon", "adam", "adamw", "adabelief", "nadam", "amsgrad"] = "adam"
    schedule: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    learning_rate: PositiveFloat = 3e-3
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

    @model_validator(mode="after")
    def _one_length(self) -> "TrainConfig":
        if self.atoms_seen is not None and "epochs" in self.model_fields_set:
            raise ValueError("epochs and atoms_seen both set the length: give one of them")
        return self

    def on(self, atoms: int) -> "TrainConfig":
        """Copy for data of so many atoms, its length in `epochs`."""
        if self.atoms_seen is None:
            return self
        return self.model_copy(update={"epochs": max(1, round(self.atoms_seen / atoms))})


class Weights(NamedTuple):
    """Trained leaves of the model, their moving average, and the state of the optimiser."""

    parameters: NeuralPotential
    average: NeuralPotential
    optimiser: optax.OptState


class Controls(NamedTuple):
    """What changes from step to step: member weights (s, M), loss weight, rate factor, decay."""

    mixture: Float[Array, "s members"]
    energy_weight: Float[Array, ""]
    rate: Float[Array, ""]
    decay: Float[Array, ""]


def partition(model: NeuralPotential) -> tuple[NeuralPotential, NeuralPotential]:
    """Split a model into its trained leaves and the rest; `eqx.combine` joins them."""
    nothing = jax.tree.map(lambda _: False, model)
    everything = jax.tree.map(lambda _: True, (model.descriptor, model.networks))
    which = eqx.tree_at(lambda m: (m.descriptor, m.networks), nothing, everything)
    return eqx.partition(model, which)


@functools.lru_cache(maxsize=4)
def make_step(
    config: TrainConfig, steps: int, per_batch: tuple[float, float, float]
) -> Callable[..., tuple[Weights, jax.Array]]:
    """Make the jitted step; it is compiled once for each batch shape."""
    optimiser = make_optimiser(config, steps)

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


def make_optimiser(config: TrainConfig, steps: int) -> optax.GradientTransformation:
    """Muon, Adam or a relative of it, with the schedule of its learning rate."""
    schedules = {
        "one_cycle": lambda: optax.cosine_onecycle_schedule(
            steps, config.learning_rate, config.warm_up, div_factor=10.0, final_div_factor=300.0
        ),
        "cosine": lambda: optax.cosine_decay_schedule(config.learning_rate, steps),
        "constant": lambda: optax.constant_schedule(config.learning_rate),
    }
    rate = schedules[config.schedule]()
    if config.optimiser == "muon":
        method = muon(
            rate,
            weight_decay=config.weight_decay,
            muon_weight_dimension_numbers=_hidden_layers,
            consistent_rms=_SIZE_OF_ADAM,
        )
    elif config.optimiser == "adamw":
        method = optax.adamw(rate, weight_decay=config.weight_decay)
    else:
        method = getattr(optax, config.optimiser)(rate)
    return optax.chain(optax.clip_by_global_norm(config.clip), method)


def _hidden_layers(parameters: NeuralPotential) -> NeuralPotential:
    """Axes of the matrices (members, in, out) of the hidden layers; None elsewhere."""
    nothing = jax.tree.map(lambda _: None, parameters)
    matrix = MuonDimensionNumbers(reduction_axis=1, output_axis=2)
    layers = (matrix,) * len(parameters.networks.weights)
    return eqx.tree_at(lambda m: m.networks.weights, nothing, layers, is_leaf=lambda x: x is None)
