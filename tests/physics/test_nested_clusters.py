"""Lennard-Jones clusters against parallel tempering: from references, and our own."""

import json
from pathlib import Path

import numpy as np
import pytest
from nested.conftest import ATOMS, cluster, run, sampler
from physics.parallel_tempering import parallel_tempering

from thermosearch.nested.analysis import Estimate, averages, estimate, pool
from thermosearch.nested.measures import Sphere
from thermosearch.potentials.lennard_jones import LennardJones

REPEATS = 8


def reference(folder: Path, quantity: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Temperatures, values and standard errors; "-13.971(3)" means an error of 0.003."""
    table = json.loads((folder / "references" / "references.json").read_text())
    entry = table["lj7_parallel_tempering"]
    column = entry["columns"].index(quantity)
    kt, values, errors = [], [], []
    for row in entry["rows"]:
        number, digits = row[column].rstrip(")").split("(")
        kt.append(row[0])
        values.append(float(number))
        errors.append(float(digits) * 10.0 ** -len(number.split(".")[1]))
    return np.array(kt), np.array(values), np.array(errors)


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("about", ["fixed_centre", "centre_of_mass"])
def test_seven_atoms_against_parallel_tempering(shared: Path, about: str) -> None:
    """U and C_v at eight temperatures, K = 512, 200 rounds, within joint errors.

    The values at different temperatures come from the same dead points; that all 16 scores of a
    measure lie within 3.5 is asked, and that they are not all on one side.
    """
    kt, energy, energy_error = reference(shared, f"U_{about}")
    _, capacity, capacity_error = reference(shared, f"Cv_{about}")
    system = cluster(LennardJones(), 7, Sphere(2.25, about))
    found: dict[str, list[Estimate]] = {"energy": [], "heat_capacity": []}
    for seed in range(REPEATS):
        one = sampler(system, ATOMS, seed, walkers=512, culled=64, width=64, rounds=200)
        points = run(one, kt=float(kt[0]), remaining_evidence=1e-3).points
        rows = averages(points, kt, draws=100, seed=seed)
        for name, estimates in found.items():
            estimates.append(estimate(getattr(rows, name)))
    scores = []
    for name, value, error in (
        ("energy", energy, energy_error),
        ("heat_capacity", capacity, capacity_error),
    ):
        ours = pool(found[name])
        scores.append((ours.value - value) / np.hypot(ours.error, error))
    assert np.abs(scores).max() < 3.5, np.round(scores, 2)


LJ13_KT = np.sort(
    [0.15, 0.2, 0.22, *np.linspace(0.24, 0.32, 9), 0.275, 0.285, 0.295, 0.34, 0.37, 0.41, 0.46]
)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thirteen_atoms_against_own_parallel_tempering() -> None:
    """U, C_v and the melting peak of LJ13 in a sphere of 3 sigma, K = 512, default walks."""
    reference = parallel_tempering(13, 3.0, LJ13_KT, chains=12, sweeps=30000, warm=6000, seed=1)
    system = cluster(LennardJones(), 13, Sphere(3.0, "fixed_centre"))
    found: dict[str, list[Estimate]] = {"energy": [], "heat_capacity": [], "peak": []}
    for seed in range(REPEATS):
        one = sampler(system, ATOMS, seed, walkers=512, culled=64, width=64, rounds=200)
        points = run(one, kt=float(LJ13_KT[0]), remaining_evidence=1e-3).points
        rows = averages(points, LJ13_KT, draws=100, seed=seed)
        found["energy"].append(estimate(rows.energy))
        found["heat_capacity"].append(estimate(rows.heat_capacity))
        found["peak"].append(estimate(lj13_peaks(rows.heat_capacity)))
    peaks = lj13_peaks(reference.curves)
    root = np.sqrt(len(peaks))
    scores = []
    for name, value, error in (
        ("energy", reference.energy, reference.energy_error),
        ("heat_capacity", reference.heat_capacity, reference.heat_capacity_error),
        ("peak", peaks.mean(axis=0), peaks.std(axis=0, ddof=1) / root),
    ):
        ours = pool(found[name])
        scores.append((ours.value - value) / np.hypot(ours.error, error))
    assert np.abs(np.concatenate(scores)).max() < 3.5, scores


def lj13_peaks(curves: np.ndarray) -> np.ndarray:
    """Place and height of every curve's maximum, (s, 2): of a quartic through kT = 0.26 to 0.32."""
    near = (LJ13_KT > 0.255) & (LJ13_KT < 0.325)
    fine = np.linspace(0.26, 0.32, 1201)
    tops = []
    for curve in curves:
        fitted = np.polynomial.Polynomial.fit(LJ13_KT[near], curve[near], 4)(fine)
        tops.append((fine[np.argmax(fitted)], fitted.max()))
    return np.array(tops)
