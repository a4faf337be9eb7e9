"""One range of keys: its rows are read in batches, rotated, written, counted. Stopping between two batches is safe."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from keyring_core import Keyring, KeyringError
from keyring_core.blind_index import BlindIndex
from rotation.job.blind_indexes import NO_INDEX, Stale, explained, index_values, stale_rows
from rotation.job.options import LocalOptions, RunOptions
from rotation.job.pace import Pacing, Rests, Throttle
from rotation.model.batch import (
    REWRITTEN,
    Batch,
    BatchSize,
    Forward,
    Plan,
    Swaps,
    Trace,
    Written,
    count_swaps,
    traces_of,
)
from rotation.model.counts import Counts, RowKey
from rotation.model.failures import CONTINUE, StoppedError, StoreError
from rotation.model.target import Target
from rotation.model.watcher import Advanced
from rotation.planning.planner import Planner
from rotation.planning.rules import NO_TAKEOVER, Takeover
from rotation.planning.salted import SaltedPlanner, salted
from rotation.stores.connection import Line
from rotation.stores.servers import Fact
from rotation.stores.store import Store
from rotation.world.process import CHECK_SECONDS

RANGE_SECONDS = 2.0
"""The most time that a range takes. Progress and a request to stop wait no longer; finding its end costs far less."""
WRITE_TIMES = 10
"""The most times as long as to read and plan a batch that it is expected to take if it is written, too."""
RANGE_PROBLEMS = 10_000
"""A range with more of them ends early, so that what it reports has a bounded size."""
LOCKED_SECONDS = 600.0
"""If no row could be written for so long, since each was locked, a target ends: each batch takes a second and more."""
KEPT = 10_000
"""Rows to remember; a rotation that undoes this one meets some of the first ones, too."""
RANGE_KEPT = 1000
"""Of one range the first ones only: every pass begins its ranges at about the same rows."""
YOUNG_SECONDS = 60.0
"""The most by which the clocks of a service and of this machine may differ."""

log = structlog.get_logger(__name__)


class Bounds(NamedTuple):
    """A range of keys: behind *after*, up to and with *upto*; None is open. Or a range of pages."""

    after: RowKey | None = None
    upto: RowKey | None = None
    page_rows: int = 0
    """About the rows of a page, if it is a range of pages: from the number *after* on and before *upto*."""


class KeyOrderNeeded(Exception):  # noqa: N818 - no error
    """A range of pages has a cell that is to be written or reported: that is done in the order of the keys."""


@dataclass
class RangeDone:
    """The result of a range; it can be pickled."""

    counts: Counts = field(default_factory=Counts)
    """With all its problems."""
    rows: int = 0
    seconds: float = 0.0
    """Of work: without the way to the server and back, and without rests."""
    reached: RowKey | None = None
    """The key of the last row that was done."""
    whole: bool = False
    """True if nothing of the range is left."""
    traces: list[Trace] = field(default_factory=list)
    retries: int = 0
    pace: str = ""
    """In words, at the end."""
    transactions: list[int] = field(default_factory=list)
    """Those that wrote, by their numbers."""
    servers: set[Fact] = field(default_factory=set)
    """The facts of the servers that it was led to."""
    fault: KeyringError | None = None
    """The reason for an early end, if going on at once would not help."""
    needs_keys: bool = False
    """True for a range of pages that ended at a cell to write or to report."""

    def rest_of(self, bounds: Bounds) -> Bounds:
        """What is left of the range with these *bounds*."""
        return bounds._replace(after=self.reached or bounds.after)


class UndoDetector:
    """Remembers the times and the IVs of a sample of the tokens that this run has rotated, by their rows.

    A rotation keeps a token's time and changes its IV. A service that encrypts makes a young token; one that writes
    back a row as it was read brings the very token back. So an old time with another IV is another rotation's doing.
    """

    def __init__(self) -> None:
        self.undone: Counter[str] = Counter()
        """Tokens per older key that another rotation put under it, after we had rotated them."""
        self._seen: dict[RowKey, set[tuple[int, bytes]]] = {}
        self._young = time.time() - YOUNG_SECONDS

    def take(self, traces: Iterable[Trace]) -> None:
        """Notes which of these tokens had been rotated before, and remembers those that were rotated now."""
        traces = list(traces)
        for key, key_id, issued, iv, _ in traces:
            before = self._seen.get(key)
            if not before or issued >= self._young or (issued, iv) in before:
                continue
            # Several tokens of a cell may be of one second; which of them was which, their IVs say.
            if any(time == issued for time, _ in before):
                self.undone[key_id] += 1
        for key, _, issued, iv, rotated in traces:
            if rotated and (key in self._seen or len(self._seen) < KEPT):
                self._seen.setdefault(key, set()).add((issued, iv))


Step = tuple[Bounds, RangeDone]
"""A range, or the rest of one, and its result."""


class OpenTarget(NamedTuple):
    """A target that was opened and checked, its keys, and the options for it."""

    target: Target
    store: Store
    keyring: Keyring
    """Bound to the context of the target."""
    options: RunOptions
    local: LocalOptions
    takeover: Takeover = NO_TAKEOVER
    """The cells of the target that become tokens, beside tokens."""

    def throttle(self) -> Throttle:
        """The delays between its batches, in this process."""
        return Throttle(self.local.wait, self.options.max_rate, self.options.pause_file)


Follow = Callable[[Advanced], object]
"""Called with how many more rows are done, how many tokens of them were outdated, and the pace in words."""


class RangeWorker:
    """Does ranges of one target, one after the other."""

    def __init__(
        self,
        opened: OpenTarget,
        pace: Pacing | None = None,
        planning: AbstractContextManager[object] | None = None,
    ) -> None:
        """With *pace* it shares that with other threads, and plans a batch in *planning*."""
        self.opened, self._throttle = opened, opened.throttle()
        target, self._store, self._keyring, options, local, takeover = opened
        self._dry_run = options.dry_run
        self._locked_since: float | None = None
        """The beginning of the first of the batches in a row of which every row was locked."""
        self._blind_index = BlindIndex(target.index.context, target.index.normalize) if target.index else None
        self.pace = pace or Pacing(options.speed, self._store.tempo, options.batch_size)
        # A blind index is written row by row, each with a way of its own, and keys of rows are derived one by one: the
        # rows of such a batch follow all the time that it takes.
        by_rows = self._blind_index or self._keyring.salt_columns
        self.rests = Rests(self._throttle, Line() if by_rows else self._store.line)
        # Without a server, all time is work: while a batch is written, nobody else can write to the file.
        self._size = BatchSize(self._most_rows(), least=self.pace.least if self.rests.line.trip else 1)
        self._begun: RowKey | None = None
        """The key behind which the last batch began."""
        self._planning = planning or nullcontext()
        self.planner = Planner(
            self._keyring,
            options.history,
            local.others,
            takeover,
            target.format,
            leaves_others=target.others == "leave",
            dry_run=options.dry_run,
        )
        self._salted: SaltedPlanner | None = None
        if self._keyring.salt_columns:
            self.planner = self._salted = salted(self.planner)

    @property
    def price(self) -> str:
        """The price of a key that is made for a row, in words; empty if it is low."""
        return self._salted.price if self._salted else ""

    def expect(self, rows: int, seconds: float, weight: int) -> None:
        """Sizes the first batch: to read and plan *rows* of *weight* characters and bytes took *seconds*."""
        self._size.expect(rows, seconds * WRITE_TIMES, weight)

    def do_all(self, ranges: Iterator[Bounds], follow: Follow) -> Iterator[Step]:
        """Yields each of *ranges* with its result. If one ends early, its rest comes next.

        Raises StoreError and StoppedError.
        """
        throttle, forward = self._throttle, Forward()
        rest: Bounds | None = None
        while True:
            throttle.hold()
            bounds = rest or next(ranges, None)
            if bounds is None:
                return
            done = self.do(bounds, follow)
            if done.reached:
                # Detects keys that do not grow even if each part of a range is too short to show it.
                forward.to(done.reached)
            yield bounds, done
            if done.fault:
                raise done.fault
            rest = None if done.whole else done.rest_of(bounds)
            if rest:
                # A range that did no row was asked to pause or to end.
                throttle.wait(0 if done.rows else CHECK_SECONDS)

    def do(self, bounds: Bounds, follow: Follow = lambda _: None) -> RangeDone:
        """Does a range, or a part of it: it ends early if it takes long, or if the run is to pause.

        Never raises a StoreError or StoppedError, which would hide what is done until then: it is in the result.
        """
        done, is_short = RangeDone(), False
        started, retries = self.rests.worked(), self._store.retries
        try:
            done.whole = self._do(bounds, done, follow, time.monotonic() + RANGE_SECONDS)
        except KeyOrderNeeded:
            done.whole = done.needs_keys = True
        except (StoreError, StoppedError) as error:
            done.fault = error
        except MemoryError:
            is_short = True
        if is_short and bounds.page_rows:
            # In the order of the keys a batch may be as small as a row.
            done.whole = done.needs_keys = True
        elif is_short:
            done.fault = self.shrink()
        done.seconds = self.rests.worked() - started
        done.retries = self._store.retries - retries
        done.servers = self._store.servers()
        return done

    def batches(self, bounds: Bounds) -> Iterator[Batch]:
        """The rows of a range, as many at once as the last batch's time and size allow.

        Raises StoreError if their keys do not grow, and KeyOrderNeeded.
        """
        rests, after, forward = self.rests, bounds.after, Forward(bounds.after)
        while after != bounds.upto or after is None:
            rests.before_read()
            started = rests.worked()
            self._begun = after
            # A store returns fewer rows than asked for if they are heavy.
            self._size.limit(self._most_rows())
            if bounds.page_rows:
                [start], [last] = after or (0,), bounds.upto or (0,)
                end = min(start + max(1, self._size.rows // bounds.page_rows), last)
                if (read := self._store.read_pages(start, end, self._size.rows)) is None:
                    raise KeyOrderNeeded
                batch = read
            else:
                batch = self._store.read(after, bounds.upto, self._size.rows)
            if batch.last is None:
                return
            if self._salted:
                batch = self._salted.ready(batch, self._throttle.wait)
            after, rows, weight = batch.last, batch.rows, batch.weight
            forward.to(after)
            rests.after_read()
            try:
                yield batch
            finally:
                # Also for the last one of a range. Pages may be empty.
                self._size.took(rows or self._size.rows, rests.worked() - started, weight)
                rests.done(rows)
            # The next one is read without this one in memory.
            del batch

    def shrink(self) -> KeyringError | None:
        """Has the next batch be smaller, as memory was too short for the last one; the error if that had one row."""
        if self._size.rows > 1:
            self._size.shrink()
            log.warning("rotation.memory", rows=self._size.rows)
            return None
        try:
            return self._store.too_heavy(self._begun)
        except (StoreError, StoppedError) as error:
            return error

    def _most_rows(self) -> int:
        return self._throttle.limit(self.pace.rows * self.pace.parts(self.rests.line.trip))

    def _do(self, bounds: Bounds, done: RangeDone, follow: Follow, end: float) -> bool:
        """True if nothing of the range is left."""
        throttle, rests = self._throttle, self.rests
        if throttle.paused():
            return False
        for batch in self.batches(bounds):
            started, worked, travelled = time.monotonic(), rests.worked(), rests.line.travelled
            with self._planning:
                plan = self.planner.plan(batch)
                fixes = self.planner.fixes(batch, plan) if batch.misfits else Swaps()
                stale = list(stale_rows(self._keyring, self._blind_index, batch, plan)) if self._blind_index else []
            if bounds.page_rows and not plan.is_clean:
                raise KeyOrderNeeded
            written = Written()
            if plan.changes:
                retries, planned = self._store.retries, rests.worked()
                written = self._store.write(plan.swaps, plan.blocks, self.pace.rows_at_once)
                self.pace.took(plan.changes, rests.worked() - planned)
                # A lock that had to be waited for is somebody's who writes.
                self.pace.wrote(written.others if self._store.retries == retries else 1)
                refused = written.refused.values()
                is_locked = len(refused) == plan.changes and all(category == "locked" for category, _ in refused)
                self._locked_since = (self._locked_since or started) if is_locked else None
                count_swaps(plan, written, self._keyring.primary.id)
                done.traces += traces_of(plan, written, RANGE_KEPT - len(done.traces))
                done.transactions += written.transactions
            if fixes:
                done.transactions += self._fix(fixes, plan.counts)
            if stale:
                done.transactions += self._index(stale, plan, written, {*fixes.keys})
            done.counts.add(plan.counts, keep=sys.maxsize)
            done.rows += batch.rows
            done.reached = batch.last
            if self._locked_since and time.monotonic() - self._locked_since > LOCKED_SECONDS:
                self._locked_since = None
                raise StoreError(
                    f"{self.opened.target.label}: for {LOCKED_SECONDS / 60:.0f} minutes every row was locked: another "
                    f"session holds a lock on the table, or on its rows. Let that session end, or end it. {CONTINUE}"
                )
            done.pace = f"{self.pace.words}; {self.price}" if self._salted and self.price else self.pace.words
            follow(Advanced(batch.rows, plan.counts.outdated, done.pace))
            wrote = plan.changes or fixes or stale
            del batch, plan, fixes, stale
            if wrote:
                rests.wrote((rests.worked() - worked) * self.pace.rest, rests.line.travelled - travelled)
            if time.monotonic() > end or throttle.paused() or len(done.counts.problems) >= RANGE_PROBLEMS:
                return done.reached == bounds.upto
        return True

    def _index(self, stale: list[Stale], plan: Plan, written: Written, counted: set[RowKey]) -> list[int]:
        """Writes the blind indexes of *stale*, and returns the transactions.

        Cells that are current, and not *counted* yet, count as moved.
        """
        counts, dry_run = plan.counts, self._dry_run
        values = [] if dry_run else list(index_values(stale, plan, written))
        indexed = self._store.write_indexes(values)
        if values:
            self.pace.wrote(indexed.others)
        for value in values:
            if refusal := indexed.refused.get(value.key):
                indexed.refused[value.key] = explained(value, refusal, self._store)
        indexed.refused |= {row.key: (NO_INDEX, row.fault) for row in stale if row.fault}
        done = {value.key for value in values if not indexed.failed(value.key)}
        for row in stale:
            left = row.key not in done
            counts.reindexed += row.changes and (dry_run or not left)
            if row.under and left:
                # Counts as a token under that key: without the key nobody finds the row by its value.
                counts.under[row.under] += 1
            if row.is_current and row.cell is not None and row.key not in counted:
                counts.current -= 1
                counts.to_rotate += dry_run and not row.fault
                counts.rotated += not left
                counts.unsettled += left and bool(row.fault or not dry_run)
            if indexed.failed(row.key):
                counts.note(row.key, *indexed.refused.get(row.key, REWRITTEN))
        log.info("rotation.blind_index", rows=len(stale), dry_run=dry_run)
        return indexed.transactions

    def _fix(self, fixes: Swaps, counts: Counts) -> list[int]:
        """Writes the companions of *fixes*, whose cells are counted as current; returns the transactions."""
        counts.current -= len(fixes)
        if self._dry_run:
            counts.to_rotate += len(fixes)
            return []
        written = self._store.write(fixes, most_rows=self.pace.rows_at_once)
        self.pace.wrote(written.others)
        failed = [key for key in fixes.keys if written.failed(key)]
        counts.rotated += len(fixes) - len(failed)
        counts.unsettled += len(failed)
        for key in failed:
            counts.note(key, *written.refused.get(key, REWRITTEN))
        log.warning("rotation.companions", rows=len(fixes), failed=len(failed))
        return written.transactions
