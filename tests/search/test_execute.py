"""A whole search on Stillinger-Weber Si(001): exact surface energies, resume, ranks."""

import errno
import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ase.db
import ase.io
import h5py
import numpy as np
import pytest
from ase import Atoms

import thermosearch
from thermosearch.potentials.interface import Potential
from thermosearch.runtime import files
from thermosearch.runtime.checkpoint import CheckpointStore
from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.errors import InputError
from thermosearch.runtime.results import Quantity, Results
from thermosearch.runtime.run_folder import RunFolder
from thermosearch.search import finish
from thermosearch.search.archive import Minimum
from thermosearch.search.evaluate import Evaluated, Relaxer
from thermosearch.search.execute import relaxation_of
from thermosearch.search.frames import write_frames
from thermosearch.search.members import RelaxedSlab
from thermosearch.search.problem import Problem, make_problem
from thermosearch.search.proposal import Proposal
from thermosearch.search.study import SearchStudy
from thermosearch.units import EV_PER_A2_IN_J_PER_M2

Build = Callable[..., SearchStudy]

MINIMA = {
    "structures/minima.extxyz": [
        Atoms("Si2", [[0.0, 0.0, 0.0], [0.0, 0.0, 2.3]], info={"energy_eV": energy})
        for energy in (-8.5, -8.25)
    ]
}

EPSILON = 2.1683
A0 = 5.43095
AREA = A0**2 / 2.0
"""Of one 1x1 cell, A^2."""


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search") / "run"


@pytest.fixture(scope="module")
def results(study: Build, run_folder: Path) -> Results:
    return thermosearch.run(study(), output=run_folder, quiet=True)


def quantity(results: Results, name: str, phase: str = "reconstructed") -> Quantity:
    (found,) = [q for q in results.quantities if q.name == name and q.conditions["phase"] == phase]
    return found


def test_the_ideal_cut_costs_one_epsilon_a_cell(results: Results) -> None:
    # Two dangling bonds of epsilon / 2 each per 1x1 cell: exact for nearest neighbours.
    ideal = quantity(results, "surface_energy", "unreconstructed").value
    assert ideal == pytest.approx(EPSILON / AREA * EV_PER_A2_IN_J_PER_M2, abs=1e-4)


def test_the_dimer_row_is_found(results: Results) -> None:
    # 1.3260 eV per 1x1 and 2.403 A: matscipy, 16 layers, two free faces.
    found = quantity(results, "surface_energy").value / EV_PER_A2_IN_J_PER_M2 * AREA
    assert found == pytest.approx(1.3260, abs=1e-3)
    assert quantity(results, "dimer_length").value == pytest.approx(2.403, abs=2e-3)
    assert quantity(results, "dimer_buckling_angle").value < 0.2
    assert quantity(results, "dimers_per_cell").value == 1.0


def test_no_members_no_errors(results: Results) -> None:
    assert quantity(results, "surface_energy").error is None
    assert quantity(results, "dimer_length").error is None


def test_the_run_folder_is_complete(results: Results, run_folder: Path) -> None:
    saved = json.loads((run_folder / "results.json").read_text())
    assert saved["engine"] == "search"
    assert saved["status"] == "finished"
    assert saved["evaluations"] == results.evaluations > 0
    labels = [structure["label"] for structure in saved["structures"]]
    assert labels[:3] == ["best structure", "unreconstructed", "minimum 0"]
    for structure in saved["structures"]:
        atoms = ase.io.read(run_folder / structure["file"], index=structure["index"])
        assert len(atoms) == 32
        assert atoms.info["energy_eV"] == pytest.approx(structure["energy_eV"], abs=1e-9)
        assert int(atoms.arrays["frozen"].sum()) == 16
    best = ase.io.read(run_folder / "structures/best.extxyz")
    assert np.sort(best.arrays["dimer"])[-3:].tolist() == [-1, 0, 0]
    with h5py.File(run_folder / "results.h5") as file:
        for seed in range(2):
            curve = file[f"convergence/seed_{seed}"]
            assert curve["generation_energy"].shape == (3, 4)
            assert np.all(np.diff(curve["energy"]) <= 0.0)
            assert np.all(np.diff(curve["calls"]) > 0)
            np.testing.assert_allclose(
                curve["energy"][0], np.nanmin(curve["generation_energy"][0]), rtol=1e-12
            )


def test_every_call_is_counted(results: Results, run_folder: Path) -> None:
    with h5py.File(run_folder / "results.h5") as file:
        searched = sum(int(file[f"convergence/seed_{seed}/calls"][-1]) for seed in range(2))
    (per_success,) = [q for q in results.quantities if q.name == "calls_per_success"]
    (probability,) = [q for q in results.quantities if q.name == "success_probability"]
    assert probability.conditions["engine"] == per_success.conditions["engine"] == "cma"
    # Seeds that had succeeded went on: what they spent later is not the success's.
    assert per_success.value * probability.value * 2 <= results.evaluations
    assert results.evaluations > searched, "the final relaxations count too"


