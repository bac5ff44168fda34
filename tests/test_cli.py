"""The command line on the real engines, as a new user types it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

import thermosearch
from thermosearch import cli
from thermosearch.launch import ENGINES, load_study
from thermosearch.runtime.errors import InputError

SEARCH = """
kind = "search"
[potential]
analytic = "stillinger_weber"
[system]
moved_layers = 1
relaxed_layers = 3
[system.slab]
element = "Si"
layers = 6
repeat = [2, 1]
lattice_parameter = 5.431
[method]
seeds = 2
generations = 2
population = 4
relaxation_steps = 5
final_steps = 20
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THERMOSEARCH_CACHE", "off")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line a command answers wrong input with."""
    assert cli.main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line


@pytest.mark.parametrize("kind", sorted(ENGINES))
def test_new_prints_a_template_that_is_a_valid_study(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["new", kind]) == 0
    text = capsys.readouterr().out
    # The first lines name the files that must be there before it runs.
    needed = {"train": ["reference"], "surface": ["ideal", "reconstructed", "bulk"]}.get(kind, [])
    top = text.split("kind = ")[0]
    assert all(f"{name}.extxyz" in top for name in needed)
    assert "#" in text
    Path("study.toml").write_text(text)
    for name in ("reference", "ideal", "reconstructed", "bulk"):
        Path(f"{name}.extxyz").touch()
    parsed, given, _ = load_study("study.toml")
    assert given.kind == kind
    assert parsed.kind == kind


def without_comment_mark(lines: list[str]) -> list[str]:
    """Every study that comes of taking one commented key, or section, of a template in."""
    studies = []
    section: list[int] = []
    for i, line in enumerate(lines):
        if re.match(r"# \[+\w", line):
            section = [i]
        elif section and re.match(r"# \w+ = ", line):
            section.append(i)
        else:
            section = []
        taken = section or ([i] if re.match(r"# \w+ = ", line) else [])
        studies += [
            "\n".join(
                each.removeprefix("# ") if k in taken else each for k, each in enumerate(lines)
            )
            for _ in taken[:1]
        ]
    return studies


@pytest.mark.parametrize("kind", sorted(ENGINES))
def test_every_commented_key_of_a_template_exists(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["new", kind])
    studies = without_comment_mark(capsys.readouterr().out.splitlines())
    assert studies
    for name in ("reference", "ideal", "reconstructed", "bulk"):
        Path(f"{name}.extxyz").touch()
    for study in studies:
        Path("study.toml").write_text(study)
        try:
            load_study("study.toml")
        except InputError as error:  # a choice may exclude another one or name a missing file
            assert "unknown key" not in str(error)
            assert "TOML" not in str(error)


def test_new_slurm_is_a_shell_script_that_resumes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["new", "slurm"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("#!/bin/bash\n")
    assert "#SBATCH --signal=TERM@" in text
    assert "--resume" in text
    Path("job.slurm").write_text(text)
    subprocess.run(["bash", "-n", "job.slurm"], check=True)


def test_unknown_kind_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["new", "serch"])
    assert ended.value.code == 2
    assert 'did you mean "search"?' in capsys.readouterr().err


def test_info_names_what_a_bug_report_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    said = capsys.readouterr().out
    names = [line.split("  ")[0] for line in said.splitlines()]
    for name in ("thermosearch", "jax", "backend", "ranks", "threads a rank", "MPI library"):
        assert name in names
    assert "shipped models" in names


