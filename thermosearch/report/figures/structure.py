"""Still pictures of a structure, from above and from the side, as small SVG of our own."""

import hashlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

import ase
import numpy as np

from thermosearch.report.geometry import Bonds, bonds, colour_of, mix, radius_of, ramp
from thermosearch.report.html import Markup, element

View = Literal["top", "side"]

ATOM_SCALE = 0.62
SHADES = 12
"""Height colours are rounded to this many, each needing one gradient."""
TOP_DEPTH = 4.6
"""From above, atoms deeper than this below the highest are left out, A."""
DEEPEST_SIZE = 0.55
"""From above, the deepest atoms are drawn at this share of their size."""
WIDE_ENOUGH = 14.0
"""Cells narrower than this are repeated, A."""
MOST_REPEATS = 4
MOST_ATOMS = 1500


class Scene(NamedTuple):
    """Atoms and bonds of the repeated cell, as seen: x to the right, y up, z to the eye."""

    points: np.ndarray
    colours: list[str]
    radii: np.ndarray
    bonds: Bonds
    outline: list[np.ndarray]


def structure_figure(atoms: ase.Atoms, label: str, along: int = 0) -> Markup:
    """Pictures from above and from the side, with what they show as alternative text.

    Atoms are coloured by element, or by height where there is one element only; bonds by
    covalent radii, dimers strong; the cell is outlined and repeated where it is small.

    Parameters
    ----------
    atoms : ase.Atoms
        With the slab's normal along z, if it is one.
    label : str
        Name of the structure.
    along : int
        Lattice vector, 0 or 1, that runs to the right in the side view.
    """
    key = "height" if len(set(atoms.numbers.tolist())) == 1 else "element"
    views: tuple[tuple[View, str], ...] = (("top", "above"), ("side", "the side"))
    pictures = []
    for view, words in views:
        alt = f"{label}: {atoms.get_chemical_formula()} from {words}, coloured by {key}."
        picture = _picture(_scene(atoms, view, along), alt)
        caption = element("figcaption", f"From {words}")
        pictures.append(element("figure", picture, caption))
    return element("div", pictures, class_="views")


def side_axis(structures: Sequence[ase.Atoms]) -> int:
    """Lattice vector, 0 or 1, along which the dimers of the first structure with dimers lie."""
    for atoms in structures:
        linked = bonds(atoms)
        if linked.dimer.any():
            first, second, shift = (each[linked.dimer] for each in linked[:3])
            vectors = atoms.positions[second] - atoms.positions[first] + shift @ atoms.cell.array
            lengths = np.linalg.norm(atoms.cell.array[:2], axis=1)
            lattice = atoms.cell.array[:2] / np.maximum(lengths, 1e-9)[:, None]
            return int(np.argmax(np.abs(vectors @ lattice.T).mean(axis=0)))
    return 0


def _picture(scene: Scene, alt: str) -> Markup:
    low = (scene.points - scene.radii[:, None]).min(axis=0)[:2]
    high = (scene.points + scene.radii[:, None]).max(axis=0)[:2]
    for line in scene.outline:
        low = np.minimum(low, line[:, :2].min(axis=0))
        high = np.maximum(high, line[:, :2].max(axis=0))
    low, high = low - 0.1, high + 0.1
    seen = repr((scene.points.tolist(), scene.colours))
    prefix = "s" + hashlib.sha256(seen.encode()).hexdigest()[:8]
    shades = {colour: f"{prefix}-{n}" for n, colour in enumerate(sorted(set(scene.colours)))}
    return element(
        "svg",
        element("defs", [_gradient(name, colour) for colour, name in shades.items()]),
        element(
            "g",
            [drawn for _, drawn in sorted(_items(scene, shades), key=lambda item: item[0])],
            [_line(line, "cell") for line in scene.outline],
            transform=f"translate({-low[0]:.2f} {high[1]:.2f}) scale(1 -1)",
        ),
        viewBox=f"0 0 {high[0] - low[0]:.2f} {high[1] - low[1]:.2f}",
        role="img",
        aria_label=alt,
        class_="structure",
    )


def _scene(atoms: ase.Atoms, view: View, along: int) -> Scene:
    repeats = _repeats(atoms, (0, 1) if view == "top" else (along,))
    cluster = atoms.repeat(repeats)
    cluster.pbc = False
    if view == "top":
        height = cluster.positions[:, 2]
        cluster = cluster[height >= height.max() - TOP_DEPTH]
    turn = _turn(atoms, view, along)
    symbols = cluster.get_chemical_symbols()
    rise = cluster.positions[:, 2] - cluster.positions[:, 2].min()
    share = rise / (rise.max() or 1.0)
    if len(set(symbols)) == 1:
        colours = [ramp(round(each * SHADES) / SHADES) for each in share.tolist()]
    else:
        colours = [colour_of(symbol) for symbol in symbols]
    radii = ATOM_SCALE * np.array([radius_of(symbol) for symbol in symbols])
    if view == "top":
        radii = radii * (DEEPEST_SIZE + (1.0 - DEEPEST_SIZE) * share)
    outline = [corners @ turn.T for corners in _outline(atoms, view, along)]
    return Scene(cluster.positions @ turn.T, colours, radii, bonds(cluster), outline)


