"""From a study to results: pressures, compositions, moves, any potential, mistakes, files."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import ase
import ase.io
import h5py
import numpy as np
import pytest
from nested.small_study import after, context, never, parsed, same, small

from thermosearch.launch import check_content, run
from thermosearch.nested.execute import execute
from thermosearch.nested.problem import make_problem
from thermosearch.runtime.errors import InputError
from thermosearch.runtime.results import Results
from thermosearch.runtime.study import read_toml


def test_results_have_the_names_of_the_field(whole: Results, tmp_path: Path) -> None:
    names = {quantity.name for quantity in whole.quantities}
    assert {"heat_capacity", "internal_energy", "log_partition_function", "free_energy"} <= names
    assert all("kT" in quantity.conditions for quantity in whole.quantities)
    assert whole.evaluations > 0
    value = whole.arrays["dead/p0_r0/value"]
    assert len(value) == 12 * 6 + 16 and np.all(np.diff(value) <= 0.0)


def test_a_run_folder_is_complete_and_finished_once(tmp_path: Path) -> None:
    results = run(small(), output=tmp_path / "run", quiet=True)
    assert results.status == "finished"
    written = json.loads((tmp_path / "run" / "results.json").read_text())
    assert written["engine"] == "nested"
    frames = ase.io.read(tmp_path / "run" / "structures" / "dead.extxyz", index=":")
    assert len(frames) == 8 and all(len(frame) == 3 for frame in frames)
    assert "log_weight" in frames[0].info
    with h5py.File(tmp_path / "run" / "results.h5") as file:
        assert file["curves/0/heat_capacity"].shape == (5,)
        assert file["walks/p0_r1/accepted"].shape == (12, 1)
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Thermodynamics" in report and "Acceptance rate of each move" in report
    with pytest.raises(InputError, match="already holds a run"):
        run(small(analysis={"temperatures": [0.2, 1.0, 6]}), output=tmp_path / "run", quiet=True)


def ideal_gas(pressures: list[float], **method: Any) -> dict[str, Any]:
    """Two atoms at constant pressure."""
    content = small(
        potential={"analytic": "ideal_gas"},
        system={
            "composition": {"Ar": 2},
            "flexible_cell": {"pressures": pressures, "volume_per_atom": [1e-4, 40.0]},
        },
    )
    content["method"] |= {
        "repeats": 1,
        "stop": {"remaining_evidence": 1e-3},
        "walkers": 64,
        "culled": 16,
        "extra": 0,
        "width": 16,
    }
    content["method"] |= method
    return content


@pytest.mark.parametrize(
    ("exchange_every", "method"),
    [
        (None, {}),
        (2, {}),
        (1, {"rounds": 6, "moves": [{"name": "hamiltonian"}, {"name": "volume", "count": 2}]}),
    ],
    ids=["apart", "exchange", "exchange of walkers with momenta"],
)
def test_pressures_come_in_one_job(
    tmp_path: Path, exchange_every: int | None, method: dict[str, Any]
) -> None:
    """Ideal gas: <V> = (N + 1) kT / P, with exchanges between the pressures or without."""
    content = ideal_gas([0.5, 1.0], exchange_every=exchange_every, **method)
    results = execute(parsed(content), context(tmp_path, never, never))
    found = [q for q in results.quantities if q.name == "volume" and q.conditions["kT"] == 1.0]
    assert [q.conditions["p"] for q in found] == [0.5, 1.0]
    for quantity in found:
        exact = 3 * 1.0 / quantity.conditions["p"]
        assert abs(quantity.value - exact) < 4 * quantity.error
    assert {"enthalpy", "gibbs_free_energy", "thermal_expansion", "compressibility"} <= {
        q.name for q in results.quantities
    }
    tried, taken = (results.arrays[f"walks/p0_r0/exchanges_{name}"] for name in ("tried", "taken"))
    assert (0 < taken < tried) if exchange_every else tried == 0


@pytest.mark.usefixtures("one_iteration_at_a_time")
def test_momenta_are_sampled_saved_and_taken_out_again(tmp_path: Path) -> None:
    """Ideal gas, stopped half-way: ln Q = ln N! + (N + 1) ln(kT / P), C_p = N + 1, from H + K."""
    moves = [{"name": "hamiltonian"}, {"name": "volume", "count": 2}]
    content = ideal_gas([1.0], rounds=6, moves=moves)
    study = parsed(content)
    uninterrupted = execute(study, context(tmp_path / "whole", never, never))
    assert execute(study, context(tmp_path / "cut", after(20), never)).status == "stopped"
    results = execute(study, context(tmp_path / "cut", never, never))
    assert same(results, uninterrupted)
    kt, curves = results.arrays["curves/0/temperature"], "curves/0/"
    exact = {
        "log_partition_function": np.log(2.0) + 3 * np.log(kt),
        "heat_capacity": np.full(len(kt), 3.0),
        "enthalpy": 3 * kt,
    }
    for name, values in exact.items():
        found, error = (results.arrays[f"{curves}{name}{end}"] for end in ("", "_error"))
        assert np.all(np.abs(found - values) < 4 * error), name
    assert np.ptp(results.arrays["dead/p0_r0/kinetic"]) > 0.0
    for each in results.structures:
        assert each["value"] == pytest.approx(1.0 * _volume(tmp_path / "cut", each))


def _volume(folder: Path, structure: dict[str, Any]) -> float:
    atoms = ase.io.read(folder / structure["file"], index=structure["index"])
    return float(atoms.cell.volume)


def test_the_enthalpy_of_a_semi_grand_study_is_that_of_the_atoms(tmp_path: Path) -> None:
    """Ideal gas: <H> = P <V> = (N + 1) kT whatever the chemical potentials."""
    content = ideal_gas([1.0])
    content["system"]["chemical_potentials"] = {"Ar": 0.0, "Kr": 5.0}
    arrays = execute(parsed(content), context(tmp_path, never, never)).arrays
    found, error = (arrays[f"curves/0/enthalpy{end}"] for end in ("", "_error"))
    assert np.all(np.abs(found - 3 * arrays["curves/0/temperature"]) < 4 * error)


def test_flights_and_trajectories_are_as_long_as_the_study_says() -> None:
    moves = [{"name": "galilean", "length": 3}, {"name": "hamiltonian", "length": 5}]
    problem = make_problem(parsed(ideal_gas([1.0], moves=[*moves, {"name": "volume"}])))
    flight, trajectory, _ = problem.plan.moves
    # A step that is stopped is tried once more, mirrored.
    assert flight.attempts(problem.system) == 2 * 3
    assert trajectory.attempts(problem.system) == 5


def test_compositions_come_in_one_job(tmp_path: Path) -> None:
    """Einstein oscillators do not look at the species: equal averages, other free energies."""
    content = small(
        potential={
            "analytic": "einstein",
            "parameters": {"sites": [[0.0] * 3] * 3, "units": "reduced"},
        },
    )
    content["system"] = {
        "compositions": [{"Ar": 3}, {"Ar": 2, "Kr": 1}],
        "sphere": {"radius": 2.0, "about": "fixed_centre"},
    }
    content["method"] |= {"repeats": 1, "moves": [{"name": "atom"}, {"name": "swap"}]}
    results = execute(parsed(content), context(tmp_path, never, never))
    found = {
        q.conditions["composition"]: q.value
        for q in results.quantities
        if q.name == "free_energy" and q.conditions["kT"] == 1.0
    }
    assert set(found) == {"Ar3", "Ar2Kr"} and found["Ar3"] != found["Ar2Kr"]
    assert results.arrays["dead/p0_r0/value"].shape == results.arrays["dead/p1_r0/value"].shape


def test_semi_grand_fractions_follow_the_chemical_potential(tmp_path: Path) -> None:
    """Where the energy does not look at the species, each atom is Kr with 1 / (1 + e^-mu/kT)."""
    content = small(
        potential={
            "analytic": "einstein",
            "parameters": {"sites": [[0.0] * 3] * 3, "units": "reduced"},
        },
    )
    content["system"]["chemical_potentials"] = {"Ar": 0.0, "Kr": 0.5}
    content["method"] |= {
        "walkers": 128,
        "culled": 32,
        "extra": 0,
        "width": 32,
        "rounds": 8,
        "repeats": 1,
        "structures_every": 1,
        "stop": {"remaining_evidence": 1e-3},
    }
    arrays = execute(parsed(content), context(tmp_path, never, never)).arrays
    kt, fraction = arrays["curves/0/temperature"], arrays["curves/0/fraction_Kr"]
    exact = 1.0 / (1.0 + np.exp(-0.5 / kt))
    assert np.all(np.abs(fraction - exact) < 3.5 * arrays["curves/0/fraction_Kr_error"])
    assert fraction[0] - fraction[-1] > 0.1
    log_z = arrays["curves/0/log_partition_function"] - 3 * np.log(1.0 + np.exp(0.5 / kt))
    per_atom = 1.5 * np.log(2.0 * np.pi * kt)  # int dr e^(-r^2 / 2 kT)
    wide = kt < 0.5  # beyond, the sphere cuts the Gaussian
    error = arrays["curves/0/log_partition_function_error"]
    assert np.all(np.abs(log_z - 3 * per_atom)[wide] < 3.5 * error[wide])


def test_relaxed_configurations_fall_into_basins(tmp_path: Path) -> None:
    """Three atoms have one minimum, the triangle of three bonds: -1 an atom."""
    content = small(analysis={"temperatures": [0.2, 1.0, 5], "draws": 20, "quenched": 6})
    content["method"] |= {"repeats": 1, "structures_every": 4}
    results = execute(parsed(content), context(tmp_path, never, never))
    arrays = results.arrays
    assert arrays["phases/0/basin_enthalpy"][0] == pytest.approx(-1.0, abs=1e-3)
    np.testing.assert_allclose(arrays["phases/0/basin_shares"].sum(axis=0), 1.0)
    assert 0 < len(arrays["phases/0/quench_basin"]) <= 6
    assert arrays["curves/0/coordination_number"].max() <= 2.0
    frames = ase.io.read(tmp_path / "structures" / "basins.extxyz", index=":")
    assert len(frames) == len(arrays["phases/0/basins"])
    np.testing.assert_allclose(frames[0].get_all_distances()[0, 1:], 2 ** (1 / 6), atol=0.01)


def test_frozen_atoms_stay(tmp_path: Path) -> None:
    """Two atoms between the walls of a box over a third that stays."""
    slab = ase.Atoms("Kr", positions=[[2.0, 2.0, 0.5]], cell=4 * np.eye(3), pbc=(True, True, False))
    slab.write(tmp_path / "slab.extxyz")
    cell = {"vectors": (4 * np.eye(3)).tolist(), "pbc": [True, True, False]}
    content = small(potential={"analytic": "lennard_jones", "parameters": {"cutoff": 1.9}})
    content["system"] = {
        "composition": {"Ar": 2},
        "cell": cell,
        "frozen": {"file": str(tmp_path / "slab.extxyz")},
    }
    content["method"] |= {"repeats": 1, "stop": {"iterations": 4}}
    results = execute(parsed(content), context(tmp_path, never, never))
    assert results.status == "finished"
    for frame in ase.io.read(tmp_path / "structures" / "dead.extxyz", index=":"):
        assert frame.get_chemical_symbols() == ["Ar", "Ar", "Kr"]
        np.testing.assert_array_equal(frame.positions[2], [2.0, 2.0, 0.5])
        assert np.all((frame.positions[:, 2] >= 0.0) & (frame.positions[:, 2] < 4.0))
    cell["vectors"][0][0] = 5.0
    with pytest.raises(InputError, match=r"its cell .* is not system.cell.vectors"):
        execute(parsed(content), context(tmp_path, never, never))


ANY_POTENTIAL = {
    "calculator": (
        {"ase": "ase.calculators.emt:EMT"},
        {"composition": {"Cu": 2, "Al": 1}, "cell": {"vectors": (5.0 * np.eye(3)).tolist()}},
        {"moves": [{"name": "all_atoms", "count": 2}, {"name": "swap"}]},
    ),
    "many-body": (
        {"analytic": "stillinger_weber"},
        {
            "composition": {"Si": 8},
            "flexible_cell": {"pressures": [0.1], "volume_per_atom": [10.0, 60.0]},
        },
        {},
    ),
}


@pytest.mark.parametrize("name", ["calculator", pytest.param("many-body", marks=pytest.mark.slow)])
def test_any_potential_is_sampled(name: str, tmp_path: Path) -> None:
    """An ASE calculator with two species; forces, a flexible cell and growing lists."""
    potential, system, method = ANY_POTENTIAL[name]
    content = small(potential=potential, system=system)
    content["analysis"] = {"temperatures": [500.0, 3000.0, 5], "draws": 20, "quenched": 0}
    content["method"] |= {"repeats": 1, "rounds": 2, "stop": {"iterations": 3}} | method
    results = execute(parsed(content), context(tmp_path, never, never))
    value = results.arrays["dead/p0_r0/value"]
    assert np.all(np.isfinite(value)) and np.all(np.diff(value) <= 0.0)
    assert results.arrays["walks/p0_r0/accepted"].sum() > 0
    # Those of the study, to the last bit.
    asked = {*np.linspace(*content["analysis"]["temperatures"]).tolist()}
    assert {quantity.conditions["T_K"] for quantity in results.quantities} <= asked


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("method", {"culled": 16}, "raise walkers"),
        ("method", {"moves": [{"name": "volume"}]}, "flexible_cell"),
        ("method", {"moves": [{"name": "swap"}, {"name": "atom"}]}, "two species"),
        ("method", {"walkres": 3}, "walkers"),
        ("method", {"stop": {"remaining_evidence": None}}, "nothing ends the run"),
        ("analysis", {"temperatures": [1.0, 0.2, 5]}, "not below"),
        ("system", {"composition": {"Xx": 3}}, "no chemical symbol"),
        ("system", {"sphere": None}, "exactly one of sphere"),
        ("system", {"compositions": [{"Ar": 3}]}, "exactly one of composition"),
        ("system", {"frozen": {"file": "none.extxyz"}}, "no such file"),
        ("method", {"exchange_every": 2}, "two pressures"),
        ("method", {"moves": [{"name": "atom"}, {"name": "identity"}]}, "chemical_potentials"),
        ("method", {"moves": [{"name": "atom", "length": 4}]}, '"atom" has no length'),
    ],
)
def test_mistakes_are_answered_with_one_line(
    section: str, change: dict[str, Any], message: str
) -> None:
    content = small()
    content[section] = content[section] | change
    with pytest.raises(InputError, match=message):
        parsed(content)


@pytest.mark.parametrize(
    ("potential", "system", "message"),
    [
        ({"analytic": "stillinger_weber"}, {"composition": {"Ar": 3}}, "does not know Ar"),
        (
            {"analytic": "lennard_jones"},
            {"sphere": None, "flexible_cell": {"pressures": [1.0], "volume_per_atom": [1.0, 9.0]}},
            "infinite cutoff",
        ),
        (
            {"analytic": "lennard_jones", "parameters": {"cutoff": 3.0}},
            {"sphere": None, "flexible_cell": {"pressures": [1.0], "volume_per_atom": [1e-6, 9.0]}},
            "raise the lower bound",
        ),
    ],
)
def test_potentials_that_do_not_fit_are_refused(
    potential: dict[str, Any], system: dict[str, Any], message: str, tmp_path: Path
) -> None:
    content = small(potential=potential)
    content["system"] = content["system"] | system
    with pytest.raises(InputError, match=message):
        execute(parsed(content), context(tmp_path, never, never))


def test_a_run_begins_with_the_slots_of_its_smallest_cell() -> None:
    """Stillinger-Weber's 3.771 A at 10 A^3 an atom: 22 neighbours, bounded by 16 and 64."""
    for volume, slots in ((10.0, 24), (40.0, 16), (2.0, 64)):
        content = small(potential={"analytic": "stillinger_weber"})
        content["system"] = {
            "composition": {"Si": 8},
            "flexible_cell": {"pressures": [1.0], "volume_per_atom": [volume, 60.0]},
        }
        content["analysis"] = content["analysis"] | {"temperatures": [300.0, 900.0, 3]}
        assert make_problem(parsed(content)).system.finder.capacity == slots


def test_volume_bounds_in_the_wrong_order_are_refused() -> None:
    content = small(
        system={
            "composition": {"Ar": 2},
            "flexible_cell": {"pressures": [1.0], "volume_per_atom": [9.0, 1.0]},
        }
    )
    with pytest.raises(InputError, match="not below the upper"):
        parsed(content)


def test_the_template_is_a_valid_study(tmp_path: Path) -> None:
    text = files("thermosearch.nested").joinpath("template.toml").read_text("utf-8")
    path = tmp_path / "study.toml"
    path.write_text(text)
    study, kind = check_content(read_toml(path), "template", tmp_path)
    assert kind == "nested" and study.method.walkers == 128


def test_portions_are_no_wider_than_what_walks() -> None:
    content = small()
    content["method"] |= {"culled": 1, "extra": 0, "width": 32}
    assert make_problem(parsed(content)).sizes.width == 1
