"""Which atoms of a founder the engines move, which only relax, which stay."""

import numpy as np
from ase.data import atomic_numbers
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Configuration
from thermosearch.runtime.errors import InputError
from thermosearch.search.system_section import ChoiceSection, SystemSection
from thermosearch.structure.surface import heights, layers_from_top, surface_normal

FROZEN, RELAXED, MOVED = 0, 1, 2
"""Roles of an atom: stays, only relaxes, is moved by the engine (and relaxes)."""


def check_layers(system: SystemSection, configuration: Configuration, label: str) -> None:
    """Refuse to count layers or depths of a slab that does not lie, and of a particle.

    Raises
    ------
    InputError
        If some directions are periodic, but not both in a plane normal to z; or none is and atoms
        are not chosen otherwise.
    """
    if np.any(configuration.pbc):
        if not np.all(configuration.pbc[:2]) or surface_normal(configuration)[2] < 1.0 - 1e-6:
            raise InputError(
                f"{label}: pbc = {np.asarray(configuration.pbc).tolist()}, cell = "
                f"{np.asarray(configuration.cell).tolist()}: a slab repeats along a and b, its "
                "normal along +z: turn it or exchange cell vectors so that c points upwards"
            )
        return
    choices = [each for each in (system.moved, system.frozen) if each is not None]
    if (
        system.moved is None
        or system.overlayer is not None
        or system.both_faces
        or any(each.depth is not None for each in choices)
    ):
        raise InputError(
            f"{label}: no direction is periodic, and a particle has no layers, depths, faces or "
            "overlayer: choose its atoms in [system.moved] by radius, indices or elements"
        )


def choose_roles(
    system: SystemSection, configuration: Configuration, label: str, added: int = 0
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Give every atom its role, by layers or by the study's own choices.

    Parameters
    ----------
    system : SystemSection
    configuration : Configuration
        The founder.
    label : str
        For messages.
    added : int
        Its last atoms, of an overlayer: they are moved, and layers, depths and choices are those
        of the slab without them.

    Returns
    -------
    role : (n,) int64
        `FROZEN`, `RELAXED` or `MOVED`.
    layer : (n,) int64
        0 at the top, of the overlayer (or at the nearer face); all 0 for clusters, crystals
        and particles.

    Raises
    ------
    InputError
        If no atom is left to move, or layers were asked for that are not there.
    """
    atoms = len(configuration.numbers)
    layer = np.zeros(atoms, np.int64)
    if np.any(configuration.pbc) and not system.is_free:
        layer = _layers(configuration, system.both_faces)
    bare = configuration._replace(
        positions=np.asarray(configuration.positions)[: atoms - added],
        numbers=np.asarray(configuration.numbers)[: atoms - added],
    )
    role = np.concatenate([_of_bare(system, bare, label), np.full(added, MOVED)])
    if not np.any(role == MOVED):
        raise InputError(
            f"{label}: no atom is left to move: widen the choice in [system.moved] or narrow "
            "[system.frozen]"
        )
    return role, layer


def chosen(
    choice: ChoiceSection, configuration: Configuration, both_faces: bool, label: str
) -> Bool[np.ndarray, " n"]:
    """Atoms for which all conditions of a choice hold."""
    positions, numbers = np.asarray(configuration.positions), np.asarray(configuration.numbers)
    holds = np.ones(len(numbers), bool)
    if choice.depth is not None:
        holds &= depths(configuration, both_faces) <= choice.depth
    if choice.radius is not None:
        holds &= np.linalg.norm(positions - positions.mean(axis=0), axis=1) >= choice.radius
    if choice.elements is not None:
        holds &= np.isin(numbers, [atomic_numbers[symbol] for symbol in choice.elements])
    if choice.indices is not None:
        wrong = [index for index in choice.indices if not 0 <= index < len(numbers)]
        if wrong:
            raise InputError(
                f"{label}: no atom {wrong[0]}; the founder has 0 to {len(numbers) - 1}"
            )
        holds &= np.isin(np.arange(len(numbers)), choice.indices)
    return holds


def depths(configuration: Configuration, both_faces: bool) -> Float[np.ndarray, " n"]:
    """Distance of every atom below the topmost one (of the nearer face), A."""
    height = heights(configuration)
    below = height.max() - height
    return np.minimum(below, height - height.min()) if both_faces else below


def _layers(configuration: Configuration, both_faces: bool) -> Int[np.ndarray, " n"]:
    layer = layers_from_top(configuration)
    return np.minimum(layer, layer.max() - layer) if both_faces else layer


def _of_bare(
    system: SystemSection, configuration: Configuration, label: str
) -> Int[np.ndarray, " n"]:
    """Roles of all atoms but an overlayer's."""
    both = system.both_faces
    if system.is_free:
        role = np.full(len(configuration.numbers), MOVED)
    elif system.moved is None:
        role = _by_layer(system, _layers(configuration, both), label)
    else:
        moved = chosen(system.moved, configuration, both, "system.moved")
        role = np.where(moved, MOVED, RELAXED)
    if system.frozen is None:
        return role
    return np.where(chosen(system.frozen, configuration, both, "system.frozen"), FROZEN, role)


def _by_layer(
    system: SystemSection, layer: Int[np.ndarray, " n"], label: str
) -> Int[np.ndarray, " n"]:
    frozen_from = system.moved_layers + system.relaxed_layers
    if layer.max() < frozen_from:
        raise InputError(
            f"{label}: {layer.max() + 1} layers, but moved_layers + relaxed_layers = "
            f"{frozen_from} leaves none frozen at the bottom: give more layers or move fewer"
        )
    return np.where(
        layer < system.moved_layers, MOVED, np.where(layer < frozen_from, RELAXED, FROZEN)
    )
