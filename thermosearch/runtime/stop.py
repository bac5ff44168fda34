"""When a run stops or saves: signals and clocks, agreed between the ranks."""

import os
import signal
import threading
import time
from contextlib import suppress
from types import FrameType, TracebackType

from thermosearch.runtime.communicator import Communicator

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """True on all ranks at once after SIGTERM, Ctrl-C or the walltime.

    As a context manager it listens to the signals. The first Ctrl-C asks the engine to finish
    its step and write its checkpoint; the second ends the process at once.
    """

    def __init__(self, communicator: Communicator, walltime: float | None = None) -> None:
        """Start the clock.

        Parameters
        ----------
        communicator : Communicator
            Of the run.
        walltime : float or None
            Seconds from now; the run stops before the step that would not fit.
        """
        self._communicator = communicator
        self._walltime = walltime
        self._start = self._last = time.monotonic()
        self._longest_step = 0.0
        self._reason = ""
        self._before: dict[signal.Signals, signal.Handlers | object] = {}

    def __call__(self) -> bool:
        """Ask whether to stop, after every step and on all ranks."""
        self._note_walltime()
        reasons = [reason for reason in self._communicator.gather(self._reason) if reason]
        # A signal that came while the ranks agreed on "go on" stays for the next time.
        if reasons:
            self._reason = reasons[0]
        return bool(reasons)

    @property
    def reason(self) -> str:
        """Why, once it is true: "SIGTERM", "Ctrl-C" or "the walltime"."""
        return self._reason

    def __enter__(self) -> "StopRequest":
        """Listen to the signals; a thread other than the main one cannot."""
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.signal(each, self._on_signal) for each in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the signals back."""
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._reason = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
        again = ""
        if number == signal.SIGINT and self._communicator.size == 1:
            # By the operating system, because Python's own handlers wait for compiled loops.
            # With several ranks that is the launcher's part, and it may send the first twice.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            again = "; Ctrl-C again ends at once"
        if self._communicator.rank == 0:
            message = f"\n{self._reason}: stopping after this step, resumable{again}\n"
            with suppress(OSError):  # nobody may be there to read it
                os.write(2, message.encode())

    def _note_walltime(self) -> None:
        now = time.monotonic()
        self._longest_step = max(self._longest_step, now - self._last)
        self._last = now
        if self._walltime is None or self._communicator.rank != 0 or self._reason:
            return
        if now - self._start + self._longest_step > self._walltime:
            self._reason = "the walltime"


class Periodic:
    """True on all ranks at once when `interval` seconds have passed since it last was."""

    def __init__(self, communicator: Communicator, interval: float) -> None:
        """Start the clock."""
        self._communicator = communicator
        self._interval = interval
        self._last = time.monotonic()

    def __call__(self) -> bool:
        """Ask on all ranks, by rank 0's clock."""
        now = time.monotonic()
        due = self._communicator.broadcast(now - self._last >= self._interval)
        if due:
            self._last = now
        return due
