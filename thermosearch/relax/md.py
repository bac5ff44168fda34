"""Molecular dynamics of any number of configurations from the host, in chunks of records."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np
from ase.data import atomic_masses
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import PADDING, Array, Configuration, pad, validate
from thermosearch.potentials.evaluate import bucket
from thermosearch.potentials.interface import Potential
from thermosearch.relax import dynamics
from thermosearch.relax.dynamics import MdState, Motion, Records
from thermosearch.relax.lists import ListPlan, Where, first_plan, larger_plan, renew_lists
from thermosearch.relax.minimise import mobile_masks
from thermosearch.relax.verlet import no_list
from thermosearch.runtime.errors import InputError
from thermosearch.units import BOLTZMANN_EV_PER_K, FS_IN_INTERNAL_TIME


class Chunk(NamedTuple):
    """A piece of all trajectories, r records.

    Attributes
    ----------
    step : (r,) int64
    time : (r,) float64
        fs, or reduced.
    potential_energy, kinetic_energy : (trajectories, r) float64
        eV; not-a-number once a trajectory is broken (energy or forces not finite).
    temperature : (trajectories, r) float64
        K: 2 E_kin / (k_B x degrees of freedom).
    positions, velocities : list of (r, n, 3) float64, or None
        With `trajectory`, one array a trajectory; A and A/fs.
    """

    step: Int[np.ndarray, " r"]
    time: Float[np.ndarray, " r"]
    potential_energy: Float[np.ndarray, "trajectories r"]
    kinetic_energy: Float[np.ndarray, "trajectories r"]
    temperature: Float[np.ndarray, "trajectories r"]
    positions: list[Float[np.ndarray, "r _ 3"]] | None
    velocities: list[Float[np.ndarray, "r _ 3"]] | None


def molecular_dynamics(
    potential: Potential,
    configurations: Sequence[Configuration],
    *,
    steps: int,
    time_step: float = 1.0,
    temperature: float = 300.0,
    friction: float | None = None,
    seed: int = 0,
    velocities: Sequence[Float[Array, "_ 3"]] | None = None,
    mobile: Bool[Array, "*batch n"] | Sequence[Bool[Array, " _"]] | None = None,
    masses: Sequence[Float[Array, " _"]] | None = None,
    record_every: int = 10,
    chunk: int = 100,
    trajectory: bool = False,
    skin: float | None = None,
    lists: Where = "auto",
    capacity: int = 4,
    together: bool | None = None,
    width: int = 8,
) -> Iterator[Chunk]:
    """Run trajectories and yield their records chunk by chunk, so that memory stays bounded.

    Trajectory k draws from `fold_in(seed, k)`: its numbers do not depend on the others.

    Parameters
    ----------
    potential : Potential
    configurations : sequence of Configuration
        One a trajectory; sizes may differ.
    steps : int
        The forces are evaluated at steps 0 to `steps`.
    time_step : float
        fs; for a potential in reduced units all quantities are reduced and k_B = 1.
    temperature : float
        K, of the first velocities and of the thermostat.
    friction : float, optional
        1/fs: Langevin dynamics; NVE without, or at 0.
    seed : int
    velocities : sequence of (n, 3), optional
        A/fs; drawn at `temperature` with zero total momentum by default (with fixed atoms
        the momentum is not taken out).
    mobile : (n,) bool, or one such mask a configuration, optional
    masses : sequence of (n,), optional
        amu; those of the elements by default (`ase.data`), 1 in reduced units.
    record_every : int
        Steps between records.
    chunk : int
        Records a chunk.
    trajectory : bool
        Keep positions and velocities of the records.
    skin, lists, capacity, together, width
        As in `relax.minimise.minimise`.

    Yields
    ------
    Chunk

    Raises
    ------
    InputError
        What `validate` refuses, or masks, masses, velocities that do not fit, or a number out of
        its range.
    """
    _refuse_out_of_range(
        steps=steps,
        temperature=temperature,
        friction=friction or 0.0,
        record_every=record_every,
        chunk=chunk,
    )
    friction = friction or None
    fs, boltzmann = _unit_of_time(potential), _boltzmann(potential)
    masks = mobile_masks(mobile, configurations)
    _refuse_misfits("velocities", velocities, [c.positions.shape for c in configurations])
    _refuse_misfits("masses", masses, [c.numbers.shape for c in configurations])
    thermal = boltzmann * temperature
    launch = _Launch(potential, seed, thermal, friction is None, skin, lists, capacity)
    lanes = [
        launch(
            k,
            configuration,
            masks[k],
            None if masses is None else masses[k],
            None if velocities is None else np.asarray(velocities[k]) / fs,
        )
        for k, configuration in enumerate(configurations)
    ]
    motion = Motion(
        time_step=np.asarray(time_step * fs, np.float64),
        friction=np.asarray((friction or 0.0) / fs, np.float64),
        thermal_energy=np.asarray(thermal, np.float64),
        every=np.asarray(record_every, np.int32),
        stop=np.asarray(0, np.int32),
    )
    advance = _Advance(potential, friction is not None, together, width)
    for first in range(0, steps + 1, chunk * record_every):
        stop = min(first + chunk * record_every - 1, steps)
        lanes = [lane.with_records(first, chunk, trajectory) for lane in lanes]
        lanes = advance(lanes, motion._replace(stop=np.asarray(stop, np.int32)))
        recorded = first + record_every * np.arange((stop - first) // record_every + 1)
        yield _chunk(
            lanes,
            recorded,
            time_step=time_step,
            fs=fs,
            boltzmann=boltzmann,
            trajectory=trajectory,
        )


def _chunk(
    lanes: "list[_Lane]",
    recorded: Int[np.ndarray, " r"],
    *,
    time_step: float,
    fs: float,
    boltzmann: float,
    trajectory: bool,
) -> Chunk:
    """Gather the records of all lanes in the caller's units, without padding."""
    taken = len(recorded)
    records = [lane.state.records for lane in lanes]
    kinetic = np.stack([record.kinetic_energy[:taken] for record in records])
    freedoms = np.array([lane.freedoms for lane in lanes])
    kept = list(zip(records, [lane.atoms for lane in lanes], strict=True)) if trajectory else None
    return Chunk(
        step=recorded,
        time=time_step * recorded,
        potential_energy=np.stack([record.potential_energy[:taken] for record in records]),
        kinetic_energy=kinetic,
        temperature=2.0 * kinetic / (boltzmann * np.maximum(freedoms, 1.0)[:, None]),
        positions=kept and [record.positions[:taken, :n] for record, n in kept],
        velocities=kept and [record.velocities[:taken, :n] * fs for record, n in kept],
    )


