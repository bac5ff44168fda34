"""A crystal that is no minimum, displaced to where it is one: into its softest imaginary mode.

Sampling from |omega| asks whether temperature holds a symmetric crystal up. This asks for the
crystal of lower symmetry beside it: the supercell, displaced along the imaginary mode to the lowest
energy on that line, is the unit cell of a new crystal, and its space group is found anew.
"""

import numpy as np
from jaxtyping import Float

from thermosearch.configuration import to_ase
from thermosearch.harmonic.crystal import Crystal, coordinate_masses, make_crystal
from thermosearch.harmonic.prepare import Evaluate, imaginary, prepare
from thermosearch.harmonic.statistics import Modes, normal_modes

AMPLITUDES = np.outer([1.0, -1.0], np.linspace(0.04, 0.6, 15)).ravel()
"""Largest displacement of an atom, A, at which the energy along the mode is looked at."""

DEGENERATE = 1.0e-3
"""Relative difference of the frequencies of one degenerate set."""


def distorted(crystal: Crystal, evaluate: Evaluate) -> tuple[Crystal, int]:
    """Displace a crystal along its softest mode, if that is imaginary.

    Parameters
    ----------
    crystal : Crystal
        As given.
    evaluate : callable
        The potential.

    Returns
    -------
    crystal : Crystal
        Its unit cell is the supercell of the one given; that one itself where no mode is imaginary.
    evaluations : int
        What this cost.
    """
    prepared = prepare(crystal, evaluate, cell=False)
    modes = normal_modes(prepared.force_constants, coordinate_masses(crystal.masses))
    if not imaginary(modes):
        return crystal, prepared.evaluations
    pattern = softest_pattern(modes)
    rest = crystal.supercell
    moved = [rest._replace(positions=rest.positions + a * pattern) for a in AMPLITUDES]
    energies = [float(each.energy) for each in evaluate(moved)]
    # Rounded: where both senses are one by symmetry the first wins, whatever the last bits.
    atoms = to_ase(moved[int(np.argmin(np.round(energies, 4)))])
    atoms.set_masses(crystal.masses)
    spent = prepared.evaluations + len(moved)
    return make_crystal(atoms, (1, 1, 1), crystal.name), spent


def softest_pattern(modes: Modes) -> Float[np.ndarray, "n 3"]:
    """Displacements of the softest mode, the largest 1 A.

    Of a degenerate set the one that moves some atom farthest along some axis: the most symmetric,
    and the same on every machine.
    """
    lowest = modes.frequencies[0]
    count = int(np.sum(np.abs(modes.frequencies - lowest) < DEGENERATE * abs(lowest)))
    vectors = modes.vectors[:, :count]
    # Rounded, so that equal ones are a tie, which the first wins.
    strongest = int(np.argmax(np.round(np.sum(vectors**2, axis=1), 6)))
    mode = (vectors @ vectors[strongest]) / np.sqrt(modes.masses)
    pattern = mode.reshape(-1, 3)
    return pattern / np.linalg.norm(pattern, axis=1).max()
