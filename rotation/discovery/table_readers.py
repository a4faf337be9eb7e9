"""Reads a table for a search: all of it, part by part, or some rows from windows all over it.

The database tests the rows of a part itself, and returns the ones with a cell that is wanted; most parts have none.

Windows are key ranges: the key space is bisected, and empty halves are skipped, since keys have gaps. Equal steps would
not do: one key far from all others is common, and then nearly all steps would lead to nothing.
"""

from __future__ import annotations

import datetime
import decimal
import random
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from os.path import commonprefix
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.discovery.table_source import Courtesy, Rows, TableSource, has_large
from rotation.model.batch import BatchSize, Forward
from rotation.stores.columns import free_column
from rotation.stores.reader import between, beyond, same_key

WINDOWS = 50
WINDOW_ROWS = 200
BATCH_ROWS = 2000
RANGE_ROWS = 1_000_000
STREAM_ROWS = 500
SAMPLE_SECONDS = 5.0
"""The sample of a table ends after this time."""
SMALL = "0123456789abcdefghijklmnopqrstuvwxyz"
"""These characters have the same order in any collation, as long as one case is used."""
BYTES = bytes(range(256)).decode("latin-1")


class Stretch(NamedTuple):
    """Some rows that were read."""

    rows: int
    """The number of them."""
    found: Rows
    """The ones that hold a mark: of each its cells, None for one without, and its address."""


def all_of(rows: Rows) -> Stretch:
    """The part of *rows* that were read whether they hold a mark or not."""
    return Stretch(len(rows), rows)


class TableReader:
    """Reads a table, or a piece of one."""

    def __init__(self, source: TableSource, address: Sequence[ColumnElement[Any]] = ()) -> None:
        """*address*: the columns that find a row again; without any, large cells are read with the others."""
        self._source, self._reads, self._width = source, source.reads, len(source.cells.kinds)
        self.address = address

    def whole(self) -> Iterator[Stretch]:
        """All rows."""
        raise NotImplementedError

    def samples(self, count: int) -> list[Callable[[], Stretch]] | None:
        """At most *count* functions, each of which reads one window; None if the table has to be read as a whole."""
        raise NotImplementedError

    def filled(self, rows: Rows) -> Iterator[Rows]:
        """*rows* without their addresses, and with the large cells: these row by row, since each may be large."""
        small = []
        for row in rows:
            cells = row[: self._width]
            if has_large(cells):
                found_by = self._at(row[self._width :])
                yield [self._source.cells.fill(self._reads, self._source.table, found_by, cells)]
            else:
                small.append(cells)
        yield small

    def _at(self, address: Sequence[Any]) -> list[ColumnElement[bool]]:
        """Conditions that find the row of that *address* again."""
        raise NotImplementedError


class KeyReader(TableReader):
    """Follows a key."""

    def __init__(self, source: TableSource, key: Sequence[ColumnElement[Any]]) -> None:
        super().__init__(source, key)
        self._ones = sa.select(sa.literal(1)).select_from(source.table)
        self._count = sa.select(sa.func.count()).select_from(source.table)

    def whole(self) -> Iterator[Stretch]:
        """By ranges of the key, in each of which the database looks for marks."""
        forward, size = Forward(), BatchSize(RANGE_ROWS, rows=BATCH_ROWS)
        last: list[Any] | None = None
        wanted = self._query().where(self._source.cells.is_wanted())
        while True:
            started = time.monotonic()
            behind: list[ColumnElement[bool]] = [] if last is None else [beyond(self.address, last)]
            ends = self._reads.read(
                sa.select(*self.address)
                .select_from(self._source.table)
                .where(*behind)
                .order_by(*self.address)
                .limit(1)
                .offset(size.rows - 1)
            )
            end = self._parts(ends[0]) if ends else None
            upto = [] if end is None else [sa.not_(beyond(self.address, end))]
            rows = size.rows if ends else self._source.first(self._count.where(*behind))
            for found in self._pages(wanted, behind, upto):
                yield Stretch(0, found)
            yield Stretch(rows, ())
            if end is None:
                return
            forward.to(tuple(ends[0]))
            last = end
            size.seconds = self._source.courtesy.seconds
            size.took(size.rows, time.monotonic() - started, 1)

    def _query(self) -> sa.Select[Any]:
        return sa.select(*self._source.cells.columns(), *self.address).select_from(self._source.table)

    def _pages(
        self,
        wanted: sa.Select[Any],
        behind: Sequence[ColumnElement[bool]],
        upto: Sequence[ColumnElement[bool]],
    ) -> Iterator[Rows]:
        """The wanted rows of a range, a bounded number at a time."""
        while True:
            found = self._reads.read(wanted.where(*behind, *upto).order_by(*self.address).limit(BATCH_ROWS))
            if found:
                yield found
            if len(found) < BATCH_ROWS:
                return
            behind = [beyond(self.address, self._parts(found[-1][self._width :]))]

    def samples(self, count: int) -> list[Callable[[], Stretch]] | None:
        """By values of the key between its least and its greatest."""
        if not self._reads.read(self._ones.order_by(*self.address).limit(1).offset(count * WINDOW_ROWS)):
            return None
        return [partial(self._sample, window) for window in spread(self, count)]

    def _sample(self, window: Window) -> Stretch:
        query = self._query().where(*self._inside(window))
        return all_of(self._reads.read(query.order_by(self._column(window)).limit(WINDOW_ROWS)))

    def _at(self, address: Sequence[Any]) -> list[ColumnElement[bool]]:
        return [same_key(self.address, self._parts(address))]

    # What `spread` asks.

    def bounds(self, window: Window) -> tuple[Any, Any] | None:
        """The least and the greatest value in *window* of the column that it is about; None if it is empty."""
        column, rows = self._column(window), self._ones.where(*self._inside(window))
        # Not in one query: SQLite then reads all rows between them.
        ends = (rows.with_only_columns(end(column)) for end in (sa.func.min, sa.func.max))
        low, high = map(self._source.first, ends)
        return None if low is None else (low, high)

    def is_crowded(self, window: Window) -> bool:
        """True if a sample of *window* leaves rows out."""
        rows = self._ones.where(*self._inside(window)).order_by(self._column(window))
        return bool(self._reads.read(rows.limit(1).offset(WINDOW_ROWS)))

    def is_last(self, window: Window) -> bool:
        """True if no column of the key follows."""
        return len(window.prefix) == len(self.address) - 1

    def _column(self, window: Window) -> ColumnElement[Any]:
        return self.address[len(window.prefix)]

    def _inside(self, window: Window) -> list[ColumnElement[bool]]:
        conditions = between(self._column(window), *self._parts([window.start, window.end]))
        if window.prefix:
            conditions.append(same_key(self.address[: len(window.prefix)], self._parts(window.prefix)))
        return conditions

    def _parts(self, key: Sequence[Any]) -> list[Any]:
        return [self._source.sendable(part) for part in key]


