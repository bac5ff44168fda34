"""Crystals from nothing: Stillinger-Weber silicon and Lennard-Jones, flexible cells."""

from pathlib import Path

import numpy as np
import pytest

from thermosearch.launch import run
from thermosearch.runtime.results import Quantity, Results

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * 3600)]


DIAMONDS = {"Fd-3m (227)", "P6_3/mmc (194)"}
"""Stillinger-Weber's energy of both is the same, as its cutoff ends before second neighbours."""

PRESSURES = (0.1, 2.0, 4.0, 6.0, 8.0)
"""GPa."""


def silicon(atoms: int, folder: Path) -> Results:
    """Walks of 360 sweeps of single atoms and 60 of each move of the cell, and exchanges."""
    study = {
        "kind": "nested",
        "potential": {"analytic": "stillinger_weber"},
        "system": {
            "composition": {"Si": atoms},
            "flexible_cell": {"pressures": list(PRESSURES), "volume_per_atom": [12.0, 40.0]},
        },
        "method": {
            "walkers": 128,
            "culled": 16,
            "rounds": 60,
            "width": 16,
            "exchange_every": 1,
            "moves": [
                {"name": "atom", "count": 6},
                {"name": "volume"},
                {"name": "shear"},
                {"name": "stretch"},
            ],
            "stop": {"remaining_evidence": 1e-2},
        },
        "analysis": {"temperatures": [800.0, 3000.0, 89], "quenched": 40},
        "run": {"seed": 1},
    }
    return run(study, output=folder, quiet=True)


def highest_transitions(results: Results) -> dict[float, Quantity]:
    """By pressure."""
    return {
        q.conditions["p_GPa"]: q
        for q in results.quantities
        if q.name == "transition_temperature" and q.conditions["rank"] == 0
    }


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Eight atoms of Stillinger-Weber silicon at five pressures."""
    return silicon(8, tmp_path_factory.mktemp("eight") / "run")


@pytest.fixture(scope="module")
def sixteen(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Sixteen atoms, at the same pressures."""
    return silicon(16, tmp_path_factory.mktemp("sixteen") / "run")


def diamond(results: Results, pressure: float) -> float:
    """Share of the weight at 800 K."""
    return sum(
        q.value
        for q in results.quantities
        if q.name == "phase_share"
        and q.conditions["p_GPa"] == pressure
        and q.conditions["T_K"] == 800.0
        and q.conditions["phase"] in DIAMONDS
    )


def test_silicon_melts_lower_under_pressure(eight: Results) -> None:
    """8 atoms, from nothing: mostly diamond everywhere, melting lower under pressure."""
    assert sorted(highest_transitions(eight)) == list(PRESSURES)
    assert all(diamond(eight, pressure) > 0.5 for pressure in PRESSURES)
    (slope,) = [q for q in eight.quantities if q.name == "transition_temperature_slope"]
    assert slope.value < -2.0 * slope.error


def test_sixteen_atoms_freeze_into_diamond(sixteen: Results) -> None:
    """From nothing: the cubic one or the hexagonal one."""
    assert all(diamond(sixteen, pressure) > 0.9 for pressure in (0.1, 2.0, 4.0, 6.0))


def test_the_cell_size_shifts_the_melting_of_silicon(eight: Results, sixteen: Results) -> None:
    """By more than two standard errors of the mean over the pressures; its sign is not foretold.

    Exchange makes the pressures depend on one another: their errors are added up as if they were
    one.
    """
    small, large = highest_transitions(eight), highest_transitions(sixteen)
    pressures = sorted(small.keys() & large.keys())
    assert len(pressures) >= 3
    shifts = np.array([large[p].value - small[p].value for p in pressures])
    errors = np.array([np.hypot(large[p].error, small[p].error) for p in pressures])
    weights = errors**-2 / np.sum(errors**-2)
    assert abs(weights @ shifts) > 2.0 * (weights @ errors)


@pytest.mark.parametrize("atoms", [32, 64])
def test_lennard_jones_condenses_and_freezes(atoms: int, tmp_path: Path) -> None:
    """P = 0.0316, pairs cut at 2.5 sigma, neither shifted nor with a tail: boiling and freezing.

    Two maxima, and close packing at the end.
    """
    study = {
        "kind": "nested",
        "potential": {"analytic": "lennard_jones", "parameters": {"cutoff": 2.5}},
        "system": {
            "composition": {"Ar": atoms},
            "flexible_cell": {"pressures": [0.0316], "volume_per_atom": [0.9, 200.0]},
        },
        "method": {
            "walkers": 64,
            "culled": 16,
            "width": 16,
            "rounds": 10,
            # A volume shrinks twentyfold as the gas condenses: one move a round does not follow.
            "moves": [
                {"name": "atom", "count": 3},
                {"name": "volume", "count": 8},
                {"name": "shear"},
                {"name": "stretch"},
            ],
        },
        "analysis": {"temperatures": [0.3, 1.5, 121], "quenched": 20},
    }
    results = run(study, output=tmp_path / "run", quiet=True)
    tops = sorted(q.value for q in results.quantities if q.name == "transition_temperature")
    assert len(tops) >= 2
    assert any(
        q.conditions["phase"] in {"Fm-3m (225)", "P6_3/mmc (194)"} and q.value > 0.5
        for q in results.quantities
        if q.name == "phase_share" and q.conditions["kT"] == 0.3
    )
