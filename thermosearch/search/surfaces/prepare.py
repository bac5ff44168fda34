"""What can be refused of a surface study before any energy is computed."""

from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int

from thermosearch.configuration import Configuration, from_ase, read_atoms, validate
from thermosearch.potentials.interface import Potential
from thermosearch.runtime.errors import InputError
from thermosearch.search.surfaces.balance import check_vibrations
from thermosearch.search.surfaces.gamma import chemical_potentials
from thermosearch.search.surfaces.reading import composition, elements_of
from thermosearch.search.surfaces.study import SlabEntry, SurfaceStudy
from thermosearch.structure.surface import surface_area

MOST_CELLS = 12
"""Surface cells of an other face of which a slab holds a whole number."""

SAME_AREA = 1e-3
"""Relative difference of two areas of as many surface cells of one crystal."""


def prepare(study: SurfaceStudy) -> tuple[Potential, Int[np.ndarray, " e"]]:
    """Load the potential and find the elements, whose reservoirs and slabs fit together.

    Returns
    -------
    potential : Potential
    elements : (e,) int64
        Atomic numbers of the slabs.

    Raises
    ------
    InputError
        If the potential is one in reduced units or does not know an element, a file cannot be
        read, the reservoirs do not fix every chemical potential, an other face is of another
        crystal, or vibrations cannot be balanced.
    """
    potential = study.potential.build(study.run.precision)
    if potential.units != "eV":
        raise InputError(
            "potential: it is in reduced units, surface free energies need eV, A and amu; take "
            "another one"
        )
    elements = elements_of(study)
    compositions = np.stack([composition(elements, entry) for entry in study.reservoirs])
    chemical_potentials(compositions, np.zeros(len(compositions)))
    for entry in study.slabs:
        _check_slab(study, potential, entry, elements, compositions)
    return potential, elements


def _check_slab(
    study: SurfaceStudy,
    potential: Potential,
    entry: SlabEntry,
    elements: Int[np.ndarray, " e"],
    compositions: Float[np.ndarray, "r e"],
) -> None:
    label = f"slabs: {entry.label}"
    atoms = read_atoms(entry.file, label, entry.index)
    configuration = from_ase(atoms)
    validate(configuration, elements=potential.elements, label=label)
    if surface_area(configuration) == 0.0:
        raise InputError(f"{label}: it has no cell: give the two vectors that span its surface")
    if entry.other_face is not None:
        other = from_ase(read_atoms(entry.other_face, label, 0))
        validate(other, elements=potential.elements, label=f"{label}: other_face")
        _check_areas(label, configuration, other)
    check_vibrations(entry, atoms, elements, study.reservoirs, compositions)


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
