"""A run from study to run folder: refusals, resume, Python and TOML alike."""

import json
from pathlib import Path

import h5py
import pytest

from thermosearch.launch import run
from thermosearch.runtime.errors import InputError
from thermosearch.runtime.results import Results

pytestmark = pytest.mark.usefixtures("toy_engine")


def write_study(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'kind = "search"\n{text}', encoding="utf-8")
    return path


def stopped_after(
    steps: int, output: Path, study: dict, monkeypatch: pytest.MonkeyPatch
) -> Results:
    """Run, and be told to stop at the given step."""
    calls = iter(range(1, 1000))
    with monkeypatch.context() as patch:
        patch.setattr("thermosearch.launch.StopRequest.__call__", lambda self: next(calls) >= steps)
        return run(study, output, resume=True)


def test_a_run_folder_is_complete(tmp_path: Path) -> None:
    study = write_study(tmp_path / "si" / "study.toml", "[method]\nsteps = 3 # few\n")
    results = run(study, tmp_path / "out")
    assert results.status == "finished"
    folder = tmp_path / "out"
    assert (folder / "study.toml").read_text() == study.read_text()
    resolved = json.loads((folder / "study.resolved.json").read_text())
    assert resolved["method"]["steps"] == 3
    assert resolved["method"]["walkers"] == 6
    record = json.loads((folder / "run.json").read_text())
    assert record["kind"] == "search"
    assert record["versions"]["jax"]
    (session,) = record["sessions"]
    assert session["ranks"] == 1
    assert session["status"] == "finished"
    assert session["exit_code"] == 0
    numbers = json.loads((folder / "results.json").read_text())
    assert numbers["quantities"][0]["value"] == results.quantities[0].value
    with h5py.File(folder / "results.h5") as file:
        assert file["walk/positions"].shape == (6,)
    assert "step 2" in (folder / "run.log").read_text()


def test_study_dict_and_study_file_give_the_same_numbers(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s.toml", "[run]\nseed = 4\n")
    first = run(study, tmp_path / "a")
    second = run({"kind": "search", "run": {"seed": 4}}, tmp_path / "b")
    third = run({"kind": "search", "run": {"seed": 5}}, tmp_path / "c")
    assert first.quantities == second.quantities
    assert first.quantities != third.quantities
    assert json.loads((tmp_path / "b" / "study.json").read_text())["run"] == {"seed": 4}


def test_without_output_every_run_gets_its_own_number(tmp_path: Path) -> None:
    study = write_study(tmp_path / "silicon_001" / "study.toml")
    run(study)
    run(study)
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert names == ["silicon_001_001", "silicon_001_002"]


def test_a_folder_with_a_run_is_refused_and_untouched(tmp_path: Path) -> None:
    run({"kind": "search"}, "out")
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"already holds a run; .*--resume, .*--output"):
        run({"kind": "search", "run": {"seed": 9}}, "out")
    assert before == {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}


def test_a_folder_with_other_files_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "results.json").write_text("precious")
    for resume in (False, True):
        with pytest.raises(InputError, match="holds other files"):
            run({"kind": "search"}, tmp_path / "thesis", resume)
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["results.json"]


def test_a_run_killed_as_it_began_can_be_resumed(tmp_path: Path) -> None:
    run({"kind": "search"}, "whole")
    Path("out").mkdir()
    for name in (".lock", "study.json"):
        (Path("out") / name).write_bytes((Path("whole") / name).read_bytes())
    (Path("out") / ".study.resolved.json.1.part").write_text("{")
    assert run({"kind": "search"}, "out", resume=True).status == "finished"


