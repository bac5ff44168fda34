"""scripts/install.sh, with a Python that only pretends."""

import shutil
import subprocess
from pathlib import Path

import pytest

INSTALL = Path(__file__).resolve().parents[2] / "scripts" / "install.sh"
# `-m venv` fails half-way, as where ensurepip is missing, until a file `ensurepip` is there; like
# the real one it keeps a Python that it finds.
PYTHON = """#!/usr/bin/env bash
case "$*" in
"--version") echo Python 3.11.0 ;;
"-m venv"*)
    if [[ "$*" == *--clear* ]]; then rm -rf .venv; fi
    mkdir -p .venv/bin
    [ -L .venv/bin/python ] || ln -s "$PRETENDED" .venv/bin/python
    [ -e ensurepip ] && touch .venv/pip ;;
"-m pip"*) [ -e .venv/pip ] && echo "$*" >>calls ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    (tmp_path / "scripts").mkdir()
    shutil.copy(INSTALL, tmp_path / "scripts")
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.setenv("PYTHON", str(python))
    monkeypatch.setenv("PRETENDED", str(python))
    return tmp_path


def install(checkout: Path) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(checkout / "scripts" / "install.sh")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def installations(checkout: Path) -> int:
    return (checkout / "calls").read_text().count("install --editable")


def test_a_failed_attempt_is_mended_by_the_next(checkout: Path) -> None:
    failed = install(checkout)
    assert failed.returncode == 1
    assert failed.stderr.startswith("install: cannot make .venv")
    (checkout / "ensurepip").touch()
    assert install(checkout).returncode == 0
    assert installations(checkout) == 1


def test_what_is_installed_is_left_alone(checkout: Path) -> None:
    (checkout / "ensurepip").touch()
    for _ in range(2):
        assert install(checkout).returncode == 0
    assert installations(checkout) == 1


def test_a_python_that_is_gone_is_replaced(checkout: Path) -> None:
    (checkout / "ensurepip").touch()
    assert install(checkout).returncode == 0
    link = checkout / ".venv" / "bin" / "python"
    link.unlink()
    link.symlink_to(checkout / "older_python")
    assert install(checkout).returncode == 0
    assert installations(checkout) == 2
