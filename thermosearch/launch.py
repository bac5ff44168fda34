"""From a study to a finished run folder."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from logging import Logger
from pathlib import Path
from typing import Any

from thermosearch.runtime.checkpoint import CheckpointStore
from thermosearch.runtime.communicator import Communicator, world
from thermosearch.runtime.compile_cache import keep_compilations
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.devices import claim_devices
from thermosearch.runtime.errors import InputError
from thermosearch.runtime.files import numbered_folder
from thermosearch.runtime.log import run_log
from thermosearch.runtime.results import Results, read_results
from thermosearch.runtime.run_folder import (
    GivenStudy,
    begin_session,
    finish_session,
    is_finished,
    opened_run,
)
from thermosearch.runtime.stop import Periodic, StopRequest
from thermosearch.runtime.study import StrictModel, input_files, parse_study, read_toml, study_kind


@dataclass(frozen=True)
class Engine:
    """Where an engine's parts are, imported when they are needed.

    Attributes
    ----------
    study : str
        "module:class" of its pydantic model.
    execute : str
        "module:function" of `execute(study, context) -> Results`.
    package : str
        Package that holds its commented `template.toml`.
    check : str or None
        "module:function" of `check(study)` for `thermosearch validate`: what can be known
        without running, such as whether the model knows the elements.
    """

    study: str
    execute: str
    package: str
    check: str | None = None


ENGINES: Mapping[str, Engine] = {
    "train": Engine(
        "thermosearch.neural.study:TrainStudy",
        "thermosearch.neural.execute:execute",
        "thermosearch.neural",
        "thermosearch.neural.training.prepare:prepare",
    ),
    "search": Engine(
        "thermosearch.search.study:SearchStudy",
        "thermosearch.search.execute:execute",
        "thermosearch.search",
        "thermosearch.search.problem:make_problem",
    ),
    "nested": Engine(
        "thermosearch.nested.study:NestedStudy",
        "thermosearch.nested.execute:execute",
        "thermosearch.nested",
        "thermosearch.nested.problem:make_problem",
    ),
    "surface": Engine(
        "thermosearch.search.surfaces.study:SurfaceStudy",
        "thermosearch.search.surfaces.execute:execute",
        "thermosearch.search.surfaces",
        "thermosearch.search.surfaces.prepare:prepare",
    ),
    "harmonic": Engine(
        "thermosearch.harmonic.study:HarmonicStudy",
        "thermosearch.harmonic.execute:execute",
        "thermosearch.harmonic",
        "thermosearch.harmonic.problem:make_problem",
    ),
}

REPORT = "thermosearch.report.write:write_report"


def run(
    study: str | Path | dict[str, Any] | StrictModel,
    output: str | Path | None = None,
    resume: bool = False,
    *,
    walltime: float | None = None,
    quiet: bool = False,
    communicator: Communicator | None = None,
) -> Results:
    """Run a study into a run folder.

    Under `mpiexec` every rank calls it with the same arguments and gets the same results,
    which do not depend on the number of ranks.

    Parameters
    ----------
    study : path, dict or study object
        A study file, its content, or the engine's own study (`SearchStudy`, `TrainStudy`).
    output : path, optional
        Run folder. Otherwise the study's `run.output`, otherwise a new `runs/NAME_NNN`.
    resume : bool
        Go on with the run in the output folder (begin it where there is none yet).
    walltime : float, optional
        Seconds; goes before the study's `run.walltime`.
    quiet : bool
        Only warnings on the screen.
    communicator : Communicator, optional
        The ranks; all of the job by default.

    Returns
    -------
    Results
        As in `results.json`; `status` is "stopped" if a signal or the walltime ended the run
        before its time.

    Raises
    ------
    InputError
        If the study, a file it names or the run folder cannot be used.
    """
    ranks = world() if communicator is None else communicator
    claim_devices(ranks)
    parsed, given, name = ranks.on_root(lambda: load_study(study))
    path = ranks.on_root(lambda: _output_folder(output, parsed.run.output, name, resume))
    with ExitStack() as stack:
        # Rank 0 holds the folder; the others only know where it is.
        folder = ranks.on_root(lambda: stack.enter_context(opened_run(path, given, resume=resume)))
        log = stack.enter_context(run_log(path / "run.log", ranks, quiet=quiet))
        if ranks.on_root(lambda: is_finished(folder)):
            log.info("%s: finished already", path)
            # A full disk may have kept the last session from it.
            if not ranks.on_root((path / "report.html").is_file):
                _write_report(path, ranks, log)
            return ranks.on_root(lambda: read_results(path / "results.json"))
        ranks.on_root(lambda: begin_session(folder, ranks.size))
        limit = parsed.run.walltime if walltime is None else walltime
        stop = stack.enter_context(StopRequest(ranks, limit))
        context = RunContext(
            folder=folder,
            communicator=ranks,
            checkpoints=CheckpointStore(path / "checkpoints", ranks, log),
            stop=stop,
            checkpoint_due=Periodic(ranks, parsed.run.checkpoint_interval),
            log=log,
            quiet=quiet,
        )
        return _execute(parsed, given, context)


def load_study(
    study: str | Path | dict[str, Any] | StrictModel,
) -> tuple[StrictModel, GivenStudy, str]:
    """Read and check a study.

    Returns
    -------
    study : StrictModel
        The engine's study, checked.
    given : GivenStudy
        What the run folder keeps of it.
    name : str
        For the run folder's name.

    Raises
    ------
    InputError
        Naming every mistake.
    """
    if isinstance(study, StrictModel):
        text = study.model_dump_json(indent=1)
        kind = study_kind(json.loads(text), tuple(ENGINES), "study")
        return study, _given(kind, text, ".json", study), kind
    if isinstance(study, dict):
        parsed, kind = check_content(study, "study", Path.cwd())
        return parsed, _given(kind, json.dumps(study, default=str), ".json", parsed), kind
    path = Path(study)
    parsed, kind = check_content(read_toml(path), str(path), path.parent)
    text = path.read_text(encoding="utf-8")
    name = path.resolve().parent.name if path.stem == "study" else path.stem
    return parsed, _given(kind, text, ".toml", parsed), name


def check_content(content: dict[str, Any], source: str, folder: Path) -> tuple[StrictModel, str]:
    """Check the content of a study against the model of its kind."""
    kind = study_kind(content, tuple(ENGINES), source)
    return parse_study(content, load(ENGINES[kind].study), source=source, folder=folder), kind


def load(address: str) -> Any:
    """Import what "module:name" says."""
    module, _, name = address.partition(":")
    return getattr(import_module(module), name)


def _given(kind: str, text: str, suffix: str, parsed: StrictModel) -> GivenStudy:
    return GivenStudy(kind, text, suffix, parsed.model_dump(mode="json"), input_files(parsed))


def _output_folder(
    output: str | Path | None, from_study: Path | None, name: str, resume: bool
) -> Path:
    chosen = output or from_study
    if chosen is not None:
        return Path(chosen)
    if resume:
        raise InputError("--resume needs --output FOLDER: the run folder to go on with")
    return numbered_folder(Path("runs"), name)


def _execute(study: StrictModel, given: GivenStudy, context: RunContext) -> Results:
    log, ranks, path = context.log, context.communicator, context.folder.path
    cache = keep_compilations(ranks, log)
    log.info("%s in %s on %d rank%s", given.kind, path, ranks.size, "s" * (ranks.size > 1))
    log.debug("compilations are kept in %s", cache)
    execute: Callable[[StrictModel, RunContext], Results] = load(ENGINES[given.kind].execute)
    start = time.monotonic()
    results = execute(study, context)
    wall_s = time.monotonic() - start
    ranks.on_root(lambda: finish_session(context.folder, given, results, wall_s))
    if results.status == "stopped":
        log.warning("stopped after %.0f s; go on with --resume --output %s", wall_s, path)
    else:
        log.info("finished in %.0f s\nnumbers: %s", wall_s, path.resolve() / "results.json")
        _write_report(path, ranks, log)
    return results


def _write_report(path: Path, ranks: Communicator, log: Logger) -> None:
    report = ranks.on_root(lambda: load(REPORT)(path))
    log.info("report:  %s (open it in a browser)", report.resolve())
