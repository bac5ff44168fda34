"""Checkpoints: what a kill, a full disk or a flipped bit can do to them."""

import errno
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from thermosearch.runtime import files
from thermosearch.runtime.checkpoint import SCHEMA, CheckpointStore, read_checkpoint
from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.errors import InputError


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "checkpoints", Communicator(), logging.getLogger("test"))


def newest(store: CheckpointStore) -> Path:
    return sorted(store.folder.iterdir())[-1]


def test_state_comes_back_bit_for_bit(store: CheckpointStore) -> None:
    arrays = {
        "positions": np.random.default_rng(0).normal(size=(5, 3)),
        "key": np.array([1, 2**32 - 1], np.uint32),
        "accepted": np.array([True, False]),
        "small": np.array(np.nextafter(1.0, 2.0)),
    }
    store.save(7, arrays, {"sigma": 0.1, "names": ["a", "b"]})
    found = store.load_latest()
    assert found is not None
    assert found.step == 7
    assert found.meta == {"sigma": 0.1, "names": ["a", "b"]}
    assert found.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found.arrays[name].dtype == array.dtype
        assert found.arrays[name].tobytes() == array.tobytes()


def test_a_new_run_has_no_checkpoint(store: CheckpointStore) -> None:
    assert store.load_latest() is None


def test_only_the_last_two_are_kept(store: CheckpointStore) -> None:
    for step in (1, 2, 10, 100):
        store.save(step, {"x": np.zeros(3)}, {})
    assert [read_checkpoint(path).step for path in sorted(store.folder.iterdir())] == [10, 100]


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.99])
def test_truncated_newest_falls_back_and_says_so(
    store: CheckpointStore, caplog: pytest.LogCaptureFixture, keep: float
) -> None:
    store.save(1, {"x": np.arange(100.0)}, {})
    store.save(2, {"x": np.arange(100.0)}, {})
    whole = newest(store).read_bytes()
    newest(store).write_bytes(whole[: int(keep * len(whole))])
    found = store.load_latest()
    assert found is not None
    assert found.step == 1
    assert newest(store).name in caplog.text


def test_any_flipped_bit_is_noticed(store: CheckpointStore) -> None:
    store.save(1, {"x": np.arange(20.0)}, {"a": 1})
    whole = newest(store).read_bytes()
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        newest(store).write_bytes(damaged)
        with pytest.raises(InputError):
            read_checkpoint(newest(store))


def test_all_damaged_is_an_error_and_not_a_fresh_start(store: CheckpointStore) -> None:
    store.save(1, {"x": np.zeros(3)}, {})
    newest(store).write_bytes(b"thermosearch-checkpoint")
    with pytest.raises(InputError, match="every checkpoint is damaged"):
        store.load_latest()


def test_another_schema_is_named(store: CheckpointStore) -> None:
    store.save(1, {"x": np.zeros(3)}, {})
    path = newest(store)
    path.write_bytes(path.read_bytes().replace(b"checkpoint %d " % SCHEMA, b"checkpoint 9 ", 1))
    with pytest.raises(InputError, match="schema 9"):
        read_checkpoint(path)


def test_python_objects_are_refused(store: CheckpointStore) -> None:
    with pytest.raises(TypeError, match="Python objects"):
        store.save(1, {"x": np.array([{}])}, {})


def test_full_disk_gives_one_line_and_keeps_the_last_checkpoint(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(1, {"x": np.zeros(3)}, {})

    def full(path: Path, data: bytes) -> None:
        path.write_bytes(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "_write_through", full)
    with pytest.raises(InputError, match="the disk is full; free some space") as caught:
        store.save(2, {"x": np.zeros(3)}, {})
    assert "\n" not in str(caught.value)
    assert [path.name for path in store.folder.iterdir()] == ["step_0000000001.ckpt"]
    found = store.load_latest()
    assert found is not None
    assert found.step == 1


def test_kill_9_while_writing_leaves_a_whole_checkpoint(store: CheckpointStore) -> None:
    writer = textwrap.dedent(f"""
        import logging
        from pathlib import Path
        import numpy as np
        from thermosearch.runtime.checkpoint import CheckpointStore
        from thermosearch.runtime.communicator import Communicator
        store = CheckpointStore(
            Path({str(store.folder)!r}), Communicator(), logging.getLogger())
        for step in range(1, 10**6):
            store.save(step, {{"x": np.full(200_000, step)}}, {{}})
    """)
    last = 0
    for delay in (0.02, 0.11, 0.23):
        process = subprocess.Popen([sys.executable, "-c", writer])
        while not list(store.folder.glob("step_*.ckpt")):
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = store.load_latest()
        assert found is not None
        assert found.step > 0
        assert np.all(found.arrays["x"] == found.step)
        last = max(last, found.step)
        for path in store.folder.iterdir():
            path.unlink()
    assert last > 1, "no process was killed between two checkpoints"
