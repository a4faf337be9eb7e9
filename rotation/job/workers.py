"""Workers outside of this process: a Dask cluster, on this machine (`--workers`) or on others (`--dask`)."""

from __future__ import annotations

import importlib
import logging
import math
import multiprocessing
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import resource_tracker
from typing import Any, TypeVar

import structlog

from keyring_core import Keyring, KeyringError
from keyring_core.signals import blocked
from rotation.job import worker
from rotation.job.executors import RangeExecutor, is_lost
from rotation.job.options import RunOptions
from rotation.job.ranges import RANGE_SECONDS, Bounds, RangeDone
from rotation.model.failures import CONTINUE, StoreError, UsageError, WorkerError
from rotation.model.target import Target
from rotation.model.text import install
from rotation.stores.threads import most_threads, wait_for
from rotation.stores.watchdog import BackgroundCall

SIGNALS = {signal.SIGINT, signal.SIGTERM}

START_SECONDS = 60.0
"""The most seconds in which a worker process starts."""
ASK_SECONDS = 5.0
"""The least time between two questions to a scheduler."""
SILENT_SECONDS = 30.0
"""A scheduler that gives no answer for this time is given up."""
WORKERLESS_SECONDS = 600.0
"""So is one without a worker for this time. A cluster may take minutes to add one."""
ASKED_SECONDS = 1.0
"""The time in which the workers hear that they are to stop."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Workers:
    """An executor, and the number of its workers. They need this package, and read their keys by themselves."""

    executor: Executor
    count: int
    ask_to_stop: Callable[[], object] = lambda: None
    """Asks the workers to end after their batch. Others end after their range, which is short."""
    check: Callable[[], object] = lambda: None
    """Called while a worker is waited for. Raises StoreError if none will answer."""


@contextmanager
def open_workers(
    count: int | None, dask: str | None, *, full_speed: bool, log_format: str = "auto"
) -> Iterator[Workers | int]:
    """*count* processes, or the workers of the *dask* scheduler. Without both, a number of threads of this process.

    Raises UsageError, and WorkerError if the scheduler cannot be reached or the processes do not start.
    """
    if dask and count:
        raise UsageError("--dask and --workers exclude each other")
    if dask:
        with _cluster(dask) as workers:
            yield workers
    elif count and count > 1:
        with _processes(count, log_format) as workers:
            yield workers
    else:
        # Without full speed a run pauses so that services can work; a second thread would use those pauses.
        yield most_threads() if full_speed and not count else 1


@contextmanager
def _processes(count: int, log_format: str) -> Iterator[Workers]:
    """*count* processes of this machine, which end when this one ends, in any way. Dask replaces one that died."""
    distributed = _import_distributed("--workers")
    root = logging.getLogger()
    with ExitStack() as closing:
        fault, before = None, {*multiprocessing.active_children()}
        # Dask logs the end of a worker, however that came, with tracebacks, and so does the loop that it runs on. The
        # run says what it means.
        for logger in map(logging.getLogger, ("distributed", "tornado")):
            closing.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL)
        try:
            made = tempfile.TemporaryDirectory(prefix="keyring-rotate-", ignore_cleanup_errors=True)
            folder = closing.enter_context(made)
            client = closing.enter_context(_local_client(distributed, count, folder, closing))
            _in_time(partial(client.register_worker_callbacks, partial(worker.join_log, root.level, log_format)))
        except (OSError, RuntimeError, AssertionError) as error:
            # Dask asserts that a worker has started or failed; one that hangs has done neither.
            fault = f"--workers {count}: the processes do not start ({type(error).__name__}). Leave it out."
        if fault:
            for process in {*multiprocessing.active_children()} - before:
                # SIGTERM, with which Dask and Python end it, is blocked there.
                process.kill()
            # Dask's threads and its exit handler still report these processes, when the levels are back.
            logging.getLogger("distributed.process").setLevel(logging.CRITICAL)
            raise WorkerError(fault)
        ask = partial(client.run, worker.ask_to_stop, on_error="ignore")
        # A worker that has hung does not answer, and the others have heard of it by then.
        yield Workers(
            _executor_of(client),
            count,
            lambda: BackgroundCall(ask).done(ASKED_SECONDS),
            SchedulerWatch(client.nthreads),
        )


def _local_client(distributed: Any, count: int, folder: str, closing: ExitStack) -> Any:
    """A client of a new cluster of this machine, which *closing* ends."""
    dask: Any = importlib.import_module("dask")
    settings: dict[str, Any] = {
        # Dask starts web servers in any case; these answer nothing.
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
        # A worker that dies while it starts is not replaced. If that was the last one, the run is to end.
        "distributed.scheduler.no-workers-timeout": "30s",
        # The scheduler empties files of fixed names there, also behind links. The system's folder is for all users.
        "temporary-directory": folder,
    }
    # The first start of a process would start the tracker, which unblocks the signals.
    resource_tracker.ensure_running()
    # Workers inherit the mask, by way of the cluster's threads: Ctrl-C on a terminal, which signals all processes, and
    # a service manager's SIGTERM are for this process alone.
    with blocked(SIGNALS), dask.config.set(settings):
        cluster = distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            # With certificates of its own no other user of the machine can give it work.
            security=True,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            # Nothing is written to a disk, and no worker ended, by what it needs.
            memory_limit=0,
            local_directory=folder,
            death_timeout=START_SECONDS,
        )
    closing.enter_context(cluster)
    return distributed.Client(cluster, set_as_default=False)


@contextmanager
def _cluster(address: str) -> Iterator[Workers]:
    """The workers of the scheduler at *address*."""
    option, fault = f"--dask {address}", None
    distributed = _import_distributed("--dask")
    # Without certificates the constructor of a client fails half-way, and Python then hangs at exit.
    if address.startswith("tls://") and not _has_certificates(distributed):
        raise UsageError(
            f"{option}: Dask has no certificates that it can read. "
            "Set distributed.comm.tls in the configuration of Dask."
        )
    try:
        # Its own limit does not count once a scheduler that hangs has accepted the connection.
        client = _in_time(partial(distributed.Client, address, timeout="10s", set_as_default=False))
        found = _in_time(client.nthreads)
    except (OSError, ValueError) as error:
        fault = f"{option}: the scheduler cannot be reached ({type(error).__name__})"
    if fault:
        raise WorkerError(fault)
    with client:
        count = sum(found.values())
        if not count:
            # The cluster may add workers on demand. Until then the log must say why the run stands still.
            log.warning("rotation.waiting_for_workers", dask=address)
        yield Workers(_executor_of(client), count or 1, check=SchedulerWatch(client.nthreads))


def _in_time(act: Callable[[], T]) -> T:
    """The result of *act*. Raises TimeoutError if it takes long: what Dask does has no limit of its own."""
    call = BackgroundCall(act)
    if not call.done(SILENT_SECONDS):
        raise TimeoutError
    return call.result()


class SchedulerWatch:
    """Asks a scheduler for its workers from time to time: Dask waits for ever for an answer, and for a worker."""

    def __init__(self, workers: Callable[[], Mapping[str, int]]) -> None:
        """Asks nothing yet. *workers* asks the scheduler, and may never return."""
        self._workers = workers
        self._call: BackgroundCall[Mapping[str, int]] | None = None
        self._asked = time.monotonic()
        self._silent = self._workerless = math.inf
        """Since when it does not answer, and since when it answers that there is no worker."""

    def __call__(self) -> None:
        """Raises StoreError if it has not answered for long, or has had no worker for longer."""
        now = time.monotonic()
        if self._call is None and now - self._asked > ASK_SECONDS:
            self._asked, self._call = now, BackgroundCall(self._workers)
            self._silent = min(self._silent, now)
        elif self._call and self._call.done():
            # If it fails, the connection was lost: Dask makes another one.
            with suppress(Exception):
                found = self._call.result()
                self._silent, self._workerless = math.inf, math.inf if found else min(self._workerless, now)
            self._call = None
        if now - self._silent > SILENT_SECONDS:
            words = f"the scheduler of the workers did not answer for {SILENT_SECONDS:.0f} seconds"
            raise StoreError(f"{words}. {CONTINUE}")
        if now - self._workerless > WORKERLESS_SECONDS:
            words = f"the scheduler had no worker for {WORKERLESS_SECONDS / 60:.0f} minutes; start some"
            raise StoreError(f"{words}. {CONTINUE}")


def _import_distributed(option: str) -> Any:
    """Dask's package, which has no types. Raises UsageError if it is not there."""
    try:
        return importlib.import_module("distributed")
    except ImportError:
        fault = f"{option} needs another package; {install('dask')}"
    raise UsageError(fault)