class KeylessReader(TableReader):
    """Rows of a table without a key to follow: all of them, or each with the same small chance."""

    def __init__(self, source: TableSource, estimate: int = 0, table: sa.TextClause | None = None) -> None:
        """*estimate*: about how many rows there are; 0: no sample. *table*: what to read instead of *source*."""
        super().__init__(source)
        self._table: Any = source.table if table is None else table
        self._has_large, self._estimate = source.cells.has_large(), estimate
        self._query = sa.select(*source.cells.columns(whole=True)).select_from(self._table)

    def whole(self) -> Iterator[Stretch]:
        """In one statement if nothing is wanted, and otherwise in two: no key says where to go on.

        Rows with a large cell are read one by one.
        """
        large, wanted = self._has_large, self._source.cells.is_wanted()
        counts = [sa.func.coalesce(sa.func.sum(sa.case((each, 1), else_=0)), 0) for each in (large, wanted)]
        [(rows, has_large, is_wanted)] = self._reads.read(sa.select(sa.func.count(), *counts).select_from(self._table))
        yield Stretch(rows, ())
        if is_wanted:
            query = self._query.where(wanted)
            for found in self._reads.stream(query.where(sa.not_(large)), STREAM_ROWS):
                yield Stretch(0, found)
            for found in self._reads.stream(query.where(large), 1) if has_large else ():
                yield Stretch(0, found)

    def samples(self, count: int) -> list[Callable[[], Stretch]] | None:
        """One statement that reads on until it has enough rows; it leaves out rows with a large cell."""
        wanted = count * WINDOW_ROWS
        if self._estimate <= wanted:
            return None
        is_drawn = self._source.chance < wanted / self._estimate
        query = self._query.where(is_drawn, sa.not_(self._has_large)).limit(wanted)
        return [lambda: all_of(self._reads.read(query))]


class TableRows:
    """The rows of a table, batch by batch: of each column the cell if it holds a mark, otherwise None."""

    def __init__(
        self, parts: Iterator[tuple[int, Iterable[Rows]]], *, sampled: bool, seconds: float | None, most: int
    ) -> None:
        """*parts*: of each the number of its rows, and the ones that hold a mark."""
        self.sampled = sampled
        """True if some rows were left out; certain once all is read."""
        self.most = most
        """The size of the largest cell that is searched."""
        self.rows = 0
        """The number of rows that have been read."""
        self.began = datetime.datetime.now(datetime.UTC)
        self.witness: Any = None
        """The proof of `Survey.is_unchanged`, if every row was read and there is one."""
        self._parts, self._seconds = parts, seconds

    def __iter__(self) -> Iterator[Rows]:
        started = time.monotonic()
        for rows, found in self._parts:
            self.rows += rows
            yield from found
            if self._seconds is not None and time.monotonic() - started > self._seconds:
                self.sampled = True
                return


