"""The report of a harmonic run, written by hand as the engine writes it."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from report.runs import Page, quantity, write_study

from thermosearch.report.figures.harmonic import (
    band_figures,
    course_figures,
    density_figures,
    thermal_figures,
)
from thermosearch.report.write import write_report

KELVIN = np.array([100.0, 300.0, 600.0])


def arrays() -> dict[str, object]:
    found: dict[str, object] = {}
    for key, phase, kind, shift in (
        ("one_p0", "one", "effective harmonic", 0.0),
        ("two_p0", "two", "effective harmonic", 0.01),
        ("one_p0_quasi", "one", "quasi-harmonic", 0.002),
        ("one_harmonic", "one", "harmonic", 0.003),
    ):
        place = f"thermal/{key}"
        found |= {f"{place}/temperature": KELVIN, f"{place}/phase": phase}
        found[f"{place}/approximation"] = kind
        found[f"{place}/free_energy"] = -4.0 + shift - 1e-5 * KELVIN
        if kind == "harmonic":
            continue
        found[f"{place}/pressure"] = 0.0
        for name, unit in (("gibbs_energy", "eV/atom"), ("lattice_parameter_a", "A")):
            found[f"{place}/{name}"] = shift - 1e-5 * KELVIN
            found[f"{place}/{name}_error"] = np.full(3, 1e-4)
            found[f"{place}/{name}_unit"] = unit
    found |= {
        "bands/one_p0/temperature": KELVIN[:2],
        "bands/one_p0/distance": np.linspace(0.0, 1.0, 5),
        "bands/one_p0/frequency": np.ones((2, 5, 3)) * [[[-1.0, 2.0, 3.0]]],
        "bands/one_p0/ticks": np.array([0.0, 0.5, 0.5, 1.0]),
        "bands/one_p0/labels": np.array(["Γ", "X", "<b>", "L"]),
        "dos/one_p0/temperature": KELVIN[:2],
        "dos/one_p0/frequency": np.linspace(0.0, 5.0, 7),
        "dos/one_p0/density": np.ones((2, 7)),
        "iterations/one_p0/temperature": np.array([100.0, 100.0, 300.0]),
        "iterations/one_p0/gain": np.array([0.1, -0.001, 0.01]),
        "iterations/one_p0/noise": np.array([0.01, 0.01, 0.01]),
    }
    return found


def harmonic_run(folder: Path) -> Path:
    folder.mkdir()
    at = {"phase": "one", "approximation": "effective harmonic"}
    content = {
        "schema": 1,
        "engine": "harmonic",
        "status": "finished",
        "quantities": [
            quantity("transition_temperature", 2012.0, 40.0, "K", phase="one to two"),
            *(
                quantity("free_energy", -4.0 - 0.01 * k, 1e-4, "eV/atom", T_K=100.0 * k, **at)
                for k in range(100)
            ),
        ],
        "structures": [],
    }
    (folder / "results.json").write_text(json.dumps(content))
    with h5py.File(folder / "results.h5", "w") as file:
        for name, value in arrays().items():
            array = np.asarray(value)
            if array.dtype.kind == "U":
                file.create_dataset(name, data=array.astype(object), dtype=h5py.string_dtype())
            else:
                file[name] = array
    write_study(folder, "harmonic")
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = harmonic_run(tmp_path_factory.mktemp("harmonic") / "run")
    return Page(write_report(folder))


def test_sections_and_headline(page: Page) -> None:
    ids = page.section_ids()
    assert ids[:4] == ["results", "thermodynamics", "phonons", "convergence"]
    card = page.by_id("results").all("dd")[0]
    assert card.full_text() == "2010(40)\u00a0K"


def test_a_long_table_is_folded(page: Page) -> None:
    summaries = [each.full_text() for each in page.by_id("results").all("summary")]
    assert summaries == ["All 101 quantities"]


def test_what_is_drawn(page: Page) -> None:
    captions = [each.full_text() for each in page.by_id("thermodynamics").all("figcaption")]
    assert captions[0].startswith("Gibbs energy relative to one at 0 GPa")
    assert captions[1].startswith("Free energy of one less that of the harmonic")
    assert captions[2].startswith("Lattice parameter a")
    assert len(page.by_id("phonons").all("figcaption")) == 2
    drawn = page.by_id("phonons").full_text()
    assert "X|<b>" in drawn
    assert len(page.by_id("convergence").all("figcaption")) == 1


@pytest.mark.parametrize("name", ["frequency", "temperature", "distance", "density", "gain"])
def test_what_is_cut_short_is_left_out(name: str) -> None:
    tables: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for path, value in arrays().items():
        group, member, key = path.split("/")
        if np.ndim(value):
            short = key == name and group != "thermal"
            table = tables.setdefault(group, {}).setdefault(member, {})
            table[key] = np.asarray(value)[:1] if short else np.asarray(value)
    figures = [
        band_figures(tables["bands"]),
        density_figures(tables["dos"]),
        course_figures(tables["iterations"]),
    ]
    expected = {
        "frequency": [0, 0, 1],
        "temperature": [0, 0, 0],
        "distance": [0, 1, 1],
        "density": [1, 0, 1],
        "gain": [1, 1, 0],
    }
    assert [len(each) for each in figures] == expected[name]


def test_nothing_to_draw() -> None:
    assert thermal_figures({}, {}) == []
    assert thermal_figures({"x": {"free_energy": KELVIN}}, {}) == []
