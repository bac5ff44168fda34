"""All points of a study: every chain of temperatures at once, through checkpoints and stops.

A chain is one phase at one pressure; each of its points starts from the one before. All chains
ask together, and what they ask for is shared out over the ranks; the linear algebra between is
done by every rank alike.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from thermosearch.configuration import Configuration
from thermosearch.harmonic.chain import Campaign, Chain
from thermosearch.harmonic.crystal import effective_crystal
from thermosearch.harmonic.evaluation import PORTION, evaluate_all, evaluate_requests
from thermosearch.harmonic.finish import finish
from thermosearch.harmonic.point import Point, PointProblem, QuasiHarmonic, shortfall
from thermosearch.harmonic.prepare import Prepared, prepare, started
from thermosearch.harmonic.problem import Problem
from thermosearch.harmonic.quasi import SCALES, Lattice, lattices, quasi_harmonic
from thermosearch.harmonic.records import from_arrays, to_arrays
from thermosearch.harmonic.statistics import bath
from thermosearch.harmonic.study import HarmonicStudy, MethodSection
from thermosearch.harmonic.variational import State, ask, begin, tell
from thermosearch.potentials.interface import Properties
from thermosearch.runtime.context import RunContext
from thermosearch.units import EV_PER_A3_IN_GPA


class Progress(NamedTuple):
    """How far a chain has come.

    Attributes
    ----------
    points : tuple of Point
        Those that are done.
    state : State or None
        Of the loop under way; None where none has begun.
    """

    points: tuple[Point, ...]
    state: State | None


def run_all(
    study: HarmonicStudy, problem: Problem, context: RunContext
) -> tuple[list[Point], list[QuasiHarmonic], int] | None:
    """Run every point, from the latest checkpoint on.

    Returns
    -------
    points, quasi, evaluations : lists and int, or None
        Chain by chain; the quasi-harmonic approximation of each; what was evaluated beside the
        points. None if it was told to stop.
    """
    checkpoint = context.checkpoints.load_latest()
    arrays = {} if checkpoint is None else checkpoint.arrays
    campaign = Campaign(study, problem.potential, _chains(study, problem, arrays, context), context)
    chains = campaign.chains
    progress = [_restored(arrays, f"chain_{k}") for k in range(len(chains))]
    rounds = 0 if checkpoint is None else checkpoint.step
    total = sum(len(chain.temperatures) for chain in chains)
    with context.progress(total, "effective harmonic potentials") as bar:
        bar.update(sum(len(each.points) for each in progress))
        while any(_open(*pair) for pair in zip(chains, progress, strict=True)):
            done = sum(len(each.points) for each in progress)
            progress = _one_round(campaign, progress)
            bar.update(sum(len(each.points) for each in progress) - done)
            rounds += 1
            stopping = context.stop()
            if stopping or context.checkpoint_due():
                context.checkpoints.save(rounds, _arrays(chains, progress), {})
            if stopping:
                return None
    # The points are kept before anything else is made of them.
    context.checkpoints.save(rounds, _arrays(chains, progress), {})
    quasi, beside = _quasi(campaign)
    beside += sum({chain.crystal.name: chain.prepared.evaluations for chain in chains}.values())
    return [point for each in progress for point in each.points], quasi, beside


def _chains(
    study: HarmonicStudy, problem: Problem, arrays: dict[str, Any], context: RunContext
) -> tuple[Chain, ...]:
    evaluate = partial(evaluate_all, problem.potential, communicator=context.communicator)
    chains = []
    for index, crystal in enumerate(problem.crystals):
        known = f"prepared_{index}/static" in arrays
        prepared = (
            from_arrays(Prepared, arrays, f"prepared_{index}")
            if known
            else prepare(crystal, evaluate, cell=study.method.cell == "free")
        )
        _, imaginary = started(crystal, prepared.force_constants)
        temperatures = study.method.temperatures
        if imaginary:
            temperatures = tuple(sorted(temperatures, reverse=True))
            context.log.warning(
                "%s: %d harmonic modes are imaginary; the sampling starts from their |omega|, at "
                "the highest temperature",
                crystal.name,
                imaginary,
            )
        chains += [Chain(crystal, prepared, p, temperatures) for p in study.method.pressures]
    return tuple(chains)


def _quasi(campaign: Campaign) -> tuple[list[QuasiHarmonic], int]:
    """Approximate every chain quasi-harmonically; a phase's lattices serve all its pressures.

    Returned with the number of evaluations.
    """
    method = campaign.study.method
    if not method.quasi_harmonic or method.cell == "fixed":
        return [], 0
    count = 0

    def evaluate(configurations: Sequence[Configuration]) -> list[Properties]:
        nonlocal count
        count += len(configurations)
        return evaluate_all(campaign.potential, configurations, campaign.context.communicator)

    known: dict[str, list[Lattice]] = {}
    found = []
    for chain in campaign.chains:
        name = chain.crystal.name
        if name not in known:
            known[name] = lattices(chain.crystal, chain.prepared, evaluate)
            if len(known[name]) < len(SCALES):
                campaign.context.log.warning(
                    "%s: quasi-harmonic at %d of %d volumes: elsewhere the lattice has imaginary "
                    "modes or does not relax",
                    *(name, len(known[name]), len(SCALES)),
                )
        temperatures = list(chain.temperatures)
        found.append(
            quasi_harmonic(
                chain.crystal, known[name], chain.pressure, temperatures, method.statistics
            )
        )
    return [each for each in found if each is not None], count


def _open(chain: Chain, progress: Progress) -> bool:
    return len(progress.points) < len(chain.temperatures)


def _one_round(campaign: Campaign, progress: list[Progress]) -> list[Progress]:
    """One request of every chain that is not done."""
    chains, context = campaign.chains, campaign.context
    active = [k for k, chain in enumerate(chains) if _open(chain, progress[k])]
    points = {k: _point_problem(campaign.study, chains[k], progress[k]) for k in active}
    states = {k: progress[k].state or _first(points[k], chains[k], progress[k]) for k in active}
    asked = [ask(points[k], states[k]) for k in active]
    portion = campaign.study.run.batch or PORTION
    found = evaluate_requests(campaign.potential, asked, context.communicator, portion)
    after = list(progress)
    for k, request, answer in zip(active, asked, found, strict=True):
        state = tell(points[k], states[k], request, answer)
        after[k] = progress[k]._replace(state=state)
        if state.done:
            point = finish(campaign, chains[k], points[k], state)
            after[k] = Progress((*progress[k].points, point), None)
            _tell_user(point, campaign.study.method, context)
    return after


def _point_problem(study: HarmonicStudy, chain: Chain, progress: Progress) -> PointProblem:
    method = study.method
    temperature = chain.temperatures[len(progress.points)]
    atoms = chain.crystal.atoms
    return PointProblem(
        crystal=chain.crystal,
        elastic=chain.prepared.elastic,
        temperature=temperature,
        at=bath(temperature, method.statistics),
        pressure=chain.pressure / EV_PER_A3_IN_GPA,
        stream=(study.run.seed,),
        pairs=-(-method.samples // 2),
        most_pairs=-(-method.most_samples // 2),
        most_steps=method.steps,
        error=method.error * atoms,
        strain_error=method.strain_error,
    )


def _first(point: PointProblem, chain: Chain, progress: Progress) -> State:
    if progress.points:
        before = progress.points[-1]
        lengths = [row.damping for row in before.course if row.damping > 0.0]
        return begin(point, before.effective, lengths[-1] if lengths else 1.0)
    whole, _ = started(chain.crystal, chain.prepared.force_constants)
    return begin(point, effective_crystal(chain.crystal, whole, chain.prepared.static))


def _tell_user(point: Point, method: MethodSection, context: RunContext) -> None:
    atoms = len(point.effective.numbers)
    context.log.info(
        "%s, %g K, %.3g GPa: F = %.5f +- %.5f eV/atom after %d evaluations",
        point.phase,
        point.temperature,
        point.pressure,
        point.free_energy / atoms,
        point.free_energy_error / atoms,
        point.evaluations,
    )
    if not point.converged:
        context.log.warning(
            "%s, %g K: not converged: the gradient is still larger than its noise after "
            "method.steps refits",
            point.phase,
            point.temperature,
        )
    elif short := shortfall(point, method.error, method.strain_error):
        context.log.warning(
            "%s, %g K: %s came short with method.most_samples",
            point.phase,
            point.temperature,
            short,
        )


def _arrays(chains: tuple[Chain, ...], progress: list[Progress]) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    names = list(dict.fromkeys(chain.crystal.name for chain in chains))
    for chain in chains:
        arrays |= to_arrays(chain.prepared, f"prepared_{names.index(chain.crystal.name)}")
    for k, each in enumerate(progress):
        arrays |= to_arrays(each, f"chain_{k}")
    return arrays


def _restored(arrays: dict[str, Any], prefix: str) -> Progress:
    if not any(name.startswith(f"{prefix}/") for name in arrays):
        return Progress((), None)
    return from_arrays(Progress, arrays, prefix)
