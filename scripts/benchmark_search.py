"""CMA-ES on standard functions beside Clinamen2's histories, and its cost a generation.

    scripts/benchmark_search.py functions --reference FOLDER_OF_HISTORIES
    scripts/benchmark_search.py generation
    mpiexec -n 2 scripts/benchmark_search.py ranks

Functions: evaluations to 1e-8 and to 1e-14 from x = (1, ..., 1) (Rosenbrock: 0) with step 1 and
the default population 4 + floor(3 ln n), medians over the seeds; the histories ended at 1e-14
from starting points that are not recorded. Generation: processor time of ask, confinement,
repair and tell, energies apart, for a slab of 158 moved atoms (474 coordinates). Ranks: 8 seeds
of 24 individuals on Stillinger-Weber Si(100) 2x2, processor time of every rank's relaxations and
of what all ranks do alike; other work on the machine does not enter, waiting for messages neither.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from ase import Atoms

from thermosearch.configuration import from_ase
from thermosearch.runtime.communicator import world
from thermosearch.search.campaign import relax_all
from thermosearch.search.degrees_of_freedom import make_degrees_of_freedom, repaired
from thermosearch.search.evaluate import Evaluated, Relaxer
from thermosearch.search.execute import relaxation_of
from thermosearch.search.founder import MOVED, Founder
from thermosearch.search.problem import make_problem
from thermosearch.search.proposal import Proposal
from thermosearch.search.seed import SeedSearch
from thermosearch.search.strategy import Strategy
from thermosearch.search.study import SearchStudy

Function = Callable[[np.ndarray], float]


def _weights(x: np.ndarray) -> np.ndarray:
    return np.arange(len(x)) / (len(x) - 1)


FUNCTIONS: dict[str, Function] = {
    "sphere": lambda x: float(np.sum(x**2)),
    "cigar": lambda x: float(x[0] ** 2 + 1e6 * np.sum(x[1:] ** 2)),
    "discus": lambda x: float(1e6 * x[0] ** 2 + np.sum(x[1:] ** 2)),
    "ellipsoid": lambda x: float(np.sum(10.0 ** (6.0 * _weights(x)) * x**2)),
    "diffpowers": lambda x: float(np.sum(np.abs(x) ** (2.0 + 10.0 * _weights(x)))),
    "rosenbrock": lambda x: float(np.sum(100.0 * (x[:-1] ** 2 - x[1:]) ** 2 + (x[:-1] - 1.0) ** 2)),
    "schwefel": lambda x: float(np.sum(np.cumsum(x) ** 2)),
}
LEVELS = (1e-8, 1e-14)


def main() -> None:
    """Run one of the two benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("functions", "generation", "ranks"))
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 32, 64, 128])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--names", nargs="+", choices=list(FUNCTIONS), default=list(FUNCTIONS))
    options = parser.parse_args()
    if options.what == "functions":
        _functions(options.names, options.sizes, options.seeds, options.reference)
    elif options.what == "generation":
        _generation()
    else:
        _ranks()


def _functions(names: list[str], sizes: list[int], seeds: int, reference: Path | None) -> None:
    print("function       n   to 1e-8  to 1e-14  Clinamen2  ratio  lost")
    for size in sizes:
        for name in names:
            runs = np.array([_evaluations(name, size, seed) for seed in range(seeds)])
            medians = np.median(runs, axis=0)
            theirs = _median_of_history(reference, name, size)
            ratio = medians[1] / theirs if theirs else np.nan
            lost = int(np.isinf(runs[:, 0]).sum())
            print(
                f"{name:12s} {size:3d} {medians[0]:9.0f} {medians[1]:9.0f} "
                f"{theirs or np.nan:10.0f} {ratio:6.2f} {lost:5d}",
                flush=True,
            )


def _evaluations(name: str, size: int, seed: int) -> list[float]:
    """Evaluations to each level; infinite if 20,000 n do not reach it."""
    function, population = FUNCTIONS[name], 4 + int(3 * np.log(size))
    start = np.zeros(size) if name == "rosenbrock" else np.ones(size)
    strategy = Strategy(start, 1.0, population, "full", [seed, size])
    reached = [np.inf] * len(LEVELS)
    lowest, spent = np.inf, 0
    while spent < 20000 * size and np.isinf(reached[-1]):
        vectors = strategy.ask()
        values = np.array([function(x) for x in vectors])
        strategy.tell(vectors, values)
        spent += population
        lowest = min(lowest, values.min())
        reached = [
            spent if np.isinf(at) and lowest < level else at
            for at, level in zip(reached, LEVELS, strict=True)
        ]
    return reached


