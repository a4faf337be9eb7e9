"""Waiting for a process: a slow one has time, one that has hung or has ended is noticed, and the log is shown."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import processes
from tests.processes import end_of, in_a_fork, until
from tests.warm.client import Program

pytestmark = pytest.mark.database


def running(program: str) -> Program:
    return Program([sys.executable, "-c", program])


def test_a_process_that_works_is_waited_for() -> None:
    """However long it prints nothing: who has the processor, or wants it, has not hung."""
    with running("import os, time\nwhile time.process_time() < 0.2: pass\nos._exit(7)") as process:
        assert end_of(process, "the program", still=10) == 7


def test_a_process_that_gets_no_further_has_hung(tmp_path: Path) -> None:
    """The error names what was waited for, and shows the log."""
    log = tmp_path / "log"
    log.write_text("the last words")
    with (
        running("import time; time.sleep(600)") as process,
        pytest.raises(AssertionError, match=r"hung before the end of the program.*its log:\nthe last words"),
    ):
        end_of(process, "the program", log, still=10)


def test_what_a_child_does_is_progress() -> None:
    """A process that waits for its workers has not hung."""
    program = "import os, time\nif os.fork(): os.wait()\nelse:\n    while time.process_time() < 0.2: pass\nos._exit(0)"
    with running(program) as process:
        assert end_of(process, "the program", still=10) == 0


def test_an_end_is_noticed_at_once() -> None:
    """What a process would have done does not come any more; what it did last is there."""
    with running("raise SystemExit(3)") as process:
        with pytest.raises(AssertionError, match="ended with 3 before a row"):
            until(lambda: False, "a row", process)

        assert until(lambda: process.poll() is not None and "seen", "a row", process) == "seen"


def test_nothing_is_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that never comes is an error that names it."""
    monkeypatch.setattr(processes, "LOOKS", 3)

    with pytest.raises(AssertionError, match="waited in vain for the first row"):
        until(lambda: None, "the first row")


def test_a_fork_tells_how_it_ended() -> None:
    """True only if what it did was."""
    assert [in_a_fork(lambda: 1), in_a_fork(lambda: 0), in_a_fork(lambda: 1 / 0)] == [True, False, False]
