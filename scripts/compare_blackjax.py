"""Time against the error of the heat-capacity peak of LJ13: this package beside blackjax.

    pip install blackjax            # 1.7 or newer; not needed by anything else here
    python scripts/compare_blackjax.py --output comparison.svg [--seeds 4] [--peak 0.285]

Both sample the same measure, a sphere of 3 sigma about a fixed centre, and both go through the
same analysis. A point of the plot is one setting: mean CPU time of its seeds after compilation
against the root mean square deviation of their peaks from `--peak` (by default the mean peak of
this package's longest setting, which then has no error of its own to show).
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import thermosearch  # noqa: F401 - turns on float64
from thermosearch.nested.analysis import DeadPoints, averages
from thermosearch.nested.finders import AllPairs
from thermosearch.nested.measures import Sphere
from thermosearch.nested.moves.atom import AtomMove
from thermosearch.nested.sampler import Sampler, Sizes
from thermosearch.nested.streams import Stream, stream
from thermosearch.nested.walk import Plan
from thermosearch.nested.walker import System, Walker
from thermosearch.potentials.lennard_jones import LennardJones
from thermosearch.runtime.communicator import Communicator

RADIUS = 3.0
KT = np.linspace(0.2, 0.36, 81)
FOLDS = 85.0
"""Prior mass, in e-folds, at which both end: below kT = 0.2."""


class Setting(NamedTuple):
    """How hard a method tries: walkers, and length of a walk (sweeps, or slice steps)."""

    walkers: int
    length: int


OURS = (Setting(128, 50), Setting(128, 200), Setting(512, 200), Setting(2048, 200))
THEIRS = (Setting(256, 39), Setting(512, 78), Setting(1024, 78))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--atoms", type=int, default=13)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--peak", type=float)
    parser.add_argument("--quick", action="store_true", help="the first setting of each alone")
    given = parser.parse_args()
    methods = {"thermosearch": (run_ours, OURS), "blackjax nss": (run_theirs, THEIRS)}
    found: dict[str, list[tuple[float, np.ndarray]]] = {name: [] for name in methods}
    for name, (run, settings) in methods.items():
        for setting in settings[:1] if given.quick else settings:
            times, tops = measure(run, setting, given.atoms, given.seeds)
            found[name].append((times, tops))
            print(f"{name} {setting}: {times:.1f} s, peaks {np.round(tops, 4)}", flush=True)
    peak = given.peak or float(np.mean(found["thermosearch"][-1][1]))
    draw(found, peak, given.output)


def measure(
    run: Callable[[Setting, int, int, float], DeadPoints], setting: Setting, atoms: int, seeds: int
) -> tuple[float, np.ndarray]:
    """Mean CPU time, and the peaks of all seeds; the first run only compiles."""
    run(setting, atoms, 0, 1.0)
    times, tops = [], []
    for seed in range(1, seeds + 1):
        before = time.process_time()
        points = run(setting, atoms, seed, FOLDS)
        times.append(time.process_time() - before)
        capacity = averages(points, KT, draws=0, seed=0).heat_capacity[0]
        tops.append(KT[np.argmax(capacity)])
    return float(np.mean(times)), np.array(tops)


def run_ours(setting: Setting, atoms: int, seed: int, folds: float) -> DeadPoints:
    culled = setting.walkers // 8
    system = System(
        LennardJones(),
        Sphere(RADIUS, "fixed_centre"),
        AllPairs(atoms),
        (False,) * 3,
        atoms,
        tuple(range(atoms)),
    )
    sizes = Sizes(setting.walkers, culled, 0, setting.length, min(culled, 64), setting.length)
    sampler = Sampler(system, Plan((AtomMove(),), (1,), "lanes"), sizes, seed, Communicator())
    numbers = jnp.full((atoms,), 18, jnp.int32)
    state = sampler.start(Walker(jnp.zeros((atoms, 3)), jnp.zeros((3, 3)), numbers, jnp.zeros(())))
    values = []
    for _ in range(int(folds / sizes.shrinkage)):
        state, dead = sampler.step(state)
        values.append(dead.value)
    return dead_points(np.concatenate(values), state.value, culled)


def run_theirs(setting: Setting, atoms: int, seed: int, folds: float) -> DeadPoints:
    import blackjax  # noqa: PLC0415 - of this script alone

    culled = setting.walkers // 8
    step = _their_step(blackjax, setting, atoms, culled)
    first, key = jax.random.split(jax.random.key(seed))
    draw = jax.vmap(lambda own: Sphere(RADIUS, "fixed_centre").draw(_words(own), None, atoms)[0])
    state = step[0](draw(jax.random.split(first, setting.walkers)))
    values = []
    shrinkage = float(np.sum(1.0 / (setting.walkers - np.arange(culled))))
    for number in range(int(folds / shrinkage)):
        state, dead = step[1](jax.random.fold_in(key, number), state)
        values.append(np.sort(-np.asarray(dead.particles.loglikelihood))[::-1])
    return dead_points(np.concatenate(values), -np.asarray(state.particles.loglikelihood), culled)


_STEPS: dict[tuple[Setting, int], tuple[Callable, Callable]] = {}


def _their_step(
    blackjax: object, setting: Setting, atoms: int, culled: int
) -> tuple[Callable, Callable]:
    i, j = np.triu_indices(atoms, 1)

    def log_likelihood(positions: jax.Array) -> jax.Array:
        sixth = jnp.sum((positions[i] - positions[j]) ** 2, axis=-1) ** -3
        return -4.0 * jnp.sum(sixth * sixth - sixth)

    def log_prior(positions: jax.Array) -> jax.Array:
        inside = jnp.all(jnp.sum(positions**2, axis=-1) <= RADIUS**2)
        return jnp.where(inside, 0.0, -jnp.inf)

    if (setting, atoms) not in _STEPS:
        algorithm = blackjax.nss(
            logprior_fn=log_prior,
            loglikelihood_fn=log_likelihood,
            num_inner_steps=setting.length,
            num_delete=culled,
        )
        _STEPS[setting, atoms] = (algorithm.init, jax.jit(algorithm.step))
    return _STEPS[setting, atoms]


def _words(key: jax.Array) -> Stream:
    words = jax.random.key_data(key)
    return stream(words[0], words[1])


def dead_points(dead: np.ndarray, alive: np.ndarray, culled: int) -> DeadPoints:
    """All points, those alive at the end last."""
    walkers = len(alive)
    values = np.concatenate((dead, np.sort(alive)[::-1]))
    live = np.concatenate(
        (
            np.tile(walkers - np.arange(culled), len(dead) // culled),
            walkers - np.arange(walkers),
        )
    )
    return DeadPoints(values, values, np.ones_like(values), live, np.zeros_like(values))


def draw(found: dict[str, list[tuple[float, np.ndarray]]], peak: float, path: Path) -> None:
    figure = Figure(figsize=(5.4, 3.7), layout="constrained")
    axes = figure.add_subplot()
    for name, settings in found.items():
        errors = [float(np.sqrt(np.mean((tops - peak) ** 2))) for _, tops in settings]
        axes.loglog([seconds for seconds, _ in settings], errors, "o-", label=name)
    axes.set_xlabel("CPU time of a run (s)")
    axes.set_ylabel(f"rms deviation of the peak from kT = {peak:.4f}")
    axes.legend()
    figure.savefig(path)


if __name__ == "__main__":
    main()
