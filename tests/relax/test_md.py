"""Molecular dynamics against what is known exactly."""

import jax
import numpy as np
import pytest
from ase.build import bulk
from potentials.test_ase_bridge import Counted

from thermosearch.configuration import Configuration, from_ase
from thermosearch.potentials.ase_bridge import CalculatorPotential
from thermosearch.potentials.einstein import EinsteinCrystal
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.lennard_jones import LennardJones
from thermosearch.potentials.stillinger_weber import StillingerWeber
from thermosearch.relax.md import Chunk, molecular_dynamics
from thermosearch.runtime.errors import InputError
from thermosearch.units import BOLTZMANN_EV_PER_K


@pytest.fixture(scope="module")
def silicon() -> StillingerWeber:
    return StillingerWeber()


@pytest.fixture(scope="module")
def crystal() -> Configuration:
    return from_ase(bulk("Si", "diamond", 5.43, cubic=True))


def joined(chunks: list[Chunk], name: str) -> np.ndarray:
    return np.concatenate([getattr(chunk, name) for chunk in chunks], axis=1)


def test_energy_error_is_of_second_order(silicon: StillingerWeber, crystal: Configuration) -> None:
    errors = []
    for time_step in (2.0, 1.0, 0.5):
        chunks = list(
            molecular_dynamics(
                silicon,
                [crystal],
                steps=round(1000 / time_step),
                time_step=time_step,
                temperature=600.0,
                record_every=round(4 / time_step),
                chunk=60,
            )
        )
        total = joined(chunks, "potential_energy") + joined(chunks, "kinetic_energy")
        errors.append(total.std())
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.15)
    assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.15)


def test_records_belong_to_the_positions(silicon: StillingerWeber, crystal: Configuration) -> None:
    # The crystal melts: lists that were not renewed would show in the recorded energies.
    options = {"steps": 400, "temperature": 20000.0, "record_every": 40, "chunk": 5, "skin": 0.2}
    for lists in ("device", "host"):
        chunks = list(
            molecular_dynamics(silicon, [crystal], trajectory=True, lists=lists, **options)
        )
        assert [len(chunk.step) for chunk in chunks] == [5, 5, 1]
        positions = np.concatenate([chunk.positions[0] for chunk in chunks])
        velocities = np.concatenate([chunk.velocities[0] for chunk in chunks])
        frames = [crystal._replace(positions=frame) for frame in positions]
        energies = [float(p.energy) for p in evaluate(silicon, frames, ("energy",))]
        assert np.allclose(joined(chunks, "potential_energy")[0], energies, atol=1e-9)
        assert np.allclose(velocities.mean(axis=1), 0.0, atol=1e-12)  # equal masses
        assert np.max(np.abs(positions[-1] - positions[0])) > 1.0


def test_langevin_samples_the_harmonic_oscillator(silicon: StillingerWeber) -> None:
    """BAOAB is exact for <x^2>; <v^2> = (k_B T / m)(1 - (omega dt / 2)^2).

    Leimkuhler and Matthews, J. Chem. Phys. 138, 174102 (2013).
    """
    start = from_ase(bulk("Si", "diamond", 5.43, cubic=True))
    spring, mass, thermal = 2.0, 1.5, 0.7
    potential = EinsteinCrystal(start.positions, spring=spring, units="reduced")
    time_step = 0.8 / np.sqrt(spring / mass)
    chunks = molecular_dynamics(
        potential,
        [start] * 8,
        steps=8000,
        time_step=float(time_step),
        temperature=thermal,
        friction=1.0,
        masses=[np.full(8, mass)] * 8,
        record_every=4,
        chunk=250,
        trajectory=True,
    )
    next(chunks)  # equilibration
    squares, speeds = [], []
    for chunk in chunks:
        squares.append(np.mean((np.stack(chunk.positions) - start.positions) ** 2, axis=1))
        speeds.append(np.mean(np.stack(chunk.velocities) ** 2, axis=1))
    for samples, exact in (
        (squares, thermal / spring),
        (speeds, thermal / mass * (1.0 - 0.8**2 / 4.0)),
    ):
        independent = np.mean(samples, axis=0).ravel()  # 192 oscillators
        error = independent.std(ddof=1) / np.sqrt(independent.size)
        assert error < 0.02 * exact
        assert abs(independent.mean() - exact) < 4.0 * error


def test_langevin_temperature_of_silicon(silicon: StillingerWeber, crystal: Configuration) -> None:
    chunks = molecular_dynamics(
        silicon, [crystal] * 8, steps=6000, temperature=400.0, friction=0.02, chunk=100
    )
    next(chunks)
    means = np.concatenate([chunk.temperature for chunk in chunks], axis=1).mean(axis=1)
    error = means.std(ddof=1) / np.sqrt(8)
    assert error < 12.0
    assert abs(means.mean() - 400.0) < 4.0 * error


