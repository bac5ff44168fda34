"""What a walk of a model costs beside its bare energies: CPU time on one core.

    NPROC=1 python scripts/benchmark_nested_walk.py [--model silicon] [--atoms 8] [--width 64]

Bare energies with neighbours given, the neighbour search alone, picking neighbours from a kept
list, and the time an attempt of each move takes in the compiled walk, one walker after the other.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ase.build import bulk

import thermosearch  # noqa: F401 - turns on float64
from thermosearch.nested.container import Container, make_finder
from thermosearch.nested.finders import with_capacity
from thermosearch.nested.measures import FlexibleCell
from thermosearch.nested.moves.all_atoms import AllAtomsMove
from thermosearch.nested.moves.galilean import GalileanMove
from thermosearch.nested.moves.volume import VolumeMove
from thermosearch.nested.walk import Plan, walk_all
from thermosearch.nested.walker import System, Walker
from thermosearch.potentials.interface import energy_forces
from thermosearch.potentials.registry import load_potential
from thermosearch.runtime.versions import cpu_model

ROUNDS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="silicon")
    parser.add_argument("--atoms", type=int, default=8, help="a multiple of 8")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--turns", type=int, default=30)
    given = parser.parse_args()
    system, walkers = make(given.model, given.atoms, given.width)
    batch = jax.tree.map(lambda a: jnp.moveaxis(a, -1, 0), walkers)

    def over(function: Callable[..., Any]) -> Callable[..., Any]:
        return jax.jit(lambda *a: jax.lax.map(lambda each: function(*each), a))

    find = over(lambda walker: system.finder.find(system.configuration(walker)))
    lists = find(batch)
    held = over(lambda walker: system.finder.hold(system.configuration(walker)))(batch)
    near = over(lambda walker, own: system.finder.near(own, system.configuration(walker))[1])
    bare = over(lambda walker, own: system.potential.energy(system.configuration(walker), own))
    forces = over(lambda w, own: energy_forces(system.potential, system.configuration(w), own))
    start = walkers._replace(energy=bare(batch, lists))
    calls = {
        "neighbour search": lambda: find(batch),
        "neighbours from a kept list": lambda: near(batch, held),
        "energy, neighbours given": lambda: bare(batch, lists),
        "energy and forces, likewise": lambda: forces(batch, lists),
    }
    moves = (AllAtomsMove(), VolumeMove(), GalileanMove())
    calls |= {f"an attempt of {m.name}": (lambda m=m: walk(system, m, start)) for m in moves}
    spent = {name: median / given.width for name, median in clock(calls, given.turns).items()}
    for move in moves:
        attempts = float(walk(system, move, start).tally.sum()) / given.width
        spent[f"an attempt of {move.name}"] /= attempts
    print(f"{cpu_model()}: {given.model}, {given.atoms} atoms, {given.width} walkers, us each")
    energy, picking = spent["energy, neighbours given"], spent["neighbours from a kept list"]
    for name, each in spent.items():
        beside = ""
        if name in {"an attempt of all_atoms", "an attempt of volume"}:
            share = energy / (each - picking)
            beside = f"; without the lists, {share:.0%} of the bare throughput"
        print(f"{name}: {each:.1f}{beside}")


def make(model: str, atoms: int, width: int) -> tuple[System, Walker]:
    potential = load_potential(model, "float32")
    crystal = bulk("Si", "diamond", a=5.43, cubic=True).repeat((atoms // 8, 1, 1))
    generator = np.random.default_rng(0)
    moved = crystal.positions[..., None] + 0.1 * generator.standard_normal((atoms, 3, width))
    measure = FlexibleCell(jnp.asarray(0.01), atoms, 10.0 * atoms, 60.0 * atoms, 0.65)
    pbc, cell = (True, True, True), crystal.cell.array
    thinnest = np.full(3, measure.min_depth * np.cbrt(measure.lowest))
    finder = make_finder(potential, Container(measure, cell, pbc, thinnest), atoms, alone=True)
    finder = with_capacity(finder, 32)
    system = System(potential, measure, finder, pbc, atoms, tuple(range(atoms)))
    walkers = Walker(
        jnp.asarray(moved),
        jnp.asarray(np.repeat(crystal.cell.array[..., None], width, axis=-1)),
        jnp.full((atoms, width), 14, jnp.int32),
        jnp.zeros(width),
    )
    return system, walkers


def walk(system: System, move: Any, walkers: Walker) -> Any:
    """Steps so small that kept lists serve to the end, under no contour: all are accepted."""
    width = walkers.energy.shape[0]
    return walk_all(
        system,
        Plan((move,), (1,), "loop"),
        walkers,
        jnp.full(width, np.inf),
        steps=jnp.array([1e-3]),
        rounds=np.int32(ROUNDS),
        identities=np.stack((np.ones(width), np.arange(width))).astype(np.uint32),
        seed=np.uint32(1),
    )


def clock(calls: dict[str, Callable[[], Any]], turns: int) -> dict[str, float]:
    """Median CPU time of each call after compilation, microseconds; all of them by turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(turns + 1):
        for name, call in calls.items():
            before = time.process_time()
            jax.block_until_ready(call())
            if turn:  # the first compiles
                times[name].append(1e6 * (time.process_time() - before))
    return {name: float(np.median(each)) for name, each in times.items()}


if __name__ == "__main__":
    main()
