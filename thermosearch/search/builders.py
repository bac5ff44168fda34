"""Founders built from a study: slabs, cuts, overlayers, clusters, crystals, files."""

import math
from pathlib import Path

import ase.build
import ase.io
import numpy as np
from ase import Atoms

from thermosearch.configuration import Configuration, from_ase, read_atoms, to_ase
from thermosearch.runtime.errors import InputError
from thermosearch.search.system_section import (
    ClusterSection,
    CrystalSection,
    CutSection,
    OverlayerSection,
    SlabSection,
    SystemSection,
)
from thermosearch.structure.surface import heights, layers_from_top


def build(
    system: SystemSection, lattice_parameter: float | None, bulk: Configuration | None = None
) -> tuple[Configuration, str]:
    """Build or read the founder without its overlayer; also what messages call it.

    Parameters
    ----------
    system : SystemSection
    lattice_parameter : float or None
        Of a built slab's bulk, A.
    bulk : Configuration, optional
        Cell that a cut is taken from, instead of the one in its file.

    Raises
    ------
    InputError
        If a file is missing or unreadable, or a cut leaves nothing.
    """
    if system.slab is not None:
        if lattice_parameter is None:
            raise ValueError("a built slab needs the lattice parameter of its bulk")
        return from_ase(_slab(system.slab, lattice_parameter)), "system.slab"
    if system.cut is not None:
        crystal = read_bulk(system.cut) if bulk is None else to_ase(bulk)
        return from_ase(_cut(system.cut, crystal)), f"system.cut {system.cut.bulk}"
    if system.cluster is not None:
        return _unplaced(system.cluster, np.zeros((3, 3)), False), "system.cluster"
    if system.crystal is not None:
        return _unplaced(system.crystal, np.array(system.crystal.cell), True), "system.crystal"
    atoms = _read(system.founder, "system.founder", system.founder_index)
    return from_ase(atoms), f"system.founder {system.founder}"


def with_overlayer(founder: Configuration, overlayer: OverlayerSection) -> Configuration:
    """Take layers off a slab and set the overlayer's atoms above it, all on one spot.

    Their places are drawn anew for every seed; here they only have an element and their highest
    place, the overlayer's thickness above the slab.
    """
    kept = layers_from_top(founder) >= overlayer.remove_layers
    if not kept.any():
        raise InputError(
            f"system.overlayer: remove_layers = {overlayer.remove_layers} leaves nothing"
        )
    numbers = Atoms([s for s, count in overlayer.composition.items() for _ in range(count)]).numbers
    bare = founder._replace(
        positions=np.asarray(founder.positions)[kept], numbers=np.asarray(founder.numbers)[kept]
    )
    top = float(heights(bare).max())
    added = np.tile([0.0, 0.0, top + overlayer.thickness], (len(numbers), 1))
    return bare._replace(
        positions=np.concatenate([bare.positions, added]),
        numbers=np.concatenate([bare.numbers, numbers.astype(np.int32)]),
    )


def _slab(slab: SlabSection, lattice_parameter: float) -> Atoms:
    builder = getattr(ase.build, slab.surface)
    # ASE ends a (111) slab of even layers within bilayers, three bonds cut an atom; without its
    # outermost layers it ends between them, one bond cut.
    extra = 1 if slab.surface == "diamond111" else 0
    size = (*slab.repeat, slab.layers + 2 * extra)
    atoms = builder(slab.element, size=size, a=lattice_parameter, vacuum=0.5 * slab.vacuum)
    atoms = atoms[extra * math.prod(slab.repeat) : len(atoms) - extra * math.prod(slab.repeat)]
    atoms.center(vacuum=0.5 * slab.vacuum, axis=2)
    atoms.pbc = (True, True, False)
    atoms.info = {}
    return atoms


def read_bulk(cut: CutSection) -> Atoms:
    """Read the crystal that a slab is cut from."""
    return _read(cut.bulk, "system.cut.bulk")


def _cut(cut: CutSection, bulk: Atoms) -> Atoms:
    atoms = ase.build.surface(bulk, cut.miller, cut.layers, vacuum=0.5 * cut.vacuum)
    kept = layers_from_top(from_ase(atoms)) >= cut.termination
    if not kept.any():
        raise InputError(f"system.cut: termination = {cut.termination} takes every layer off")
    atoms = atoms[kept].repeat((*cut.repeat, 1))
    atoms.pbc = (True, True, False)
    atoms.info = {}
    return atoms


def _unplaced(
    section: ClusterSection | CrystalSection, cell: np.ndarray, periodic: bool
) -> Configuration:
    """Atoms without places: the founder draws them."""
    symbols = [symbol for symbol, count in section.composition.items() for _ in range(count)]
    return from_ase(Atoms(symbols, positions=np.zeros((len(symbols), 3)), cell=cell, pbc=periodic))


def _read(path: Path, label: str, index: int = -1) -> Atoms:
    atoms = read_atoms(path, label, index)
    atoms.info = {key: value for key, value in atoms.info.items() if key == "total_charge"}
    return atoms
