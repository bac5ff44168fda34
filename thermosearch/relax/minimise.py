"""Relaxation of any number of configurations of any sizes from the host."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import PADDING, Array, Configuration, pad, validate
from thermosearch.potentials.evaluate import bucket
from thermosearch.potentials.interface import Potential
from thermosearch.relax.geometry import Frame, make_frame
from thermosearch.relax.lbfgs import Lbfgs
from thermosearch.relax.lists import ListPlan, Where, first_plan, larger_plan, renew_lists
from thermosearch.relax.loop import (
    Limits,
    Optimiser,
    RelaxState,
    Status,
    configuration_at,
    needs_list,
    proceed,
    result,
    start,
)
from thermosearch.relax.verlet import no_list
from thermosearch.runtime.errors import InputError


class Relaxed(NamedTuple):
    """Outcome of one relaxation, numpy arrays without padding.

    Attributes
    ----------
    configuration : Configuration
        The last point that could be evaluated and was accepted.
    energy, enthalpy : float
        eV; equal unless the cell was relaxed under pressure.
    forces : (n, 3) float64
        eV/A, on fixed atoms too.
    stress : (3, 3) float64
        eV/A^3; zero if the cell was not relaxed.
    max_force : float
        On the free atoms, eV/A.
    status : Status
    calls : int
        Energy-and-force calls this relaxation used, those before a repetition with a larger
        neighbour list included.
    executed : int
        Calls the batch carried out for it, idle ones included.
    """

    configuration: Configuration
    energy: float
    enthalpy: float
    forces: Float[np.ndarray, "n 3"]
    stress: Float[np.ndarray, "3 3"]
    max_force: float
    status: Status
    calls: int
    executed: int

    @property
    def converged(self) -> bool:
        """Whether it ended within the tolerances."""
        return self.status == Status.CONVERGED


def minimise(
    potential: Potential,
    configurations: Sequence[Configuration],
    *,
    mobile: Bool[Array, "*batch n"] | Sequence[Bool[Array, " _"]] | None = None,
    method: Optimiser | None = None,
    cell: bool = False,
    pressure: float = 0.0,
    force_tolerance: float = 0.01,
    stress_tolerance: float = 1e-4,
    max_steps: int = 1000,
    skin: float | None = None,
    lists: Where = "auto",
    capacity: int = 4,
    together: bool | None = None,
    width: int = 8,
) -> list[Relaxed]:
    """Relax configurations to their nearest minima.

    Neighbour lists are renewed as atoms move; a configuration whose atoms get more neighbours
    than its list has slots is repeated with more. The outcome of one configuration does not
    depend, bit for bit, on the others: shapes follow from each alone and batches are filled up
    to `width`. One lane that fails is marked in its `status`.

    Parameters
    ----------
    potential : Potential
    configurations : sequence of Configuration
        Without batch axis; sizes may differ (each bucket of sizes is compiled once).
    mobile : (n,) bool, or one such mask a configuration, optional
        Atoms that may move; all by default.
    method : Fire or Lbfgs, optional
        L-BFGS by default.
    cell : bool
        Relax the cell too: its strain within the periodic directions.
    pressure : float
        eV/A^3 (`units.EV_PER_A3_IN_GPA`); with `cell`, in three periodic directions only.
    force_tolerance, stress_tolerance : float
        eV/A and eV/A^3 (1e-4 eV/A^3 is 0.016 GPa).
    max_steps : int
        Energy-and-force calls a configuration may use.
    skin : float, optional
        Added to the cutoff of the lists, A; 15 % of the cutoff by default.
    lists : {"auto", "device", "host"}
        Where lists are renewed: inside the compiled loop (small cells) or on the host between
        pieces of it (large cells).
    capacity : int
        Fewest slots an atom in a list: what configurations to come will need is better asked
        for at once, since every new capacity is a compilation.
    together : bool, optional
        Batch in one vectorised loop rather than one loop a lane (see `relax.lanes`); an ASE
        calculator's never is.
    width : int
        Lanes of a batch.

    Returns
    -------
    list of Relaxed
        In the order given.

    Raises
    ------
    InputError
        An element the potential does not know, a mask of the wrong length, a pressure
        without a cell to act on, a cell to relax that has no volume though its periodic vectors
        are independent, a negative skin.
    """
    settings = _Settings(
        method or Lbfgs(),
        cell,
        Limits(
            np.asarray(force_tolerance, np.float64),
            np.asarray(stress_tolerance, np.float64),
            np.asarray(max_steps, np.int32),
            *(np.asarray(limit, np.float64) for limit in Limits()[3:]),
        ),
        together,
        width,
    )
    masks = mobile_masks(mobile, configurations)
    finished: list[Relaxed | None] = [None] * len(configurations)
    queue: dict[tuple[int, ListPlan], deque[_Lane]] = {}
    for k, configuration in enumerate(configurations):
        if _is_unusable(potential, configuration, cell, pressure, k):
            finished[k] = _unusable(configuration)
            continue
        padded = pad(configuration, bucket(len(configuration.numbers)))
        frame = _frame(padded, masks[k], cell, pressure)
        plan = first_plan(potential, padded, skin, lists, capacity)
        queue.setdefault((len(padded.numbers), plan), deque()).append(_Lane(k, frame, 0, 0))
    for lane, state, point in _run_all(potential, queue, settings):
        real = len(configurations[lane.index].numbers)
        finished[lane.index] = _finish(lane, state, point, real)
    return [relaxed for relaxed in finished if relaxed is not None]


class _Settings(NamedTuple):
    method: Optimiser
    cell: bool
    limits: Limits
    together: bool | None
    width: int


class _Lane(NamedTuple):
    """A relaxation to be done, and what it has cost so far."""

    index: int
    frame: Frame
    calls: int
    executed: int


def _run_all(
    potential: Potential, queue: "dict[tuple[int, ListPlan], deque[_Lane]]", settings: _Settings
) -> Iterator[tuple[_Lane, RelaxState, Configuration]]:
    """Yield every lane with its final state; one that overflows its list is queued again."""
    while queue:
        (atoms, plan), waiting = queue.popitem()
        while waiting:
            batch = [waiting.popleft() for _ in range(min(settings.width, len(waiting)))]
            for lane, state, point, trial in _run_batch(potential, batch, plan, settings):
                overflowed = state.status == Status.OVERFLOW
                larger = larger_plan(plan, trial) if overflowed else None
                if larger is not None:
                    queue.setdefault((atoms, larger), deque()).append(lane)
                else:
                    yield lane, state, point


def _run_batch(
    potential: Potential, batch: list[_Lane], plan: ListPlan, settings: _Settings
) -> Iterator[tuple[_Lane, RelaxState, Configuration, Configuration]]:
    """Every lane of one batch: final state, configuration, and the point to be tried next."""
    filling = [lane.frame for lane in batch]
    filling += [filling[-1]] * (settings.width - len(batch))
    frames = jax.tree.map(lambda *leaves: np.stack(leaves), *filling)
    waits = np.arange(settings.width) < len(batch)
    states = _start(frames, plan.capacity, settings.method, settings.cell)
    states = states._replace(status=np.where(waits, states.status, np.int32(Status.STEP_LIMIT)))
    trials, executed = frames.start, np.zeros(settings.width, np.int64)
    while waits.any():
        if plan.finder is None and plan.cutoff is not None:
            states = states._replace(verlet=renew_lists(states.verlet, waits, trials, plan))
        states, steps, waits, trials, points = _proceed(potential, states, plan, settings)
        executed += np.asarray(steps)
        waits = np.asarray(waits)
    outcome = jax.device_get((states, points, trials))
    for k, lane in enumerate(batch):
        lane = lane._replace(  # noqa: PLW2901
            calls=lane.calls + int(outcome[0].calls[k]),
            executed=lane.executed + int(executed[k]),
        )
        yield lane, *jax.tree.map(lambda leaf, k=k: leaf[k], outcome)


@eqx.filter_jit
def _start(frames: Frame, capacity: int, method: Optimiser, cell: bool) -> RelaxState:
    def one(frame: Frame) -> RelaxState:
        return start(frame, no_list(frame.start, capacity), method, cell)

    return jax.vmap(one)(frames)


@eqx.filter_jit
def _proceed(
    potential: Potential,
    states: RelaxState,
    plan: ListPlan,
    settings: _Settings,
) -> tuple[RelaxState, Int[Array, " lanes"], Bool[Array, " lanes"], Configuration, Configuration]:
    """As `loop.proceed`; which lanes wait for a list, their next points and their positions."""
    states, steps = proceed(
        potential,
        states,
        optimiser=settings.method,
        limits=settings.limits,
        skin=plan.skin,
        finder=plan.finder,
        together=settings.together,
    )
    outdated = jax.vmap(lambda state: needs_list(potential, state, plan.skin))(states)
    waits = (states.status == Status.RUNNING) & outdated
    trials = jax.vmap(lambda s: configuration_at(s.frame, s.optimiser.trial))(states)
    return states, steps, waits, trials, jax.vmap(result)(states)


def _frame(padded: Configuration, mask: Bool[Array, " n"], cell: bool, pressure: float) -> Frame:
    free = np.zeros(len(padded.numbers), bool)
    free[: len(mask)] = mask
    projector = np.eye(3)
    if cell and not np.all(padded.pbc):
        periodic = np.asarray(padded.cell)[np.asarray(padded.pbc)]
        projector = np.linalg.pinv(periodic) @ periodic
    return make_frame(padded, free, pressure, projector)


def mobile_masks(
    mobile: Bool[Array, "*batch n"] | Sequence[Bool[Array, " _"]] | None,
    configurations: Sequence[Configuration],
) -> list[Bool[np.ndarray, " _"]]:
    """One mask a configuration from one mask for all, or a sequence of masks, or None."""
    if mobile is None:
        return [np.ones(len(c.numbers), bool) for c in configurations]
    shared = len(mobile) > 0 and np.ndim(mobile[0]) == 0
    masks = [np.asarray(m) for m in ([mobile] * len(configurations) if shared else mobile)]
    if len(masks) != len(configurations):
        raise InputError(f"mobile: {len(masks)} masks for {len(configurations)} configurations")
    for k, (mask, configuration) in enumerate(zip(masks, configurations, strict=True)):
        if mask.shape != configuration.numbers.shape:
            raise InputError(
                f"mobile: mask of length {len(mask)} for structure {k} with "
                f"{len(configuration.numbers)} atoms"
            )
    return masks


def _is_unusable(
    potential: Potential, configuration: Configuration, cell: bool, pressure: float, k: int
) -> bool:
    """Refuse what is wrong for all configurations; mark what is wrong with this one."""
    elements = potential.elements
    unknown = set(np.asarray(configuration.numbers).tolist()) - {PADDING} - set(elements or ())
    if elements is not None and unknown:
        raise InputError(
            f"structure {k}: element(s) {sorted(unknown)} unknown to the potential, which "
            f"knows {sorted(elements)}"
        )
    if pressure != 0.0 and not (cell and np.all(configuration.pbc)):
        raise InputError(
            f"pressure = {pressure}: structure {k} must be periodic in three directions and its "
            "cell relaxed (cell = True)"
        )
    try:
        validate(configuration)
    except InputError:
        return True
    if cell and np.linalg.det(configuration.cell) == 0.0:
        raise InputError(
            f"cell = True: structure {k}: cell {np.asarray(configuration.cell).tolist()} has no "
            "volume: give its open directions vectors out of the plane of the periodic ones"
        )
    return False


def _unusable(configuration: Configuration) -> Relaxed:
    unknown = np.full_like(configuration.positions, np.nan)
    return Relaxed(
        configuration,
        np.nan,
        np.nan,
        unknown,
        np.full((3, 3), np.nan),
        np.nan,
        Status.INVALID,
        0,
        0,
    )


def _finish(lane: _Lane, state: RelaxState, final: Configuration, atoms: int) -> Relaxed:
    forces = np.asarray(state.evaluation.forces[:atoms])
    free = lane.frame.free[:atoms]
    return Relaxed(
        configuration=final._replace(
            positions=final.positions[:atoms], numbers=final.numbers[:atoms]
        ),
        energy=float(state.evaluation.energy),
        enthalpy=float(state.evaluation.enthalpy),
        forces=forces,
        stress=np.asarray(state.evaluation.stress),
        max_force=float(np.linalg.norm(forces[free], axis=-1).max(initial=0.0)),
        status=Status(int(state.status)),
        calls=lane.calls,
        executed=lane.executed,
    )
