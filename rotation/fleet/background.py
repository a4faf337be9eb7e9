"""Threads and locks that withstand forks and gevent, and the end of a child of multiprocessing."""

from __future__ import annotations

import _thread
import sys
import threading
import time
from collections.abc import Callable

from keyring_core.signals import without_signals

PAUSE_SECONDS = 0.02
"""The time between two looks whether another thread still writes."""


def start(act: Callable[..., None], *given: object) -> None:
    """Starts a thread that keeps no process alive. Raises RuntimeError if there can be no more."""
    # Not one of `threading`, whose start waits for the thread: a signal meanwhile is lost in the hook of a fork, and
    # gevent, which patches that module after the fork, does not find it at its end.
    with without_signals(act) as call:
        _thread.start_new_thread(call, given)


def acquire(lock: threading.Lock, seconds: float) -> bool:
    """Waits for *lock* for *seconds* at most; returns whether it is held now."""
    end = time.monotonic() + seconds
    # A green thread that waits for a lock from before gevent's patches stops all others, also the lock's owner.
    while not lock.acquire(blocking=False):
        if time.monotonic() > end:
            return False
        time.sleep(PAUSE_SECONDS)
    return True


_is_ended = False
"""True if `end_with_multiprocessing` has done its work."""


def end_with_multiprocessing(act: Callable[[], None]) -> None:
    """Calls *act* at the end of a child of multiprocessing: it runs no exit handlers of Python, but its own."""
    global _is_ended  # noqa: PLW0603 - one a process
    util = sys.modules.get("multiprocessing.util")
    if util is None or _is_ended:
        return

    def leave_at_the_end(_: object = None) -> None:
        util.Finalize(None, act, exitpriority=0)

    _is_ended = True
    leave_at_the_end()
    # A child begins with no such handler, after the hooks of a fork. The registry forgets objects that are collected.
    util.register_after_fork(act, leave_at_the_end)
