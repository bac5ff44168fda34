"""Relaxation of a batch of configurations as one compiled loop, for use inside any jit."""

from enum import IntEnum
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Array, Configuration
from thermosearch.potentials.interface import Potential
from thermosearch.potentials.neighbours_device import DeviceList, Held
from thermosearch.potentials.neighbours_host import refuse_negative_skin
from thermosearch.relax.fire import FireState, StepInfo
from thermosearch.relax.geometry import (
    Evaluation,
    Frame,
    configuration_at,
    evaluate_rows,
    first_rows,
    largest_force,
    largest_stress,
    strain_at,
)
from thermosearch.relax.lanes import run_lanes, step_together
from thermosearch.relax.lbfgs import Lbfgs, LbfgsState
from thermosearch.relax.verlet import is_outdated, no_list


class Status(IntEnum):
    """How the relaxation of one configuration ended."""

    RUNNING = 0
    CONVERGED = 1
    STEP_LIMIT = 2
    NON_FINITE = 3
    """Energy or a force is not finite; the last finite point is returned."""
    EXPLODED = 4
    """An atom went too far, or the cell is strained too much."""
    STALLED = 5
    """No shorter step lowers the energy: energy and forces do not belong together."""
    OVERFLOW = 6
    """More neighbours than the list has slots."""
    INVALID = 7
    """Not evaluated: positions or cell not finite, or a singular cell."""


class Limits(NamedTuple):
    """When a relaxation ends.

    Attributes
    ----------
    force_tolerance : float
        Converged when no free atom feels more, eV/A.
    stress_tolerance : float
        And, with the cell, no component of stress + pressure is larger, eV/A^3.
    max_steps : int
        A step costs one energy-and-force call.
    travel : float
        Exploded when an atom has gone further, A.
    strain : float
        Exploded when a component of the logarithmic strain is larger.
    """

    force_tolerance: float | Float[Array, ""] = 0.01
    stress_tolerance: float | Float[Array, ""] = 1e-4
    max_steps: int | Int[Array, ""] = 1000
    travel: float | Float[Array, ""] = 100.0
    strain: float | Float[Array, ""] = 1.0


@runtime_checkable
class Optimiser(Protocol):
    """What chooses the next point; state and decision are pure functions."""

    def init(self, position: Float[Array, "rows 3"]) -> FireState | LbfgsState:
        """State whose `trial` is the position."""

    def step(
        self,
        state: FireState | LbfgsState,
        value: Float[Array, ""],
        gradient: Float[Array, "rows 3"],
    ) -> tuple[FireState | LbfgsState, StepInfo]:
        """Take in the evaluation of `trial`, choose the next."""


class RelaxState(NamedTuple):
    """A relaxation under way (all arrays, so that it can be paused, stacked and stored).

    Attributes
    ----------
    frame : Frame
    verlet : Held
    optimiser : FireState or LbfgsState
    evaluation : Evaluation
        At the position accepted last.
    status : () int32
        A `Status`.
    calls : () int32
        Energy-and-force calls used.
    """

    frame: Frame
    verlet: Held
    optimiser: FireState | LbfgsState
    evaluation: Evaluation
    status: Int[Array, "*batch"]
    calls: Int[Array, "*batch"]


def relax(
    potential: Potential,
    frames: Frame,
    finder: DeviceList | None,
    *,
    optimiser: Optimiser | None = None,
    cell: bool = False,
    limits: Limits | None = None,
    together: bool | None = None,
) -> tuple[RelaxState, Int[Array, " lanes"]]:
    """Relax a batch of configurations of one size, neighbour lists renewed on the way.

    A pure function to be called inside `jit`.

    Parameters
    ----------
    potential : Potential
    frames : Frame
        Stacked along a leading axis (`jax.vmap(make_frame)`).
    finder : DeviceList or None
        Makes the lists; its cutoff is the potential's plus a skin. None only for a
        potential that needs no neighbours.
    optimiser : Fire or Lbfgs
        L-BFGS by default.
    cell : bool
        Relax the cell as well.
    limits : Limits
    together : bool, optional
        All lanes in one vectorised loop (see `relax.lanes`).

    Returns
    -------
    states : RelaxState
        `result(states)` gives the relaxed configurations; `states.status` how it ended.
    executed : (lanes,) int32
        Calls the batch carried out for each lane, idle ones included.

    Raises
    ------
    InputError
        If the finder's cutoff is less than the potential's.
    """
    optimiser = optimiser or Lbfgs()
    capacity = 1 if finder is None else finder.capacity
    lists = jax.vmap(lambda configuration: no_list(configuration, capacity))(frames.start)
    states = jax.vmap(lambda frame, verlet: start(frame, verlet, optimiser, cell))(frames, lists)
    skin = 0.0 if finder is None else finder.cutoff - potential.cutoff
    refuse_negative_skin(skin)
    return proceed(
        potential,
        states,
        optimiser=optimiser,
        limits=limits or Limits(),
        skin=skin,
        finder=finder,
        together=together,
    )


