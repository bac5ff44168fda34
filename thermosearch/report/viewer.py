"""The 3-D view: its data, its controls and its script; works offline and without WebGL."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from thermosearch.report.geometry import bonds, cell_edges, colour_of, radius_of, ramp
from thermosearch.report.html import Markup, element, join, json_script, note, resource
from thermosearch.report.run_data import Structure

MOST_ATOMS = 10_000
"""Over all structures together: about 1 MB of data on the page."""
SMALL = 200
"""Cells of up to this many atoms are shown with their neighbours at first."""
SHADES = 24
"""Steps of the colours that show height and spread."""
HINT = (
    "Drag to turn, Shift and drag (or two fingers) to move, pinch or scroll with the view in focus "
    "to zoom; arrow keys, + and − do the same. Click one, two or three atoms for an element, "
    "a distance or an angle."
)


def viewer(structures: Sequence[Structure]) -> Markup:
    """Build controls, canvas and data of the structures that fit.

    Parameters
    ----------
    structures : sequence of Structure
        Those beyond `MOST_ATOMS` atoms in total are left out, and the page says so.
    """
    shown = fitting(structures)
    if not shown:
        return note(f"The structures are too large to be drawn here (over {MOST_ATOMS:,} atoms).")
    options = [element("option", each.label, value=str(n)) for n, each in enumerate(shown)]
    modes = {"element": "element", "height": "height"}
    if any("energy_spread" in each.atoms.arrays for each in shown):
        modes["spread"] = "committee spread"
    colours = [element("option", name, value=key) for key, name in modes.items()]
    small = len(shown[0].atoms) <= SMALL
    copies = [
        element("option", f"{n} × {n}", value=str(n), selected=n == (2 if small else 1))
        for n in (1, 2, 3)
    ]
    left_out = len(structures) - len(shown)
    return element(
        "div",
        element(
            "div",
            _choice("Structure", "viewer-structure", options),
            _choice("Colour by", "viewer-colour", colours),
            _choice("Cells", "viewer-cells", copies),
            _check("Bonds", "viewer-bonds"),
            _check("Cell", "viewer-cell"),
            [
                element("button", name, type="button", data_view=name.lower())
                for name in ("Top", "Side", "Reset")
            ],
            class_="controls",
        ),
        element(
            "canvas",
            "The pictures of the structures show the same from two sides.",
            id="viewer-canvas",
            tabindex="0",
            role="img",
            aria_label="Three-dimensional view of the chosen structure",
            aria_describedby="viewer-hint",
        ),
        element("p", "", id="viewer-status", role="status"),
        element("p", HINT, id="viewer-hint", class_="hint"),
        element("p", f"{left_out} more structures are in the run folder.") if left_out else None,
        json_script("viewer-data", viewer_data(shown)),
        id="viewer",
    )


def viewer_data(structures: Sequence[Structure]) -> dict[str, Any]:
    """Collect what the script draws.

    Returns
    -------
    dict
        `structures`, in A to 1e-4: `positions` (n, 3), `cell`, `bonds` and `dimers` as
        `[i, j, a, b, c]` (from atom i to the image of atom j in cell (a, b, c)), `edges` of the
        cell from point to point, and `colours`, by what they show, as places in `palette`;
        `radii` of the elements.
    """
    symbols = sorted({s for each in structures for s in each.atoms.get_chemical_symbols()})
    palette = [*(colour_of(symbol) for symbol in symbols), *map(ramp, np.linspace(0, 1, SHADES))]
    return {
        "structures": [_structure(each, symbols) for each in structures],
        "palette": palette,
        "radii": {symbol: radius_of(symbol) for symbol in symbols},
    }


def script() -> str:
    """Read the viewer's own JavaScript."""
    return resource("viewer.js")


def fitting(structures: Sequence[Structure]) -> list[Structure]:
    """Keep the first structures, as many as fit."""
    total = np.cumsum([len(each.atoms) for each in structures])
    return [each for each, atoms in zip(structures, total, strict=True) if atoms <= MOST_ATOMS]


def _structure(structure: Structure, symbols: list[str]) -> dict[str, Any]:
    atoms = structure.atoms
    linked = bonds(atoms)
    pairs = np.column_stack([linked.first, linked.second, linked.shift])
    elements = [symbols.index(symbol) for symbol in atoms.get_chemical_symbols()]
    spread = np.nan_to_num(atoms.arrays.get("energy_spread", np.zeros(len(atoms))))
    return {
        "label": structure.label,
        "symbols": atoms.get_chemical_symbols(),
        "positions": np.round(atoms.positions, 4).tolist(),
        "cell": np.round(atoms.cell.array, 4).tolist(),
        "pbc": [bool(each) for each in atoms.pbc],
        "bonds": pairs[~linked.dimer].tolist(),
        "dimers": pairs[linked.dimer].tolist(),
        "edges": np.round(cell_edges(atoms), 4).tolist(),
        "colours": {
            "element": elements,
            "height": _shades(atoms.positions[:, 2], len(symbols)),
            "spread": _shades(spread, len(symbols)),
        },
    }


def _shades(values: np.ndarray, first: int) -> list[int]:
    """Places in the palette, whose ramp begins at `first`, of values from least to largest."""
    span = float(np.ptp(values)) or 1.0
    return [first + round(each) for each in (values - values.min()) / span * (SHADES - 1)]


def _choice(name: str, identifier: str, options: Sequence[Markup]) -> Markup:
    return element("label", join(name + " "), element("select", options, id=identifier))


def _check(name: str, identifier: str) -> Markup:
    box = element("input", type="checkbox", id=identifier, checked=True)
    return element("label", box, join(" " + name))
