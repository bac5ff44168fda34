"""Figures of phases: what is drawn, and that nothing is made up where there is nothing."""

from pathlib import Path

import numpy as np
import pytest

from thermosearch.report.figures.phases import (
    basin_figures,
    diagram_figure,
    pattern_figures,
    share_figures,
)
from thermosearch.report.run_data import Measured, Run
from thermosearch.report.sections import results
from thermosearch.report.tables import transition_table

GRID = np.linspace(300.0, 900.0, 7)
UNITS = {f"curves/{k}/pressure": p for k, p in ((0, 0.1), (1, 8.0))} | {
    "curves/0/label": "p = 0.1 GPa",
    "curves/1/label": "p = 8 GPa",
    "units/pressure": "GPa",
    "units/temperature": "K",
    "units/energy": "eV",
    "units/distance": "A",
    "units/wave_number": "1/A",
}


def phase(melting: float) -> dict[str, np.ndarray]:
    solid = (melting > GRID).astype(float)
    return {
        "temperature": GRID,
        "names": np.array(["Fd-3m (227)", "disordered"]),
        "dominant": np.where(solid > 0.5, "Fd-3m (227)", "disordered"),
        "shares": np.stack((solid, 1.0 - solid)),
        "shares_error": np.full((2, 7), 0.1),
        "basins": np.array(["1 Fd-3m (227)", "others"]),
        "quench_basin": np.array([0, 1, 0]),
        "quench_value": np.array([-30.0, -28.0, -31.0]),
        "quench_enthalpy": np.array([-4.0, -3.8, -4.0]),
        "distance": np.linspace(0.1, 5.0, 20),
        "pair_distribution": np.ones((20, 7)),
        "wave_number": np.linspace(0.1, 8.0, 30),
        "powder_pattern": np.ones((30, 7)),
    }


PHASES = {"0": phase(700.0), "1": phase(500.0)}
TRANSITIONS = {
    "pressure": np.array([8.0, 0.1]),
    "temperature": np.array([512.0, 703.0]),
    "error": np.array([21.0, 14.0]),
    "rank": np.array([0, 0]),
    "below": np.array(["Fd-3m (227)"] * 2),
    "above": np.array(["disordered"] * 2),
}


def test_the_diagram_shows_phases_and_transitions() -> None:
    figure = diagram_figure(TRANSITIONS, PHASES, UNITS)
    for text in (
        "Fd-3m (227)",
        "disordered",
        "2 transitions over 2 phases",
        "pressure (GPa)",
        "temperature (K)",
    ):
        assert text in figure


def test_the_table_is_in_the_order_of_the_pressures() -> None:
    table = transition_table(TRANSITIONS, UNITS)
    assert table.index("703(14)") < table.index("512(21)")


@pytest.mark.parametrize(
    ("draw", "count"), [(share_figures, 2), (basin_figures, 2), (pattern_figures, 4)]
)
def test_every_pressure_has_its_figures(draw: object, count: int) -> None:
    figures = draw(PHASES, UNITS)
    assert len(figures) == count and "p = 8 GPa" in figures[-1]


def test_clusters_have_basins_and_no_space_groups() -> None:
    cluster = phase(700.0) | {"names": np.array([""]), "shares": np.ones((1, 7))}
    assert share_figures({"0": cluster}, {}) == []
    assert len(basin_figures({"0": cluster}, {})) == 1


@pytest.mark.parametrize("draw", [share_figures, basin_figures, pattern_figures])
def test_nothing_comes_of_nothing(draw: object) -> None:
    assert draw({"0": {"temperature": GRID}}, {}) == []


def test_equal_numbers_of_different_things_are_all_shown() -> None:
    """Two slabs alike, and one peak at two pressures: no card stands for another."""
    slabs = [
        Measured(name, value, error, "J/m^2", {"phase": phase})
        for name, value, error in (
            ("surface_free_energy", 2.3556, 0.0),
            ("energy_above_hull", 0.0, None),
        )
        for phase in ("ideal", "other 2x2")
    ]
    section = str(results(Run(Path(), quantities=tuple(slabs))).body)
    assert section.count('class="card"') == 4
    names = ("transition_temperature", "heat_capacity_peak_temperature")
    peaks = [
        Measured(name, 1018.0, 24.0, "K", {"p_GPa": pressure})
        for name, pressure in zip(names, (4.0, 8.0), strict=True)
    ]
    section = str(results(Run(Path(), quantities=tuple(peaks)), names).body)
    assert section.count('class="card"') == 2


def test_a_transition_is_not_shown_twice_under_two_names() -> None:
    """A maximum of the heat capacity and the transition it is are one number: one card."""
    found = [
        Measured(name, value, 24.0, "K", {"p_GPa": pressure})
        for value, pressure in ((1018.0, 4.0), (1082.0, 8.0))
        for name in ("heat_capacity_peak_temperature", "transition_temperature")
    ]
    names = ("transition_temperature", "heat_capacity_peak_temperature")
    section = str(results(Run(Path(), quantities=tuple(found)), names).body)
    assert section.count('class="card"') == 2
    assert section.count("Transition temperature") == 2
