"""The crystals of a study: read or built, their symmetry found and checked."""

from dataclasses import dataclass, replace
from functools import partial

import ase.build
import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree
from phonopy.file_IO import parse_BORN
from phonopy.structure.cells import get_primitive
from phonopy.structure.symmetry import Symmetry

from thermosearch.configuration import read_atoms, validate
from thermosearch.harmonic.crystal import (
    SYMMETRY_TOLERANCE,
    Crystal,
    make_crystal,
    phonopy_cell,
    primitive_matrix,
    refuse_no_crystal,
)
from thermosearch.harmonic.distort import distorted
from thermosearch.harmonic.evaluation import evaluate_all
from thermosearch.harmonic.study import HarmonicStudy, PhaseSection
from thermosearch.potentials.interface import Potential, refuse_reduced
from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.errors import InputError


@dataclass(frozen=True)
class Problem:
    """Before anything is sampled.

    Attributes
    ----------
    potential : Potential
        Of the study.
    crystals : tuple of Crystal
        The phases, in the study's order, distorted where that was asked for.
    evaluations : int
        What the distortions cost.
    displaced : tuple of str
        Phases that a distortion changed; those without an imaginary mode stay as given.
    """

    potential: Potential
    crystals: tuple[Crystal, ...]
    evaluations: int = 0
    displaced: tuple[str, ...] = ()


def make_problem(study: HarmonicStudy) -> Problem:
    """Load the potential and build the crystals.

    Raises
    ------
    InputError
        If the potential is one in reduced units or does not know an element, a structure cannot
        be read or has another space group than stated, a supercell does not keep the symmetry,
        or Born charges do not fit.
    """
    potential = study.potential.build(study.run.precision)
    refuse_reduced(potential, "a crystal needs eV, A and amu")
    crystals = tuple(_crystal(phase, study) for phase in study.system.phases)
    for crystal in crystals:
        validate(crystal.unit, elements=potential.elements, label=f"phase {crystal.name!r}")
    evaluate = partial(evaluate_all, potential, communicator=Communicator())
    found = [
        distorted(crystal, evaluate) if phase.distort else (crystal, 0)
        for phase, crystal in zip(study.system.phases, crystals, strict=True)
    ]
    return Problem(
        potential,
        crystals=tuple(each for each, _ in found),
        evaluations=sum(count for _, count in found),
        displaced=tuple(
            after.name
            for before, (after, _) in zip(crystals, found, strict=True)
            if after is not before
        ),
    )


def _crystal(phase: PhaseSection, study: HarmonicStudy) -> Crystal:
    label = f"phase {phase.name!r}"
    atoms = _atoms(phase, label)
    refuse_no_crystal(atoms, label)
    alone = Symmetry(phonopy_cell(atoms), symprec=SYMMETRY_TOLERANCE)
    _refuse_other_group(phase, alone, label)
    _refuse_broken_symmetry(phase, alone, label)
    crystal = make_crystal(atoms, phase.supercell, phase.name)
    if phase.born is None or study.analysis.long_range == "none":
        return crystal
    return replace(crystal, born=_born(phase, atoms, study.analysis.long_range, label))


def _atoms(phase: PhaseSection, label: str) -> Atoms:
    if phase.bulk is not None:
        bulk = phase.bulk
        # ASE builds a cubic cell of structures that are cubic only.
        cubic = bulk.cubic and bulk.structure != "hcp"
        try:
            return ase.build.bulk(bulk.formula, bulk.structure, a=bulk.a, c=bulk.c, cubic=cubic)
        except (ValueError, KeyError, RuntimeError) as error:
            raise InputError(f"{label}: bulk: {bulk.formula} {bulk.structure}: {error}") from error
    return read_atoms(phase.structure, label)


def _refuse_other_group(phase: PhaseSection, found: Symmetry, label: str) -> None:
    wanted, name = phase.space_group, found.get_international_table().strip()
    symbol, _, number = name.partition(" ")
    if wanted is not None and str(wanted) not in {symbol, number.strip("()")}:
        raise InputError(
            f"{label}: space_group = {wanted!r}, but the structure has {name} within "
            f"{SYMMETRY_TOLERANCE} A; correct one of them"
        )


def _refuse_broken_symmetry(phase: PhaseSection, found: Symmetry, label: str) -> None:
    """Every rotation of the crystal must map the supercell's lattice on itself."""
    matrix = np.asarray(phase.supercell, np.float64)
    if round(np.linalg.det(matrix)) < 1:
        return
    rotations = np.unique(found.symmetry_operations["rotations"], axis=0)
    carried = np.linalg.inv(matrix) @ rotations @ matrix
    kept = int(np.sum(np.all(np.abs(carried - np.round(carried)) < 1e-6, axis=(1, 2))))
    if kept < len(rotations):
        raise InputError(
            f"{label}: supercell = {np.array(phase.supercell).tolist()} keeps {kept} of the "
            f"{len(rotations)} rotations of {found.get_international_table().strip()}; take one "
            "that repeats equivalent axes alike"
        )


def _born(phase: PhaseSection, atoms: Atoms, method: str, label: str) -> dict:
    """Read the parameters of the non-analytic term, in phonopy's units."""
    cell = phonopy_cell(atoms)
    matrix = primitive_matrix(cell)
    primitive = get_primitive(cell, matrix, symprec=SYMMETRY_TOLERANCE)
    try:
        found = parse_BORN(primitive, filename=str(phase.born), symprec=SYMMETRY_TOLERANCE)
    except (OSError, ValueError, RuntimeError, IndexError) as error:
        raise InputError(f"{label}: born = {phase.born}: {error}") from error
    # phonopy's own tools begin the file with a comment in place of the factor.
    return {"factor": Hartree * Bohr} | dict(found) | {"method": method}
