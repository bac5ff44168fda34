"""A search from study to results."""

import jax

from thermosearch.runtime.context import RunContext
from thermosearch.runtime.results import Results
from thermosearch.search.campaign import expected, run_campaign
from thermosearch.search.evaluate import Relaxation, Relaxer
from thermosearch.search.finish import Minima, relax_best_with_members, relax_candidates
from thermosearch.search.members import RelaxedSlab
from thermosearch.search.problem import Problem, make_problem
from thermosearch.search.seed import SeedSearch
from thermosearch.search.study import MethodSection, SearchStudy
from thermosearch.search.summary import summarise


def execute(study: SearchStudy, context: RunContext) -> Results:
    """Search the lowest structures of a surface, a cluster or a cell.

    Parameters
    ----------
    study : SearchStudy
        What to search and how.
    context : RunContext
        Run folder, ranks, checkpoints and progress; a checkpoint there is taken up.

    Returns
    -------
    Results
        With `status="stopped"` and no quantities if it was told to stop.

    Raises
    ------
    InputError
        If the founder does not fit the study or the potential, or every individual was rejected.
    """
    problem, method = make_problem(study), study.method
    _announce(problem, context)
    seeds = [
        SeedSearch(name, index, study.run.seed, problem)
        for name in method.engines
        for index in range(method.seeds)
    ]
    ended = _run(problem, seeds, study.run.batch or default_batch(), context)
    if ended is None:
        spent = sum(seed.calls + seed.final_calls for seed in seeds)
        return Results("search", "stopped", evaluations=spent)
    minima, slabs = ended
    return summarise(study, problem, seeds, minima=minima, slabs=slabs, context=context)


def relaxation_of(method: MethodSection) -> Relaxation:
    """How individuals are relaxed: lanes together on an accelerator, one by one on a CPU."""
    return Relaxation(
        steps=method.relaxation_steps,
        force=method.relaxation_force,
        minimum_distance=method.minimum_distance,
        spread_limit=method.spread_limit,
        final_steps=method.final_steps,
        final_force=method.final_force,
        together=jax.default_backend() != "cpu",
    )


def default_batch() -> int:
    """Individuals relaxed together: a CPU does them one by one whatever the batch."""
    return 1 if jax.default_backend() == "cpu" else 32


def _run(
    problem: Problem, seeds: list[SeedSearch], batch: int, context: RunContext
) -> tuple[Minima, list[RelaxedSlab]] | None:
    """All generations, then the relaxations to the end; None if told to stop."""
    method = problem.method
    relax = Relaxer(
        problem.potential, problem.founder, problem.freedom, relaxation_of(method), batch
    )
    with context.progress(expected(method), "search") as bar:
        if not run_campaign(seeds, method, relax, batch, context=context, bar=bar):
            return None
        relax = relax.to_the_end()
        minima = relax_candidates(problem, seeds, relax, batch, context)
        if minima is None:
            return None
        best = minima.archive.minima[0]
        slabs = relax_best_with_members(problem, best, relax.relaxation, context)
        return None if slabs is None else (minima, slabs)


def _announce(problem: Problem, context: RunContext) -> None:
    founder, lattice = problem.founder, problem.lattice_parameter
    context.log.info(
        "%d atoms: %d are moved (%d coordinates), %d more relax, %d are frozen%s",
        len(founder.role),
        len(founder.moved),
        problem.freedom.size,
        int(founder.mobile.sum()) - len(founder.moved),
        int((~founder.mobile).sum()),
        "" if lattice is None else f"; lattice parameter {lattice:.4f} A",
    )
