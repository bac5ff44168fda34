"""The screen may vanish before the run ends."""

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Screen:
    """Standard error or output until it fails; what comes after is lost, and the run goes on.

    It fails where the reader of a pipe has gone (`2>&1 | tee log` in a session that ended,
    `| head`) and where the quota of the file behind it is used up.

    Attributes
    ----------
    stream : text file
        `sys.stderr` or `sys.stdout`.
    """

    stream: io.TextIOBase

    def write(self, text: str) -> None:
        """Write, if anybody is there."""
        self._attempt(lambda: self.stream.write(text))

    def flush(self) -> None:
        """Flush, if anybody is there."""
        self._attempt(self.stream.flush)

    def __getattr__(self, name: str) -> Any:
        """Be the stream in all else, as tqdm expects: its encoding, its width."""
        return getattr(self.stream, name)

    def _attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError:
            # Python flushes its streams as it ends, and would make the exit code 120.
            with suppress(OSError), Path(os.devnull).open("wb") as nothing:
                os.dup2(nothing.fileno(), self.stream.fileno())


def open_closed_streams() -> None:
    """Give a process begun without standard output or error (`2>&-`) streams that lead nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - to the end
            setattr(sys, name, nowhere)
