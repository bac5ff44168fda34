"""Fixtures of the runtime's tests."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from thermosearch import launch

TOY = Path(__file__).with_name("toy.py")

Command = Callable[..., list[str]]


@pytest.fixture
def toy_command() -> Command:
    """Arguments of a process that runs the command line with the toy engine as `search`."""
    return lambda *arguments: [sys.executable, str(TOY), *map(str, arguments)]


@pytest.fixture
def toy_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The toy engine as `search`, in this process, which works in a folder of its own."""
    monkeypatch.syspath_prepend(str(TOY.parent))
    engine = launch.Engine("toy:ToyStudy", "toy:execute", "thermosearch.search")
    monkeypatch.setattr(launch, "ENGINES", {**launch.ENGINES, "search": engine})
    monkeypatch.setattr(launch, "REPORT", "toy:no_report")
    monkeypatch.setenv("THERMOSEARCH_CACHE", "off")
    monkeypatch.chdir(tmp_path)
