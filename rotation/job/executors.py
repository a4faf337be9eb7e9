"""Runs the ranges of a target in several threads or other processes; results come in key order."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Future, wait
from dataclasses import replace
from queue import SimpleQueue
from typing import Any, NamedTuple

from keyring_core import KeyringError
from rotation.job.pace import Pacing, Throttle
from rotation.job.ranges import Bounds, OpenTarget, RangeDone, RangeWorker, Step
from rotation.model.batch import Forward
from rotation.model.failures import CONTINUE, StoppedError, StoreError, WorkerError
from rotation.stores.threads import Threads, wait_for
from rotation.world.process import CHECK_SECONDS, GRACE_SECONDS

THREAD_SECONDS = 0.25
"""The time that a range of a thread aims at; also the longest wait for the last thread."""
SWITCH_SECONDS = 0.0002
"""The time for which a thread keeps Python's lock while another one, back from its database, waits for it. Python's
own 5 ms are as long as a statement, and a driver needs the lock several times in each."""

Begun = tuple[Bounds, Future[RangeDone]]


class RangeExecutor(NamedTuple):
    """Runs ranges of one target."""

    submit: Callable[[Bounds], Future[RangeDone]]
    """Starts a range. If the executor is broken, the future carries the error."""
    width: int
    """The number of ranges to submit before the first result is needed."""
    range_seconds: float
    """The time that a range aims at."""
    ask_to_stop: Callable[[], object]
    """Asks the workers to end after their batch."""
    check: Callable[[], object] = lambda: None
    """Called while a result is waited for. Raises StoreError if none will come."""


class RangeThreads(Threads):
    """Threads that do the ranges of a run."""

    def __init__(self, count: int, wait: Callable[[float], None]) -> None:
        """Starts none. *wait* raises StoppedError if a stop was requested."""
        super().__init__(count, wait)
        self._planning = threading.Lock()
        """Two threads that both compute would only take Python's lock from each other."""
        self._switch_seconds = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)

    def for_target(self, opened: OpenTarget) -> RangeExecutor:
        """An executor for the target that is *opened*; nobody else may have `links` while it is at work."""
        idle = SimpleQueue[RangeWorker]()
        options = opened.options.shared(self.count)
        stores = [opened.store.twin(links) for links in self._links]
        pace = Pacing(options.speed, opened.store.tempo, options.batch_size)
        for store in stores:
            idle.put(RangeWorker(opened._replace(store=store, options=options), pace, self._planning))

        def do(bounds: Bounds) -> RangeDone:
            worker = idle.get()
            try:
                done = worker.do(bounds)
            finally:
                idle.put(worker)
            # If the workers share a store, the retries of a range are not its own.
            return replace(done, retries=0) if opened.store in stores else done

        # One more is queued, so that no thread waits for its next range. Threads look for a stop before each batch.
        return RangeExecutor(lambda bounds: self.submit(do, bounds), self.count + 1, THREAD_SECONDS, lambda: None)

    def close(self) -> None:
        """Ends the threads after their batch, and closes the connections."""
        super().close()
        sys.setswitchinterval(self._switch_seconds)


def in_order(executor: RangeExecutor, ranges: Iterator[Bounds], throttle: Throttle) -> Iterator[Step]:
    """Yields each range with its result, in the order of *ranges*. If a range ends early, its rest comes next.

    If the run is stopped, the database fails, or a worker refuses or dies, yields the other finished ranges and then
    raises StoppedError, StoreError or WorkerError.
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
    # Each range is short. Nothing is canceled: Dask would cancel a range that is under way, too, and nobody would
    # count what it wrote.
    wait([future for _, future in waiting], GRACE_SECONDS)
    for bounds, future in waiting:
        if future.done() and not future.cancelled() and future.exception() is None:
            yield bounds, future.result()
    raise failure


def _in_order(
    executor: RangeExecutor, ranges: Iterator[Bounds], throttle: Throttle, waiting: deque[Begun]
) -> Iterator[Step]:
    forward = Forward()
    while True:
        if throttle.paused():
            for _, future in waiting:
                wait_for(future, throttle.wait, executor.check)
        throttle.hold()
        while len(waiting) < executor.width and (bounds := next(ranges, None)):
            waiting.append((bounds, executor.submit(bounds)))
        if not waiting:
            return
        bounds, future = waiting[0]
        wait_for(future, throttle.wait, executor.check)
        if is_lost(future):
            raise StoreError(f"workers died, or their cluster is gone (out of memory?). {CONTINUE}")
        done = future.result()
        waiting.popleft()
        if done.reached:
            # Detects keys that do not grow even if each part of a range is too short to show it.
            forward.to(done.reached)
        yield bounds, done
        if done.fault:
            raise done.fault
        if not done.whole:
            # A range that did no row was asked to pause or to end.
            throttle.wait(0 if done.rows else CHECK_SECONDS)
            rest = done.rest_of(bounds)
            waiting.appendleft((rest, executor.submit(rest)))


def is_lost(future: Future[Any]) -> bool:
    """True if the worker of a call that is done died, or its executor broke."""
    if future.cancelled():
        return True
    error = future.exception()
    if isinstance(error, BrokenExecutor | CancelledError):
        return True
    # Dask tries again by itself; these are for a call whose workers died several times, or for which none is left.
    return type(error).__name__ in {"KilledWorker", "NoWorkerError"}