def test_a_mistake_in_the_study_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='did you mean "steps"'):
        run({"kind": "search", "method": {"step": 3}}, "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("steps", [1, 7, 19])
def test_resumed_run_equals_the_uninterrupted_one(
    steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = {"kind": "search", "run": {"seed": 2}}
    whole = run(study, tmp_path / "whole")
    partial = stopped_after(steps, tmp_path / "out", study, monkeypatch)
    assert partial.status == "stopped"
    assert json.loads((tmp_path / "out" / "results.json").read_text())["status"] == "stopped"
    resumed = run(study, tmp_path / "out", resume=True)
    assert resumed.status == "finished"
    assert resumed.quantities == whole.quantities
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert [session["exit_code"] for session in record["sessions"]] == [75, 0]
    wall = sum(session["wall_s"] for session in record["sessions"])
    numbers = json.loads((tmp_path / "out" / "results.json").read_text())
    assert numbers["wall_s"] == pytest.approx(wall, abs=0.002)


def test_resuming_with_another_study_names_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_after(3, tmp_path / "out", {"kind": "search"}, monkeypatch)
    with pytest.raises(InputError, match=r"changed .*\(method\.walkers, run\.seed\)"):
        run(
            {"kind": "search", "run": {"seed": 1}, "method": {"walkers": 3}},
            tmp_path / "out",
            resume=True,
        )


def test_resuming_with_another_input_file_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, out = tmp_path / "start.xyz", tmp_path / "out"
    start.write_text("1\n\nSi 0 0 0\n")
    study = {"kind": "search", "method": {"start": str(start)}}
    stopped_after(3, out, study, monkeypatch)
    start.write_text("1\n\nSi 0 0 1\n")
    with pytest.raises(InputError, match=r"changed .*\(method\.start = .*start\.xyz\)") as caught:
        run(study, out, resume=True)
    assert "\n" not in str(caught.value)
    start.write_text("1\n\nSi 0 0 0\n")
    assert run(study, out, resume=True).status == "finished"


def test_of_a_run_folder_as_input_its_arrays_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = {"kind": "search", "method": {"start": str(tmp_path / "before")}}
    run({"kind": "search"}, tmp_path / "before")
    stopped_after(3, tmp_path / "out", study, monkeypatch)
    (tmp_path / "before" / "report.html").write_text("written again")
    stopped_after(3, tmp_path / "out", study, monkeypatch)
    (tmp_path / "before" / "results.h5").write_bytes(b"of another run")
    with pytest.raises(InputError, match=r"method\.start = "):
        run(study, tmp_path / "out", resume=True)


def test_a_run_without_checksums_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, record = tmp_path / "start.xyz", tmp_path / "out" / "run.json"
    start.write_text("")
    study = {"kind": "search", "method": {"start": str(start)}}
    stopped_after(3, tmp_path / "out", study, monkeypatch)
    content = json.loads(record.read_text())
    del content["inputs"]
    record.write_text(json.dumps(content))
    assert run(study, tmp_path / "out", resume=True).status == "finished"


def test_resuming_with_another_walltime_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_after(3, tmp_path / "out", {"kind": "search"}, monkeypatch)
    study = {"kind": "search", "run": {"walltime": "2:00:00", "checkpoint_interval": 5}}
    assert run(study, tmp_path / "out", resume=True).status == "finished"


def test_resuming_where_nothing_ran_begins(tmp_path: Path) -> None:
    assert run({"kind": "search"}, tmp_path / "out", resume=True).status == "finished"


def test_resuming_a_finished_run_computes_nothing(tmp_path: Path) -> None:
    first = run({"kind": "search"}, tmp_path / "out")
    record = (tmp_path / "out" / "run.json").read_bytes()
    again = run({"kind": "search"}, tmp_path / "out", resume=True)
    assert again.quantities == first.quantities
    assert (tmp_path / "out" / "run.json").read_bytes() == record


def test_resuming_a_finished_run_writes_the_report_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, written = tmp_path / "out" / "report.html", "the page"

    def disk_is_full(folder: Path) -> Path:
        raise InputError(f"writing {page}: the disk is full")

    def write(folder: Path) -> Path:
        page.write_text(written)
        return page

    monkeypatch.setattr("toy.no_report", disk_is_full)
    with pytest.raises(InputError, match="the disk is full"):
        run({"kind": "search"}, tmp_path / "out")
    monkeypatch.setattr("toy.no_report", write)
    run({"kind": "search"}, tmp_path / "out", resume=True)
    assert page.read_text() == "the page"
    written = "another page"
    run({"kind": "search"}, tmp_path / "out", resume=True)
    assert page.read_text() == "the page"


def test_resume_needs_to_know_where(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--resume needs --output"):
        run({"kind": "search"}, resume=True)


def test_two_processes_never_share_a_folder(tmp_path: Path) -> None:
    from thermosearch.launch import load_study
    from thermosearch.runtime.run_folder import opened_run

    _, given, _ = load_study({"kind": "search"})
    with (
        opened_run(tmp_path / "out", given, resume=False),
        pytest.raises(InputError, match="another process is running in it"),
    ):
        run({"kind": "search"}, tmp_path / "out", resume=True)
    assert run({"kind": "search"}, tmp_path / "out", resume=True).status == "finished"


def test_walltime_stops_before_the_step_that_would_not_fit(tmp_path: Path) -> None:
    study = {"kind": "search", "method": {"pause": 0.2, "steps": 50}}
    results = run(study, tmp_path / "out", walltime=1.0)
    assert results.status == "stopped"
    assert 2 <= results.evaluations <= 4


def test_an_unfinished_step_of_the_engine_leaves_a_resumable_run(tmp_path: Path) -> None:
    study = {"kind": "search", "method": {"fail_at": 3}}
    with pytest.raises(RuntimeError, match="breaks here"):
        run(study, tmp_path / "out")
    with pytest.raises(InputError, match="already holds a run"):
        run(study, tmp_path / "out")
