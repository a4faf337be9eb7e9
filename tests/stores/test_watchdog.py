"""A call that may never return: its late result is not lost."""

from __future__ import annotations

import threading

import pytest

from rotation.stores.watchdog import BackgroundCall


def test_a_late_result_is_tidied_up() -> None:
    """A connection that is made after the caller has stopped waiting is closed."""
    gate, closed = threading.Event(), threading.Event()
    call = BackgroundCall(gate.wait)

    call.abandon(lambda _: closed.set())
    assert not closed.is_set()
    gate.set()

    assert closed.wait(300)


def test_a_result_that_came_before_the_caller_left_is_tidied_up() -> None:
    """The call may end between the last check and the decision to stop waiting."""
    tidied: list[int] = []
    call = BackgroundCall(lambda: 7)
    assert call.done(10)

    call.abandon(tidied.append)

    assert tidied == [7]


def test_an_error_is_raised_where_the_result_is_wanted() -> None:
    """The caller sees what the call raised; there is nothing to tidy up."""
    tidied: list[int] = []
    call = BackgroundCall(lambda: int("no number"))
    assert call.done(10)

    call.abandon(tidied.append)

    assert tidied == []
    with pytest.raises(ValueError, match="no number"):
        call.result()
