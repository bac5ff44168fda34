import base64
import io
import re

import matplotlib.image
import numpy as np
import pytest
from runs import dimer_slab

from thermosearch.report.figures.convergence import convergence_figures
from thermosearch.report.figures.drawing import INK, finite, new_axes, to_markup
from thermosearch.report.figures.learning import data_figures, learning_figures
from thermosearch.report.figures.nested import POINT_COLOURS, dead_point_figure
from thermosearch.report.figures.parity import errors, least_seen_first, parity_figures
from thermosearch.report.figures.spread import calibration_figures
from thermosearch.report.figures.structure import structure_figure
from thermosearch.report.html import Markup


def words(figure: Markup) -> str:
    return re.search(r'aria-label="([^"]*)"', figure)[1]


def test_errors_are_those_of_the_definition() -> None:
    found = errors(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.3, 2.6]), scale=1000.0)
    assert found.mae == pytest.approx((0.0 + 300.0 + 400.0) / 3.0)
    assert found.rmse == pytest.approx(np.sqrt((300.0**2 + 400.0**2) / 3.0))
    assert found.count == 3


@pytest.mark.parametrize("count", [20, 5000])
def test_parity_states_its_errors(count: int) -> None:
    reference = np.linspace(-4.0, 4.0, count)
    predicted = reference + np.where(np.arange(count) % 2, 0.02, -0.01)
    split = {"force_reference": reference, "force_predicted": predicted}
    (figure,) = parity_figures({"test": split})
    assert f"MAE 0.015 eV/Å, RMSE 0.0158 eV/Å, {count} values" in words(figure)
    # Many points are a picture inside the figure, few are marks.
    assert ("data:image/png" in figure) == (count == 5000)
    assert len(figure) < 60_000


def test_parity_leaves_out_what_cannot_be_compared() -> None:
    pair = {"energy_reference": np.array([1.0, np.nan]), "energy_predicted": np.array([1.5, 2.0])}
    assert "1 values" in words(parity_figures({"test": pair})[0])
    unequal = {"energy_reference": np.zeros(3), "energy_predicted": np.zeros(2)}
    assert parity_figures({"test": unequal, "train": {"energy_reference": np.zeros(3)}}) == []


def test_splits_in_order() -> None:
    given = ["train", "validation", "test_b", "other", "test_a"]
    assert least_seen_first(given) == ["test_a", "test_b", "validation", "other", "train"]


def test_calibration_counts_errors_within_the_spread() -> None:
    spread = np.full(100, 0.1)
    error = np.where(np.arange(100) < 68, 0.05, 0.2)
    split = {"energy_reference": np.zeros(100), "energy_predicted": error, "energy_spread": spread}
    other = {"energy_reference": np.zeros(5), "energy_predicted": np.ones(5)}
    (figure,) = calibration_figures({"train": other, "validation": split})
    assert "68% of the errors are within one spread" in words(figure)


def test_convergence_of_several_methods() -> None:
    series = {
        f"{method}_{k}": {"calls": np.arange(1, 6) * 10, "energy": best - 0.1 * np.arange(5)}
        for method, best in (("random", 3.0), ("seed", 2.0))
        for k in (0, 1)
    }
    best, distance = convergence_figures(series, {"convergence/unit": "J/m^2"})
    assert "4 seeds" in words(best)
    assert "lowest value is 1.6 J/m²" in words(best)
    assert "CMA-ES" in best
    assert "random" in best
    assert "2 of 4 seeds" in distance


@pytest.mark.parametrize(
    "arrays",
    [
        {"calls": np.array([]), "energy": np.array([])},
        {"calls": np.array([1, 2]), "energy": np.array([np.nan, np.nan])},
        {"calls": np.array([1, 2, 3]), "energy": np.array([1.0])},
        {"energy": np.array([1.0])},
    ],
)
def test_series_without_points_give_no_figure(arrays: dict[str, np.ndarray]) -> None:
    assert convergence_figures({"seed_0": arrays}, {}) == []


def test_series_of_one_value() -> None:
    series = {"seed_0": {"calls": np.array([5]), "energy": np.array([2.0])}}
    assert len(convergence_figures(series, {})) == 1


