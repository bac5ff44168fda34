"""Integration from a harmonic reference, against quadrature and closed forms."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from scipy.integrate import quad

from thermosearch.configuration import Configuration, from_ase
from thermosearch.harmonic.integrate import (
    Integrated,
    Reference,
    Walks,
    analyse,
    integrate,
    whiten,
)
from thermosearch.harmonic.statistics import Bath, bath, normal_modes
from thermosearch.potentials.einstein import EinsteinCrystal
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.neighbours_device import DeviceList
from thermosearch.potentials.stillinger_weber import StillingerWeber
from thermosearch.potentials.wells import PolynomialWell
from thermosearch.runtime.errors import InputError

SHORT = Walks(points=4, walkers=8, equilibration=20, samples=100)


def one_atom() -> Configuration:
    return Configuration(
        positions=np.zeros((1, 3)),
        cell=np.eye(3),
        pbc=np.zeros(3, bool),
        numbers=np.array([1], np.int32),
        total_charge=np.asarray(0.0),
    )


def well(a: float, b: float) -> PolynomialWell:
    """V = a x^2 / 2 + b x^4 / 4 along x, y and z: three one-dimensional systems at once."""
    return PolynomialWell((0.0, 0.0, a / 2, 0.0, b / 4), directions=(0, 1, 2))


def oscillator(omega: float, kt: float) -> Reference:
    modes = normal_modes(np.eye(3) * omega**2, np.ones(3), translations=0)
    return whiten(one_atom(), modes, 0.0, Bath(kt, quantum=False, hbar=1.0))


def exact(a: float, b: float, kt: float) -> float:
    """Classical free energy, three times that of one dimension; hbar = m = k = 1."""
    z, _ = quad(lambda x: np.exp(-(a * x**2 / 2 + b * x**4 / 4) / kt), -np.inf, np.inf)
    return float(-3.0 * kt * np.log(z * np.sqrt(kt / (2.0 * np.pi))))


@pytest.fixture(scope="module")
def silicon_reference() -> Callable[[float], Reference]:
    """Eight atoms of Stillinger-Weber silicon; force constants from differences of forces."""
    atoms = bulk("Si", a=5.431, cubic=True)
    centre, step = from_ase(atoms), 1e-3
    shifts = step * np.eye(24).reshape(24, 8, 3)
    moved = [centre._replace(positions=centre.positions + s) for s in (*shifts, *-shifts)]
    forces = [each.forces.ravel() for each in evaluate(StillingerWeber(), moved)]
    matrix = (np.array(forces[24:]) - np.array(forces[:24])) / (2.0 * step)
    modes = normal_modes(0.5 * (matrix + matrix.T), np.repeat(atoms.get_masses(), 3))
    static = float(evaluate(StillingerWeber(), [centre])[0].energy)
    return lambda kelvin: whiten(centre, modes, static, bath(kelvin, "classical"))


def deviates(found: Integrated, value: float) -> list[float]:
    return [
        abs(each.value - value) / each.error
        for each in (found.free_energy, found.by_acceptance_ratio)
    ]


def test_quartic_wells_have_their_exact_free_energy() -> None:
    # The last of them is a double well whose barrier is 12.5 kT high.
    for a, b, kt, omega in ((1.0, 1.0, 0.5, 1.35), (-1.0, 1.0, 0.5, 0.907), (-1.0, 0.2, 0.1, 0.24)):
        walks = Walks(points=8, walkers=8, equilibration=20, samples=500)
        found = integrate(well(a, b), oscillator(omega, kt), walks, seed=1)
        assert max(deviates(found, exact(a, b, kt))) < 4.0
        gap = found.bound.value - exact(a, b, kt)
        assert found.free_energy.error < 0.15 * gap
        assert abs(found.difference.value) < 4.0 * found.difference.error + 1e-3 * gap


@pytest.mark.shared
def test_the_bound_and_the_exact_value_are_those_of_the_table(shared: Path) -> None:
    table = json.loads((shared / "references/references.json").read_text())["scha_1d"]
    rows = table["rows_a_b_T_OmegaQ_FQ_FexactQ_OmegaC_FC_FexactC"]
    for a, b, kt, *_, omega, bound, free_energy in rows:
        walks = Walks(points=8, walkers=8, equilibration=20, samples=500)
        found = integrate(well(a, b), oscillator(omega, kt), walks, seed=2)
        assert max(deviates(found, 3.0 * free_energy)) < 4.0
        assert abs(found.bound.value - 3.0 * bound) < 4.0 * found.bound.error


def test_a_harmonic_crystal_is_its_own_reference() -> None:
    sites = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    configuration = one_atom()._replace(positions=sites, numbers=np.array([1, 2], np.int32))
    masses = np.repeat([1.0, 4.0], 3)
    modes = normal_modes(3.0 * np.eye(6), masses, translations=0)
    reference = whiten(configuration, modes, 0.0, Bath(0.2, quantum=False, hbar=1.0))
    found = integrate(EinsteinCrystal(sites, 3.0, units="reduced"), reference, SHORT)
    closed = 0.2 * np.sum(np.log(np.sqrt(3.0 / masses) / 0.2))
    for each in (found.free_energy, found.by_acceptance_ratio, found.bound):
        assert each.value == pytest.approx(closed, abs=1e-10)
        assert each.error < 1e-10
    assert found.acceptance.min() == 1.0

    stiffer = integrate(EinsteinCrystal(sites, 4.0, units="reduced"), reference, SHORT, seed=5)
    closed += 0.6 * np.log(4.0 / 3.0)
    assert max(deviates(stiffer, closed)) < 4.0
    assert stiffer.free_energy.error < 0.02


def test_error_bars_are_calibrated() -> None:
    potential, reference = well(1.0, 1.0), oscillator(1.1, 0.5)
    walks = Walks(points=4, walkers=8, equilibration=10, samples=40)
    runs = [integrate(potential, reference, walks, seed=seed) for seed in range(60)]
    for estimates, value in (
        ([run.free_energy for run in runs], exact(1.0, 1.0, 0.5)),
        ([run.by_acceptance_ratio for run in runs], exact(1.0, 1.0, 0.5)),
        ([run.difference for run in runs], 0.0),
    ):
        z = np.array([(each.value - value) / each.error for each in estimates])
        # Errors from eight walkers: Student's t with seven degrees of freedom, variance 7/5;
        # its fourth moment gives a variance of 0.13 to the variance over 60 runs.
        assert abs(z.mean()) < 3.5 * np.sqrt(1.4 / 60)
        assert 0.5 < z.var() < 2.7


def test_both_ways_agree_in_a_crystal(silicon_reference: Callable[[float], Reference]) -> None:
    found = integrate(StillingerWeber(), silicon_reference(1000.0), SHORT, seed=3)
    assert abs(found.difference.value) < 4.0 * found.difference.error
    assert found.gap.value < -3.0 * found.gap.error
    assert found.free_energy.value <= found.bound.value
    assert found.overlap.min() > 0.5
    assert np.all(found.acceptance[0] == 1.0)
    assert found.evaluations == 6 * 8 * 120 * 2


def test_the_centre_of_mass_rests(silicon_reference: Callable[[float], Reference]) -> None:
    reference = silicon_reference(300.0)
    assert reference.basis.shape == (24, 21)
    weighted = reference.basis.reshape(8, 3, 21).sum(axis=0)
    assert np.abs(weighted).max() < 1e-10


def test_a_list_that_overflows_is_widened(
    silicon_reference: Callable[[float], Reference], monkeypatch: pytest.MonkeyPatch
) -> None:
    walks = Walks(points=1, walkers=2, equilibration=2, samples=3)
    reference = silicon_reference(1000.0)
    wide = integrate(StillingerWeber(), reference, walks, seed=1)
    covering = DeviceList.covering
    monkeypatch.setattr(
        DeviceList,
        "covering",
        lambda *given, **options: DeviceList(covering(*given, **options).cutoff, 12, (1, 1, 1)),
    )
    narrow = integrate(StillingerWeber(), reference, walks, seed=1)
    np.testing.assert_allclose(narrow.mean, wide.mean, rtol=1e-9)


def test_bennett_alone_is_exact_for_gaussian_work() -> None:
    # Work that is normal with variance s^2 and mean x + s^2 / 2 forward has x as free energy.
    generator, s, x = np.random.default_rng(1), 1.5, 0.7
    forward = generator.normal(x + s**2 / 2, s, (8, 4000))
    backward = generator.normal(x - s**2 / 2, s, (8, 4000))
    found = analyse(
        np.stack([forward, 0.5 * (forward + backward), backward])[[0, 2]],
        1.0,
        np.array([0.0, 1.0]),
        np.zeros(0),
        reference=0.0,
        acceptance=np.ones((2, 8)),
        spread=np.ones((2, 8)),
        evaluations=0,
    )
    assert abs(found.by_acceptance_ratio.value - x) < 4.0 * found.by_acceptance_ratio.error
    assert found.by_acceptance_ratio.error < 0.02


def test_one_walker_is_refused(silicon_reference: Callable[[float], Reference]) -> None:
    with pytest.raises(InputError, match="walkers = 1"):
        integrate(StillingerWeber(), silicon_reference(300.0), SHORT._replace(walkers=1))
