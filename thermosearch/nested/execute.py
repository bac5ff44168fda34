"""Nested sampling from study to results."""

from thermosearch.nested.campaign import run_all
from thermosearch.nested.kept import relevant_kept
from thermosearch.nested.problem import make_problem
from thermosearch.nested.quench import quench_all
from thermosearch.nested.study import NestedStudy
from thermosearch.nested.summary import summarise
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.results import Results


def execute(study: NestedStudy, context: RunContext) -> Results:
    """Sample a system and analyse what came of it.

    Parameters
    ----------
    study : NestedStudy
        What to sample and how.
    context : RunContext
        Run folder, ranks, checkpoints and progress; a checkpoint there is taken up.

    Returns
    -------
    Results
        With `status="stopped"` and no quantities if it was told to stop.

    Raises
    ------
    InputError
        If the study cannot be made ready, or walkers have no finite energy.
    """
    problem = make_problem(study)
    method = study.method
    runs = run_all(
        problem,
        repeats=method.repeats,
        every=method.kept_every,
        exchange_every=method.exchange_every,
        seed=study.run.seed,
        context=context,
    )
    if runs is None:
        return Results("nested", "stopped")
    kept = [relevant_kept(problem, run) for run in runs]
    count = study.analysis.quenched
    quenched = quench_all(problem, runs, kept, count=count, context=context) if count else []
    if quenched is None:
        return Results("nested", "stopped")
    return summarise(study, problem, runs, kept=kept, quenched=quenched, context=context)
