"""A process pool: each call gets its own answer, whatever happens to the other calls."""

from __future__ import annotations

import logging
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from multiprocessing import resource_tracker
from multiprocessing.popen_spawn_posix import Popen as SpawnPopen
from pathlib import Path

import pytest

from keyring_core import KeyConfigError
from rotation.job.process_pool import ProcessWorkers
from tests.processes import die, is_alive, until

SECONDS = 300.0
"""More than any machine needs."""

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")


@pytest.fixture
def workers() -> Iterator[ProcessWorkers]:
    """A pool of two processes."""
    with ProcessWorkers(2, log_level="WARNING") as workers:
        yield workers


def test_deaths_leave_no_call_without_an_answer(workers: ProcessWorkers) -> None:
    """R10: if workers die while others are being started, each call still gets a result or BrokenExecutor."""
    deaths, calls = zip(*((workers.submit(die), workers.submit(os.getpid)) for _ in range(4)), strict=True)

    assert [type(each.exception(SECONDS)) for each in deaths] == [BrokenExecutor] * 4
    assert all(each.result(SECONDS) for each in calls)


def test_a_death_is_that_of_one_call(workers: ProcessWorkers, tmp_path: Path) -> None:
    """R10: a call in another process goes on in that same process."""
    begun, end = tmp_path / "begun", tmp_path / "end"
    other = workers.submit(_wait_for, begun, end)
    until(begun.exists, "the start of a call")
    death = workers.submit(die)
    assert isinstance(death.exception(SECONDS), BrokenExecutor)
    end.touch()

    assert other.result(SECONDS) == int(begun.read_text())


@pytest.mark.parametrize(
    ("log_format", "line"),
    [
        ("json", r"^\{.*\"seen\""),
        pytest.param("console", r"^\S+ \[warning +\] seen", marks=pytest.mark.long),
    ],
)
def test_a_worker_logs_as_this_process_does(capfd: pytest.CaptureFixture[str], log_format: str, line: str) -> None:
    """In the format that the command line asks for."""
    with ProcessWorkers(1, log_level="WARNING", log_format=log_format) as workers:
        workers.submit(logging.warning, "seen").result(SECONDS)

    assert re.search(line, capfd.readouterr().err, re.MULTILINE)


def test_a_worker_that_died_while_idle_is_replaced() -> None:
    """R10: the next call fails, and the call after it gets a new process."""
    with ProcessWorkers(1, log_level="WARNING") as workers:
        first = workers.submit(os.getpid).result(SECONDS)
        os.kill(first, signal.SIGKILL)
        until(lambda: not is_alive(first), "the end of a worker")

        assert isinstance(workers.submit(os.getpid).exception(SECONDS), BrokenExecutor)
        assert workers.submit(os.getpid).result(SECONDS) != first


def test_a_process_that_cannot_be_started_is_one_that_died(
    workers: ProcessWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the machine can start no more processes, the call fails with BrokenExecutor."""

    def refuse(*_: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr("multiprocessing.popen_spawn_posix.Popen._launch", refuse)

    assert isinstance(workers.submit(os.getpid).exception(SECONDS), BrokenExecutor)


def test_a_worker_starts_with_signals_blocked(workers: ProcessWorkers, monkeypatch: pytest.MonkeyPatch) -> None:
    """R11: a signal before a worker has its handlers waits for them, for the first worker of a process, too."""
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]
    blocked: list[bool] = []
    start = SpawnPopen._launch  # type: ignore[attr-defined]

    def launch(process: object, *arguments: object) -> None:
        start(process, *arguments)
        blocked.append({signal.SIGINT, signal.SIGTERM} <= signal.pthread_sigmask(signal.SIG_BLOCK, []))

    monkeypatch.setattr(SpawnPopen, "_launch", launch)
    workers.submit(os.getpid).result(SECONDS)

    assert blocked == [True]


def test_idle_processes_end_with_their_executor() -> None:
    """Idle processes exit by themselves with code 0; they are not killed."""
    with ProcessWorkers(1, log_level="WARNING") as workers:
        pid = workers.submit(os.getpid).result(SECONDS)
        [process] = workers._processes

    assert (is_alive(pid), process.exitcode) == (False, 0)


def test_a_process_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After GRACE_SECONDS; its call raises BrokenExecutor."""
    monkeypatch.setattr("rotation.job.process_pool.GRACE_SECONDS", 0.2)
    with ProcessWorkers(1, log_level="WARNING") as workers:
        pid = workers.submit(os.getpid).result(SECONDS)
        endless = workers.submit(time.sleep, 3600)

    until(lambda: not is_alive(pid), "the end of a worker")
    assert isinstance(endless.exception(SECONDS), BrokenExecutor)


def test_no_process_is_started_after_the_end(workers: ProcessWorkers) -> None:
    """A call that was not started raises BrokenExecutor."""
    workers.ask_to_stop()

    assert isinstance(workers.submit(os.getpid).exception(SECONDS), BrokenExecutor)
    assert workers._processes == []


def test_an_error_carries_the_traceback_of_the_worker(workers: ProcessWorkers) -> None:
    """As a note, since a traceback cannot be pickled."""
    error = workers.submit(int, "no number").exception(SECONDS)

    assert isinstance(error, ValueError)
    assert "_answer" in error.__notes__[0]


def test_a_keyring_error_gets_no_note(workers: ProcessWorkers) -> None:
    """Its message is for the user, who needs no traceback."""
    error = workers.submit(_fail).exception(SECONDS)

    assert (str(error), getattr(error, "__notes__", [])) == ("no key", [])


def test_a_result_that_cannot_be_pickled_is_an_error(workers: ProcessWorkers) -> None:
    """The call raises TypeError; the process goes on with other calls."""
    assert "cannot be pickled (TypeError)" in str(workers.submit(threading.Lock).exception(SECONDS))
    assert workers.submit(os.getpid).result(SECONDS)


def _fail() -> None:
    raise KeyConfigError("no key")


def _wait_for(begun: Path, end: Path) -> int:
    begun.write_text(str(os.getpid()))
    until(end.exists, "the end of a call")
    return os.getpid()
