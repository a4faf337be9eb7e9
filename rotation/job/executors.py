"""Who does the ranges of a target, here and now or elsewhere; and their results in the order of the keys."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, wait
from typing import Any, Protocol, TypeVar

import structlog

from keyring_core import Keyring, KeyringError
from rotation.job.process_pool import ProcessWorkers
from rotation.job.ranges import Bounds, Follow, Options, RangeDone, RangeWorker
from rotation.job.throttle import Brake
from rotation.job.worker import do_range, make_setup, make_task, report_for_duty
from rotation.model.failures import StoppedError, StoreError, WorkerError
from rotation.model.targets import Target
from rotation.stores.key_order import Forward

T = TypeVar("T")

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


class Staff:
    """The workers of an executor, for one target after the other."""

    def __init__(self, executor: Executor, keyring: Keyring, options: Options) -> None:
        """Starts nobody yet."""
        self.executor = executor
        self.workers: int = options.workers or getattr(executor, "_max_workers", 0) or os.cpu_count() or 1
        self.setup = make_setup(keyring, options, self.workers)
        self._options = options
        self._calls: list[Future[None]] | None = None

    def crew(self, target: Target, rows: int) -> Hired | None:
        """For *target*; None where it has so few *rows* that one process is done before others have begun."""
        if rows < self._options.least_rows:
            return None
        if self._calls is None:
            # They start while others look at the table.
            self._calls = [self.submit(report_for_duty, self.setup) for _ in range(self.workers)]
        return Hired(self, target)

    def submit(self, work: Callable[..., T], *arguments: object) -> Future[T]:
        """A promise. A broken executor breaks it: found now or later, it is the same to whoever waits."""
        try:
            return self.executor.submit(work, *arguments)
        except (BrokenExecutor, CancelledError) as error:
            return _broken(error)

    def wait(self) -> None:
        """Comes back when the workers have begun. Raises WorkerError where one refuses, StoppedError on request."""
        while self._calls:
            call = self._calls.pop()
            while not wait([call], LOOK_SECONDS).done:
                self._options.brake.wait(0)
            _check(call.exception())


def _check(error: BaseException | None) -> None:
    """Raises what kept a worker from its duty; WorkerError where it could not even hear of it."""
    if isinstance(error, KeyringError | BrokenExecutor | CancelledError):
        raise error
    if error:
        raise WorkerError(
            f"a worker cannot begin ({type(error).__name__}). Give every worker the packages that this machine has, "
            "then run again."
        )


def _broken(error: BaseException) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future


class Hired:
    """A crew of workers for one target."""

    def __init__(self, staff: Staff, target: Target) -> None:
        self._staff, self._target = staff, target
        # While one range is done the next one waits at hand.
        self.width = 2 * staff.workers
        # Another executor than our own has seen to its workers itself, as long as it could.
        self.renews_itself = isinstance(staff.executor, ProcessWorkers)

    def submit(self, bounds: Bounds) -> Future[RangeDone]:
        """A promise."""
        try:
            self._staff.wait()
        except (BrokenExecutor, CancelledError) as error:
            return _broken(error)
        return self._staff.submit(do_range, make_task(self._staff.setup, self._target, bounds))

    def ask_to_stop(self) -> None:
        """Ours end after the batch, others with the range, which is short."""
        executor = self._staff.executor
        if isinstance(executor, ProcessWorkers):
            executor.ask_to_stop()


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
