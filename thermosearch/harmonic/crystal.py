"""A crystal as a unit cell repeated into a supercell, and its effective harmonic model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from jaxtyping import Float, Int
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms
from phonopy.structure.cells import guess_primitive_matrix
from phonopy.structure.symmetry import Symmetry

from thermosearch.configuration import OVERLAP, Configuration, from_ase, to_ase, validate
from thermosearch.harmonic.symmetry import SpaceGroup, space_group, symmetrise_matrix
from thermosearch.runtime.errors import InputError


class EffectiveCrystal(NamedTuple):
    """Harmonic potential of a supercell: u(x) = static + (x - centroids) Phi (x - centroids) / 2.

    Attributes
    ----------
    centroids : (n, 3) float64
        Mean positions, A.
    cell : (3, 3) float64
        Of the supercell, rows, A.
    numbers : (n,) int32
        Atomic numbers.
    masses : (n,) float64
        amu.
    force_constants : (3 n, 3 n) float64
        Symmetric, eV/A^2; rows and columns are x, y, z of every atom. Uniform translations cost
        nothing, exactly.
    static : float
        Potential energy at the centroids, eV of the supercell.
    """

    centroids: Float[np.ndarray, "n 3"]
    cell: Float[np.ndarray, "3 3"]
    numbers: Int[np.ndarray, " n"]
    masses: Float[np.ndarray, " n"]
    force_constants: Float[np.ndarray, "m m"]
    static: float

    @property
    def volume(self) -> float:
        """Of the supercell, A^3."""
        return abs(float(np.linalg.det(self.cell)))

    def configuration(self) -> Configuration:
        """All atoms at their centroids."""
        return Configuration(
            positions=self.centroids,
            cell=self.cell,
            pbc=np.ones(3, bool),
            numbers=self.numbers,
            total_charge=np.asarray(0.0),
        )


@dataclass(frozen=True)
class Crystal:
    """Unit cell, supercell and symmetry of a phase.

    Attributes
    ----------
    name : str
        Of the phase.
    unit : Configuration
        Unit cell as given, its symmetry made exact.
    supercell_matrix : (3, 3) int64
        In phonopy's convention: columns are the supercell's vectors in those of the unit cell.
    supercell : Configuration
        In phonopy's order of atoms.
    masses : (n,) float64
        Of the supercell's atoms, amu.
    unit_atoms : (u,) int64
        Atoms of the supercell that are those of the unit cell.
    group : SpaceGroup
        Of the supercell.
    born : object or None
        phonopy's parameters of the non-analytic term.
    """

    name: str
    unit: Configuration
    supercell_matrix: Int[np.ndarray, "3 3"]
    supercell: Configuration
    masses: Float[np.ndarray, " n"]
    unit_atoms: Int[np.ndarray, " u"]
    group: SpaceGroup
    born: object | None = None

    @property
    def atoms(self) -> int:
        """Of the supercell."""
        return len(self.supercell.numbers)

    @property
    def units(self) -> int:
        """Unit cells in the supercell."""
        return self.atoms // len(self.unit.numbers)


SYMMETRY_TOLERANCE = 1.0e-3
"""Distance, A, within which atoms that an operation brings together are the same."""


def make_crystal(
    atoms: Atoms,
    supercell: Sequence[int] | Sequence[Sequence[int]],
    name: str = "crystal",
    symmetry_tolerance: float = SYMMETRY_TOLERANCE,
) -> Crystal:
    """Build the supercell of a unit cell and find its space group.

    Parameters
    ----------
    atoms : ase.Atoms
        Unit cell, periodic in all directions; small deviations from its symmetry are removed.
    supercell : 3 or 3 x 3 int
        Repetitions, or phonopy's supercell matrix.
    name : str
        Of the phase.
    symmetry_tolerance : float
        A.

    Raises
    ------
    InputError
        If it is no crystal (see `refuse_no_crystal`) or the matrix has no volume.
    """
    refuse_no_crystal(atoms, name)
    matrix = np.asarray(supercell, np.int64)
    matrix = np.diag(matrix) if matrix.ndim == 1 else matrix
    if round(np.linalg.det(matrix)) < 1:
        raise InputError(
            f"{name}: supercell = {matrix.tolist()}: its determinant must be a positive number"
        )
    unit = _with_exact_symmetry(atoms, symmetry_tolerance)
    phonon = Phonopy(phonopy_cell(unit), matrix, primitive_matrix="P", symprec=symmetry_tolerance)
    repeated = phonon.supercell
    configuration = Configuration(
        positions=np.array(repeated.positions),
        cell=np.array(repeated.cell),
        pbc=np.ones(3, bool),
        numbers=np.asarray(repeated.numbers, np.int32),
        total_charge=np.asarray(0.0),
    )
    return Crystal(
        name=name,
        unit=from_ase(unit),
        supercell_matrix=matrix,
        supercell=configuration,
        masses=np.array(repeated.masses, np.float64),
        unit_atoms=np.asarray(repeated.u2s_map, np.int64),
        group=space_group(phonon.symmetry),
    )


def refuse_no_crystal(atoms: Atoms, label: str) -> None:
    """Refuse what has no lattice, or what symmetry cannot be looked for in.

    Raises
    ------
    InputError
        If the structure is not periodic, its cell singular or left-handed, or `validate` refuses
        it; atoms within `OVERLAP` are one.
    """
    if not atoms.pbc.all():
        raise InputError(f"{label}: a crystal repeats in three directions; its pbc is {atoms.pbc}")
    validate(from_ase(atoms), closest=OVERLAP, label=label)
    if np.linalg.det(atoms.cell[:]) < 0.0:
        raise InputError(
            f"{label}: its cell vectors {atoms.cell.tolist()} are left-handed: exchange two of them"
        )


def effective_crystal(
    crystal: Crystal, force_constants: Float[np.ndarray, "m m"], static: float = 0.0
) -> EffectiveCrystal:
    """Harmonic model of a crystal where it stands, its force constants made exactly allowed."""
    return EffectiveCrystal(
        centroids=np.asarray(crystal.supercell.positions),
        cell=np.asarray(crystal.supercell.cell),
        numbers=np.asarray(crystal.supercell.numbers),
        masses=crystal.masses,
        force_constants=allowed(crystal.group, np.asarray(crystal.supercell.cell), force_constants),
        static=static,
    )


def allowed(
    group: SpaceGroup, cell: Float[np.ndarray, "3 3"], matrix: Float[np.ndarray, "m m"]
) -> Float[np.ndarray, "m m"]:
    """Nearest force constants that are symmetric, keep the space group and the acoustic sum rule.

    The three projections commute, so one after the other they give their common one.
    """
    averaged = symmetrise_matrix(group, cell, 0.5 * (matrix + matrix.T))
    blocks = averaged.reshape(len(matrix) // 3, 3, len(matrix) // 3, 3)
    blocks = blocks - blocks.mean(axis=0, keepdims=True)
    blocks = blocks - blocks.mean(axis=2, keepdims=True)
    projected = blocks.reshape(len(matrix), len(matrix))
    return 0.5 * (projected + projected.T)


def unit_cell(crystal: Crystal, effective: EffectiveCrystal) -> Atoms:
    """Give the unit cell of an effective crystal, its atoms at their centroids."""
    cell = np.linalg.inv(crystal.supercell_matrix.T) @ effective.cell
    return Atoms(
        numbers=effective.numbers[crystal.unit_atoms],
        positions=effective.centroids[crystal.unit_atoms],
        cell=cell,
        pbc=True,
        masses=effective.masses[crystal.unit_atoms],
    )


def phonopy_object(crystal: Crystal, effective: EffectiveCrystal) -> Phonopy:
    """Make phonopy's object of an effective crystal: bands, DOS, meshes, thermal properties."""
    phonon = Phonopy(
        phonopy_cell(unit_cell(crystal, effective)),
        crystal.supercell_matrix,
        # Of the crystal as given: centroids may come near to a smaller cell at one temperature.
        primitive_matrix=primitive_matrix(phonopy_cell(to_ase(crystal.unit))),
        symprec=SYMMETRY_TOLERANCE,
    )
    n = crystal.atoms
    # The supercell is built in the same order from the same matrix.
    phonon.force_constants = np.ascontiguousarray(
        effective.force_constants.reshape(n, 3, n, 3).transpose(0, 2, 1, 3)
    )
    if crystal.born is not None:
        phonon.nac_params = crystal.born
    return phonon


