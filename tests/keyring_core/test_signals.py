"""A signal is for the main thread: none of this package's threads takes one, and their commands get all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from keyring_core.key_commands import run_key_command
from rotation import fleet
from rotation.stores.watchdog import BackgroundCall
from tests.keys import make_key
from tests.processes import run, until

MASK = "grep SigBlk /proc/self/status"
FOR_THE_SERVICE = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}


def blocked(line: str) -> set[int]:
    """The signals in a line `SigBlk` of /proc."""
    bits = int(line.split()[1], 16)
    return {number for number in range(1, 32) if bits >> (number - 1) & 1}


def of_thread(thread: int) -> set[int]:
    """The signals that one of this process's threads blocks; none if it has ended."""
    with suppress(OSError):
        lines = Path(f"/proc/self/task/{thread}/status").read_text().splitlines()
        return next(blocked(line) for line in lines if line.startswith("SigBlk"))
    return set()


def threads() -> set[int]:
    return {int(entry) for entry in os.listdir("/proc/self/task")}


@pytest.fixture
def own() -> Iterator[set[int]]:
    """What this thread blocks, which stays so: one signal more than usual."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})
    yield of_thread(threading.get_native_id())
    assert of_thread(threading.get_native_id()) == {*map(int, before), int(signal.SIGWINCH)}
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_service_s_threads_take_no_signal(own, tmp_path, monkeypatch):
    """One announces it, one removes its entry."""
    monkeypatch.setenv("ENCRYPTION_KEY", make_key("new").reveal())
    monkeypatch.setattr(fleet, "_process", fleet._Process())
    before = threads()

    def running() -> list[set[int]]:
        """The masks of those that run: while a thread begins or ends, the system blocks all."""
        return [mask for mask in map(of_thread, threads() - before) if signal.SIGSEGV not in mask]

    fleet.keep_announcing(sa.create_engine(f"sqlite:///{tmp_path}/ledger.db"))
    masks = until(lambda: len(found := running()) == 2 and found, "two threads that run")
    fleet.stop_announcing()

    assert masks == [FOR_THE_SERVICE | own] * 2


def test_a_call_in_the_background_takes_no_signal(own):
    """Such as `announce()` in a health endpoint."""
    call = BackgroundCall(lambda: of_thread(threading.get_native_id()))
    assert call.done(60)

    assert call.result() == FOR_THE_SERVICE | own


def test_a_shell_that_is_started_in_such_a_thread_ends():
    """The code with which a service makes a connection may ask a script for a password."""
    call = BackgroundCall(lambda: subprocess.check_output(["sh", "-c", "sleep 0 & wait; echo ended"], timeout=30))
    assert call.done(60)

    assert call.result() == b"ended\n"


def test_a_key_command_of_such_a_thread_gets_all_signals(own):
    """A vault's program, or `timeout` in front of it, may end its own processes with them; also two threads deep."""

    def mask() -> set[int]:
        return blocked(run_key_command(MASK, "ENCRYPTION_KEY_COMMAND", {}, 30).decode())

    def deeper() -> set[int]:
        call = BackgroundCall(mask)
        assert call.done(60)
        return call.result()

    calls = [BackgroundCall(mask), BackgroundCall(deeper)]
    assert [call.done(60) for call in calls] == [True, True]

    assert [call.result() for call in calls] == [own, own]
    assert mask() == own


GREEN = """
from gevent import monkey
monkey.patch_all()
import signal
from rotation.stores.watchdog import BackgroundCall

def nested():
    return [call.done(60) for call in [BackgroundCall(int), BackgroundCall(int)]]

calls = [BackgroundCall(nested), BackgroundCall(nested)]
print([call.done(60) and call.result() for call in calls], signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""


def test_green_threads_take_none_from_their_service():
    """They have one thread in common, which goes on getting the signals."""
    ran = run([sys.executable, "-c", GREEN], {**os.environ})

    assert ran.stdout == "[[True, True], [True, True]] set()\n"
