"""How a table is read: all of it, batch by batch, or some rows from windows all over it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.discovery.key_windows import Window, spread
from rotation.discovery.reads import Cells, Reads, Rows
from rotation.model.batch_size import Pace
from rotation.stores.dialect import Dialect
from rotation.stores.key_order import Forward, between, beyond, same_key

WINDOWS = 50
WINDOW_ROWS = 200
BATCH_ROWS = 2000
STREAM_ROWS = 500

Look = Callable[[], Rows]
"""Reads one window."""


class TableReader(Protocol):
    """A table, or a part of one, as somebody who looks for something reads it: each row's cells, then its address."""

    address: Sequence[ColumnElement[Any]]
    """What finds a row again; none: nothing does, and large cells are read with the others."""

    def at(self, address: Sequence[Any]) -> list[ColumnElement[bool]]:
        """Conditions that find the row of that *address* again."""

    def whole(self) -> Iterator[Rows]:
        """All rows."""

    def looks(self, count: int) -> list[Look] | None:
        """At most *count* looks into windows all over it; None where it is small enough to be read as a whole."""


class KeyReader:
    """The rows of *table* as *cells*, in the order of *key*."""

    def __init__(
        self,
        reader: Reads,
        dialect: Dialect,
        table: sa.FromClause,
        key: Sequence[ColumnElement[Any]],
        cells: Sequence[Any],
    ) -> None:
        self._reader, self._dialect, self._table, self.address = reader, dialect, table, key
        self._rows = sa.select(*cells, *key).select_from(table)
        self._width = len(cells)

    def at(self, address: Sequence[Any]) -> list[ColumnElement[bool]]:
        """By its key."""
        return [same_key(self.address, self._parts(address))]

    def whole(self) -> Iterator[Rows]:
        """By the key of the last row that was read."""
        after: Sequence[Any] | None = None
        forward = Forward()
        query = self._rows.order_by(*self.address)
        for pace in paces():
            behind = query if after is None else query.where(beyond(self.address, self._parts(after)))
            rows = self._reader.read(behind.limit(pace.rows))
            if not rows:
                return
            after = tuple(rows[-1][self._width :])
            forward.to(after)
            yield rows

    def looks(self, count: int) -> list[Look] | None:
        """By values of the key between its least and its greatest."""
        many = sa.select(sa.literal(1)).select_from(self._table).order_by(*self.address)
        if not self._reader.read(many.limit(1).offset(count * WINDOW_ROWS)):
            return None
        return [lambda window=window: self._look(window) for window in spread(self, count)]  # type: ignore[misc]

    def _look(self, window: Window) -> Rows:
        query = self._rows.where(*self._inside(window))
        return self._reader.read(query.order_by(self._column(window)).limit(WINDOW_ROWS))

    # What the spread asks

    def bounds(self, window: Window) -> tuple[Any, Any] | None:
        """The least and the greatest value."""
        column = self._column(window)
        # Not in one query: SQLite then reads all that is between.
        low, high = (
            self._reader.read(sa.select(end(column)).select_from(self._table).where(*self._inside(window)))[0][0]
            for end in (sa.func.min, sa.func.max)
        )
        return None if low is None else (low, high)

    def is_crowded(self, window: Window) -> bool:
        """Whether a look at *window* leaves rows out."""
        query = sa.select(sa.literal(1)).select_from(self._table).where(*self._inside(window))
        return bool(self._reader.read(query.order_by(self._column(window)).limit(1).offset(WINDOW_ROWS)))

    def is_last(self, window: Window) -> bool:
        """Whether no column of the key is behind it."""
        return len(window.prefix) == len(self.address) - 1

    def _column(self, window: Window) -> ColumnElement[Any]:
        return self.address[len(window.prefix)]

    def _inside(self, window: Window) -> list[ColumnElement[bool]]:
        conditions = between(self._column(window), *self._parts([window.start, window.end]))
        if window.prefix:
            conditions.append(same_key(self.address[: len(window.prefix)], self._parts(window.prefix)))
        return conditions

    def _parts(self, key: Sequence[Any]) -> list[Any]:
        return [self._dialect.key_part(part) for part in key]