def _repeats(atoms: ase.Atoms, axes: tuple[int, ...]) -> tuple[int, int, int]:
    """How often a small cell is repeated along the given vectors."""
    lengths = np.linalg.norm(atoms.cell.array, axis=1)
    counts = [1, 1, 1]
    for axis in axes:
        if atoms.pbc[axis] and lengths[axis] > 0.5:
            wanted = int(np.ceil(WIDE_ENOUGH / lengths[axis]))
            most = MOST_ATOMS // (len(atoms) * counts[0])
            counts[axis] = max(1, min(wanted, MOST_REPEATS, most))
    return counts[0], counts[1], counts[2]


def _turn(atoms: ase.Atoms, view: View, along: int) -> np.ndarray:
    """Rows are the directions to the right, up and to the eye."""
    if view == "top":
        return np.eye(3)
    right = atoms.cell.array[along] * (1.0, 1.0, 0.0)
    length = np.linalg.norm(right)
    right = right / length if length > 1e-9 else np.array([1.0, 0.0, 0.0])
    up = np.array([0.0, 0.0, 1.0])
    return np.stack([right, up, np.cross(right, up)])


def _outline(atoms: ase.Atoms, view: View, along: int) -> list[np.ndarray]:
    """Lines (2, 3) of the cell as far as the view shows them."""
    a, b, c = atoms.cell.array
    if np.linalg.norm([a, b], axis=1).min() < 0.5:
        return []
    nothing = np.zeros(3)
    if view == "top":
        lines = [(nothing, a), (nothing, b), (a, a + b), (b, a + b)]
        return [np.stack(line) for line in lines]
    across = atoms.cell.array[along]
    if atoms.pbc[2] and np.linalg.norm(c) > 0.5:
        lines = [(nothing, across), (c, across + c), (nothing, c), (across, across + c)]
        return [np.stack(line) for line in lines]
    # A slab's open direction is mostly vacuum: its lines end where the atoms do.
    low, high = (np.array([0.0, 0.0, z]) for z in _height_range(atoms))
    return [np.stack([low, high]), np.stack([across + low, across + high])]


def _height_range(atoms: ase.Atoms) -> tuple[float, float]:
    return float(atoms.positions[:, 2].min()), float(atoms.positions[:, 2].max())


def _items(scene: Scene, shades: dict[str, str]) -> list[tuple[float, Markup]]:
    """Atoms and bonds with their depths; what is drawn later hides what is drawn earlier."""
    items = []
    for (x, y, z), colour, radius in zip(scene.points, scene.colours, scene.radii, strict=True):
        fill = f"url(#{shades[colour]})"
        circle = element("circle", cx=f"{x:.2f}", cy=f"{y:.2f}", r=f"{radius:.2f}", fill=fill)
        items.append((float(z), circle))
    linked = scene.bonds
    for first, second, dimer in zip(linked.first, linked.second, linked.dimer, strict=True):
        start, end = scene.points[first], scene.points[second]
        direction = (end - start) / max(float(np.linalg.norm(end - start)), 1e-9)
        # Sticks reach from ball to ball, so that their depth is that of what is seen of them.
        start = start + 0.9 * scene.radii[first] * direction
        end = end - 0.9 * scene.radii[second] * direction
        stick = _line(np.stack([start, end]), "dimer" if dimer else "bond")
        items.append((float(start[2] + end[2]) / 2.0, stick))
    return items


def _line(ends: np.ndarray, kind: str) -> Markup:
    (x1, y1), (x2, y2) = (f"{each:.2f}" for each in ends[0, :2]), (f"{e:.2f}" for e in ends[1, :2])
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def _gradient(name: str, colour: str) -> Markup:
    return element(
        "radialGradient",
        element("stop", offset="0", stop_color=mix(colour, "#ffffff", 0.65)),
        element("stop", offset="0.45", stop_color=colour),
        element("stop", offset="1", stop_color=mix(colour, "#000000", 0.5)),
        id=name,
        # The picture is drawn with y up, so light from above comes from large y.
        cx="0.38",
        cy="0.62",
        r="0.65",
    )
