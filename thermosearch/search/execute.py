"""A search from study to results."""

from functools import partial

import jax

from thermosearch.runtime.context import RunContext
from thermosearch.runtime.results import Results
from thermosearch.search.campaign import run_campaign
from thermosearch.search.evaluate import Relaxation, relax_individuals
from thermosearch.search.finish import relax_best_with_members, relax_candidates
from thermosearch.search.problem import Problem, make_problem
from thermosearch.search.seed import SeedSearch
from thermosearch.search.study import SearchStudy
from thermosearch.search.summary import summarise

EARLY_FORCE = 0.02
"""Force, eV/A, at which the relaxation of an individual ends before its last step."""


def execute(study: SearchStudy, context: RunContext) -> Results:
    """Search the lowest structure of a surface.

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
        SeedSearch(index, study.run.seed, problem.founder, problem.freedom, method)
        for index in range(method.seeds)
    ]
    batch = study.run.batch or default_batch()
    early = Relaxation(
        method.relaxation_steps, EARLY_FORCE, method.minimum_distance, method.spread_limit
    )
    late = early._replace(steps=method.final_steps, force=method.final_force)
    # Two more steps of about a generation's length: the final relaxations and the members'.
    with context.progress(method.generations + 2, "search") as bar:
        relax = _relaxer(problem, early)
        if not run_campaign(seeds, method.generations, relax, batch, context=context, bar=bar):
            return Results("search", "stopped", evaluations=sum(seed.calls for seed in seeds))
        minima = relax_candidates(problem, seeds, _relaxer(problem, late), batch, context)
        bar.update(1)
        slabs = relax_best_with_members(problem, minima.archive.minima[0], late, context)
        bar.update(1)
    return summarise(study, problem, seeds, minima=minima, slabs=slabs, context=context)


def default_batch() -> int:
    """Individuals relaxed together: a CPU does them one by one whatever the batch."""
    return 1 if jax.default_backend() == "cpu" else 32


def _relaxer(problem: Problem, relaxation: Relaxation) -> partial:
    return partial(
        relax_individuals,
        problem.potential,
        problem.founder,
        problem.freedom,
        relaxation=relaxation,
    )


def _announce(problem: Problem, context: RunContext) -> None:
    founder, lattice = problem.founder, problem.lattice_parameter
    context.log.info(
        "%d atoms: the strategy moves %d, %d more relax, %d are frozen%s",
        len(founder.role),
        len(founder.moved),
        int(founder.mobile.sum()) - len(founder.moved),
        int((~founder.mobile).sum()),
        "" if lattice is None else f"; lattice parameter {lattice:.4f} A",
    )