def _has_certificates(distributed: Any) -> bool:
    try:
        return distributed.Security().get_connection_args("client")["ssl_context"] is not None
    except (OSError, ValueError):
        return False


def _executor_of(client: Any) -> Executor:
    # With `pure`, a range that is done again would return its old result.
    executor: Executor = client.get_executor(pure=False, retries=3)
    return executor


class WorkerPool:
    """The workers of a run, for the targets of one key set. They check their keys once, before the first range."""

    def __init__(self, workers: Workers, keyring: Keyring, options: RunOptions, wait: Callable[[float], None]) -> None:
        """Gives no work yet. *wait* raises StoppedError if a stop was requested."""
        self.workers = workers
        self.order = worker.make_order(keyring, options.shared(workers.count))
        self._wait = wait
        self._checks: list[Future[None]] | None = None

    def can_do(self, target: Target) -> bool:
        """False if secrets of *target*, or the function of its index, are in this process alone."""
        function = target.index and target.index.normalize
        if target.local or function is None:
            return not target.local
        found = [self.submit(worker.can_import, worker.pickled(function)) for _ in range(self.workers.count)]
        for each in found:
            wait_for(each, self._wait, self.workers.check)
        # A worker that died or cannot start is not at fault here: `wait_until_checked` says so.
        return all(is_lost(each) or each.exception() or each.result() for each in found)

    def for_target(self, target: Target, number: str) -> RangeExecutor:
        """An executor for *target*, whose table has that *number*."""
        if self._checks is None:
            # The workers start while this process reads the first rows.
            self._checks = [self.submit(worker.check_worker, self.order) for _ in range(self.workers.count)]

        def submit(bounds: Bounds) -> Future[RangeDone]:
            try:
                self.wait_until_checked()
            except (BrokenExecutor, CancelledError) as error:
                return _failed(error)
            return self.submit(worker.do_range, worker.make_task(self.order, target, number, bounds))

        # The next range of each worker is queued while it does one.
        workers = self.workers
        return RangeExecutor(submit, 2 * workers.count, RANGE_SECONDS / 2, workers.ask_to_stop, workers.check)

    def submit(self, work: Callable[..., T], *arguments: object) -> Future[T]:
        """Submits *work*; if the executor is broken, the future carries the error."""
        try:
            return self.workers.executor.submit(work, *arguments)
        except (BrokenExecutor, CancelledError) as error:
            return _failed(error)

    def wait_until_checked(self) -> None:
        """Waits until the workers have started. Raises WorkerError if one refuses, StoppedError on request."""
        while self._checks:
            check = self._checks.pop()
            wait_for(check, self._wait, self.workers.check)
            if is_lost(check):
                raise BrokenExecutor("a worker died")
            error = check.exception()
            if isinstance(error, KeyringError):
                raise error
            if error:
                raise WorkerError(
                    f"a worker cannot start ({type(error).__name__}). Install the same packages for every worker as "
                    "on this machine, then run again."
                )


def _failed(error: BaseException) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future
