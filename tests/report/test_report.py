import json
import re
from pathlib import Path

import ase.io
import pytest
from runs import Page, dimer_slab, quantity, search_run, train_run

from thermosearch.report.run_data import read_run
from thermosearch.report.write import write_report
from thermosearch.runtime.errors import InputError

HOSTILE = """</script><script>alert(1)</script><img src=x onerror="alert(2)">$\\frac{$ 'シリコン"""
ADDRESS_ATTRIBUTES = ("src", "href", "action", "data", "poster", "srcset", "xlink:href")


@pytest.fixture(scope="module")
def search_page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(write_report(search_run(tmp_path_factory.mktemp("runs") / "si001")))


@pytest.fixture(scope="module")
def train_page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(write_report(train_run(tmp_path_factory.mktemp("runs") / "potential")))


@pytest.fixture(scope="module")
def joined_page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("runs")
    other = train_run(folder / "potential")
    return Page(write_report(search_run(folder / "si001"), [other]))


@pytest.fixture(params=["search_page", "train_page", "joined_page"])
def any_page(request: pytest.FixtureRequest) -> Page:
    return request.getfixturevalue(request.param)


def test_sections_of_each_kind(search_page: Page, train_page: Page) -> None:
    assert search_page.section_ids() == [
        *("results", "structures", "success", "convergence"),
        *("population", "spread", "parity", "provenance"),
    ]
    assert train_page.section_ids() == ["results", "parity", "learning", "spread", "provenance"]


def test_sections_of_joined_runs_follow(search_page: Page, joined_page: Page) -> None:
    names = ("results", "parity", "learning", "spread", "provenance")
    others = ["run-2", *(f"run-2-{name}" for name in names)]
    assert joined_page.section_ids() == [*search_page.section_ids(), *others]


