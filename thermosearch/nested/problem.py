"""From a study to what the sampler works with."""

from dataclasses import dataclass
from typing import NamedTuple

import ase.io
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from ase.formula import Formula
from ase.io.formats import UnknownFileTypeError
from jaxtyping import Float

from thermosearch.configuration import Array, Configuration, validate
from thermosearch.nested.caution import CautiousCommittee
from thermosearch.nested.ending import Criteria
from thermosearch.nested.finders import AllPairs, NeighbourFinder, TieredList
from thermosearch.nested.measures import FixedCell, FlexibleCell, Measure, Sphere
from thermosearch.nested.momenta import highest_kinetic
from thermosearch.nested.moves.all_atoms import AllAtomsMove
from thermosearch.nested.moves.atom import AtomMove
from thermosearch.nested.moves.galilean import GalileanMove
from thermosearch.nested.moves.hamiltonian import HamiltonianMove
from thermosearch.nested.moves.identity import IdentityMove
from thermosearch.nested.moves.interface import Move
from thermosearch.nested.moves.shear import ShearMove
from thermosearch.nested.moves.stretch import StretchMove
from thermosearch.nested.moves.swap import SwapMove
from thermosearch.nested.moves.volume import VolumeMove
from thermosearch.nested.rows import DensityPotential, PairPotential
from thermosearch.nested.sampler import Sizes
from thermosearch.nested.study import MoveSection, NestedStudy
from thermosearch.nested.walk import Batching, Plan
from thermosearch.nested.walker import System, Walker
from thermosearch.potentials.evaluate import bucket
from thermosearch.potentials.interface import Committee, Potential
from thermosearch.potentials.neighbours_device import DeviceList
from thermosearch.runtime.errors import InputError
from thermosearch.units import BOLTZMANN_EV_PER_K, EV_PER_A3_IN_GPA

MOVES: dict[str, type[Move]] = {
    "atom": AtomMove,
    "all_atoms": AllAtomsMove,
    "galilean": GalileanMove,
    "hamiltonian": HamiltonianMove,
    "volume": VolumeMove,
    "shear": ShearMove,
    "stretch": StretchMove,
    "swap": SwapMove,
    "identity": IdentityMove,
}
MOST_IMAGES = 4
FEWEST_SLOTS, MOST_SLOTS = 16, 64
"""Bounds of the neighbour slots that a run begins with."""
INITIAL_ROUNDS = 10
"""Length of the first walk, under no contour, in walks."""


@dataclass(frozen=True)
class Units:
    """How temperatures and pressures of a study become energies, and what they are called.

    Attributes
    ----------
    reduced : bool
        Whether the potential has no physical units.
    """

    reduced: bool

    @property
    def boltzmann(self) -> float:
        """Energy per unit of temperature."""
        return 1.0 if self.reduced else BOLTZMANN_EV_PER_K

    @property
    def pressure(self) -> float:
        """Energy per volume, for each unit of pressure."""
        return 1.0 if self.reduced else 1.0 / EV_PER_A3_IN_GPA

    @property
    def names(self) -> dict[str, str]:
        """Names of units and conditions in the results."""
        if self.reduced:
            reduced = dict.fromkeys(("energy", "length", "volume", "temperature_unit"), "reduced")
            return reduced | {"temperature": "kT", "pressure": "p"}
        return {
            "energy": "eV",
            "volume": "A^3",
            "temperature_unit": "K",
            "temperature": "T_K",
            "pressure": "p_GPa",
        }


class Conditions(NamedTuple):
    """What one run is at.

    Attributes
    ----------
    pressure : float or None
        In the study's unit; None where there is none.
    numbers : tuple of int
        Atomic numbers of the mobile atoms.
    """

    pressure: float | None
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Problem:
    """A study made ready.

    Attributes
    ----------
    system : System
        At the first of the conditions.
    plan, sizes, criteria
        For the sampler.
    founder : Walker
        One walker: species, frozen atoms, and the cell where it is fixed.
    conditions : tuple of Conditions
        Pressures times compositions.
    kt : (t,) float64
        Temperatures of the analysis, energies.
    units : Units
        Of the study.
    exchange_every : int or None
        Iterations between exchanges of walkers.
    """

    system: System
    plan: Plan
    sizes: Sizes
    criteria: Criteria
    founder: Walker
    conditions: tuple[Conditions, ...]
    kt: Float[np.ndarray, " t"]
    units: Units
    exchange_every: int | None

    def system_at(self, conditions: Conditions) -> System:
        """Give the system at the pressure of some conditions."""
        if conditions.pressure is None:
            return self.system
        value = jnp.asarray(conditions.pressure * self.units.pressure, jnp.float64)
        return eqx.tree_at(lambda system: system.measure.pressure, self.system, value)

    def founder_at(self, conditions: Conditions) -> Walker:
        """Give the founder with the species of some conditions."""
        numbers = np.array(self.founder.numbers)
        numbers[self.system.moving] = conditions.numbers
        return self.founder._replace(numbers=jnp.asarray(numbers))

    def stated(self, conditions: Conditions) -> dict[str, str | float]:
        """Conditions as results name them: the pressure, and the composition if there are more."""
        pressure = {self.units.names["pressure"]: conditions.pressure}
        found = {} if conditions.pressure is None else pressure
        if len({each.numbers for each in self.conditions}) > 1:
            found["composition"] = Formula.from_list(
                [chemical_symbols[number] for number in conditions.numbers]
            ).format("metal")
        return found

    def label(self, conditions: Conditions) -> str:
        """Conditions in words; empty where there is only one."""
        return ", ".join(f"{name} = {value}" for name, value in self.stated(conditions).items())

    @property
    def reweighting(self) -> int:
        """Power of the volume by which the analysis weights the points."""
        measure = self.system.measure
        flexible = isinstance(measure, FlexibleCell)
        return self.system.atoms - measure.volume_power if flexible else 0


