"""An engine small enough to see through: a random walk, one step a task, resumable.

As a script it is the command line with this engine in place of `search`.
"""

import sys
import time
from pathlib import Path
from typing import Literal

import numpy as np

from thermosearch import launch
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.results import Quantity, Results
from thermosearch.runtime.study import InputFile, RunSection, StrictModel


class MethodSection(StrictModel):
    steps: int = 20
    walkers: int = 6
    pause: float = 0.0
    fail_at: int = -1
    start: InputFile | None = None


class ToyStudy(StrictModel):
    kind: Literal["search"] = "search"
    method: MethodSection = MethodSection()
    run: RunSection = RunSection()


def execute(study: ToyStudy, context: RunContext) -> Results:
    """Walk; a walker's random numbers belong to the walker and the step."""
    method = study.method
    found = context.checkpoints.load_latest()
    positions = np.zeros(method.walkers) if found is None else found.arrays["positions"]
    first = 0 if found is None else found.step
    for step in range(first, method.steps):

        def move(walker: int, step: int = step) -> float:
            if step == method.fail_at and walker == 1:
                raise RuntimeError("the toy engine breaks here")
            return float(np.random.default_rng([study.run.seed, walker, step]).normal())

        time.sleep(method.pause)
        positions = positions + context.communicator.map(move, range(method.walkers))
        context.log.info("step %d", step)
        if context.stop() and step + 1 < method.steps:
            context.checkpoints.save(step + 1, {"positions": positions}, {})
            return Results("search", "stopped", evaluations=step + 1)
        if context.checkpoint_due():
            context.checkpoints.save(step + 1, {"positions": positions}, {})
    mean = Quantity("mean_position", float(positions.mean()), None, "A", {"walkers": 6})
    arrays = {"walk/positions": positions, "walk/label": "position"}
    return Results("search", "finished", (mean,), (), method.steps, arrays)


def no_report(folder: Path) -> Path:
    """Stand in for the report."""
    return folder


def install() -> None:
    """Put the toy in place of the search engine."""
    engines = dict(launch.ENGINES)
    engines["search"] = launch.Engine(
        f"{__name__}:ToyStudy", f"{__name__}:execute", "thermosearch.search"
    )
    launch.ENGINES = engines
    launch.REPORT = f"{__name__}:no_report"


if __name__ == "__main__":
    from thermosearch import cli

    install()
    cli.ENGINES = launch.ENGINES
    sys.exit(cli.main())
