"""A polar crystal that costs nothing: rock salt of short bonds, as a calculator of ASE."""

from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from vesin import ase_neighbor_list

CUTOFF, SWITCH = 4.7, 4.2
"""Beyond the second neighbours, at 3.99 A; smooth from the second length on. A."""

DEPTH, STEEP, LENGTH = 1.0, 1.2, 2.75
"""Morse bonds of unlike atoms: eV, 1/A, A."""

REPULSION, RANGE, SECOND = 0.05, 0.35, 3.99
"""Born-Mayer repulsion of like atoms: eV, A, A."""


class RockSalt(Calculator):
    """Bonds between unlike atoms, repulsion between like ones; the far field is left to BORN."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces", "stress"]

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: tuple[str, ...] = ("energy",),
        system_changes: list[str] = all_changes,
    ) -> None:
        """Sum over pairs, each counted twice."""
        super().calculate(atoms, properties, system_changes)
        i, j, vector = ase_neighbor_list("ijD", self.atoms, CUTOFF)
        length = np.linalg.norm(vector, axis=1)
        unlike = self.atoms.numbers[i] != self.atoms.numbers[j]
        swing = np.exp(-STEEP * (length - LENGTH))
        push = REPULSION * np.exp((SECOND - length) / RANGE)
        bond = np.where(unlike, DEPTH * ((1.0 - swing) ** 2 - 1.0), push)
        slope = np.where(unlike, 2.0 * DEPTH * STEEP * swing * (1.0 - swing), -push / RANGE)
        phase = np.pi * np.clip((length - SWITCH) / (CUTOFF - SWITCH), 0.0, 1.0)
        cut, fall = 0.5 * (1.0 + np.cos(phase)), -0.5 * np.sin(phase) * np.pi / (CUTOFF - SWITCH)
        pull = ((slope * cut + bond * fall) / length)[:, None] * vector
        forces = np.zeros((len(self.atoms), 3))
        np.add.at(forces, i, pull)
        virial = 0.5 * pull.T @ vector / self.atoms.get_volume()
        self.results: dict[str, Any] = {
            "energy": 0.5 * float(np.sum(bond * cut)),
            "forces": forces,
            "stress": virial.ravel()[[0, 4, 8, 5, 2, 1]],
        }
