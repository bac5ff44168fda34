"""Batched relaxation beside ASE's optimisers on the same potential, and beside bare calls.

Rattled silicon crystals, converged to 0.01 eV/A, Stillinger-Weber or a shipped model (`--model`).
Every optimiser does the same work: the same starts, the same tolerance; ASE calls the same compiled
potential through `to_calculator`. Times are processor times, the best of three, compilation apart.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import numpy as np
from ase.build import bulk
from ase.optimize import FIRE, LBFGS

from thermosearch.configuration import Configuration, from_ase, to_ase
from thermosearch.potentials.ase_bridge import to_calculator
from thermosearch.potentials.interface import Neighbours, Potential, energy_forces
from thermosearch.potentials.neighbours_host import host_neighbours
from thermosearch.potentials.registry import load_potential
from thermosearch.potentials.stillinger_weber import StillingerWeber
from thermosearch.relax.fire import Fire
from thermosearch.relax.lbfgs import Lbfgs
from thermosearch.relax.minimise import minimise

CELLS = {8: (1, 1, 1), 64: (2, 2, 2), 136: (17, 1, 1)}
"""Atoms of a crystal, and its cubic cells in the three directions."""


def main() -> None:
    """Print one line a size and optimiser."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--structures", type=int, default=8)
    parser.add_argument("--atoms", type=int, nargs="+", choices=list(CELLS), default=list(CELLS))
    parser.add_argument("--model", help="shipped model or file of one")
    parser.add_argument("--calls", type=int, default=2000, help="bare calls that are timed")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    structures, best = options.structures, partial(_best, repeats=options.repeats)
    potential = load_potential(options.model) if options.model else StillingerWeber()
    print("atoms  optimiser  ours ms  calls  us/call  bare us/call  overhead  ASE ms  calls  ratio")
    for atoms in options.atoms:
        starts = [_rattled(CELLS[atoms], seed) for seed in range(structures)]
        bare = _bare_call(potential, starts[0], options.calls)
        for name, method, optimiser in (("FIRE", Fire(), FIRE), ("L-BFGS", Lbfgs(), LBFGS)):
            ours, relaxed = best(partial(minimise, potential, starts, method=method))
            assert all(one.converged for one in relaxed)
            calls = sum(one.executed for one in relaxed)
            theirs, steps = best(partial(_with_ase, potential, starts, optimiser))
            per_call = ours / calls
            print(
                f"{len(starts[0].numbers):5d}  {name:9s}  {ours * 1e3:7.1f}  {calls:5d}"
                f"  {per_call * 1e6:7.1f}  {bare * 1e6:12.1f}  {per_call / bare - 1.0:8.0%}"
                f"  {theirs * 1e3:6.0f}  {steps:5d}  {theirs / ours:5.1f}",
                flush=True,
            )


def _rattled(repeat: tuple[int, int, int], seed: int) -> Configuration:
    atoms = bulk("Si", "diamond", 5.43, cubic=True).repeat(repeat)
    atoms.rattle(0.15, seed=seed)
    return from_ase(atoms)


def _with_ase(potential: Potential, starts: list[Configuration], optimiser: type) -> int:
    calls = 0
    for start in starts:
        atoms = to_ase(start)
        atoms.calc = to_calculator(potential)
        run = optimiser(atoms, logfile=None)
        assert run.run(fmax=0.01, steps=1000)
        calls += run.nsteps + 1
    return calls


def _bare_call(potential: Potential, start: Configuration, calls: int) -> float:
    """Seconds of one energy-and-force call in a compiled loop, the list given."""

    @eqx.filter_jit
    def many(potential: Potential, start: Configuration, neighbours: Neighbours) -> jax.Array:
        def body(_: int, positions: jax.Array) -> jax.Array:
            forces = energy_forces(
                potential, start._replace(positions=positions), neighbours
            ).forces
            return positions + 1e-9 * forces

        return jax.lax.fori_loop(0, calls, body, start.positions)

    start = jax.tree.map(jax.numpy.asarray, start)
    neighbours = host_neighbours(jax.tree.map(np.asarray, start), 1.15 * potential.cutoff)
    seconds, _ = _best(lambda: many(potential, start, neighbours).block_until_ready())
    return seconds / calls


def _best(work: Callable, repeats: int = 3) -> tuple[float, object]:
    result = work()
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        result = work()
        times.append(time.process_time() - begin)
    return min(times), result


if __name__ == "__main__":
    main()
