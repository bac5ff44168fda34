"""Where the atoms of a study are: measure, cell, what stays, and how neighbours are found."""

from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from jaxtyping import Float

from thermosearch.configuration import Configuration, read_atoms, validate
from thermosearch.nested.finders import AllPairs, NeighbourFinder, SkinnedList
from thermosearch.nested.measures import FixedCell, FlexibleCell, Measure, Sphere
from thermosearch.nested.rows import PairPotential
from thermosearch.nested.study import NestedStudy
from thermosearch.potentials.evaluate import bucket
from thermosearch.potentials.interface import Potential
from thermosearch.potentials.neighbours_device import DeviceList
from thermosearch.runtime.errors import InputError

MOST_IMAGES = 4
FEWEST_SLOTS, MOST_SLOTS = 16, 64
"""Bounds of the neighbour slots that a run begins with."""

SKIN = 0.15
"""Of kept neighbour lists, in cutoffs."""


class Container(NamedTuple):
    """Where the atoms are.

    Attributes
    ----------
    measure : Measure
        Of the prior.
    cell : (3, 3) float64
        The founder's.
    pbc : (3,) tuple of bool
        Directions that repeat.
    thinnest : (3,) float64
        Least distances between opposite faces.
    """

    measure: Measure
    cell: Float[np.ndarray, "3 3"]
    pbc: tuple[bool, bool, bool]
    thinnest: Float[np.ndarray, "3"]


def make_container(study: NestedStudy, pressure_unit: float, atoms: int) -> Container:
    """Give the measure of a study, and the cell that goes with it.

    Parameters
    ----------
    study : NestedStudy
        What the user asked for.
    pressure_unit : float
        Energy per volume, for each unit of pressure.
    atoms : int
        That move.

    Raises
    ------
    InputError
        If the cell spans no volume.
    """
    section = study.system
    nowhere = np.zeros((3, 3))
    if section.sphere is not None:
        sphere = Sphere(section.sphere.radius, section.sphere.about)
        return Container(sphere, nowhere, (False, False, False), np.full(3, np.inf))
    if section.cell is not None:
        cell = np.array(section.cell.vectors, np.float64)
        size = abs(float(np.linalg.det(cell)))
        if size == 0.0:
            raise InputError(f"system.cell.vectors = {cell.tolist()}: they span no volume")
        thick = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
        return Container(FixedCell(section.cell.pbc, size), cell, section.cell.pbc, thick)
    flexible = section.flexible_cell
    lowest, highest = (bound * atoms for bound in flexible.volume_per_atom)
    measure = FlexibleCell(
        pressure=jnp.asarray(flexible.pressures[0] * pressure_unit, jnp.float64),
        volume_power=atoms if flexible.volume_prior == "power" else 0,
        lowest=lowest,
        highest=highest,
        min_depth=flexible.min_depth,
    )
    thick = np.full(3, flexible.min_depth * np.cbrt(lowest))
    return Container(measure, np.cbrt(highest) * np.eye(3), (True, True, True), thick)


def read_frozen(study: NestedStudy, cell: Float[np.ndarray, "3 3"]) -> Atoms:
    """Atoms that stay where they are, from the study's file; none without one."""
    if study.system.frozen is None:
        return Atoms()
    path = study.system.frozen.file
    frozen = read_atoms(path, "system.frozen.file")
    if not np.allclose(frozen.cell.array, cell):
        raise InputError(
            f"system.frozen.file = {path}: its cell {frozen.cell.array.tolist()} is not "
            f"system.cell.vectors = {cell.tolist()}"
        )
    return frozen


def check_species(
    study: NestedStudy, potential: Potential, container: Container, frozen: Atoms
) -> None:
    """Refuse what the potential does not know, and an infinite cutoff where the cell repeats."""
    may_be = [atomic_numbers[name] for name in study.system.chemical_potentials or {}]
    for each in (*study.system.all_numbers, *([may_be] if may_be else [])):
        numbers = np.concatenate((each, frozen.numbers)).astype(np.int32)
        founder = Configuration(
            positions=np.zeros((len(numbers), 3)),
            cell=container.cell,
            pbc=np.array(container.pbc),
            numbers=numbers,
            total_charge=np.zeros(()),
        )
        validate(founder, elements=potential.elements, label="system.composition")
    if any(container.pbc) and potential.cutoff is not None and np.isinf(potential.cutoff):
        raise InputError(
            "potential: an infinite cutoff cannot be used in a periodic cell: give a finite one"
        )


def make_finder(
    potential: Potential, container: Container, atoms: int, *, alone: bool
) -> NeighbourFinder:
    """Choose how neighbours are listed.

    Parameters
    ----------
    potential : Potential
        Its cutoff.
    container : Container
        How thin the cell may be.
    atoms : int
        All of them.
    alone : bool
        Whether walkers go one after the other: lists are then kept while they serve, and second
        images looked at only in the cells that need them. Pairs are summed without a list.

    Raises
    ------
    InputError
        If too many images would be needed.
    """
    pbc, thinnest = container.pbc, container.thinnest
    density = atoms / container.measure.smallest_volume
    if potential.cutoff is None or not any(pbc):
        return AllPairs(atoms)
    images = _images(container, potential.cutoff)
    if max(images) > MOST_IMAGES:
        fixed = isinstance(container.measure, FixedCell)
        remedy = "repeat it" if fixed else "raise the lower bound of volume_per_atom, or min_depth"
        raise InputError(
            f"system: a cell as thin as {thinnest.min():.3g} would need {max(images)} periodic "
            f"images within the cutoff {potential.cutoff:.3g}: {remedy}"
        )
    # As many slots as there are neighbours in the smallest cell: every growth is a compilation.
    mean = 4.0 / 3.0 * np.pi * potential.cutoff**3 * density
    slots = bucket(int(np.clip(mean, FEWEST_SLOTS, MOST_SLOTS)))
    exact = DeviceList(float(potential.cutoff), slots, images, nearest_first=alone)
    if not alone or isinstance(potential, PairPotential):
        return exact
    skin = SKIN * exact.cutoff
    return SkinnedList(replace(exact, images=_images(container, exact.cutoff + skin)), skin)


def _images(container: Container, radius: float) -> tuple[int, int, int]:
    """Count the images on either side that reach a radius in the thinnest cell."""
    reach = np.maximum(np.ceil(radius / container.thinnest - 0.5), 0.0)
    one, two, three = np.where(container.pbc, reach, 0.0).astype(int).tolist()
    return one, two, three
