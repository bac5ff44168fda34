"""Crystals of silicon with displaced atoms, labelled by the Stillinger-Weber potential."""

from ase import Atoms
from ase.build import bulk

from thermosearch.potentials.stillinger_weber import StillingerWeber


def labelled_crystals(count: int) -> list[Atoms]:
    frames = []
    for seed in range(count):
        atoms = bulk("Si", cubic=True)
        atoms.rattle(0.1, seed=seed)
        atoms.calc = StillingerWeber().ase_calculator()
        atoms.get_forces()
        frames.append(atoms)
    return frames
