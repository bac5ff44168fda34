"""Figures of a search and of surface thermodynamics: drawn from what a run holds, or not at all."""

import numpy as np
from ase import Atoms
from ase.build import diamond100

from thermosearch.report.figures.search import (
    environment_figures,
    final_energy_figures,
    height_figure,
    population_figures,
    success_figures,
    surface_diagram_figures,
)


def test_success_names_every_engine() -> None:
    curve = {
        "calls": np.array([0.0, 100.0, 300.0]),
        "probability": np.array([0.0, 0.5, 1.0]),
        "low": np.array([0.0, 0.1, 0.3]),
        "high": np.array([0.6, 0.9, 1.0]),
        "first_hit_calls": np.array([100, 300]),
    }
    (figure,) = success_figures({"cma": curve, "basin_hopping": curve})
    assert "CMA-ES" in figure
    assert "basin hopping" in figure
    assert "2 seeds" in figure
    assert success_figures({}) == []


def test_final_energies_leave_out_seeds_that_ended_in_nothing() -> None:
    ended = {"cma": {"final_energy": np.array([-3.0, np.nan, -4.5])}}
    told = {"final_energies/unit": "eV", "final_energies/level": -4.0}
    (figure,) = final_energy_figures(ended, told)
    assert "final energy (eV)" in figure
    assert "CMA-ES" in figure
    assert final_energy_figures({"cma": {"final_energy": np.array([np.nan])}}, told) == []
    assert final_energy_figures({"cma": {"calls": np.zeros(1)}}, {}) == []


def test_population_survives_generations_without_any_accepted() -> None:
    energies = np.array([[1.0, 2.0, np.nan], [np.nan] * 3, [0.5, 0.7, 0.6]])
    (figure,) = population_figures({"seed_0": {"generation_energy": energies}}, {})
    assert "generation" in figure
    assert population_figures({"seed_0": {"generation_energy": energies[1:2]}}, {}) == []
    assert population_figures({}, {}) == []


def test_the_height_map_is_of_the_upper_face() -> None:
    slab = diamond100("Si", (2, 2, 4), a=5.43, vacuum=6.0)
    assert "<svg" in height_figure(slab, "clean")
    assert "<svg" in height_figure(slab + Atoms("Si", [[1.0, 1.0, 20.0]]), "one atom more")


def test_the_map_counts_what_is_outside() -> None:
    arrays = {
        "training": np.random.default_rng(1).normal(size=(50, 2)),
        "found": np.zeros((4, 2)),
        "nearest": np.array([0.1, 0.2, 0.3, 5.0]),
    }
    (figure,) = environment_figures(arrays, {"environments/limit": 1.0})
    assert "1 of 4 are outside" in figure
    assert environment_figures({}, {}) == []


def test_the_diagram_names_the_stable_ones_in_order() -> None:
    axis = np.linspace(0.0, 1.0, 11)
    slabs = {
        "00": {"axis": axis, "gamma": 1.0 - axis, "error": np.array([0.01])},
        "01": {"axis": axis, "gamma": 0.5 + 0.0 * axis, "error": np.array([0.0])},
    }
    labels = {"surface_diagram/00/label": "rich", "surface_diagram/01/label": "poor"}
    (figure,) = surface_diagram_figures(slabs, labels)
    assert "poor, rich" in figure
    assert surface_diagram_figures({}, {}) == []
