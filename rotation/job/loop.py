"""The loop: every target opened and checked first, then small ones side by side, and large ones one by one."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

import structlog

from keyring_core import Keyring
from rotation.job.checkpoints import Checkpoints
from rotation.job.executors import RangeThreads
from rotation.job.options import LocalOptions, RunOptions
from rotation.job.pace import Speed
from rotation.job.passes import ExecutorFor, TargetRun
from rotation.job.ranges import OpenTarget
from rotation.job.workers import WorkerPool, Workers
from rotation.model.failures import MissingError, StoppedError, StoreError, UsageError, WorkerError
from rotation.model.report import Report, TargetReport
from rotation.model.target import Target
from rotation.model.watcher import Progress, Watcher
from rotation.planning.rules import Takeover
from rotation.stores.databases import identify
from rotation.stores.store import Store
from rotation.stores.threads import Threads
from rotation.world.process import CHECK_SECONDS, STOPPED

THREAD_ROWS = 20_000
"""A target with fewer rows is done before several threads have shared it."""
SMALL_ROWS = 100_000
"""Targets with fewer rows are done side by side, if they are in several tables."""
UNNAMED_INDEX = "holds blind indexes that no target lists as `index`; runs will not update them"

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Job(NamedTuple):
    """The targets of one key set."""

    targets: Sequence[Target]
    keyring: Keyring
    options: RunOptions
    local: LocalOptions


class Turn(NamedTuple):
    """A target to do, and its report."""

    opened: OpenTarget
    part: TargetReport
    rows: int = -1
    """Its size; -1 if nobody has asked yet."""


Rotate = Callable[[Turn, Watcher], object]
"""Does one target. Raises nothing that is the database's fault."""


def rotate(  # noqa: PLR0913 - the parts of a run
    targets: Sequence[Target],
    keyring: Keyring,
    open_store: Callable[[Target], Store],
    options: RunOptions,
    watcher: Watcher,
    *,
    local: LocalOptions | None = None,
    workers: Workers | int = 1,
) -> Report:
    """`rotate_jobs` for targets of one key set."""
    [report] = rotate_jobs([Job(targets, keyring, options, local or LocalOptions())], open_store, watcher, workers)
    return report


def rotate_jobs(
    jobs: Sequence[Job], open_store: Callable[[Target], Store], watcher: Watcher, workers: Workers | int = 1
) -> list[Report]:
    """Re-encrypts every target under the primary key, pass after pass, until one finds nothing left to do.

    Returns a report for each job. With `dry_run` a job reads only and reports what a run would do: the census.
    Every target is opened, and so checked, before the first is written to. A database that fails later ends its own
    target, and the wait of the options may end all; what happened until then is in the report, which says so.

    *workers* do the targets range by range. Each reads its keys and targets from its own environment, and refuses if
    they differ from those of this process. A number stands for threads of this process.

    Raises UsageError, StoreError and StoppedError while nothing is written yet.
    """
    with ExitStack() as closing:
        opened = [_open(job, open_store, closing) for job in jobs]
        reports = [report for report, _ in opened]
        if not any(parts for _, parts in opened):
            left_out = "; ".join(words for report in reports for words in report.left_out)
            raise MissingError(f"none of the targets is there: {left_out}")
        for job, (report, parts) in zip(jobs, opened, strict=True):
            threads = None
            if isinstance(workers, int) and workers > 1:
                threads = RangeThreads(workers, job.local.wait)
                closing.callback(threads.close)
            executor_for = _executor_for(workers, threads, job)
            turns = [Turn(*each) for each in zip(parts, report.targets, strict=True)]
            tables, turns = _small_tables(turns, job) if threads else ([], turns)
            if threads and tables:
                rotate_side_by_side(tables, threads, watcher, partial(_rotate_target, executor_for=lambda *_: None))
            for turn in turns:
                refusal = _rotate_target(turn, watcher, executor_for)
                if refusal and not any(each.counts.scanned for made in reports for each in made.targets):
                    raise refusal
    for job, report in zip(jobs, reports, strict=True):
        report.fault = job.local.problems.fault if job.local.problems else None
    return reports


