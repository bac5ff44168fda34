"""Enthalpies of silicon's phases against pressure at 0 K, from the shipped model.

    python studies/silicon_phase_diagram/zero_kelvin.py

The crossings are what the phase diagram must come to at low temperature, whatever the model's
merits: it judges the sampling, and experiment judges the model.
"""

import numpy as np
from ase import Atoms
from ase.build import bulk

import thermosearch  # noqa: F401 - turns on float64
from thermosearch.configuration import from_ase
from thermosearch.potentials.registry import load_potential
from thermosearch.relax.minimise import minimise
from thermosearch.units import EV_PER_A3_IN_GPA

PRESSURES = np.arange(0.0, 21.0, 2.0)  # GPa
ATOMS = 8


def main() -> None:
    potential = load_potential("silicon", "float64")
    names, structures = zip(*phases().items(), strict=True)
    now, rows = [from_ase(atoms) for atoms in structures], []
    for pressure in PRESSURES:
        relaxed = minimise(
            potential,
            now,
            cell=True,
            pressure=pressure / EV_PER_A3_IN_GPA,
            force_tolerance=1e-3,
            stress_tolerance=2e-5,
        )
        now = [each.configuration for each in relaxed]
        rows.append([float(each.enthalpy) / ATOMS for each in relaxed])
    table = dict(zip(names, np.array(rows).T, strict=True))
    print("p (GPa)  " + "  ".join(f"{name:>9}" for name in table) + "   eV/atom over diamond")
    for row, pressure in enumerate(PRESSURES):
        over = (table[name][row] - table["diamond"][row] for name in table)
        print(f"{pressure:7.1f}  " + "  ".join(f"{each:9.4f}" for each in over))
    for name, enthalpy in table.items():
        if name != "diamond":
            print(f"diamond -> {name}: {crossing(enthalpy - table['diamond'])}")


def phases() -> dict[str, Atoms]:
    """Cells of eight atoms, one shape to compile, near the minima of density-functional theory."""
    tin = 4.82
    cells = {
        "diamond": bulk("Si", "diamond", a=5.46, cubic=True),
        "beta-tin": Atoms(
            "Si4",
            scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5], [0, 0.5, 0.25], [0.5, 0, 0.75]],
            cell=[tin, tin, 0.55 * tin],
            pbc=True,
        ),
        "sh": Atoms("Si", cell=[[2.65, 0, 0], [-1.325, 2.295, 0], [0, 0, 2.5]], pbc=True),
        "bcc": bulk("Si", "bcc", a=3.09),
        "fcc": bulk("Si", "fcc", a=3.8),
    }
    repeats = {8: (1, 1, 1), 4: (1, 1, 2), 1: (2, 2, 2)}
    return {name: cell.repeat(repeats[len(cell)]) for name, cell in cells.items()}


def crossing(difference: np.ndarray) -> str:
    """Pressure at which an enthalpy falls below that of diamond, by a straight line."""
    below = np.flatnonzero(difference < 0.0)
    if not len(below) or below[0] == 0:
        return "none"
    i = below[0]
    share = difference[i - 1] / (difference[i - 1] - difference[i])
    return f"{PRESSURES[i - 1] + share * (PRESSURES[i] - PRESSURES[i - 1]):.1f} GPa"


if __name__ == "__main__":
    main()
