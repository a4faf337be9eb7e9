"""Workers in processes of this machine: none of them holds up an end, or lives on behind it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, ParamSpec, TypeVar, cast

from keyring_core import KeyringError
from keyring_core.redaction import configure_logging
from rotation.job import worker

GRACE_SECONDS = 5.0
"""How long a worker that is to end may still take for its batch."""

SIGNALS = {signal.SIGINT, signal.SIGTERM}

P = ParamSpec("P")
T = TypeVar("T")

_spawning = multiprocessing.get_context("spawn")
"""Each process is started afresh: a fork would take locks and connections along."""


@dataclass(frozen=True)
class _Outcome(Generic[T]):
    """What a worker sends back."""

    result: T | None = None
    error: BaseException | None = None


class ProcessWorkers(Executor):
    """Processes that end with this one, however that ends; a new one takes the place of one that died.

    Each has a thread here that hands it its work and waits for the result. They share nothing, so that a death can
    neither break what others do nor leave a lock behind.
    """

    def __init__(self, count: int, *, log_level: int | str) -> None:
        """Starts none yet."""
        self._max_workers, self._log_level = count, log_level
        self._threads = ThreadPoolExecutor(count)
        self._own = threading.local()
        self._processes: list[SpawnProcess] = []
        # Whoever holds the other end knows by its end that the work has ended, or that we are dead.
        self._held, self._leash = _spawning.Pipe(duplex=False)
        self._hiring = threading.Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Starts a process where there are fewer than wanted and none is idle.

        The future raises BrokenExecutor where the process dies; others go on.
        """
        return self._threads.submit(self._give, fn, args, kwargs)

    def ask_to_stop(self) -> None:
        """Each ends its range after the present batch; none can be used any more."""
        with self._hiring:
            self._leash.close()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's
        """Ends all processes, within GRACE_SECONDS."""
        self._threads.shutdown(wait=False, cancel_futures=cancel_futures)
        self.ask_to_stop()
        end = time.monotonic() + (GRACE_SECONDS if wait else 0)
        for process in self._processes:
            process.join(max(0.0, end - time.monotonic()))
            process.kill()
        self._held.close()

    def _give(self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        """What this thread's process makes of it."""
        line: Connection | None = getattr(self._own, "line", None)
        outcome: _Outcome[T] | None = None
        with suppress(EOFError, OSError):
            line = line or self._hire()
            line.send((fn, args, kwargs))
            outcome = line.recv()
        self._own.line = line if outcome else None
        if outcome is None:
            # It died, or could not begin.
            raise BrokenExecutor("a worker died")
        if outcome.error is not None:
            raise outcome.error
        return cast("T", outcome.result)

    def _hire(self) -> Connection:
        """A new process's line."""
        with self._hiring:
            if self._leash.closed:
                raise BrokenExecutor("the workers were asked to stop")
            ours, theirs = _spawning.Pipe()
            process = _Process(target=_serve, args=(self._held, theirs, self._log_level))
            process.start()
            # With it the process alone holds that end, and its death ends the line.
            theirs.close()
            self._processes.append(process)
            return ours


class _Process(SpawnProcess):
    def start(self) -> None:
        """Starts it deaf: a signal that comes before it is ready waits for it."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


_busy = threading.Lock()
"""Held while this process does a range and tells its result."""


def _serve(leash: Connection, line: Connection, log_level: int | str) -> None:
    """Makes this process a worker, until the leash is let go."""
    configure_logging(stream=sys.stderr, level=log_level, guard_stdio=True)
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)
    # On a terminal Ctrl-C reaches all; whoever started us tells us what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=_end, daemon=True).start())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    threading.Thread(target=_watch, args=(leash,), daemon=True).start()
    while line in wait_for([line, leash]):
        try:
            fn, args, kwargs = line.recv()
        except EOFError:
            return
        with _busy:
            _answer(line, _work(fn, args, kwargs))


def _work(fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Outcome[T]:
    try:
        return _Outcome(fn(*args, **kwargs))
    except BaseException as error:
        if not isinstance(error, KeyringError):
            # A traceback does not travel.
            error.add_note(f"in a worker: {traceback.format_exc()}")
        return _Outcome(error=error)


def _answer(line: Connection, outcome: _Outcome[Any]) -> None:
    try:
        line.send(outcome)
    except OSError:
        # Whoever asked is gone, and the leash tells.
        return
    except Exception as error:
        line.send(_Outcome(error=TypeError(f"a worker's result cannot travel ({type(error).__name__})")))


def _watch(leash: Connection) -> None:
    """Ends the present range once the leash is let go, and the process once whoever started it is gone."""
    wait_for([leash])
    worker.process.stopping = True
    if parent := multiprocessing.parent_process():
        wait_for([parent.sentinel])
    _end()


def _end() -> None:
    """Ends this process after its batch, within GRACE_SECONDS. What is not committed then is rolled back."""
    worker.process.stopping = True
    _busy.acquire(timeout=GRACE_SECONDS)
    os._exit(1)
