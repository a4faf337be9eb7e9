"""A signal to a service is for its main thread: a thread that is started here takes none.

The system may give it to any thread that does not block it. Python's handler then waits for the main thread, which
sleeps on; a server's own handler, as that of uWSGI, ends the process from this thread, and waits for ever for the main
one.
"""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import BuiltinFunctionType

_NAMES = {"SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2"}
"""By which somebody ends a service, reloads it, or asks it for something.

No others: what a service's own code starts in such a thread, as where it makes a connection, inherits what that blocks,
and without SIGCHLD a shell waits for ever.
"""
_SIGNALS = [each for each in signal.Signals if each.name in _NAMES]

_own = threading.local()
"""With `before`: what was blocked before a thread was started here."""


@contextmanager
def blocked(numbers: Collection[int]) -> Iterator[Collection[int]]:
    """Threads and processes that are started meanwhile do not get these signals; gives those that were blocked before.

    The caller's own thread gets them once this is over.
    """
    # It may raise what a handler raises: nothing has been changed then.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        yield before
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def without_signals(act: Callable[..., object]) -> Iterator[Callable[..., object]]:
    """Gives a function that calls *act*, for a thread that is started meanwhile, and that gets no signal."""
    # A green thread, as of gevent, has no signals of its own, and begins another one before this is over.
    is_green = not isinstance(_thread.start_new_thread, BuiltinFunctionType)
    if is_green or not hasattr(signal, "pthread_sigmask"):
        yield act
        return
    with blocked(_SIGNALS) as now:
        before = getattr(_own, "before", now)

        def call(*given: object) -> None:
            _own.before = before
            act(*given)

        yield call


@contextmanager
def as_before() -> Iterator[None]:
    """Processes that are started meanwhile get the signals that such a thread does not: they inherit what it blocks."""
    if not hasattr(_own, "before"):
        yield
        return
    with blocked(()):
        signal.pthread_sigmask(signal.SIG_SETMASK, _own.before)
        yield
