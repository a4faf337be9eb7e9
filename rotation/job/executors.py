"""Runs the ranges of a target, in this process or through an executor's workers; results come in key order."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

import structlog

from keyring_core import Keyring, KeyringError
from rotation.job.pace import Pacing, Throttle
from rotation.job.ranges import LANE_SECONDS, RANGE_SECONDS, Bounds, Follow, Options, RangeDone, RangeWorker
from rotation.job.worker import check_worker, do_range, make_setup, make_task
from rotation.model.failures import CHECK_SECONDS, CONTINUE, GRACE_SECONDS, StoppedError, StoreError, WorkerError
from rotation.model.target import Target
from rotation.stores.columns import Forward
from rotation.stores.connection import SharedConnections
from rotation.stores.store import Store

MAX_DEATHS = 3
"""How many workers may die before a range is finished."""

SWITCH_SECONDS = 0.0002
"""How long a thread keeps Python's lock while another one, back from its database, waits for it. Python's own 5 ms are
as long as a statement, and a driver needs the lock several times in each."""

Begun = tuple[Bounds, Future[RangeDone]]
Step = tuple[Bounds, RangeDone]
T = TypeVar("T")

log = structlog.get_logger(__name__)


class RangeExecutor(Protocol):
    """Runs ranges of one target."""

    @property
    def width(self) -> int:
        """How many ranges to submit before the first result is needed."""

    @property
    def range_seconds(self) -> float:
        """The time that a range aims at."""

    @property
    def replaces_dead_workers(self) -> bool:
        """Whether work can be submitted again after a worker died."""

    def submit(self, bounds: Bounds) -> Future[RangeDone]:
        """Starts a range. If the executor is broken, the future carries the error."""

    def ask_to_stop(self) -> None:
        """Asks the workers to end after their batch."""


class InlineExecutor:
    """Runs each range in this process, when it is submitted."""

    width = 1
    range_seconds = RANGE_SECONDS / 2
    replaces_dead_workers = False

    def __init__(self, worker: RangeWorker, follow: Follow) -> None:
        self._worker, self._follow = worker, follow

    def submit(self, bounds: Bounds) -> Future[RangeDone]:
        """Runs the range at once; the future is done."""
        future: Future[RangeDone] = Future()
        future.set_result(self._worker.do(bounds, self._follow))
        return future

    def ask_to_stop(self) -> None:
        """Does nothing: inline work has no workers to stop."""


class Lanes:
    """Threads that share the work of this process, each with a connection of its own."""

    def __init__(self, count: int, wait: Callable[[float], None]) -> None:
        """Starts none. *wait* raises StoppedError if a stop was requested."""
        self.count = count
        self._threads = ThreadPoolExecutor(count)
        self._planning = threading.Lock()
        """Two threads that both compute would only take Python's lock from each other."""
        self._switch_seconds = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)
        self._links = [SharedConnections(wait) for _ in range(count)]

    def for_target(self, store: Store, keyring: Keyring, options: Options) -> LaneExecutor:
        """An executor for the target of *store*."""
        throttle = options.throttle
        rate = throttle.max_rate and throttle.max_rate / self.count
        options = replace(options, throttle=replace(throttle, max_rate=rate))
        stores = [store.twin(links) for links in self._links]
        pace = Pacing(options.speed, store.tempo, options.batch_rows)
        workers = [RangeWorker(each, keyring, options, pace, self._planning) for each in stores]
        return LaneExecutor(self._threads, workers, counts_retries=store not in stores)

    def close(self) -> None:
        """Ends the threads after their batch, and closes the connections."""
        self._threads.shutdown(cancel_futures=True)
        sys.setswitchinterval(self._switch_seconds)
        for links in self._links:
            links.close()


class LaneExecutor:
    """Runs the ranges of one target in threads."""

    range_seconds = LANE_SECONDS
    replaces_dead_workers = False

    def __init__(self, threads: Executor, workers: Sequence[RangeWorker], *, counts_retries: bool) -> None:
        """Without *counts_retries* the workers share a store, and the retries of each range are not its own."""
        self._threads, self._counts_retries = threads, counts_retries
        self._idle: SimpleQueue[RangeWorker] = SimpleQueue()
        for worker in workers:
            self._idle.put(worker)
        # One more is queued, so that no lane waits for its next range.
        self.width = len(workers) + 1

    def submit(self, bounds: Bounds) -> Future[RangeDone]:
        """Submits the range."""
        return self._threads.submit(self._do, bounds)

    def ask_to_stop(self) -> None:
        """They look for themselves whether they should, before each batch."""

    def _do(self, bounds: Bounds) -> RangeDone:
        worker = self._idle.get()
        try:
            done = worker.do(bounds)
        finally:
            self._idle.put(worker)
        return done if self._counts_retries else replace(done, retries=0)