def raster_colours(figure: Markup) -> set[str]:
    """Colours of the opaque pixels of a figure's raster layer."""
    (picture,) = re.findall(r'data:image/png;base64,([^"]*)"', figure)
    pixels = matplotlib.image.imread(io.BytesIO(base64.b64decode(picture))).reshape(-1, 4)
    opaque = np.rint(255 * pixels[pixels[:, 3] == 1.0, :3]).astype(int)
    return {f"#{r:02x}{g:02x}{b:02x}" for r, g, b in np.unique(opaque, axis=0)}


def dead_runs(*keys: str) -> dict[str, dict[str, np.ndarray]]:
    value, live = np.linspace(5.0, 0.0, 200), np.full(200, 50.0)
    return {
        key: {"value": value + number, "volume": value + 20.0 - number, "live": live}
        for number, key in enumerate(keys)
    }


def test_dead_points_are_told_apart_by_their_conditions() -> None:
    runs = dead_runs("p0_r0", "p0_r1", "p1_r0", "p1_r1")
    labels = {"p0": "p = 0.1 GPa", "p1": "p = 8 GPa"}
    annotations = {f"dead/{key}/label": labels[key[:2]] for key in runs}
    figure = dead_point_figure(runs, annotations)
    assert [figure.count(label) for label in labels.values()] == [1, 1]
    found = raster_colours(figure)
    assert set(POINT_COLOURS[:2]) <= found and not set(POINT_COLOURS[2:]) & found


def test_repeats_of_one_run_are_told_apart() -> None:
    runs = dead_runs("p0_r0", "p0_r1")
    figure = dead_point_figure(runs, {f"dead/{key}/label": "" for key in runs})
    assert "p0_r0" in figure and "p0_r1" in figure
    assert set(POINT_COLOURS[:2]) <= raster_colours(figure)
    assert "p0_r0" not in dead_point_figure(dead_runs("p0_r0"), {})


def test_learning_curves_say_where_they_end() -> None:
    member = {"epoch": np.arange(4), "loss_train": np.array([4.0, 2.0, 1.0, 0.5])}
    (figure,) = learning_figures({"member_0": member, "member_1": member})
    assert "training 0.5" in words(figure)
    assert "one line a member" in figure
    energy, force = data_figures(
        {
            "n_train": np.array([50, 100]),
            "energy_mae": np.array([8.0, 4.0]),
            "force_mae": np.array([0.2, 0.1]),
        }
    )
    assert "from 8 with 50 training structures to 4 with 100" in words(energy)
    assert "from 0.2 with 50 training structures to 0.1 with 100" in words(force)


def test_colours_and_size_follow_the_page() -> None:
    figure, axes = new_axes()
    axes.plot([0, 1], [0, 1], color=INK)
    axes.set_title("a < b & c")
    made = to_markup(figure, 'alt "quoted" <text>', "caption <here>")
    assert "var(--ink)" in made
    assert "var(--grid)" in made
    assert "caption &lt;here&gt;" in made
    assert "alt &quot;quoted&quot; &lt;text&gt;" in made
    assert "a &lt; b &amp; c" in made
    assert not re.search(r"#0000|#0001|<style|<metadata|http", made)


def test_only_finite_entries_are_drawn() -> None:
    first, second = finite(np.array([1.0, np.inf, 3.0]), np.array([1, 2, 3]))
    np.testing.assert_array_equal(first, [1.0, 3.0])
    np.testing.assert_array_equal(second, [1.0, 3.0])


def test_still_pictures_hold_atoms_bonds_and_cell() -> None:
    slab = dimer_slab()
    made = structure_figure(slab, "best")
    top, side = re.findall(r"<svg.*?</svg>", made)
    # Repeated twice along both directions from above, along the dimer from the side.
    assert top.count("<circle") == 4 * len(slab)
    assert side.count("<circle") == 2 * len(slab)
    assert top.count('class="dimer"') == 4
    assert side.count('class="dimer"') == 2
    assert top.count('class="cell"') == 4
    assert "Si4 from above, coloured by height" in top


def test_pictures_of_one_page_keep_their_colours() -> None:
    """Two alloys on one lattice: a gradient's name stands for one colour."""
    first, second = dimer_slab(), dimer_slab()
    first.symbols, second.symbols = "SiGeSiGe", "GeSiCSi"
    page = structure_figure(first, "first") + structure_figure(second, "second")
    gradients = re.findall(
        r'<radialGradient id="([^"]*)".*?offset="0.45" stop-color="([^"]*)"', page
    )
    assert len(gradients) == 2 * (2 + 3)
    assert len(dict(gradients)) == len(set(gradients))