def _unit_of_time(potential: Potential) -> float:
    """Return one fs in the consistent unit of time; 1 for a potential in reduced units."""
    return 1.0 if potential.units == "reduced" else FS_IN_INTERNAL_TIME


def _boltzmann(potential: Potential) -> float:
    return 1.0 if potential.units == "reduced" else BOLTZMANN_EV_PER_K


class _Launch(NamedTuple):
    """Sets up trajectories; `conserves` is without a thermostat."""

    potential: Potential
    seed: int
    thermal_energy: float
    conserves: bool
    skin: float | None
    lists: Where
    capacity: int

    def __call__(
        self,
        k: int,
        configuration: Configuration,
        mask: Bool[np.ndarray, " n"],
        given_masses: Float[Array, " n"] | None,
        given_velocities: Float[Array, "n 3"] | None,
    ) -> "_Lane":
        """Trajectory k at its first step; its random stream is its own."""
        validate(configuration, elements=self.potential.elements, label=f"structure {k}")
        free = mask & (np.asarray(configuration.numbers) != PADDING)
        masses = _masses(configuration, given_masses, self.potential.units == "reduced")
        still = bool(np.all(mask))
        key = jax.random.fold_in(jax.random.PRNGKey(self.seed), k)
        if given_velocities is None:
            # Step numbers count up from 0; the velocities' stream is the last one.
            stream, thermal = jax.random.fold_in(key, 2**32 - 1), np.asarray(self.thermal_energy)
            velocities = _draw(stream, masses, free, thermal, still)
        else:
            velocities = np.where(free[:, None], given_velocities, 0.0)
        plan = first_plan(self.potential, configuration, self.skin, self.lists, self.capacity)
        state = _state(configuration, velocities, masses=masses, free=free, key=key, plan=plan)
        freedoms = 3.0 * free.sum() - (3.0 if still and self.conserves else 0.0)
        return _Lane(state, plan, len(configuration.numbers), float(freedoms))


class _Lane(NamedTuple):
    """A trajectory: its state and lists, its real atoms and its degrees of freedom."""

    state: MdState
    plan: ListPlan
    atoms: int
    freedoms: float

    def with_records(self, first: int, room: int, trajectory: bool) -> "_Lane":
        atoms = len(self.state.masses)
        kept = np.full((room if trajectory else 0, atoms, 3), np.nan)
        nothing = np.full(room, np.nan)
        records = Records(nothing, nothing, kept, kept)
        return self._replace(
            state=self.state._replace(records=records, first=np.asarray(first, np.int32))
        )


