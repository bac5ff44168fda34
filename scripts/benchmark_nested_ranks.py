"""What ranks gain in nested sampling, with P and E stated: LJ13, walks shared in portions.

    python scripts/benchmark_nested_ranks.py
    mpiexec -n 2 python scripts/benchmark_nested_ranks.py

Every rank says what CPU time it spent in its share of the walks, and in all; for the rest of the
wall time it had no core, where others use them too. A rank that waits for another one polls: that
is in its CPU time. Where the cores are not its own, compare dead points for a CPU second of every
rank.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

import thermosearch  # noqa: F401 - turns on float64
from thermosearch.nested.finders import AllPairs
from thermosearch.nested.measures import Sphere
from thermosearch.nested.moves.atom import AtomMove
from thermosearch.nested.sampler import Sampler, Sizes
from thermosearch.nested.walk import Plan
from thermosearch.nested.walker import System, Walker
from thermosearch.potentials.lennard_jones import LennardJones
from thermosearch.runtime.communicator import Communicator, world
from thermosearch.runtime.versions import cpu_model

ATOMS, RADIUS = 13, 3.0


class Timed(Communicator):
    """Adds up the CPU time of this rank's tasks."""

    def __init__(self, ranks: Communicator) -> None:
        super().__init__(ranks._mpi)
        self.spent = 0.0

    def map(self, function: Callable[[Any], Any], tasks: Sequence[Any]) -> list[Any]:
        def timed(task: Any) -> Any:
            before = time.process_time()
            result = function(task)
            self.spent += time.process_time() - before
            return result

        return super().map(timed, tasks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--walkers", type=int, default=512)
    parser.add_argument("--culled", type=int, default=64)
    parser.add_argument("--extra", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--iterations", type=int, default=100)
    given = parser.parse_args()
    ranks = Timed(world())
    sizes = Sizes(given.walkers, given.culled, given.extra, given.rounds, given.width, given.rounds)
    atoms = tuple(range(ATOMS))
    container = Sphere(RADIUS, "fixed_centre")
    system = System(LennardJones(), container, AllPairs(ATOMS), (False,) * 3, ATOMS, atoms)
    sampler = Sampler(system, Plan((AtomMove(),), (1,), "lanes"), sizes, 1, ranks)
    numbers = jnp.full((ATOMS,), 18, jnp.int32)
    state = sampler.start(Walker(jnp.zeros((ATOMS, 3)), jnp.zeros((3, 3)), numbers, jnp.zeros(())))
    ranks.barrier()
    ranks.spent, wall, cpu = 0.0, time.perf_counter(), time.process_time()
    for _ in range(given.iterations):
        state, _ = sampler.step(state)
    mine = (ranks.spent, time.process_time() - cpu, time.perf_counter() - wall)
    everyone = ranks.gather(mine)
    if ranks.rank == 0:
        report(given, everyone)


def report(given: argparse.Namespace, everyone: list[tuple[float, float, float]]) -> None:
    load = os.getloadavg()[0]
    print(
        f"{cpu_model()}, load {load:.1f}, {os.cpu_count()} cores: LJ{ATOMS}, {len(everyone)} ranks"
    )
    print(f"K = {given.walkers}, P = {given.culled}, E = {given.extra}, {given.rounds} sweeps")
    for rank, (walks, cpu, wall) in enumerate(everyone):
        print(
            f"rank {rank}: CPU in walks {walks:.2f} s, CPU {cpu:.2f} s, wall {wall:.2f} s, "
            f"without a core {1 - cpu / wall:.0%}"
        )
    points = given.iterations * given.culled
    print(f"{points / max(each[1] for each in everyone):.0f} dead points for a CPU s of every rank")


if __name__ == "__main__":
    main()
