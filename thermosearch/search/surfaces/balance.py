"""Whose vibrations are in a slab's free energy, and whether the reservoirs balance them.

Atoms that are frozen, and the other face, are taken to vibrate as in the crystals they would go
to, and so add nothing to gamma. What does vibrate is charged what it would in those crystals.
"""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import from_ase
from thermosearch.runtime.errors import InputError
from thermosearch.search.surfaces.reading import counts, name_of
from thermosearch.search.surfaces.study import ReservoirEntry, SlabEntry
from thermosearch.structure.surface import layers_from_top

NONE_OF_IT = 1e-9
"""Formula units below which a slab holds none of a reservoir."""


def is_mobile(atoms: Atoms) -> Bool[np.ndarray, " n"]:
    """Atoms that the array `frozen` of their file does not hold fast."""
    return ~np.asarray(atoms.arrays.get("frozen", np.zeros(len(atoms))), bool)


def vibrating(entry: SlabEntry, atoms: Atoms) -> Bool[np.ndarray, " n"]:
    """Atoms of a slab whose vibrations are in its free energy: all of a harmonic run."""
    if entry.harmonic is not None:
        return np.ones(len(atoms), bool)
    if entry.vibrations == "phonons":
        return is_mobile(atoms)
    return np.zeros(len(atoms), bool)


def check_vibrations(
    entry: SlabEntry,
    atoms: Atoms,
    elements: Int[np.ndarray, " e"],
    reservoirs: Sequence[ReservoirEntry],
    compositions: Float[np.ndarray, "r e"],
) -> None:
    """Refuse vibrations of a slab that the reservoirs, or its other face, cannot balance.

    Atoms n are x formula units of the reservoirs, n = compositions^T x. Vibrating ones may not
    come from a crystal at rest, nor frozen ones from a gas or a free element: how they would
    vibrate in a crystal is not known.

    Raises
    ------
    InputError
        Naming the slab and the reservoir.
    """
    if entry.harmonic is None and entry.vibrations == "none":
        return
    label, vibrates = f"slabs: {entry.label}", vibrating(entry, atoms)
    _check_faces(label, atoms, vibrates, alike=entry.other_face is None)
    moving, still = (
        np.linalg.solve(compositions.T, counts(atoms.numbers[chosen], elements))
        for chosen in (vibrates, ~vibrates)
    )
    for k, reservoir in enumerate(reservoirs):
        if reservoir.harmonic is not None or reservoir.vibrations != "none":
            continue
        if reservoir.gas is None and reservoir.element is None:
            if abs(moving[k]) > NONE_OF_IT:
                raise InputError(
                    f"{label}: atoms that vibrate come from {name_of(reservoir)}, which does not: "
                    "give this reservoir vibrations too, or freeze these atoms"
                )
        elif abs(still[k]) > NONE_OF_IT:
            raise InputError(
                f"{label}: frozen atoms come from {name_of(reservoir)}, not from a crystal whose "
                "vibrations they could have: freeze whole formula units of the crystals, or give "
                "the crystal of a free element vibrations"
            )


def _check_faces(
    label: str, atoms: Atoms, vibrates: Bool[np.ndarray, " n"], *, alike: bool
) -> None:
    if not vibrates.any():
        raise InputError(f"{label}: all atoms are frozen, none vibrates: leave vibrations out")
    layer = layers_from_top(from_ase(atoms))
    upper, lower = vibrates[layer == 0].any(), vibrates[layer == layer.max()].any()
    if alike and upper != lower:
        raise InputError(
            f"{label}: one face vibrates, the other is frozen, so they are not alike: give "
            "other_face (this slab itself, where it is cut alike)"
        )
    if not alike and lower:
        raise InputError(
            f"{label}: its lower face vibrates, that of other_face does not: freeze the lower "
            "face (array `frozen`), or, where both are alike, leave other_face out"
        )
