"""ASE in both directions: optimizers, dynamics, cell filters, phonopy; any calculator."""

import os
import subprocess
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator, PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS, FIRE
from potentials.structures import cluster, distorted_silicon
from potentials.test_evaluate import Pair

from thermosearch.configuration import from_ase, pad
from thermosearch.potentials import ase_bridge
from thermosearch.potentials.ase_bridge import CalculatorPotential, to_calculator
from thermosearch.potentials.check import check_potential
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.interface import energy_forces
from thermosearch.potentials.neighbours_host import host_neighbours
from thermosearch.potentials.section import PotentialSection
from thermosearch.potentials.stillinger_weber import StillingerWeber
from thermosearch.runtime.errors import InputError

SW = StillingerWeber()


def test_calculator_gives_what_evaluate_gives_while_atoms_move() -> None:
    atoms = distorted_silicon(1)
    atoms.calc = SW.ase_calculator(skin=0.4)
    rng = np.random.default_rng(0)
    for step in range(12):
        atoms.positions += 0.05 * rng.normal(size=(8, 3))
        if step == 6:
            atoms.set_cell(atoms.cell[:] * 1.01, scale_atoms=True)
        exact = evaluate(SW, [from_ase(atoms)], ("stress",))[0]
        assert atoms.get_potential_energy() == pytest.approx(exact.energy, abs=1e-11)
        assert np.abs(atoms.get_forces() - exact.forces).max() < 1e-11
        assert np.abs(atoms.get_stress(voigt=False) - exact.stress).max() < 1e-12
        assert atoms.get_forces().dtype == np.float64


@pytest.mark.parametrize("optimizer", [BFGS, FIRE])
def test_optimizers_relax_cell_and_atoms_to_diamond(optimizer: Any) -> None:
    atoms = bulk("Si", cubic=True)
    atoms.positions += 0.1 * np.random.default_rng(1).normal(size=(8, 3))
    atoms.set_cell(atoms.cell * 1.03, scale_atoms=True)
    atoms.calc = to_calculator(SW)
    assert optimizer(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-4, steps=500)
    assert atoms.get_potential_energy() / 8 == pytest.approx(-2.0 * 2.1683, abs=1e-5)
    # The nearest distance is that of the pair minimum, 2^(1/6) sigma.
    lattice = 4.0 / np.sqrt(3.0) * 2.0 ** (1.0 / 6.0) * 2.0951
    assert atoms.cell.lengths() == pytest.approx(np.full(3, lattice), abs=1e-3)


def test_dynamics_conserve_the_energy_with_few_lists_and_one_compilation() -> None:
    atoms = bulk("Si", cubic=True).repeat(2)
    atoms.calc = to_calculator(SW, skin=0.5)
    thermal = np.sqrt(atoms.get_masses() * units.kB * 600.0)[:, None]
    atoms.set_momenta(thermal * np.random.default_rng(0).normal(size=(64, 3)))
    atoms.get_forces()
    dynamics = VelocityVerlet(atoms, 1.0 * units.fs)
    dynamics.run(1)
    compiled = ase_bridge._run._cached._cache_size()
    total = []
    for _ in range(30):
        dynamics.run(10)
        total.append(atoms.get_total_energy())
    assert np.ptp(total) / len(atoms) < 1e-4
    assert ase_bridge._run._cached._cache_size() <= compiled + 1


def test_phonopy_finds_the_frequencies_of_the_published_potential() -> None:
    """The Raman mode of Stillinger-Weber silicon is 17.8 THz; acoustic modes vanish at Gamma."""
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    lattice = 4.0 / np.sqrt(3.0) * 2.0 ** (1.0 / 6.0) * 2.0951
    cell = bulk("Si", a=lattice)
    phonon = Phonopy(
        PhonopyAtoms(cell.symbols, cell=cell.cell[:], scaled_positions=cell.get_scaled_positions()),
        2 * np.eye(3, dtype=int),
    )
    phonon.generate_displacements(distance=0.01)
    calculator = to_calculator(SW)
    forces = []
    for displaced in phonon.supercells_with_displacements:
        atoms = Atoms(displaced.symbols, displaced.positions, cell=displaced.cell, pbc=True)
        atoms.calc = calculator
        forces.append(atoms.get_forces())
    phonon.forces = forces
    phonon.produce_force_constants()
    frequencies = phonon.run_qpoints([[0.0, 0.0, 0.0]]).frequencies[0]
    assert np.abs(frequencies[:3]).max() < 0.05
    assert frequencies[3:] == pytest.approx(np.full(3, 17.8), abs=0.3)


def test_spread_is_in_the_results_where_asked() -> None:
    committee = Pair(SW, jnp.asarray([0.9, 1.1]), SW.cutoff)
    atoms = distorted_silicon(1)
    atoms.calc = to_calculator(committee, uncertainty=True)
    energy = atoms.get_potential_energy()
    assert atoms.calc.results["energy_std"] == pytest.approx(0.1 * np.sqrt(2.0) * abs(energy))
    assert atoms.calc.results["forces_std"].shape == (8,)
    with pytest.raises(InputError, match="two members or more"):
        to_calculator(SW, uncertainty=True)


def test_wrong_atoms_are_refused_by_the_calculator() -> None:
    atoms = bulk("Ge")
    atoms.calc = to_calculator(SW)
    with pytest.raises(InputError, match="does not know Ge"):
        atoms.get_potential_energy()
    atoms = bulk("Si", cubic=True)
    atoms.calc = to_calculator(SW)
    atoms.get_potential_energy()
    atoms.positions[3] = np.nan
    with pytest.raises(InputError, match="position of atom 3"):
        atoms.get_potential_energy()
    lone = cluster(3, 2.4)
    lone.calc = to_calculator(SW)
    with pytest.raises(PropertyNotImplementedError, match="no volume"):
        lone.get_stress()
    with pytest.raises(InputError, match=r"skin = -0\.1"):
        to_calculator(SW, skin=-0.1)


