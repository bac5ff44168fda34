"""Stopped, damaged or killed, and resumed: the numbers of the uninterrupted run."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from ase.build import bulk
from nested.small_study import after, context, never, parsed, same, small

from thermosearch.configuration import from_ase
from thermosearch.nested import quench
from thermosearch.nested.execute import execute
from thermosearch.nested.minima import Minimum, describe_ends, ends_from_arrays, ends_to_arrays
from thermosearch.nested.sampler import Sampler
from thermosearch.relax.minimise import minimise
from thermosearch.runtime.results import Results

pytestmark = pytest.mark.usefixtures("one_iteration_at_a_time")


@pytest.mark.parametrize("moment", [1, 5, 12])
def test_a_stopped_run_goes_on_as_if_it_had_not(
    whole: Results, tmp_path: Path, moment: int
) -> None:
    study = parsed(small())
    stopped = execute(study, context(tmp_path, after(moment - 1), never))
    assert stopped.status == "stopped"
    assert same(execute(study, context(tmp_path, never, never)), whole)


def test_walkers_drawn_before_a_stop_are_not_drawn_again(
    whole: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to stop after each of the two runs is drawn: the third job samples."""
    drawn = []
    start = Sampler.start
    monkeypatch.setattr(Sampler, "start", lambda *given: drawn.append(1) or start(*given))
    study = parsed(small())
    for _ in range(2):
        assert execute(study, context(tmp_path, after(0), never)).status == "stopped"
    assert same(execute(study, context(tmp_path, never, never)), whole)
    assert len(drawn) == 2


def test_exchanging_runs_go_on_as_if_they_had_not_stopped(tmp_path: Path) -> None:
    content = small(
        system={
            "composition": {"Ar": 3},
            "flexible_cell": {"pressures": [0.1, 0.2, 0.4], "volume_per_atom": [2.0, 20.0]},
        },
        potential={"analytic": "lennard_jones", "parameters": {"cutoff": 1.1}},
    )
    content["method"] |= {"exchange_every": 2}
    study = parsed(content)
    whole = execute(study, context(tmp_path / "whole", never, never))
    assert execute(study, context(tmp_path / "cut", after(10), never)).status == "stopped"
    assert same(execute(study, context(tmp_path / "cut", never, never)), whole)


def test_a_run_told_to_stop_while_it_relaxes_walkers_loses_neither_walk_nor_minimum(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of sampling leaves a checkpoint, whatever the interval, and so does the stop."""
    content = small()
    content["analysis"] |= {"quenched": 4}
    study, folder = parsed(content), tmp_path / "cut"
    whole = execute(study, context(tmp_path / "whole", never, never))
    relaxed = []
    monkeypatch.setattr(
        quench, "minimise", lambda *given, **more: relaxed.append(1) or minimise(*given, **more)
    )

    def sampled() -> bool:
        return any((folder / "checkpoints").glob("*.ckpt"))

    assert execute(study, context(folder, sampled, never)).status == "stopped"
    assert len(relaxed) == 1
    with caplog.at_level(logging.INFO):
        resumed = execute(study, context(folder, never, never))
    assert "resumed after 24 iterations" in caplog.text
    assert len(relaxed) == 2  # a turn for each of two runs
    assert same(resumed, whole)
    assert len(whole.arrays["phases/0/quench_enthalpy"]) > 4
    assert [*map(str, resumed.structures)] == [*map(str, whole.structures)]


def test_minima_survive_a_checkpoint() -> None:
    configuration = from_ase(bulk("Si"))
    ends = (None, Minimum(-1.5, 20.0, 227, "Fd-3m", configuration), None)
    again = ends_from_arrays(ends_to_arrays(ends), describe_ends(ends))
    assert again[0] is None and again[2] is None
    assert again[1][:4] == ends[1][:4]
    for before, after_it in zip(configuration, again[1].configuration, strict=True):
        np.testing.assert_array_equal(before, after_it)
        assert np.asarray(before).dtype == after_it.dtype
    assert ends_from_arrays({}, describe_ends((None,))) == (None,)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    whole: Results, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = parsed(small())
    execute(study, context(tmp_path, after(9), lambda: True))
    newest = sorted((tmp_path / "checkpoints").glob("*.ckpt"))[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        resumed = execute(study, context(tmp_path, never, never))
    assert "damaged" in caplog.text
    assert same(resumed, whole)


def process(folder: Path, study: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "thermosearch",
        "nested",
        str(study),
        "--output",
        str(folder),
        "--quiet",
        *more,
    ]


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "study.json.toml"
    path.write_text(
        'kind = "nested"\n[potential]\nanalytic = "lennard_jones"\n[system]\n'
        'composition = {Ar = 3}\n[system.sphere]\nradius = 2.0\nabout = "fixed_centre"\n'
        "[method]\nwalkers = 16\nculled = 6\nextra = 2\nrounds = 3\nwidth = 3\n"
        "[method.stop]\niterations = 400\n[analysis]\ntemperatures = [0.2, 1.0, 5]\ndraws = 20\n"
        "[run]\ncheckpoint_interval = 0.05\n"
    )
    return path


def numbers(folder: Path) -> tuple[Any, dict[str, np.ndarray]]:
    quantities = json.loads((folder / "results.json").read_text())["quantities"]
    with h5py.File(folder / "results.h5") as file:
        return quantities, {
            name: file[f"dead/p0_r0/{name}"][()] for name in ("value", "energy", "birth")
        }


def assert_same_numbers(first: Path, second: Path) -> None:
    one, other = numbers(first), numbers(second)
    assert one[0] == other[0]
    for name, values in one[1].items():
        assert np.array_equal(values, other[1][name])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_kill_at_ten_random_moments(study_file: Path, tmp_path: Path) -> None:
    """`kill -9` and `--resume`, over and over: the numbers of the uninterrupted run."""
    subprocess.run(process(tmp_path / "whole", study_file), check=True)
    began = time.monotonic()
    subprocess.run(process(tmp_path / "clock", study_file), check=True)
    length = time.monotonic() - began
    generator = np.random.default_rng(1)
    for _ in range(10):
        running = subprocess.Popen(process(tmp_path / "killed", study_file, "--resume"))
        time.sleep(float(generator.uniform(0.3, 1.0)) * length)
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    subprocess.run(process(tmp_path / "killed", study_file, "--resume"), check=True)
    assert_same_numbers(tmp_path / "whole", tmp_path / "killed")
