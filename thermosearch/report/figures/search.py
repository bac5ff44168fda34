"""Figures of a search and of surface thermodynamics."""

from collections.abc import Mapping

import ase
import numpy as np

from thermosearch.report.figures.drawing import (
    INK,
    MUTED,
    RASTER_COLOUR,
    RASTER_GREY,
    SERIES,
    add_legend,
    new_axes,
    plain,
    to_markup,
)
from thermosearch.report.html import Markup
from thermosearch.report.notation import title, unit
from thermosearch.report.run_data import Arrays

NAMES = {"cma": "CMA-ES"}
PIXELS = 160
"""Of the longer side of a height map."""
DIAMETER = 2.4
"""Width of an atom in a height map, A."""


def success_figures(success: Mapping[str, Arrays]) -> list[Markup]:
    """Distribution of the first hit of every engine, with its band.

    Parameters
    ----------
    success : mapping of str to arrays
        `calls`, `probability`, `low`, `high`, each (k,), and `first_hit_calls` (seeds,), by
        engine.
    """
    drawn = {name: each for name, each in success.items() if "probability" in each}
    if not drawn:
        return []
    figure, axes = new_axes()
    end = max(float(each["first_hit_calls"].max()) for each in drawn.values())
    for colour, (name, each) in zip(_colours(len(drawn)), drawn.items(), strict=True):
        calls = np.append(each["calls"], end)
        axes.step(calls, _held(each["probability"]), where="post", color=colour, label=_name(name))
        axes.fill_between(
            calls,
            _held(each["low"]),
            _held(each["high"]),
            step="post",
            color=colour,
            alpha=0.15,
            linewidth=0,
        )
    axes.set_ylim(0.0, 1.02)
    axes.set_xlim(0.0, end)
    axes.set_xlabel("energy and force calls of a seed")
    axes.set_ylabel("share of seeds that have succeeded")
    add_legend(axes, columns=len(drawn), loc="lower right", bbox_to_anchor=(1.0, 1.0))
    seeds = len(next(iter(drawn.values()))["first_hit_calls"])
    return [
        to_markup(
            figure,
            f"Share of {seeds} seeds of each engine that have reached the target against calls.",
            "Share of the seeds that have reached the target (Kaplan-Meier), with the pointwise "
            "95 % band; calls are those executed, idle lanes included.",
        )
    ]


def final_energy_figures(
    success: Mapping[str, Arrays], annotations: Mapping[str, str | float]
) -> list[Markup]:
    """Distribution of the energies in which the seeds of every engine ended.

    Parameters
    ----------
    success : mapping of str to arrays
        `final_energy`, (seeds,), NaN for a seed that ended in nothing, by engine.
    annotations : mapping
        `final_energies/unit`, and `final_energies/level`: at or below it a seed has succeeded.
    """
    ended = {name: each["final_energy"] for name, each in success.items() if "final_energy" in each}
    ended = {name: each for name, each in ended.items() if np.isfinite(each).any()}
    if not ended:
        return []
    figure, axes = new_axes()
    for colour, (name, energies) in zip(_colours(len(ended)), ended.items(), strict=True):
        ordered = np.sort(energies[np.isfinite(energies)])
        share = np.arange(1, len(ordered) + 1) / len(energies)
        axes.step(ordered, share, where="post", color=colour, alpha=0.5)
        axes.plot(ordered, share, "o", color=colour, markersize=4, label=_name(name))
    level = annotations.get("final_energies/level")
    if level is not None:
        axes.axvline(float(level), color=MUTED, linestyle="--", linewidth=1.0)
    axes.set_ylim(0.0, 1.04)
    axes.set_xlabel(f"final energy ({unit(str(annotations.get('final_energies/unit', 'eV')))})")
    axes.set_ylabel("share of seeds that ended as low")
    add_legend(axes, columns=len(ended), loc="lower right", bbox_to_anchor=(1.0, 1.0))
    return [
        to_markup(
            figure,
            "Share of the seeds of each engine that ended at or below an energy.",
            "Energies in which the seeds ended, fully relaxed, lowest first; a seed left of the "
            "dashed line has succeeded.",
        )
    ]


def population_figures(
    series: Mapping[str, Arrays], annotations: Mapping[str, str | float]
) -> list[Markup]:
    """Spread of energies within the generations of the first seed of CMA-ES."""
    arrays = series.get("seed_0", {})
    population = arrays.get("generation_energy")
    if population is None or not np.isfinite(population).any():
        return []
    kept = np.isfinite(population).any(axis=1)
    quantiles = np.nanquantile(population[kept], [0.0, 0.25, 0.5, 0.75, 1.0], axis=1)
    generation = np.arange(1, len(population) + 1)[kept]
    figure, axes = new_axes()
    axes.fill_between(generation, quantiles[0], quantiles[4], color=SERIES[0], alpha=0.12)
    axes.fill_between(generation, quantiles[1], quantiles[3], color=SERIES[0], alpha=0.3)
    axes.plot(generation, quantiles[2], color=SERIES[0])
    label = str(annotations.get("convergence/label", "energy"))
    measure = str(annotations.get("convergence/unit", "eV"))
    axes.set_xlabel("generation")
    axes.set_ylabel(plain(f"{label} ({unit(measure)})"))
    return [
        to_markup(
            figure,
            f"{title(label)} within each generation of seed 0.",
            f"{title(label)} within the generations of seed 0: median, the middle half and all.",
        )
    ]