def test_first_velocities() -> None:
    start = from_ase(bulk("Si", "diamond", 5.43, cubic=True).repeat(3))
    free_particles = LennardJones(epsilon=1e-12, cutoff=1.0, truncation="shifted", units="eV")
    chunk = next(
        molecular_dynamics(
            free_particles, [start], steps=0, temperature=300.0, trajectory=True, lists="host"
        )
    )
    velocities = chunk.velocities[0][0]
    assert np.allclose(velocities.mean(axis=0), 0.0, atol=1e-16)
    # 645 degrees of freedom: k_B T / 2 each, to four standard errors.
    assert chunk.temperature[0, 0] == pytest.approx(300.0, rel=4.0 * np.sqrt(2.0 / 645))
    thermal_energy = 1.5 * BOLTZMANN_EV_PER_K * chunk.temperature[0, 0]
    assert chunk.kinetic_energy[0, 0] == pytest.approx(thermal_energy * 215, rel=1e-12)


def test_trajectory_does_not_depend_on_the_batch(
    silicon: StillingerWeber, crystal: Configuration
) -> None:
    options = {"steps": 200, "friction": 0.01, "record_every": 20, "trajectory": True, "width": 8}
    many = list(molecular_dynamics(silicon, [crystal] * 3, **options))
    one = list(molecular_dynamics(silicon, [crystal], **options))
    assert np.array_equal(many[0].positions[0], one[0].positions[0])
    assert not np.array_equal(many[0].positions[0], many[0].positions[1])


def test_a_calculator_is_called_once_a_step() -> None:
    calculator = Counted()
    copper = from_ase(bulk("Cu", cubic=True))
    chunks = molecular_dynamics(
        CalculatorPotential(calculator), [copper], steps=12, record_every=2, chunk=3
    )
    assert np.isfinite(joined(list(chunks), "potential_energy")).all()
    assert calculator.calls == 13


def test_fixed_atoms_stay_and_broken_lanes_are_isolated(
    silicon: StillingerWeber, crystal: Configuration
) -> None:
    free = np.arange(8) != 2
    options = {"steps": 100, "friction": 0.01, "trajectory": True, "width": 8}
    alone = next(molecular_dynamics(silicon, [crystal], mobile=free, **options))
    assert np.all(alone.positions[0][:, 2] == crystal.positions[2])
    assert np.all(alone.velocities[0][:, 2] == 0.0)
    collided = crystal.positions.copy()
    collided[1] = collided[0]
    broken = crystal._replace(positions=collided)
    both = next(molecular_dynamics(silicon, [crystal, broken], mobile=free, **options))
    assert np.array_equal(both.positions[0], alone.positions[0])
    assert np.all(np.isnan(both.potential_energy[1]))


def test_wrong_input_is_named(silicon: StillingerWeber, crystal: Configuration) -> None:
    with pytest.raises(InputError, match="masses"):
        next(molecular_dynamics(silicon, [crystal], steps=1, masses=[np.zeros(8)]))
    # One row would be given to every atom.
    with pytest.raises(InputError, match=r"velocities\[0\]: shape \(1, 3\), not \(8, 3\)"):
        next(molecular_dynamics(silicon, [crystal], steps=1, velocities=[np.ones((1, 3))]))
    with pytest.raises(InputError, match="velocities: 1 arrays for 2 configurations"):
        next(molecular_dynamics(silicon, [crystal] * 2, steps=1, velocities=[np.ones((8, 3))]))
    with pytest.raises(InputError, match="masses: 1 arrays for 2 configurations"):
        next(molecular_dynamics(silicon, [crystal] * 2, steps=1, masses=[np.ones(8)]))
    with pytest.raises(InputError, match=r"masses\[0\]: shape \(7,\), not \(8,\)"):
        next(molecular_dynamics(silicon, [crystal], steps=1, masses=[np.ones(7)]))
    assert jax.config.jax_enable_x64
    assert jax.config.jax_default_matmul_precision == "highest"


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": -1},
        {"temperature": -1.0},
        {"temperature": np.nan},
        {"friction": -1.0},
        {"record_every": 0},
        {"chunk": 0},
    ],
    ids=str,
)
def test_a_number_out_of_its_range_is_named(
    silicon: StillingerWeber, crystal: Configuration, wrong: dict
) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(InputError, match=f"{name} = {value}: .* or more"):
        list(molecular_dynamics(silicon, [crystal], **({"steps": 1} | wrong)))


def test_no_friction_is_no_thermostat(silicon: StillingerWeber, crystal: Configuration) -> None:
    without, zero = (
        next(molecular_dynamics(silicon, [crystal], steps=20, friction=friction))
        for friction in (None, 0.0)
    )
    assert np.array_equal(zero.temperature, without.temperature)
    assert np.array_equal(zero.potential_energy, without.potential_energy)
