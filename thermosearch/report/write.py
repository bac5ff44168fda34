"""From a run folder to its `report.html`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from thermosearch.report import sections, viewer
from thermosearch.report.html import Markup, Section, element, join, page
from thermosearch.report.run_data import Run, read_run
from thermosearch.runtime.files import write_atomic

Part = Callable[[Run], Section]

SURFACE_HEADLINE = ("surface_energy", "dimer_length", "dimer_buckling_angle")
HARMONIC_HEADLINE = ("transition_temperature", "thermal_expansion", "lattice_parameter_a")
NESTED_HEADLINE = ("transition_temperature", "heat_capacity_peak_temperature")

# Which parts the report of a kind of run has, in order.
PARTS: dict[str, tuple[Part, ...]] = {
    "search": (
        partial(sections.results, headline=SURFACE_HEADLINE),
        sections.structures,
        sections.success,
        sections.convergence,
        sections.population,
        sections.spread,
        sections.parity,
        sections.provenance,
    ),
    "surface": (
        sections.results,
        sections.surface_diagram,
        sections.provenance,
    ),
    "nested": (
        partial(sections.results, headline=NESTED_HEADLINE),
        sections.phase_diagram,
        sections.thermodynamics,
        sections.walks,
        sections.structures,
        sections.provenance,
    ),
    "harmonic": (
        partial(sections.results, headline=HARMONIC_HEADLINE),
        sections.against_temperature,
        sections.phonons,
        sections.loops,
        sections.structures,
        sections.provenance,
    ),
    "train": (
        sections.results,
        sections.parity,
        sections.learning,
        sections.spread,
        sections.provenance,
    ),
}
OTHER_KINDS: tuple[Part, ...] = (
    sections.results,
    sections.structures,
    sections.provenance,
)


def write_report(folder: Path, joined: Sequence[Path] = ()) -> Path:
    """Write `report.html` of a run: one file that needs nothing beside it and no network.

    Parameters
    ----------
    folder : Path
        A run folder, finished or not. Its engine need not be installed or known.
    joined : sequence of Path
        Other run folders, whose sections follow; their structures in 3-D stay in their own reports.

    Returns
    -------
    Path
        The report's path.

    Raises
    ------
    InputError
        If a folder holds no run or cannot be written to.
    """
    path = folder / "report.html"
    write_atomic(path, render(read_run(folder), [read_run(other) for other in joined]))
    return path


def render(run: Run, joined: Sequence[Run] = ()) -> str:
    """Write the report as text."""
    parts = [part(run) for part in PARTS.get(run.kind, OTHER_KINDS)]
    for number, other in enumerate(joined, start=2):
        parts += _joined(other, number)
    name = run.folder.resolve().name
    kind = run.kind or "run"
    script = viewer.script() if run.structures else ""
    return page(f"{name} – thermosearch {kind}", _header(name, kind, run), parts, script)


def _joined(run: Run, number: int) -> Iterator[Section]:
    """Sections of another run, the `number`-th of the page, under its own name."""
    name = run.folder.resolve().name
    yield Section(f"run-{number}", name, _header(name, run.kind or "run", run))
    for part in PARTS.get(run.kind, OTHER_KINDS):
        if part is not sections.structures:
            section = part(run)
            yield replace(
                section,
                identifier=f"run-{number}-{section.identifier}",
                title=f"{section.title}: {name}",
            )


def _header(name: str, kind: str, run: Run) -> Markup:
    found = sections.warnings(run)
    items = element("ul", [element("li", each) for each in found])
    alert = element("div", element("strong", "Please note"), items, class_="warning", role="note")
    return join(
        element("p", f"thermosearch {kind}", class_="kicker"),
        element("h1", name),
        alert if found else None,
    )
