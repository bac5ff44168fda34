"""GPAW on a slab: single points over a socket, and scanning tunnelling pictures.

    PYTHON scripts/gpaw_slab.py socket SLAB.extxyz NAME
    PYTHON scripts/gpaw_slab.py stm SLAB.extxyz OUT.npz [--bias -1.5 1.5] [--height 3.0]

PYTHON is the one GPAW is installed for (Debian: packages gpaw and gpaw-data, /usr/bin/python3);
nothing of this package is imported. `socket` serves energies and forces to
`ase.calculators.socketio.SocketIOCalculator(unixsocket=NAME)`, which the package takes like any
ASE calculator. `stm` writes Tersoff-Hamann heights (`ase.dft.stm`) at the constant current found
`height` above the topmost atom, one picture a bias (V; below 0 filled states).

PBE, LCAO with GPAW's dzp basis, grid 0.22 A, 0.05 eV Fermi-Dirac smearing, dipole correction,
k points 0.4 1/A apart.
"""

import argparse

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.socketio import SocketClient
from ase.dft.stm import STM
from gpaw import GPAW, FermiDirac

SPACING = 0.4
"""Of the k points, 1/A, 2 pi included."""


def main() -> None:
    """Serve, or take pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("socket", "stm"))
    parser.add_argument("slab")
    parser.add_argument("name")
    parser.add_argument("--bias", type=float, nargs="+", default=[-1.5, 1.5])
    parser.add_argument("--height", type=float, default=3.0)
    options = parser.parse_args()
    atoms = ase.io.read(options.slab)
    atoms.pbc = (True, True, False)
    atoms.calc = calculator(atoms)
    if options.what == "socket":
        SocketClient(unixsocket=options.name).run(atoms, use_stress=False)
        return
    atoms.get_potential_energy()
    pictures = {f"heights_{bias:g}": heights(atoms, bias, options.height) for bias in options.bias}
    np.savez(options.name, cell=atoms.cell[:2, :2], positions=atoms.positions, **pictures)


def calculator(atoms: Atoms) -> GPAW:
    """Settings of the file's docstring."""
    reciprocal = 2.0 * np.pi * np.linalg.norm(atoms.cell.reciprocal()[:2], axis=1)
    points = np.maximum(np.ceil(reciprocal / SPACING), 1).astype(int)
    return GPAW(
        mode="lcao",
        basis="dzp",
        xc="PBE",
        h=0.22,
        kpts=(*points, 1),
        occupations=FermiDirac(0.05),
        poissonsolver={"dipolelayer": "xy"},
        symmetry={"point_group": False},
        txt=None,
    )


def heights(atoms: Atoms, bias: float, height: float) -> np.ndarray:
    """Heights of constant current, A, on the calculator's grid over the cell."""
    microscope = STM(atoms)
    current = microscope.get_averaged_current(bias, atoms.positions[:, 2].max() + height)
    return microscope.scan(bias, current)[2]


if __name__ == "__main__":
    main()
