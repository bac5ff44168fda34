"""A hold-out that looks like the data: stratified by group."""

from collections import defaultdict

import numpy as np

from thermosearch.dataset import Dataset


def stratified_split(
    dataset: Dataset, fraction: float, seed: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Split positions into training and hold-out, the same share of every group.

    Where frames have no group, frames of one composition are one. Within a group the frames are
    sorted by energy per atom and one of every 1/fraction neighbours is drawn, so that the
    hold-out covers the range of energies.

    Parameters
    ----------
    dataset : Dataset
    fraction : float
        Share of the hold-out, 0 <= fraction < 1.
    seed : int
        Of the draw.

    Returns
    -------
    train, held_out : tuple of int
        Positions, ascending. A group of one frame is trained on.
    """
    strata: dict[object, list[int]] = defaultdict(list)
    for position, frame in enumerate(dataset):
        strata[frame.group or tuple(sorted(frame.configuration.numbers.tolist()))].append(position)
    generator = np.random.default_rng([seed, 1])
    held: list[int] = []
    carry = 0.5
    for members in strata.values():
        ordered = sorted(members, key=lambda k: (dataset[k].energy or 0.0) / len(dataset[k]))
        # The fractional part is carried over, so that many small groups give their share too.
        wanted = fraction * len(ordered) + carry
        count = min(int(wanted), len(ordered) - 1)
        carry = wanted - int(wanted)
        held += (
            [int(generator.choice(part)) for part in np.array_split(ordered, count) if len(part)]
            if count
            else []
        )
    train = sorted(set(range(len(dataset))) - set(held))
    return tuple(train), tuple(sorted(held))
