"""All runs of a study, pressures times repeats, through checkpoints and stops."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from thermosearch.nested.analysis import DeadPoints
from thermosearch.nested.ending import Gauge, advance, ended
from thermosearch.nested.history import History, dead_points, restore
from thermosearch.nested.problem import Problem
from thermosearch.nested.sampler import Sampler, State
from thermosearch.nested.walker import Walker
from thermosearch.runtime.context import RunContext

_PLAIN = ("iteration", "walks", "capacity", "evaluations", "unmoved", "idle")


@dataclass(frozen=True)
class Finished:
    """One run that has ended.

    Attributes
    ----------
    pressure : int
        Index of its pressure.
    repeat : int
        Which of the repeats.
    points : DeadPoints
        All of them.
    history : History
        Of its walks.
    state : State
        At the end.
    reason : str
        Why it ended.
    """

    pressure: int
    repeat: int
    points: DeadPoints
    history: History
    state: State
    reason: str


def run_all(
    problem: Problem, *, repeats: int, every: int, seed: int, context: RunContext
) -> list[Finished] | None:
    """Run everything, from the latest checkpoint on.

    Parameters
    ----------
    problem : Problem
        What to sample.
    repeats : int
        Independent runs at each pressure.
    every : int
        Dead points between two configurations that are kept.
    seed : int
        Of the study.
    context : RunContext
        Checkpoints, ranks and stop.

    Returns
    -------
    list of Finished or None
        None if it was told to stop.
    """
    tasks = [(p, r) for p in range(len(problem.pressures)) for r in range(repeats)]
    done, current = _take_up(problem, tasks, every, context)
    steps = sum(each.state.iteration for each in done)
    for pressure, repeat in tasks[len(done) :]:
        own = int(np.random.SeedSequence((seed, pressure, repeat)).generate_state(1)[0])
        system = problem.at(problem.pressures[pressure])
        sampler = Sampler(system, problem.plan, problem.sizes, own, context.communicator)
        label = _label(problem, pressure, repeat, repeats)
        if current is None:
            current = (sampler.start(problem.founder), History(every), Gauge())
        state, history, gauge = current
        with context.progress(None, label) as bar:
            while (reason := _over(problem, gauge, state, history)) is None:
                state, culled = sampler.step(state)
                history.add(culled)
                gauge = _advance(problem, gauge, culled, state)
                bar.update()
                stopping = context.stop()
                if stopping or context.checkpoint_due():
                    arrays = _to_arrays(done, (state, history, gauge))
                    context.checkpoints.save(steps + state.iteration, arrays, _meta(done))
                if stopping:
                    return None
        steps += state.iteration
        points = dead_points(system, history, state, problem.sizes)
        done.append(Finished(pressure, repeat, points, history, state, reason))
        _tell(done[-1], label, problem.sizes.culled, context)
        current = None
    return done


def _advance(problem: Problem, gauge: Gauge, culled: Any, state: State) -> Gauge:
    return advance(
        gauge,
        culled,
        state,
        sizes=problem.sizes,
        kt=problem.criteria.kt,
        volume_power=problem.reweighting,
    )


def _over(problem: Problem, gauge: Gauge, state: State, history: History) -> str | None:
    return ended(problem.criteria, gauge, state, history, volume_power=problem.reweighting)


def _label(problem: Problem, pressure: int, repeat: int, repeats: int) -> str:
    at = problem.pressures[pressure]
    where = [] if at is None else [f"{problem.units.names['pressure']} = {at:g}"]
    which = [f"repeat {repeat + 1} of {repeats}"] if repeats > 1 else []
    return ", ".join(["nested sampling", *where, *which])


def _tell(run: Finished, label: str, culled: int, context: RunContext) -> None:
    """One line about how a run went; a warning where it did not go well."""
    state = run.state
    clones = run.state.iteration * culled
    context.log.info(
        "%s: %d dead points, %d energies; ended by %s",
        label,
        len(run.points.value),
        state.evaluations,
        run.reason,
    )
    if state.unmoved:
        context.log.warning("%s: %d clones of %d never moved", label, state.unmoved, clones)


def _take_up(
    problem: Problem, tasks: list[tuple[int, int]], every: int, context: RunContext
) -> tuple[list[Finished], tuple[State, History, Gauge] | None]:
    """Read the runs that are done and the one under way, from the latest checkpoint."""
    checkpoint = context.checkpoints.load_latest()
    if checkpoint is None:
        return [], None
    arrays, done = checkpoint.arrays, []
    for index, reason in enumerate(checkpoint.meta["reasons"]):
        state, history, _ = _from_arrays(_below(arrays, f"run_{index}"), every)
        system = problem.at(problem.pressures[tasks[index][0]])
        points = dead_points(system, history, state, problem.sizes)
        done.append(Finished(*tasks[index], points, history, state, reason))
    context.log.info("resumed after %d iterations", checkpoint.step)
    return done, _from_arrays(_below(arrays, "current"), every)


def _meta(done: list[Finished]) -> dict[str, Any]:
    return {"reasons": [run.reason for run in done]}


def _to_arrays(
    done: list[Finished], current: tuple[State, History, Gauge]
) -> dict[str, np.ndarray]:
    parts = {f"run_{i}": (run.state, run.history, Gauge()) for i, run in enumerate(done)}
    arrays = {}
    for name, (state, history, gauge) in (parts | {"current": current}).items():
        own = history.arrays()
        own |= {f"walkers/{key}": value for key, value in state.walkers._asdict().items()}
        own |= {
            f"state/{key}": np.asarray(value)
            for key, value in state._asdict().items()
            if key != "walkers"
        }
        own["gauge"] = np.array(gauge)
        arrays |= {f"{name}/{key}": value for key, value in own.items()}
    return arrays


def _from_arrays(arrays: dict[str, np.ndarray], every: int) -> tuple[State, History, Gauge]:
    fields = _below(arrays, "state")
    plain = {name: int(fields.pop(name)) for name in _PLAIN}
    walkers = Walker(**_below(arrays, "walkers"))
    state = State(walkers=walkers, **fields, **plain)
    return state, restore(every, arrays), Gauge(*(float(x) for x in arrays["gauge"]))


def _below(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    start = f"{prefix}/"
    return {
        name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)
    }
