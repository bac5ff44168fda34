"""How a run ends: exit codes, and the exception that is not a bug."""

import errno

EXIT_FINISHED = 0
EXIT_INTERNAL = 1
"""A bug: the traceback says where."""
EXIT_INPUT = 2
"""Wrong input: one line says what and how to put it right."""
EXIT_STOPPED = 75
"""Stopped by a signal or the walltime; `--resume` goes on."""
EXIT_INTERRUPTED = 130
"""A second Ctrl-C: ended at once, at the last checkpoint."""


class InputError(Exception):
    """What the user gave cannot be used.

    Its message is one clear line (one a mistake) naming file, key, value and remedy; it is
    shown without a traceback and the exit code is 2.
    """


def explain_os_error(error: OSError, doing: str) -> InputError:
    """Turn an operating system's refusal into one line for the user.

    Parameters
    ----------
    error : OSError
        What the operating system said.
    doing : str
        What was tried, "writing runs/a/results.json".
    """
    remedies = {
        errno.ENOSPC: "the disk is full; free some space and go on with --resume",
        errno.EDQUOT: "the disk quota is used up; free some space and go on with --resume",
        errno.EACCES: "permission denied",
        errno.EROFS: "the file system is read-only",
        errno.ENOENT: "no such file or folder",
    }
    reason = remedies.get(error.errno or 0, error.strerror or str(error))
    return InputError(f"{doing}: {reason}")