def _open(job: Job, open_store: Callable[[Target], Store], closing: ExitStack) -> tuple[Report, list[OpenTarget]]:
    """The report of *job*, empty yet, and each of its targets, opened and checked."""
    options, name = job.options, job.options.keys.name
    of_set = {} if name is None else {"set": name}
    keys = [{"id": key_id, "state": str(state), **of_set} for key_id, state in job.keyring.states_by_id.items()]
    report = Report(options.dry_run, job.keyring.primary.id, keys, newer=options.history.newer, key_set=name)
    report.salted = job.keyring.salted_ids
    report.shard = str(options.part) if options.part else None
    opened = []
    for target in job.targets:
        keyring, takeover = target.keyring(job.keyring), Takeover.of(target, job.local.environ)
        try:
            store = open_store(target)
        except MissingError as error:
            if not target.optional:
                raise
            report.left_out.append(f"{target.label}: left out: {error}")
            continue
        closing.callback(store.close)
        opened.append(OpenTarget(target, store, keyring, options, job.local, takeover))
        names, of, warnings = store.key_names(), identify(target), store.warnings()
        fault = store.refuses_updates() or (store.lacks_room(takeover.longest) if target.takes_over else None)
        if fault and not options.dry_run:
            raise UsageError(f"{fault}. Nothing was written")
        part = TargetReport(target, of, names, identity=store.identity(), warnings=warnings, refuses_writes=bool(fault))
        part.hides_rows, part.replica = store.hides_rows(), store.replica()
        part.warnings += [each for each in (part.replica, fault) if each]
        # A census reads every row in any case.
        indexes = store.blind_indexes(of_all_rows=options.dry_run and options.sample is None)
        named = {(each.url, each.table, each.index.column) for each in job.targets if each.index}
        named.update(job.local.indexes)
        part.unnamed_indexes = sorted(name for name in indexes if (target.url, target.table, name) not in named)
        part.warnings += [f"{target.label}: {name} {UNNAMED_INDEX}" for name in part.unnamed_indexes]
        report.targets.append(part)
        # Also in the report, but that comes too late to stop.
        for warning in () if options.dry_run else warnings:
            log.warning("rotation.caution", caution=warning)
    return report, opened


def _rotate_target(turn: Turn, watcher: Watcher, executor_for: ExecutorFor) -> WorkerError | None:
    """Does one target; returns the error if its workers refuse."""
    opened, part, rows = turn
    refusal = None
    started = time.monotonic()
    try:
        TargetRun(opened, part, watcher).make_passes(executor_for, rows)
    except (StoreError, StoppedError, WorkerError) as error:
        part.stopped, part.interrupted = str(error), True
        refusal = error if isinstance(error, WorkerError) else None
    part.seconds = time.monotonic() - started
    part.retries += opened.store.retries
    return refusal


def _small_tables(turns: Sequence[Turn], job: Job) -> tuple[list[list[Turn]], list[Turn]]:
    """The small targets of *job* by their tables, if threads may do several tables side by side; and all others.

    Targets of one table keep their order: two threads would wait for each other's rows.
    """
    # Beside services only one thread works; and the file of problems takes one target after the other.
    if job.options.speed is not Speed.FULL or job.local.problems:
        return [], list(turns)
    tables: dict[tuple[str, str], list[Turn]] = defaultdict(list)
    sized = list(map(_sized, turns))
    for turn in sized:
        tables[turn.opened.target.url, turn.opened.target.table].append(turn)
    small = [table for table in tables.values() if all(0 <= turn.rows < SMALL_ROWS for turn in table)]
    if len(small) < 2:
        return [], sized
    aside = {id(turn.part) for table in small for turn in table}
    return small, [turn for turn in sized if id(turn.part) not in aside]


def _sized(turn: Turn) -> Turn:
    store = turn.opened.store
    if store.takes_turns:
        return turn
    # What fails here fails again in its turn, and is reported there.
    with suppress(StoreError, StoppedError):
        return turn._replace(rows=store.size())
    return turn


