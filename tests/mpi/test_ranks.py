"""Several ranks: same numbers, no hanging, one line a mistake, one busy thread each."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.mpi, pytest.mark.timeout(120)]

Run = Callable[..., subprocess.CompletedProcess[str]]
TOY = Path(__file__).parents[1] / "runtime" / "toy.py"
STUDY = 'kind = "search"\n[method]\nsteps = 6\n'


@pytest.fixture(autouse=True)
def study(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY)


def script(folder: Path, text: str) -> Path:
    path = folder / "script.py"
    path.write_text("from thermosearch.runtime.communicator import world\n" + text)
    return path


def numbers(path: Path) -> tuple[list, bytes]:
    content = json.loads((path / "results.json").read_text())
    return content["quantities"], (path / "results.h5").read_bytes()


def test_numbers_do_not_depend_on_the_rank_count(mpirun: Run, tmp_path: Path) -> None:
    for ranks in (1, 2, 3):
        done = mpirun(ranks, TOY, "search", "study.toml", "--output", f"on_{ranks}")
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / f"on_{ranks}" / "results.json").read_text())["ranks"] == ranks
    assert numbers(tmp_path / "on_1") == numbers(tmp_path / "on_2") == numbers(tmp_path / "on_3")


def test_map_gives_task_order_on_every_rank(mpirun: Run, tmp_path: Path) -> None:
    path = script(
        tmp_path,
        "ranks = world()\n"
        "for n in (0, 1, 2, 5, 6):\n"
        "    assert ranks.map(lambda i: i * i, range(n)) == [i * i for i in range(n)]\n"
        "assert ranks.gather(ranks.rank) == list(range(ranks.size))\n"
        "assert ranks.broadcast(ranks.rank) == 0\n"
        "assert ranks.on_root(lambda: ranks.rank) == 0\n"
        "assert ranks.root_first(lambda: ranks.rank) == ranks.rank\n"
        "ranks.barrier()\n"
        "import sys; sys.stdout.write(f'fine {ranks.rank}\\n')\n",
    )
    done = mpirun(3, path)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["fine 0", "fine 1", "fine 2"]


@pytest.mark.parametrize("culprit", [0, 1])
def test_a_raising_rank_ends_the_job_with_its_traceback(
    culprit: int, mpirun: Run, tmp_path: Path
) -> None:
    path = script(
        tmp_path,
        f"ranks = world()\nif ranks.rank == {culprit}:\n    1 / 0\nranks.barrier()\n",
    )
    before = time.monotonic()
    done = mpirun(2, path)
    assert time.monotonic() - before < 20.0
    assert done.returncode == 1
    assert f"rank {culprit} of 2 raised" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert done.stderr.count("Traceback") == 1


def test_an_engine_that_raises_on_one_rank_ends_the_run(mpirun: Run, tmp_path: Path) -> None:
    (tmp_path / "bug.toml").write_text(STUDY + "fail_at = 2\n")
    done = mpirun(2, TOY, "search", "bug.toml", "--output", "out")
    assert done.returncode == 1
    assert "rank 1 of 2 raised" in done.stderr
    assert "the toy engine breaks here" in done.stderr


def test_wrong_input_is_said_once_for_all_ranks(mpirun: Run, tmp_path: Path) -> None:
    (tmp_path / "typo.toml").write_text('kind = "search"\nmethod.stepz = 3\n')
    done = mpirun(3, TOY, "search", "typo.toml", "--output", "out")
    assert done.returncode == 2
    assert done.stderr.count("unknown key") == 1
    assert not (tmp_path / "out").exists()


def test_input_error_on_one_rank_alone_ends_the_job(mpirun: Run, tmp_path: Path) -> None:
    path = script(
        tmp_path,
        "from thermosearch.runtime.errors import InputError\n"
        "ranks = world()\n"
        "if ranks.rank == 1:\n    raise InputError('frame 7 is bad')\n"
        "ranks.barrier()\n",
    )
    done = mpirun(2, path)
    assert done.returncode == 2
    assert "rank 1: frame 7 is bad" in done.stderr
    assert "Traceback" not in done.stderr


def test_ranks_that_take_different_ways_are_noticed(mpirun: Run, tmp_path: Path) -> None:
    """Both wait in a broadcast, but not in the same one."""
    path = script(
        tmp_path,
        "ranks = world()\n"
        "if ranks.rank == 0:\n    ranks.broadcast('of rank 0 alone')\n    ranks.gather(1)\n"
        "else:\n    ranks._next(); ranks.broadcast('later')\n    ranks.gather(1)\n",
    )
    done = mpirun(2, path)
    assert done.returncode == 1
    assert "rank 1 is at broadcast 2" in done.stderr
    assert "of rank 0 alone" in done.stderr


def test_walltime_stops_all_ranks_and_another_rank_count_resumes(
    mpirun: Run, tmp_path: Path
) -> None:
    (tmp_path / "slow.toml").write_text('kind = "search"\n[method]\nsteps = 30\npause = 0.1\n')
    run = (TOY, "search", "slow.toml", "--output", "out")
    stopped = mpirun(2, *run, "--walltime", "1")
    assert stopped.returncode == 75, stopped.stderr
    resumed = mpirun(3, *run, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    (tmp_path / "whole.toml").write_text('kind = "search"\n[method]\nsteps = 30\n')
    assert mpirun(1, TOY, "search", "whole.toml", "--output", "whole").returncode == 0
    assert numbers(tmp_path / "out") == numbers(tmp_path / "whole")


def test_sigterm_of_one_rank_stops_all_together(mpirun: Run, tmp_path: Path) -> None:
    """As from a batch system, which signals the ranks and not the launcher."""
    path = script(
        tmp_path,
        "import os, signal, time\n"
        "from thermosearch.runtime.stop import StopRequest\n"
        "ranks = world()\n"
        "with StopRequest(ranks) as stop:\n"
        "    for step in range(1000):\n"
        "        if step == 5 and ranks.rank == 1:\n"
        "            os.kill(os.getpid(), signal.SIGTERM)\n"
        "        if stop():\n"
        "            break\n"
        "assert ranks.gather(step) == [step] * ranks.size\n"
        "assert step == 5, step\n",
    )
    done = mpirun(2, path)
    assert done.returncode == 0, done.stderr


def test_sigterm_of_the_launcher_leaves_a_resumable_run(tmp_path: Path) -> None:
    (tmp_path / "slow.toml").write_text('kind = "search"\n[method]\nsteps = 200\npause = 0.1\n')
    launcher = Path(sys.executable).with_name("mpiexec")
    if not launcher.exists():
        pytest.skip("needs the mpiexec of the extra [mpi-local]")
    command = [launcher, "-n", "2", sys.executable, TOY, "search", "slow.toml", "--output", "out"]
    process = subprocess.Popen(
        [*map(str, command)], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    log = tmp_path / "out" / "run.log"
    while not (log.exists() and "step 3" in log.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert "go on with --resume" in said
    assert list((tmp_path / "out" / "checkpoints").iterdir())


ONE_THREAD = """
import sys
from pathlib import Path
from thermosearch.runtime.devices import claim_devices

