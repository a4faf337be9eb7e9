"""One range of keys: its rows are read in batches, rotated, written, counted. Stopping between two batches is safe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import structlog

from keyring_core import Keyring, KeyringError
from keyring_core.blind_index import BlindIndex
from rotation.configuration.key_sets import ENVIRONMENT, Keys
from rotation.job.blind_indexes import Stale, index_values, stale_rows
from rotation.job.checkpoints import Checkpoints
from rotation.job.pace import Pacing, Speed, Throttle
from rotation.job.problems_file import ProblemsFile
from rotation.job.undo_detector import RANGE_KEPT, Trace, traces_of
from rotation.model.batch import NO_KEY, Batch, BatchSize, Plan, Swaps
from rotation.model.counts import Counts, RowKey
from rotation.model.failures import StoppedError, StoreError
from rotation.model.key_history import UNKNOWN, History
from rotation.model.target import Format, Target
from rotation.planning.planner import Planner
from rotation.planning.takeover import NOTHING, Takeover
from rotation.stores.row_keys import Forward, Shard
from rotation.stores.store import Store
from rotation.stores.writer import Written

RANGE_SECONDS = 2.0
"""The most time that a range takes. Progress and a request to stop wait no longer; finding its end costs far less."""
RANGE_PROBLEMS = 10_000
"""A range with more of them ends early, so that what it reports has a bounded size."""


LANE_ROWS = 5000
"""A target with fewer rows is done before a second lane has connected."""
LANE_SECONDS = 0.25
"""The time that a range of a lane aims at: at the end one lane waits for the other no longer."""

REWRITTEN = "rewritten", "a service changed, moved or deleted it meanwhile"

log = structlog.get_logger(__name__)

FIRST_RANGE, MOST_ROWS = 5000, 1_000_000
"""The first range is small, so that every worker soon has one."""


class Bounds(NamedTuple):
    """A range of keys: behind *after*, up to and with *upto*; None is open."""

    after: RowKey | None = None
    upto: RowKey | None = None


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


@dataclass(frozen=True)
class Options:
    """How to run."""

    dry_run: bool = False
    batch_rows: int | None = None
    """Rows in a batch, at most; None: as many as the pace allows."""
    speed: Speed = Speed.ADAPTIVE
    strides: int = 1
    """In how many transactions a batch is written, each with every n-th row; for PostgreSQL."""
    throttle: Throttle = field(default_factory=Throttle)
    """Asked before every batch; it may wait, or end the run with StoppedError."""
    problems: ProblemsFile | None = None
    """The file that lists every problem; a report keeps the first ones."""
    sample: int | None = None
    """About how many rows of a target a dry run looks at; None: all."""
    checkpoints: Callable[[Target, str], Checkpoints] | None = None
    """Knows how far a target's first pass has come, under the primary key of that id."""
    shard: Shard | None = None
    """The rows that this job does, of several that share a table."""
    env_file: Path | None = None
    """Variables that workers read beside their environment."""
    workers: int = 0
    """How many workers an executor has; 0: as many as it reports, or as there are cores."""
    least_rows: int = 0
    """A target with fewer rows is not worth a worker's start."""
    history: History = UNKNOWN
    """What the ledger knows of the keys' past."""
    keys: Keys = ENVIRONMENT
    """Which keys these are, so that a worker reads the same from its own environment."""
    format: Format = Format.TOKEN
    """How the cells of the target hold their tokens; each target has its own."""
    others: Sequence[tuple[str, Keyring]] = ()
    """Further key sets, by their names, whose tokens are known as theirs. Never sent to a worker: it has its own."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Where the secrets of other packages are. Never sent to a worker, either."""
    takeover: Takeover = NOTHING
    """What of the target becomes tokens, beside tokens. Never sent to a worker, either."""
    index: BlindIndex | None = None
    """The blind index of the target's values."""

    def of(self, target: Target, environ: Mapping[str, str] | None = None) -> Options:
        """These options for *target*, whose secrets are in *environ*. Raises KeyConfigError if one is missing."""
        return replace(
            self,
            format=target.format,
            takeover=Takeover.of(target, self.environ if environ is None else environ),
            index=BlindIndex(target.index.context) if target.index else None,
        )


