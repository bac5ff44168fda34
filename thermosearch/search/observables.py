"""What a slab says about its surface: surface energy, dimers, and their spread."""

from dataclasses import dataclass

import numpy as np
from ase.data import covalent_radii
from jaxtyping import Float, Int

from thermosearch.configuration import Configuration
from thermosearch.search.founder import Founder
from thermosearch.structure.dimers import Dimers, surface_dimers
from thermosearch.structure.surface import highest_atoms, surface_area
from thermosearch.units import EV_PER_A2_IN_J_PER_M2

LONGEST_BOND = 1.2
"""Longest bond in sums of covalent radii."""


@dataclass(frozen=True)
class SlabReference:
    """Energies that a slab is measured against, eV.

    Attributes
    ----------
    bulk_per_atom : float or None
        Of the crystal at the slab's lattice parameter; None where the founder was given.
    ideal : float
        Of the founder as cut: both faces bulk-like.
    """

    bulk_per_atom: float | None
    ideal: float


def has_surface_energy(founder: Founder) -> bool:
    """Whether a change of energy is the searched face's: the lower one is frozen, or is alike."""
    lowest = founder.layer == founder.layer.max()
    return founder.is_slab and (founder.both_faces or not founder.mobile[lowest].any())


def surface_energy(founder: Founder, reference: SlabReference, energy: float) -> float:
    """Energy of one searched face, J/m^2; against the founder's where the bulk is unknown.

    The founder as cut has two equal faces, gamma_ideal = (E_ideal - N e_bulk) / (2 A). The
    frozen lower face of the searched slab still is that face, so

        gamma = (E - N e_bulk) / A - gamma_ideal = gamma_ideal + (E - E_ideal) / A,

    exact once the slab is thicker than the reach of the potential and of the relaxation. Where
    both faces are searched, E - E_ideal is that of both, and 2 A stands for A. Without e_bulk
    only the difference (E - E_ideal) / A is known, and that is returned.

    Parameters
    ----------
    founder : Founder
        The slab as cut.
    reference : SlabReference
        From the same potential (the same member of a committee).
    energy : float
        Of the slab with its upper face, or both, reconstructed, eV.
    """
    area = surface_area(founder.configuration)
    atoms = len(founder.configuration.numbers)
    ideal = 0.0
    if reference.bulk_per_atom is not None:
        ideal = (reference.ideal - atoms * reference.bulk_per_atom) / (2.0 * area)
    searched = 2.0 * area if founder.both_faces else area
    return (ideal + (energy - reference.ideal) / searched) * EV_PER_A2_IN_J_PER_M2


def has_dimers(founder: Founder) -> bool:
    """Whether dimers of the top layer mean something: a slab of one element, one face searched."""
    elements = set(np.asarray(founder.configuration.numbers).tolist())
    return founder.is_slab and len(elements) == 1 and not founder.both_faces


def top_dimers(founder: Founder, positions: Float[np.ndarray, "n 3"]) -> Dimers:
    """Dimers among as many of the highest atoms as the founder's top layer holds."""
    configuration = founder.configuration._replace(positions=positions)
    top = highest_atoms(configuration, int(np.sum(founder.layer == 0)))
    return surface_dimers(configuration, top, longest_bond(configuration, top))


def longest_bond(configuration: Configuration, atoms: Int[np.ndarray, " m"]) -> float:
    """Longest bond between these atoms by their mean covalent radius, A."""
    return (
        LONGEST_BOND * 2.0 * float(covalent_radii[np.asarray(configuration.numbers)[atoms]].mean())
    )


def dimer_labels(dimers: Dimers, atoms: int) -> Int[np.ndarray, " n"]:
    """Index of the dimer each of `atoms` atoms belongs to, -1 for none."""
    labels = np.full(atoms, -1, np.int64)
    for index, pair in enumerate(dimers.pairs):
        labels[pair] = index
    return labels


def spread(values: list[float]) -> float | None:
    """Sample standard deviation over the members; None where there are fewer than two."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
