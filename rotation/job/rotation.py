"""The job: every target opened and checked first, then done one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

import structlog

from keyring_core import Keyring
from rotation.job.executors import Lanes, WorkerPool
from rotation.job.passes import ExecutorFor, TargetRun
from rotation.job.ranges import LANE_ROWS, Options
from rotation.model.failures import MissingError, StoppedError, StoreError, UsageError, WorkerError
from rotation.model.report import Report, TargetReport, Watcher
from rotation.model.target import Target
from rotation.stores.databases import identify
from rotation.stores.store import Store

UNNAMED_INDEX = "beside it holds blind indexes that no target lists as `index`; runs will not update them"

log = structlog.get_logger(__name__)


class Job(NamedTuple):
    """The targets of one key set."""

    targets: Sequence[Target]
    keyring: Keyring
    options: Options


class _Opened(NamedTuple):
    """A target's store, and the options for it."""

    store: Store
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
        if not any(parts for _, parts in opened):
            left_out = "; ".join(words for report in reports for words in report.left_out)
            raise MissingError(f"none of the targets is there: {left_out}")
        for job, (report, parts) in zip(jobs, opened, strict=True):
            executor_for = _executor_for(executor, job, lanes, closing)
            for (store, options), part in zip(parts, report.targets, strict=True):
                run = partial(TargetRun, store, part.target.keyring(job.keyring), part, options, watcher)
                refusal = _rotate_target(store, part, run, executor_for)
                if refusal and not any(each.counts.scanned for made in reports for each in made.targets):
                    raise refusal
    for job, report in zip(jobs, reports, strict=True):
        report.fault = job.options.problems.fault if job.options.problems else None
    return reports


def _open(job: Job, open_store: Callable[[Target], Store], closing: ExitStack) -> tuple[Report, list[_Opened]]:
    """The report of *job*, empty yet, and each of its targets, opened and checked."""
    options, name = job.options, job.options.keys.name
    of_set = {} if name is None else {"set": name}
    keys = [{"id": key_id, "state": str(state), **of_set} for key_id, state in job.keyring.states_by_id.items()]
    report = Report(options.dry_run, job.keyring.primary.id, keys, newer=options.history.newer, key_set=name)
    report.shard = str(options.shard) if options.shard else None
    opened = []
    for target in job.targets:
        of_target = options.of(target)
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
        opened.append(_Opened(store, of_target))
        names, of, warnings = store.key_names(), identify(target), store.warnings()
        fault = store.lacks_room(of_target.takeover.longest) if target.takes_over else None
        if fault and not options.dry_run:
            raise UsageError(f"{fault}. Nothing was written")
        part = TargetReport(target, of, names, identity=store.identity(), warnings=warnings, lacks_room=bool(fault))
        part.warnings += [fault] if fault else []
        # A census reads every row in any case.
        indexes = store.blind_indexes(of_all_rows=options.dry_run and options.sample is None)
        part.unnamed_indexes = sorted({*indexes} - _named_indexes(target, job.targets))
        part.warnings += [f"{target.label}: {name} {UNNAMED_INDEX}" for name in part.unnamed_indexes]
        report.targets.append(part)
        # The report has them, too; but then it is too late to stop.
        for warning in () if options.dry_run else warnings:
            log.warning("rotation.caution", caution=warning)
    return report, opened


def _named_indexes(target: Target, targets: Sequence[Target]) -> set[str]:
    """The columns of blind indexes that *targets* name in the table of *target*."""
    table = target.url, target.table
    return {each.index.column for each in targets if each.index and (each.url, each.table) == table}


def _rotate_target(
    store: Store, part: TargetReport, run: Callable[[], TargetRun], executor_for: ExecutorFor
) -> WorkerError | None:
    """Does one target; returns the error if its workers refuse."""
    refusal = None
    started = time.monotonic()
    try:
        run().run(executor_for)
    except (StoreError, StoppedError) as error:
        part.stopped, part.interrupted = str(error), True
    except WorkerError as error:
        part.stopped, part.interrupted, refusal = str(error), True, error
    part.seconds = time.monotonic() - started
    part.retries += store.retries
    return refusal


def _executor_for(executor: Executor | None, job: Job, lanes: int, closing: ExitStack) -> ExecutorFor:
    if executor is not None:
        pool = WorkerPool(executor, job.keyring, job.options)
        return lambda target, store, _keyring, _options, rows: (
            None if target.local else pool.for_target(target, store.number(), rows)
        )
    if lanes == 1:
        return lambda *_: None
    threads = Lanes(lanes, job.options.throttle.wait)
    closing.callback(threads.close)
    return lambda _target, store, keyring, options, rows: (
        threads.for_target(store, keyring, options) if rows >= LANE_ROWS else None
    )
