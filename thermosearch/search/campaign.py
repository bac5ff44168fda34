"""Many seeds at once: one generation of all of them is shared out over the ranks."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from thermosearch.runtime.context import RunContext
from thermosearch.search.evaluate import Evaluated
from thermosearch.search.seed import SeedSearch

Positions = Float[np.ndarray, "n 3"]
Relax = Callable[[Sequence[Positions]], list[Evaluated]]


def run_campaign(
    seeds: list[SeedSearch],
    generations: int,
    relax: Relax,
    batch: int,
    *,
    context: RunContext,
    bar: tqdm,
) -> bool:
    """Run all seeds to their last generation, or until told to stop.

    Every rank holds all strategies and tells them the same, so nothing but individuals and
    their energies travels; batches are cut from the list of individuals, never from ranks.

    Parameters
    ----------
    seeds : list of SeedSearch
        Fresh; a checkpoint of the run is taken up where there is one.
    generations : int
        Of every seed.
    relax : callable
        Relaxes and judges one batch of positions.
    batch : int
        Individuals a batch.
    context : RunContext
        Ranks, checkpoints, and whether to stop.
    bar : tqdm
        Moved on by one a generation.

    Returns
    -------
    bool
        Whether the last generation was reached; if not, the checkpoint holds the last one done.
    """
    done = _resume(seeds, context)
    bar.update(done)
    for generation in range(done, generations):
        if context.stop():
            return False
        relaxed = relax_all([seed.ask() for seed in seeds], relax, batch, context)
        for seed, individuals in zip(seeds, relaxed, strict=True):
            seed.tell(individuals)
        context.checkpoints.save(
            generation + 1, {k: v for seed in seeds for k, v in seed.state().items()}, {}
        )
        bar.update(1)
    return True


def relax_all(
    groups: Sequence[Sequence[Positions]], relax: Relax, batch: int, context: RunContext
) -> list[list[Evaluated]]:
    """Relax groups of structures over the ranks; results in the same groups, on every rank."""
    flat = [positions for group in groups for positions in group]
    batches = [flat[start : start + batch] for start in range(0, len(flat), batch)]
    padded = [each + [each[-1]] * (batch - len(each)) for each in batches]
    results = context.communicator.map(relax, padded)
    individuals = iter([one for each in results for one in each][: len(flat)])
    return [[next(individuals) for _ in group] for group in groups]


def _resume(seeds: list[SeedSearch], context: RunContext) -> int:
    """Bring the seeds to the latest checkpoint; how many generations it holds."""
    checkpoint = context.checkpoints.load_latest()
    if checkpoint is None:
        return 0
    for seed in seeds:
        seed.restore(checkpoint.arrays)
    return checkpoint.step
