"""Effective harmonic potentials from study to results."""

from dataclasses import replace

from thermosearch.harmonic.campaign import run_all
from thermosearch.harmonic.problem import make_problem
from thermosearch.harmonic.study import HarmonicStudy
from thermosearch.harmonic.summary import summarise
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.results import Results


def execute(study: HarmonicStudy, context: RunContext) -> Results:
    """Compute free energies, cells and phonons of every phase, temperature and pressure.

    Parameters
    ----------
    study : HarmonicStudy
        What to compute and how.
    context : RunContext
        Run folder, ranks, checkpoints and progress; a checkpoint there is taken up.

    Returns
    -------
    Results
        With `status="stopped"` and no quantities if it was told to stop.

    Raises
    ------
    InputError
        If the study cannot be made ready, or a structure is far from a stationary point.
    """
    problem = make_problem(study)
    for phase, crystal in zip(study.system.phases, problem.crystals, strict=True):
        if crystal.name in problem.displaced:
            context.log.info("%s: displaced to %s", crystal.name, crystal.group.name)
        elif phase.distort:
            context.log.info("%s: no mode is imaginary: not displaced", crystal.name)
    found = run_all(study, problem, context)
    if found is None:
        return Results("harmonic", "stopped")
    points, quasi, beside = found
    crystals = {crystal.name: crystal for crystal in problem.crystals}
    results = summarise(study, crystals, points, quasi, context)
    return replace(results, evaluations=results.evaluations + beside + problem.evaluations)