def start(frame: Frame, verlet: Held, optimiser: Optimiser, cell: bool) -> RelaxState:
    """Begin the relaxation of one configuration; nothing is evaluated yet."""
    rows = first_rows(frame, cell)
    unknown = jnp.float64(jnp.nan)
    nothing = Evaluation(
        energy=unknown,
        enthalpy=unknown,
        forces=jnp.full_like(frame.start.positions, jnp.nan),
        stress=jnp.full((3, 3), jnp.nan),
        gradient=jnp.full_like(rows, jnp.nan),
    )
    return RelaxState(
        frame, verlet, optimiser.init(rows), nothing, jnp.int32(Status.RUNNING), jnp.int32(0)
    )


def proceed(
    potential: Potential,
    states: RelaxState,
    *,
    optimiser: Optimiser,
    limits: Limits,
    skin: float,
    finder: DeviceList | None,
    together: bool | None = None,
) -> tuple[RelaxState, Int[Array, " lanes"]]:
    """Go on until every lane has ended or, without a finder, needs a new list."""

    def outdated(state: RelaxState) -> Bool[Array, ""]:
        return needs_list(potential, state, skin)

    def rebuild(state: RelaxState) -> Held:
        configuration = configuration_at(state.frame, state.optimiser.trial)
        return Held(finder.find(configuration), configuration.positions, configuration.cell)

    atoms = states.frame.start.positions.shape[-2]
    return run_lanes(
        states,
        running=lambda state: state.status == Status.RUNNING,
        outdated=outdated,
        rebuild=None if finder is None else rebuild,
        advance=lambda state: step(potential, state, optimiser, limits),
        together=step_together(potential, atoms, together),
    )


def needs_list(potential: Potential, state: RelaxState, skin: float) -> Bool[Array, ""]:
    """Whether the next point needs a new neighbour list."""
    if potential.cutoff is None:
        return jnp.bool_(False)
    rows = state.optimiser.trial
    deforms = rows.shape[0] > state.frame.start.positions.shape[0]
    configuration = configuration_at(state.frame, rows)
    return is_outdated(state.verlet, configuration, potential.cutoff, skin, deforms)


def step(
    potential: Potential, state: RelaxState, optimiser: Optimiser, limits: Limits
) -> RelaxState:
    """Evaluate the trial point of one lane and choose the next."""
    neighbours = state.verlet.neighbours
    evaluation = evaluate_rows(potential, state.frame, state.optimiser.trial, neighbours)
    moved, info = optimiser.step(state.optimiser, evaluation.enthalpy, evaluation.gradient)
    calls = state.calls + 1
    status = _judge(state, evaluation, moved=moved, info=info, limits=limits, calls=calls)
    # A trial that cannot be evaluated leaves the lane at the last point that could.
    broken = (status == Status.NON_FINITE) | (status == Status.OVERFLOW)
    keep = broken | ~info.accepted

    def unless(condition: Bool[Array, ""], new: tuple, old: tuple) -> tuple:
        return jax.tree.map(lambda a, b: jnp.where(condition, b, a), new, old)

    return state._replace(
        optimiser=unless(broken, moved, state.optimiser),
        evaluation=unless(keep, evaluation, state.evaluation),
        status=status,
        calls=calls,
    )


def result(state: RelaxState) -> Configuration:
    """Return the configuration at the point accepted last."""
    return configuration_at(state.frame, state.optimiser.position)


def _judge(
    state: RelaxState,
    evaluation: Evaluation,
    *,
    moved: FireState | LbfgsState,
    info: StepInfo,
    limits: Limits,
    calls: Int[Array, ""],
) -> Int[Array, ""]:
    """Status after an evaluation; later lines override earlier ones."""
    frame = state.frame
    converged = info.accepted & (largest_force(frame, evaluation) <= limits.force_tolerance)
    if evaluation.gradient.shape[0] > frame.start.positions.shape[0]:
        converged &= largest_stress(frame, evaluation) <= limits.stress_tolerance
    travel = moved.position[: frame.free.shape[0]] - frame.start.positions
    strain = strain_at(frame, moved.position)
    exploded = (jnp.max(jnp.abs(travel)) > limits.travel) | (
        jnp.max(jnp.abs(strain)) > limits.strain
    )
    finite = jnp.isfinite(evaluation.enthalpy) & jnp.all(
        jnp.isfinite(evaluation.gradient) & jnp.isfinite(moved.trial)
    )
    neighbours = state.verlet.neighbours
    status = jnp.int32(Status.RUNNING)
    for condition, outcome in (
        (calls >= limits.max_steps, Status.STEP_LIMIT),
        (info.stalled, Status.STALLED),
        (converged, Status.CONVERGED),
        (exploded, Status.EXPLODED),
        (~finite, Status.NON_FINITE),
        (neighbours.needed > neighbours.index.shape[-1], Status.OVERFLOW),
    ):
        status = jnp.where(condition, jnp.int32(outcome), status)
    return status
