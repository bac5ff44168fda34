"""A crystal displaced along its imaginary mode is another one, of lower energy and symmetry."""

from collections.abc import Sequence

import numpy as np
from ase.build import bulk

from thermosearch.configuration import Configuration
from thermosearch.harmonic.crystal import Crystal, coordinate_masses, make_crystal
from thermosearch.harmonic.distort import distorted, softest_pattern
from thermosearch.harmonic.evaluation import evaluate_all
from thermosearch.harmonic.prepare import prepare
from thermosearch.harmonic.statistics import normal_modes
from thermosearch.potentials.interface import Properties
from thermosearch.potentials.stillinger_weber import StillingerWeber
from thermosearch.runtime.communicator import Communicator


def evaluate(configurations: Sequence[Configuration]) -> list[Properties]:
    return evaluate_all(StillingerWeber(), configurations, Communicator())


def silicon(structure: str, a: float) -> Crystal:
    return make_crystal(bulk("Si", structure, a=a), (2, 2, 2))


def test_body_centred_silicon_falls_into_its_imaginary_mode() -> None:
    cubic = silicon("bcc", 3.2)
    phi = prepare(cubic, evaluate, cell=False).force_constants
    modes = normal_modes(phi, coordinate_masses(cubic.masses))
    pattern = softest_pattern(modes).reshape(-1)
    curvature = pattern @ phi @ pattern / (pattern @ (modes.masses * pattern))
    assert modes.frequencies[0] < 0.0
    np.testing.assert_allclose(curvature, -(modes.frequencies[0] ** 2), rtol=1e-8)
    moved, spent = distorted(cubic, evaluate)
    assert spent > 15
    assert len(moved.unit.numbers) == cubic.atoms == 8
    assert moved.group.order < cubic.group.order
    before, after = evaluate([cubic.supercell, moved.supercell])
    assert float(after.energy) < float(before.energy) - 0.01 * cubic.atoms


def test_a_stable_crystal_stays() -> None:
    diamond = silicon("diamond", 5.431)
    assert distorted(diamond, evaluate)[0] is diamond
