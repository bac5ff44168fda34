"""Which moves carry the atoms of a walk furthest for their cost: CPU time on one core.

    python scripts/benchmark_nested_moves.py RUN [--pressure 0] [--repeat 0] [--stage 0.45 0.6]

takes the configurations that a finished nested run kept from a stage of one of its runs (shares of
its dead points), walks them below the highest of their values, and says for rounds of different
moves how far a walk carries the atoms: mean square displacement, its error over the walkers, and
CPU time. Step sizes are adapted first, as in a run. A walk with momenta is below a contour higher
by their mean kinetic energy at the temperature given.
"""

import argparse
import time
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import jax
import jax.numpy as jnp
import numpy as np

import thermosearch  # noqa: F401 - turns on float64
from thermosearch.nested.finders import with_capacity
from thermosearch.nested.momenta import highest_kinetic
from thermosearch.nested.moves.interface import Move
from thermosearch.nested.moves.steps import adapted
from thermosearch.nested.problem import Problem, make_problem
from thermosearch.nested.study import MoveSection, NestedStudy
from thermosearch.nested.walk import Plan, Walked, walk_all
from thermosearch.nested.walker import System, Walker
from thermosearch.runtime.study import parse_study
from thermosearch.runtime.versions import cpu_model
from thermosearch.units import BOLTZMANN_EV_PER_K

CELL = [{"name": "volume"}, {"name": "shear"}, {"name": "stretch"}]
ROUNDS = {
    "flights of 8": ([{"name": "galilean"}], 12),
    "flights of 32": ([{"name": "galilean", "length": 32}], 4),
    "trajectories of 8": ([{"name": "hamiltonian"}], 12),
    "trajectories of 16": ([{"name": "hamiltonian", "length": 16}], 6),
    "trajectories of 32": ([{"name": "hamiltonian", "length": 32}], 4),
}
"""Moves besides those of the cell, and rounds of a walk."""

SLOTS = 48
FIRST_STEPS = {"galilean": 0.02, "hamiltonian": 0.25, "volume": 0.07, "shear": 0.08}
ADAPTATIONS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--pressure", type=int, default=0, help="which, from 0")
    parser.add_argument("--repeat", type=int, default=0)
    parser.add_argument("--stage", type=float, nargs=2, default=(0.45, 0.6))
    parser.add_argument("--temperature", type=float, default=1070.0, help="K, of that stage")
    given = parser.parse_args()
    content = tomllib.loads((given.run / "study.toml").read_text(encoding="utf-8"))
    problem = make_problem(
        parse_study(content, NestedStudy, source=str(given.run), folder=given.run)
    )
    walkers, limit = kept(given, problem)
    count = len(walkers.energy)
    print(f"{cpu_model()}: {count} walkers below {limit:.3f}; CPU ms of a walk, A^2, A^2 a CPU s")
    for name, (moves, rounds) in ROUNDS.items():
        plan = make_plan([*moves, *CELL])
        system = prepared(problem, given.pressure)
        start, bound = walkers, limit
        if any(move.samples_momenta for move in plan.moves):
            system, start, bound = with_momenta(system, walkers, limit, given.temperature)
        walked, spent = measured(system, plan, start, bound, rounds)
        carried = np.asarray(walked.displacement)
        error = carried.std(ddof=1) / np.sqrt(count)
        print(
            f"{name}, {rounds} rounds: {1e3 * spent:.1f} ms, {carried.mean():.2f}({error:.2f}), "
            f"{carried.mean() / spent:.1f}",
            flush=True,
        )


def kept(given: argparse.Namespace, problem: Problem) -> tuple[Walker, float]:
    """Walkers of the stage, and the highest of their values."""
    pressure = problem.conditions[given.pressure].pressure
    frames = [
        frame
        for frame in ase.io.read(given.run / "structures" / "dead.extxyz", index=":")
        if frame.info["p_GPa"] == pressure and frame.info["repeat"] == given.repeat
    ]
    first, last = (int(share * len(frames)) for share in given.stage)
    frames = frames[first:last]
    columns = [
        np.stack(values, axis=-1)
        for values in (
            [frame.positions for frame in frames],
            [frame.cell.array for frame in frames],
            [frame.numbers.astype(np.int32) for frame in frames],
        )
    ]
    energies = jnp.asarray([frame.info["potential_energy"] for frame in frames])
    walkers = Walker(*map(jnp.asarray, columns), energies)
    values = prepared(problem, given.pressure).value(walkers)
    return walkers, float(jnp.max(values)) + 1e-6


def prepared(problem: Problem, pressure: int) -> System:
    """The system at a pressure, without momenta, with slots enough for all walks."""
    system = problem.system_at(problem.conditions[pressure])
    return replace(system, finder=with_capacity(system.finder, SLOTS), highest_kinetic=None)


def with_momenta(
    system: System, walkers: Walker, limit: float, temperature: float
) -> tuple[System, Walker, float]:
    """The same with momenta, all of which have the mean kinetic energy to begin with."""
    dimensions, kt = 3 * len(system.mobile), BOLTZMANN_EV_PER_K * temperature
    system = replace(system, highest_kinetic=jnp.asarray(highest_kinetic(3.0 * kt, dimensions)))
    mean = 0.5 * dimensions * kt
    kinetic = jnp.full(walkers.energy.shape, mean * (1.0 - 1e-6))
    return system, walkers._replace(kinetic=kinetic), limit + mean


def make_plan(moves: list[dict[str, Any]]) -> Plan:
    made: tuple[Move, ...] = tuple(MoveSection(**move).move() for move in moves)
    return Plan(made, (1,) * len(made), "loop")


def measured(
    system: System, plan: Plan, walkers: Walker, limit: float, rounds: int
) -> tuple[Walked, float]:
    """A walk with adapted steps after some others, and CPU seconds of each walker."""
    count = len(walkers.energy)
    steps = np.array([FIRST_STEPS.get(move.name, 0.08) for move in plan.moves])
    for turn in range(ADAPTATIONS + 1):
        before = time.process_time()
        walked = walk_all(
            system,
            plan,
            walkers,
            jnp.full(count, limit),
            steps=jnp.asarray(steps),
            rounds=np.int32(rounds),
            identities=np.stack((np.full(count, turn), np.arange(count))).astype(np.uint32),
            seed=np.uint32(1),
        )
        walkers = jax.block_until_ready(walked.walker)
        spent = time.process_time() - before
        if int(walked.needed.max()) > SLOTS:
            raise RuntimeError("too few neighbour slots")
        steps = adapted(plan.moves, steps, np.asarray(walked.tally).sum(axis=-1, dtype=np.int64))
    return walked, spent / count


if __name__ == "__main__":
    main()