def make_problem(study: NestedStudy) -> Problem:
    """Make ready what a study describes.

    Raises
    ------
    InputError
        If the potential does not know an element, or its cutoff does not fit the cell.
    """
    potential = study.potential.build(study.run.precision)
    if study.method.spread_limit is not None:
        if not isinstance(potential, Committee):
            raise InputError("method.spread_limit: the potential is no committee: leave it out")
        limit = jnp.asarray(study.method.spread_limit, jnp.float64)
        potential = CautiousCommittee(potential, limit)
    units = Units(potential.units == "reduced")
    compositions = study.system.all_numbers
    mobile = len(compositions[0])
    measure, cell, pbc, thinnest = _container(study, units, mobile)
    frozen = _frozen(study, cell)
    numbers = np.concatenate((compositions[0], frozen.numbers)).astype(np.int32)
    may_be = [atomic_numbers[name] for name in study.system.chemical_potentials or {}]
    for each in (*compositions, *([may_be] if may_be else [])):
        _check(potential, np.concatenate((each, frozen.numbers)), cell, pbc)
    atoms = len(numbers)
    batching = study.method.batching or _default_batching(potential)
    density = atoms / measure.smallest_volume
    finder = _finder(potential, atoms, pbc, density, thinnest=thinnest, batching=batching)
    potentials = study.system.chemical_potentials or {}
    system = System(
        potential,
        measure,
        finder,
        pbc,
        atoms,
        tuple(range(mobile)),
        tuple(atomic_numbers[name] for name in potentials),
        jnp.asarray(list(potentials.values()), jnp.float64) if potentials else None,
        _highest_kinetic(study, units, mobile),
    )
    founder = Walker(
        positions=jnp.asarray(np.concatenate((np.zeros((mobile, 3)), frozen.positions))),
        cell=jnp.asarray(cell),
        numbers=jnp.asarray(numbers),
        energy=jnp.zeros((), jnp.float64),
    )
    lowest, highest, count = study.analysis.temperatures
    kt = np.linspace(lowest, highest, count) * units.boltzmann
    flexible = study.system.flexible_cell
    method, stop = study.method, study.method.stop
    return Problem(
        system=system,
        plan=_plan(study, system, batching),
        sizes=Sizes(
            walkers=method.walkers,
            culled=method.culled,
            extra=method.extra,
            rounds=method.rounds,
            width=min(method.width, method.walkers),
            initial_rounds=INITIAL_ROUNDS * method.rounds,
        ),
        criteria=Criteria(
            prior_mass=stop.prior_mass,
            temperature=None if stop.temperature is None else stop.temperature * units.boltzmann,
            remaining_evidence=stop.remaining_evidence,
            kt=float(kt[0]),
            iterations=stop.iterations,
            spread=stop.spread,
            highest_kt=float(kt[-1]),
        ),
        founder=founder,
        conditions=tuple(
            Conditions(pressure, each)
            for each in compositions
            for pressure in ((None,) if flexible is None else flexible.pressures)
        ),
        kt=kt,
        units=units,
        exchange_every=method.exchange_every,
    )


def _container(
    study: NestedStudy, units: Units, atoms: int
) -> tuple[Measure, Float[np.ndarray, "3 3"], tuple[bool, bool, bool], Float[np.ndarray, "3"]]:
    """Measure, founder's cell, periodic directions, least distances between opposite faces."""
    section = study.system
    nowhere = np.zeros((3, 3))
    if section.sphere is not None:
        sphere = Sphere(section.sphere.radius, section.sphere.about)
        return sphere, nowhere, (False, False, False), np.full(3, np.inf)
    if section.cell is not None:
        cell = np.array(section.cell.vectors, np.float64)
        size = abs(float(np.linalg.det(cell)))
        if size == 0.0:
            raise InputError(f"system.cell.vectors = {cell.tolist()}: they span no volume")
        thick = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
        return FixedCell(section.cell.pbc, size), cell, section.cell.pbc, thick
    flexible = section.flexible_cell
    lowest, highest = (bound * atoms for bound in flexible.volume_per_atom)
    measure = FlexibleCell(
        pressure=jnp.asarray(flexible.pressures[0] * units.pressure, jnp.float64),
        volume_power=atoms if flexible.volume_prior == "power" else 0,
        lowest=lowest,
        highest=highest,
        min_depth=flexible.min_depth,
    )
    thick = np.full(3, flexible.min_depth * np.cbrt(lowest))
    return measure, np.cbrt(highest) * np.eye(3), (True, True, True), thick