def same(one: Path, other: Path) -> None:
    """Two run folders hold the same numbers, bit for bit."""
    a, b = (json.loads((path / "results.json").read_text()) for path in (one, other))
    for key in ("quantities", "structures", "evaluations", "seed"):
        assert a[key] == b[key]
    with h5py.File(one / "results.h5") as x, h5py.File(other / "results.h5") as y:
        names: list[str] = []
        x.visit(names.append)
        for name in names:
            if isinstance(x[name], h5py.Dataset):
                np.testing.assert_array_equal(x[name][()], y[name][()])


def test_a_terminated_run_resumes_bit_for_bit(
    study: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = study(method={"generations": 25, "seeds": 1})
    whole = thermosearch.run(long, output=tmp_path / "whole", quiet=True)
    save, saved = CheckpointStore.save, []

    def save_and_terminate(store: CheckpointStore, step: int, *state: Any) -> None:
        save(store, step, *state)
        saved.append(step)
        if len(saved) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(CheckpointStore, "save", save_and_terminate)
        stopped = thermosearch.run(long, output=tmp_path / "run", quiet=True)
    assert stopped.status == "stopped"
    assert 0 < stopped.evaluations < whole.evaluations
    resumed = thermosearch.run(long, output=tmp_path / "run", resume=True, quiet=True)
    assert resumed.status == "finished"
    same(tmp_path / "whole", tmp_path / "run")


def context(folder: Path, stop: Callable[[], bool] = lambda: False) -> RunContext:
    """Surroundings of a serial run that is told to stop by `stop` alone."""
    log, ranks = logging.getLogger("thermosearch.test"), Communicator()
    store = CheckpointStore(folder / "checkpoints", ranks, log)
    return RunContext(RunFolder(folder), ranks, store, stop, lambda: False, log)


class Terminated:
    """Calls of every batch relaxed to the end, with SIGTERM in one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
        self.calls: list[int] = []
        self.moment: int | None = None
        relax = Relaxer.__call__

        def watched(relaxer: Relaxer, proposals: Sequence[Proposal]) -> list[Evaluated]:
            results = relax(relaxer, proposals)
            if relaxer.relaxation.steps == steps:
                self.calls.append(sum(each.calls for each in results))
                if len(self.calls) == self.moment:
                    os.kill(os.getpid(), signal.SIGTERM)
            return results

        monkeypatch.setattr(Relaxer, "__call__", watched)

    def run(self, given: SearchStudy, output: Path, moment: int | None = None) -> Results:
        self.calls, self.moment = [], moment
        return thermosearch.run(given, output=output, resume=True, quiet=True)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
def test_a_stop_in_the_final_relaxations_loses_none_of_them(
    study: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, batch: int, last: bool
) -> None:
    # Nothing is saved by the clock: what is there was saved at the end of the search or the stop.
    given = study(run={"checkpoint_interval": 3600.0, "batch": batch})
    final = Terminated(monkeypatch, given.method.final_steps)
    whole = final.run(given, tmp_path / "whole")
    all_calls = final.calls
    assert len(all_calls) == {1: 3, 2: 2}[batch], "three candidates are left"
    moment = len(all_calls) if last else 1
    stopped = final.run(given, tmp_path / "run", moment)
    assert stopped.status == "stopped"
    assert final.calls == all_calls[:moment]
    assert sum(all_calls[:moment]) < stopped.evaluations < whole.evaluations
    resumed = final.run(given, tmp_path / "run")
    assert resumed.status == "finished"
    assert final.calls == all_calls[moment:], "neither generations nor what was relaxed"
    same(tmp_path / "whole", tmp_path / "run")


def test_members_of_a_committee_are_not_relaxed_after_a_stop(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    positions = np.asarray(problem.founder.configuration.positions)
    slab = RelaxedSlab(None, -1.0, positions, calls=1, converged=True)
    relaxed: list[Potential] = []
    monkeypatch.setattr(finish, "members_of", lambda potential: [potential] * 3)
    monkeypatch.setattr(finish, "relax_with", lambda *given: relaxed.append(given[0]) or slab)
    best = Minimum(-1.0, positions, seed=0, generation=0)
    relaxation = relaxation_of(problem.method)
    told = context(tmp_path, stop=lambda: len(relaxed) == 2)
    assert finish.relax_best_with_members(problem, best, relaxation, told) is None
    assert len(relaxed) == 2


@pytest.mark.parametrize(("interval", "saves"), [(None, 3), ("01:00:00", 1)])
def test_every_generation_is_saved_unless_the_study_says_how_often(
    study: Build,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interval: str | None,
    saves: int,
) -> None:
    given = study(method={"generations": 3, "seeds": 1}).model_dump(mode="json")
    given["run"].pop("checkpoint_interval")
    if interval is not None:
        given["run"]["checkpoint_interval"] = interval
    saved: list[bool] = []

    def note(store: CheckpointStore, step: int, arrays: dict[str, np.ndarray], meta: dict) -> None:
        saved.append(any("/final/" in name for name in arrays))

    monkeypatch.setattr(CheckpointStore, "save", note)
    thermosearch.run(given, output=tmp_path / "run", quiet=True)
    assert saved.count(False) == saves


def test_the_database_needs_no_locks_in_the_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, connect = tmp_path / "run", ase.db.connect

    def without_locks(path: Path) -> ase.db.core.Database:
        if folder in Path(path).parents:
            raise sqlite3.OperationalError("disk I/O error")
        return connect(path)

    monkeypatch.setattr(ase.db, "connect", without_locks)
    write_frames(MINIMA, context(folder))
    stored = connect(folder / "structures/minima.db").select()
    assert [(row.formula, row.energy_eV) for row in stored] == [("Si2", -8.5), ("Si2", -8.25)]


def test_a_disk_full_as_the_database_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = files._write_through

    def full(path: Path, data: bytes) -> None:
        if "minima.db" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, data)

    monkeypatch.setattr(files, "_write_through", full)
    with pytest.raises(InputError, match=r"minima\.db: the disk is full; free some space"):
        write_frames(MINIMA, context(tmp_path))
    assert [each.name for each in (tmp_path / "structures").iterdir()] == ["minima.extxyz"]


@pytest.mark.mpi
def test_two_ranks_give_the_same_bits(
    study: Build, results: Results, run_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "study.json"
    path.write_text(study().model_dump_json())
    program = (
        "import json, pathlib, sys, thermosearch\n"
        "study = json.loads(pathlib.Path(sys.argv[1]).read_text())\n"
        "thermosearch.run(study, output=sys.argv[2], quiet=True)\n"
    )
    mpiexec = Path(sys.executable).with_name("mpiexec")
    command = [mpiexec, "-n", "2", sys.executable, "-c", program, path, tmp_path / "run"]
    subprocess.run([str(part) for part in command], check=True, timeout=240)
    same(run_folder, tmp_path / "run")


def test_inheritance_and_covariance_are_choices(study: Build, tmp_path: Path) -> None:
    other = study(method={"inheritance": "baldwinian", "covariance": "diagonal", "seeds": 1})
    found = thermosearch.run(other, output=tmp_path / "run", quiet=True)
    assert quantity(found, "dimers_per_cell").value == 1.0


def test_an_element_the_potential_does_not_know(study: Build) -> None:
    germanium = study(system={"slab": {"element": "Ge"}})
    with pytest.raises(InputError, match="does not know Ge; it knows Si"):
        make_problem(germanium)


@pytest.mark.parametrize("key", ["spread_limit", "spread_penalty"])
def test_a_limit_on_the_spread_of_a_potential_without_one(study: Build, key: str) -> None:
    with pytest.raises(InputError, match=f"method.{key}: .* two members or more: leave it out"):
        make_problem(study(method={key: 0.1}))


def test_all_individuals_rejected(study: Build, tmp_path: Path) -> None:
    cramped = study(method={"minimum_distance": 6.0, "generations": 1})
    with pytest.raises(InputError, match="all individuals were rejected \\(8 overlap\\)"):
        thermosearch.run(cramped, output=tmp_path / "run", quiet=True)


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ({"founder": "nowhere.extxyz"}, "no such file"),
        ({}, "give either"),
        ({"slab": {}, "moved_layers": 0}, "greater than 0"),
        ({"slab": {"layers": 7}}, "7 is odd"),
        ({"slab": {"element": "Sl"}}, "'Sl' is no chemical symbol"),
        ({"slab": {"layer": 8}}, "layer"),
    ],
)
def test_mistakes_in_the_study(system: dict, message: str, tmp_path: Path) -> None:
    content = {
        "kind": "search",
        "potential": {"analytic": "stillinger_weber"},
        "system": system,
    }
    with pytest.raises(InputError, match=message):
        thermosearch.run(content, output=tmp_path / "run", quiet=True)


@pytest.mark.slow
def test_a_2x2_cell_finds_the_row_from_anywhere(study: Build, tmp_path: Path) -> None:
    wide = study(
        system={"slab": {"layers": 16, "repeat": [2, 2]}},
        method={"seeds": 6, "generations": 10, "population": 8, "scramble": 1.5},
    )
    found = thermosearch.run(wide, output=tmp_path / "run", quiet=True)
    energy = quantity(found, "surface_energy").value / EV_PER_A2_IN_J_PER_M2 * AREA
    assert energy == pytest.approx(1.3260, abs=1e-3)
    (success,) = [q for q in found.quantities if q.name == "success_probability"]
    assert success.value >= 0.8
