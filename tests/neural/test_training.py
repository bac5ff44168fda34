"""Training data: flat batches against the interface, packing, references, hold-out."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from neural.alloys import CUTOFF, ELEMENTS, alloy, examples_of, labelled, model_of

from thermosearch.configuration import from_ase
from thermosearch.dataset import Dataset, Frame
from thermosearch.neural.config import ModelConfig
from thermosearch.neural.model import NeuralPotential
from thermosearch.neural.training import fit as loop
from thermosearch.neural.training import moments as moments_module
from thermosearch.neural.training.batches import buckets, epoch, example, packing
from thermosearch.neural.training.loss import LossConfig, loss, predict
from thermosearch.neural.training.moments import with_moments
from thermosearch.neural.training.references import reference_energies
from thermosearch.neural.training.split import stratified_split
from thermosearch.potentials.interface import energy_forces_stress
from thermosearch.potentials.neighbours_host import host_neighbours


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