@dataclass
class RangeDone:
    """What a range came to, and how far; it can be pickled."""

    counts: Counts = field(default_factory=Counts)
    """With all its problems."""
    rows: int = 0
    seconds: float = 0.0
    reached: RowKey | None = None
    """The key of the last row that was done."""
    whole: bool = False
    """Whether nothing of the range is left."""
    traces: list[Trace] = field(default_factory=list)
    retries: int = 0
    pace: str = ""
    """In words, at the end."""
    transactions: list[int] = field(default_factory=list)
    """Those that wrote, by their numbers."""
    fault: KeyringError | None = None
    """Why it ended early, if going on at once would not help."""


Follow = Callable[[int, int, str], None]
"""Called with how many more rows are done, how many tokens of them were outdated, and the pace in words."""


class RangeWorker:
    """Does ranges of one target, one after the other."""

    def __init__(
        self,
        store: Store,
        keyring: Keyring,
        options: Options,
        pace: Pacing | None = None,
        planning: AbstractContextManager[object] | None = None,
    ) -> None:
        """With *pace* it shares that with other threads, and plans a batch in *planning*."""
        self._store, self._keyring, self._options = store, keyring, options
        self._pace = pace or Pacing(options.speed, store.tempo, options.batch_rows)
        self._size = BatchSize(self._most_rows())
        self._planning = planning or nullcontext()
        self._planner = Planner(
            keyring, options.history, options.others, options.takeover, options.format, options.dry_run
        )

    def do(self, bounds: Bounds, follow: Follow = lambda _rows, _outdated, _pace: None) -> RangeDone:
        """Does a range, or a part of it: it ends early if it takes long, or if the run is to pause.

        Never raises a StoreError or StoppedError, which would hide what is done until then: it is in the result.
        """
        done = RangeDone()
        started, retries = time.monotonic(), self._store.retries
        try:
            done.whole = self._do(bounds, done, follow, started + RANGE_SECONDS)
        except (StoreError, StoppedError) as error:
            done.fault = error
        done.seconds = time.monotonic() - started
        done.retries = self._store.retries - retries
        return done

    def batches(self, bounds: Bounds) -> Iterator[Batch]:
        """The rows of a range, as many at once as the last batch's time and size allow.

        Raises StoreError if their keys do not grow.
        """
        throttle, after, forward = self._options.throttle, bounds.after, Forward(bounds.after)
        while after != bounds.upto or after is None:
            throttle.wait(0)
            started = time.monotonic()
            # A store returns fewer rows than asked for if they are heavy.
            self._size.limit(self._most_rows())
            batch = self._store.read(after, bounds.upto, self._size.rows)
            if batch.last is None:
                return
            after = batch.last
            forward.to(after)
            yield batch
            seconds = time.monotonic() - started
            self._size.took(batch.rows, seconds, batch.weight)
            throttle.rest(batch.rows, seconds)

    def plan(self, batch: Batch) -> Plan:
        """Plans *batch*."""
        return self._planner.plan(batch)

    def _write(self, plan: Plan) -> Written:
        """In one transaction, or every n-th row in one of its own."""
        strides = self._options.strides
        if strides == 1:
            return self._store.write(plan.swaps, plan.blocks)
        written = self._store.write(plan.swaps)
        for first in range(strides):
            written.add(
                self._store.write(Swaps(), [each.stride(first, strides) for each in plan.blocks if first < len(each)])
            )
        return written

    def _most_rows(self) -> int:
        return self._options.throttle.limit(self._pace.rows)

    def _do(self, bounds: Bounds, done: RangeDone, follow: Follow, end: float) -> bool:
        """Whether nothing of the range is left."""
        throttle = self._options.throttle
        if throttle.paused():
            return False
        for batch in self.batches(bounds):
            started = time.monotonic()
            with self._planning:
                plan = self.plan(batch)
                fixes = self._planner.fixes(batch, plan)
                index = self._options.index
                stale = list(stale_rows(self._keyring, index, batch, plan)) if index else []
            written = Written()
            if plan.changes:
                retries = self._store.retries
                written = self._write(plan)
                # A lock that had to be waited for is somebody's who writes.
                self._pace.wrote(written.others if self._store.retries == retries else 1)
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
            done.pace = self._pace.words
            follow(batch.rows, plan.counts.outdated, done.pace)
            if plan.changes or fixes or stale:
                throttle.wait((time.monotonic() - started) * self._pace.rest)
            if time.monotonic() > end or throttle.paused() or len(done.counts.problems) >= RANGE_PROBLEMS:
                return done.reached == bounds.upto
        return True

    def _index(self, stale: list[Stale], plan: Plan, written: Written, counted: set[RowKey]) -> list[int]:
        """Writes the blind indexes of *stale*, and returns the transactions.

        Cells that are current, and not *counted* yet, count as moved.
        """
        counts, dry_run = plan.counts, self._options.dry_run
        values = [] if dry_run else list(index_values(stale, plan, written))
        indexed = self._store.write_indexes(values)
        if values:
            self._pace.wrote(indexed.others)
        done = {value.key for value in values if not indexed.failed(value.key)}
        for row in stale:
            left = row.key not in done
            if row.under and left:
                # It is as good as a token under that key: without the key nobody finds the row by its value.
                counts.under[row.under] += 1
            if row.is_current and row.cell is not None and row.key not in counted:
                counts.current -= 1
                counts.to_rotate += dry_run
                counts.rotated += not left
                counts.unsettled += left and not dry_run
            if indexed.failed(row.key):
                counts.note(row.key, *indexed.refused.get(row.key, REWRITTEN))
        log.info("rotation.blind_index", rows=len(stale), dry_run=dry_run)
        return indexed.transactions

    def _fix(self, fixes: Swaps, counts: Counts) -> list[int]:
        """Writes the companions of *fixes*, whose cells are counted as current; returns the transactions."""
        counts.current -= len(fixes)
        if self._options.dry_run:
            counts.to_rotate += len(fixes)
            return []
        written = self._store.write(fixes)
        self._pace.wrote(written.others)
        failed = [key for key in fixes.keys if written.failed(key)]
        counts.rotated += len(fixes) - len(failed)
        counts.unsettled += len(failed)
        for key in failed:
            counts.note(key, *written.refused.get(key, REWRITTEN))
        log.warning("rotation.companions", rows=len(fixes), failed=len(failed))
        return written.transactions