def _frozen(study: NestedStudy, cell: Float[np.ndarray, "3 3"]) -> Atoms:
    """Atoms that stay where they are, from the study's file; none without one."""
    if study.system.frozen is None:
        return Atoms()
    path = study.system.frozen.file
    try:
        frozen = ase.io.read(path)
    except (OSError, ValueError, KeyError, UnknownFileTypeError) as error:
        raise InputError(f"system.frozen.file = {path}: cannot be read: {error}") from error
    if not np.allclose(frozen.cell.array, cell):
        raise InputError(
            f"system.frozen.file = {path}: its cell {frozen.cell.array.tolist()} is not "
            f"system.cell.vectors = {cell.tolist()}"
        )
    return frozen


def _check(
    potential: Potential,
    numbers: np.ndarray,
    cell: Float[np.ndarray, "3 3"],
    pbc: tuple[bool, bool, bool],
) -> None:
    founder = Configuration(
        positions=np.zeros((len(numbers), 3)),
        cell=cell,
        pbc=np.array(pbc),
        numbers=numbers,
        total_charge=np.zeros(()),
    )
    validate(founder, elements=potential.elements, label="system.composition")
    if any(pbc) and potential.cutoff is not None and np.isinf(potential.cutoff):
        raise InputError(
            "potential: an infinite cutoff cannot be used in a periodic cell: give a finite one"
        )


def _highest_kinetic(study: NestedStudy, units: Units, atoms: int) -> Float[Array, ""] | None:
    """Bound of the kinetic energy, where a move asks for momenta."""
    if not any(move.name == "hamiltonian" for move in study.method.moves or ()):
        return None
    kt = study.analysis.temperatures[1] * units.boltzmann
    return jnp.asarray(highest_kinetic(kt, 3 * atoms), jnp.float64)


def _finder(
    potential: Potential,
    atoms: int,
    pbc: tuple[bool, bool, bool],
    density: float,
    *,
    thinnest: Float[np.ndarray, "3"],
    batching: Batching,
) -> NeighbourFinder:
    if potential.cutoff is None or not any(pbc):
        return AllPairs(atoms)
    reach = np.ceil(potential.cutoff / thinnest - 0.5)
    images = np.where(pbc, np.maximum(reach, 0.0), 0.0).astype(int)
    if images.max() > MOST_IMAGES:
        raise InputError(
            f"system: a cell as thin as {thinnest.min():.3g} would need {images.max()} periodic "
            f"images within the cutoff {potential.cutoff:.3g}: raise the lower bound of "
            "volume_per_atom, or min_depth"
        )
    # As many slots as there are neighbours in the smallest cell: every growth is a compilation.
    mean = 4.0 / 3.0 * np.pi * potential.cutoff**3 * density
    slots = bucket(int(np.clip(mean, FEWEST_SLOTS, MOST_SLOTS)))
    wide = DeviceList(float(potential.cutoff), slots, tuple(int(k) for k in images))
    return TieredList(wide) if batching == "loop" and images.max() > 1 else wide


def _default_batching(potential: Potential) -> Batching:
    """Choose side by side for what is cheap or runs on an accelerator."""
    cheap = isinstance(potential, PairPotential | DensityPotential) or potential.cutoff is None
    return "lanes" if cheap or jax.default_backend() != "cpu" else "loop"


def _plan(study: NestedStudy, system: System, batching: Batching) -> Plan:
    moves = study.method.moves or default_moves(study, system)
    return Plan(
        moves=tuple(MOVES[move.name]() for move in moves),
        counts=tuple(move.count for move in moves),
        batching=batching,
    )


def default_moves(study: NestedStudy, system: System) -> tuple[MoveSection, ...]:
    """Choose moves that suit the potential and the container.

    Single atoms where a move costs one row of pairs, else flights; the cell's three moves where
    it is free; swaps where there is something to swap.
    """
    moves = [MoveSection(name="atom" if system.sums_pairs else "galilean")]
    if study.system.flexible_cell is not None:
        moves += [MoveSection(name=name) for name in ("volume", "shear", "stretch")]
    if study.system.chemical_potentials is not None:
        moves.append(MoveSection(name="identity", count=max(1, system.atoms // 4)))
    if study.system.has_several_species:
        moves.append(MoveSection(name="swap", count=max(1, system.atoms // 4)))
    return tuple(moves)