def rows_of(
    readers: Sequence[TableReader],
    courtesy: Courtesy,
    *,
    full: bool,
    most: int,
    written: Callable[[], int | None] | None,
) -> TableRows:
    """All rows that *readers* read, or a sample; no cell of more than *most* bytes is searched.

    *written*: a number that grows when others write; None: each read sees the same moment, and no other's writes.
    """
    windows: list[tuple[TableReader, Callable[[], Stretch]]] = []
    unsampled = []
    for reader in readers:
        samples = None if full else reader.samples(max(1, WINDOWS // len(readers)))
        windows += [(reader, sample) for sample in samples or ()]
        unsampled += [reader] if samples is None else []
    # In random order: if the time ends a sample, it has been everywhere all the same.
    random.Random(0).shuffle(windows)  # noqa: S311 - no secret
    parts = chain(
        ((reader, sample()) for reader, sample in windows),
        ((reader, part) for reader in unsampled for part in reader.whole()),
    )

    def filled() -> Iterator[tuple[int, Iterable[Rows]]]:
        started = time.monotonic()
        for reader, part in parts:
            courtesy.rest(time.monotonic() - started)
            yield part.rows, reader.filled(part.found)
            if part.rows and written:
                courtesy.look(written)
            started = time.monotonic()

    return TableRows(filled(), sampled=bool(windows), seconds=None if full else SAMPLE_SECONDS, most=most)


def by_number(source: TableSource) -> list[TableReader]:
    """One, by the number of a row if it has one: that has few gaps, and is never NULL. None without rows."""
    if source.first(sa.select(sa.literal_column("1")).select_from(source.table).limit(1)) is None:
        return []
    taken = {name.lower() for name in source.names}
    free = [name for name in source.cells.catalog.row_numbers if name not in taken]
    for name in free:
        # Not quoted: SQLite takes a quoted name that is no column for a text.
        number: ColumnElement[Any] = sa.literal_column(name)
        if source.takes(sa.select(number).select_from(source.table).limit(1)):
            return [KeyReader(source, [number])]
    if free and (key := source.key()):
        # WITHOUT ROWID, so no part of its key is NULL.
        return [KeyReader(source, [free_column(name) for name in key])]
    rows = source.first(sa.select(sa.func.count()).select_from(source.table))
    return [KeylessReader(source, int(rows or 0))]


def by_key(source: TableSource, *, full: bool) -> list[TableReader]:
    """One: partitions are no tables of their own. With its history a key names more than one row. None without rows."""
    entry, few = source.entry, WINDOWS * WINDOW_ROWS
    if full and entry.has_history:
        table = source.cells.catalog.table(entry).replace(":", r"\:")
        return [KeylessReader(source, table=sa.text(f"{table} FOR SYSTEM_TIME ALL"))]
    rows: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(source.table).limit(1)
    # The server's estimate may be a day old.
    sizes = sa.select(rows.scalar_subquery(), rows.offset(few).scalar_subquery())
    [(has_rows, has_more)] = source.reads.read(sizes)
    # Rows of the past are rows, too.
    if not has_rows and not entry.has_history:
        return []
    if has_more and (key := source.key()):
        return [KeyReader(source, [free_column(name) for name in key])]
    return [KeylessReader(source, max(entry.rows or 0, few + 1) if has_more else 0)]


class Window(NamedTuple):
    """Rows whose first key columns equal *prefix*, and whose next one is from *start* on and before *end*."""

    prefix: tuple[Any, ...] = ()
    start: Any = None
    end: Any = None
    """None: open."""


def spread(keys: KeyReader, count: int) -> list[Window]:
    """At most *count* windows that do not overlap and begin all over the table. Splits the oldest crowded one first."""
    crowded, others = deque([Window()]), list[Window]()
    while crowded and len(crowded) + len(others) < count:
        window = crowded.popleft()
        bounds = keys.bounds(window)
        if bounds is None:
            continue
        low, high = bounds
        if low == high and keys.is_last(window):
            others.append(window)
        elif low == high:
            crowded.append(Window((*window.prefix, low)))
        else:
            middle = middle_of(low, high)
            for half in (window._replace(start=low, end=middle), window._replace(start=middle)):
                (crowded if keys.is_crowded(half) else others).append(half)
    return [*crowded, *others]


def middle_of(low: Any, high: Any) -> Any:
    """A value above *low* and not above *high*, near their middle if their type has one; otherwise *high*."""
    middles: list[Any] = []
    if type(low) is not type(high):
        return high
    if isinstance(low, str):
        middles = [_between(low, high, letters) for letters in (SMALL, SMALL.upper(), BYTES)]
    elif isinstance(low, bytes):
        middles = [_between(low.decode("latin-1"), high.decode("latin-1"), BYTES).encode("latin-1")]
    elif isinstance(low, int):
        middles = [(low + high + 1) // 2]
    elif isinstance(low, float | decimal.Decimal | datetime.date):
        middles = [low + (high - low) / 2]
    return next((middle for middle in middles if low < middle <= high), high)


def _between(low: str, high: str, letters: str) -> str:
    """Common prefix plus a letter halfway between the first two that differ."""
    common = len(commonprefix((low, high)))  # noqa: RUF071 - texts, not paths
    first, last = (
        min(bisect_left(letters, text[common]), len(letters) - 1) if text[common:] else -1 for text in (low, high)
    )
    return low[:common] + letters[(first + last + 1) // 2]
