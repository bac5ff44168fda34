"""Cost of an effective harmonic free energy, alone and beside phonopy's MLPSSCHA.

    python scripts/benchmark_harmonic.py           # silicon's model and Stillinger-Weber, 64 atoms
    python scripts/benchmark_harmonic.py --potentials stillinger_weber --repeats 40

Both codes drive the same potential, in the same supercell, from the same harmonic force constants,
at fixed cell with Bose statistics, on one thread. The true error is the root mean square of
independent runs about a long run of our own (whose own error is printed); evaluations count every
displaced supercell. What MLPSSCHA would need for our true error follows from the scatter of its
runs, as errors fall with the root of the evaluations; its interval from the two variances' F.
"""

import os

# BLAS reads it when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ase.build import bulk
from phonopy.harmonic.force_constants import compact_fc_to_full_fc
from phonopy.interface.mlp import PhonopyMLP
from phonopy.sscha.core import MLPSSCHA
from phonopy.structure.atoms import PhonopyAtoms
from scipy.stats import f as variance_ratio

from thermosearch.harmonic.crystal import (
    Crystal,
    EffectiveCrystal,
    coordinate_masses,
    effective_crystal,
    make_crystal,
    phonopy_object,
)
from thermosearch.harmonic.evaluation import Evaluated, Request, evaluate_all, evaluate_requests
from thermosearch.harmonic.point import PointProblem
from thermosearch.harmonic.prepare import Elastic, prepare
from thermosearch.harmonic.statistics import bath, harmonic_free_energy, normal_modes
from thermosearch.harmonic.variational import State, ask, begin, tell
from thermosearch.potentials.interface import Potential
from thermosearch.potentials.section import PotentialSection
from thermosearch.runtime.communicator import Communicator

RANKS = Communicator()


