"""One target, pass after pass, until a whole pass finds nothing left to do."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import takewhile
from typing import NamedTuple

import structlog

from keyring_core import DamagedToken, UndecryptableToken
from rotation.job.checkpoints import Checkpoints, Reached
from rotation.job.executors import RangeExecutor, in_order
from rotation.job.last_word import LastWord, unsettled_in
from rotation.job.ranges import (
    RANGE_SECONDS,
    Bounds,
    KeyOrderNeeded,
    OpenTarget,
    RangeWorker,
    Step,
    UndoDetector,
)
from rotation.model.batch import FIRST_ROWS, BatchSize, Forward
from rotation.model.counts import Counts, Moved, Problem, RowKey
from rotation.model.failures import StoppedError, StoreError, WorkerError
from rotation.model.report import TargetReport, set_format
from rotation.model.target import Adopts
from rotation.model.text import many
from rotation.model.watcher import Advanced, Began, Watcher
from rotation.planning.rules import NO_SALT
from rotation.stores.opened_table import Watch
from rotation.stores.servers import Fact, is_one
from rotation.stores.store import Store

MAX_PASSES = 5
PROBE_TOKENS = 1000
PROBE_LEAST = 20
PROBE_ROWS = 100_000
"""If tokens are rare, the search for a missing key ends here."""

FIRST_RANGE, MOST_ROWS = 5000, 1_000_000
"""The first range is small, so that every worker soon has one."""

LEDGER_WRITES = 4
"""Transactions of the ledger that a checkpoint may take, if it is on the same server."""

log = structlog.get_logger(__name__)


ExecutorFor = Callable[[OpenTarget, int], RangeExecutor | None]
"""An executor for a target of about that many rows; None if this thread does best alone."""


def cut(store: Store, size: BatchSize, after: RowKey | None = None) -> Iterator[Bounds]:
    """The keys of *store* behind *after* in ranges of as many rows as *size* says; each is cut when it is asked for.

    The last one is open: rows that come in at the end belong to it. Raises StoreError if the keys do not grow.
    """
    forward = Forward(after)
    while (upto := store.key_after(after, size.rows)) is not None:
        forward.to(upto)
        yield Bounds(after, upto)
        after = upto
    yield Bounds(after)


class Pages(NamedTuple):
    """All pages of a table."""

    total: int
    rows: int
    """About the rows of each."""

    def cut(self, size: BatchSize) -> Iterator[Bounds]:
        """Ranges of about as many rows as *size* says; each is cut when it is asked for."""
        start = 0
        while start < self.total:
            end = min(start + max(1, size.rows // self.rows), self.total)
            yield Bounds((start,), (end,), self.rows)
            start = end


class TargetRun:
    """The passes over one target. Its report is updated as it goes, so that it is correct if a batch fails."""

    def __init__(self, opened: OpenTarget, report: TargetReport, watcher: Watcher) -> None:
        self._opened, self._store, self._report, self._watcher = opened, opened.store, report, watcher
        self._dry_run, self._problems, self._throttle = opened.options.dry_run, opened.local.problems, opened.throttle()
        open_checkpoints = None if self._dry_run else opened.local.checkpoints
        # A checkpoint is valid only for the same key columns.
        keyed = replace(opened.target, key_columns=report.key_names)
        self._checkpoints = open_checkpoints and open_checkpoints(keyed, opened.keyring.primary.id)
        self._undo_detector = UndoDetector()
        self._moved = Moved()
        self._servers: set[Fact] = set()
        """The facts of the servers of the last pass."""
        self._seems_done = False
        """True if the first rows need nothing."""
        self._worker = RangeWorker(opened)
        self._last_word = LastWord(self._worker, report, self._moved, self._undo_detector)

    def make_passes(self, executor_for: ExecutorFor, rows: int = -1) -> None:
        """All passes over about that many *rows*; asks if it is -1. Raises StoreError, StoppedError and WorkerError."""
        rows = self._store.size() if rows < 0 else rows
        # Workers start while this process reads the first rows.
        executor = executor_for(self._opened, rows)
        if not self._dry_run and self._key_is_missing():
            return
        begun = self._checkpoints.begin() if self._checkpoints else Reached()
        if begun.key is None and self._is_over_by_pages(executor, rows):
            return
        for number in range(1, MAX_PASSES + 1):
            self._watcher(Began(self._report, rows, number, begun.rows))
            whole, started = begun.key is None, datetime.now(UTC)
            watch = self._store.watch(reads_only=self._dry_run)
            counts = self._pass(number, executor, begun, watch)
            begun = Reached()
            is_last = number == MAX_PASSES
            if whole and self._last_word.is_over(counts, watch, started, is_last=is_last):
                if self._dry_run:
                    self._note_a_missing_key(counts)
                return
            if self._undo_detector.undone:
                undone = self._undo_detector.undone
                self._report.stopped = (
                    f"another rotation works against this one: it put {many(undone.total(), 'token')} back under "
                    f"{', '.join(sorted(undone))}. Stop whatever still has that key as its primary, then run again."
                )
                return
        self._report.stopped = _still_moving(counts, self._opened.target.context, self._last_word.reason)

    def _is_over_by_pages(self, executor: RangeExecutor | None, rows: int) -> bool:
        """True if a pass in the order of the pages finds nothing to do, and it is proved that it missed nothing.

        Otherwise it has done nothing, and does not count. It is not even begun if the first rows need to be rotated.
        """
        if not self._seems_done:
            return False
        watch, started = self._store.watch(), datetime.now(UTC)
        pages = self._store.pages(watch)
        if not pages:
            return False
        self._watcher(Began(self._report, rows, 1))
        try:
            counts = self._pass(1, executor, Reached(), watch, Pages(pages, max(1, rows // pages)))
        except KeyOrderNeeded:
            return False
        return self._last_word.is_over(counts, watch, started, by_pages=True)

    def _pass(
        self, number: int, executor: RangeExecutor | None, reached: Reached, watch: Watch, pages: Pages | None = None
    ) -> Counts:
        counts, report = Counts(), self._report
        report.unreadable.clear()
        if number == 1:
            report.counts = counts
        checkpoints = self._checkpoints if number == 1 and not pages else None
        try:
            for bounds, done in self._ranges(executor, reached.key, pages):
                if problems := done.counts.problems:
                    self._list(problems)
                    # Here all of a range's are; the counts of the target keep the first.
                    report.remember(problems)
                counts.add(done.counts)
                self._undo_detector.take(done.traces)
                if done.transactions:
                    watch.wrote(done.transactions)
                watch.reached(done.servers)
                if bounds.after == reached.key:
                    # Only ranges without a gap before them count: other workers may have done later ones.
                    key = bounds.upto if done.whole else done.reached or reached.key
                    reached = Reached(key, reached.rows + done.rows)
                    if checkpoints and reached.key and checkpoints.note(reached):
                        watch.allow(LEDGER_WRITES)
            keyless = self._store.keyless()
            if not self._dry_run:
                # What is reported as done is on disk.
                self._store.settle()
        except (StoreError, StoppedError, WorkerError):
            self._cut_short(checkpoints, reached, is_first=number == 1)
            raise
        # Most passes are so short that nothing was recorded, and each write to the ledger is a transaction.
        if checkpoints and checkpoints.recorded:
            checkpoints.end()
        if keyless:
            # One problem for all of them, since no key identifies these rows.
            nameless, key = Counts(scanned=keyless, unsettled=keyless), (None,) * len(report.key_names)
            words = f"a NULL in its key: nothing can name such a row, and there are {keyless}; give it a key"
            nameless.note(key, "no-key", words)
            nameless.categories["no-key"] = keyless
            self._list(nameless.problems)
            counts.add(nameless)
        if self._problems:
            self._problems.settle(report)
        watch.reached(self._store.servers())
        server_changed = bool(self._servers) and not is_one(self._servers | watch.facts)
        report.counts, self._servers = self._moved.add(counts, server_changed=server_changed), watch.facts
        report.passes = number
        log.info(
            "rotation.pass",
            target=report.target.label,
            number=number,
            scanned=counts.scanned,
            **({"to_rotate": counts.to_rotate} if self._dry_run else {"rotated": counts.rotated}),
            unreadable=counts.unreadable,
            unsettled=counts.unsettled,
        )
        return counts

    def _cut_short(self, checkpoints: Checkpoints | None, reached: Reached, *, is_first: bool) -> None:
        """Keeps what a pass has done that ends early."""
        if not self._dry_run:
            with suppress(StoreError, StoppedError):
                self._store.settle()
        if checkpoints:
            checkpoints.note(reached, now=True)
        if self._problems and is_first:
            self._problems.settle(self._report)
        elif self._problems:
            # The last whole pass says more than a part of this one.
            self._problems.discard()

    def _ranges(self, executor: RangeExecutor | None, after: RowKey | None, pages: Pages | None) -> Iterator[Step]:
        """Does the rows behind *after*, or those of *pages*, range by range, and yields each range with its result.

        Raises KeyOrderNeeded if the order of the pages does not do, when all ranges that were begun are over.
        """
        follow, throttle = self._watcher, self._throttle
        if executor is None and pages is None:
            # Nobody shares the rows: a range that takes long ends by itself, and its rest comes next.
            yield from self._worker.do_all(iter([Bounds(after)]), follow)
            return
        seconds = executor.range_seconds if executor else RANGE_SECONDS / 2
        size = BatchSize(MOST_ROWS, seconds, sys.maxsize, FIRST_RANGE)
        needs_keys = False
        ranges = takewhile(lambda _: not needs_keys, pages.cut(size) if pages else cut(self._store, size, after))
        steps = in_order(executor, ranges, throttle) if executor else self._worker.do_all(ranges, follow)
        for bounds, done in steps:
            needs_keys = needs_keys or done.needs_keys
            # Pages may be empty.
            size.took(done.rows or size.rows, done.seconds, 0)
            if executor:
                self._report.retries += done.retries
                follow(Advanced(done.rows, done.counts.outdated, done.pace))
            yield bounds, done
        if needs_keys:
            raise KeyOrderNeeded

    def _key_is_missing(self) -> bool:
        """True if most of the first tokens are unreadable. The report says so, and nothing is written."""
        # It only reads, so nobody waits for it.
        options = self._opened.options
        rows = min(FIRST_ROWS, options.batch_size or FIRST_ROWS)
        worker = RangeWorker(self._opened._replace(options=replace(options, batch_size=rows, dry_run=True)))
        while (found := _sampled(worker)) is None:
            if fault := worker.shrink():
                raise fault
        sample, rows_seen, seconds, weight = found
        self._seems_done = not (sample.to_rotate or sample.categories)
        missing = self._missing_key(sample, "its first")
        if missing is None:
            self._worker.expect(rows_seen, seconds, weight)
            return False
        if self._problems:
            self._list(sample.problems)
            self._problems.settle(self._report)
        self._report.counts, self._report.lacks_key = sample, True
        self._report.stopped = f"{missing}Nothing was written here."
        return True

    def _note_a_missing_key(self, counts: Counts) -> None:
        """Dry run of a takeover: reports a missing key."""
        report = self._report
        if not report.target.takes_over or (missing := self._missing_key(counts, "its")) is None:
            return
        report.lacks_key = True
        if report.target.adopts is Adopts.NOTHING:
            # It was read to the end, and its counts are right.
            report.warnings.append(f"{report.target.label}: {missing}Nothing would be written here.")
        else:
            report.stopped = f"{missing}Nothing was written here."

    def _missing_key(self, sample: Counts, whose: str) -> str | None:
        """Explains which key seems missing if most cells of *sample* fail to open; *whose* cells they are, in words."""
        takeover = self._opened.takeover
        reader = takeover.reader
        unopened, cells, least = sample.unreadable, sample.tokens, PROBE_LEAST
        # Of what is taken over even a few cells say whether key and secret are the right ones.
        if reader:
            unopened, cells, least = sample.unreadable + sample.plaintext, sample.tokens + sample.plaintext, 1
        elif takeover.adopts is not Adopts.NOTHING:
            # Services could not read what is encrypted under a key that does not open their own tokens.
            unopened = sum(sample.categories[each.category] for each in (UndecryptableToken, DamagedToken))
            cells, least = unopened + sample.current + sample.to_rotate - sample.taken_over, 1
        if cells < least or unopened * 2 <= cells:
            return None
        if reader:
            cause = (
                f"they are neither tokens under these keys nor cells of {reader.words}. Correct the package or the "
                "secret; if they are plaintext, only `adopt` encrypts them. "
            )
        elif sample.categories[DamagedToken.category] * 2 > sample.unreadable:
            cause = "the key that signed them is mistyped in its second half. Correct it. "
        elif sample.formats.total() * 2 > sample.unreadable:
            cause = f"{set_format(sample)}. "
        elif sample.categories[NO_SALT] * 2 > sample.unreadable:
            cause = "their rows have no salt in the column that the `salt` of the key set names. Correct the name. "
        else:
            # Most of the times of such tokens may point to one key.
            hints = Counter(map(self._opened.options.history.hint, sample.lost)).most_common(1)
            which = f"They are {hints[0][0]}. " if hints and hints[0][0] else ""
            cause = (
                f"a key is missing, or the `context` that they are bound to. {which}"
                "Add the key to ENCRYPTION_PREVIOUS_KEYS, or the context to the target. "
            )
        what = "cells" if reader else "tokens"
        return f"{unopened} of {whose} {cells} {what} cannot be read: {cause}"

    def _list(self, problems: Iterable[Problem]) -> None:
        if self._problems:
            self._problems.collect(self._report, problems)


def _sampled(worker: RangeWorker) -> tuple[Counts, int, float, int] | None:
    """The counts of the first rows, the number of these, the seconds of work and their weight.

    None if memory is too short for a batch.
    """
    sample, rows, weight, started = Counts(), 0, 0, worker.rests.worked()
    try:
        for batch in worker.batches(Bounds()):
            sample.add(worker.planner.plan(batch).counts)
            rows, weight = rows + batch.rows, weight + batch.weight
            if sample.tokens >= PROBE_TOKENS or rows >= PROBE_ROWS:
                break
            seconds = worker.rests.worked() - started
            if sample.tokens >= PROBE_LEAST and seconds > RANGE_SECONDS and worker.price:
                # Keys are derived row by row: 1000 tokens may take minutes.
                break
    except MemoryError:
        return None
    return sample, rows, worker.rests.worked() - started, weight


def _still_moving(last: Counts, context: str | None, reason: str) -> str:
    if last.rotated:
        bound = f", bound to {context!r}" if context else ""
        return (
            f"tokens under older keys still appear after {MAX_PASSES} passes: a service encrypts with an older key. "
            f"Give every service the new primary key{bound}, then run again."
        )
    if unsettled := unsettled_in(last):
        return f"{many(unsettled, 'cell')} locked or rewritten in each of {MAX_PASSES} passes; run again later."
    return f"nothing could be proved in {MAX_PASSES} passes: {reason}; run again later."
