"""When a run stops: nothing that was asked for is forgotten."""

import os
import signal
from typing import Any

import pytest

from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.stop import StopRequest


class Interrupted(Communicator):
    """A signal arrives while the ranks agree, too late for what they agree on."""

    def gather(self, value: Any) -> list[Any]:
        os.kill(os.getpid(), signal.SIGTERM)
        return super().gather(value)


def test_a_signal_that_comes_while_ranks_agree_counts_the_next_time(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with StopRequest(Interrupted()) as stop:
        assert not stop()
        assert stop() and stop.reason == "SIGTERM"
    assert "stopping after this step" in capfd.readouterr().err
