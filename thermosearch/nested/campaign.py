"""All runs of a study, conditions times repeats, side by side, through checkpoints and stops.

Runs that share a rank take turns; where there are more ranks than runs, several ranks share the
walks of each. Every rank holds every run, so that they may exchange walkers and rank 0 can write
them; the walks are what takes the time.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from thermosearch.nested.agreement import refuse_disagreement
from thermosearch.nested.course import Course, Exchanges
from thermosearch.nested.ending import Gauge, advance, ended
from thermosearch.nested.exchange import exchange_all
from thermosearch.nested.history import History
from thermosearch.nested.problem import Problem
from thermosearch.nested.sampler import Culled, Sampler, State
from thermosearch.nested.saving import iterations, save, taken_up
from thermosearch.runtime.communicator import Communicator, Parts
from thermosearch.runtime.context import RunContext

STRETCH_SECONDS = 1.0
"""Aim for the time between two looks at the clock, where runs do not exchange walkers."""
LONGEST_STRETCH = 100


class Stretch(NamedTuple):
    """Some iterations of a run, as one part of the ranks hands them to the others."""

    state: State
    gauge: Gauge
    culled: tuple[Culled, ...]
    reason: str | None


def run_all(
    problem: Problem,
    *,
    repeats: int,
    every: int,
    exchange_every: int | None,
    seed: int,
    context: RunContext,
) -> list[Course] | None:
    """Run everything, from the latest checkpoint on.

    Parameters
    ----------
    problem : Problem
        What to sample.
    repeats : int
        Independent runs at each of its conditions.
    every : int
        Dead points between two configurations that are kept.
    exchange_every : int or None
        Iterations between exchanges of walkers; None for independent runs.
    seed : int
        Of the study.
    context : RunContext
        Checkpoints, ranks and stop.

    Returns
    -------
    list of Course or None
        None if it was told to stop.
    """
    crew = _Crew(problem, seed, context.communicator)
    tasks = [(c, r) for c in range(len(problem.conditions)) for r in range(repeats)]
    courses = crew.drawn(taken_up(context, every), tasks, every, context)
    if courses is None:
        return None
    length = exchange_every or 1
    with context.progress(None, f"nested sampling, {len(courses)} runs") as bar:
        while any(course.reason is None for course in courses):
            before = time.monotonic()
            courses = crew.advance(courses, length)
            if exchange_every is not None:
                courses = _exchanged(problem, courses, seed, context.communicator)
            else:
                spent = max(time.monotonic() - before, 1e-3)
                length = context.communicator.broadcast(_next_length(length, spent))
            bar.set_postfix_str(_progress(problem, courses), refresh=False)
            bar.update(iterations(courses) - bar.n)
            stopping = context.stop()
            over = all(course.reason is not None for course in courses)
            if stopping or over or context.checkpoint_due():
                save(courses, context)
            if stopping:
                return None
    for course in courses:
        _tell(problem, course, repeats, context)
    return courses


@dataclass
class _Crew:
    """The ranks, divided between the runs that are under way."""

    problem: Problem
    seed: int
    communicator: Communicator
    parts: Parts | None = None

    def drawn(
        self, courses: list[Course], tasks: list[tuple[int, int]], every: int, context: RunContext
    ) -> list[Course] | None:
        """Draw the walkers of the runs not drawn yet, as many at a time as ranks.

        None if told to stop; the next job goes on with those that are left.
        """

        def one(task: tuple[int, int]) -> State:
            conditions = self.problem.conditions[task[0]]
            state = self.sampler(*task).start(self.problem.founder_at(conditions))
            if task == tasks[0]:
                refuse_disagreement(self.problem.system, state.walkers, float(self.problem.kt[0]))
            return state

        with context.progress(len(tasks), "drawing walkers") as bar:
            bar.update(len(courses))
            while len(courses) < len(tasks):
                batch = tasks[len(courses) :][: self.communicator.size]
                fresh = zip(batch, self._map(one, batch), strict=True)
                courses = [
                    *courses,
                    *(Course(*task, state=state, history=History(every)) for task, state in fresh),
                ]
                bar.update(len(courses) - bar.n)
                stopping = context.stop()
                if stopping or context.checkpoint_due():
                    save(courses, context)
                if stopping:
                    return None
        return courses

    def advance(self, courses: list[Course], length: int) -> list[Course]:
        """Take every run that is under way some iterations further."""
        active = [course for course in courses if course.reason is None]
        stretches = iter(self._map(lambda course: self._stretch(course, length), active))
        advanced = []
        for course in courses:
            if course.reason is None:
                stretch = next(stretches)
                for culled in stretch.culled:
                    course.history.add(culled)
                course = replace(  # noqa: PLW2901 - the same run, further on
                    course, state=stretch.state, gauge=stretch.gauge, reason=stretch.reason
                )
            advanced.append(course)
        return advanced

    def sampler(self, conditions: int, repeat: int) -> Sampler:
        """Sampler of one run, on the ranks of this part."""
        problem = self.problem
        seed = np.random.SeedSequence((self.seed, conditions, repeat)).generate_state(1)[0]
        system = problem.system_at(problem.conditions[conditions])
        own = self.communicator if self.parts is None else self.parts.own
        return Sampler(system, problem.plan, problem.sizes, int(seed), own)

    def _map(self, function: Callable[[Any], Any], tasks: list[Any]) -> list[Any]:
        wanted = max(1, min(len(tasks), self.communicator.size))
        if self.parts is None or self.parts.count != wanted:
            self.parts = self.communicator.split(wanted)
        return self.parts.map(function, tasks)

    def _stretch(self, course: Course, length: int) -> Stretch:
        problem, state, gauge = self.problem, course.state, course.gauge
        sampler = self.sampler(course.conditions, course.repeat)
        culls, reason = [], None
        for _ in range(length):
            state, culled = sampler.step(state)
            gauge = advance(
                gauge,
                culled,
                state,
                sizes=problem.sizes,
                watched=problem.criteria.watched,
                volume_power=problem.reweighting,
            )
            culls.append(culled)
            reason = ended(
                problem.criteria,
                gauge,
                state,
                spread=culled.spread,
                volume_power=problem.reweighting,
            )
            if reason is not None:
                break
        return Stretch(state, gauge, tuple(culls), reason)


def _exchanged(
    problem: Problem, courses: list[Course], seed: int, communicator: Communicator
) -> list[Course]:
    """All runs after one round of exchanges; decided by rank 0, whose last bits count."""

    def decide() -> list[tuple[State, Exchanges]]:
        return exchange_all(problem, courses, seed)

    fresh = communicator.on_root(decide)
    return [
        replace(course, state=state, exchanges=exchanges)
        for course, (state, exchanges) in zip(courses, fresh, strict=True)
    ]


def _next_length(length: int, spent: float) -> int:
    """Choose iterations that would take about `STRETCH_SECONDS`, growing at most twofold a time."""
    wanted = length * min(2.0, STRETCH_SECONDS / spent)
    return int(np.clip(wanted, 1, LONGEST_STRETCH))


def _progress(problem: Problem, courses: list[Course]) -> str:
    done = sum(course.reason is not None for course in courses)
    folds = np.mean([course.gauge.log_mass for course in courses])
    return f"{done} of {len(courses)} ended, mean ln X {folds:.1f}"


def _tell(problem: Problem, course: Course, repeats: int, context: RunContext) -> None:
    """One line about how a run went; a warning where it did not go well."""
    state = course.state
    label = problem.label(problem.conditions[course.conditions])
    which = [f"repeat {course.repeat + 1} of {repeats}"] if repeats > 1 else []
    name = ", ".join([*([label] if label else []), *which]) or "nested sampling"
    dead = state.iteration * problem.sizes.culled
    context.log.info(
        "%s: %d dead points, %d energies; ended by %s",
        name,
        dead + problem.sizes.walkers,
        state.evaluations,
        course.reason,
    )
    if state.unmoved:
        context.log.warning("%s: %d clones of %d never moved", name, state.unmoved, dead)