class WorkerPool:
    """The workers of an executor. They check their setup once, before the first range of the first target."""

    def __init__(self, executor: Executor, keyring: Keyring, options: Options) -> None:
        """Starts no worker."""
        from rotation.job.process_pool import ProcessWorkers  # noqa: PLC0415 - a run in one process needs none of it

        self.processes = executor if isinstance(executor, ProcessWorkers) else None
        self.workers: int = options.workers or getattr(executor, "_max_workers", 0) or os.cpu_count() or 1
        self.setup = make_setup(keyring, options, self.workers)
        self._executor, self._options = executor, options
        self._checks: list[Future[None]] | None = None

    def for_target(self, target: Target, number: str, rows: int) -> PooledExecutor | None:
        """An executor for *target*, whose table has that *number*.

        None if it has so few *rows* that one process ends before workers have started.
        """
        if rows < self._options.least_rows:
            return None
        if self._checks is None:
            # The workers start while this process reads the first rows.
            self._checks = [self.submit(check_worker, self.setup) for _ in range(self.workers)]
        return PooledExecutor(self, target, number)

    def submit(self, work: Callable[..., T], *arguments: object) -> Future[T]:
        """Submits *work*; if the executor is broken, the future carries the error."""
        try:
            return self._executor.submit(work, *arguments)
        except (BrokenExecutor, CancelledError) as error:
            return _failed(error)

    def wait_until_checked(self) -> None:
        """Waits until the workers have started. Raises WorkerError if one refuses, StoppedError on request."""
        while self._checks:
            check = self._checks.pop()
            _wait(check, self._options.throttle)
            error = check.exception()
            if isinstance(error, KeyringError | BrokenExecutor | CancelledError):
                raise error
            if error:
                raise WorkerError(
                    f"a worker cannot start ({type(error).__name__}). Install the same packages for every worker as "
                    "on this machine, then run again."
                )


class PooledExecutor:
    """Runs the ranges of one target in the workers of *pool*."""

    range_seconds = RANGE_SECONDS / 2

    def __init__(self, pool: WorkerPool, target: Target, number: str) -> None:
        self._pool, self._target, self._number = pool, target, number
        # The next range of each worker is queued while it does one.
        self.width = 2 * pool.workers
        # Dask and others have retried by themselves before they report a dead worker.
        self.replaces_dead_workers = pool.processes is not None

    def submit(self, bounds: Bounds) -> Future[RangeDone]:
        """Submits the range, once all workers have checked their setup."""
        try:
            self._pool.wait_until_checked()
        except (BrokenExecutor, CancelledError) as error:
            return _failed(error)
        return self._pool.submit(do_range, make_task(self._pool.setup, self._target, self._number, bounds))

    def ask_to_stop(self) -> None:
        """Processes of this machine end after their batch; other workers end after their range, which is short."""
        if self._pool.processes:
            self._pool.processes.ask_to_stop()


def in_order(executor: RangeExecutor, ranges: Iterator[Bounds], throttle: Throttle) -> Iterator[Step]:
    """Yields each range with its result, in the order of *ranges*. If a range ends early, its rest comes next.

    If the run is stopped, the database fails, or a worker refuses, yields the other finished ranges and then raises
    StoppedError, StoreError or WorkerError. If a worker dies, its range is done again.
    """
    waiting: deque[Begun] = deque()
    failure: KeyringError
    try:
        yield from _in_order(executor, ranges, throttle, waiting)
        return
    except StoppedError as error:
        failure = error
        executor.ask_to_stop()
    except (StoreError, WorkerError) as error:
        failure = error
    yield from _finished(waiting)
    raise failure


def _in_order(
    executor: RangeExecutor, ranges: Iterator[Bounds], throttle: Throttle, waiting: deque[Begun]
) -> Iterator[Step]:
    deaths, forward = 0, Forward()
    while True:
        _hold(waiting, throttle)
        while len(waiting) < executor.width and (bounds := next(ranges, None)):
            waiting.append((bounds, executor.submit(bounds)))
        if not waiting:
            return
        bounds, future = waiting[0]
        _wait(future, throttle)
        if _has_died(future):
            deaths += 1
            _check_deaths(deaths, executor)
            for place, (each, old) in enumerate(waiting):
                if _has_died(old):
                    waiting[place] = each, executor.submit(each)
            continue
        done = future.result()
        waiting.popleft()
        if done.rows or done.whole:
            deaths = 0
        if done.reached:
            # Detects keys that do not grow even if each part of a range is too short to show it.
            forward.to(done.reached)
        yield bounds, done
        if done.fault:
            raise done.fault
        if not done.whole:
            # A range that did no row was asked to pause or to end.
            throttle.wait(0 if done.rows else CHECK_SECONDS)
            rest = Bounds(done.reached or bounds.after, bounds.upto)
            waiting.appendleft((rest, executor.submit(rest)))


def _check_deaths(deaths: int, executor: RangeExecutor) -> None:
    """Raises StoreError if no more work should be submitted."""
    log.warning("rotation.worker_died", times=deaths)
    if deaths > MAX_DEATHS:
        raise StoreError(f"workers die, one after the other (out of memory?). {CONTINUE}")
    if not executor.replaces_dead_workers:
        raise StoreError(
            f"workers died, and the executor takes no more work (out of memory, or is its cluster gone?). {CONTINUE}"
        )


def _hold(waiting: deque[Begun], throttle: Throttle) -> None:
    """If the run is to pause, waits for the ranges in progress, and then until it may go on."""
    if throttle.paused():
        for _, future in waiting:
            _wait(future, throttle)
    throttle.hold()


def _wait(future: Future[Any], throttle: Throttle) -> None:
    """Returns when *future* is done. Raises StoppedError on request."""
    while not wait([future], CHECK_SECONDS).done:
        throttle.wait(0)


def _has_died(future: Future[RangeDone]) -> bool:
    """Whether the worker of a range died, or its executor broke."""
    if not future.done():
        return False
    if future.cancelled():
        return True
    error = future.exception()
    # Dask has an error of its own for a task whose workers died several times.
    return isinstance(error, BrokenExecutor | CancelledError) or type(error).__name__ == "KilledWorker"


def _finished(waiting: deque[Begun]) -> Iterator[Step]:
    """Cancels what has not started, and yields what ends within GRACE_SECONDS."""
    for _, future in waiting:
        future.cancel()
    wait([future for _, future in waiting], GRACE_SECONDS)
    for bounds, future in waiting:
        if future.done() and not future.cancelled() and future.exception() is None:
            yield bounds, future.result()


def _failed(error: BaseException) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future
