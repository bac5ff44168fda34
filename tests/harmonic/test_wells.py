"""One coordinate: the same equations with Gauss-Hermite nodes as the sample."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from thermosearch.harmonic.regression import (
    Sample,
    free_energy,
    next_damping,
    refit,
    shifted,
    stepped,
)
from thermosearch.harmonic.statistics import Bath, displacements, normal_modes, variances

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)


class Well(NamedTuple):
    """V = a x^2 / 2 + b x^4 / 4."""

    a: float
    b: float

    def energy(self, x: np.ndarray) -> np.ndarray:
        return self.a * x**2 / 2.0 + self.b * x**4 / 4.0

    def force(self, x: np.ndarray) -> np.ndarray:
        return -self.a * x - self.b * x**3


class Solution(NamedTuple):
    frequency: float
    free_energy: float
    centroid: float


def solve(well: Well, at: Bath, centroid: float = 0.0, *, relax: bool = False) -> Solution:
    phi, damping, before = np.array([[abs(well.a)]]), 1.0, None
    for _ in range(100):
        modes = normal_modes(phi, np.ones(1), translations=0)
        x = displacements(modes, at, NODES[:, None])
        force = well.force(centroid + x)
        energy = well.energy(centroid + x[:, 0])
        sample = Sample(x, energy, force, np.zeros((len(x), 3, 3)), WEIGHTS / WEIGHTS.sum())
        value, _ = free_energy(modes, at, phi, sample)
        fitted = refit(modes, at, phi, sample, lambda matrix: matrix)
        move = shifted(modes, at, sample.weights @ force) if relax else np.zeros(1)
        if np.abs(fitted.change).max() < 1e-12 and np.abs(move).max() < 1e-12:
            break
        spread = variances(modes, at)[0]
        if before is not None:
            damping = next_damping(damping, before * spread, fitted.change)
        before = fitted.change / spread
        phi, _ = stepped(modes, at, phi, fitted.change, damping)
        centroid += float(move[0])
    return Solution(float(modes.frequencies[0]), value, centroid)


@pytest.mark.parametrize("quantum", [True, False])
@pytest.mark.parametrize(
    ("a", "b", "temperature"), [(1.0, 1.0, 0.5), (-1.0, 1.0, 0.5), (-1.0, 0.2, 0.1)]
)
def test_self_consistent_frequency_and_free_energy(
    a: float, b: float, temperature: float, quantum: bool
) -> None:
    found = solve(Well(a, b), Bath(temperature, quantum, 1.0))
    omega = found.frequency
    if quantum:
        spread = 1.0 / (2.0 * omega * np.tanh(omega / (2.0 * temperature)))
        harmonic = omega / 2.0 + temperature * np.log(1.0 - np.exp(-omega / temperature))
    else:
        spread = temperature / omega**2
        harmonic = temperature * np.log(omega / temperature)
        assert omega**2 == pytest.approx((a + np.sqrt(a**2 + 12.0 * b * temperature)) / 2.0, 1e-10)
    assert omega**2 == pytest.approx(a + 3.0 * b * spread, rel=1e-10)
    expected = harmonic + (a - omega**2) * spread / 2.0 + 3.0 * b * spread**2 / 4.0
    assert found.free_energy == pytest.approx(expected, abs=1e-10)


@pytest.mark.shared
def test_reference_table(shared: Path) -> None:
    rows = json.loads((shared / "references" / "references.json").read_text())["scha_1d"]
    for row in rows["rows_a_b_T_OmegaQ_FQ_FexactQ_OmegaC_FC_FexactC"]:
        a, b, temperature, *numbers = (float(x) for x in row)
        for quantum, (omega, bound, exact) in ((True, numbers[:3]), (False, numbers[3:])):
            found = solve(Well(a, b), Bath(temperature, quantum, 1.0))
            # The table has six digits.
            assert found.frequency == pytest.approx(omega, abs=5.1e-6)
            assert found.free_energy == pytest.approx(bound, abs=1e-6)
            assert found.free_energy > exact


@pytest.mark.parametrize("quantum", [True, False])
def test_centroid_lowers_the_double_well(quantum: bool) -> None:
    at = Bath(0.1, quantum, 1.0)
    middle = solve(Well(-1.0, 0.2), at)
    side = solve(Well(-1.0, 0.2), at, 1.5, relax=True)
    exact = -0.677861 if quantum else -1.056047
    assert exact < side.free_energy < middle.free_energy - 0.2
    assert 1.5 < side.centroid < np.sqrt(5.0)
    # Stationary in the centroid: moving it either way costs free energy to second order.
    for step in (-0.01, 0.01):
        moved = solve(Well(-1.0, 0.2), at, side.centroid + step)
        assert moved.free_energy > side.free_energy
