"""Who does the ranges of a target, here and now or elsewhere; and their results in the order of the keys."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Future, wait
from typing import Protocol

import structlog

from keyring_core import KeyringError
from rotation.job.ranges import Bounds, Follow, RangeDone, RangeWorker
from rotation.job.throttle import Brake
from rotation.model.failures import StoppedError, StoreError, WorkerError
from rotation.stores.key_order import Forward

LOOK_SECONDS = 0.1
"""How often to look whether to stop, while others work."""
GRACE_SECONDS = 5.0
"""How long to wait for the results of those who were asked to stop."""
DEATHS = 3
"""So often workers may die while no range gets done."""

log = structlog.get_logger(__name__)


class Crew(Protocol):
    """Does ranges of one target."""

    @property
    def width(self) -> int:
        """How many ranges to give it at once."""

    def submit(self, bounds: Bounds) -> Future[RangeDone]:
        """Begins a range, or does it."""

    @property
    def renews_itself(self) -> bool:
        """Whether new workers take the place of those that died."""

    def ask_to_stop(self) -> None:
        """Tells the workers to end after their batch."""


class Inline:
    """Does each range when it is submitted."""

    width = 1
    renews_itself = False
    """Nobody can have died."""

    def __init__(self, worker: RangeWorker, follow: Follow) -> None:
        self._worker, self._follow = worker, follow

    def submit(self, bounds: Bounds) -> Future[RangeDone]:
        """A result, not a promise."""
        future: Future[RangeDone] = Future()
        future.set_result(self._worker.do(bounds, self._follow))
        return future

    def ask_to_stop(self) -> None:
        """Nobody is at work."""


Begun = tuple[Bounds, Future[RangeDone]]
Step = tuple[Bounds, RangeDone]


def in_order(crew: Crew, ranges: Iterator[Bounds], brake: Brake) -> Iterator[Step]:
    """Each range and its result, in the order of *ranges*; behind one that ended early comes its rest.

    Where the run is stopped, the database fails, or a worker refuses, it hands out whatever else was done and then
    raises StoppedError, StoreError or WorkerError. A worker that dies does no harm: its range is done again.
    """
    waiting: deque[Begun] = deque()
    failure: KeyringError
    try:
        yield from _in_order(crew, ranges, brake, waiting)
        return
    except StoppedError as error:
        failure = error
        crew.ask_to_stop()
    except (StoreError, WorkerError) as error:
        failure = error
    yield from _gather(waiting)
    raise failure


def _in_order(crew: Crew, ranges: Iterator[Bounds], brake: Brake, waiting: deque[Begun]) -> Iterator[Step]:
    deaths, forward = 0, Forward()
    while True:
        _hold(waiting, brake)
        while len(waiting) < crew.width and (bounds := next(ranges, None)):
            waiting.append((bounds, crew.submit(bounds)))
        if not waiting:
            return
        bounds, future = waiting[0]
        _await(future, brake)
        if _has_died(future):
            deaths += 1
            log.warning("rotation.worker_died", times=deaths)
            if deaths > DEATHS:
                raise StoreError("workers die, one after the other (out of memory?). What is done stays; run it again.")
            if not crew.renews_itself:
                raise StoreError(
                    "workers died, and the executor takes no more work (out of memory, or is its cluster gone?). "
                    "What is done stays; run it again."
                )
            begun = [(each, crew.submit(each) if _has_died(old) else old) for each, old in waiting]
            waiting.clear()
            waiting.extend(begun)
            continue
        done = future.result()
        waiting.popleft()
        if done.rows or done.whole:
            deaths = 0
        if done.reached:
            # Each part of a range may be too short to show that the parts go round.
            forward.to(done.reached)
        yield bounds, done
        if done.fault:
            raise done.fault
        if not done.whole:
            # One that did nothing was told to pause, or to end.
            brake.wait(0 if done.rows else LOOK_SECONDS)
            rest = Bounds(done.reached or bounds.after, bounds.upto)
            waiting.appendleft((rest, crew.submit(rest)))


def _hold(waiting: deque[Begun], brake: Brake) -> None:
    """Where somebody wants the run to pause, waits until nobody is at work, and then until it may go on."""
    if brake.paused():
        for _, future in waiting:
            _await(future, brake)
    brake.hold()


def _await(future: Future[RangeDone], brake: Brake) -> None:
    """Comes back when *future* is done. Hears a request to stop."""
    while not wait([future], LOOK_SECONDS).done:
        brake.wait(0)


def _has_died(future: Future[RangeDone]) -> bool:
    """Whether a range has come to nothing because of its worker, and not because of what the worker found."""
    if not future.done():
        return False
    if future.cancelled():
        return True
    error = future.exception()
    # Dask has an error of its own for a task whose workers died several times.
    return isinstance(error, BrokenExecutor | CancelledError) or type(error).__name__ == "KilledWorker"


def _is_good(future: Future[RangeDone]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _gather(waiting: deque[Begun]) -> Iterator[Step]:
    """What is done of the ranges in hand, once nobody begins another."""
    for _, future in waiting:
        future.cancel()
    wait([future for _, future in waiting], GRACE_SECONDS)
    for bounds, future in waiting:
        if _is_good(future):
            yield bounds, future.result()