def height_figure(atoms: ase.Atoms, label: str) -> Markup:
    """Height of the surface over the cell, atoms as balls: what a blunt tip would feel."""
    cell = atoms.cell.array[:2, :2]
    lengths = np.linalg.norm(cell, axis=1)
    count = np.maximum(8, np.round(PIXELS * lengths / lengths.max())).astype(int)
    grid = np.stack(
        np.meshgrid(*(np.arange(n) / n for n in count), indexing="ij"), axis=-1
    ).reshape(-1, 2)
    points = grid @ cell
    top = atoms.positions[:, 2].max()
    surface = np.full(len(points), -np.inf)
    inverse = np.linalg.inv(cell)
    for x, y, z in atoms.positions[atoms.positions[:, 2] > top - 6.0]:
        away = points - (x, y)
        away -= np.round(away @ inverse) @ cell
        inside = DIAMETER**2 / 4.0 - np.sum(away**2, axis=1)
        surface = np.maximum(surface, np.where(inside > 0.0, z + np.sqrt(np.abs(inside)), -np.inf))
    surface = np.where(np.isfinite(surface), surface, surface[np.isfinite(surface)].min())
    figure, axes = new_axes()
    drawn = axes.tripcolor(
        *points.T, surface - surface.max(), shading="gouraud", cmap="cividis", rasterized=True
    )
    axes.set_aspect("equal")
    axes.grid(False)
    axes.set_xlabel("x (Å)")
    axes.set_ylabel("y (Å)")
    figure.colorbar(drawn, ax=axes, label="height (Å)")
    return to_markup(
        figure,
        f"Height of the surface of {label} over its cell.",
        f"Heights of {label} below its highest point, atoms as balls of {DIAMETER} Å.",
    )


def environment_figures(
    environments: Arrays, annotations: Mapping[str, str | float]
) -> list[Markup]:
    """Principal components of the surroundings of atoms: training data, and what was found."""
    if not {"training", "found", "nearest"} <= set(environments):
        return []
    training, found = environments["training"], environments["found"]
    limit = float(annotations.get("environments/limit", np.inf))
    outside = environments["nearest"] > limit
    figure, axes = new_axes()
    axes.plot(*training.T, ".", color=RASTER_GREY, markersize=2, alpha=0.4, rasterized=True)
    axes.plot(
        *found[~outside].T, ".", color=RASTER_COLOUR, markersize=5, rasterized=True, label="inside"
    )
    axes.plot(*found[outside].T, "x", color=INK, markersize=5, label="outside")
    axes.set_xlabel("first principal component")
    axes.set_ylabel("second principal component")
    add_legend(axes, columns=2, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    return [
        to_markup(
            figure,
            f"Surroundings of atoms: {int(outside.sum())} of {len(outside)} are outside.",
            f"Surroundings of the atoms of all minima over those of the training data (grey); "
            f"{int(outside.sum())} of {len(outside)} are farther from their nearest training atom "
            "than 99 % of the training atoms are from one another.",
        )
    ]


def surface_diagram_figures(
    slabs: Mapping[str, Arrays], annotations: Mapping[str, str | float]
) -> list[Markup]:
    """Surface free energy of every termination along the axis; the lowest is stable."""
    drawn = {name: each for name, each in sorted(slabs.items()) if "gamma" in each}
    if not drawn:
        return []
    figure, axes = new_axes()
    labels = {n: str(annotations.get(f"surface_diagram/{n}/label", n)) for n in drawn}
    for colour, (name, each) in zip(_colours(len(drawn)), drawn.items(), strict=True):
        axes.plot(each["axis"], each["gamma"], color=colour, label=plain(labels[name]))
        error = float(each["error"][0])
        if error > 0.0:
            band = (each["gamma"] - error, each["gamma"] + error)
            axes.fill_between(each["axis"], *band, color=colour, alpha=0.15, linewidth=0)
    label = str(annotations.get("surface_diagram/axis_label", "axis"))
    measure = str(annotations.get("surface_diagram/axis_unit", ""))
    axes.set_xlabel(plain(f"{label} ({unit(measure)})"))
    axes.set_ylabel("surface free energy (J/m²)")
    add_legend(axes, columns=min(len(drawn), 3), loc="lower right", bbox_to_anchor=(1.0, 1.0))
    gammas = np.stack([each["gamma"] for each in drawn.values()])
    stable = [list(labels.values())[k] for k in dict.fromkeys(np.argmin(gammas, axis=0).tolist())]
    return [
        to_markup(
            figure,
            f"Surface free energies of {len(drawn)} terminations against {label}.",
            f"Surface free energies; stable along the axis: {', '.join(stable)}.",
        )
    ]


def _colours(count: int) -> list[str]:
    return [SERIES[k % len(SERIES)] for k in range(count)]


def _held(values: np.ndarray) -> np.ndarray:
    """Hold the last value to the end of the axis."""
    return np.append(values, values[-1])


def _name(engine: str) -> str:
    return plain(NAMES.get(engine, engine.replace("_", " ")))
