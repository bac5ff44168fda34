"""Section `[system]` of a search: what it starts from and what each atom may do."""

from typing import Annotated, Literal

import numpy as np
from ase.data import atomic_numbers
from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from thermosearch.runtime.study import InputFile, StrictModel


def _known(symbol: str) -> str:
    if symbol not in atomic_numbers or symbol == "X":
        raise ValueError(f"{symbol!r} is no chemical symbol")
    return symbol


Symbol = Annotated[str, AfterValidator(_known)]
Composition = Annotated[dict[Symbol, PositiveInt], Field(min_length=1)]
"""Atoms of each element, {Ti = 4, O = 8}."""

FACES = {"diamond100": "diamond", "diamond111": "diamond", "fcc100": "fcc", "fcc111": "fcc"}
"""Faces that are built by name, and the crystal of each."""


class SlabSection(StrictModel):
    """A slab cut from a crystal of one element.

    Attributes
    ----------
    element : str
        Chemical symbol, "Si".
    surface : {"diamond100", "diamond111", "fcc100", "fcc111"}
        Crystal and face; of diamond (111) the upper face is cut between two bilayers.
    layers : int
        Atomic layers; even for diamond: dimers form along the second direction, bilayers stay
        whole.
    repeat : (int, int)
        Primitive 1x1 surface cells along the two directions.
    vacuum : float
        Empty space above and below together, A.
    lattice_parameter : float or None
        Of the cubic bulk cell, A; None relaxes it with the potential.
    """

    element: Symbol = "Si"
    surface: Literal[tuple(FACES)] = "diamond100"  # type: ignore[valid-type]
    layers: PositiveInt = 12
    repeat: tuple[PositiveInt, PositiveInt] = (2, 2)
    vacuum: PositiveFloat = 12.0
    lattice_parameter: PositiveFloat | None = None

    @model_validator(mode="after")
    def _even(self) -> "SlabSection":
        if FACES[self.surface] == "diamond" and self.layers % 2:
            raise ValueError(
                f"layers = {self.layers} is odd; {self.surface} needs an even number "
                "(the dimers' direction, whole bilayers)"
            )
        return self


class CutSection(StrictModel):
    """A slab cut from any crystal.

    Attributes
    ----------
    bulk : file
        Its conventional cell, any format of ASE.
    relax : bool
        Relax that cell and its atoms with the study's potential before it is cut.
    miller : (int, int, int)
        Face, in that cell.
    layers : int
        Repeats of the crystal along the normal (`ase.build.surface`).
    termination : int
        Atomic layers taken off the top, which chooses what the upper face ends with.
    repeat : (int, int)
        Surface cells along the two directions.
    vacuum : float
        A.
    """

    bulk: InputFile
    relax: bool = False
    miller: tuple[int, int, int]
    layers: PositiveInt = 4
    termination: int = Field(default=0, ge=0)
    repeat: tuple[PositiveInt, PositiveInt] = (1, 1)
    vacuum: PositiveFloat = 12.0


class ClusterSection(StrictModel):
    """Free atoms in a ball.

    Attributes
    ----------
    composition : dict of str to int
        Atoms of each element.
    radius : float
        Of the ball that confines them, in the potential's length.
    """

    composition: Composition
    radius: PositiveFloat


class CrystalSection(StrictModel):
    """Atoms in a periodic cell that does not change.

    Attributes
    ----------
    composition : dict of str to int
        Atoms of each element.
    cell : (3, 3) floats
        Rows are the lattice vectors, A.
    """

    composition: Composition
    cell: tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]

    @model_validator(mode="after")
    def _spans(self) -> "CrystalSection":
        if abs(np.linalg.det(np.array(self.cell))) < 1e-6:
            raise ValueError("cell: its vectors span no volume")
        return self


class OverlayerSection(StrictModel):
    """Atoms put on top of the founder at random, other places for every seed.

    Attributes
    ----------
    composition : dict of str to int
        Atoms added.
    remove_layers : int
        Layers of the founder taken off first.
    thickness : float
        Height above the founder's top within which they are put, A; the method's window goes on
        from there.
    """

    composition: Composition
    remove_layers: int = Field(default=0, ge=0)
    thickness: PositiveFloat = 2.0


class ChoiceSection(StrictModel):
    """A choice of atoms; all conditions given must hold.

    Attributes
    ----------
    depth : float
        A below the topmost atom (of the nearer face with `both_faces`), at most.
    radius : float
        A from the centre of the founder's atoms, at least: the outer shell of a particle, which
        is a founder without a periodic direction.
    indices : list of int
        Numbers of the atoms in the founder, from 0.
    elements : list of str
        Chemical symbols.
    """

    depth: float | None = Field(default=None, ge=0.0)
    radius: float | None = Field(default=None, ge=0.0)
    indices: tuple[int, ...] | None = None
    elements: tuple[Symbol, ...] | None = None


SymmetryName = Literal["inversion", "mirror_x", "mirror_y", "mirror_z", "rotation_z"]


class SystemSection(StrictModel):
    """The founder and which of its atoms may do what.

    Attributes
    ----------
    slab, cut, cluster, crystal, founder
        Build the founder or read it (any format of ASE; a slab's normal along +z, vacuum
        above); exactly one of them.
    founder_index : int
        Frame of the founder's file; the last one by default.
    overlayer : OverlayerSection, optional
        Added to a slab; these atoms are moved too, besides those chosen of the slab.
    moved_layers : int
        Of a slab: top layers whose atoms the strategy moves; 0 only under an overlayer.
    relaxed_layers : int
        Layers below them that only relax; everything deeper is frozen.
    both_faces : bool
        Count layers and depths from the nearer face: for slabs with a symmetry that exchanges
        the faces.
    moved, frozen : ChoiceSection, optional
        Instead of layers: atoms that are moved, and atoms that stay; the others only relax.
    symmetry : list of str
        Operations, about the founder's own centre, that every structure keeps: "inversion",
        "mirror_x", "mirror_y", "mirror_z" and the two-fold "rotation_z".
    """

    slab: SlabSection | None = None
    cut: CutSection | None = None
    cluster: ClusterSection | None = None
    crystal: CrystalSection | None = None
    founder: InputFile | None = None
    founder_index: int = -1
    overlayer: OverlayerSection | None = None
    moved_layers: int = Field(default=1, ge=0)
    relaxed_layers: int = Field(default=5, ge=0)
    both_faces: bool = False
    moved: ChoiceSection | None = None
    frozen: ChoiceSection | None = None
    symmetry: tuple[SymmetryName, ...] = ()

    @model_validator(mode="after")
    def _one_source(self) -> "SystemSection":
        sources = ("slab", "cut", "cluster", "crystal", "founder")
        given = [name for name in sources if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                "give either [system.slab], [system.cut], [system.cluster], [system.crystal] or "
                f'founder = "FILE", exactly one (given: {", ".join(given) or "none"})'
            )
        if self.overlayer is not None and given[0] in {"cluster", "crystal"}:
            raise ValueError("overlayer: only a slab can carry one")
        if self.moved_layers == 0 and self.moved is None and self.overlayer is None:
            raise ValueError("moved_layers: without an overlayer it has to be greater than 0")
        if self.overlayer is not None and self.symmetry:
            raise ValueError("overlayer: atoms put at random keep no symmetry; drop one of the two")
        if self.is_free and self.symmetry:
            raise ValueError(f"symmetry: atoms of a {given[0]} are put at random; drop it")
        return self

    @property
    def is_free(self) -> bool:
        """Whether all atoms are placed at random: a cluster or a crystal."""
        return self.cluster is not None or self.crystal is not None
