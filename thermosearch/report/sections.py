"""The parts of the report, a function each: what it shows of a run, or says is missing."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import ase
import numpy as np

from thermosearch.report.figures.convergence import convergence_figures
from thermosearch.report.figures.harmonic import (
    band_figures,
    course_figures,
    density_figures,
    thermal_figures,
)
from thermosearch.report.figures.learning import data_figures, learning_figures
from thermosearch.report.figures.nested import (
    curve_figures,
    dead_point_figure,
    walk_figures,
)
from thermosearch.report.figures.parity import least_seen_first, parity_figures
from thermosearch.report.figures.phases import (
    basin_figures,
    diagram_figure,
    pattern_figures,
    share_figures,
)
from thermosearch.report.figures.search import (
    environment_figures,
    final_energy_figures,
    height_figure,
    population_figures,
    success_figures,
    surface_diagram_figures,
)
from thermosearch.report.figures.spread import (
    Levels,
    calibration_figures,
    level_figure,
    member_figure,
)
from thermosearch.report.figures.structure import side_axis, structure_figure
from thermosearch.report.html import Markup, Section, element, join, note
from thermosearch.report.notation import duration, key_and_unit
from thermosearch.report.run_data import Measured, Run, Structure
from thermosearch.report.tables import (
    error_table,
    facts_list,
    headline_cards,
    quantity_table,
    split_table,
    structure_table,
    transition_table,
)
from thermosearch.report.viewer import viewer

CARDS = 4
LONGEST_TABLE = 40
PICTURES = 4
MOST_LEVELS = 24
LARGEST_PICTURE = 3000
"""Atoms of the largest structure of which still pictures are drawn."""
SAME_PICTURE = 0.1
"""Displacement below which two pictures look the same, A."""


def results(run: Run, headline: Sequence[str] = ()) -> Section:
    """Show the numbers of the run, large those of the names in `headline`."""
    errors = [each for each in run.quantities if "split" in each.conditions]
    others = [each for each in run.quantities if "split" not in each.conditions]
    cards = (_headline(others, headline) + _least_seen(errors))[:CARDS]
    body = join(
        headline_cards(cards) if cards else note("The run holds no quantities yet."),
        _table(others) if len(others) > CARDS else None,
        split_table(errors) if errors else None,
    )
    hint = element(
        "p",
        "1.283(21) means 1.283 ± 0.021: one standard error, or the committee's spread.",
        class_="hint",
    )
    has_errors = any(each.error for each in run.quantities)
    return Section("results", "Results", join(body, hint if has_errors else None))


def _table(found: Sequence[Measured]) -> Markup:
    """All numbers; folded away where they would fill pages."""
    if len(found) <= LONGEST_TABLE:
        return quantity_table(found)
    summary = element("summary", f"All {len(found)} quantities")
    return element("details", summary, quantity_table(found))


def convergence(run: Run) -> Section:
    """Best energy against calls."""
    figures = convergence_figures(run.convergence, run.annotations)
    missing = "The run holds no convergence curves."
    return Section("convergence", "Convergence", _gallery(figures, missing))


def success(run: Run) -> Section:
    """Share of the seeds that have succeeded against calls, and where seeds ended."""
    missing = "The run holds no first hits."
    figures = success_figures(run.success) + final_energy_figures(run.success, run.annotations)
    return Section("success", "Success", _gallery(figures, missing))


def population(run: Run) -> Section:
    """Energies of all individuals, heights of the best surface, surroundings of its atoms."""
    best = run.structures[:1]
    figures = [
        *population_figures(run.convergence, run.annotations),
        *(height_figure(each.atoms, each.label) for each in best if "layer_group" in each.facts),
        *environment_figures(run.environments, run.annotations),
    ]
    return Section("population", "Population", _gallery(figures, "There are no individuals."))


def surface_diagram(run: Run) -> Section:
    """Surface free energies along the axis of the study."""
    figures = surface_diagram_figures(run.surface_diagram, run.annotations)
    missing = "The run holds no surface free energies."
    return Section("diagram", "Surface phase diagram", _gallery(figures, missing))


def structures(run: Run) -> Section:
    """Still pictures, the 3-D view and the table of the structures."""
    if not run.structures:
        return Section("structures", "Structures", note("The run holds no structures."))
    # All from one side, or they could not be compared.
    axis = side_axis([each.atoms for each in run.structures])
    pictures = [
        element(
            "article", element("h3", each.label), structure_figure(each.atoms, each.label, axis)
        )
        for each in _different(run.structures)[:PICTURES]
        if len(each.atoms) <= LARGEST_PICTURE
    ]
    body = join(
        element("div", pictures, class_="pictures"),
        element("h3", "In three dimensions"),
        viewer(run.structures),
        structure_table(run.structures),
    )
    return Section("structures", "Structures", body)


def spread(run: Run) -> Section:
    """Committee spread of the structures found."""
    levels = _levels(run.structures)
    figures = [
        *([level_figure(levels)] if levels else []),
        *(member_figure(each) for each in _by_member(run.structures)),
        *calibration_figures(run.parity),
    ]
    missing = "No committee spread was stored: the potential has no members, or none was asked for."
    return Section("spread", "Committee spread", _gallery(figures, missing))


def parity(run: Run) -> Section:
    """Predicted against reference values and the table of errors."""
    source = str(run.annotations.get("parity/source", ""))
    figures = parity_figures(run.parity, source)
    missing = "Neither the run nor its model file holds reference values to compare with."
    stated = any("split" in each.conditions for each in run.quantities)
    body = join(_gallery(figures, missing), None if stated else error_table(run.parity))
    return Section("parity", "Accuracy of the model", body)


def learning(run: Run) -> Section:
    """Learning curves of the training."""
    figures = learning_figures(run.learning) + data_figures(run.learning_data)
    missing = "The run holds no learning curves."
    return Section("learning", "Learning curves", _gallery(figures, missing))


def thermodynamics(run: Run) -> Section:
    """Quantities of nested sampling against temperature."""
    figures = curve_figures(run.curves, run.annotations)
    missing = "The run holds no curves against temperature."
    return Section("thermodynamics", "Thermodynamics", _gallery(figures, missing))


def phase_diagram(run: Run) -> Section:
    """Phases of nested sampling, and the transitions between them."""
    transitions = run.diagram.get("transitions", {})
    needed = {"pressure", "temperature", "error", "rank", "below", "above"}
    has_diagram = needed <= set(transitions)
    figures = [
        *([diagram_figure(transitions, run.phases, run.annotations)] if has_diagram else []),
        *share_figures(run.phases, run.annotations),
        *basin_figures(run.phases, run.annotations),
        *pattern_figures(run.phases, run.annotations),
    ]
    missing = "No configurations were kept and relaxed: there are no phases to show."
    listed = transition_table(transitions, run.annotations) if has_diagram else None
    body = join(_gallery(figures, missing), listed)
    return Section("phases", "Phase diagram" if has_diagram else "Phases", body)


def walks(run: Run) -> Section:
    """Dead points of nested sampling and the course of its walks."""
    points = dead_point_figure(run.dead, run.annotations)
    figures = [*([points] if points else []), *walk_figures(run.walks, run.annotations)]
    return Section("walks", "How it was sampled", _gallery(figures, "The run holds no walks."))


def against_temperature(run: Run) -> Section:
    """Thermodynamics of crystals against temperature."""
    figures = thermal_figures(run.thermal, run.annotations)
    missing = "The run holds no series against temperature."
    return Section("thermodynamics", "Thermodynamics", _gallery(figures, missing))


def phonons(run: Run) -> Section:
    """Bands and densities of states of the effective crystals."""
    figures = band_figures(run.bands) + density_figures(run.dos)
    return Section("phonons", "Phonons", _gallery(figures, "The run holds no phonons."))


def loops(run: Run) -> Section:
    """How the effective harmonic potentials were found."""
    figures = course_figures(run.iterations)
    missing = "The run holds no course of its loops."
    return Section("convergence", "Convergence", _gallery(figures, missing))


def provenance(run: Run) -> Section:
    """Say what was run, where and with what: enough to run it again."""
    given = run.results
    facts = {
        "Kind": run.kind,
        "Status": str(given.get("status", "")),
        "Seed": _plain(given.get("seed")),
        "MPI ranks": _plain(given.get("ranks")),
        "Wall time": duration(float(given["wall_s"])) if _is_number(given, "wall_s") else "",
        "Evaluations": f"{given['evaluations']:,}" if _is_number(given, "evaluations") else "",
    }
    known = {name: value for name, value in facts.items() if value}
    files = [
        element("details", element("summary", name), element("pre", text))
        for name, text in run.texts.items()
    ]
    body = join(
        facts_list(known) if known else note("Nothing says how this was run."),
        [element("h3", "Software"), facts_list(run.versions)] if run.versions else None,
        [element("h3", "Files"), files] if files else None,
    )
    return Section("provenance", "What was run", body)


def warnings(run: Run) -> list[str]:
    """Sentences a reader must see first: an unfinished run, missing pieces, extrapolation."""
    found = []
    status = run.results.get("status")
    if run.results and not run.finished:
        found.append(f"The run is not finished (status: {status}); --resume goes on with it.")
    found += run.problems
    stated = run.results.get("warnings")
    if isinstance(stated, list):
        found += [str(each) for each in stated]
    for each in run.structures:
        flags = each.facts.get("flags")
        if isinstance(flags, list) and flags:
            found.append(f"{each.label}: {', '.join(str(flag) for flag in flags)}.")
    return found


def _gallery(figures: Sequence[Markup], missing: str) -> Markup:
    return element("div", figures, class_="gallery") if figures else note(missing)


def _levels(found: Sequence[Structure]) -> Levels | None:
    """Energies with spreads: the first key `X_UNIT` whose partner `spread_UNIT` is there."""
    for key in dict.fromkeys(key for each in found for key in each.facts):
        name, measure = key_and_unit(key)
        if not measure or "spread" in name:
            continue
        suffix = key.removeprefix(name)
        partners = (f"{name}_spread{suffix}", f"spread{suffix}")
        for partner in partners:
            chosen = [
                each
                for each in found
                if _is_number(each.facts, key) and _is_number(each.facts, partner)
            ][:MOST_LEVELS]
            if chosen:
                return Levels(
                    name,
                    measure,
                    [each.label for each in chosen],
                    np.array([each.facts[key] for each in chosen], np.float64),
                    np.array([each.facts[partner] for each in chosen], np.float64),
                )
    return None


def _by_member(found: Sequence[Structure]) -> list[Levels]:
    """Gather what the members of the committee say of the best structure: each fact with a unit."""
    members = [each for each in found if _is_number(each.facts, "member")]
    if len(members) < 2:
        return []
    labels = [each.label for each in members]
    levels = []
    for key in members[0].facts:
        name, measure = key_and_unit(key)
        # Total energies rest on each member's own reference.
        if not measure or name in {"energy", "spread"}:
            continue
        if not all(_is_number(each.facts, key) for each in members):
            continue
        values = np.array([each.facts[key] for each in members], np.float64)
        levels.append(Levels(name, measure, labels, values, np.zeros_like(values)))
    return levels


def _headline(quantities: Sequence[Measured], names: Sequence[str]) -> list[Measured]:
    """Order quantities: the first of each of the names, more of the same names, the others.

    A number that goes by two names, as a transition is a maximum of the heat capacity, comes once.
    """
    first = {each.name: each for each in reversed(quantities)}
    best = [first[name] for name in names if name in first]
    rest = [each for each in quantities if each not in best]
    place = {name: number for number, name in enumerate(names)}
    ordered = best + sorted(rest, key=lambda each: place.get(each.name, len(names)))
    once: list[Measured] = []
    for each in ordered:
        if not any(_one_number(each, other) for other in once):
            once.append(each)
    return once


def _one_number(one: Measured, other: Measured) -> bool:
    """Whether two names are of one number: under the same conditions, as far as both state them."""
    alike = (one.value, one.error, one.unit) == (other.value, other.error, other.unit)
    shared = one.conditions.keys() & other.conditions.keys()
    return (
        alike
        and one.name != other.name
        and all(one.conditions[key] == other.conditions[key] for key in shared)
    )


def _least_seen(errors: Sequence[Measured]) -> list[Measured]:
    """Errors over all groups of the split that training saw least of, mean absolute ones first."""
    split = next(iter(least_seen_first({str(each.conditions["split"]) for each in errors})), None)
    chosen = [
        each
        for each in errors
        if str(each.conditions["split"]) == split and "group" not in each.conditions
    ]
    return sorted(chosen, key=lambda each: "mae" not in each.name)


def _different(found: Sequence[Structure]) -> list[Structure]:
    """Drop structures that a picture of an earlier one shows already."""
    kept: list[Structure] = []
    for each in found:
        if not any(_look_alike(each.atoms, other.atoms) for other in kept):
            kept.append(each)
    return kept


def _look_alike(atoms: ase.Atoms, other: ase.Atoms) -> bool:
    return len(atoms) == len(other) and bool(
        np.array_equal(atoms.numbers, other.numbers)
        and np.abs(atoms.positions - other.positions).max() < SAME_PICTURE
    )


def _is_number(table: Mapping[str, Any], key: str) -> bool:
    value = table.get(key)
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
    )


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
