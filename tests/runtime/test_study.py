"""Study files: every mistake at once, in words the user can act on."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from thermosearch.launch import check_content
from thermosearch.potentials.section import PotentialSection
from thermosearch.runtime.errors import InputError
from thermosearch.runtime.study import (
    InputFile,
    RunSection,
    StrictModel,
    input_files,
    parse_study,
    read_toml,
    study_kind,
)


class Anneal(StrictModel):
    name: Literal["anneal"] = "anneal"
    temperature: float = 1.0


class Quench(StrictModel):
    name: Literal["quench"] = "quench"
    rate: float = 1.0


class Method(StrictModel):
    population: int = Field(default=8, gt=1)
    covariance: Literal["full", "diagonal"] = "full"
    schedule: Annotated[Anneal | Quench, Field(discriminator="name")] = Anneal()
    slabs: tuple[Anneal, ...] = ()


class Study(StrictModel):
    kind: Literal["search"] = "search"
    founder: InputFile | None = None
    method: Method = Method()
    run: RunSection = RunSection()


def mistakes(content: dict, folder: Path = Path()) -> str:
    with pytest.raises(InputError) as caught:
        parse_study(content, Study, source="study.toml", folder=folder)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            {"run": {"sed": 3}},
            'study.toml: run.sed = 3: unknown key; did you mean "seed"?',
        ),
        (
            {"mehtod": {"population": 3}},
            'study.toml: mehtod = {"population": 3}: unknown key; did you mean "method"?',
        ),
        (
            {"method": {"covariance": "diagonl"}},
            "study.toml: method.covariance = \"diagonl\": expected 'full' or 'diagonal'"
            '; did you mean "diagonal"?',
        ),
        (
            {"method": {"population": "many"}},
            'study.toml: method.population = "many": expected a valid integer',
        ),
        (
            {"method": {"population": 1}},
            "study.toml: method.population = 1: expected greater than 1",
        ),
        (
            {"method": {"schedule": {"name": "quench", "rat": 2.0}}},
            'study.toml: method.schedule.rat = 2.0: unknown key; did you mean "rate"?',
        ),
        (
            {"method": {"slabs": [{"temperature": 1.0}, {"temperatur": 2.0}]}},
            "study.toml: method.slabs[1].temperatur = 2.0: unknown key; "
            'did you mean "temperature"?',
        ),
        (
            {"run": {"zzz": 1}},
            "study.toml: run.zzz = 1: unknown key; valid here: batch, checkpoint_interval, "
            "output, precision, seed, walltime",
        ),
        (
            {"run": {"walltime": "1h"}},
            'study.toml: run.walltime = "1h": expected seconds or "HH:MM:SS"',
        ),
    ],
)
def test_one_mistake_is_one_line(content: dict, line: str) -> None:
    assert mistakes(content) == line


def test_all_mistakes_come_at_once() -> None:
    lines = mistakes({"run": {"seed": -1, "sed": 1}, "method": {"covariance": 2}}).splitlines()
    assert lines[0] == "study.toml: 3 mistakes"
    assert sorted(line.split(" = ")[0].strip() for line in lines[1:]) == [
        "method.covariance",
        "run.sed",
        "run.seed",
    ]


def test_missing_key_is_named() -> None:
    class Demanding(StrictModel):
        method: Method
        size: int

    with pytest.raises(InputError, match=r"s: 2 mistakes\n  method: missing\n  size: missing"):
        parse_study({}, Demanding, source="s", folder=Path())


def test_a_list_of_wrong_items_is_not_called_too_short_besides() -> None:
    class Several(StrictModel):
        methods: tuple[Method, ...] = Field(min_length=1)

    def said(content: dict) -> str:
        with pytest.raises(InputError) as caught:
            parse_study(content, Several, source="s", folder=Path())
        return str(caught.value)

    assert said({"methods": [{"covariance": 2}]}).startswith("s: methods[0].covariance = 2: ")
    assert "at least 1 item" in said({"methods": []})


def test_files_count_from_the_studys_folder(tmp_path: Path) -> None:
    (tmp_path / "slab.xyz").write_text("")
    parsed = parse_study({"founder": "slab.xyz"}, Study, source="study.toml", folder=tmp_path)
    assert parsed.founder == (tmp_path / "slab.xyz").resolve()


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    line = mistakes({"founder": "slab.xyz"}, tmp_path)
    assert line == (f'study.toml: founder = "slab.xyz": no such file: {tmp_path / "slab.xyz"}')


@pytest.mark.parametrize(
    ("given", "expected"), [(90, 90.0), ("90", 90.0), ("1:30", 90.0), ("01:00:01", 3601.0)]
)
def test_walltime_in_any_form(given: str | int, expected: float) -> None:
    parsed = parse_study({"run": {"walltime": given}}, Study, source="s", folder=Path())
    assert parsed.run.walltime == expected


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text('kind = "search"\n[run\nseed = 1\n')
    with pytest.raises(InputError, match=r"study\.toml: not valid TOML: .*line 2"):
        read_toml(path)


def test_binary_study_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a text file"):
        read_toml(path)


def test_missing_study_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.toml: no such file"):
        read_toml(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("content", "words"),
    [({}, "kind is missing"), ({"kind": "serch"}, 'did you mean "search"?'), ({"kind": 3}, "3")],
)
def test_unknown_kind_names_the_known_ones(content: dict, words: str) -> None:
    with pytest.raises(InputError) as caught:
        study_kind(content, ("train", "search"), "s.toml")
    assert words in str(caught.value)
    assert '"train", "search"' in str(caught.value)


def test_the_files_a_study_names_by_their_keys(tmp_path: Path) -> None:
    for name in ("a.xyz", "b.xyz", "old.npz"):
        (tmp_path / name).write_text("")
    content = {"kind": "train", "data": [{"file": "a.xyz"}], "test": ["b.xyz"], "start": "old.npz"}
    study, _ = check_content(content, "study.toml", tmp_path)
    assert input_files(study) == {
        "data[0].file": tmp_path / "a.xyz",
        "test[0].file": tmp_path / "b.xyz",
        "start": tmp_path / "old.npz",
    }


@pytest.mark.parametrize(
    "potential",
    [
        {"model": "silicon"},
        {"ase": "ase.calculators.emt:EMT", "arguments": {"label": str(Path(__file__).resolve())}},
    ],
)
def test_shipped_models_and_a_calculators_own_files_are_no_inputs(potential: dict) -> None:
    assert input_files(PotentialSection.model_validate(potential)) == {}