class _Advance(NamedTuple):
    """Brings lanes to the end of a chunk, those with like shapes together."""

    potential: Potential
    thermostat: bool
    together: bool | None
    width: int

    def __call__(self, lanes: list[_Lane], motion: Motion) -> list[_Lane]:
        lanes, waiting = list(lanes), list(range(len(lanes)))
        while waiting:
            plan, atoms = lanes[waiting[0]].plan, len(lanes[waiting[0]].state.masses)
            alike = [
                k for k in waiting if lanes[k].plan == plan and len(lanes[k].state.masses) == atoms
            ][: self.width]
            waiting = [k for k in waiting if k not in alike]
            for k, state in zip(
                alike, self._batch([lanes[k].state for k in alike], plan, motion), strict=True
            ):
                lanes[k] = lanes[k]._replace(state=state, plan=plan)
                if state.overflow:
                    larger = larger_plan(plan, state.configuration)
                    lanes[k] = _grown(lanes[k], larger)
                    if larger is not None:
                        waiting.append(k)
        return lanes

    def _batch(self, states: list[MdState], plan: ListPlan, motion: Motion) -> list[MdState]:
        count = len(states)
        idle = states[-1]._replace(broken=np.asarray(True))
        filled = states + [idle] * (self.width - count)
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *filled)
        while True:
            waits = _waits(self.potential, stacked, motion, plan.skin)
            if plan.finder is None and np.any(waits):
                verlet = renew_lists(stacked.verlet, np.asarray(waits), stacked.configuration, plan)
                stacked = stacked._replace(verlet=verlet)
            stacked = _proceed(
                self.potential,
                stacked,
                motion,
                plan=plan,
                thermostat=self.thermostat,
                together=self.together,
            )
            if plan.finder is not None or not np.any(
                _waits(self.potential, stacked, motion, plan.skin)
            ):
                break
        stacked = jax.device_get(stacked)
        return [jax.tree.map(lambda leaf, k=k: leaf[k], stacked) for k in range(count)]


@eqx.filter_jit
def _proceed(
    potential: Potential,
    states: MdState,
    motion: Motion,
    *,
    plan: ListPlan,
    thermostat: bool,
    together: bool | None,
) -> MdState:
    return dynamics.proceed(
        potential,
        states,
        motion,
        skin=plan.skin,
        finder=plan.finder,
        thermostat=thermostat,
        together=together,
    )


@eqx.filter_jit
def _waits(
    potential: Potential, states: MdState, motion: Motion, skin: float
) -> Bool[Array, " lanes"]:
    """Which lanes go on as soon as they have a list."""

    def one(state: MdState) -> Bool[Array, ""]:
        outdated = dynamics.needs_list(potential, state, skin)
        return outdated & dynamics.is_running(state, motion)

    return jax.vmap(one)(states)


@eqx.filter_jit
def _draw(
    key: Array, masses: Array, free: Array, thermal_energy: Array, still: bool
) -> Float[Array, "n 3"]:
    return dynamics.maxwell_boltzmann(key, masses, free, thermal_energy, still)


def _state(
    configuration: Configuration,
    velocities: Float[Array, "n 3"],
    *,
    masses: Float[np.ndarray, " n"],
    free: Bool[np.ndarray, " n"],
    key: Array,
    plan: ListPlan,
) -> MdState:
    """Begin a trajectory, padded to its bucket of sizes."""
    atoms = len(masses)
    padded = pad(configuration, bucket(atoms))
    more = len(padded.numbers) - atoms
    state = MdState(
        configuration=padded,
        velocities=np.pad(np.asarray(velocities), ((0, more), (0, 0))),
        closes=np.asarray(False),
        step=np.asarray(0, np.int32),
        masses=np.pad(masses, (0, more), constant_values=1.0),
        free=np.pad(free, (0, more)),
        key=key,
        verlet=no_list(padded, plan.capacity),
        records=Records(*(np.zeros(0),) * 4),
        first=np.asarray(0, np.int32),
        overflow=np.asarray(False),
        broken=np.asarray(False),
    )
    return jax.tree.map(np.asarray, state)


def _grown(lane: _Lane, larger: ListPlan | None) -> _Lane:
    """Lane with room for its neighbours; broken if it needs absurdly many."""
    state = lane.state._replace(overflow=np.asarray(False))
    if larger is None:
        return lane._replace(state=state._replace(broken=np.asarray(True)))
    verlet = jax.tree.map(np.asarray, no_list(state.configuration, larger.capacity))
    return lane._replace(state=state._replace(verlet=verlet), plan=larger)


_LEAST = {"steps": 0, "temperature": 0, "friction": 0, "record_every": 1, "chunk": 1}


def _refuse_out_of_range(**given: int | float) -> None:
    for name, value in given.items():
        if not _LEAST[name] <= value < np.inf:
            raise InputError(f"{name} = {value}: give a number that is {_LEAST[name]} or more")


def _refuse_misfits(
    name: str, given: Sequence[Array] | None, shapes: Sequence[tuple[int, ...]]
) -> None:
    """Refuse what does not hold one array of its shape a configuration."""
    if given is None:
        return
    if len(given) != len(shapes):
        raise InputError(
            f"{name}: {len(given)} arrays for {len(shapes)} configurations: give one each"
        )
    for k, (each, wanted) in enumerate(zip(given, shapes, strict=True)):
        if np.shape(each) != wanted:
            raise InputError(f"{name}[{k}]: shape {np.shape(each)}, not {wanted}")


def _masses(
    configuration: Configuration, given: Float[Array, " n"] | None, reduced: bool
) -> Float[np.ndarray, " n"]:
    numbers = np.asarray(configuration.numbers)
    if given is not None:
        if not np.all(np.asarray(given) > 0.0):
            raise InputError(f"masses: give positive numbers, not {given!r}")
        return np.asarray(given, np.float64)
    return np.ones(len(numbers)) if reduced else atomic_masses[numbers]
