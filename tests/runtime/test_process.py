"""What a user sees of a process: exit codes, signals, one line a mistake."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

Command = Callable[..., list[str]]
FAST = 'kind = "search"\n[method]\nsteps = 5\n'
SLOW = 'kind = "search"\n[method]\nsteps = 40\npause = 0.1\n'


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THERMOSEARCH_CACHE", "off")
    Path("fast.toml").write_text(FAST)
    Path("slow.toml").write_text(SLOW)
    Path("whole.toml").write_text(SLOW.replace("0.05", "0.0"))


def finish(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def start_and_wait_for_steps(command: list[str], log: Path, steps: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 30.0
    while not (log.exists() and f"step {steps}" in log.read_text()):
        assert time.monotonic() < limit, "the run did not start"
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return process


def quantities(output: str) -> str:
    text = Path(output, "results.json").read_text()
    return text[text.index('"quantities"') :]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_stopped_by_a_signal_is_75_and_resumes_to_the_same_numbers(
    sent: signal.Signals, toy_command: Command
) -> None:
    process = start_and_wait_for_steps(
        toy_command("search", "slow.toml", "--output", "out"), Path("out/run.log"), 5
    )
    process.send_signal(sent)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 75
    assert "stopping after this step, resumable" in said
    assert "go on with --resume --output out" in said
    assert "Traceback" not in said
    assert finish(toy_command("search", "slow.toml", "--output", "out", "--resume")).returncode == 0
    assert finish(toy_command("search", "whole.toml", "--output", "whole")).returncode == 0
    assert quantities("out") == quantities("whole")


def test_second_ctrl_c_ends_at_once(toy_command: Command) -> None:
    Path("stuck.toml").write_text('kind = "search"\n[method]\nsteps = 3\npause = 20.0\n')
    process = subprocess.Popen(
        toy_command("search", "stuck.toml", "--output", "out"), stderr=subprocess.PIPE, text=True
    )
    log = Path("out/run.log")
    while not (log.exists() and "in out on 1 rank" in log.read_text()):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    before = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert time.monotonic() - before < 5.0
    assert process.returncode == -signal.SIGINT


def test_kill_9_loses_only_the_work_since_the_checkpoint(toy_command: Command) -> None:
    study = SLOW + "[run]\ncheckpoint_interval = 0.02\n"
    Path("often.toml").write_text(study)
    command = toy_command("search", "often.toml", "--output", "out")
    process = start_and_wait_for_steps(command, Path("out/run.log"), 8)
    process.kill()
    process.communicate()
    resumed = finish([*command, "--resume"])
    assert resumed.returncode == 0, resumed.stderr
    assert "step 5" not in resumed.stderr
    assert finish(toy_command("search", "whole.toml", "--output", "whole")).returncode == 0
    assert quantities("out") == quantities("whole")


def test_walltime_on_the_command_line_is_75(toy_command: Command) -> None:
    done = finish(toy_command("search", "slow.toml", "--output", "out", "--walltime", "1"))
    assert done.returncode == 75, done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["search", "nowhere.toml"], "nowhere.toml: no such file"),
        (["search", "typo.toml"], 'method.stepz = 3: unknown key; did you mean "steps"?'),
        (["search", "old.toml"], 'kind = "serch": expected one of'),
        (["search", "train.toml"], "this is a study for `thermosearch train`"),
        (["search", "fast.toml", "--output", "taken"], "taken: holds other files"),
        (["search", "fast.toml", "--output", "fast.toml"], "fast.toml: "),
        (["search", "fast.toml", "--resume"], "--resume needs --output"),
        (["validate", "typo.toml"], "typo.toml: method.stepz"),
    ],
)
def test_wrong_input_is_one_line_and_2(
    arguments: list[str], words: str, toy_command: Command
) -> None:
    Path("typo.toml").write_text('kind = "search"\nmethod.stepz = 3\n')
    Path("old.toml").write_text('kind = "serch"\n')
    Path("train.toml").write_text('kind = "train"\n')
    Path("taken").mkdir()
    Path("taken/notes.txt").write_text("")
    done = finish(toy_command(*arguments))
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr
    assert not Path("runs").exists()


@pytest.mark.parametrize("arguments", [["search"], ["serch", "x"], ["search", "x", "--outptu"]])
def test_misspelt_command_line_is_2(arguments: list[str], toy_command: Command) -> None:
    done = finish(toy_command(*arguments))
    assert done.returncode == 2
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bug_shows_its_traceback_and_is_1(toy_command: Command) -> None:
    Path("bug.toml").write_text('kind = "search"\nmethod.fail_at = 2\n')
    done = finish(toy_command("search", "bug.toml", "--output", "out"))
    assert done.returncode == 1
    assert "RuntimeError: the toy engine breaks here" in done.stderr


def test_validate_runs_nothing(toy_command: Command) -> None:
    done = finish(toy_command("validate", "fast.toml"))
    assert done.returncode == 0
    assert done.stdout == "fast.toml: a valid search study\n"
    assert not Path("runs").exists()


def full_disk() -> BinaryIO:
    return Path("/dev/full").open("wb")


def pipe_without_reader() -> BinaryIO:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "wb")


@pytest.mark.parametrize("opened", [full_disk, pipe_without_reader])
def test_a_run_outlives_its_screen(opened: Callable[[], BinaryIO], toy_command: Command) -> None:
    command = toy_command("search", "fast.toml", "--output", "out")
    with opened() as screen:
        assert subprocess.run(command, stderr=screen, timeout=60, check=False).returncode == 0
    log = Path("out/run.log").read_text()
    assert "step 4" in log and "finished in" in log


@pytest.mark.parametrize(
    ("opened", "code", "said"),
    [
        (full_disk, 2, "thermosearch: writing to standard output: the disk is full"),
        (pipe_without_reader, 0, ""),
    ],
)
def test_an_answer_nobody_reads_is_no_mistake_and_a_lost_one_is(
    opened: Callable[[], BinaryIO], code: int, said: str, toy_command: Command
) -> None:
    command = toy_command("validate", "fast.toml")
    with opened() as screen:
        done = subprocess.run(
            command, stdout=screen, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert done.returncode == code
    assert done.stderr.startswith(said) and len(done.stderr.splitlines()) == (code != 0)


@pytest.mark.parametrize("arguments", [["validate", "fast.toml"], ["search", "fast.toml"]])
def test_closed_streams_are_no_mistake(arguments: list[str], toy_command: Command) -> None:
    closed = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *toy_command(*arguments)]
    assert subprocess.run(closed, timeout=60, check=False).returncode == 0


def test_a_run_whose_screen_has_gone_is_stopped_by_a_signal(toy_command: Command) -> None:
    process = start_and_wait_for_steps(
        toy_command("search", "slow.toml", "--output", "out"), Path("out/run.log"), 2
    )
    process.stderr.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 75
    assert "stopped after" in Path("out/run.log").read_text()


def test_quiet_says_nothing_on_the_screen(toy_command: Command) -> None:
    done = finish(toy_command("search", "fast.toml", "--output", "out", "--quiet"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "step 4" in Path("out/run.log").read_text()


def test_importing_or_asking_for_help_does_not_import_jax() -> None:
    code = (
        "import sys\nfrom thermosearch.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "sys.stderr.write(str('jax' in sys.modules))"
    )
    done = finish([sys.executable, "-c", code])
    assert done.returncode == 0
    assert "search" in done.stdout
    assert done.stderr == "False"
