"""A study from its file to its results: stopped and resumed, and refused where it is wrong."""

import json
import subprocess
import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

import thermosearch
from thermosearch.harmonic.problem import make_problem
from thermosearch.launch import check_content
from thermosearch.runtime.errors import InputError
from thermosearch.runtime.results import Results

STUDY: dict[str, Any] = {
    "kind": "harmonic",
    "potential": {"analytic": "stillinger_weber"},
    "system": {
        "phases": [
            {
                "name": "diamond",
                "supercell": [2, 2, 2],
                "space_group": "Fd-3m",
                "bulk": {"formula": "Si", "structure": "diamond", "a": 5.431, "cubic": False},
            }
        ]
    },
    "method": {"temperatures": [300.0, 600.0], "error": 5e-4, "quasi_harmonic": False},
    "analysis": {"mesh": 20.0},
    "run": {"seed": 3},
}


def numbers(results: Results) -> dict[str, tuple[float, float | None]]:
    return {
        json.dumps([each.name, dict(each.conditions)], sort_keys=True): (each.value, each.error)
        for each in results.quantities
    }


def value(results: Results, name: str, **conditions: object) -> float:
    return next(
        each.value
        for each in results.quantities
        if each.name == name and conditions.items() <= dict(each.conditions).items()
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return thermosearch.run(STUDY, output=tmp_path_factory.mktemp("whole") / "run", quiet=True)


def test_results_name_what_the_field_names(whole: Results) -> None:
    assert whole.status == "finished"
    names = {each.name for each in whole.quantities}
    expected = {"free_energy", "gibbs_energy", "lattice_parameter_a", "thermal_expansion"}
    assert expected | {"frequency", "pressure"} <= names
    assert abs(value(whole, "pressure", T_K=300.0)) < 0.2
    # The unit cell is the primitive one.
    low, high = (np.sqrt(2.0) * value(whole, "lattice_parameter_a", T_K=t) for t in (300.0, 600.0))
    assert 5.43 < low < high < 5.46
    # Zero-point motion is in it: far above the classical value.
    bound = value(whole, "free_energy", T_K=300.0, approximation="effective harmonic")
    assert bound < value(whole, "free_energy", T_K=300.0, approximation="harmonic")


def test_stopped_and_resumed_gives_the_same_numbers(whole: Results, tmp_path: Path) -> None:
    """A walltime that fits no step stops after every single one."""
    first = thermosearch.run(STUDY, output=tmp_path / "run", walltime=1e-6, quiet=True)
    assert first.status == "stopped"
    stops = 1
    while True:
        stopped = thermosearch.run(
            STUDY, output=tmp_path / "run", resume=True, walltime=1e-6, quiet=True
        )
        if stopped.status == "finished":
            break
        stops += 1
    assert stops >= 2
    assert numbers(stopped) == numbers(whole)


def changed(*path: str | int, to: object) -> dict[str, Any]:
    study = deepcopy(STUDY)
    place: Any = study
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return study


PHASE = ("system", "phases", 0)
PHASES = STUDY["system"]["phases"]


@pytest.mark.parametrize(
    ("study", "words"),
    [
        (changed(*PHASE, "supercell", to=[2, 2]), "supercell"),
        (changed(*PHASE, "supercell", to=[[1, 0, 0], [0, 1, 0], [1, 0, 0]]), "determinant"),
        (changed(*PHASE, "supercell", to=[2, 2, 1]), "keeps 8 of the 48 rotations"),
        (changed(*PHASE, "space_group", to="P6_3/mmc"), "the structure has Fd-3m (227)"),
        (changed("analysis", "long_range", to="gonze"), "needs Born charges"),
        (changed("method", "temperatures", to=[300.0, 300.0]), "given twice"),
        (changed("method", "pressures", to=[0.0, 1.0, -0.0]), "given twice"),
        (
            changed("system", "phases", to=[PHASES[0] | {"name": n} for n in ("Si/a", "Si-a")]),
            'results.h5 writes "/" as "-"',
        ),
        (changed("potential", to={"analytic": "lennard_jones"}), "reduced units"),
        (changed(*PHASE, "bulk", "formula", to="Ge"), "does not know Ge"),
        (changed(*PHASE, "structure", to="missing.cif"), "no such file"),
    ],
)
def test_wrong_input_is_one_clear_line(study: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        make_problem(check_content(study, "study.toml", Path())[0])
    message = str(caught.value)
    assert words in message
    assert "\n" not in message


def odd(name: str) -> Atoms:
    """Structures that are no crystals, or none that phonopy takes."""
    atoms = bulk("Si", a=5.431)
    if name == "molecule":
        return Atoms("Si2", [[0, 0, 0], [0, 0, 2.3]])
    if name == "flat":
        atoms.cell[2] = atoms.cell[0] + atoms.cell[1]
    elif name == "one on another":
        atoms.positions[1] = 0.05
    elif name == "not a number":
        atoms.positions[1, 2] = np.nan
    elif name == "isotopes":
        atoms.set_masses([28.0, 30.0])
    elif name == "left-handed":
        atoms.cell[:] = atoms.cell[[1, 0, 2]]
    return atoms


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("molecule", "a crystal repeats in three directions"),
        ("flat", "span no volume"),
        ("one on another", "overlap"),
        ("not a number", "must be finite"),
        ("isotopes", "give equivalent atoms one mass"),
        ("left-handed", "exchange two of them"),
    ],
)
def test_what_is_no_crystal_is_one_clear_line(name: str, words: str, tmp_path: Path) -> None:
    write(tmp_path / "odd.traj", odd(name))
    study = changed(*PHASE, to={"structure": str(tmp_path / "odd.traj"), "supercell": [2, 2, 2]})
    with pytest.raises(InputError) as caught:
        make_problem(check_content(study, "study.toml", Path())[0])
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_atoms_of_no_element_are_refused() -> None:
    with pytest.raises(InputError, match="of no element"):
        make_problem(
            check_content(changed(*PHASE, "bulk", "formula", to="X"), "study.toml", Path())[0]
        )