def _median_of_history(reference: Path | None, name: str, size: int) -> float | None:
    path = None if reference is None else reference / f"{name}{size}.data"
    if path is None or not path.exists():
        return None
    runs = [json.loads(line) for line in path.read_text().splitlines()]
    return float(np.median([run["total_evals"] for run in runs if run["min_loss"] < LEVELS[1]]))


def _generation(generations: int = 30, population: int = 22) -> None:
    generator = np.random.default_rng(1)
    side = 2.6 * np.arange(4)
    grid = np.stack(np.meshgrid(side, side, 2.6 * np.arange(10)), axis=-1).reshape(-1, 3)[:158]
    atoms = Atoms(["O"] * 158, positions=grid, cell=[10.4, 10.4, 45.0], pbc=(True, True, False))
    configuration = from_ase(atoms)
    founder = Founder(configuration, np.full(158, MOVED), np.zeros(158, np.int64))
    freedom = make_degrees_of_freedom(founder, None, (1.0, 1.0))
    for covariance in ("full", "diagonal"):
        strategy = Strategy(np.zeros(freedom.size), 0.1, population, covariance, [1])
        spent = []
        for _ in range(generations):
            begin = time.process_time()
            vectors = strategy.ask()
            for vector in vectors:
                repaired(freedom, freedom.positions(vector), 1.6)
            middle = time.process_time()
            values = generator.normal(size=population) + np.sum(vectors**2, axis=1)
            strategy.tell(vectors, values)
            spent.append((middle - begin, time.process_time() - middle))
        ask, tell = 1e3 * np.mean(spent, axis=0)
        print(
            f"{freedom.size} coordinates, population {population}, {covariance}: ask and repair "
            f"{ask:.1f} ms, tell {tell:.1f} ms, together {ask + tell:.1f} ms a generation"
        )


def _ranks(generations: int = 6) -> None:
    context = SimpleNamespace(communicator=world())
    study = SearchStudy.model_validate(RANKS)
    problem = make_problem(study)
    relaxer = Relaxer(
        problem.potential, problem.founder, problem.freedom, relaxation_of(study.method)
    )
    seeds = [SeedSearch("cma", index, 1, problem) for index in range(study.method.seeds)]
    # Compiles for every size of neighbour list that comes up, so that no rank pays for it below.
    relaxer([each for k in range(8) for each in SeedSearch("cma", 100 + k, 1, problem).ask()])
    spent: list[float] = []

    def timed(batch: Sequence[Proposal]) -> list[Evaluated]:
        begin = time.process_time()
        relaxed = relaxer(batch)
        spent.append(time.process_time() - begin)
        return relaxed

    rows = []
    for _ in range(generations):
        spent.clear()
        begin, wall = time.process_time(), time.perf_counter()
        asked = [seed.ask() for seed in seeds]
        middle = time.process_time()
        relaxed = relax_all(asked, timed, 1, context)
        after = time.process_time()
        for seed, group in zip(seeds, relaxed, strict=True):
            seed.tell(group)
        alike = middle - begin + time.process_time() - after
        ranks = context.communicator.gather((sum(spent), alike))
        rows.append([*np.array(ranks).T.tolist(), time.perf_counter() - wall])
    if context.communicator.rank == 0:
        _show_ranks(rows)


def _show_ranks(rows: list) -> None:
    busy, alike = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    longest = busy.max(axis=1)
    idle = 1.0 - busy.sum(axis=1) / (busy.shape[1] * longest)
    one = busy.sum() + alike.mean(axis=1).sum()
    many = longest.sum() + alike.max(axis=1).sum()
    print(
        f"{busy.shape[1]} ranks, {len(rows)} generations; wall {sum(row[2] for row in rows):.1f} s"
    )
    print("relaxations of each rank, s of processor:", *np.round(busy.sum(axis=0), 2))
    print(f"ask and tell, on every rank: {alike.mean(axis=1).sum():.2f} s")
    mean = 1.0 - busy.sum() / (busy.shape[1] * longest.sum())
    print(f"idle: {100 * mean:.1f} % of relaxations, worst generation {100 * idle.max():.1f} %")
    print(f"one rank would take {one:.2f} s, these {many:.2f} s: {one / many:.2f} times")


RANKS = {
    "potential": {"analytic": "stillinger_weber"},
    "system": {
        "moved_layers": 1,
        "relaxed_layers": 7,
        "slab": {"layers": 12, "repeat": [2, 2], "lattice_parameter": 5.43095},
    },
    "method": {"seeds": 8, "population": 24, "generations": 6, "scramble": 1.5},
}


if __name__ == "__main__":
    main()
