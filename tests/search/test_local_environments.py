"""Which atoms are like the training data: copies by symmetry must not make the data look denser."""

import numpy as np

from thermosearch.search.local_environments import make_map


def test_atoms_of_the_same_kind_are_inside_though_every_frame_holds_twins() -> None:
    generator = np.random.default_rng(3)
    frames = [np.repeat(generator.normal(size=(30, 5)), 2, axis=0) for _ in range(40)]
    found = np.concatenate([generator.normal(size=(400, 5)), generator.normal(8.0, size=(20, 5))])
    made = make_map(frames, found)
    outside = made.nearest > made.limit
    assert outside[:400].mean() < 0.03
    assert outside[400:].all()


def test_one_frame_is_measured_within_itself() -> None:
    generator = np.random.default_rng(4)
    made = make_map([generator.normal(size=(500, 3))], generator.normal(size=(200, 3)))
    assert np.mean(made.nearest > made.limit) < 0.06