def test_the_log_says_what_was_displaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Diamond has no imaginary mode."""
    study = changed(*PHASE, "distort", to=True)
    study["method"] |= {"temperatures": [300.0], "pressures": [0.0], "quasi_harmonic": False}
    with caplog.at_level("INFO"):
        thermosearch.run(study, output=tmp_path / "run")
    assert "no mode is imaginary: not displaced" in (tmp_path / "run" / "run.log").read_text()


def test_zero_temperature_has_no_classical_free_energy() -> None:
    study = changed("method", "temperatures", to=[0.0])
    check_content(study, "study.toml", Path())
    study["method"]["statistics"] = "classical"
    with pytest.raises(InputError, match="0 K has no classical free energy"):
        check_content(study, "study.toml", Path())
    study["method"] |= {"statistics": "quantum", "integration": {}}
    with pytest.raises(
        InputError, match=r"nothing at 0 K; leave 0 K or \[method.integration\] out"
    ):
        check_content(study, "study.toml", Path())


def test_structure_far_from_a_stationary_point_is_refused(tmp_path: Path) -> None:
    atoms = bulk("Si", a=5.431)
    atoms.positions[1] += 0.3
    write(tmp_path / "off.extxyz", atoms)
    study = changed(*PHASE, to={"structure": str(tmp_path / "off.extxyz"), "supercell": [2, 2, 2]})
    with pytest.raises(InputError, match="far from a stationary point"):
        thermosearch.run(study, output=tmp_path / "run", quiet=True)


def test_born_charges_of_another_crystal_are_refused(tmp_path: Path) -> None:
    (tmp_path / "BORN").write_text("14.4\n1 0 0 0 1 0 0 0 1\n")
    study = changed(*PHASE, "born", to=str(tmp_path / "BORN"))
    study["analysis"]["long_range"] = "gonze"
    with pytest.raises(InputError, match="born = "):
        make_problem(check_content(study, "study.toml", Path())[0])


def test_template_is_valid() -> None:
    import tomllib
    from importlib import resources

    text = resources.files("thermosearch.harmonic").joinpath("template.toml").read_text("utf-8")
    study, kind = check_content(tomllib.loads(text), "template.toml", Path())
    assert kind == "harmonic"
    assert np.linalg.det(study.system.phases[0].supercell) == pytest.approx(8.0)


def test_a_corrupt_checkpoint_gives_way_to_the_one_before(whole: Results, tmp_path: Path) -> None:
    for resume in (False, True, True):
        thermosearch.run(STUDY, output=tmp_path / "run", resume=resume, walltime=1e-6, quiet=True)
    written = sorted((tmp_path / "run" / "checkpoints").iterdir())
    assert len(written) == 2
    damaged = bytearray(written[-1].read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    written[-1].write_bytes(bytes(damaged))
    assert numbers(thermosearch.run(STUDY, output=tmp_path / "run", resume=True, quiet=True)) == (
        numbers(whole)
    )


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_kill_9_at_random_moments(whole: Results, tmp_path: Path) -> None:
    """`kill -9` and `--resume`, over and over: the numbers of the uninterrupted run."""
    study = STUDY | {"run": {"seed": 3, "checkpoint_interval": 1e-3}}
    (tmp_path / "study.json").write_text(json.dumps(study))
    script = (
        "import json, thermosearch, pathlib\n"
        "study = json.loads(pathlib.Path('study.json').read_text())\n"
        "resume = pathlib.Path('run/run.json').exists()\n"
        "thermosearch.run(study, output='run', resume=resume, quiet=True)\n"
    )
    command = [sys.executable, "-c", script]
    began = time.monotonic()
    subprocess.run(command, check=True, cwd=tmp_path)
    length = time.monotonic() - began
    (tmp_path / "run").rename(tmp_path / "clock")
    generator, killed = np.random.default_rng(1), 0
    for _ in range(6):
        running = subprocess.Popen(command, cwd=tmp_path)
        time.sleep(float(generator.uniform(0.4, 1.0)) * length)
        killed += running.poll() is None
        running.kill()
        running.wait()
    assert killed > 0
    subprocess.run(command, check=True, cwd=tmp_path)
    found = json.loads((tmp_path / "run" / "results.json").read_text())["quantities"]
    assert {
        json.dumps([each["name"], each["conditions"]], sort_keys=True): (
            each["value"],
            each["error"],
        )
        for each in found
    } == numbers(whole)
