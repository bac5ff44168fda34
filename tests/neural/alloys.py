"""Rattled copper-gold alloys with energies of ASE's EMT, and a small model of them."""

import jax
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from thermosearch.configuration import from_ase
from thermosearch.dataset import Dataset, Frame
from thermosearch.neural.config import ModelConfig
from thermosearch.neural.model import NeuralPotential
from thermosearch.neural.training.batches import Example, example

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


def model_of(
    precision: str, members: int = 2, angular_smoothness: float | None = 4.0
) -> NeuralPotential:
    config = ModelConfig(
        elements=("Cu", "Au"),
        cutoff=CUTOFF,
        n_max=2,
        l_max=1,
        channels=2,
        radial=(3, 2),
        angular_smoothness=angular_smoothness,
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
