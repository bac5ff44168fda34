"""Random structures that neighbour lists find hard."""

import numpy as np

from thermosearch.configuration import Configuration


def random_configuration(seed: int, cutoff: float) -> Configuration:
    """One of five kinds: bulk, one atom, tiny cell, slab or chain, cluster with a cell."""
    rng = np.random.default_rng(seed)
    kind = seed % 5
    scale = {0: 1.3, 1: 0.6, 2: 1.0 / 3.0, 3: 0.9, 4: 0.8}[kind] * cutoff
    pbc = np.array([True, True, True])
    if kind == 3:
        pbc = rng.permutation([True, bool(rng.integers(2)), False])
    if kind == 4:
        pbc = np.array([False, False, False])
    while True:
        cell = scale * (np.eye(3) + 0.5 * rng.uniform(-1, 1, (3, 3)))
        if abs(np.linalg.det(cell)) > 0.6 * scale**3:
            break
    if rng.integers(2):
        cell = cell[[1, 0, 2]]  # left-handed
    atoms = 1 if kind == 1 else int(rng.integers(1, 4 if kind == 2 else 9))
    # Far outside the cell too: nothing wraps positions for the user.
    positions = rng.uniform(-1.5, 2.5, (atoms, 3)) @ cell
    return Configuration(
        positions=positions,
        cell=cell,
        pbc=pbc,
        numbers=np.full(atoms, 14, np.int32),
        total_charge=np.asarray(0.0),
    )


def without_idle_vectors(configuration: Configuration) -> Configuration:
    """The same with zeros where a cell vector does not repeat."""
    cell = np.where(configuration.pbc[:, None], configuration.cell, 0.0)
    return configuration._replace(cell=cell)
