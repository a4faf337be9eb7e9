"""Workers in processes of this machine: none of them holds up an end, or lives on behind it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, ParamSpec, TypeVar

from keyring_core.redaction import configure_logging
from rotation.work import worker

GRACE_SECONDS = 5.0
"""How long a worker that is to end may still take for its batch."""
SEND_SECONDS = 0.2
"""How long it takes at most to send a result."""

SIGNALS = {signal.SIGINT, signal.SIGTERM}

P = ParamSpec("P")
T = TypeVar("T")


class ProcessWorkers(Executor):
    """A pool of processes that can be renewed, and that ends with this process, however that ends.

    Each is started afresh: a fork would take locks and connections along.
    """

    def __init__(self, count: int, *, log_level: int | str) -> None:
        """Starts none yet."""
        self._count, self._log_level = count, log_level
        self._max_workers = count
        self._context = _Spawning()
        # Whoever holds the other end knows by its end that the work has ended, or that we are dead.
        self._held, self._leash = self._context.Pipe(duplex=False)
        self._pool = self._make_pool()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Starts a process where there are fewer than wanted and none is idle. Raises BrokenProcessPool."""
        fault: OSError
        try:
            return self._pool.submit(_work, fn, *args, **kwargs)
        except OSError as error:
            fault = error
        # One that dies in this very moment, or the pool that learns of it, closes a pipe that we were to write to.
        raise BrokenProcessPool(f"a worker died as it was given work ({type(fault).__name__})")

    def renew(self) -> bool:
        """New processes in place of all; what these have begun and not finished is lost."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._make_pool()
        return True

    def ask_to_stop(self) -> None:
        """Each ends its range after the present batch; none can be used any more."""
        self._leash.close()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's
        """Ends all processes, within GRACE_SECONDS."""
        self._leash.close()
        self._pool.shutdown(wait=False, cancel_futures=cancel_futures)
        end = time.monotonic() + (GRACE_SECONDS if wait else 0)
        for process in self._context.made:
            if process.pid is None:
                continue
            process.join(max(0.0, end - time.monotonic()))
            process.kill()
        self._held.close()

    def _make_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._count, self._context, initializer=_begin, initargs=(self._held, self._log_level)
        )


class _Spawning(SpawnContext):
    """Knows the processes that it made, which a pool keeps to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[SpawnProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802 - as there
        """A process."""
        process = _Process(*args, **kwargs)
        self.made.append(process)
        return process


class _Process(SpawnProcess):
    def start(self) -> None:
        """Starts it deaf: a signal that comes before it is ready waits for it."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


_busy = threading.Lock()
"""Held while this process does a range."""


def _work(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    with _busy:
        return fn(*args, **kwargs)


def _begin(leash: Connection, log_level: int | str) -> None:
    """Makes this process a worker."""
    configure_logging(stream=sys.stderr, level=log_level, guard_stdio=True)
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)
    # On a terminal Ctrl-C reaches all; whoever started us tells us what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=_end, daemon=True).start())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    threading.Thread(target=_watch, args=(leash,), daemon=True).start()


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
    if _busy.acquire(timeout=GRACE_SECONDS):
        time.sleep(SEND_SECONDS)
    os._exit(1)
