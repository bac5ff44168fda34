"""A calculator that has no energies."""

from typing import Any, ClassVar

import numpy as np
from ase.calculators.calculator import Calculator, all_changes


class NotANumber(Calculator):
    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def calculate(
        self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": np.nan, "forces": np.full((len(self.atoms), 3), np.nan)}
