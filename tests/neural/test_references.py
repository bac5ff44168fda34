"""Scales of the features where elements are rare, and energies across compositions."""

import dataclasses

import numpy as np
from ase import Atoms
from ase.build import bulk
from neural.alloys import CUTOFF, ELEMENTS, model_of

from thermosearch.configuration import from_ase
from thermosearch.dataset import Dataset, Frame
from thermosearch.neural.training.batches import Example, example
from thermosearch.neural.training.references import excess_energies, normalised

MODEL = model_of("float32", members=1, angular_smoothness=None)


def with_gold(count: int, gold: set[int], repeat: int = 1) -> list[Example]:
    """Rattled copper cells, one atom of gold in some of them, taken for copper's places."""
    found = []
    for seed in range(count):
        atoms = bulk("Cu", a=3.75, cubic=True) * (repeat, repeat, repeat)
        atoms.rattle(0.1, seed=seed)
        if seed in gold:
            atoms.numbers[0] = 79
        frame = Frame(from_ase(atoms), 0.0, np.ones((len(atoms), 3)), None, "", seed)
        found.append(example(frame, ELEMENTS, CUTOFF, np.zeros(2)))
    return found


def test_an_element_of_one_atom_has_the_scale_of_all() -> None:
    model = normalised(MODEL, with_gold(20, {3}))
    np.testing.assert_allclose(model.feature_gain[1], model.feature_gain[0], rtol=0.2)
    assert np.all(np.isfinite(model.feature_shift[1]))


def test_a_rare_element_varies_no_less_than_a_tenth_of_all() -> None:
    """Twelve atoms of gold in the same place: their features do not vary at all."""
    cell = with_gold(1, {0})
    items = with_gold(40, set()) + [dataclasses.replace(cell[0]) for _ in range(12)]
    model = normalised(MODEL, items)
    assert np.all(model.feature_gain[1] < 11.0 * np.max(model.feature_gain[0]))


def test_structures_of_a_rare_element_are_looked_for_beyond_the_sample() -> None:
    """All atoms of gold stand in the frames that are not drawn."""
    order = np.random.default_rng([0, 2]).permutation(60)
    items = with_gold(60, set(order[30:50].tolist()))
    drawn = normalised(MODEL, items, atoms=100)
    whole = normalised(MODEL, items)
    np.testing.assert_array_equal(drawn.feature_shift[1], whole.feature_shift[1])
    # Deviations are bounded by those of all atoms, of which other ones are drawn.
    np.testing.assert_allclose(drawn.feature_gain[1], whole.feature_gain[1], rtol=0.1)


def test_common_elements_do_not_feel_a_rare_one() -> None:
    """Copper's scales with and without frames of gold beyond the sample."""
    order = np.random.default_rng([0, 2]).permutation(60)
    plain, rare = with_gold(60, set()), with_gold(60, set(order[55:].tolist()))
    gains = [normalised(MODEL, items, atoms=208) for items in (plain, rare)]
    np.testing.assert_array_equal(gains[0].feature_gain[0], gains[1].feature_gain[0])


def test_excess_energies_compare_frames_of_other_compositions() -> None:
    """Energies of the elements taken off: gold at its reference lies no higher than copper."""
    frames = []
    for symbols, excess in (("Cu2", 0.0), ("Au2", 0.3), ("CuAu", 0.1), ("Cu", 0.2)):
        atoms = Atoms(symbols, np.zeros((len(Atoms(symbols)), 3)))
        references = sum({29: -3.0, 79: -5.0}[int(z)] for z in atoms.numbers)
        frames.append(Frame(from_ase(atoms), references + excess * len(atoms)))
    bare = dataclasses.replace(frames[0], energy=None)
    found = excess_energies(Dataset((*frames, bare)), ELEMENTS, np.array([-3.0, -5.0]))
    np.testing.assert_allclose(found, [0.0, 0.3, 0.1, 0.2, np.nan], atol=1e-12)
    # Of one composition: the plain difference, bit for bit, whatever the references.
    same = Dataset((frames[0], frames[3]))
    exact = frames[3].energy - frames[0].energy / 2
    for zero in (0.0, 1e5 / 3.0):
        assert excess_energies(same, ELEMENTS, np.array([zero, 0.1]))[1] == exact
