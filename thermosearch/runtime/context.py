"""What an engine is given to run in."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from tqdm import tqdm

from thermosearch.runtime.checkpoint import CheckpointStore
from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.log import progress_bar
from thermosearch.runtime.run_folder import RunFolder


@dataclass(frozen=True)
class RunContext:
    """The surroundings of a run; an engine's `execute(study, context)` gets one.

    A loop that can be stopped and resumed is

        for step in range(first, last):
            ...
            if context.stop():
                context.checkpoints.save(step + 1, arrays, meta)
                return Results(engine, "stopped", ...)
            if context.checkpoint_due():
                context.checkpoints.save(step + 1, arrays, meta)

    Attributes
    ----------
    folder : RunFolder
        Where the run writes; rank 0 only.
    communicator : Communicator
        The ranks.
    checkpoints : CheckpointStore
        `load_latest()` first: it is None at the beginning of a run.
    stop : callable
        True on all ranks at once after SIGTERM, Ctrl-C or the walltime; call it on all ranks.
    checkpoint_due : callable
        True on all ranks at once when the study's checkpoint interval has passed.
    log : logging.Logger
        Speaks on rank 0 only.
    quiet : bool
        No progress bars.
    """

    folder: RunFolder
    communicator: Communicator
    checkpoints: CheckpointStore
    stop: Callable[[], bool]
    checkpoint_due: Callable[[], bool]
    log: logging.Logger
    quiet: bool = False

    def progress(self, total: int | None, description: str) -> tqdm:
        """Progress bar with the time left, a context manager with `update()`."""
        return progress_bar(self.communicator, total, description, quiet=self.quiet)