def count_swaps(plan: Plan, written: Written, primary: str) -> None:
    """Adds the swaps to the counts of the batch: those written as rotated, the others as unsettled."""
    rows = [(plan.swaps.keys, plan.key_ids, plan.signed)]
    for swap in plan.blocks:
        if written.lost or written.refused:
            rows.append((swap.block.row_keys(), swap.key_ids, list(swap.signed())))
        else:
            plan.counts.rotated += len(swap)
            plan.counts.hold_times(primary, swap.times)
    for columns in rows:
        _count_rows(plan.counts, columns, written, primary)
    _count_further(plan, written, primary)


def _count_rows(
    counts: Counts, columns: tuple[Sequence[RowKey], Sequence[str], Sequence[bytes]], written: Written, primary: str
) -> None:
    """*columns*: the key of each row, the id of the key that its old token is under, and that token's signed part."""
    keys, key_ids, signed = columns
    failed = set[int]()
    if written.lost or written.refused:
        failed = {index for index, key in enumerate(keys) if written.failed(key)}
    sound = [part for index, part in enumerate(signed) if index not in failed] if failed else signed
    counts.rotated += len(sound)
    counts.hold(primary, sound)
    counts.unsettled += len(failed)
    for index in sorted(failed):
        key = keys[index]
        was_token = key_ids[index] != NO_KEY
        counts.taken_over -= not was_token
        if refusal := written.refused.get(key):
            if was_token:
                counts.hold(key_ids[index], [signed[index]])
            counts.note(key, *refusal)
        else:
            counts.note(key, *REWRITTEN)


def _count_further(plan: Plan, written: Written, primary: str) -> None:
    """Counts the tokens beside the first one of each cell, under the key that they are under now."""
    sound, keys = [], plan.swaps.keys
    for swap, key_id, signed, _ in plan.further:
        if not written.failed(keys[swap]):
            sound.append(signed)
        elif keys[swap] in written.refused:
            plan.counts.hold(key_id, [signed])
    plan.counts.hold(primary, sound)
