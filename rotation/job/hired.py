"""An executor's workers: whether they hold our keys, and a target's ranges for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, wait
from typing import Any, TypeVar

from keyring_core import Keyring, KeyringError
from rotation.job.executors import LOOK_SECONDS
from rotation.job.process_pool import ProcessWorkers
from rotation.job.ranges import Bounds, Options, RangeDone
from rotation.job.worker import do_range, make_setup, make_task, report_for_duty
from rotation.model.failures import WorkerError
from rotation.model.targets import Target

T = TypeVar("T")


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
