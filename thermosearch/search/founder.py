"""The founder: the slab a search starts from, and what each of its atoms may do."""

from pathlib import Path
from typing import NamedTuple

import ase.io
import numpy as np
from ase import Atoms
from ase.build import diamond100
from ase.io.formats import UnknownFileTypeError
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Configuration, from_ase, validate
from thermosearch.runtime.errors import InputError
from thermosearch.search.study import SlabSection, SystemSection
from thermosearch.structure.surface import layers_from_top

FROZEN, RELAXED, MOVED = 0, 1, 2
"""Roles of an atom: stays, only relaxes, is moved by the strategy (and relaxes)."""

OVERLAP = 0.7
"""Atoms of a founder nearer than this, A, overlap."""


class Founder(NamedTuple):
    """The unreconstructed slab and the role of its atoms.

    Attributes
    ----------
    configuration : Configuration
        Normal along +z, the frozen face at the bottom, vacuum above.
    role : (n,) int64
        `FROZEN`, `RELAXED` or `MOVED`.
    layer : (n,) int64
        Layer of each atom, 0 at the top.
    """

    configuration: Configuration
    role: Int[np.ndarray, " n"]
    layer: Int[np.ndarray, " n"]

    @property
    def mobile(self) -> Bool[np.ndarray, " n"]:
        """Atoms that relax."""
        return self.role != FROZEN

    @property
    def moved(self) -> Int[np.ndarray, " m"]:
        """Indices of the atoms the strategy moves."""
        return np.flatnonzero(self.role == MOVED)


def make_founder(system: SystemSection, lattice_parameter: float | None) -> Founder:
    """Build or read the founder and give every atom its role by layer.

    Parameters
    ----------
    system : SystemSection
        Of the study.
    lattice_parameter : float or None
        Of the bulk, A, for a built slab; unused for a file.

    Raises
    ------
    InputError
        If the file is missing or unreadable, atoms overlap, or no atom is left to move.
    """
    if system.slab is not None:
        if lattice_parameter is None:
            raise ValueError("a built slab needs the lattice parameter of its bulk")
        atoms, label = _build(system.slab, lattice_parameter), "system.slab"
    else:
        atoms, label = _read(system.founder), f"system.founder {system.founder}"
    configuration = from_ase(atoms)
    validate(configuration, closest=OVERLAP, label=label)
    layer = layers_from_top(configuration)
    frozen_from = system.moved_layers + system.relaxed_layers
    if layer.max() < frozen_from:
        raise InputError(
            f"{label}: {layer.max() + 1} layers, but moved_layers + relaxed_layers = "
            f"{frozen_from} leaves none frozen at the bottom: give more layers or move fewer"
        )
    role = np.where(
        layer < system.moved_layers, MOVED, np.where(layer < frozen_from, RELAXED, FROZEN)
    )
    return Founder(configuration, role, layer)


def scrambled(
    founder: Founder, amplitude: float, generator: np.random.Generator
) -> Float[np.ndarray, "n 3"]:
    """Founder positions with the moved atoms displaced at random.

    Every moved atom goes to a point drawn evenly from the ball of radius `amplitude` (A)
    around its place.
    """
    positions = np.array(founder.configuration.positions)
    direction = generator.standard_normal((len(founder.moved), 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    radius = amplitude * np.cbrt(generator.uniform(size=(len(founder.moved), 1)))
    positions[founder.moved] += radius * direction
    return positions


def _build(slab: SlabSection, lattice_parameter: float) -> Atoms:
    atoms = diamond100(
        slab.element,
        size=(*slab.repeat, slab.layers),
        a=lattice_parameter,
        vacuum=0.5 * slab.vacuum,
    )
    atoms.pbc = (True, True, False)
    return atoms


def _read(path: Path) -> Atoms:
    try:
        return ase.io.read(path)
    except (OSError, ValueError, KeyError, IndexError, UnknownFileTypeError) as error:
        raise InputError(f"system.founder: {path} cannot be read: {error}") from error
