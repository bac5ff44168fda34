"""Study files: TOML, checked by pydantic, every mistake reported at once.

An engine's study is a `StrictModel` with the sections of its own and a `run: RunSection`.
"""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)

from thermosearch.runtime.errors import InputError, explain_os_error
from thermosearch.runtime.mistakes import nearest, report_mistakes


class StrictModel(BaseModel):
    """Base of every section: unknown keys are mistakes, numbers finite, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def seconds(value: Any) -> Any:
    """Accept "HH:MM:SS" and "MM:SS" beside plain seconds."""
    if not isinstance(value, str):
        return value
    parts = value.split(":")
    if len(parts) > 3 or not all(part.isdigit() for part in parts):
        raise ValueError('expected seconds or "HH:MM:SS"')
    total = 0
    for part in parts:
        total = 60 * total + int(part)
    return float(total)


def _existing_file(path: Path, info: Any) -> Path:
    """Resolve against the study's folder, which the validation `info` carries as context."""
    folder = (info.context or {}).get("folder", Path())
    found = path if path.is_absolute() else folder / path
    if not found.exists():
        raise ValueError(f"no such file: {found}")
    return found.resolve()


Seconds = Annotated[float, Field(gt=0.0), BeforeValidator(seconds)]
"""A time: seconds, or "HH:MM:SS"."""

InputFile = Annotated[Path, AfterValidator(_existing_file)]
"""A file that must exist; relative paths count from the study's folder."""


class RunSection(StrictModel):
    """Section `[run]`, the same for every engine."""

    seed: NonNegativeInt = 0
    """Every random number of the run follows from it."""
    precision: Literal["float32", "float64"] = "float32"
    """Of the model; energies are held in float64 whatever it is."""
    walltime: Seconds | None = None
    """Stop, resumable, before this much time has passed."""
    output: Path | None = None
    """Run folder; the command line's `--output` goes before it."""
    batch: PositiveInt | None = None
    """Configurations evaluated together; chosen by the backend where it is not given."""
    checkpoint_interval: Seconds = 60.0
    """Time between checkpoints."""


def read_toml(path: Path) -> dict[str, Any]:
    """Read a study file.

    Raises
    ------
    InputError
        If it is missing, or not TOML (with line and column).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise explain_os_error(error, f"reading the study {path}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file in UTF-8") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from error


def parse_study(
    content: dict[str, Any], model: type[StrictModel], *, source: str, folder: Path
) -> StrictModel:
    """Check a study's content against its engine's model.

    Parameters
    ----------
    content : dict
        As read from TOML.
    model : type
        The engine's study.
    source : str
        What to call it in messages, its file name.
    folder : Path
        Relative paths in the study count from here.

    Raises
    ------
    InputError
        Naming every mistake, one a line.
    """
    try:
        return model.model_validate(content, context={"folder": folder})
    except ValidationError as error:
        raise InputError(report_mistakes(error, model, content, source)) from error


def input_files(value: Any, key: str = "") -> dict[str, Path]:
    """Files and folders that a study names and whose existence its checks have seen.

    What an ASE calculator is given in `arguments` is left out: it may be a file it writes.

    Parameters
    ----------
    value : StrictModel
        A study; within it, any value.
    key : str
        Of the value.

    Returns
    -------
    dict of str to Path
        By their keys, "system.bulk" or "data[0].file".
    """
    if isinstance(value, StrictModel):
        parts = {f"{key}.{name}".removeprefix("."): each for name, each in value}
    elif isinstance(value, tuple):
        parts = {f"{key}[{index}]": each for index, each in enumerate(value)}
    else:
        # The checks have made them absolute; a shipped model's name stays a name.
        found = isinstance(value, str | Path) and Path(value).is_absolute()
        return {key: Path(value)} if found else {}
    return {
        name: path for key, each in parts.items() for name, path in input_files(each, key).items()
    }


def study_kind(content: dict[str, Any], known: tuple[str, ...], source: str) -> str:
    """Kind of a study, one of `known`.

    Raises
    ------
    InputError
        If it is missing or unknown.
    """
    kind = content.get("kind")
    if kind in known:
        return str(kind)
    choices = ", ".join(f'"{name}"' for name in known)
    if kind is None:
        raise InputError(f"{source}: kind is missing; it is one of {choices}")
    raise InputError(
        f"{source}: kind = {json.dumps(kind)}: expected one of {choices}{nearest(kind, known)}"
    )
