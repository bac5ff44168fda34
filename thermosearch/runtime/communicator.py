"""One interface for one rank and for a thousand.

The numbers of a run never depend on the rank count: `map` hands back results in task order on
every rank, and random streams belong to the task, not to the rank that happens to run it.
"""

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from thermosearch.runtime.errors import EXIT_INPUT, EXIT_INTERNAL, InputError
from thermosearch.runtime.screen import Screen

Task = TypeVar("Task")
Result = TypeVar("Result")

# Set by mpiexec of MPICH, Intel MPI, Open MPI, MVAPICH, Cray PALS, and by srun for a step.
_LAUNCHER_SIZES = (
    "PMI_SIZE",
    "OMPI_COMM_WORLD_SIZE",
    "MV2_COMM_WORLD_SIZE",
    "SLURM_STEP_NUM_TASKS",
)
_LAUNCHER_MARKS = (*_LAUNCHER_SIZES, "PMI_RANK", "PMI_FD", "PMIX_RANK", "PALS_RANKID")
_LOCAL_RANKS = (
    "MPI_LOCALRANKID",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MV2_COMM_WORLD_LOCAL_RANK",
    "PALS_LOCAL_RANKID",
    "SLURM_LOCALID",
)
_AGREE_SECONDS = 2.0


class Communicator:
    """The ranks of a job; serial where there is one.

    Attributes
    ----------
    rank : int
        This process, 0 first.
    size : int
        How many there are.
    local_rank : int
        This process among those of its node, which chooses its GPU.
    """

    def __init__(self, mpi: Any = None) -> None:
        """Wrap an mpi4py communicator; without one, stand alone."""
        self._mpi = mpi
        # A communicator of its own, so that ranks that fail can find out who else does
        # whatever the others are waiting for.
        self._failing = mpi.Dup() if mpi is not None else None
        self._told_idle = False
        self._exchanges = 0
        self.rank: int = mpi.Get_rank() if mpi is not None else 0
        self.size: int = mpi.Get_size() if mpi is not None else 1
        self.local_rank: int = _first_integer(_LOCAL_RANKS, default=0)

    def map(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
        """Apply `function` to every task; all results, in task order, on every rank.

        Parameters
        ----------
        function : callable
            Its result depends on the task alone, never on the rank.
        tasks : sequence
            The same on every rank; task i goes to rank i modulo the rank count.

        Returns
        -------
        list
            As `[function(task) for task in tasks]`.
        """
        self._warn_idle(len(tasks))
        mine = [function(task) for task in tasks[self.rank :: self.size]]
        if self._mpi is None:
            return mine
        shares = self.gather(mine)
        return [shares[i % self.size][i // self.size] for i in range(len(tasks))]

    def broadcast(self, value: Result, root: int = 0) -> Result:
        """Give the root's value to every rank."""
        if self._mpi is None:
            return value
        number = self._next()
        sent = self._mpi.bcast((number, "broadcast", value), root=root)
        return self._in_step(sent, number, "broadcast")

    def gather(self, value: Result) -> list[Result]:
        """Give the values of all ranks, in rank order, to every rank."""
        if self._mpi is None:
            return [value]
        number = self._next()
        sent = self._mpi.allgather((number, "gather", value))
        return [self._in_step(each, number, "gather") for each in sent]

    def split(self, count: int) -> "Parts":
        """Divide the ranks into parts, for tasks that each keep several ranks busy.

        Parameters
        ----------
        count : int
            Parts wanted; never more than there are ranks. Called on all ranks.
        """
        count = max(1, min(count, self.size))
        part = self.rank * count // self.size
        if count == 1:
            return Parts(self, self, part, count)
        # A rank that is alone in its part needs no MPI there.
        own = Communicator(None if count == self.size else self._mpi.Split(part, self.rank))
        return Parts(self, own, part, count)

    def barrier(self) -> None:
        """Wait for all ranks."""
        if self._mpi is not None:
            self._mpi.Barrier()

    def on_root(self, function: Callable[[], Result]) -> Result:
        """Run `function` on rank 0 alone; its result, or its InputError, on every rank."""
        outcome: Any = None
        failure: InputError | None = None
        if self.rank == 0:
            try:
                outcome = function()
            except InputError as error:
                failure = error
        outcome, failure = self.broadcast((outcome, failure))
        if failure is not None:
            raise failure
        return outcome

    def root_first(self, function: Callable[[], Result]) -> Result:
        """Run `function` on rank 0, then on the others: they find its compilations cached."""
        if self.rank == 0:
            result = function()
            self.barrier()
            return result
        self.barrier()
        return function()

    def fail(self, line: str, code: int = EXIT_INPUT) -> int:
        """Say why the job ends, once if all ranks fail alike, and end the others if not.

        Parameters
        ----------
        line : str
            For the user.
        code : int
            Exit code of the job.

        Returns
        -------
        int
            `code`, where every rank has come here; otherwise it does not return.
        """
        if self._mpi is None:
            _say(line)
        elif self._all_fail():
            if self.rank == 0:
                _say(line)
        else:
            _say(f"rank {self.rank}: {line}")
            self.abort(code)
        return code

    def abort(self, code: int) -> NoReturn:
        """End all ranks now."""
        Screen(sys.stdout).flush()
        Screen(sys.stderr).flush()
        if self._mpi is not None:
            # The launcher forwards what was printed before it kills; give it the moment.
            time.sleep(0.2)
            self._mpi.Abort(code)
        os._exit(code)

    def _next(self) -> int:
        self._exchanges += 1
        return self._exchanges

    def _in_step(self, sent: Any, number: int, what: str) -> Any:
        """Take the value out of a message that must belong to this very exchange.

        Ranks that take different ways through an engine would otherwise go on with each other's
        numbers, unnoticed.
        """
        if not isinstance(sent, tuple) or sent[:2] != (number, what):
            raise RuntimeError(
                f"ranks out of step: rank {self.rank} is at {what} {number}, "
                f"and was sent {repr(sent)[:200]}"
            )
        return sent[2]

    def _all_fail(self) -> bool:
        request = self._failing.Ibarrier()
        limit = time.monotonic() + _AGREE_SECONDS
        while time.monotonic() < limit:
            if request.Test():
                return True
            time.sleep(0.01)
        return False

    def _warn_idle(self, tasks: int) -> None:
        if 0 < tasks < self.size and self.rank == 0 and not self._told_idle:
            self._told_idle = True
            logging.getLogger("thermosearch").warning(
                "%d ranks but %d tasks at a time: %d ranks are idle",
                self.size,
                tasks,
                self.size - tasks,
            )


@dataclass(frozen=True)
class Parts:
    """Ranks divided into parts.

    Attributes
    ----------
    whole : Communicator
        All of them.
    own : Communicator
        Those of this rank's part.
    part : int
        Which one that is.
    count : int
        How many parts there are.
    """

    whole: Communicator
    own: Communicator
    part: int
    count: int

    def map(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
        """Apply `function` to every task, each on the ranks of one part together.

        Parameters
        ----------
        function : callable
            Called on all ranks of a part with the same task; may use `own`, and gives the same
            on each of them.
        tasks : sequence
            The same on every rank; task i goes to part i modulo their count.

        Returns
        -------
        list
            In task order, on every rank.
        """
        mine = [function(task) for task in tasks[self.part :: self.count]]
        shares = self.whole.gather((self.part, mine if self.own.rank == 0 else None))
        results = {part: share for part, share in shares if share is not None}
        return [results[i % self.count][i // self.count] for i in range(len(tasks))]


def world() -> Communicator:
    """All ranks of this job; without a launcher, MPI is not even loaded.

    A rank that raises prints its traceback and ends the whole job.

    Raises
    ------
    InputError
        If several ranks were launched and MPI does not bring them together.
    """
    if not launched():
        return Communicator()
    mpi = _load_mpi()
    expected = launched_size()
    found = mpi.COMM_WORLD.Get_size() if mpi is not None else 1
    if found != expected and expected > 1:
        raise InputError(
            f"{expected} ranks were launched but MPI sees {found} of them: mpi4py "
            f"{'finds no MPI library' if mpi is None else 'uses another MPI than the launcher'}; "
            "start with the mpiexec of the MPI library that `thermosearch info` names"
        )
    if found == 1:
        return Communicator()
    communicator = Communicator(mpi.COMM_WORLD)
    _abort_on_exception(communicator)
    return communicator


def launched() -> bool:
    """Whether an MPI launcher started this process."""
    return any(mark in os.environ for mark in _LAUNCHER_MARKS)


def launched_size() -> int:
    """Rank count that the launcher announced; 1 where it announced none."""
    return _first_integer(_LAUNCHER_SIZES, default=1)


def mpi_library() -> str | None:
    """Version line of the MPI library mpi4py finds; None where it finds none."""
    mpi = _load_mpi()
    return None if mpi is None else mpi.Get_library_version().splitlines()[0].strip("\0 ")


def _load_mpi() -> Any:
    """Import mpi4py.MPI; None on a machine without MPI."""
    try:
        from mpi4py import MPI  # noqa: PLC0415 - importing it initialises MPI
    except (ImportError, RuntimeError):  # mpi4py raises RuntimeError where no libmpi loads
        return None
    return MPI


def _first_integer(names: tuple[str, ...], default: int) -> int:
    values = (os.environ.get(name, "") for name in names)
    return next((int(value) for value in values if value.isdigit()), default)


def _abort_on_exception(communicator: Communicator) -> None:
    """End the job when this rank raises: the others would wait for ever."""

    def hook(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
        if isinstance(value, InputError):
            os._exit(communicator.fail(str(value)))
        text = "".join(traceback.format_exception(kind, value, trace))
        _say(f"rank {communicator.rank} of {communicator.size} raised:\n{text.rstrip()}")
        communicator.abort(EXIT_INTERNAL)

    sys.excepthook = hook


def _say(text: str) -> None:
    screen = Screen(sys.stderr)
    screen.write(f"thermosearch: {text}\n")
    screen.flush()