def _executor_for(workers: Workers | int, threads: RangeThreads | None, job: Job) -> ExecutorFor:
    if isinstance(workers, Workers):
        pool = WorkerPool(workers, job.keyring, job.options, job.local.wait)
        return lambda opened, _rows: (
            pool.for_target(opened.target, opened.store.number()) if pool.can_do(opened.target) else None
        )
    if threads is None:
        return lambda *_: None
    # A key that is derived for each row takes so long that few rows are enough.
    return lambda opened, rows: (
        threads.for_target(opened) if rows >= THREAD_ROWS or opened.keyring.salt_columns else None
    )


def rotate_side_by_side(tables: Sequence[Sequence[Turn]], threads: Threads, watcher: Watcher, rotate: Rotate) -> None:
    """Does the targets of each of *tables* in their order, several tables at a time.

    A small target has few ranges to share, and much of its time are questions before and after them: so a thread does
    one from its first question to its last, while other threads do others.

    The ledger and *watcher* are used in the calling thread only; *watcher* sees one target after the other.
    """
    with closing(MainThread()) as main:

        def do_table(table: Sequence[Turn]) -> None:
            for turn in table:
                heard: list[Progress] = []
                with threads.links() as links:
                    store = turn.opened.store.twin(links)
                    turn.part.retries += turn.opened.store.retries
                    rotate(turn._replace(opened=_for_thread(turn.opened, main, store, threads.count)), heard.append)
                main.call(partial(_tell, watcher, heard))

        for future in [threads.submit(do_table, table) for table in tables]:
            main.serve(future)
            future.result()


def _tell(watcher: Watcher, heard: Sequence[Progress]) -> None:
    for progress in heard:
        watcher(progress)


def _for_thread(opened: OpenTarget, main: MainThread, store: Store, count: int) -> OpenTarget:
    """The same target with the *store* of one of *count* threads, whose checkpoints *main* records."""
    open_checkpoints = opened.local.checkpoints

    def relayed(target: Target, primary: str) -> Checkpoints:
        assert open_checkpoints is not None  # noqa: S101 - for the type checker
        return main.call(partial(open_checkpoints, target, primary)).through(main.call)

    local = replace(opened.local, checkpoints=open_checkpoints and relayed)
    return opened._replace(store=store, options=opened.options.shared(count), local=local)


class MainThread:
    """Does calls of other threads in the thread that made it, which owns the ledger's connection."""

    def __init__(self) -> None:
        """Does nothing yet."""
        self._calls = SimpleQueue[Callable[[], object]]()
        self._lock = threading.Lock()
        self._waiting: set[Future[Any]] = set()
        self._is_closed = False

    def call(self, act: Callable[[], T]) -> T:
        """The result of *act*, called in the thread that serves. Raises StoppedError if none does any more."""
        answer = Future[T]()
        with self._lock:
            if self._is_closed:
                raise StoppedError(STOPPED)
            self._waiting.add(answer)
        self._calls.put(partial(_answer, answer, act))
        try:
            return answer.result()
        except CancelledError:
            # Raised below, without it as the context.
            pass
        finally:
            with self._lock:
                self._waiting.discard(answer)
        raise StoppedError(STOPPED)

    def serve(self, until: Future[Any]) -> None:
        """Does calls until that future is done."""
        until.add_done_callback(lambda _: self._calls.put(lambda: None))
        while not until.done():
            try:
                self._calls.get(timeout=CHECK_SECONDS)()
            except Empty:
                continue

    def close(self) -> None:
        """Ends the calls that wait, and each later one."""
        with self._lock:
            self._is_closed = True
            for answer in self._waiting:
                answer.cancel()


def _answer(answer: Future[T], act: Callable[[], T]) -> None:
    if not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(act())
    except BaseException as error:
        answer.set_exception(error)
        if not isinstance(error, Exception):
            # A second signal, which ends this thread's work. The other one waits for an answer all the same.
            raise
