"""How a table is read: all of it, batch by batch, or some rows from windows all over it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.discovery.cells import CellReader, has_large
from rotation.discovery.key_windows import Window, spread
from rotation.discovery.reads import Reads, Rows
from rotation.discovery.tables import TableEntry
from rotation.model.batch_size import BatchSize
from rotation.stores.access import Access
from rotation.stores.columns import table_clause
from rotation.stores.row_keys import Forward, between, beyond, same_key

WINDOWS = 50
WINDOW_ROWS = 200
BATCH_ROWS = 2000
STREAM_ROWS = 500


@dataclass(frozen=True)
class Source:
    """One table, what to fetch of it, and how."""

    access: Access
    reads: Reads
    entry: TableEntry
    cells: CellReader
    key: Sequence[str]
    """The columns of a unique key that can be followed; none: there is no such key."""

    @property
    def table(self) -> sa.TableClause:
        """The rows of the table, and of those that are read with it."""
        return table_clause(self.entry.schema, self.entry.table)

    def first(self, query: sa.Executable) -> Any:
        """The first value of *query*; None if there is none."""
        return next(iter(self.reads.read(query)), (None,))[0]


class TableReader:
    """Reads a table, or a part of one: of each row its cells, then its address."""

    def __init__(self, source: Source, query: sa.Select[Any], address: Sequence[ColumnElement[Any]] = ()) -> None:
        """*address*: the columns that find a row again; without any, large cells are read with the others."""
        self._source, self._reads, self._width = source, source.reads, len(source.cells.columns)
        self.address, self._query = address, query.add_columns(*address)

    def whole(self) -> Iterator[Rows]:
        """All rows."""
        yield from self._reads.stream(self._query, STREAM_ROWS)

    def samples(self, count: int) -> list[Callable[[], Rows]] | None:
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

    def __init__(self, source: Source, key: Sequence[ColumnElement[Any]]) -> None:
        super().__init__(source, sa.select(*source.cells.columns).select_from(source.table), key)
        self._ones = sa.select(sa.literal(1)).select_from(source.table)

    def whole(self) -> Iterator[Rows]:
        """By the key of the last row that was read."""
        forward, size = Forward(), BatchSize(BATCH_ROWS, seconds=0.2)
        query = behind = self._query.order_by(*self.address)
        while True:
            started = time.monotonic()
            rows = self._reads.read(behind.limit(size.rows))
            if not rows:
                return
            last = tuple(rows[-1][self._width :])
            forward.to(last)
            yield rows
            size.took(size.rows, time.monotonic() - started, 1)
            behind = query.where(beyond(self.address, self._parts(last)))

    def samples(self, count: int) -> list[Callable[[], Rows]] | None:
        """By values of the key between its least and its greatest."""
        if not self._reads.read(self._ones.order_by(*self.address).limit(1).offset(count * WINDOW_ROWS)):
            return None
        return [partial(self._sample, window) for window in spread(self, count)]

    def _sample(self, window: Window) -> Rows:
        query = self._query.where(*self._inside(window))
        return self._reads.read(query.order_by(self._column(window)).limit(WINDOW_ROWS))

    def _at(self, address: Sequence[Any]) -> list[ColumnElement[bool]]:
        return [same_key(self.address, self._parts(address))]

    # What `spread` asks.

    def bounds(self, window: Window) -> tuple[Any, Any] | None:
        """The least and the greatest value."""
        column, rows = self._column(window), self._ones.where(*self._inside(window))
        # Not in one query: SQLite then reads all rows between them.
        ends = (rows.with_only_columns(end(column)) for end in (sa.func.min, sa.func.max))
        low, high = map(self._source.first, ends)
        return None if low is None else (low, high)

    def is_crowded(self, window: Window) -> bool:
        """Whether a sample of *window* leaves rows out."""
        rows = self._ones.where(*self._inside(window)).order_by(self._column(window))
        return bool(self._reads.read(rows.limit(1).offset(WINDOW_ROWS)))

    def is_last(self, window: Window) -> bool:
        """Whether no column of the key follows."""
        return len(window.prefix) == len(self.address) - 1

    def _column(self, window: Window) -> ColumnElement[Any]:
        return self.address[len(window.prefix)]

    def _inside(self, window: Window) -> list[ColumnElement[bool]]:
        conditions = between(self._column(window), *self._parts([window.start, window.end]))
        if window.prefix:
            conditions.append(same_key(self.address[: len(window.prefix)], self._parts(window.prefix)))
        return conditions

    def _parts(self, key: Sequence[Any]) -> list[Any]:
        return [self._source.access.dialect.sendable(part) for part in key]


class FileReader(TableReader):
    """Rows of a PostgreSQL table by their place in its file: all of them through one cursor, or a sample of blocks."""

    def __init__(
        self, source: Source, part: sa.TableClause | None = None, blocks: int = 0, density: float = 1.0
    ) -> None:
        """*part*: the one table of several to read, with so many *blocks* of about *density* rows."""
        # Not quoted: no column of the table's own can be called so.
        address: list[ColumnElement[Any]] = [sa.literal_column("tableoid"), sa.literal_column("ctid")]
        query = sa.select(*source.cells.columns).select_from(source.table if part is None else part)
        super().__init__(source, query if part is None else query.with_hint(part, "ONLY", "postgresql"), address)
        self._blocks, self._window_blocks = blocks, max(1, round(WINDOW_ROWS / max(density, 1)))

    def samples(self, count: int) -> list[Callable[[], Rows]] | None:
        """At even distances, each with a random offset that is the same each time."""
        distance = self._blocks / count
        if distance <= self._window_blocks:
            return None
        dice = random.Random(self._blocks)  # noqa: S311 - no secret
        starts = [int(distance * number + dice.random() * (distance - self._window_blocks)) for number in range(count)]
        return [partial(self._sample, start) for start in starts]

    def _sample(self, start: int) -> Rows:
        ends = [sa.text(rf"'({block},0)'\:\:tid") for block in (start, start + self._window_blocks)]
        return self._reads.read(self._query.where(*between(self.address[1], *ends)).limit(WINDOW_ROWS))

    def _at(self, address: Sequence[Any]) -> list[ColumnElement[bool]]:
        """A row does not move within a transaction that sees one moment."""
        table, tid = self.address
        return [table == sa.literal(int(address[0])), tid == sa.cast(sa.literal(address[1], sa.Text), _Tid())]


class _Tid(sa.types.UserDefinedType[Any]):
    """The place of a row in its file."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """As PostgreSQL calls it."""
        return "tid"


class KeylessReader(TableReader):
    """Rows of a table without a key to follow: all of them, or each with the same small chance."""

    def __init__(self, source: Source, estimate: int = 0, table: sa.TextClause | None = None) -> None:
        """*estimate*: about how many rows there are; 0: no sample. *table*: what to read instead of *source*."""
        super().__init__(source, sa.select(*source.cells.whole()).select_from(source.table if table is None else table))
        self._has_large, self._estimate = source.cells.has_large(), estimate

    def whole(self) -> Iterator[Rows]:
        """In two statements, since no key says where to go on: rows with a large cell one by one."""
        yield from self._reads.stream(self._query.where(sa.not_(self._has_large)), STREAM_ROWS)
        yield from self._reads.stream(self._query.where(self._has_large), 1)

    def samples(self, count: int) -> list[Callable[[], Rows]] | None:
        """One statement that reads on until it has enough rows; it leaves out rows with a large cell."""
        wanted = count * WINDOW_ROWS
        if self._estimate <= wanted:
            return None
        is_drawn = self._source.access.dialect.chance() < wanted / self._estimate
        return [partial(self._reads.read, self._query.where(is_drawn, sa.not_(self._has_large)).limit(wanted))]
