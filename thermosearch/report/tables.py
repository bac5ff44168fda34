"""Tables of the report: quantities, structures, errors by group, facts of the run."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thermosearch.report.figures.parity import PROPERTIES, compared, errors, least_seen_first
from thermosearch.report.html import Content, Markup, element, join
from thermosearch.report.notation import (
    conditions,
    key_and_unit,
    label_of,
    title,
    titled,
    unit,
    value_error,
    with_unit,
)
from thermosearch.report.run_data import Arrays, Measured, Structure

PLACE_KEYS = frozenset({"file", "index", "label"})
MOST_GROUPS = 40
ERROR_DIGITS, FACT_DIGITS, ENERGY_DIGITS = 3, 4, 8


def headline_cards(quantities: Sequence[Measured]) -> Markup:
    """Show the first numbers of a run, large."""
    return element(
        "dl",
        [
            element(
                "div",
                element("dt", title(each.name), _small(conditions(each.conditions))),
                element("dd", with_unit(_rounded(each), each.unit)),
                class_="card",
            )
            for each in quantities
        ],
        class_="cards",
    )


def quantity_table(quantities: Sequence[Measured]) -> Markup:
    """Every number of a run with its error, unit and conditions."""
    rows = [
        [
            title(each.name),
            Number(value_error(each.value, each.error)),
            unit(each.unit),
            conditions(each.conditions),
        ]
        for each in quantities
    ]
    return table("Quantities", ["Quantity", "Value", "Unit", "Conditions"], rows)


def transition_table(transitions: Arrays, units: Mapping[str, str | float]) -> Markup:
    """Transitions of a phase diagram, in the order of the pressures."""
    columns = [transitions[name] for name in ("pressure", "temperature", "error", "below", "above")]
    order = np.lexsort((transitions["rank"], transitions["pressure"]))
    rows = [
        [f"{pressure:g}", Number(value_error(float(t), float(error))), str(below), str(above)]
        for pressure, t, error, below, above in zip(*(each[order] for each in columns), strict=True)
    ]
    numbers = [label_of(units, name, title(name)) for name in ("pressure", "temperature")]
    headers = [*numbers, "Phase below", "Phase above"]
    return table("Transitions: maxima of the heat capacity", headers, rows)


def split_table(quantities: Sequence[Measured]) -> Markup:
    """Errors of a model, a row for each split and group, a column for each kind of error."""
    columns = list(dict.fromkeys((each.name, each.unit) for each in quantities))
    rows: dict[tuple[str, str], dict[tuple[str, str], str]] = {}
    for each in quantities:
        place = str(each.conditions["split"]), str(each.conditions.get("group", "all"))
        shown = value_error(each.value, each.error, digits=ERROR_DIGITS)
        rows.setdefault(place, {})[each.name, each.unit] = shown
    order = least_seen_first({split for split, _ in rows})
    places = sorted(rows, key=lambda place: (order.index(place[0]), place[1] != "all", place[1]))
    heads = ["Data", "Group", *(f"{title(name)} ({unit(measure)})" for name, measure in columns)]
    body = [
        [*place, *(Number(rows[place].get(column, "–")) for column in columns)] for place in places
    ]
    return table("Errors of the model", heads, body)


def structure_table(structures: Sequence[Structure]) -> Markup:
    """One row a structure: its atoms and every plain fact `results.json` gives of it."""
    keys = list(
        dict.fromkeys(
            key
            for each in structures
            for key, value in each.facts.items()
            if key not in PLACE_KEYS and _is_plain(value)
        )
    )
    heads = ["Structure", "Atoms", *(_column(key) for key in keys), "File"]
    rows = []
    for each in structures:
        facts = [_cell(key, each.facts.get(key)) for key in keys]
        formula = each.atoms.get_chemical_formula()
        rows.append([each.label, formula, *facts, _place(each)])
    return table("Structures", heads, rows)


def error_table(splits: Mapping[str, Arrays]) -> Markup | None:
    """Errors of every split and property, and of the energy in every group where groups are."""
    rows: list[list[Content]] = []
    for split in least_seen_first(splits):
        arrays = splits[split]
        for each in PROPERTIES:
            pair = compared(arrays, each)
            if pair is None:
                continue
            measured = errors(*pair, each.error_scale)
            numbers = [Number(f"{measured.mae:.3g}"), Number(f"{measured.rmse:.3g}")]
            count = Number(f"{measured.count:,}")
            rows.append([split, each.name, "all", *numbers, unit(each.error_unit), count])
        rows += _group_rows(split, arrays)
    if not rows:
        return None
    heads = ["Data", "Property", "Group", "MAE", "RMSE", "Unit", "Values"]
    return table("Errors of the model", heads, rows)


def facts_list(facts: Mapping[str, str]) -> Markup:
    """Names and values side by side."""
    return element(
        "dl",
        [
            element("div", element("dt", name), element("dd", value))
            for name, value in facts.items()
        ],
        class_="facts",
    )


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[Content]]) -> Markup:
    """Table that scrolls sideways on a narrow screen."""
    header = element("tr", [element("th", head, scope="col") for head in heads])
    body = [element("tr", [_data(cell) for cell in row]) for row in rows]
    inner = element(
        "table",
        element("caption", caption),
        element("thead", header),
        element("tbody", body),
    )
    return element("div", inner, class_="table", tabindex="0", role="group", aria_label=caption)


class Number(str):
    """Cell that holds a number: aligned to the right."""

    __slots__ = ()


def _rounded(quantity: Measured) -> str:
    return value_error(quantity.value, quantity.error, digits=FACT_DIGITS)


def _data(cell: Content) -> Markup:
    return element("td", cell, class_="number" if isinstance(cell, Number) else None)


def _group_rows(split: str, arrays: Arrays) -> list[list[Content]]:
    keys = ("group", "energy_reference", "energy_predicted")
    if not all(key in arrays for key in keys):
        return []
    groups, reference, predicted = (arrays[key].ravel() for key in keys)
    if not groups.size == reference.size == predicted.size:
        return []
    rows: list[list[Content]] = []
    for group in sorted(set(groups.tolist()), key=str)[:MOST_GROUPS]:
        chosen = groups == group
        measured = errors(*np.asarray([reference[chosen], predicted[chosen]], np.float64), 1000.0)
        numbers = [Number(f"{measured.mae:.3g}"), Number(f"{measured.rmse:.3g}")]
        count = Number(f"{measured.count:,}")
        rows.append([split, "energy", str(group), *numbers, "meV/atom", count])
    return rows


def _column(key: str) -> str:
    name, measure = key_and_unit(key)
    return titled(title(name), measure)


def _cell(key: str, value: Any) -> Content:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float):
        # Total energies differ in the digits behind the point.
        digits = ENERGY_DIGITS if key_and_unit(key)[1] == "eV" else FACT_DIGITS
        return Number(value_error(value, digits=digits))
    if isinstance(value, int):
        return Number(str(value))
    if isinstance(value, list):
        return ", ".join(str(each) for each in value)
    return str(value)


def _place(structure: Structure) -> Markup:
    """File and frame, to be broken after a slash where the column is narrow."""
    folder, slash, name = str(structure.facts.get("file", "")).rpartition("/")
    index = structure.facts.get("index", 0)
    return join(folder + slash, element("wbr"), f"{name} [{index}]")


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(each, str) for each in value)
    return isinstance(value, str | int | float | bool)


def _small(text: str) -> Markup | None:
    return element("small", text) if text else None
