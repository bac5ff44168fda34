"""GPAW on a slab: single points, also over a socket, and scanning tunnelling pictures.

    PYTHON scripts/gpaw_slab.py socket SLAB.extxyz NAME
    PYTHON scripts/gpaw_slab.py single SLAB.extxyz OUT.json --layers 6 --points 6 6
    PYTHON scripts/gpaw_slab.py stm SLAB.extxyz OUT.npz [--bias -1.5 1.5] [--height 3.0]

PYTHON is the one GPAW is installed for (Debian: packages gpaw and gpaw-data, /usr/bin/python3);
nothing of this package is imported. `socket` serves energies and forces to
`ase.calculators.socketio.SocketIOCalculator(unixsocket=NAME)`, which the package takes like any
ASE calculator. `single` takes the uppermost layers of a silicon slab as they stand, puts hydrogen
(1.48 A) where bonds to the layer below were cut, and writes energy and forces. `stm` writes
Tersoff-Hamann heights (`ase.dft.stm`) at the constant current found `height` above the topmost
atom, one picture a bias (V; below 0 filled states).

PBE, LCAO with GPAW's dzp basis, grid 0.22 A or as `--grid` says (energies of two slabs need the
same), 0.05 eV Fermi-Dirac smearing, dipole correction, k points 0.4 1/A apart or as many as
`--points` says, centred on gamma.
"""

import argparse
import json
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.socketio import SocketClient
from ase.dft.stm import STM
from gpaw import GPAW, FermiDirac

SPACING = 0.4
"""Of the k points, 1/A, 2 pi included."""

BOND, HYDROGEN, VACUUM = 2.8, 1.48, 5.0
"""Silicon atoms nearer than this are bound; to hydrogen; above and below, A."""


def main() -> None:
    """Serve, or take pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("socket", "single", "stm"))
    parser.add_argument("slab")
    parser.add_argument("name")
    parser.add_argument("--bias", type=float, nargs="+", default=[-1.5, 1.5])
    parser.add_argument("--height", type=float, default=3.0)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--points", type=int, nargs=2)
    parser.add_argument("--grid", type=int, nargs=3, help="points; 0.22 A apart by default")
    parser.add_argument("--log", help="GPAW's own output")
    options = parser.parse_args()
    atoms = ase.io.read(options.slab)
    atoms.pbc = (True, True, False)
    if options.what == "single":
        atoms = with_hydrogen_below(atoms, options.layers)
    atoms.calc = calculator(atoms, options.points, options.grid, options.log)
    if options.what == "socket":
        SocketClient(unixsocket=options.name).run(atoms, use_stress=False)
        return
    energy = atoms.get_potential_energy()
    if options.what == "single":
        forces = atoms.get_forces().tolist()
        ase.io.write(Path(options.name).with_suffix(".extxyz"), atoms)
        Path(options.name).write_text(json.dumps({"energy": energy, "forces": forces}))
        return
    pictures = {f"heights_{bias:g}": heights(atoms, bias, options.height) for bias in options.bias}
    np.savez(options.name, cell=atoms.cell[:2, :2], positions=atoms.positions, **pictures)


def with_hydrogen_below(slab: Atoms, layers: int) -> Atoms:
    """Return the uppermost layers, hydrogen in place of what they were bound to below."""
    order = np.argsort(-slab.positions[:, 2])
    # The frozen bottom layers of a search lie in planes; every layer has as many atoms.
    per_layer = int(np.sum(slab.positions[:, 2] < slab.positions[:, 2].min() + 0.1))
    kept = np.sort(order[: layers * per_layer])
    below = order[layers * per_layer : (layers + 1) * per_layer]
    bottom = order[(layers - 1) * per_layer : layers * per_layer]
    atoms = slab[kept]
    atoms = Atoms(atoms.symbols, atoms.positions, cell=slab.cell, pbc=slab.pbc)
    for atom in bottom:
        bonds = slab.get_distances(atom, below, mic=True, vector=True)
        bound = bonds[np.linalg.norm(bonds, axis=1) < BOND]
        if len(bound) != 2:
            raise SystemExit(f"{len(bound)} bonds down from atom {atom}: two were expected")
        for bond in bound:
            place = slab.positions[atom] + HYDROGEN * bond / np.linalg.norm(bond)
            atoms += Atoms("H", [place])
    # Whole angstroms, so that one grid fits all slabs of so many layers: 5 % between two grids
    # are 0.3 eV.
    height = np.ceil(np.ptp(atoms.positions[:, 2]) + 2.0 * VACUUM)
    atoms.set_cell([*atoms.cell[:2], [0.0, 0.0, height]])
    atoms.center(axis=2)
    return atoms


def calculator(
    atoms: Atoms,
    points: list[int] | None = None,
    grid: list[int] | None = None,
    log: str | None = None,
) -> GPAW:
    """Settings of the file's docstring."""
    reciprocal = 2.0 * np.pi * np.linalg.norm(atoms.cell.reciprocal()[:2], axis=1)
    if points is None:
        points = np.maximum(np.ceil(reciprocal / SPACING), 1).astype(int).tolist()
    return GPAW(
        mode="lcao",
        basis="dzp",
        xc="PBE",
        gpts=grid,
        h=0.22 if grid is None else None,
        kpts={"size": (*points, 1), "gamma": True},
        occupations=FermiDirac(0.05),
        poissonsolver={"dipolelayer": "xy"},
        symmetry={"point_group": False},
        txt=log,
    )


def heights(atoms: Atoms, bias: float, height: float) -> np.ndarray:
    """Heights of constant current, A, on the calculator's grid over the cell."""
    microscope = STM(atoms)
    current = microscope.get_averaged_current(bias, atoms.positions[:, 2].max() + height)
    return microscope.scan(bias, current)[2]


if __name__ == "__main__":
    main()