def test_nothing_is_fetched_from_outside(any_page: Page) -> None:
    for each in any_page.root.walk():
        for name in ADDRESS_ATTRIBUTES:
            address = each.attributes.get(name) or "#"
            assert address.startswith(("#", "data:image/png;base64,")), (each.tag, address)
    assert not re.search(r"@import|url\((?!#)", any_page.source)
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|import)\s*\(", any_page.source)


def test_ids_are_unique_and_references_resolve(any_page: Page) -> None:
    elements = any_page.root.walk()
    ids = [each.attributes["id"] for each in elements if "id" in each.attributes]
    assert len(ids) == len(set(ids))
    referred = {
        value
        for each in elements
        for name in ("aria-labelledby", "aria-describedby")
        if (value := each.attributes.get(name))
    }
    referred |= set(re.findall(r"url\(#([^)]+)\)", any_page.source))
    referred |= {
        address[1:]
        for each in elements
        if (address := each.attributes.get("href") or "")[:1] == "#"
    }
    assert referred <= set(ids)


def test_every_picture_has_words_and_follows_the_theme(any_page: Page) -> None:
    pictures = any_page.root.all("svg")
    assert len(pictures) >= 3
    for each in pictures:
        assert each.attributes["role"] == "img"
        assert len(each.attributes["aria-label"]) > 20
    # Black or marker colours would vanish on a dark page.
    assert not re.search(r"#0000|#0001", "".join(re.findall(r"<svg.*?</svg>", any_page.source)))
    assert "prefers-color-scheme: dark" in any_page.source
    assert "@media print" in any_page.source


def test_numbers_of_the_search(search_page: Page) -> None:
    results = search_page.by_id("results").full_text()
    assert "1.283(21)\u00a0J/m²" in results
    assert "2.301(9)\u00a0Å" in results
    assert "phase: reconstructed" in results
    table = search_page.by_id("structures").all("table")[0].full_text()
    assert "−321.12346" in table
    facts = search_page.by_id("provenance").full_text()
    for expected in ("12,345", "3\u00a0min 20\u00a0s", "9.8.7", "last line", "float32", "11"):
        assert expected in facts


def test_curves_of_the_search(search_page: Page) -> None:
    words = search_page.by_id("convergence").all("svg")[0].attributes["aria-label"]
    assert "3 seeds" in words
    assert "1.25 J/m²" in words
    spread = [each.attributes["aria-label"] for each in search_page.by_id("spread").all("svg")]
    # Members say 2.3 and 3.3 A: mean 2.8, standard deviation 0.71.
    assert any("2.8(7)\u00a0Å" in each for each in spread)


def test_numbers_of_the_training(train_page: Page) -> None:
    cards = [each.text for each in train_page.by_id("results").all("dd")]
    assert cards == ["1.92\u00a0meV/atom", "0.0543\u00a0eV/Å"]
    rows = [
        [cell.full_text() for cell in row.all("td")]
        for row in train_page.by_id("results").all("table")[0].all("tr")
    ]
    assert ["test_Si", "Surface", "3.75", "–"] in rows
    assert ["train", "all", "0.9", "–"] in rows
    words = [each.attributes["aria-label"] for each in train_page.by_id("parity").all("svg")]
    # Every prediction is 0.1 eV/A too large.
    assert "MAE 0.1 eV/Å, RMSE 0.1 eV/Å, 2000 values" in words[0]
    assert len(train_page.by_id("learning").all("svg")) == 2


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    name = "<b onclick='x'>"
    structure = {"file": "structures/best.extxyz", "index": 0, "label": HOSTILE, HOSTILE: HOSTILE}
    quantities = [quantity(HOSTILE, 1.0, 0.1, HOSTILE, **{"phase": HOSTILE})]
    extra = {"quantities": quantities, "structures": [structure], "warnings": [HOSTILE]}
    folder = search_run(tmp_path / name, **extra, status=HOSTILE, seed=HOSTILE)
    (folder / "study.toml").write_text(HOSTILE)
    (folder / "run.log").write_bytes(HOSTILE.encode() + b"\xff\xfe")
    read = Page(write_report(folder))
    assert len(read.root.all("script")) == 2
    assert read.root.all("img") == read.root.all("b") == []
    assert not any("onerror" in each.attributes for each in read.root.walk())
    assert read.root.all("h1")[0].text == name
    assert HOSTILE in [each.text for each in read.root.all("li")]
    data = json.loads(read.by_id("viewer-data").text)
    assert data["structures"][0]["label"] == HOSTILE


def test_hostile_names_in_figures(tmp_path: Path) -> None:
    facts = {"file": "structures/best.extxyz", "label": HOSTILE, "member": 0, "$\\frac{_A": 1.0}
    spread = {"surface_energy_J_per_m2": 1.0, "spread_J_per_m2": 0.1}
    structures = [facts | spread, facts | spread | {"member": 1, "$\\frac{_A": 2.0}]
    read = Page(write_report(search_run(tmp_path / "run", structures=structures)))
    assert len(read.by_id("spread").all("svg")) == 3


def test_warnings_stand_on_top(tmp_path: Path) -> None:
    flagged = {"file": "structures/best.extxyz", "label": "best", "flags": ["beyond training"]}
    extra = {"structures": [flagged], "warnings": ["spread above the limit"], "status": "stopped"}
    read = Page(write_report(search_run(tmp_path / "run", **extra)))
    told = [each.text for each in read.root.all("header")[0].all("li")]
    assert told == [
        "The run is not finished (status: stopped); --resume goes on with it.",
        "spread above the limit",
        "best: beyond training.",
    ]


def test_finished_run_has_no_warning(search_page: Page) -> None:
    assert search_page.root.all("header")[0].all("li") == []


@pytest.mark.parametrize("missing", ["results.h5", "results.json", "structures/best.extxyz"])
def test_missing_piece_is_named(tmp_path: Path, missing: str) -> None:
    folder = search_run(tmp_path / "run")
    (folder / missing).unlink()
    read = Page(write_report(folder))
    assert missing in " ".join(each.text for each in read.root.all("header")[0].all("li"))


DAMAGED = [b"", b"\x00\xff not it", b"[1, 2]", b"4\nLattice=\nSi 0 0\n"]


@pytest.mark.parametrize("damaged", ["results.h5", "results.json", "structures/best.extxyz"])
@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_piece_is_named(tmp_path: Path, damaged: str, content: bytes) -> None:
    folder = search_run(tmp_path / "run")
    (folder / damaged).write_bytes(content)
    assert damaged in " ".join(read_run(folder).problems)


@pytest.mark.parametrize("content", DAMAGED)
def test_report_of_a_run_with_every_piece_damaged(tmp_path: Path, content: bytes) -> None:
    folder = search_run(tmp_path / "run")
    for path in folder.rglob("*.*"):
        path.write_bytes(content)
    read = Page(write_report(folder))
    assert len(read.root.all("header")[0].all("li")) >= 2


def test_truncated_arrays_are_named(tmp_path: Path) -> None:
    folder = search_run(tmp_path / "run")
    whole = (folder / "results.h5").read_bytes()
    (folder / "results.h5").write_bytes(whole[: len(whole) // 2])
    assert "results.h5" in " ".join(read_run(folder).problems)


def test_wrong_shapes_in_results_are_named_or_shown(tmp_path: Path) -> None:
    broken = [
        {"name": None, "value": "high", "error": [], "unit": 3, "conditions": 7},
        {"value": True, "error": float("inf")},
    ]
    structures = [
        {"file": "structures/best.extxyz", "index": 5},
        {"file": "../../outside.extxyz", "index": 0},
        {"index": "0"},
    ]
    extra = {"quantities": broken, "structures": structures, "wall_s": "long"}
    read = Page(write_report(search_run(tmp_path / "run", **extra)))
    told = " ".join(each.text for each in read.root.all("header")[0].all("li"))
    assert "no frame 5" in told
    assert "outside the run folder" in told


@pytest.mark.parametrize("value", [3, {"a": 1}, [1, 2], "text"])
def test_quantities_that_are_no_list(tmp_path: Path, value: object) -> None:
    folder = search_run(tmp_path / "run", quantities=value, structures=value)
    run = read_run(folder)
    assert [each.split()[0] for each in run.problems] == ["quantities", "structures"]
    assert run.quantities == run.structures == ()


def test_positions_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    folder = search_run(tmp_path / "run")
    atoms = dimer_slab()
    atoms.positions[2, 1] = float("nan")
    ase.io.write(folder / "structures/best.extxyz", atoms, format="extxyz")
    assert "best.extxyz" in read_run(folder).problems[0]


def test_run_stopped_before_its_first_result(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text('kind = "search"\n')
    read = Page(write_report(tmp_path))
    assert "results.json is not there" in read.root.all("header")[0].all("li")[0].text
    assert 'kind = "search"' in read.by_id("provenance").full_text()


def test_unknown_kind_is_shown_with_what_all_runs_have(tmp_path: Path) -> None:
    read = Page(write_report(search_run(tmp_path / "run", engine="unheard_of")))
    assert read.section_ids() == ["results", "structures", "provenance"]


@pytest.mark.parametrize("name", ["absent", "empty", "file"])
def test_folder_without_a_run_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=name):
        write_report(tmp_path / name)


def test_writing_again_gives_the_same_page(tmp_path: Path) -> None:
    folder = search_run(tmp_path / "run")
    first = write_report(folder).read_text()
    assert write_report(folder).read_text() == first
