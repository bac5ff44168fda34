"""Files that are either the old ones or the new ones, never half of one."""

import os
import re
from contextlib import suppress
from pathlib import Path

from thermosearch.runtime.errors import explain_os_error


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write beside, flush to the disk, rename: a kill at any moment leaves a whole file.

    Parameters
    ----------
    path : Path
        Where; its folder is made where it is missing.
    content : str or bytes
        Text is written as UTF-8.

    Raises
    ------
    InputError
        If the disk is full or not writable. What stood at `path` is untouched.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_through(beside, data)
        beside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):  # it may never have been made
            beside.unlink()
        raise explain_os_error(error, f"writing {path}") from error


def sweep_parts(folder: Path) -> None:
    """Delete what `write_atomic` left below a folder when it was killed; nobody may be writing."""
    for rest in folder.rglob(".*.part"):
        rest.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames within `folder` last through a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def numbered_folder(parent: Path, name: str) -> Path:
    """First unused `parent/name_NNN`, counting on from the highest number there."""
    pattern = re.compile(re.escape(name) + r"_(\d+)")
    entries = parent.iterdir() if parent.is_dir() else ()
    matches = (pattern.fullmatch(entry.name) for entry in entries)
    highest = max((int(match[1]) for match in matches if match), default=0)
    return parent / f"{name}_{highest + 1:03d}"


def _write_through(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
