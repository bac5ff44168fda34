"""Many seeds at once: one generation of all of them is shared out over the ranks."""

from collections.abc import Callable, Sequence

from tqdm import tqdm

from thermosearch.runtime.context import RunContext
from thermosearch.search.evaluate import Evaluated
from thermosearch.search.proposal import Proposal
from thermosearch.search.seed import SeedSearch
from thermosearch.search.study import MethodSection

Relax = Callable[[Sequence[Proposal]], list[Evaluated]]


def run_campaign(
    seeds: list[SeedSearch],
    method: MethodSection,
    relax: Relax,
    batch: int,
    *,
    context: RunContext,
    bar: tqdm,
) -> bool:
    """Run all seeds to their end, or until told to stop.

    Every rank holds all engines and tells them the same, so nothing but individuals and
    their energies travels; batches are cut from the list of individuals, never from ranks.

    Parameters
    ----------
    seeds : list of SeedSearch
        Fresh; a checkpoint of the run is taken up where there is one.
    method : MethodSection
        Of the study.
    relax : callable
        Relaxes and judges one batch of proposals.
    batch : int
        Individuals a batch.
    context : RunContext
        Ranks, checkpoints, and whether to stop.
    bar : tqdm
        Moved on in the unit of `expected`.

    Returns
    -------
    bool
        Whether all came to their end; if not, the checkpoint holds what is done.
    """
    _resume(seeds, context)
    bar.update(_progress(seeds, method))
    while active := [seed for seed in seeds if seed.active]:
        if context.stop():
            save(seeds, context)
            return False
        relaxed = relax_all([seed.ask() for seed in active], relax, batch, context)
        for seed, individuals in zip(active, relaxed, strict=True):
            seed.tell(individuals)
        _migrate(active, method)
        over = not any(seed.active for seed in seeds)
        if context.checkpoint_due() or over:
            save(seeds, context)
        bar.update(_progress(seeds, method) - bar.n)
    return True


def expected(method: MethodSection) -> int:
    """Length of a campaign for its progress bar: calls where there is a budget, or generations."""
    each = method.generations if method.budget is None else method.budget
    return each * method.seeds * len(method.engines)


def relax_all(
    groups: Sequence[Sequence[Proposal]], relax: Relax, batch: int, context: RunContext
) -> list[list[Evaluated]]:
    """Relax groups of structures over the ranks; results in the same groups, on every rank."""
    flat = [proposal for group in groups for proposal in group]
    batches = [flat[start : start + batch] for start in range(0, len(flat), batch)]
    results = context.communicator.map(relax, batches)
    individuals = iter([one for each in results for one in each])
    return [[next(individuals) for _ in group] for group in groups]


def save(seeds: list[SeedSearch], context: RunContext) -> None:
    """Checkpoint of all seeds, under a number that grows with all that is done."""
    done = sum(seed.rounds + len(seed.final) for seed in seeds)
    if done:
        arrays = {name: array for seed in seeds for name, array in seed.state().items()}
        context.checkpoints.save(done, arrays, {})


def _migrate(seeds: list[SeedSearch], method: MethodSection) -> None:
    """Send every island's best to the next seed of its ring, at fixed generations."""
    islands = method.cma.islands
    if islands == 1:
        return
    rings: dict[int, list[SeedSearch]] = {}
    for seed in seeds:
        if seed.engine_name == "cma" and seed.rounds % method.cma.migrate_every == 0:
            rings.setdefault(seed.index // islands, []).append(seed)
    for ring in rings.values():
        best = [seed.candidates.minima[0] if seed.candidates.minima else None for seed in ring]
        for k, migrant in enumerate(best):
            if migrant is not None and len(ring) > 1:
                ring[(k + 1) % len(ring)].engine.receive(migrant.positions)


def _progress(seeds: list[SeedSearch], method: MethodSection) -> int:
    if method.budget is None:
        return sum(seed.rounds if seed.active else method.generations for seed in seeds)
    return sum(min(seed.calls, method.budget) if seed.active else method.budget for seed in seeds)


def _resume(seeds: list[SeedSearch], context: RunContext) -> None:
    """Bring the seeds to the latest checkpoint."""
    checkpoint = context.checkpoints.load_latest()
    if checkpoint is not None:
        for seed in seeds:
            seed.restore(checkpoint.arrays)
