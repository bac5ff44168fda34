"""What can be refused of a surface study before any energy is computed."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from thermosearch.configuration import Configuration, from_ase, validate
from thermosearch.potentials.interface import Potential, refuse_reduced
from thermosearch.runtime.errors import InputError
from thermosearch.search.surfaces.balance import check_vibrations
from thermosearch.search.surfaces.gamma import chemical_potentials
from thermosearch.search.surfaces.reading import (
    ReservoirFile,
    SlabFiles,
    composition,
    elements_of,
    read_reservoir,
    read_slab,
)
from thermosearch.search.surfaces.study import SurfaceStudy
from thermosearch.structure.surface import surface_area

MOST_CELLS = 12
"""Surface cells of an other face of which a slab holds a whole number."""

SAME_AREA = 1e-3
"""Relative difference of two areas of as many surface cells of one crystal."""


class Prepared(NamedTuple):
    """A surface study whose reservoirs and slabs fit together.

    Attributes
    ----------
    potential : Potential
    elements : (e,) int64
        Atomic numbers of the slabs.
    slabs : tuple of SlabFiles
    reservoirs : tuple of ReservoirFile
    compositions : (reservoirs, e) float64
        Atoms of every element that the energies of the reservoirs are of.
    """

    potential: Potential
    elements: Int[np.ndarray, " e"]
    slabs: tuple[SlabFiles, ...]
    reservoirs: tuple[ReservoirFile, ...]
    compositions: Float[np.ndarray, "r e"]


def prepare(study: SurfaceStudy) -> Prepared:
    """Load the potential, read all structures and check that they fit together.

    Raises
    ------
    InputError
        If the potential is one in reduced units or does not know an element, a file cannot be
        read, the reservoirs do not fix every chemical potential, an other face is of another
        crystal, or vibrations cannot be balanced.
    """
    potential = study.potential.build(study.run.precision)
    refuse_reduced(potential, "surface free energies need eV, A and amu")
    slabs = tuple(read_slab(entry) for entry in study.slabs)
    reservoirs = tuple(read_reservoir(entry) for entry in study.reservoirs)
    elements = elements_of(slabs)
    compositions = np.stack([composition(elements, each) for each in reservoirs])
    chemical_potentials(compositions, np.zeros(len(compositions)))
    for slab in slabs:
        _check_slab(slab, potential)
        check_vibrations(slab.entry, slab.atoms, elements, study.reservoirs, compositions)
    return Prepared(potential, elements, slabs, reservoirs, compositions)


def _check_slab(slab: SlabFiles, potential: Potential) -> None:
    label = f"slabs: {slab.entry.label}"
    configuration = from_ase(slab.atoms)
    validate(configuration, elements=potential.elements, label=label)
    if surface_area(configuration) == 0.0:
        raise InputError(f"{label}: it has no cell: give the two vectors that span its surface")
    if slab.other is not None:
        other = from_ase(slab.other)
        validate(other, elements=potential.elements, label=f"{label}: other_face")
        _check_areas(label, configuration, other)


def _check_areas(label: str, slab: Configuration, other: Configuration) -> None:
    """Refuse cells that are not both made of whole surface cells of one crystal."""
    area, share = surface_area(slab), surface_area(other)
    ratio = area / share
    nearest = float(Fraction(ratio).limit_denominator(MOST_CELLS))
    if nearest == 0.0 or abs(ratio / nearest - 1.0) > SAME_AREA:
        raise InputError(
            f"{label}: other_face: its cell of {share:.2f} A^2 and that of the slab, {area:.2f} "
            "A^2, do not hold whole surface cells of one crystal: cut it from the slab's crystal"
        )
