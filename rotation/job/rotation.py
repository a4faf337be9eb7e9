"""The job: every target opened and checked first, then done one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack

import structlog

from keyring_core import Keyring
from rotation.job.executors import Lanes, WorkerPool
from rotation.job.passes import ExecutorFor, TargetRun
from rotation.job.ranges import LANE_ROWS, Options
from rotation.model.failures import StoppedError, StoreError, UsageError, WorkerError
from rotation.model.report import Report, TargetReport
from rotation.model.targets import Target
from rotation.model.watcher import Watcher
from rotation.stores.base import Store
from rotation.stores.open import identify

log = structlog.get_logger(__name__)


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
    """Re-encrypts every target under the primary key, pass after pass, until one finds nothing left to do.

    With `options.dry_run` it reads only and reports what a run would do: the census.
    Every target is opened, and so checked, before the first is written to. A database that fails later ends its own
    target, and `options.throttle` may end all; what happened until then is in the report, which says so.

    Large targets are done through *executor*, if there is one, range by range: a pool of processes, Dask's
    `Client.get_executor(pure=False)`, or any other whose workers can import this package. Each worker reads its keys
    and targets from its own environment, and refuses if they differ from those of this process. Otherwise *lanes*
    threads share the work.

    Raises UsageError, StoreError and StoppedError while nothing is written yet.
    """
    keys = [{"id": key_id, "state": str(state)} for key_id, state in keyring.states_by_id.items()]
    report = Report(options.dry_run, keyring.primary.id, keys, newer=options.history.newer)
    with ExitStack() as closing:
        executor_for = _executor_for(executor, keyring, options, lanes, closing)
        stores = []
        for target in targets:
            store = open_store(target)
            closing.callback(store.close)
            if options.strides > 1 and not store.gains_by_strides:
                raise UsageError(f"{target.label}: --strides is for PostgreSQL; leave it out")
            stores.append(store)
            names, of, warnings = store.key_names(), identify(target), store.warnings()
            report.targets.append(TargetReport(target, of, names, identity=store.identity(), warnings=warnings))
        if not options.dry_run:
            # The report has them, too; but then it is too late to stop.
            for warning in (warning for part in report.targets for warning in part.warnings):
                log.warning("rotation.caution", caution=warning)
        for store, part in zip(stores, report.targets, strict=True):
            started = time.monotonic()
            try:
                of_target = part.target.keyring(keyring)
                TargetRun(store, of_target, part, options, watcher).run(executor_for)
            except (StoreError, StoppedError) as error:
                part.stopped, part.interrupted = str(error), True
            except WorkerError as error:
                if not any(each.counts.scanned for each in report.targets):
                    raise
                part.stopped, part.interrupted = str(error), True
            part.seconds = time.monotonic() - started
            part.retries += store.retries
    report.shard = str(options.shard) if options.shard else None
    report.fault = options.problems.fault if options.problems else None
    return report


def _executor_for(
    executor: Executor | None, keyring: Keyring, options: Options, lanes: int, closing: ExitStack
) -> ExecutorFor:
    if executor is not None:
        pool = WorkerPool(executor, keyring, options)
        return lambda target, _store, _keyring, rows: pool.for_target(target, rows)
    if lanes == 1:
        return lambda *_: None
    threads = Lanes(lanes, options.throttle.wait)
    closing.callback(threads.close)
    return lambda _target, store, keyring, rows: (
        threads.for_target(store, keyring, options) if rows >= LANE_ROWS else None
    )
