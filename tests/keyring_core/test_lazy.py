"""A lazy value is built once, on first use, and a failure leaves nothing behind."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from keyring_core.lazy import Lazy
from tests.processes import in_a_fork

THREADS = 16


def ask_at_once(lazy: Lazy) -> list[object]:
    """What the value is to each of many threads that ask at the same moment; an error counts as its answer."""
    barrier = threading.Barrier(THREADS)

    def ask(_: int) -> object:
        barrier.wait()
        try:
            return lazy()
        except ValueError as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(ask, range(THREADS)))


def test_nothing_is_built_before_the_first_use():
    """Making a lazy value calls nothing."""
    Lazy(pytest.fail)


def test_the_value_is_built_once_under_threads():
    """However many threads ask at once, one builds and all get that one value."""
    built = []

    def build() -> object:
        time.sleep(0.02)
        built.append(object())
        return built[-1]

    answers = ask_at_once(Lazy(build))

    assert len(built) == 1
    assert answers == built * THREADS


def test_a_failed_build_leaves_nothing_behind():
    """After a failure the next call tries again, and the value that it builds is kept."""
    outcomes = iter([ValueError("first"), ValueError("second"), "value"])

    def build() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, ValueError):
            raise outcome
        return outcome

    lazy = Lazy(build)

    with pytest.raises(ValueError, match="first"):
        lazy()
    with pytest.raises(ValueError, match="second"):
        lazy()
    assert lazy() == lazy() == "value"


def test_threads_that_meet_a_failure_do_not_wait_for_ever():
    """A build that always fails fails in every thread, and the lock is free afterwards."""

    def build() -> object:
        raise ValueError("no key")

    lazy = Lazy(build)

    assert [str(answer) for answer in ask_at_once(lazy)] == ["no key"] * THREADS
    assert [str(answer) for answer in ask_at_once(lazy)] == ["no key"] * THREADS


def test_reset_forgets_the_value():
    """After reset the value is built anew, once."""
    lazy = Lazy(object)
    before = lazy()

    lazy.reset()

    assert lazy() is not before
    assert lazy() is lazy()


def test_a_call_looks_at_the_value_once():
    """A reset between a look and a second look would turn the value into None."""

    class ResetAfterEachLook(Lazy):
        looks = iter(["value", None])

        @property
        def _value(self) -> object:
            return next(self.looks)

        @_value.setter
        def _value(self, value: object) -> None:
            pass

    assert ResetAfterEachLook(pytest.fail)() == "value"


def test_reset_spoils_no_call():
    """Threads that ask while another resets always get a value, never None."""
    lazy, stop = Lazy(object), threading.Event()
    resetting = threading.Thread(target=lambda: [lazy.reset() for _ in iter(lambda: stop.wait(0.0001), True)])
    resetting.start()

    answers = [answer for _ in range(5) for answer in ask_at_once(lazy)]
    stop.set()
    resetting.join()

    assert None not in answers


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_can_build_the_value_while_its_parent_does():
    """A child that is forked while another thread builds is not left with a lock that nobody gives back."""
    building, go_on, parent = threading.Event(), threading.Event(), os.getpid()

    def build() -> str:
        building.set()
        assert os.getpid() != parent or go_on.wait(60)
        return "value"

    lazy = Lazy(build)
    with ThreadPoolExecutor(1) as pool:
        builder = pool.submit(lazy)
        try:
            assert building.wait(10)
            assert in_a_fork(lambda: lazy() == "value")
        finally:
            go_on.set()

    assert builder.result() == "value"
