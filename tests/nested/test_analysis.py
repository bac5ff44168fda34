"""The analysis against exact samples and against anesthetic."""

import numpy as np
import pytest
from scipy import constants, stats
from scipy.special import gammaln

from thermosearch.nested.analysis import (
    DeadPoints,
    Estimate,
    averages,
    estimate,
    log_weights,
    pool,
    resample,
)
from thermosearch.nested.free_energy import free_energy, thermal_wavelength
from thermosearch.nested.peaks import peaks
from thermosearch.nested.phases import Phases, phase_at

KT = np.array([0.02, 0.05, 0.1])


def ideal_run(
    seed: int, *, walkers: int = 100, culled: int = 20, dimension: int = 6, folds: float = 40.0
) -> DeadPoints:
    """A run of a perfect sampler: ln X is drawn, E = X^(2/d)."""
    generator = np.random.default_rng(seed)
    iterations = int(folds / np.sum(1 / (walkers - np.arange(culled))))
    live = np.concatenate(
        (np.tile(walkers - np.arange(culled), iterations), walkers - np.arange(walkers))
    )
    log_x = np.cumsum(np.log(generator.uniform(size=len(live))) / live)
    value = np.exp(log_x * 2 / dimension)
    contours = np.concatenate(([np.inf], value[culled - 1 : iterations * culled : culled]))
    # Which of the walkers dies is a matter of chance: any one of those born before will do.
    slots = np.full(walkers, np.inf)
    birth = np.empty(len(live))
    for step in range(iterations):
        dying = generator.choice(walkers, culled, replace=False)
        birth[step * culled : (step + 1) * culled] = slots[dying]
        slots[dying] = contours[step + 1]
    birth[iterations * culled :] = slots
    return DeadPoints(value, value, np.ones_like(value), live, birth)


def exact_log_z(kt: np.ndarray, dimension: int = 6) -> np.ndarray:
    """Integral of exp(-E / kT) over X = E^(d/2) in (0, 1)."""
    half = dimension / 2
    return np.log(half * kt**half * stats.gamma(half).cdf(1 / kt)) + float(
        np.log(np.prod(np.arange(1, half)))
    )


def test_weights_share_out_the_whole_prior() -> None:
    live = ideal_run(0).live
    for generator in (None, np.random.default_rng(1)):
        assert abs(np.exp(log_weights(live, generator)).sum() - 1.0) < 1e-12


def test_errors_of_a_perfect_sampler_are_calibrated() -> None:
    """Over 200 seeds: mean of z within 3 / sqrt(200), its variance in the 99 % interval."""
    scores = []
    for seed in range(200):
        found = averages(ideal_run(seed), KT, draws=60, seed=seed)
        for column, exact in (
            (found.log_z, exact_log_z(KT)),
            (found.value, 3 * KT),
            (found.heat_capacity, np.full(3, 3.0)),
        ):
            rows = estimate(column)
            scores.append(((rows.value - exact) / rows.error)[0])
    scores = np.reshape(scores, (200, 3))
    low, high = stats.chi2(199).ppf([0.005, 0.995]) / 199
    assert np.all(np.abs(scores.mean(axis=0)[:2]) < 3 / np.sqrt(200))
    assert np.all((low < scores.var(axis=0, ddof=1)) & (scores.var(axis=0, ddof=1) < high))


def test_log_z_and_its_error_agree_with_anesthetic() -> None:
    anesthetic = pytest.importorskip("anesthetic")
    points = ideal_run(3)
    ours = averages(points, KT, draws=400, seed=1)
    for place, kt in enumerate(KT):
        theirs = anesthetic.NestedSamples(
            logL=-points.value / kt,
            logL_birth=np.where(np.isinf(points.birth), -np.inf, -points.birth / kt),
        )
        assert np.array_equal(np.sort(theirs.nlive.to_numpy())[::-1][:10], np.full(10, 100))
        drawn = np.asarray(theirs.logZ(400))
        mine = ours.log_z[:, place]
        assert abs(drawn.mean() - mine.mean()) < 4 * np.hypot(drawn.std(), mine.std()) / 20
        assert 0.8 < drawn.std() / mine.std() < 1.25


def test_a_flat_prior_is_reweighted() -> None:
    points = ideal_run(1)
    weighted = points._replace(volume=np.full_like(points.value, 2.0))
    plain = averages(points, KT, draws=0, seed=1)
    tilted = averages(weighted, KT, draws=0, seed=1, volume_power=3.0)
    np.testing.assert_allclose(tilted.log_z - plain.log_z, 3 * np.log(2.0), rtol=1e-12)


