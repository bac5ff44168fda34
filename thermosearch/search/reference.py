"""The crystal a slab is cut from: its lattice parameter and energy with the study's potential."""

import numpy as np
from ase.build import bulk
from ase.data import atomic_numbers, reference_states
from scipy.optimize import root_scalar

from thermosearch.configuration import Configuration, from_ase, validate
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.interface import Potential
from thermosearch.relax.minimise import minimise
from thermosearch.runtime.errors import InputError
from thermosearch.search.system_section import FACES

SEARCHED = 0.1
"""Fraction of the tabulated lattice parameter within which that of the potential must lie."""

BULK_FORCE, BULK_STRESS = 1e-3, 1e-5
"""Tolerances of a relaxed bulk cell, eV/A and eV/A^3."""


def diamond(element: str, lattice_parameter: float) -> Configuration:
    """Cubic cell of a diamond crystal, 8 atoms."""
    return crystal_of(element, lattice_parameter, "diamond100")


def crystal_of(element: str, lattice_parameter: float, surface: str) -> Configuration:
    """Cubic cell of the crystal that a face belongs to."""
    return from_ase(bulk(element, FACES[surface], a=lattice_parameter, cubic=True))


def relaxed_bulk(potential: Potential, cell: Configuration) -> Configuration:
    """Relax cell and atoms of the crystal a slab is to be cut from.

    Raises
    ------
    InputError
        If the potential does not know an element, or the crystal does not relax.
    """
    validate(cell, elements=potential.elements, label="system.cut.bulk")
    (relaxed,) = minimise(
        potential,
        [cell],
        cell=True,
        force_tolerance=BULK_FORCE,
        stress_tolerance=BULK_STRESS,
        width=1,
    )
    if not relaxed.converged:
        raise InputError(f"system.cut.bulk: it does not relax ({relaxed.status.name})")
    return relaxed.configuration


def relaxed_lattice_parameter(
    potential: Potential, element: str, surface: str = "diamond100"
) -> float:
    """Lattice parameter of the crystal of a face at zero pressure, A.

    The root of the pressure, found by the secant method from ASE's tabulated value.

    Raises
    ------
    InputError
        If ASE knows no such crystal of the element, or the potential has no minimum near it.
    """
    kind = FACES[surface]
    state = reference_states[atomic_numbers[element]]
    if state is None or state["symmetry"] != kind:
        raise InputError(
            f"system.slab: no lattice parameter of {kind} {element} is tabulated: give "
            "lattice_parameter"
        )

    guess = float(state["a"])
    validate(crystal_of(element, guess, surface), elements=potential.elements, label="system.slab")

    def pressure(a: float) -> float:
        # A step of the secant method may go anywhere; a crystal must stay a crystal.
        crystal = crystal_of(element, float(np.clip(a, 0.8 * guess, 1.2 * guess)), surface)
        (properties,) = evaluate(potential, [crystal], ("energy", "stress"))
        return -float(np.trace(properties.stress)) / 3.0

    root = root_scalar(pressure, x0=guess, x1=1.002 * guess, method="secant", xtol=1e-6, maxiter=20)
    if not (root.converged and abs(root.root - guess) < SEARCHED * guess):
        raise InputError(
            f"system.slab: the potential has no {kind} {element} at zero pressure near "
            f"{guess:.3f} A: give lattice_parameter"
        )
    return float(root.root)
