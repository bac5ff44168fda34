"""All runs of a study in a checkpoint."""

from thermosearch.nested.course import Course, describe, from_arrays, to_arrays
from thermosearch.runtime.context import RunContext


def save(courses: list[Course], context: RunContext) -> None:
    """Checkpoint of the runs drawn so far, under a number that grows with all that is done."""
    relaxed = sum(len(course.ends) for course in courses)
    done = len(courses) + iterations(courses) + relaxed
    context.checkpoints.save(done, to_arrays(courses), describe(courses))


def taken_up(context: RunContext, every: int) -> list[Course]:
    """Read the runs from the latest checkpoint; none where there is none."""
    checkpoint = context.checkpoints.load_latest()
    if checkpoint is None:
        return []
    courses = [
        from_arrays(checkpoint.arrays, index, every, about)
        for index, about in enumerate(checkpoint.meta["runs"])
    ]
    context.log.info("resumed after %d iterations", iterations(courses))
    return courses


def iterations(courses: list[Course]) -> int:
    """Of all runs together."""
    return sum(course.state.iteration for course in courses)
