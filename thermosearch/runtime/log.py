"""The log and the progress bar: rank 0 only, on the screen and in the run folder."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tqdm import tqdm

from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.screen import Screen

_FORMAT = "%(asctime)s %(levelname)s %(message)s"


@contextmanager
def run_log(
    path: Path, communicator: Communicator, *, quiet: bool = False
) -> Iterator[logging.Logger]:
    """Log of a run, to the screen and to `path`; silent on ranks other than 0.

    Parameters
    ----------
    path : Path
        Appended to, so that a resumed run has one log.
    communicator : Communicator
        Of the run.
    quiet : bool
        Show warnings only on the screen.
    """
    log = logging.getLogger("thermosearch")
    before = (log.level, log.propagate)
    log.setLevel(logging.INFO if communicator.rank == 0 else logging.CRITICAL + 1)
    log.propagate = False
    handlers = _handlers(path, quiet) if communicator.rank == 0 else []
    for handler in handlers:
        log.addHandler(handler)
    try:
        yield log
    finally:
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()
        log.setLevel(before[0])
        log.propagate = before[1]


def progress_bar(
    communicator: Communicator, total: int | None, description: str, *, quiet: bool
) -> tqdm:
    """Progress with the time left; shown by rank 0, and a line a minute where no one watches."""
    watched = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=description,
        disable=quiet or communicator.rank != 0,
        mininterval=0.1 if watched else 60.0,
        dynamic_ncols=watched,
        file=Screen(sys.stderr),
        leave=True,
    )


class _ScreenHandler(logging.Handler):
    """Writes above the progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        mark = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        tqdm.write(mark + self.format(record), file=Screen(sys.stderr))


class _LogFile(logging.FileHandler):
    """A full disk ends the log file, with one line, and not the run."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        logging.getLogger("thermosearch").removeHandler(self)
        line = f"warning: {self.baseFilename}: {error.strerror}; the log ends here"
        tqdm.write(line, file=Screen(sys.stderr))

    def close(self) -> None:
        # It tries once more to write what the disk had no room for.
        with suppress(OSError):
            super().close()


def _handlers(path: Path, quiet: bool) -> list[logging.Handler]:
    screen = _ScreenHandler(logging.WARNING if quiet else logging.INFO)
    file = _LogFile(path, encoding="utf-8")
    file.setFormatter(logging.Formatter(_FORMAT))
    return [screen, file]
