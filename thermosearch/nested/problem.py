"""From a study to what the sampler works with."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from ase.formula import Formula
from jaxtyping import Float

from thermosearch.nested.caution import CautiousCommittee
from thermosearch.nested.container import (
    Container,
    check_species,
    make_container,
    make_finder,
    read_frozen,
)
from thermosearch.nested.ending import Criteria
from thermosearch.nested.measures import FlexibleCell
from thermosearch.nested.momenta import highest_kinetic
from thermosearch.nested.moves.catalogue import MOVES
from thermosearch.nested.rows import PairPotential, sums_pairs
from thermosearch.nested.sampler import Sizes
from thermosearch.nested.study import MoveSection, NestedStudy
from thermosearch.nested.walk import Batching, Plan
from thermosearch.nested.walker import System, Walker
from thermosearch.potentials.interface import Potential, refuse_without_spread
from thermosearch.units import BOLTZMANN_EV_PER_K, EV_PER_A3_IN_GPA

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
            units = ("energy", "length", "volume", "temperature_unit", "pressure_unit")
            return dict.fromkeys(units, "reduced") | {"temperature": "kT", "pressure": "p"}
        return {
            "energy": "eV",
            "length": "A",
            "volume": "A^3",
            "temperature_unit": "K",
            "pressure_unit": "GPa",
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
    temperatures : (t,) float64
        Of the analysis, as the study gives them: K, or kT of a reduced potential.
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
    temperatures: Float[np.ndarray, " t"]
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
        words = []
        for name, value in self.stated(conditions).items():
            if name == self.units.names["pressure"]:
                unit = "" if self.units.reduced else f" {self.units.names['pressure_unit']}"
                words.append(f"p = {value:g}{unit}")
            else:
                words.append(f"{name} = {value}")
        return ", ".join(words)

    @property
    def kt(self) -> Float[np.ndarray, " t"]:
        """Temperatures of the analysis, energies."""
        return self.temperatures * self.units.boltzmann

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
    potential = _potential(study)
    units = Units(potential.units == "reduced")
    temperatures = np.linspace(*study.analysis.temperatures)
    kt = temperatures * units.boltzmann
    mobile = len(study.system.all_numbers[0])
    container = make_container(study, units.pressure, mobile)
    frozen = read_frozen(study, container.cell)
    check_species(study, potential, container, frozen)
    moves = study.method.moves or default_moves(study, potential)
    batching = study.method.batching or _default_batching(potential, moves)
    system = _system(study, potential, container, mobile + len(frozen), batching=batching)
    if any(MOVES[move.name].samples_momenta for move in moves):
        bound = jnp.asarray(highest_kinetic(float(kt[-1]), 3 * mobile), jnp.float64)
        system = replace(system, highest_kinetic=bound)
    return Problem(
        system=system,
        plan=Plan(
            moves=tuple(move.move() for move in moves),
            counts=tuple(move.count for move in moves),
            batching=batching,
        ),
        sizes=_sizes(study),
        criteria=_criteria(study, units, kt),
        founder=_founder(study, container.cell, frozen),
        conditions=_conditions(study),
        temperatures=temperatures,
        units=units,
        exchange_every=study.method.exchange_every,
    )


def _potential(study: NestedStudy) -> Potential:
    potential = study.potential.build(study.run.precision)
    limits = {
        "method.spread_limit": study.method.spread_limit,
        "method.stop.spread": study.method.stop.spread,
    }
    refuse_without_spread(potential, limits)
    if study.method.spread_limit is None:
        return potential
    return CautiousCommittee(potential, jnp.asarray(study.method.spread_limit, jnp.float64))


def _system(
    study: NestedStudy,
    potential: Potential,
    container: Container,
    atoms: int,
    *,
    batching: Batching,
) -> System:
    potentials = study.system.chemical_potentials or {}
    finder = make_finder(potential, container, atoms, alone=batching == "loop")
    return System(
        potential,
        container.measure,
        finder,
        container.pbc,
        atoms,
        tuple(range(len(study.system.all_numbers[0]))),
        tuple(atomic_numbers[name] for name in potentials),
        jnp.asarray(list(potentials.values()), jnp.float64) if potentials else None,
        keeps_densities=batching == "lanes",
    )


def _founder(study: NestedStudy, cell: Float[np.ndarray, "3 3"], frozen: Atoms) -> Walker:
    numbers = study.system.all_numbers[0]
    nowhere = np.zeros((len(numbers), 3))
    return Walker(
        positions=jnp.asarray(np.concatenate((nowhere, frozen.positions))),
        cell=jnp.asarray(cell),
        numbers=jnp.asarray(np.concatenate((numbers, frozen.numbers)).astype(np.int32)),
        energy=jnp.zeros((), jnp.float64),
    )


def _sizes(study: NestedStudy) -> Sizes:
    method = study.method
    return Sizes(
        walkers=method.walkers,
        culled=method.culled,
        extra=method.extra,
        rounds=method.rounds,
        # Portions are filled up: one wider than all that walk would walk copies.
        width=min(method.width, method.culled + method.extra),
        initial_rounds=INITIAL_ROUNDS * method.rounds,
    )


def _criteria(study: NestedStudy, units: Units, kt: Float[np.ndarray, " t"]) -> Criteria:
    stop = study.method.stop
    return Criteria(
        prior_mass=stop.prior_mass,
        temperature=None if stop.temperature is None else stop.temperature * units.boltzmann,
        remaining_evidence=stop.remaining_evidence,
        kt=float(kt[0]),
        iterations=stop.iterations,
        spread=stop.spread,
        highest_kt=float(kt[-1]),
    )


def _conditions(study: NestedStudy) -> tuple[Conditions, ...]:
    flexible = study.system.flexible_cell
    return tuple(
        Conditions(pressure, each)
        for each in study.system.all_numbers
        for pressure in ((None,) if flexible is None else flexible.pressures)
    )


def _default_batching(potential: Potential, moves: tuple[MoveSection, ...]) -> Batching:
    """Choose side by side for what is cheap or runs on an accelerator.

    Flights of periodic many-body potentials are not: side by side, some walker always needs a
    gradient, and then all compute one.
    """
    listed = potential.cutoff is not None and any(MOVES[move.name].uses_forces for move in moves)
    many_body = not isinstance(potential, PairPotential)
    cheap = potential.cutoff is None or (sums_pairs(potential) and not (listed and many_body))
    return "lanes" if cheap or jax.default_backend() != "cpu" else "loop"


def default_moves(study: NestedStudy, potential: Potential) -> tuple[MoveSection, ...]:
    """Choose moves that suit the potential and the container.

    Single atoms where a move costs one row of pairs, else flights; the cell's three moves where
    it is free; swaps where there is something to swap.
    """
    section = study.system
    exchanged = max(1, len(section.all_numbers[0]) // 4)
    moves = [MoveSection(name="atom" if sums_pairs(potential) else "galilean")]
    if section.flexible_cell is not None:
        moves += [MoveSection(name=name) for name in ("volume", "shear", "stretch")]
    if section.chemical_potentials is not None:
        moves.append(MoveSection(name="identity", count=exchanged))
    if section.has_several_species:
        moves.append(MoveSection(name="swap", count=exchanged))
    return tuple(moves)
