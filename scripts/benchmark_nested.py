"""Dead points a second of nested sampling on one core: Lennard-Jones clusters.

    python scripts/benchmark_nested.py [--atoms 7] [--walkers 128] [--culled 32] [--rounds 200]

CPU time of the iterations after compilation, the thread of the interpreter and those of XLA
together, so that other work on the machine does not count.
"""

import argparse
import time

import jax.numpy as jnp
import numpy as np

import thermosearch  # noqa: F401 - turns on float64
from thermosearch.nested.finders import AllPairs
from thermosearch.nested.measures import Sphere
from thermosearch.nested.moves.atom import AtomMove
from thermosearch.nested.sampler import Sampler, Sizes
from thermosearch.nested.walk import Plan
from thermosearch.nested.walker import System, Walker
from thermosearch.potentials.lennard_jones import LennardJones
from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.versions import cpu_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--atoms", type=int, default=7)
    parser.add_argument("--walkers", type=int, default=128)
    parser.add_argument("--culled", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--iterations", type=int, default=200)
    given = parser.parse_args()
    atoms = given.atoms
    container = Sphere(2.25 * (atoms / 7.0) ** (1.0 / 3.0), "fixed_centre")
    system = System(
        LennardJones(), container, AllPairs(atoms), (False,) * 3, atoms, tuple(range(atoms))
    )
    sizes = Sizes(
        walkers=given.walkers,
        culled=given.culled,
        extra=0,
        rounds=given.rounds,
        width=min(given.culled, 64),
        initial_rounds=given.rounds,
    )
    sampler = Sampler(system, Plan((AtomMove(),), (1,), "lanes"), sizes, 1, Communicator())
    founder = Walker(
        jnp.zeros((atoms, 3)),
        jnp.zeros((3, 3)),
        jnp.full((atoms,), 18, jnp.int32),
        jnp.zeros(()),
    )
    state, _ = sampler.step(sampler.start(founder))
    before, start = state.evaluations, time.process_time()
    for _ in range(given.iterations):
        state, _ = sampler.step(state)
    spent = time.process_time() - start
    print(
        f"{cpu_model()}: LJ{atoms}, K = {given.walkers}, P = {given.culled}, {given.rounds} sweeps"
    )
    print(f"{given.iterations * given.culled / spent:.0f} dead points/s")
    print(f"{(state.evaluations - before) / spent / 1e6:.2f} million single-atom moves/s")
    print(f"lowest energy {np.min(state.value):.4f}")


if __name__ == "__main__":
    main()
