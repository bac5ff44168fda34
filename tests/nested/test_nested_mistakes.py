"""What is wrong with a study is said by the command, in one line that names the remedy."""

import json
from pathlib import Path

import pytest

from thermosearch import cli

STUDY = """
kind = "nested"
[potential]
{potential}
[system]
composition = {{ {element} = 3 }}
[system.flexible_cell]
pressures = {pressures}
volume_per_atom = {volumes}
[method]
walkers = {walkers}
culled = 6
rounds = 2
width = 6
[[method.moves]]
name = "all_atoms"
[[method.moves]]
name = "volume"
[method.stop]
{stop}
[analysis]
temperatures = [0.5, 8.0, 4]
draws = 10
quenched = 0
"""
RIGHT = {
    "potential": 'analytic = "ideal_gas"',
    "element": "Ar",
    "volumes": "[1e-3, 20.0]",
    "walkers": 16,
    "pressures": "[0.1]",
    "stop": "iterations = 3",
}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THERMOSEARCH_CACHE", "off")


def command(**changes: object) -> int:
    Path("study.toml").write_text(STUDY.format(**(RIGHT | changes)))
    return cli.main(["nested", "study.toml", "--output", "run", "--quiet"])


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"volumes": "[20.0, 1e-3]"}, ("volume_per_atom", "20.0", "not below the upper 0.001")),
        ({"walkers": 6}, ("walkers = 6", "culled = 6", "raise walkers")),
        ({"pressures": "[0.1, 0.1]"}, ("pressures", "every pressure once", "method.repeats")),
        ({"pressures": "[0.1, inf]"}, ("pressures", "finite")),
        (
            {"stop": "iterations = 3\nspread = 0.1"},
            ("method.stop.spread", "committee of two members"),
        ),
        ({"element": "Xx"}, ("composition", "Xx", "no chemical symbol")),
        ({"potential": 'model = "silicon"'}, ("does not know Ar",)),
        (
            {"potential": 'analytic = "lennard_jones"\nparameters = { cutoff = 3.0 }'},
            ("a cell as thin as", "raise the lower bound of volume_per_atom"),
        ),
        (
            {"potential": 'ase = "nested.failing:NotANumber"'},
            ("16 of 16 walkers", "no finite energy"),
        ),
    ],
)
def test_one_line_and_exit_code_2(
    changes: dict[str, object], parts: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(**changes) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert said.out == "" and all(part in line for part in parts), line


def test_a_cell_too_thin_that_stays_can_only_be_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = STUDY.format(**(RIGHT | {"potential": 'model = "silicon"', "element": "Si"}))
    flexible = "pressures = [0.1]\nvolume_per_atom = [1e-3, 20.0]\n"
    cell = "vectors = [[1, 0, 0], [0, 9, 0], [0, 0, 9]]\n"
    Path("study.toml").write_text(
        text.replace("flexible_cell", "cell").replace(flexible, cell).replace('"volume"', '"atom"')
    )
    assert cli.main(["nested", "study.toml", "--output", "run", "--quiet"]) == 2
    said = capsys.readouterr().err
    assert "a cell as thin as 1 would need 5 periodic images within" in said
    assert said.endswith(": repeat it\n")


def test_validate_knows_what_the_potential_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    Path("study.toml").write_text(STUDY.format(**(RIGHT | {"potential": 'model = "silicon"'})))
    assert cli.main(["validate", "study.toml"]) == 2
    assert "does not know Ar" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text"), [("bad.cif", "data_x\n_cell 1"), ("POSCAR", "a\nb\nc\nd\ne\nf\ng\nh")]
)
def test_a_frozen_file_that_no_reader_understands(
    name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """ASE's readers raise whatever they stumble upon."""
    Path(name).write_text(text)
    Path("study.toml").write_text(
        'kind = "nested"\n[potential]\nanalytic = "ideal_gas"\n[system]\n'
        f'composition = {{ Ar = 1 }}\nfrozen = {{ file = "{name}" }}\n[system.cell]\n'
        "vectors = [[4, 0, 0], [0, 4, 0], [0, 0, 4]]\n[method.stop]\niterations = 3\n"
        "[analysis]\ntemperatures = [0.5, 8.0, 4]\n"
    )
    assert cli.main(["nested", "study.toml", "--output", "run", "--quiet"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "system.frozen.file" in line and name in line and "cannot be read" in line


def test_a_cell_that_grows_to_its_bound_is_in_the_warnings() -> None:
    """Three atoms of an ideal gas at p = 0.1 would take 40 kT of volume, and have 60."""
    assert command(walkers=64) == 0
    warnings = json.loads(Path("run/results.json").read_text())["warnings"]
    assert any("grows to the upper bound" in line for line in warnings), warnings