ranks = world()
claim_devices(ranks)

import jax, jax.numpy as jnp

def busy():
    tasks = Path("/proc/self/task").iterdir()
    fields = {task.name: (task / "stat").read_text().rpartition(")")[2].split() for task in tasks}
    return {name: int(values[11]) + int(values[12]) for name, values in fields.items()}

if ranks.rank == 0:
    x = jnp.ones((700, 700), jnp.float32)
    work = jax.jit(lambda x: jnp.tanh(x @ x))
    work(x).block_until_ready()
    before = busy()
    for _ in range(60):
        work(x).block_until_ready()
    spent = [ticks - before.get(name, 0) for name, ticks in busy().items()]
    sys.stdout.write(f"{max(spent) / sum(spent)}\\n")
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core has one busy thread anyway")
def test_a_rank_of_two_keeps_one_thread_busy(mpirun: Run, tmp_path: Path) -> None:
    """By the processor time of each thread, which other load on the machine does not change."""
    done = mpirun(2, script(tmp_path, ONE_THREAD))
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0.85, done.stdout


def test_info_on_two_ranks_speaks_once(mpirun: Run) -> None:
    done = mpirun(2, "-m", "thermosearch", "info")
    assert done.returncode == 0, done.stderr
    ranks = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("ranks")]
    assert ranks == ["2"]
