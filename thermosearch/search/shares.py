"""Work in shares, between which a run may stop."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

Task = TypeVar("Task")


def shares(tasks: Sequence[Task], size: int) -> list[Sequence[Task]]:
    """Cut tasks into shares of `size`; what is left over goes with the last, so no rank idles."""
    ends = [*range(size, len(tasks) - size + 1, size), len(tasks)]
    return [tasks[first:end] for first, end in pairwise([0, *ends]) if first < end]
