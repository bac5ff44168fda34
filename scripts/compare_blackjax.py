"""Time against the error of the heat-capacity peak of LJ13: this package beside blackjax.

    pip install blackjax            # 1.7 or newer; not needed by anything else here
    python scripts/compare_blackjax.py --record comparison.json --output comparison.svg

Both sample the same measure, a sphere of 3 sigma about a fixed centre, and both go through the
same analysis. A point of the plot is one setting: mean CPU time of its seeds after compilation
against the root mean square deviation of their peaks from `--peak`, which by default is that of
parallel tempering (tests/physics/test_nested_clusters.py). Settings that the record holds are not
run again.
"""

import argparse
import json
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

ATOMS = 13
RADIUS = 3.0
KT = np.linspace(0.2, 0.36, 81)
FOLDS = 85.0
"""Prior mass, in e-folds, at which both end: below kT = 0.2."""


class Setting(NamedTuple):
    """How hard a method tries: walkers, and length of a walk (sweeps, or slice steps)."""

    walkers: int
    length: int


OURS = (Setting(128, 50), Setting(128, 200), Setting(512, 200))
THEIRS = (Setting(128, 39), Setting(128, 78), Setting(256, 78))
"""blackjax advises twice as many slice steps as dimensions, 78; no fewer than these, 39."""


class Measured(NamedTuple):
    """One setting: mean CPU time of a run, s, and the peak of every seed, kT."""

    seconds: float
    peaks: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--peak", type=float, default=0.2887)
    given = parser.parse_args()
    record = json.loads(given.record.read_text()) if given.record.exists() else {}
    methods = {"thermosearch": (run_ours, OURS), "blackjax nss": (run_theirs, THEIRS)}
    found: dict[str, list[Measured]] = {}
    for name, (run, settings) in methods.items():
        for setting in settings:
            label = f"{name}, {setting.walkers} walkers, walks of {setting.length}"
            if label not in record:
                record[label] = measure(run, setting, given.seeds)
                given.record.write_text(json.dumps(record, indent=1))
            found.setdefault(name, []).append(Measured(*record[label]))
            print(f"{label}: {describe(found[name][-1], given.peak)}", flush=True)
    draw(found, given.peak, given.output)


def describe(measured: Measured, peak: float) -> str:
    tops = np.array(measured.peaks)
    error = tops.std(ddof=1) / np.sqrt(len(tops))
    rms = np.sqrt(np.mean((tops - peak) ** 2))
    return f"{measured.seconds:.1f} s, mean peak {tops.mean():.4f}({error:.4f}), rms {rms:.4f}"


def measure(
    run: Callable[[Setting, int, float], DeadPoints], setting: Setting, seeds: int
) -> Measured:
    """Run all seeds; before them one that only compiles."""
    run(setting, 0, 1.0)
    times, tops = [], []
    for seed in range(1, seeds + 1):
        before = time.process_time()
        points = run(setting, seed, FOLDS)
        times.append(time.process_time() - before)
        capacity = averages(points, KT, draws=0, seed=0).heat_capacity[0]
        tops.append(float(KT[np.argmax(capacity)]))
    return Measured(float(np.mean(times)), tops)


def run_ours(setting: Setting, seed: int, folds: float) -> DeadPoints:
    culled = setting.walkers // 8
    system = System(
        LennardJones(),
        Sphere(RADIUS, "fixed_centre"),
        AllPairs(ATOMS),
        (False,) * 3,
        ATOMS,
        tuple(range(ATOMS)),
    )
    sizes = Sizes(setting.walkers, culled, 0, setting.length, min(culled, 64), setting.length)
    sampler = Sampler(system, Plan((AtomMove(),), (1,), "lanes"), sizes, seed, Communicator())
    numbers = jnp.full((ATOMS,), 18, jnp.int32)
    state = sampler.start(Walker(jnp.zeros((ATOMS, 3)), jnp.zeros((3, 3)), numbers, jnp.zeros(())))
    values = []
    for _ in range(int(folds / sizes.shrinkage)):
        state, dead = sampler.step(state)
        values.append(dead.value)
    return dead_points(np.concatenate(values), state.value, culled)


def run_theirs(setting: Setting, seed: int, folds: float) -> DeadPoints:
    import blackjax  # noqa: PLC0415 - of this script alone

    culled = setting.walkers // 8
    step = _their_step(blackjax, setting, culled)
    first, key = jax.random.split(jax.random.key(seed))
    draw = jax.vmap(lambda own: Sphere(RADIUS, "fixed_centre").draw(_words(own), None, ATOMS)[0])
    state = step[0](draw(jax.random.split(first, setting.walkers)))
    values = []
    shrinkage = float(np.sum(1.0 / (setting.walkers - np.arange(culled))))
    for number in range(int(folds / shrinkage)):
        state, dead = step[1](jax.random.fold_in(key, number), state)
        values.append(np.sort(-np.asarray(dead.particles.loglikelihood))[::-1])
    return dead_points(np.concatenate(values), -np.asarray(state.particles.loglikelihood), culled)


_STEPS: dict[Setting, tuple[Callable, Callable]] = {}


def _their_step(blackjax: object, setting: Setting, culled: int) -> tuple[Callable, Callable]:
    i, j = np.triu_indices(ATOMS, 1)

    def log_likelihood(positions: jax.Array) -> jax.Array:
        sixth = jnp.sum((positions[i] - positions[j]) ** 2, axis=-1) ** -3
        return -4.0 * jnp.sum(sixth * sixth - sixth)

    def log_prior(positions: jax.Array) -> jax.Array:
        inside = jnp.all(jnp.sum(positions**2, axis=-1) <= RADIUS**2)
        return jnp.where(inside, 0.0, -jnp.inf)

    if setting not in _STEPS:
        algorithm = blackjax.nss(
            logprior_fn=log_prior,
            loglikelihood_fn=log_likelihood,
            num_inner_steps=setting.length,
            num_delete=culled,
        )
        _STEPS[setting] = (algorithm.init, jax.jit(algorithm.step))
    return _STEPS[setting]


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


def draw(found: dict[str, list[Measured]], peak: float, path: Path) -> None:
    figure = Figure(figsize=(5.4, 3.7), layout="constrained")
    axes = figure.add_subplot()
    for name, settings in found.items():
        errors = [np.sqrt(np.mean((np.array(each.peaks) - peak) ** 2)) for each in settings]
        axes.loglog([each.seconds for each in settings], errors, "o-", label=name)
    axes.set_xlabel("CPU time of a run (s)")
    axes.set_ylabel(f"rms deviation of the peak from kT = {peak:.4f}")
    axes.legend()
    figure.savefig(path)


if __name__ == "__main__":
    main()
