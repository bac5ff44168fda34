"""Files are whole or untouched."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from thermosearch.runtime.errors import InputError
from thermosearch.runtime.files import numbered_folder, sweep_parts, write_atomic


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB; the test needs the right to mount one."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_really_full_disk_keeps_the_old_file_and_leaves_no_rest(full_disk: Path) -> None:
    path = full_disk / "results.json"
    write_atomic(path, "old")
    with pytest.raises(InputError, match=r"results\.json: the disk is full") as caught:
        write_atomic(path, b"x" * 200_000)
    assert "\n" not in str(caught.value)
    assert path.read_text() == "old"
    assert [entry.name for entry in full_disk.iterdir()] == ["results.json"]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a" / "b" / "c.txt", "text")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "text"


def test_a_file_where_a_folder_is_needed_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(InputError, match="writing"):
        write_atomic(tmp_path / "a" / "c.txt", "text")


def test_the_old_file_stands_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    write_atomic(path, "old")

    def fail(handle: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InputError):
        write_atomic(path, "new")
    assert path.read_text() == "old"


def test_numbers_count_on_and_never_reuse(tmp_path: Path) -> None:
    assert numbered_folder(tmp_path / "runs", "si").name == "si_001"
    for name in ("si_001", "si_007", "si_x", "other_012"):
        (tmp_path / name).mkdir()
    assert numbered_folder(tmp_path, "si").name == "si_008"


def test_importing_the_package_leaves_jax_alone() -> None:
    code = "import sys, thermosearch; print('jax' in sys.modules, 'numpy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]


def test_only_rests_of_killed_writes_are_swept(tmp_path: Path) -> None:
    kept = [tmp_path / "results.json", tmp_path / "checkpoints" / "step_0000000001.ckpt"]
    for path in kept:
        write_atomic(path, "whole")
        path.with_name(f".{path.name}.123.part").write_text("hal")
    sweep_parts(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)
