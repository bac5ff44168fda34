"""A study of a few seconds, and a context that stops when it is told to."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from thermosearch.launch import check_content
from thermosearch.nested.study import NestedStudy
from thermosearch.runtime.checkpoint import CheckpointStore
from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.results import Results
from thermosearch.runtime.run_folder import RunFolder

LOG = logging.getLogger("thermosearch.test")


def small(**changes: Any) -> dict[str, Any]:
    """Three Lennard-Jones atoms, two repeats, a few seconds with compilation."""
    study = {
        "kind": "nested",
        "potential": {"analytic": "lennard_jones"},
        "system": {"composition": {"Ar": 3}, "sphere": {"radius": 2.0, "about": "fixed_centre"}},
        "method": {
            "walkers": 16,
            "culled": 6,
            "extra": 2,
            "rounds": 3,
            "width": 3,
            "repeats": 2,
            "structures_every": 20,
            "stop": {"iterations": 12},
        },
        "analysis": {"temperatures": [0.2, 1.0, 5], "draws": 20, "quenched": 0},
    }
    return study | changes


def parsed(content: dict[str, Any]) -> NestedStudy:
    return check_content(content, "study.toml", Path.cwd())[0]


def context(folder: Path, stop: Callable[[], bool], due: Callable[[], bool]) -> RunContext:
    ranks = Communicator()
    store = CheckpointStore(folder / "checkpoints", ranks, LOG)
    return RunContext(RunFolder(folder), ranks, store, stop, due, LOG)


def after(calls: int) -> Callable[[], bool]:
    """False so many times, then True."""
    left = iter(range(calls))
    return lambda: next(left, None) is None


def never() -> bool:
    return False


def same(first: Results, second: Results) -> bool:
    return [*first.quantities] == [*second.quantities] and all(
        np.array_equal(first.arrays[name], second.arrays[name]) for name in first.arrays
    )
