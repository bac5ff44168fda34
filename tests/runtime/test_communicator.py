"""One rank: no MPI is touched, and a launcher MPI disagrees with is noticed."""

import logging
import os
import subprocess
import sys

import pytest

from thermosearch.runtime import communicator as module
from thermosearch.runtime.communicator import Communicator, launched, world
from thermosearch.runtime.devices import claim_devices, thread_count
from thermosearch.runtime.errors import InputError


@pytest.fixture
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for mark in module._LAUNCHER_MARKS:
        monkeypatch.delenv(mark, raising=False)


def test_serial_map_keeps_the_order() -> None:
    assert Communicator().map(lambda x: x * x, range(5)) == [0, 1, 4, 9, 16]


def test_serial_gather_broadcast_and_root() -> None:
    alone = Communicator()
    assert alone.gather(3) == [3]
    assert alone.broadcast("x") == "x"
    assert alone.on_root(lambda: 5) == 5
    assert alone.root_first(lambda: 6) == 6
    alone.barrier()


def test_an_input_error_on_the_root_is_an_input_error() -> None:
    def refuse() -> None:
        raise InputError("no")

    with pytest.raises(InputError, match="no"):
        Communicator().on_root(refuse)


@pytest.mark.usefixtures("no_launcher")
def test_without_a_launcher_mpi_is_not_loaded() -> None:
    code = (
        "import sys; from thermosearch.runtime.communicator import world;"
        "print(world().size, 'mpi4py' in sys.modules, 'mpi4py.MPI' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["1", "False", "False"]


@pytest.mark.usefixtures("no_launcher")
def test_no_mpi_library_still_runs_serially(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_load_mpi", lambda: None)
    monkeypatch.setenv("PMI_RANK", "0")
    assert launched()
    assert world().size == 1
    assert module.mpi_library() is None


def test_mpi4py_without_a_library_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    """As mpi4py does it: importing the module raises RuntimeError."""

    class Refuses:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "mpi4py.MPI":
                raise RuntimeError("cannot load MPI library")

    monkeypatch.delitem(sys.modules, "mpi4py.MPI", raising=False)
    monkeypatch.delattr("mpi4py.MPI", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Refuses(), *sys.meta_path])
    assert module.mpi_library() is None


@pytest.mark.usefixtures("no_launcher")
def test_ranks_that_mpi_does_not_join_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every rank would run the whole study by itself, into one folder."""
    monkeypatch.setattr(module, "_load_mpi", lambda: None)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    with pytest.raises(InputError, match="4 ranks were launched but MPI sees 1"):
        world()


class TwoRanks(Communicator):
    """The first of two, without MPI."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 2


def test_no_work_at_all_leaves_no_rank_idle(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "thermosearch"):
        assert Communicator().map(abs, []) == []
    assert not caplog.records


def test_more_ranks_than_work_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    ranks = TwoRanks()
    with caplog.at_level(logging.WARNING, "thermosearch"):
        ranks.map(abs, [1])
        ranks.map(abs, [1])
    assert [record.message for record in caplog.records] == [
        "2 ranks but 1 tasks at a time: 1 ranks are idle"
    ]


def test_a_rank_alone_keeps_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NPROC", raising=False)
    claim_devices(Communicator())
    assert "NPROC" not in module.os.environ


@pytest.mark.parametrize(
    ("stated", "threads"),
    [
        ({}, None),
        ({"PMI_SIZE": "2"}, "1"),
        ({"NPROC": "3"}, "3"),
        ({"PMI_SIZE": "2", "OPENBLAS_NUM_THREADS": "4"}, "4"),
    ],
)
def test_numpy_finds_its_threads_counted(stated: dict[str, str], threads: str | None) -> None:
    code = (
        "import sys, os, thermosearch\n"
        "assert 'numpy' not in sys.modules\n"
        "print(os.environ.get('OPENBLAS_NUM_THREADS'))"
    )
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    run = subprocess.run(
        [sys.executable, "-c", code], env=kept | stated, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == str(threads)


def test_ranks_share_the_gpus_of_their_node(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    ranks = TwoRanks()
    ranks.local_rank = 4
    claim_devices(ranks)
    assert module.os.environ["CUDA_VISIBLE_DEVICES"] == "5"


def test_threads_are_the_processors_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NPROC", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert thread_count() == 2
    # macOS does not know the question.
    monkeypatch.delattr(os, "sched_getaffinity")
    assert thread_count() == 8
    monkeypatch.setenv("NPROC", "3")
    assert thread_count() == 3
