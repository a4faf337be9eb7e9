"""Tells a watcher how far a search is: the database, the table, the share of the bytes, the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Lock

from rotation.discovery.table_source import TableIdentity
from rotation.model.text import many, size_of
from rotation.model.watcher import AtWork, Estimate, Note, SoFar, Watcher
from rotation.stores.catalog import TableEntry

FIRST_SECONDS = 5.0
"""No time is estimated before: the first bytes come from a cold cache, or from a table that is small."""
MOST_PERCENT = 99
"""What is shown at most: the sizes are estimates, and 100 % reads as done."""


class Remaining:
    """How much is left of work whose size, in bytes, is about known, and may be corrected on the way."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """*clock* returns seconds; the work begins now, or with `begin`."""
        self._clock, self.total = clock, 0
        """Bytes of all the work; 0: unknown."""
        self.begin()

    def begin(self) -> None:
        """Time counts from now on."""
        self._started = self._clock()

    def percent(self, done: float) -> int | None:
        """The share of *done* bytes, 99 at most; None if the size of the work is unknown."""
        return min(MOST_PERCENT, int(100 * done / self.total)) if self.total > 0 else None

    def seconds(self, done: float) -> int | None:
        """The time that the rest takes at the speed so far; None as long as nobody can say."""
        now = self._clock()
        if now - self._started < FIRST_SECONDS or done <= 0 or self.total <= 0:
            return None
        return Estimate(self._started, self.total).seconds_left(done, now)


@dataclass
class _Expected:
    """The tables of one database that are to be searched."""

    waiting: dict[TableIdentity, TableEntry] = field(default_factory=dict)
    """The ones that are not done yet."""
    begun: int = 0
    number: int = 0
    """All of them, as far as they are searched."""


class SearchProgress:
    """The progress of one search. Several threads may read tables at once, in any order."""

    def __init__(self, watcher: Watcher, *, full: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """*full*: every row is read, so that sizes say how much is left. *clock* returns seconds."""
        self._watcher, self._full = watcher, full
        self._lock = Lock()
        self._remaining = Remaining(clock)
        self._names: dict[str, int | None] = {}
        """The sizes of the databases that are to be searched, by name; None: their tables are known."""
        self._databases = 0
        """Their number; what one connection shows may be several."""
        self._opened: set[str] = set()
        self._expected: dict[tuple[object, ...], _Expected] = {}
        self._reading: dict[TableIdentity, int] = {}
        """The rows that were read so far of each table that is read now."""
        self._done = 0
        """The bytes of the tables that are done."""
        self._words = ""

    def expect_database(self, name: str, size: int | None = None, databases: int = 1) -> None:
        """A database will be searched; *size* is its bytes, if its tables are not known before it is opened.

        *databases*: how many an admin takes it for.
        """
        with self._lock:
            if name not in self._names:
                self._names[name] = size
                self._databases += databases
                self._remaining.total += size or 0

    def expect_tables(self, identity: tuple[object, ...], entries: Iterable[TableEntry]) -> None:
        """These tables of a database will be searched. Those of a neighbour are known once it is open."""
        with self._lock:
            expected = self._expected.setdefault(identity, _Expected())
            for entry in entries:
                key = (identity, entry.schema, entry.table)
                if key not in expected.waiting:
                    expected.waiting[key] = entry
                    expected.number += 1
                    self._remaining.total += entry.size

    def begin(self) -> None:
        """Says how much there is to read, and starts the clock."""
        self._remaining.begin()
        if not self._full:
            return
        tables = sum(one.number for one in self._expected.values())
        known = [many(tables, "table")] if all(size is None for size in self._names.values()) else []
        known += [size_of(self._remaining.total)] if self._remaining.total else []
        about = f" ({', '.join(known)})" if known else ""
        every = f"Searching every row of {many(self._databases, 'database')}{about}"
        if neighbours := sum(size is not None for size in self._names.values()):
            every += f"; {neighbours} of them only {'share' if neighbours > 1 else 'shares'} the server"
            every += ": [policy] unsearched_databases leaves out what can hold no token of yours"
        self._watcher(Note(every))

    def open(self, name: str) -> None:
        """The search of that database begins: its tables are known from now on, or never."""
        with self._lock:
            self._opened.add(name)
            self._remaining.total -= self._names.get(name) or 0
            self._names[name] = None
            self._words = f"searching {name}"
            self._watcher(AtWork(self._words))

    def begin_table(self, key: TableIdentity) -> None:
        """A table is read from now on."""
        with self._lock:
            self._reading[key] = 0
            self._expected[key[0]].begun += 1

    def read(self, key: TableIdentity, rows: int, more: int) -> None:
        """*rows* of that table have been read by now, *more* of them just now."""
        with self._lock:
            self._reading[key] = rows
            self._watcher(AtWork(self._words, more, self._so_far(key[0])))

    def end_table(self, key: TableIdentity) -> None:
        """Nothing more of that table is read."""
        with self._lock:
            self._reading.pop(key, None)
            if entry := self._expected[key[0]].waiting.pop(key, None):
                self._done += entry.size
            self._watcher(AtWork(self._words, 0, self._so_far(key[0])))

    def leave_out(self, key: TableIdentity) -> None:
        """That table is not read after all: it says nothing about the speed."""
        with self._lock:
            expected = self._expected[key[0]]
            if entry := expected.waiting.pop(key, None):
                expected.number -= 1
                self._remaining.total -= entry.size

    def _so_far(self, identity: tuple[object, ...]) -> SoFar:
        expected, remaining = self._expected[identity], self._remaining
        so_far = SoFar(len(self._opened), len(self._names), expected.begun, expected.number)
        if not (self._full and remaining.total):
            return so_far
        done = self._done + sum(self._part_of(key, rows) for key, rows in self._reading.items())
        return so_far._replace(
            percent=remaining.percent(done), bytes=remaining.total, seconds_left=remaining.seconds(done)
        )

    def _part_of(self, key: TableIdentity, rows: int) -> float:
        """The bytes that *rows* of a table are, all of it at most: it may have grown since they were estimated."""
        entry = self._expected[key[0]].waiting.get(key)
        return entry.size * min(1.0, rows / entry.rows) if entry and entry.rows else 0.0
