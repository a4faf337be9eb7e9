"""The threads that share the work of a process."""

from __future__ import annotations

import threading
import time

import pytest

from rotation.model.failures import StoppedError
from rotation.stores.threads import Threads
from rotation.world.process import STOPPED


def test_a_stop_ends_the_wait_for_a_thread() -> None:
    """Within a second, however long the thread takes for what it does."""
    ended = threading.Event()

    def stop(_seconds: float) -> None:
        raise StoppedError(STOPPED)

    threads = Threads(1, stop)
    began = time.monotonic()
    try:
        with pytest.raises(StoppedError):
            list(threads.each(["a table"], lambda *_: ended.wait(30)))
        took = time.monotonic() - began
    finally:
        ended.set()
        threads.close()

    assert took < 1


def test_results_come_in_the_order_of_what_was_given() -> None:
    """Whichever thread is the first to end."""
    threads = Threads(3, lambda _: None)

    def square(number: int, _links: object) -> int:
        time.sleep(0.02 * (number % 3))
        return number * number

    try:
        found = list(threads.each(range(20), square))
    finally:
        threads.close()

    assert found == [(number, number * number) for number in range(20)]