class Driven(PhonopyMLP):
    """Our potential where phonopy expects its polynomial one; counts what it is asked."""

    def __init__(self, potential: Potential, crystal: Crystal) -> None:
        """Keep the potential and the crystal whose supercells are displaced."""
        super().__init__()
        self.potential, self.crystal, self.count = potential, crystal, 0

    def evaluate(
        self, supercells_with_displacements: Sequence[PhonopyAtoms]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Energies, forces and stresses."""
        positions = np.array([each.positions for each in supercells_with_displacements])
        self.count += len(positions)
        found = evaluate(self.potential, Request(self.crystal.supercell, positions))
        return found.energies, found.forces, found.stresses.reshape(-1, 9)[:, [0, 4, 8, 5, 2, 1]]


class Bench(NamedTuple):
    """What both codes are given."""

    potential: Potential
    crystal: Crystal
    elastic: Elastic
    harmonic: EffectiveCrystal
    options: argparse.Namespace


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--potentials", nargs="+", default=["silicon", "stillinger_weber"])
    parser.add_argument("--temperatures", type=float, nargs="+", default=[300.0, 1000.0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--error", type=float, default=1e-4, help="eV per atom")
    parser.add_argument("--snapshots", type=int, default=100, help="of MLPSSCHA, an iteration")
    parser.add_argument("--iterations", type=int, default=3, help="of MLPSSCHA")
    parser.add_argument("--exact", type=float, default=10.0, help="times, of the long run")
    options = parser.parse_args()
    for name in options.potentials:
        drive(name, options)


def drive(name: str, options: argparse.Namespace) -> None:
    """Print the cost of both codes on one potential: a shipped model, or an analytic one."""
    kind = "analytic" if name == "stillinger_weber" else "model"
    potential = PotentialSection(**{kind: name}).build("float64")
    crystal = make_crystal(bulk("Si", cubic=True, a=5.431), (2, 2, 2))
    start = prepare(crystal, lambda each: evaluate_all(potential, each, RANKS), cell=False)
    harmonic = effective_crystal(crystal, start.force_constants, start.static)
    # Compilations are not part of any time below.
    evaluate(potential, Request(crystal.supercell, np.array(crystal.supercell.positions)[None]))
    bench = Bench(potential, crystal, start.elastic, harmonic, options)
    print(name)
    for kelvin in options.temperatures:
        compare(bench, kelvin)


def compare(bench: Bench, kelvin: float) -> None:
    """Print the cost of both codes at one temperature."""
    potential, crystal, elastic, harmonic, options = bench
    scale = 1e3 / crystal.atoms
    exact = problem(crystal, elastic, kelvin, 999, options.error / options.exact)
    long = run(potential, exact, harmonic)[0].result
    truth, uncertain = long.free_energy * scale, long.free_energy_error * scale
    print(f"  {kelvin:g} K: F = {truth:.4f} +- {uncertain:.4f} meV/atom", flush=True)
    ours, spent, times, overheads, errors = [], [], [], [], []
    for seed in range(options.repeats):
        point = problem(crystal, elastic, kelvin, seed, options.error)
        state, count, total, inside = run(potential, point, harmonic)
        ours.append(state.result.free_energy * scale - truth)
        errors.append(state.result.free_energy_error * scale)
        spent.append(count)
        times.append(total)
        overheads.append(total / inside - 1.0)
    true_error = rms(ours)
    print(
        f"    thermosearch: true error {true_error:.4f} (stated {np.mean(errors):.4f}) meV/atom "
        f"with {np.mean(spent):.0f} evaluations, {np.median(times):.2f} s, overhead "
        f"{np.median(overheads):.0%} beside the energies",
        flush=True,
    )
    theirs, count = [], 0
    for seed in range(options.repeats):
        value, count = mlpsscha(bench, kelvin, seed)
        theirs.append(value * scale - truth)
    # Their mean may be off by what three iterations leave; only the scatter is held against them.
    other = float(np.std(theirs, ddof=1))
    needed = count * (other / true_error) ** 2
    runs = options.repeats
    tails = variance_ratio.ppf([0.975, 0.025], runs - 1, runs)
    low, high = needed / np.mean(spent) / tails
    print(
        f"    MLPSSCHA: scatter {other:.4f}, offset {np.mean(theirs):+.4f} meV/atom with {count} "
        f"evaluations: {needed:.0f} for our true error, {needed / np.mean(spent):.1f} times ours "
        f"({low:.1f} to {high:.1f}, 95 %)"
    )


def problem(
    crystal: Crystal, elastic: Elastic, kelvin: float, seed: int, error: float
) -> PointProblem:
    """One point at fixed cell."""
    return PointProblem(
        crystal=crystal,
        elastic=elastic,
        temperature=kelvin,
        at=bath(kelvin, "quantum"),
        pressure=0.0,
        stream=(seed,),
        pairs=16,
        most_pairs=100_000,
        most_steps=40,
        error=error * crystal.atoms,
        strain_error=1.0,
    )


def run(
    potential: Potential, point: PointProblem, start: EffectiveCrystal
) -> tuple[State, int, float, float]:
    """Run the loop; its last state, evaluations, CPU seconds in all and in the potential."""
    begun, inside, count = time.process_time(), 0.0, 0
    state = begin(point, start)
    while not state.done:
        request = ask(point, state)
        before = time.process_time()
        found = evaluate(potential, request)
        inside += time.process_time() - before
        count += len(request.positions)
        state = tell(point, state, request, found)
    return state, count, time.process_time() - begun, inside


def mlpsscha(bench: Bench, kelvin: float, seed: int) -> tuple[float, int]:
    """Run phonopy's loop; free energy of the supercell's q points, eV, and evaluations."""
    potential, crystal, _, harmonic, options = bench
    driven = Driven(potential, crystal)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loop = MLPSSCHA(
            phonopy_object(crystal, harmonic),
            driven,
            temperature=kelvin,
            number_of_snapshots=options.snapshots,
            max_iterations=options.iterations,
            mesh=[1, 1, 1],
            random_seed=seed,
        ).run()
    # Their anharmonic part with the harmonic free energy of the same force constants on the
    # supercell's q points, as ours.
    phi = loop._force_constants_history[-1]
    return harmonic_part(crystal, phi, kelvin) + (
        loop.anharmonic_free_energy * loop.n_cell + loop.supercell_energy
    ), driven.count


def harmonic_part(crystal: Crystal, compact: np.ndarray, kelvin: float) -> float:
    """Harmonic free energy of the supercell for phonopy's compact force constants, eV."""
    n = 3 * crystal.atoms
    zero = effective_crystal(crystal, np.zeros((n, n)))
    full = compact_fc_to_full_fc(phonopy_object(crystal, zero).primitive, compact)
    phi = np.asarray(full).transpose(0, 2, 1, 3).reshape(n, n)
    modes = normal_modes(0.5 * (phi + phi.T), coordinate_masses(crystal.masses))
    return harmonic_free_energy(modes, bath(kelvin, "quantum"))


def evaluate(potential: Potential, request: Request) -> Evaluated:
    """Evaluate on this process alone."""
    return evaluate_requests(potential, [request], RANKS)[0]


def rms(values: list[float]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


if __name__ == "__main__":
    main()
