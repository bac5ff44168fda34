"""Training: flat batches against the interface, packing, references, resume, divergence."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from thermosearch.configuration import from_ase
from thermosearch.dataset import Dataset, Frame
from thermosearch.neural.config import ModelConfig
from thermosearch.neural.model import NeuralPotential
from thermosearch.neural.training import batches
from thermosearch.neural.training import fit as loop
from thermosearch.neural.training import moments as moments_module
from thermosearch.neural.training.batches import Example, buckets, epoch, example, packing
from thermosearch.neural.training.loss import LossConfig, loss, predict
from thermosearch.neural.training.moments import with_moments
from thermosearch.neural.training.references import normalised, reference_energies
from thermosearch.neural.training.saved import restored, saveable
from thermosearch.neural.training.split import stratified_split
from thermosearch.neural.training.step import TrainConfig
from thermosearch.potentials.interface import energy_forces_stress
from thermosearch.potentials.neighbours_host import host_neighbours
from thermosearch.runtime.checkpoint import Checkpoint, CheckpointStore
from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.errors import InputError

ELEMENTS = (29, 79)
CUTOFF = 3.4


def alloy(seed: int, repeat: tuple[int, int, int]) -> Atoms:
    generator = np.random.default_rng(seed)
    atoms = bulk("Cu", a=3.75) * repeat
    atoms.numbers[generator.random(len(atoms)) < 0.4] = 79
    atoms.set_cell(atoms.cell @ (np.eye(3) + 0.04 * generator.normal(size=(3, 3))), True)
    atoms.rattle(0.12, seed=seed)
    return atoms


def labelled(atoms: Atoms, index: int, group: str = "") -> Frame:
    atoms.calc = EMT()
    return Frame(
        from_ase(atoms),
        float(atoms.get_potential_energy()),
        atoms.get_forces(),
        atoms.get_stress(voigt=False),
        group,
        index,
    )


@pytest.fixture(scope="module")
def data() -> Dataset:
    sizes = [(1, 1, 1), (2, 1, 1), (2, 2, 1), (2, 2, 2), (3, 1, 1), (1, 1, 2)] * 3
    groups = ["small" if np.prod(size) < 4 else "large" for size in sizes]
    frames = [
        labelled(alloy(k, size), k, group)
        for k, (size, group) in enumerate(zip(sizes, groups, strict=True))
    ]
    return Dataset(tuple(frames), "emt")


def model_of(precision: str, members: int = 2) -> NeuralPotential:
    config = ModelConfig(
        elements=("Cu", "Au"),
        cutoff=CUTOFF,
        n_max=2,
        l_max=1,
        channels=2,
        radial=(3, 2),
        angular_smoothness=4.0,
        widths=(6,),
        members=members,
        precision=precision,
    )
    return NeuralPotential.initial(config, jax.random.key(1))


def examples_of(data: Dataset, model: NeuralPotential) -> list[Example]:
    references = np.asarray(model.references)
    return [
        example(frame, ELEMENTS, CUTOFF, references, precision=model.config.precision)
        for frame in data
    ]


@pytest.fixture(scope="module")
def prepared(data: Dataset) -> tuple[NeuralPotential, list[Example]]:
    """float32 model with references and scales, and its examples."""
    model = model_of("float32")
    references = jnp.asarray(reference_energies(data, ELEMENTS))
    model = eqx.tree_at(lambda m: m.references, model, references)
    examples = examples_of(data, model)
    return normalised(model, examples), examples


def test_flat_batch_gives_what_the_interface_gives(data: Dataset) -> None:
    """Energies, forces, stress of all structures of a batch, of the mean and of one member."""
    model = model_of("float64")
    model = eqx.tree_at(lambda m: m.references, model, jnp.asarray([-1.0, 2.0]))
    examples = examples_of(data, model)
    shapes = buckets(examples, atoms=20, most=1)
    exactly = eqx.filter_jit(energy_forces_stress)
    of_members = eqx.filter_jit(NeuralPotential.member_energies)
    seen = []
    for batch in epoch(examples, shapes, None, "float64"):
        mixture = np.full((len(batch.frame), 2), 0.5)
        got = eqx.filter_jit(predict)(model, batch, mixture)
        first = eqx.filter_jit(predict)(model, batch, np.eye(2)[np.zeros(len(mixture), int)])
        for k, position in enumerate(batch.frame[batch.frame >= 0].tolist()):
            configuration = data[position].configuration
            neighbours = host_neighbours(configuration, CUTOFF)
            exact = exactly(model, configuration, neighbours)
            offset = sum(-1.0 if z == 29 else 2.0 for z in configuration.numbers)
            assert float(got.energy[k]) == pytest.approx(float(exact.energy) - offset, abs=1e-10)
            rows = batch.structure == k
            np.testing.assert_allclose(got.forces[rows], exact.forces, atol=1e-10)
            np.testing.assert_allclose(got.stress[k], exact.stress, atol=1e-10)
            member = of_members(model, configuration, neighbours)[0]
            assert float(first.energy[k]) == pytest.approx(float(member) - offset, abs=1e-10)
            seen.append(position)
    assert sorted(seen) == list(range(len(data)))


@pytest.mark.parametrize(("radial", "descriptors"), [((3, 2, 2), 1), ((3, 2, 2), 2), (None, 1)])
def test_moments_give_what_the_pairs_give(radial: tuple[int, ...] | None, descriptors: int) -> None:
    """The two ways to energies, forces and stress of a one-element model, repulsion included."""
    config = ModelConfig(
        elements=("Cu",),
        cutoff=CUTOFF,
        n_max=3,
        l_max=2,
        radial=radial,
        smoothness=2.0,
        feature_bound=5.0,
        couplings=((1, 1, 2),),
        coupling_channels=2,
        widths=(5,),
        members=2,
        descriptors=descriptors,
        precision="float64",
        repulsion=(0.8, 1.2),
    )
    model = NeuralPotential.initial(config, jax.random.key(3))
    sizes = ((1, 1, 1), (2, 2, 1), (3, 1, 1))
    frames = []
    for k, size in enumerate(sizes):
        atoms = alloy(k, size)
        atoms.numbers[:] = 29
        frames.append(labelled(atoms, k))
    plain = [example(f, (29,), CUTOFF, np.zeros(1), precision="float64") for f in frames]
    shapes = buckets(plain, 16, 1)
    (pairs,) = epoch(plain, shapes, None, "float64")
    (moments,) = epoch(with_moments(plain, model), shapes, None, "float64")
    assert moments.moments is not None
    assert np.abs(moments.fixed_energy).max() > 1e-3
    mixture = np.tile([0.3, 0.7], (len(pairs.frame), 1))
    for a, b in zip(predict(model, pairs, mixture), predict(model, moments, mixture), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


def test_sets_too_large_for_moments_go_through_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    config = ModelConfig(elements=("Cu",), cutoff=CUTOFF, n_max=3, l_max=2, widths=(5,))
    model = NeuralPotential.initial(config, jax.random.key(0))
    atoms = alloy(0, (1, 1, 1))
    atoms.numbers[:] = 29
    item = example(labelled(atoms, 0), (29,), CUTOFF, np.zeros(1))
    # (n_max - l + 1)(2 l + 1) moments, three slopes, four bytes.
    size = item.filled.size * 3 * (4 * 1 + 3 * 3 + 2 * 5) * 4
    monkeypatch.setattr(moments_module, "_MOST_BYTES", size)
    assert with_moments([item], model)[0].moments is not None
    monkeypatch.setattr(moments_module, "_MOST_BYTES", size - 1)
    assert with_moments([item], model) == (item,)


def test_every_structure_once_in_full_batches(prepared: tuple) -> None:
    _, examples = prepared
    shapes = buckets(examples, atoms=16, most=2)
    assert sum(len(shape.members) for shape in shapes) == len(examples)
    seen, rows, used = [], 0, 0
    for batch in epoch(examples, shapes, np.random.default_rng(0)):
        seen += batch.frame[batch.frame >= 0].tolist()
        rows += len(batch.structure)
        used += int(np.sum(batch.structure < len(batch.frame)))
        for k, position in enumerate(batch.frame):
            if position >= 0:
                assert np.sum(batch.structure == k) == examples[position].atoms
                assert batch.vectors.shape[1] >= examples[position].neighbours
    assert sorted(seen) == list(range(len(examples)))
    assert used / rows > 0.6


def test_a_batch_has_no_more_rows_than_its_structures_fill() -> None:
    """Six structures of 8 atoms: two batches of three, not of five and one in 40 rows."""
    items = [
        example(labelled(alloy(k, (2, 2, 2)), k), (29, 79), CUTOFF, np.zeros(2)) for k in range(6)
    ]
    assert [item.atoms for item in items] == [8] * 6
    for wanted, rows, most in (
        (48, 48, 6),
        (40, 24, 3),
        (30, 24, 3),
        (20, 16, 2),
        (8, 8, 1),
        (5, 8, 1),
    ):
        (bucket,) = buckets(items, wanted, 1)
        assert bucket.atoms == rows
        assert max(len(chosen) for _, chosen in packing(items, [bucket], None)) == most


def test_mean_loss_of_an_epoch_does_not_depend_on_packing(prepared: tuple) -> None:
    model, examples = prepared
    config = LossConfig()
    values = []
    for atoms in (16, 48):
        shapes = buckets(examples, atoms, most=1)
        plan = list(epoch(examples, shapes, None))
        per_batch = loop._per_batch(examples, len(plan))
        parts = [
            loss(
                *(model, batch, np.full((len(batch.frame), 2), 0.5, np.float32)),
                np.asarray(0.1, np.float32),
                config=config,
                per_batch=per_batch,
            )
            for batch in plan
        ]
        values.append(np.mean(parts))
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_weight_zero_where_a_label_is_missing(data: Dataset) -> None:
    model = model_of("float32")
    bare = dataclasses.replace(data[0], forces=None, stress=None)
    item = example(bare, ELEMENTS, CUTOFF, np.zeros(2))
    assert (item.energy_weight, item.force_weight, item.stress_weight) == (1.0, 0.0, 0.0)
    values = []
    for labels in (np.zeros((1, 3)), np.full((1, 3), 7.0)):
        changed = dataclasses.replace(item, forces=labels)
        (batch,) = epoch([changed], buckets([changed], 1), None)
        mixture = np.full((len(batch.frame), 2), 0.5, np.float32)
        terms = (mixture, np.asarray(1.0, np.float32))
        values.append(
            float(loss(model, batch, *terms, config=LossConfig(), per_batch=(1.0, 1.0, 1.0)))
        )
    assert values[0] == values[1]


def test_reference_energies_are_exact_for_ideal_mixtures() -> None:
    frames = []
    for seed in range(4):
        atoms = alloy(seed, (2, 2, 1))
        energy = sum(-3.0 if z == 29 else -5.0 for z in atoms.numbers)
        frames.append(Frame(from_ase(atoms), energy))
    found = reference_energies(Dataset(tuple(frames)), ELEMENTS)
    np.testing.assert_allclose(found, [-3.0, -5.0], atol=1e-9)


def test_normalised_features_have_zero_mean_and_damped_deviation(prepared: tuple) -> None:
    model, examples = prepared
    species = np.concatenate([item.species for item in examples])
    features = []
    for item in examples:
        rows = (jnp.asarray(x) for x in (item.vectors, item.filled, item.partners))
        features.append(np.asarray(model.descriptor(*rows)))
    stacked = np.concatenate(features)
    for element in (0, 1):
        own = stacked[species == element]
        scaled = (own - model.feature_shift[element]) * model.feature_gain[element]
        np.testing.assert_allclose(scaled.mean(axis=0), 0.0, atol=1e-3)
        # Three pair terms, L = 0; two products of vectors, L = 2: 1 / (1 + (2 / 4)^2).
        np.testing.assert_allclose(scaled.std(axis=0), [1, 1, 1, 0.8, 0.8], atol=1e-3)


def test_hold_out_has_its_share_of_every_group(data: Dataset) -> None:
    train, held = stratified_split(data, 1 / 3, seed=0)
    assert sorted(train + held) == list(range(len(data)))
    for group in ("small", "large"):
        members = [k for k in range(len(data)) if data[k].group == group]
        share = len(set(members) & set(held)) / len(members)
        assert 0.2 < share < 0.45
    assert stratified_split(data, 1 / 3, seed=0) == (train, held)
    assert stratified_split(data, 1 / 3, seed=1) != (train, held)
    assert stratified_split(data, 0.0, seed=0)[1] == ()


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


def test_training_learns(prepared: tuple) -> None:
    model, examples = prepared
    config = CONFIG.model_copy(update={"epochs": 60})
    state = run_through(model, examples, [], config)[-1]
    first, last = state.history[0], state.history[-1]
    assert last["energy_mae"] < 0.5 * first["energy_mae"]
    assert last["force_mae"] < 0.5 * first["force_mae"]
    assert state.best_score == min(row["score"] for row in state.history)
    members = np.asarray(loop.trained(model, state).networks.output)
    assert np.abs(members[0] - members[1]).max() > 1e-3


def test_resumed_training_agrees_bit_for_bit(prepared: tuple) -> None:
    model, examples = prepared
    data = (model, examples, examples[:3], CONFIG)
    whole = run_through(*data)[-1]
    half = run_through(*data, epochs=3)[-1]
    assert half.epoch == 3
    (again,) = restored([model], CONFIG, Checkpoint(3, *saveable([half])))
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
