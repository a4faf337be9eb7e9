"""A process pool whose workers never delay shutdown and never outlive the parent process."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import SpawnProcess
from typing import Any, ParamSpec, TypeVar, cast

from keyring_core import KeyringError
from keyring_core.redaction import configure_logging
from rotation.job import worker
from rotation.model.failures import GRACE_SECONDS

SIGNALS = {signal.SIGINT, signal.SIGTERM}

P = ParamSpec("P")
T = TypeVar("T")

_spawning = multiprocessing.get_context("spawn")
"""Starts each process from scratch: a fork would copy locks and connections."""


class ProcessWorkers(Executor):
    """A pool of processes. One that died is replaced at the next call; all end when this process ends, in any way.

    Each process has a connection and a thread here, which sends it work and waits for the result. Processes share no
    lock and no queue, so the death of one does not block the others.
    """

    def __init__(self, count: int, *, log_level: int | str, log_format: str = "auto") -> None:
        """Starts no process. The log of each is as `configure_logging` makes it of *log_level* and *log_format*."""
        self._max_workers, self._log = count, (log_level, log_format)
        self._threads = ThreadPoolExecutor(count)
        self._local = threading.local()
        self._processes: list[SpawnProcess] = []
        # Carries no data. Workers read end of file from it when this end is closed, or when this process dies.
        self._workers_end, self._alive_pipe = _spawning.Pipe(duplex=False)
        self._starting = threading.Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Runs *fn* in a process; starts one if none is idle and there are fewer than *count*.

        If that process dies, the future raises BrokenExecutor; other futures are not affected.
        """
        return self._threads.submit(self._call, fn, args, kwargs)

    def ask_to_stop(self) -> None:
        """Asks each process to end its range after the present batch. No further call is accepted."""
        with self._starting:
            self._alive_pipe.close()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's
        """Ends all processes within GRACE_SECONDS."""
        self._threads.shutdown(wait=False, cancel_futures=cancel_futures)
        self.ask_to_stop()
        end = time.monotonic() + (GRACE_SECONDS if wait else 0)
        for process in self._processes:
            process.join(max(0.0, end - time.monotonic()))
            process.kill()
        self._workers_end.close()

    def _call(self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        """The result of *fn* in the process of this thread."""
        try:
            if getattr(self._local, "connection", None) is None:
                self._local.connection = self._start()
            self._local.connection.send((fn, args, kwargs))
            result, error = self._local.connection.recv()
        except (EOFError, OSError):
            # The process died or could not be started. The next call starts another one.
            self._local.connection = None
            raise BrokenExecutor("a worker died") from None
        if error is not None:
            raise error
        return cast("T", result)

    def _start(self) -> Connection:
        """Starts a process, and returns the connection to it."""
        with self._starting:
            if self._alive_pipe.closed:
                raise BrokenExecutor("the workers were asked to stop")
            connection, far_end = _spawning.Pipe()
            process = _spawning.Process(target=_serve, args=(self._workers_end, far_end, *self._log))
            # The first start of a process would start the tracker, which unblocks the signals.
            resource_tracker.ensure_running()
            # The process inherits the mask: a signal waits until the process has its handlers.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            # Now only the process holds that end, so its death closes the connection.
            far_end.close()
            self._processes.append(process)
            return connection


_busy = threading.Lock()
"""Held while this process does a range and sends its result."""


def _serve(alive_pipe: Connection, connection: Connection, log_level: int | str, log_format: str) -> None:
    """The main function of a worker process: answers calls until *alive_pipe* is closed."""
    configure_logging(stream=sys.stderr, level=log_level, renderer=log_format, guard_stdio=True)
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)
    # Ctrl-C on a terminal signals all processes; the parent closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=_end, daemon=True).start())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    threading.Thread(target=_watch, args=(alive_pipe,), daemon=True).start()
    # The parent may close the connection or be gone.
    with suppress(EOFError, OSError):
        while connection in wait_for([connection, alive_pipe]):
            call = connection.recv()
            with _busy:
                _answer(connection, *call)


def _answer(connection: Connection, fn: Callable[..., object], args: Iterable[Any], kwargs: Mapping[str, Any]) -> None:
    """Sends the result of a call and its error; one of them is None."""
    result, failure = None, None
    try:
        result = fn(*args, **kwargs)
    except BaseException as error:
        failure = error
        if not isinstance(error, KeyringError):
            # A traceback cannot be pickled.
            error.add_note(f"in a worker: {traceback.format_exc()}")
    try:
        connection.send((result, failure))
    except OSError:
        raise
    except Exception as error:
        connection.send((None, TypeError(f"a worker's result cannot be pickled ({type(error).__name__})")))


def _watch(alive_pipe: Connection) -> None:
    """Ends the present range when *alive_pipe* is closed, and the process when its parent has ended."""
    wait_for([alive_pipe])
    worker.stop_request.stopping = True
    if parent := multiprocessing.parent_process():
        wait_for([parent.sentinel])
    _end()


def _end() -> None:
    """Ends this process after its batch, within GRACE_SECONDS. What is not committed by then is rolled back."""
    worker.stop_request.stopping = True
    _busy.acquire(timeout=GRACE_SECONDS)
    os._exit(1)