class _ByPlace:
    """Rows of PostgreSQL, which are found again by their table and their place in its file."""

    def __init__(self) -> None:
        # Not quoted: no column of the table's own can be called so.
        self.address: Sequence[ColumnElement[Any]] = [sa.literal_column("tableoid"), sa.literal_column("ctid")]

    def at(self, address: Sequence[Any]) -> list[ColumnElement[bool]]:
        """A row does not move within a transaction that sees one moment."""
        table, place = self.address
        return [table == sa.literal(int(address[0])), place == sa.cast(sa.literal(address[1], sa.Text), _Tid())]


class CursorReader(_ByPlace):
    """All rows of a PostgreSQL table and of those that are read with it, through one cursor."""

    def __init__(self, reader: Reads, table: sa.FromClause, cells: Sequence[Any]) -> None:
        super().__init__()
        self._reader = reader
        self._query = sa.select(*cells, *self.address).select_from(table)

    def whole(self) -> Iterator[Rows]:
        """As the transaction sees them: a row that moves meanwhile is there once."""
        yield from self._reader.stream(self._query, STREAM_ROWS)

    def looks(self, count: int) -> list[Look] | None:
        """There is no place to begin at."""
        del count
        return None


class BlockReader(_ByPlace):
    """A sample of a PostgreSQL table by the blocks of its file; it needs no key."""

    def __init__(self, reader: Reads, table: sa.TableClause, cells: Sequence[Any], blocks: int, density: float) -> None:
        """*density*: how many rows a block holds, about."""
        super().__init__()
        self._reader, self._blocks = reader, blocks
        self._query = sa.select(*cells, *self.address).select_from(table).with_hint(table, "ONLY", "postgresql")
        self._window_blocks = max(1, round(WINDOW_ROWS / max(density, 1)))

    def whole(self) -> Iterator[Rows]:
        """A table that is small enough."""
        yield from self._reader.stream(self._query, STREAM_ROWS)

    def looks(self, count: int) -> list[Look] | None:
        """At even distances; where exactly, chance decides, and decides alike each time."""
        distance = self._blocks / count
        if distance <= self._window_blocks:
            return None
        dice = random.Random(self._blocks)  # noqa: S311 - no secret
        starts = [int(distance * number + dice.random() * (distance - self._window_blocks)) for number in range(count)]
        return [lambda start=start: self._look(start) for start in starts]  # type: ignore[misc]

    def _look(self, start: int) -> Rows:
        ends = [sa.text(rf"'({block},0)'\:\:tid") for block in (start, start + self._window_blocks)]
        inside = self._query.where(*between(sa.literal_column("ctid"), *ends))
        return self._reader.read(inside.limit(WINDOW_ROWS))


class _Tid(sa.types.UserDefinedType[Any]):
    """The place of a row in its file."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """As PostgreSQL calls it."""
        return "tid"


class KeylessReader:
    """The rows of a table that no key leads through: in one go, or each with the same small chance."""

    address: Sequence[ColumnElement[Any]] = ()

    def __init__(
        self,
        reader: Reads,
        table: sa.FromClause | sa.TextClause,
        cells: Cells,
        *,
        chance: ColumnElement[Any],
        estimate: int,
    ) -> None:
        self._reader, self._has_large, self._chance, self._estimate = reader, cells.has_large(), chance, estimate
        self._query = sa.select(*cells.whole()).select_from(table)

    def at(self, address: Sequence[Any]) -> list[ColumnElement[bool]]:
        """Nothing finds a row again."""
        raise NotImplementedError

    def whole(self) -> Iterator[Rows]:
        """In two statements, since nothing tells where to go on: rows with a large cell one by one."""
        yield from self._reader.stream(self._query.where(sa.not_(self._has_large)), STREAM_ROWS)
        yield from self._reader.stream(self._query.where(self._has_large), 1)

    def looks(self, count: int) -> list[Look] | None:
        """One look that reads on until it has enough; it leaves large cells out."""
        wanted = count * WINDOW_ROWS
        if self._estimate <= wanted:
            return None
        some = self._query.where(self._chance < wanted / self._estimate, sa.not_(self._has_large)).limit(wanted)
        return [lambda: self._reader.read(some)]


def paces() -> Iterator[Pace]:
    """For each batch its pace; it learns from the time that a batch takes until the next one is asked for."""
    pace = Pace(BATCH_ROWS, seconds=0.2)
    while True:
        started, rows = time.monotonic(), pace.rows
        yield pace
        pace.took(rows, time.monotonic() - started, 1)