def test_validate_notices_an_element_the_potential_does_not_know(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("ge.toml").write_text(SEARCH.replace('"Si"', '"Ge"'))
    line = refused(capsys, "validate", "ge.toml")
    assert "ge.toml" in line
    assert "Ge" in line


def test_validate_goes_on_after_a_bad_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("ge.toml").write_text(SEARCH.replace('"Si"', '"Ge"'))
    Path("good.toml").write_text(SEARCH)
    assert cli.main(["validate", "ge.toml", "good.toml", "missing.toml"]) == 2
    said = capsys.readouterr()
    assert said.out.splitlines() == ["good.toml: a valid search study"]
    first, second = said.err.splitlines()
    assert "ge.toml" in first
    assert "missing.toml" in second


@pytest.mark.parametrize("command", [["validate"], ["search", "--output", "out"]])
def test_a_kind_that_is_no_text_is_one_line(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("study.toml").write_text(SEARCH.replace('"search"', '["search"]'))
    line = refused(capsys, *command[:1], "study.toml", *command[1:])
    assert "study.toml" in line
    assert "kind" in line


def test_unknown_model_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    study = SEARCH.replace('analytic = "stillinger_weber"', 'model = "silicn"')
    Path("study.toml").write_text(study)
    assert "silicn" in refused(capsys, "search", "study.toml", "--output", "out")
    assert not Path("out").exists()


def test_evaluate_with_missing_data_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "evaluate", "--model", "silicon", "--data", "nowhere.xyz")
    assert "nowhere.xyz" in line


def test_evaluate_is_told_elements_and_units(capsys: pytest.CaptureFixture[str]) -> None:
    atoms = "".join(f"atom {x} 0 0 Si 0 0 0 0 0\n" for x in (0.0, 2.4))
    Path("input.data").write_text(f"begin\n{atoms}energy -2.0\nend\n")
    ase.io.write("same.extxyz", [_dimer()])
    command = ["evaluate", "--model", "silicon", "--json", "errors.json", "--data"]
    units = ["--length-unit", "A", "--energy-unit", "eV", "--elements", "Si"]
    found = []
    for arguments in (["input.data", *units], ["same.extxyz"]):
        assert cli.main([*command, *arguments]) == 0
        found.append(json.loads(Path("errors.json").read_text())["energy_mae_meV_per_atom"])
    assert found[0] == pytest.approx(found[1])
    capsys.readouterr()
    line = refused(capsys, *command, "input.data", "--energy-unit", "erg")
    assert "energy_unit = 'erg'" in line


def _dimer() -> ase.Atoms:
    """Two atoms of silicon as of a calculation of no forces."""
    atoms = ase.Atoms("Si2", [[0.0, 0.0, 0.0], [2.4, 0.0, 0.0]])
    atoms.calc = SinglePointCalculator(atoms, energy=-2.0, forces=np.zeros((2, 3)))
    return atoms


def test_report_of_a_folder_without_a_run_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    assert "empty" in refused(capsys, "report", "empty")


def test_search_from_study_to_report() -> None:
    Path("study.toml").write_text(SEARCH)
    assert cli.main(["search", "study.toml", "--output", "out", "--quiet"]) == 0
    numbers = json.loads(Path("out/results.json").read_text())
    names = {quantity["name"] for quantity in numbers["quantities"]}
    assert {"surface_energy", "success_probability"} <= names
    for structure in numbers["structures"]:
        assert ase.io.read(Path("out") / structure["file"], index=structure["index"])
    page = Path("out/report.html").read_text()
    assert "surface" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page.replace("https://doi.org", "")


def test_the_same_command_again_is_refused_and_loses_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("study.toml").write_text(SEARCH)
    Path("out").mkdir()
    for name in ("run.json", "results.json"):
        (Path("out") / name).write_text("{}")
    line = refused(capsys, "search", "study.toml", "--output", "out")
    assert "already holds a run" in line
    assert Path("out/results.json").read_text() == "{}"


def reference_frames(path: Path, count: int = 12) -> None:
    """Rattled silicon with the energies and forces of an exact pair of formulas."""
    from thermosearch.potentials.ase_bridge import to_calculator
    from thermosearch.potentials.stillinger_weber import StillingerWeber

    random = np.random.default_rng(0)
    frames = []
    for _ in range(count):
        atoms = ase.build.bulk("Si", "diamond", 5.43, cubic=True)
        atoms.positions += random.normal(scale=0.08, size=atoms.positions.shape)
        atoms.calc = to_calculator(StillingerWeber())
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        atoms.info["group"] = "rattled"
        frames.append(atoms)
    ase.io.write(path, frames)


def test_train_then_evaluate_then_search_with_the_model() -> None:
    """In processes of their own, as they are typed; the model passes from one to the next."""
    reference_frames(Path("si.extxyz"))
    Path("train.toml").write_text(
        'kind = "train"\n[[data]]\nfile = "si.extxyz"\n'
        "[model]\nn_max = 4\nl_max = 2\nradial = [3, 2, 2]\ncouplings = []\nwidths = [8]\n"
        "[training]\nepochs = 3\n[validation]\nfraction = 0.25\n"
    )

    def typed(*arguments: str) -> None:
        command = [sys.executable, "-m", "thermosearch", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr

    typed("train", "train.toml", "--output", "trained")
    model = "trained/model.npz"
    typed("evaluate", "--model", model, "--data", "si.extxyz", "--json", "errors.json")
    errors = json.loads(Path("errors.json").read_text())
    assert errors["n_structures"] == 12
    assert errors["energy_mae_meV_per_atom"] > 0.0
    assert errors["stress_mae_GPa"] is None
    assert set(errors["groups"]) == {"rattled"}
    study = SEARCH.replace('analytic = "stillinger_weber"', f'model = "{model}"')
    Path("search.toml").write_text(study)
    typed("search", "search.toml", "--output", "found")
    assert json.loads(Path("found/results.json").read_text())["status"] == "finished"


def test_every_public_name_is_there() -> None:
    for name in thermosearch.__all__:
        assert getattr(thermosearch, name) is not None
    assert dir(thermosearch) == sorted(thermosearch.__all__)
    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        thermosearch.serch  # noqa: B018