def primitive_matrix(unit: PhonopyAtoms) -> Float[np.ndarray, "3 3"]:
    """Vectors of the primitive cell in those of the unit cell, phonopy's columns."""
    return np.asarray(guess_primitive_matrix(unit, symprec=SYMMETRY_TOLERANCE), np.float64)


def coordinate_masses(masses: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
    """Masses of the coordinates: each atom's three times."""
    return np.repeat(masses, 3)


def phonopy_cell(atoms: Atoms) -> PhonopyAtoms:
    """Structure in phonopy's terms."""
    return PhonopyAtoms(
        symbols=[chemical_symbols[z] for z in atoms.numbers],
        cell=atoms.cell[:],
        positions=atoms.positions,
        masses=atoms.get_masses(),
    )


def _with_exact_symmetry(atoms: Atoms, tolerance: float) -> Atoms:
    """Average cell and positions over the space group that holds within the tolerance."""
    found = Symmetry(phonopy_cell(atoms), symprec=tolerance)
    operations = found.symmetry_operations
    rotations = np.asarray(operations["rotations"], np.int64)
    translations = np.asarray(operations["translations"], np.float64)
    permutations = np.asarray(found.atomic_permutations)
    _refuse_unequal_masses(atoms, permutations)
    cell = atoms.cell[:]
    metric = np.mean(rotations.transpose(0, 2, 1) @ (cell @ cell.T) @ rotations, axis=0)
    inverse = np.linalg.inv(cell)
    values, vectors = np.linalg.eigh(inverse @ metric @ inverse.T)
    exact = cell @ (vectors * np.sqrt(values)) @ vectors.T
    fractional = atoms.positions @ inverse
    total = np.zeros_like(fractional)
    for turn, shift, permutation in zip(rotations, translations, permutations, strict=True):
        moved = fractional @ turn.T + shift
        apart = moved - fractional[permutation]
        total[permutation] += apart - np.round(apart)
    fractional = fractional + total / len(rotations)
    # An atom on the cell's face stays on that face: -1e-17 would be wrapped to the other one.
    whole = np.round(fractional)
    fractional = np.where(np.abs(fractional - whole) < 1e-12, whole, fractional)
    return Atoms(
        numbers=atoms.numbers,
        cell=exact,
        scaled_positions=fractional,
        pbc=True,
        masses=atoms.get_masses(),
    )


def _refuse_unequal_masses(atoms: Atoms, permutations: Int[np.ndarray, "operations n"]) -> None:
    masses = atoms.get_masses()
    if np.ptp(masses[permutations], axis=0).max() > 1e-6:
        raise InputError(
            f"masses {masses.tolist()} of atoms that the space group exchanges differ: isotopes in "
            "order lower the symmetry, which is not found; give equivalent atoms one mass"
        )
