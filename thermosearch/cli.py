"""The command line: parse, validate, call."""

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from thermosearch.launch import ENGINES, REPORT, check_content, load, run
from thermosearch.runtime.communicator import Communicator, launched, world
from thermosearch.runtime.devices import claim_devices
from thermosearch.runtime.errors import (
    EXIT_FINISHED,
    EXIT_INPUT,
    EXIT_INTERRUPTED,
    EXIT_STOPPED,
    InputError,
    explain_os_error,
)
from thermosearch.runtime.files import write_atomic
from thermosearch.runtime.mistakes import nearest
from thermosearch.runtime.screen import Screen, open_closed_streams
from thermosearch.runtime.study import StrictModel, read_toml, seconds

_EPILOG = """exit codes: 0 finished, 1 a bug (with a traceback), 2 wrong input, 75 stopped and
resumable, 130 interrupted twice. Parallel: mpiexec -n 4 thermosearch search study.toml"""

_RUNS = {
    "train": "train a neural force field on reference data",
    "search": "search the lowest structures of a surface, a cluster or a crystal",
    "surface": "surface free energies against temperature, pressure and chemical potential",
    "nested": "sample partition functions and phase diagrams",
    "harmonic": "free energies, thermal expansion and transitions of crystals",
}
_SLURM = "slurm"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the console script's entry.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line's by default.

    Returns
    -------
    int
        Exit code.
    """
    open_closed_streams()
    options = _parser().parse_args(arguments)
    ranks = Communicator()
    try:
        ranks = world() if launched() else ranks
        # Before JAX is imported: its threads and devices are counted when it starts.
        claim_devices(ranks)
        return options.command(options, ranks)
    except InputError as error:
        return ranks.fail(str(error), EXIT_INPUT)
    except KeyboardInterrupt:
        return ranks.fail("interrupted", EXIT_INTERRUPTED)


def _run(options: argparse.Namespace, ranks: Communicator) -> int:
    results = run(
        _study_of_kind(options.study, options.kind),
        options.output,
        options.resume,
        walltime=options.walltime,
        quiet=options.quiet,
        communicator=ranks,
    )
    return EXIT_FINISHED if results.status == "finished" else EXIT_STOPPED


def _study_of_kind(path: Path, kind: str) -> Path:
    found = read_toml(path).get("kind", kind)
    # What is no kind at all is refused with the other mistakes of the study.
    if isinstance(found, str) and found != kind and found in ENGINES:
        raise InputError(f"{path}: this is a study for `thermosearch {found}`")
    return path


def _validate(options: argparse.Namespace, ranks: Communicator) -> int:
    mistakes = []
    for path in options.studies:
        try:
            study, kind = check_content(read_toml(path), str(path), path.parent)
            _check_without_running(path, study, ENGINES[kind].check)
        except InputError as error:
            mistakes.append(str(error))
        else:
            _say(f"{path}: a valid {kind} study", ranks)
    if mistakes:
        raise InputError("\n".join(mistakes))
    return EXIT_FINISHED


def _check_without_running(path: Path, study: StrictModel, check: str | None) -> None:
    if check is None:
        return
    try:
        load(check)(study)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _new(options: argparse.Namespace, ranks: Communicator) -> int:
    if options.kind == _SLURM:
        text = resources.files("thermosearch.runtime").joinpath("job.slurm").read_text("utf-8")
    else:
        package = resources.files(ENGINES[options.kind].package)
        text = package.joinpath("template.toml").read_text("utf-8")
    _say(text.rstrip(), ranks)
    return EXIT_FINISHED


def _evaluate(options: argparse.Namespace, ranks: Communicator) -> int:
    evaluate_file = load("thermosearch.neural.evaluate_file:evaluate_file")
    conventions = {key: getattr(options, key) for key in ("elements", "length_unit", "energy_unit")}
    found = ranks.on_root(lambda: evaluate_file(options.model, options.data, **conventions))
    text = json.dumps(found, indent=1)
    if options.json is None:
        _say(text, ranks)
    else:
        ranks.on_root(lambda: write_atomic(options.json, text + "\n"))
        _say(f"wrote {options.json}", ranks)
    return EXIT_FINISHED


def _report(options: argparse.Namespace, ranks: Communicator) -> int:
    _say(str(ranks.on_root(lambda: load(REPORT)(options.folder, options.joined))), ranks)
    return EXIT_FINISHED


def _benchmark(options: argparse.Namespace, ranks: Communicator) -> int:
    benchmark = load("thermosearch.neural.benchmark:benchmark")

    def measure() -> None:
        for line in benchmark(options.model):
            _say(line, ranks)

    ranks.on_root(measure)
    return EXIT_FINISHED


def _info(options: argparse.Namespace, ranks: Communicator) -> int:
    lines = load("thermosearch.runtime.info:describe")(ranks)
    shipped = load("thermosearch.potentials.registry:shipped_models")()
    lines.append(("shipped models", ", ".join(shipped) or "none"))
    width = max(len(name) for name, _ in lines)
    _say("\n".join(f"{name:<{width}}  {value}" for name, value in lines), ranks)
    return EXIT_FINISHED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="thermosearch",
        description="From reference calculations to the structures a material adopts.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for kind, summary in _RUNS.items():
        _add_run(commands.add_parser(kind, help=summary, description=summary), kind)

    each = commands.add_parser("evaluate", help="errors of a model on reference data")
    each.add_argument("--model", required=True, help="model file or shipped name")
    each.add_argument("--data", required=True, type=Path, help="extxyz, ase db, npz, RuNNer, cfg")
    each.add_argument("--elements", nargs="+", metavar="SYMBOL", help="types of an MLIP file")
    each.add_argument("--length-unit", metavar="UNIT", help="of the data: A or bohr")
    each.add_argument("--energy-unit", metavar="UNIT", help="eV, hartree, kcal/mol or kJ/mol")
    each.add_argument("--json", type=Path, metavar="OUT", help="write there, not on the screen")
    each.set_defaults(command=_evaluate)

    each = commands.add_parser("report", help="write report.html of a run folder again")
    each.add_argument("folder", type=Path)
    each.add_argument(
        "--with",
        dest="joined",
        type=Path,
        nargs="+",
        default=[],
        metavar="OTHER",
        help="run folders whose sections follow",
    )
    each.set_defaults(command=_report)

    each = commands.add_parser("new", help="print a commented study, or a Slurm script")
    kinds = (*ENGINES, _SLURM)
    each.add_argument("kind", type=_known(*kinds), metavar="KIND", help=", ".join(kinds))
    each.set_defaults(command=_new)

    each = commands.add_parser("validate", help="check study files without running them")
    each.add_argument("studies", nargs="+", type=Path, metavar="STUDY")
    each.set_defaults(command=_validate)

    each = commands.add_parser("info", help="versions, backend, ranks, threads, shipped models")
    each.set_defaults(command=_info)

    each = commands.add_parser("benchmark", help="time of a model per atom, beside LAMMPS")
    each.add_argument("--model", required=True, help="model file or shipped name")
    each.set_defaults(command=_benchmark)
    return parser


def _add_run(parser: argparse.ArgumentParser, kind: str) -> None:
    parser.add_argument("study", type=Path, help="study file (TOML)")
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="run folder; otherwise a new runs/NAME_NNN"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in --output")
    parser.add_argument(
        "--walltime", type=_walltime, metavar="TIME", help="stop before it: seconds or HH:MM:SS"
    )
    parser.add_argument("--quiet", action="store_true", help="only warnings on the screen")
    parser.set_defaults(command=_run, kind=kind)


def _known(*names: str) -> "type[str] | object":
    def check(name: str) -> str:
        if name not in names:
            choices = ", ".join(names)
            raise argparse.ArgumentTypeError(
                f"unknown kind {name!r}; one of {choices}{nearest(name, names)}"
            )
        return name

    return check


def _walltime(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, not {text!r}") from error


def _say(text: str, ranks: Communicator) -> None:
    if ranks.rank > 0:
        return
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough (`| head`); so is the flush as Python ends.
        Screen(sys.stdout).flush()
    except OSError as error:
        raise explain_os_error(error, "writing to standard output") from error
