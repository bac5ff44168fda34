"""The screen and the log file may fail; the run does not."""

import io
import logging
import sys
from pathlib import Path

import pytest

from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.errors import InputError
from thermosearch.runtime.log import progress_bar, run_log

FULL = Path("/dev/full")


def test_a_run_outlives_its_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = Communicator()
    with FULL.open("w", buffering=1) as screen, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", screen)
        with (
            run_log(tmp_path / "run.log", ranks) as log,
            progress_bar(ranks, 2, "walk", quiet=False) as bar,
        ):
            log.info("step 0")
            bar.update()
            log.info("step 1")
        assert ranks.fail("the study is wrong") == 2
    assert (tmp_path / "run.log").read_text().count("INFO step") == 2


def test_lines_stand_above_the_progress_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    ranks = Communicator()
    with run_log(tmp_path / "run.log", ranks) as log, progress_bar(ranks, 2, "walk", quiet=False):
        log.info("step 0")
    bar, line, bar_again = shown.getvalue().partition("step 0\n")
    assert "walk:" in bar and bar.endswith("\r") and line and "walk:" in bar_again


def test_a_full_disk_ends_the_log_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with run_log(FULL, Communicator()) as log:
        log.info("step 0")
        log.info("step 1")
    shown = capsys.readouterr()
    assert shown.out == ""
    warning = "warning: /dev/full: No space left on device; the log ends here"
    assert shown.err.splitlines() == ["step 0", warning, "step 1"]


def test_a_full_disk_does_not_hide_why_a_run_ends() -> None:
    def write_results(log: logging.Logger) -> None:
        log.info("step 0")
        raise InputError("writing results.json: the disk is full")

    with (
        pytest.raises(InputError, match="the disk is full"),
        run_log(FULL, Communicator()) as log,
    ):
        write_results(log)
