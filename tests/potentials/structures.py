"""Structures without symmetry, shared by the tests of potentials."""

import numpy as np
from ase import Atoms
from ase.build import bulk

from thermosearch.configuration import Configuration, from_ase


def distorted_silicon(repeat: int = 1, seed: int = 0, rattle: float = 0.2) -> Atoms:
    """Diamond silicon, strained by a few percent and rattled."""
    rng = np.random.default_rng(seed)
    atoms = bulk("Si", cubic=True).repeat(repeat)
    strain = np.eye(3) + 0.04 * rng.normal(size=(3, 3))
    atoms.set_cell(atoms.cell[:] @ strain, scale_atoms=True)
    atoms.positions += rattle * rng.normal(size=atoms.positions.shape)
    return atoms


def primitive(seed: int = 0) -> Configuration:
    """Three unlike silicon atoms in a triclinic cell much smaller than most cutoffs."""
    rng = np.random.default_rng(seed)
    atoms = bulk("Si", a=6.2)
    atoms.append("Si")
    atoms.positions[2] = 0.5 * atoms.cell.sum(axis=0)
    atoms.set_cell(atoms.cell[:] @ (np.eye(3) + 0.05 * rng.normal(size=(3, 3))), scale_atoms=True)
    atoms.positions += 0.1 * rng.normal(size=(3, 3))
    return from_ase(atoms)


def cluster(atoms: int, spacing: float, seed: int = 0) -> Atoms:
    """Atoms scattered no nearer than about 0.8 spacings."""
    rng = np.random.default_rng(seed)
    points = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), axis=-1).reshape(-1, 3)[:atoms]
    return Atoms("Si" * atoms, spacing * (points + 0.1 * rng.uniform(-1, 1, points.shape)))
