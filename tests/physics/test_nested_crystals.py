"""Crystals from nothing: Stillinger-Weber silicon and Lennard-Jones, flexible cells."""

from pathlib import Path

import numpy as np
import pytest

from thermosearch.launch import run
from thermosearch.nested.analysis import Estimate, pool
from thermosearch.runtime.results import Quantity, Results

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * 3600)]


DIAMONDS = {"Fd-3m (227)", "P6_3/mmc (194)"}
"""Stillinger-Weber's energy of both is the same, as its cutoff ends before second neighbours."""

PRESSURES = (0.1, 2.0, 4.0, 6.0, 8.0)
"""GPa."""

SEEDS = (1, 2)


def silicon(atoms: int, seed: int, folder: Path) -> Results:
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
        "run": {"seed": seed},
    }
    return run(study, output=folder, quiet=True)


def highest_transitions(results: Results) -> dict[float, Quantity]:
    """By pressure."""
    return {
        q.conditions["p_GPa"]: q
        for q in results.quantities
        if q.name == "transition_temperature" and q.conditions["rank"] == 0
    }


def pooled(runs: list[Results]) -> dict[float, Estimate]:
    """Highest transitions by pressure, over the runs, where all of them have one."""
    found = [highest_transitions(results) for results in runs]
    common = set.intersection(*(set(each) for each in found))
    return {
        p: pool([Estimate(np.array(each[p].value), np.array(each[p].error)) for each in found])
        for p in common
    }


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    """Eight atoms of Stillinger-Weber silicon at five pressures, twice."""
    folder = tmp_path_factory.mktemp("eight")
    return [silicon(8, seed, folder / f"{seed}") for seed in SEEDS]


@pytest.fixture(scope="module")
def sixteen(tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    """Sixteen atoms, at the same pressures, twice."""
    folder = tmp_path_factory.mktemp("sixteen")
    return [silicon(16, seed, folder / f"{seed}") for seed in SEEDS]


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


def test_silicon_melts_lower_under_pressure(eight: list[Results]) -> None:
    """8 atoms, from nothing: mostly diamond everywhere, melting lower under pressure."""
    for results in eight:
        assert sorted(highest_transitions(results)) == list(PRESSURES)
        assert all(diamond(results, pressure) > 0.5 for pressure in PRESSURES)
        # The first is that through all pressures.
        slope, *_ = [q for q in results.quantities if q.name == "transition_temperature_slope"]
        assert slope.value < -2.0 * slope.error


def test_sixteen_atoms_freeze_into_diamond(sixteen: list[Results]) -> None:
    """From nothing: the cubic one or the hexagonal one."""
    for results in sixteen:
        assert all(diamond(results, pressure) > 0.9 for pressure in (0.1, 2.0))


def test_the_cell_size_shifts_the_melting_of_silicon(
    eight: list[Results], sixteen: list[Results]
) -> None:
    """By more than two standard errors of the mean over the pressures; its sign is not foretold.

    The error at a pressure is the greater of what the runs say and what their scatter says.
    Exchange makes the pressures depend on one another: there errors add up as if they were one.
    """
    small, large = pooled(eight), pooled(sixteen)
    pressures = sorted(small.keys() & large.keys())
    assert len(pressures) >= 3
    shifts = np.array([float(large[p].value - small[p].value) for p in pressures])
    errors = np.array([float(np.hypot(large[p].error, small[p].error)) for p in pressures])
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
