"""Systems whose partition function is known."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from nested.conftest import ATOMS, CELL, Run, cluster, gas, harmonic, run, sampler
from scipy import integrate, special, stats

from thermosearch.nested.analysis import Averages, averages, estimate
from thermosearch.nested.measures import Sphere
from thermosearch.nested.momenta import highest_kinetic, log_share
from thermosearch.nested.moves.atom import AtomMove
from thermosearch.nested.moves.hamiltonian import HamiltonianMove
from thermosearch.nested.walk import Plan
from thermosearch.nested.walker import System
from thermosearch.potentials.lennard_jones import LennardJones

SEEDS = 200


def rows(found: Run, kt: float, power: float = 0.0) -> Averages:
    return averages(found.points, np.array([kt]), draws=200, seed=1, volume_power=power)


def z_score(column: np.ndarray, exact: float) -> float:
    found = estimate(column[:, 0])
    return float((found.value - exact) / found.error)


def log_z_of_oscillators(atoms: int, kt: float, radius: float) -> float:
    """Relative to the uniform prior: each atom in its ball, by the incomplete gamma function."""
    inside = special.gammainc(1.5, radius**2 / (2 * kt))
    ball = 4 / 3 * np.pi * radius**3
    return atoms * (1.5 * np.log(2 * np.pi * kt) + np.log(inside) - np.log(ball))


@pytest.mark.parametrize(("atoms", "kt"), [(1, 1e-3), (10, 5e-3)])
def test_harmonic_oscillators(atoms: int, kt: float) -> None:
    """U = d kT / 2 and C_v = d k / 2 with d = 3 and 30."""
    found = run(
        sampler(harmonic(atoms), ATOMS, 3, walkers=256, culled=64, width=64, rounds=20),
        kt=kt,
        remaining_evidence=1e-4,
    )
    assert found.reason.startswith("remaining evidence")
    means, d = rows(found, kt), 3 * atoms
    assert abs(z_score(means.log_z, log_z_of_oscillators(atoms, kt, 1.0))) < 3.5
    assert abs(z_score(means.energy, d * kt / 2)) < 3.5
    assert abs(z_score(means.heat_capacity, d / 2)) < 3.5
    assert np.std(means.heat_capacity) < 0.15 * d / 2


@pytest.mark.parametrize("kt", [0.01, 0.1])
def test_oscillators_with_their_momenta(kt: float) -> None:
    """Contours of H + K give ln Z, U = d kT / 2 and C_v = d k / 2 of H, d = 6, once."""
    system = eqx.tree_at(
        lambda each: each.highest_kinetic,
        harmonic(2),
        jnp.asarray(highest_kinetic(0.05, 6)),
        is_leaf=lambda leaf: leaf is None,
    )
    plan = Plan((HamiltonianMove(), AtomMove()), (2, 1), "lanes")
    found = run(
        sampler(system, plan, 3, walkers=256, culled=64, width=64, rounds=6),
        kt=kt,
        remaining_evidence=1e-4,
    )
    means = rows(found, kt)
    log_z = means.log_z - log_share(np.array([kt]), float(system.highest_kinetic), 6)
    wide = 0.5 / kt > 20.0  # else the sphere cuts the Gaussian
    assert abs(z_score(log_z, log_z_of_oscillators(2, kt, 1.0))) < 3.5
    assert not wide or abs(z_score(means.energy, 6 * kt / 2)) < 3.5
    assert not wide or abs(z_score(means.heat_capacity, 3.0)) < 3.5
    np.testing.assert_allclose(found.points.configurational, found.points.energy, rtol=1e-9)


@pytest.mark.parametrize("kt", [0.03, 0.3, 3.0])
def test_share_of_the_momenta_by_quadrature(kt: float) -> None:
    """The density of K is d/2 K^(d/2 - 1) / K_max^(d/2)."""
    d, highest = 9, 0.8
    k = np.linspace(0.0, highest, 400_001)
    density = d / 2 * k ** (d / 2 - 1) / highest ** (d / 2)
    exact = np.log(integrate.simpson(density * np.exp(-k / kt), x=k))
    assert log_share(np.array([kt]), highest, d)[0] == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize(("power", "prior"), [(4, "power"), (0, "flat")])
def test_ideal_gas_at_constant_pressure(power: int, prior: str) -> None:
    """<V> = (N + 1) kT / P, C_p = (N + 1) k, int dV V^N exp(-P V / kT) = N! (kT / P)^(N + 1)."""
    n, kt = 4, 0.5
    system = gas(n, volume_power=power, highest=60.0)
    weight = n - power
    found = run(
        sampler(system, CELL, 5, walkers=128, culled=32, width=32, rounds=15),
        kt=kt,
        remaining_evidence=1e-4,
        volume_power=weight,
    )
    means = rows(found, kt, float(weight))
    exact = special.gammaln(n + 1) + (n + 1) * np.log(kt)
    log_q = means.log_z + system.measure.log_size(n)
    assert abs(z_score(log_q, exact)) < 3.5, prior
    assert abs(z_score(means.volume, (n + 1) * kt)) < 3.5
    assert abs(z_score(means.value, (n + 1) * kt)) < 3.5
    assert abs(z_score(means.heat_capacity, n + 1)) < 3.5
    assert abs(z_score(means.expansion, 1 / kt)) < 3.5


def dimer(about: str) -> System:
    return cluster(LennardJones(), 2, Sphere(1.5, about))


def dimer_by_quadrature(about: str, kt: float) -> tuple[float, float]:
    """ln Z and U of two atoms: one integral over their distance."""
    reach = 3.0

    def density(r: np.ndarray) -> np.ndarray:
        if about == "centre_of_mass":
            return 3 * r**2 / reach**3
        x = r / 1.5  # distance of two points drawn from one ball
        return (3 * x**2 - 9 / 4 * x**3 + 3 / 16 * x**5) / 1.5

    r = np.linspace(0.5, reach, 400_001)
    energy = 4 * (r**-12.0 - r**-6.0)
    weight = density(r) * np.exp(-energy / kt)
    z = integrate.simpson(weight, x=r)
    return float(np.log(z)), float(integrate.simpson(weight * energy, x=r) / z)


@pytest.mark.parametrize(
    ("about", "sizes"),
    [
        ("fixed_centre", {"culled": 64, "width": 64}),
        ("centre_of_mass", {"culled": 64, "width": 64}),
        ("fixed_centre", {"culled": 1, "extra": 3, "width": 4, "walkers": 24}),
        pytest.param("centre_of_mass", {"culled": 1, "width": 1}, marks=pytest.mark.slow),
    ],
)
def test_dimer_against_quadrature(about: str, sizes: dict[str, int]) -> None:
    one = sampler(dimer(about), ATOMS, 7, **({"walkers": 256, "rounds": 40} | sizes))
    found = run(one, kt=0.1, remaining_evidence=1e-3)
    for kt in (0.1, 0.3):
        means = rows(found, kt)
        log_z, energy = dimer_by_quadrature(about, kt)
        assert abs(z_score(means.log_z, log_z)) < 3.5
        assert abs(z_score(means.energy, energy)) < 3.5


def calibration(walkers: int, culled: int, rounds: int) -> np.ndarray:
    """(ln Z - exact) / error of an oscillator, d = 3, over the seeds."""
    system, kt = harmonic(1), 1e-2
    exact = log_z_of_oscillators(1, kt, 1.0)
    scores = []
    for seed in range(SEEDS):
        one = sampler(
            system, ATOMS, seed, walkers=walkers, culled=culled, width=culled, rounds=rounds
        )
        scores.append(z_score(rows(run(one, kt=kt, remaining_evidence=1e-3), kt).log_z, exact))
    return np.array(scores)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("walkers", "culled"), [(32, 1), (64, 16)])
def test_errors_are_calibrated(walkers: int, culled: int) -> None:
    """Over seeds 0 to 199 the scores have mean 0 and variance 1."""
    scores = calibration(walkers, culled, 10)
    assert abs(scores.mean()) < 3 / np.sqrt(SEEDS)
    low, high = stats.chi2(SEEDS - 1).ppf([0.005, 0.995]) / (SEEDS - 1)
    assert low < scores.var(ddof=1) < high
