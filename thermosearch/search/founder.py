"""The founder: the structure a search starts from, and what each of its atoms may do."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Configuration, validate
from thermosearch.runtime.errors import InputError
from thermosearch.search.builders import build, with_overlayer
from thermosearch.search.regions import Ball, Cell, Window, in_ball
from thermosearch.search.roles import FROZEN, MOVED, RELAXED, check_layers, choose_roles
from thermosearch.search.symmetry import Symmetry, find_symmetry
from thermosearch.search.system_section import SystemSection
from thermosearch.structure.surface import heights, surface_normal

__all__ = ["FROZEN", "MOVED", "RELAXED", "Founder", "make_founder", "scrambled"]

OVERLAP = 0.7
"""Atoms of a founder nearer than this, A, overlap."""


class Founder(NamedTuple):
    """The unreconstructed structure and the role of its atoms.

    Attributes
    ----------
    configuration : Configuration
        Of a slab: normal along +z, the frozen face at the bottom, vacuum above; of a particle:
        no direction periodic.
    role : (n,) int64
        `FROZEN`, `RELAXED` or `MOVED`.
    layer : (n,) int64
        Layer of each atom, 0 at the top.
    region : Ball, Cell or None
        Where the atoms of a cluster or a crystal may be; None for a slab or a particle, whose
        window the method states.
    added : int
        Last atoms, of the overlayer: they have no place until a seed draws one ...
    above : Window or None
        ... in here.
    symmetry : Symmetry or None
        Every structure keeps it.
    both_faces : bool
        Whether the two faces of the slab are searched alike.
    """

    configuration: Configuration
    role: Int[np.ndarray, " n"]
    layer: Int[np.ndarray, " n"]
    region: Ball | Cell | None = None
    added: int = 0
    above: Window | None = None
    symmetry: Symmetry | None = None
    both_faces: bool = False

    @property
    def mobile(self) -> Bool[np.ndarray, " n"]:
        """Atoms that relax."""
        return self.role != FROZEN

    @property
    def moved(self) -> Int[np.ndarray, " m"]:
        """Indices of the atoms the engine moves."""
        return np.flatnonzero(self.role == MOVED)

    @property
    def is_slab(self) -> bool:
        """Whether it has a surface."""
        return self.region is None and bool(np.any(self.configuration.pbc))


def make_founder(
    system: SystemSection, lattice_parameter: float | None, bulk: Configuration | None = None
) -> Founder:
    """Build or read the founder and give every atom its role.

    Parameters
    ----------
    system : SystemSection
        Of the study.
    lattice_parameter : float or None
        Of the bulk, A, for a built slab; unused otherwise.
    bulk : Configuration, optional
        Relaxed cell that a cut is taken from; the one in its file by default.

    Raises
    ------
    InputError
        If a file is missing or unreadable, atoms overlap, no atom is left to move, or the
        founder lacks a symmetry it should keep.
    """
    configuration, label = build(system, lattice_parameter, bulk)
    if not system.is_free:
        validate(configuration, closest=OVERLAP, label=label)
        check_layers(system, configuration, label)
    added = 0
    if system.overlayer is not None:
        bare = len(configuration.numbers)
        configuration = with_overlayer(configuration, system.overlayer)
        added = sum(system.overlayer.composition.values())
        label = f"{label} ({bare} atoms before the overlayer)"
    role, layer = choose_roles(system, configuration, label, added)
    symmetry = find_symmetry(configuration, system.symmetry) if system.symmetry else None
    if symmetry is not None and np.any(role[symmetry.image] != role):
        raise InputError(
            "system.symmetry: atoms that it exchanges have different roles: choose them alike "
            "(both_faces = true counts layers from the nearer face)"
        )
    return Founder(
        configuration,
        role,
        layer,
        region=_region(system),
        added=added,
        above=_above(system, configuration),
        symmetry=symmetry,
        both_faces=system.both_faces,
    )


def scrambled(
    founder: Founder, amplitude: float, generator: np.random.Generator
) -> Float[np.ndarray, "n 3"]:
    """Founder positions with the moved atoms displaced at random.

    Every moved atom goes to a point drawn evenly from the ball of radius `amplitude` (A)
    around its place; with a symmetry, its images follow.
    """
    displacement = np.zeros_like(founder.configuration.positions)
    displacement[founder.moved] = in_ball(len(founder.moved), amplitude, generator)
    if founder.symmetry is not None:
        displacement = founder.symmetry.spread_out(displacement)
    return np.asarray(founder.configuration.positions) + displacement


def _above(system: SystemSection, configuration: Configuration) -> Window | None:
    """Heights between the slab and its overlayer's highest place, where its atoms wait."""
    if system.overlayer is None:
        return None
    normal, top = surface_normal(configuration), float(heights(configuration).max())
    return Window(normal, np.asarray(configuration.cell), top - system.overlayer.thickness, top)


def _region(system: SystemSection) -> Ball | Cell | None:
    if system.cluster is not None:
        return Ball(system.cluster.radius)
    if system.crystal is not None:
        return Cell(np.array(system.crystal.cell))
    return None