def test_a_peak_is_found_with_its_interval_and_noise_is_not() -> None:
    generator, kt = np.random.default_rng(2), np.linspace(0.1, 1.0, 91)
    centres = 0.43 + 0.02 * generator.standard_normal(400)
    curves = 10 + 5 * np.exp(-(((kt - centres[:, None]) / 0.1) ** 2))
    (peak,) = peaks(kt, curves)
    assert abs(peak.position.value - 0.43) < 0.005
    assert abs(peak.position.error - 0.02) < 0.003
    assert peak.low == pytest.approx(0.41, abs=0.004) and peak.high == pytest.approx(
        0.45, abs=0.004
    )
    assert peaks(kt, 10 + kt + 0.5 * generator.standard_normal((400, 1)) * np.sin(40 * kt)) == []


def test_a_peak_sharper_than_its_place_is_known_is_found() -> None:
    """As at boiling: at the mean place most draws are at the foot of their maximum, some on top."""
    generator, kt = np.random.default_rng(3), np.linspace(0.1, 1.0, 181)
    centres = 0.43 + 0.01 * generator.standard_normal(400)
    curves = 10 + 5000 * np.exp(-(((kt - centres[:, None]) / 0.01) ** 2))
    top = int(np.argmax(curves.mean(axis=0)))
    assert curves[:, top].mean() < 2 * curves[:, top].std()
    (peak,) = peaks(kt, curves)
    assert abs(peak.position.value - 0.43) < 0.003
    assert abs(peak.position.error - 0.01) < 0.002
    assert peak.height.value == pytest.approx(5010, rel=0.01)


def test_repeats_that_froze_apart_have_one_peak_with_an_error_that_says_so() -> None:
    generator, kt = np.random.default_rng(1), np.linspace(800.0, 2200.0, 141)
    runs = [
        24.0 + 200.0 / (1.0 + ((kt - place) / 30.0) ** 2)
        for place in (
            1380.0 + 10.0 * generator.standard_normal((100, 1)),
            1620.0 + 10.0 * generator.standard_normal((100, 1)),
        )
    ]
    (peak,) = peaks(kt, resample(runs, 400, seed=0))
    assert abs(peak.position.value - 1500.0) < 25.0
    assert 100.0 < peak.position.error < 140.0


def test_a_phase_without_the_half_of_the_weight_is_not_named() -> None:
    names = ("Fd-3m (227)", "I4_1/amd (141)", "disordered")
    shares = np.array([[0.8, 0.5, 0.2, 0.3], [0.1, 0.5, 0.2, 0.2], [0.1, 0.0, 0.3, 0.1]])
    none = Estimate(np.zeros((0, 4)), np.zeros((0, 4)))
    found = Phases({}, {}, None, names, Estimate(shares, np.zeros((3, 4))), (), none, {})
    expected = ["Fd-3m (227)", "mixed", "disordered", "mixed"]
    assert [phase_at(found, place) for place in range(4)] == expected
    assert phase_at(found._replace(names=()), 0) == ""


def test_repeats_that_disagree_widen_the_error() -> None:
    one, other = (Estimate(np.array([x]), np.array([0.1])) for x in (1.0, 3.0))
    assert pool([one, one]).error[0] == pytest.approx(0.1 / np.sqrt(2))
    assert pool([one, other]).error[0] == pytest.approx(1.0)
    assert pool([one, other]).value[0] == 2.0


def test_free_energy_of_argon_gas() -> None:
    """Sackur and Tetrode: G / N of argon at 298.15 K and 1 bar, ideal, without electrons."""
    kt = np.array([8.617330e-5 * 298.15])
    pressure = 1e5 / 1.602176634e11  # eV/A^3
    wavelength = thermal_wavelength(kt, 39.948)[0]
    joule = constants.k * 298.15
    si = constants.h / np.sqrt(2 * np.pi * 39.948 * constants.atomic_mass * joule)
    assert wavelength == pytest.approx(1e10 * si, rel=1e-6)
    n = 100
    log_q = gammaln(n + 1) + (n + 1) * np.log(kt / pressure)
    gibbs = free_energy(kt, log_q, np.full(n, 18), pressure=pressure, reduced=False)
    entropy_per_k = 5 / 2 + np.log(kt[0] / pressure / wavelength**3)
    assert entropy_per_k == pytest.approx(154.84 / 8.314463, abs=0.02)  # J/(mol K), CODATA
    assert gibbs[0] / n == pytest.approx(kt[0] * (5 / 2 - entropy_per_k), rel=1e-4)
