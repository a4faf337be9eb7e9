"""The job: every target opened and checked first, then done one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import replace
from typing import NamedTuple

import structlog

from keyring_core import Keyring
from rotation.job.executors import Lanes, WorkerPool
from rotation.job.passes import ExecutorFor, TargetRun
from rotation.job.ranges import LANE_ROWS, Options
from rotation.model.failures import MissingError, StoppedError, StoreError, UsageError, WorkerError
from rotation.model.report import Report, TargetReport
from rotation.model.targets import Target
from rotation.model.watcher import Watcher
from rotation.stores.base import Store
from rotation.stores.open import identify

log = structlog.get_logger(__name__)


class Job(NamedTuple):
    """The targets of one key set."""

    targets: Sequence[Target]
    keyring: Keyring
    options: Options


def rotate(  # noqa: PLR0913 - what a run consists of
    targets: Sequence[Target],
    keyring: Keyring,
    open_store: Callable[[Target], Store],
    options: Options,
    watcher: Watcher,
    *,
    executor: Executor | None = None,
    lanes: int = 1,
) -> Report:
    """`rotate_all` for targets of one key set."""
    [report] = rotate_all([Job(targets, keyring, options)], open_store, watcher, executor=executor, lanes=lanes)
    return report


def rotate_all(
    jobs: Sequence[Job],
    open_store: Callable[[Target], Store],
    watcher: Watcher,
    *,
    executor: Executor | None = None,
    lanes: int = 1,
) -> list[Report]:
    """Re-encrypts every target under the primary key, pass after pass, until one finds nothing left to do.

    Returns a report for each job. With `options.dry_run` a job reads only and reports what a run would do: the census.
    Every target is opened, and so checked, before the first is written to. A database that fails later ends its own
    target, and `options.throttle` may end all; what happened until then is in the report, which says so.

    Large targets are done through *executor*, if there is one, range by range: a pool of processes, Dask's
    `Client.get_executor(pure=False)`, or any other whose workers can import this package. Each worker reads its keys
    and targets from its own environment, and refuses if they differ from those of this process. Otherwise *lanes*
    threads share the work.

    Raises UsageError, StoreError and StoppedError while nothing is written yet.
    """
    with ExitStack() as closing:
        opened = [_open(job, open_store, closing) for job in jobs]
        reports = [report for report, _ in opened]
        if not any(stores for _, stores in opened):
            left_out = "; ".join(words for report in reports for words in report.left_out)
            raise MissingError(f"none of the targets is there: {left_out}")
        for job, (report, stores) in zip(jobs, opened, strict=True):
            executor_for = _executor_for(executor, job, lanes, closing)
            for store, part in zip(stores, report.targets, strict=True):
                refusal = _rotate_target(store, part, job, watcher, executor_for)
                if refusal and not any(each.counts.scanned for made in reports for each in made.targets):
                    raise refusal
    for job, report in zip(jobs, reports, strict=True):
        report.fault = job.options.problems.fault if job.options.problems else None
    return reports


def _open(job: Job, open_store: Callable[[Target], Store], closing: ExitStack) -> tuple[Report, list[Store]]:
    """The report of *job*, empty yet, and the store of each of its targets, opened and checked."""
    options, name = job.options, job.options.keys.name
    of_set = {} if name is None else {"set": name}
    keys = [{"id": key_id, "state": str(state), **of_set} for key_id, state in job.keyring.states_by_id.items()]
    report = Report(options.dry_run, job.keyring.primary.id, keys, newer=options.history.newer, key_set=name)
    report.shard = str(options.shard) if options.shard else None
    stores = []
    for target in job.targets:
        try:
            store = open_store(target)
        except MissingError as error:
            if not target.optional:
                raise
            report.left_out.append(f"{target.label}: left out: {error}")
            continue
        closing.callback(store.close)
        if options.strides > 1 and not store.gains_by_strides:
            raise UsageError(f"{target.label}: --strides is for PostgreSQL; leave it out")
        stores.append(store)
        names, of, warnings = store.key_names(), identify(target), store.warnings()
        report.targets.append(TargetReport(target, of, names, identity=store.identity(), warnings=warnings))
        # The report has them, too; but then it is too late to stop.
        for warning in () if options.dry_run else warnings:
            log.warning("rotation.caution", caution=warning)
    return report, stores


def _rotate_target(
    store: Store, part: TargetReport, job: Job, watcher: Watcher, executor_for: ExecutorFor
) -> WorkerError | None:
    """Does one target; returns the error if its workers refuse."""
    refusal = None
    started = time.monotonic()
    try:
        of_target = part.target.keyring(job.keyring)
        TargetRun(store, of_target, part, job.options, watcher).run(executor_for)
    except (StoreError, StoppedError) as error:
        part.stopped, part.interrupted = str(error), True
    except WorkerError as error:
        part.stopped, part.interrupted, refusal = str(error), True, error
    part.seconds = time.monotonic() - started
    part.retries += store.retries
    return refusal


def _executor_for(executor: Executor | None, job: Job, lanes: int, closing: ExitStack) -> ExecutorFor:
    options = job.options
    if executor is not None:
        pool = WorkerPool(executor, job.keyring, options)
        return lambda target, _store, _keyring, rows: pool.for_target(target, rows)
    if lanes == 1:
        return lambda *_: None
    threads = Lanes(lanes, options.throttle.wait)
    closing.callback(threads.close)
    return lambda target, store, keyring, rows: (
        threads.for_target(store, keyring, replace(options, format=target.format)) if rows >= LANE_ROWS else None
    )
