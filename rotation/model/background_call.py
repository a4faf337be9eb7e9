"""A call in a thread of its own, for what may never return, such as the lookup of a server's name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

T = TypeVar("T")


class BackgroundCall(Generic[T]):
    """A call that the caller may stop waiting for. It does not keep the program from ending."""

    def __init__(self, act: Callable[[], T]) -> None:
        """Starts the call."""
        self._future: Future[T] = Future()
        threading.Thread(target=self._run, args=(act,), daemon=True).start()

    def done(self, seconds: float = 0) -> bool:
        """Whether the call has ended; waits for it for *seconds* at most."""
        return bool(wait([self._future], seconds).done)

    def result(self) -> T:
        """What the call returned, once it is done. Raises what it raised."""
        return self._future.result()

    def abandon(self, tidy_up: Callable[[T], object]) -> None:
        """Stops waiting. If the call returns something, now or later, *tidy_up* gets it."""
        self._future.add_done_callback(lambda future: future.exception() or tidy_up(future.result()))

    def _run(self, act: Callable[[], T]) -> None:
        try:
            self._future.set_result(act())
        except BaseException as error:
            self._future.set_exception(error)