class Counted(EMT):
    """EMT that counts its calls, and fails if it is told to."""

    calls = 0
    failing = False

    def calculate(self, *arguments: Any, **options: Any) -> None:
        self.calls += 1
        if self.failing:
            raise RuntimeError("SCF not converged")
        super().calculate(*arguments, **options)


@pytest.fixture
def copper() -> Atoms:
    atoms = bulk("Cu", cubic=True)
    rng = np.random.default_rng(0)
    atoms.set_cell(atoms.cell[:] @ (np.eye(3) + 0.03 * rng.normal(size=(3, 3))), scale_atoms=True)
    atoms.positions += 0.1 * rng.normal(size=(4, 3))
    return atoms


@pytest.mark.parametrize("batching", ["loop", "vmap"])
def test_any_calculator_is_a_potential(copper: Atoms, batching: Any) -> None:
    primitive = bulk("Cu")
    potential = CalculatorPotential(EMT())
    found = evaluate(
        potential, [from_ase(copper), from_ase(primitive)], ("stress",), batching=batching
    )
    for atoms, got in zip((copper, primitive), found, strict=True):
        atoms.calc = EMT()
        assert got.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-12)
        assert np.abs(got.forces - atoms.get_forces()).max() < 1e-12
        assert np.abs(got.stress - atoms.get_stress(voigt=False)).max() < 1e-12


def test_one_call_a_configuration_also_inside_jit_and_scan(copper: Atoms) -> None:
    calculator = Counted()
    potential = CalculatorPotential(calculator)
    configuration = pad(from_ase(copper), 6)
    neighbours = host_neighbours(configuration, None)

    @eqx.filter_jit
    def descend(start: Any) -> Any:
        def step(positions: Any, _: None) -> tuple[Any, Any]:
            got = energy_forces(potential, start._replace(positions=positions), neighbours)
            return positions + 0.02 * got.forces, got.energy

        return jax.lax.scan(step, start.positions, None, length=5)

    positions, energies = descend(jax.tree.map(jnp.asarray, configuration))
    assert calculator.calls == 5
    assert np.all(np.diff(energies) < 0.0)
    assert np.array_equal(positions[4:], configuration.positions[4:])


def test_a_failing_calculator_gives_nan_or_its_message(
    copper: Atoms, caplog: pytest.LogCaptureFixture
) -> None:
    calculator = Counted()
    calculator.failing = True
    found = evaluate(CalculatorPotential(calculator, on_failure="nan"), [from_ase(copper)])[0]
    assert np.isnan(found.energy)
    assert np.isnan(found.forces).all()
    assert "SCF not converged" in caplog.text
    with pytest.raises(jax.errors.JaxRuntimeError, match="Counted failed: SCF not converged"):
        evaluate(CalculatorPotential(calculator), [from_ase(copper)])


class _Mute(Calculator):
    """Fails without a word."""

    implemented_properties = ("energy",)

    def calculate(self, *arguments: Any, **options: Any) -> None:
        raise ArithmeticError


def test_a_failure_without_a_message_has_its_name(copper: Atoms) -> None:
    with pytest.raises(jax.errors.JaxRuntimeError, match="_Mute failed: ArithmeticError"):
        evaluate(CalculatorPotential(_Mute()), [from_ase(copper)], ("energy",))


def test_a_calculator_is_checked_on_a_cluster_as_on_a_crystal(copper: Atoms) -> None:
    potential = CalculatorPotential(EMT())
    trimer = Atoms("Cu3", [[0.0, 0.0, 0.0], [2.5, 0.1, 0.0], [1.1, 2.2, 0.3]])
    for atoms, has_stress in ((trimer, False), (copper, True)):
        report = check_potential(potential, from_ase(atoms))
        report.raise_if_failed()
        names = {result.name for result in report.results}
        assert names >= {"forces", "rotation forces", "permutation energy", "padded forces"}
        assert ({"stress", "rotation stress"} <= names) == has_stress


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [({"potential": "no_such.alloy"}, "No such file"), ({"potential": []}, "no attribute")],
)
def test_a_calculator_that_cannot_be_made_is_named(arguments: dict, reason: str) -> None:
    study = {"ase": "ase.calculators.eam:EAM", "arguments": arguments}
    with pytest.raises(InputError, match=f"potential: ase = 'ase.calculators.eam:EAM'.*{reason}"):
        PotentialSection.model_validate(study).build()


class _Child(Calculator):
    """Gives the number of the launcher's variables that a child process sees."""

    implemented_properties = ("energy",)

    def calculate(self, *arguments: Any, **options: Any) -> None:
        super().calculate(*arguments, **options)
        shown = subprocess.run(["env"], capture_output=True, text=True, check=True).stdout
        seen = [line for line in shown.splitlines() if line.startswith(("PMI_", "HYDI_"))]
        self.results["energy"] = float(len(seen))


def test_a_code_started_from_a_rank_does_not_think_it_is_one(
    copper: Atoms, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PMI_RANK", "PMI_SIZE", "HYDI_CONTROL_FD"):
        monkeypatch.setenv(name, "1")
    (found,) = evaluate(CalculatorPotential(_Child()), [from_ase(copper)], ("energy",))
    assert found.energy == 0.0
    assert os.environ["PMI_RANK"] == "1"
