"""Molecular dynamics of a batch as one compiled loop: velocity Verlet and Langevin (BAOAB).

A step is B A O A B: half a kick, half a drift, friction and noise, half a drift, half a kick
(Leimkuhler and Matthews, Appl. Math. Res. Express 2013, 34, doi:10.1093/amrx/abs010). Without
O it is velocity Verlet. All quantities here are in one consistent set of units (eV, A, amu, or
reduced); `relax.md` converts from fs and K.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, UInt32

from thermosearch.configuration import Array, Configuration
from thermosearch.potentials.interface import Potential, energy_forces
from thermosearch.potentials.neighbours_device import DeviceList, Held
from thermosearch.relax.lanes import run_lanes, step_together
from thermosearch.relax.verlet import is_outdated


class Motion(NamedTuple):
    """What moves a system, in consistent units; all scalars float64.

    Attributes
    ----------
    time_step, friction, thermal_energy
        dt, gamma (1 / time) and k_B T.
    every : () int32
        Steps between two records.
    stop : () int32
        The last step that is evaluated.
    """

    time_step: Float[Array, ""]
    friction: Float[Array, ""]
    thermal_energy: Float[Array, ""]
    every: Int[Array, ""]
    stop: Int[Array, ""]


class Records(NamedTuple):
    """Room for r records; a record that was not reached is not-a-number.

    Attributes
    ----------
    potential_energy, kinetic_energy : (r,) float64
    positions, velocities : (r, n, 3) float64, or (0, n, 3) where not kept
    """

    potential_energy: Float[Array, "*batch r"]
    kinetic_energy: Float[Array, "*batch r"]
    positions: Float[Array, "*batch kept n 3"]
    velocities: Float[Array, "*batch kept n 3"]


class MdState(NamedTuple):
    """A trajectory at the point where the forces at step `step` are needed.

    Attributes
    ----------
    configuration : Configuration
        At `step`.
    velocities : (n, 3) float64
        Before the closing half kick of `step` (`closes`), or at `step` where a run begins.
    closes : () bool
    step : () int32
    masses : (n,) float64
    free : (n,) bool
    key : (2,) uint32
        Of the trajectory; step k draws from `fold_in(key, k)`.
    verlet : Held
    records : Records
    first : () int32
        Step of the first record.
    overflow, broken : () bool
        The list is too small (answered by the caller); energy or forces are not finite.
    """

    configuration: Configuration
    velocities: Float[Array, "*batch n 3"]
    closes: Bool[Array, "*batch"]
    step: Int[Array, "*batch"]
    masses: Float[Array, "*batch n"]
    free: Bool[Array, "*batch n"]
    key: UInt32[Array, "*batch 2"]
    verlet: Held
    records: Records
    first: Int[Array, "*batch"]
    overflow: Bool[Array, "*batch"]
    broken: Bool[Array, "*batch"]


def proceed(
    potential: Potential,
    states: MdState,
    motion: Motion,
    *,
    skin: float,
    finder: DeviceList | None,
    thermostat: bool,
    together: bool | None = None,
) -> MdState:
    """Evaluate steps up to `motion.stop`, or as far as the lists serve without a finder.

    A pure function to be called inside `jit`; states are stacked along a leading axis.
    """

    def rebuild(state: MdState) -> Held:
        configuration = state.configuration
        return Held(finder.find(configuration), configuration.positions, configuration.cell)

    atoms = states.masses.shape[-1]
    states, _ = run_lanes(
        states,
        running=lambda state: is_running(state, motion),
        outdated=lambda state: needs_list(potential, state, skin),
        rebuild=None if finder is None else rebuild,
        advance=lambda state: step(potential, state, motion, thermostat),
        together=step_together(potential, atoms, together),
    )
    return states


def is_running(state: MdState, motion: Motion) -> Bool[Array, ""]:
    """Whether there are steps left and nothing is in the way."""
    return (state.step <= motion.stop) & ~state.overflow & ~state.broken


def needs_list(potential: Potential, state: MdState, skin: float) -> Bool[Array, ""]:
    """Whether the forces at `step` need a new neighbour list."""
    if potential.cutoff is None:
        return jnp.bool_(False)
    return is_outdated(state.verlet, state.configuration, potential.cutoff, skin, False)


def step(potential: Potential, state: MdState, motion: Motion, thermostat: bool) -> MdState:
    """Compute forces at `step`, closing half kick, record, then B A O A to the next positions."""
    neighbours = state.verlet.neighbours
    energy, forces, _ = energy_forces(potential, state.configuration, neighbours)
    overflow = neighbours.needed > neighbours.index.shape[-1]
    broken = ~overflow & ~(jnp.isfinite(energy) & jnp.all(jnp.isfinite(forces)))
    kick = jnp.where(
        state.free[:, None], 0.5 * motion.time_step * forces / state.masses[:, None], 0.0
    )
    velocities = state.velocities + jnp.where(state.closes, kick, 0.0)
    stays = overflow | broken
    records = _record(state, motion, energy, velocities, stays)
    positions, thrown = _drift(state, motion, velocities + kick, thermostat)
    moved = state._replace(
        configuration=state.configuration._replace(positions=positions),
        velocities=thrown,
        closes=jnp.bool_(True),
        step=state.step + 1,
    )
    state = jax.tree.map(lambda new, old: jnp.where(stays, old, new), moved, state)
    return state._replace(records=records, overflow=overflow, broken=broken)


def kinetic_energy(masses: Float[Array, " n"], velocities: Float[Array, "n 3"]) -> Float[Array, ""]:
    """Sum of m v^2 / 2."""
    return 0.5 * jnp.sum(masses[:, None] * velocities**2)


def maxwell_boltzmann(
    key: UInt32[Array, "2"],
    masses: Float[Array, " n"],
    free: Bool[Array, " n"],
    thermal_energy: float | Float[Array, ""],
    still: bool,
) -> Float[Array, "n 3"]:
    """Draw velocities at k_B T; `still` takes the total momentum out (nothing may be fixed)."""
    spread = jnp.sqrt(thermal_energy / masses)[:, None]
    drawn = jax.random.normal(key, (masses.shape[0], 3), jnp.float64) * spread
    drawn = jnp.where(free[:, None], drawn, 0.0)
    if not still:
        return drawn
    weights = jnp.where(free, masses, 0.0)
    drift = jnp.sum(weights[:, None] * drawn, axis=0) / jnp.sum(weights)
    return jnp.where(free[:, None], drawn - drift, 0.0)


def _record(
    state: MdState,
    motion: Motion,
    energy: Float[Array, ""],
    velocities: Float[Array, "n 3"],
    stays: Bool[Array, ""],
) -> Records:
    """Write a row in place: choosing between old and new records would copy them every step."""
    since = state.step - state.first
    room = state.records.potential_energy.shape[0]
    due = ~stays & (since % motion.every == 0)
    row = jnp.where(due, since // motion.every, room)
    values = Records(
        energy,
        kinetic_energy(state.masses, velocities),
        state.configuration.positions,
        velocities,
    )
    return jax.tree.map(
        lambda kept, value: kept.at[row].set(value, mode="drop") if kept.shape[0] else kept,
        state.records,
        values,
    )


def _drift(
    state: MdState, motion: Motion, velocities: Float[Array, "n 3"], thermostat: bool
) -> tuple[Float[Array, "n 3"], Float[Array, "n 3"]]:
    """Drift by A O A; positions of fixed atoms stay bit for bit."""
    free = state.free[:, None]
    half = 0.5 * motion.time_step
    positions = state.configuration.positions
    if not thermostat:
        return jnp.where(free, positions + motion.time_step * velocities, positions), velocities
    keep = jnp.exp(-motion.friction * motion.time_step)
    spread = jnp.sqrt((1.0 - keep**2) * motion.thermal_energy / state.masses)[:, None]
    noise = jax.random.normal(
        jax.random.fold_in(state.key, state.step), velocities.shape, jnp.float64
    )
    thrown = jnp.where(free, keep * velocities + spread * noise, 0.0)
    moved = positions + half * velocities + half * thrown
    return jnp.where(free, moved, positions), thrown
