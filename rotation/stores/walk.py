"""How a table is read: all of it, batch by batch, or some rows from windows all over it. Each read is short."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.stores.access import Access
from rotation.stores.order import between, beyond, same_key
from rotation.stores.spread import Window, spread
from rotation.work.pace import Pace

WINDOWS = 50
WINDOW_ROWS = 200
BATCH_ROWS = 2000

Rows = Sequence[Sequence[Any]]
Look = Callable[[], Rows]
"""Reads one window."""


class Walk(Protocol):
    """A table, or a part of one, as somebody who looks for something reads it."""

    def whole(self) -> Iterator[Rows]:
        """All rows."""

    def looks(self, count: int) -> list[Look] | None:
        """At most *count* looks into windows all over it; None where it is small enough to be read as a whole."""


class KeyWalk:
    """The rows of *table* as *cells*, in the order of *key*."""

    def __init__(
        self, access: Access, table: sa.TableClause, key: Sequence[ColumnElement[Any]], cells: Sequence[Any]
    ) -> None:
        self._access, self._table, self._key, self._cells = access, table, key, cells

    def whole(self) -> Iterator[Rows]:
        """By the key of the last row that was read."""
        after: Sequence[Any] | None = None
        width = len(self._cells)
        query = sa.select(*self._cells, *self._key).select_from(self._table).order_by(*self._key)
        for pace in paces():
            behind = query if after is None else query.where(beyond(self._key, self._parts(after)))
            rows = self._all(behind.limit(pace.rows))
            if not rows:
                return
            after = rows[-1][width:]
            yield [row[:width] for row in rows]

    def looks(self, count: int) -> list[Look] | None:
        """By values of the key between its least and its greatest."""
        many = sa.select(sa.literal(1)).select_from(self._table).order_by(*self._key)
        if not self._all(many.limit(1).offset(count * WINDOW_ROWS)):
            return None
        return [lambda window=window: self._look(window) for window in spread(self, count)]  # type: ignore[misc]

    def _look(self, window: Window) -> Rows:
        query = sa.select(*self._cells).select_from(self._table).where(*self._inside(window))
        return self._all(query.order_by(self._column(window)).limit(WINDOW_ROWS))

    # What the spread asks

    def bounds(self, window: Window) -> tuple[Any, Any] | None:
        """The least and the greatest value."""
        column = self._column(window)
        # Not in one query: SQLite then reads all that is between.
        low, high = (
            self._all(sa.select(end(column)).select_from(self._table).where(*self._inside(window)))[0][0]
            for end in (sa.func.min, sa.func.max)
        )
        return None if low is None else (low, high)

    def is_crowded(self, window: Window) -> bool:
        """Whether a look at *window* leaves rows out."""
        query = sa.select(sa.literal(1)).select_from(self._table).where(*self._inside(window))
        return bool(self._all(query.order_by(self._column(window)).limit(1).offset(WINDOW_ROWS)))

    def is_last(self, window: Window) -> bool:
        """Whether no column of the key is behind it."""
        return len(window.prefix) == len(self._key) - 1

    def _column(self, window: Window) -> ColumnElement[Any]:
        return self._key[len(window.prefix)]

    def _inside(self, window: Window) -> list[ColumnElement[bool]]:
        conditions = between(self._column(window), *self._parts([window.start, window.end]))
        if window.prefix:
            conditions.append(same_key(self._key[: len(window.prefix)], self._parts(window.prefix)))
        return conditions

    def _parts(self, key: Sequence[Any]) -> list[Any]:
        return [self._access.dialect.key_part(part) for part in key]

    def _all(self, query: sa.Select[Any]) -> Rows:
        return self._access.read(lambda connection: connection.execute(query).all())


class BlockWalk:
    """The rows of a PostgreSQL table by the blocks of its file; it needs no key."""

    def __init__(
        self, access: Access, table: sa.TableClause, cells: Sequence[Any], blocks: int, density: float
    ) -> None:
        """*density*: how many rows a block holds, about."""
        self._access, self._blocks = access, blocks
        self._query = sa.select(*cells).select_from(table).with_hint(table, "ONLY", "postgresql")
        self._window_blocks = max(1, round(WINDOW_ROWS / max(density, 1)))

    def whole(self) -> Iterator[Rows]:
        """Also what is added behind the last block meanwhile."""
        start = 0
        for pace in paces():
            end = start + max(1, pace.rows // WINDOW_ROWS * self._window_blocks)
            yield self._all(self._between(start, end if end < self._blocks else None))
            if end >= self._blocks:
                return
            start = end

    def looks(self, count: int) -> list[Look] | None:
        """At even distances; where exactly, chance decides, and decides alike each time."""
        distance = self._blocks / count
        if distance <= self._window_blocks:
            return None
        dice = random.Random(self._blocks)  # noqa: S311 - no secret
        starts = [int(distance * number + dice.random() * (distance - self._window_blocks)) for number in range(count)]
        return [lambda start=start: self._look(start) for start in starts]  # type: ignore[misc]

    def _look(self, start: int) -> Rows:
        return self._all(self._between(start, start + self._window_blocks).limit(WINDOW_ROWS))

    def _between(self, start: int, end: int | None) -> sa.Select[Any]:
        ends = [None if block is None else sa.text(rf"'({block},0)'\:\:tid") for block in (start, end)]
        return self._query.where(*between(sa.literal_column("ctid"), *ends))

    def _all(self, query: sa.Select[Any]) -> Rows:
        return self._access.read(lambda connection: connection.execute(query).all())


class PlainWalk:
    """The rows of a table that no key leads through: in one go, or each with the same small chance."""

    def __init__(self, access: Access, table: sa.TableClause, cells: Sequence[Any], estimate: int) -> None:
        self._access, self._table, self._cells, self._estimate = access, table, cells, estimate

    def whole(self) -> Iterator[Rows]:
        """In one statement, since nothing tells where to go on; the server keeps no lock for it."""
        yield from self._access.stream(sa.select(*self._cells).select_from(self._table), WINDOW_ROWS)

    def looks(self, count: int) -> list[Look] | None:
        """One look that reads on until it has enough."""
        wanted = count * WINDOW_ROWS
        if self._estimate <= wanted:
            return None
        some = sa.select(*self._cells).select_from(self._table)
        some = some.where(sa.func.rand() < wanted / self._estimate).limit(wanted)
        return [lambda: self._access.read(lambda connection: connection.execute(some).all())]


def paces() -> Iterator[Pace]:
    """For each batch its pace; it learns from the time that a batch takes until the next one is asked for."""
    pace = Pace(BATCH_ROWS, seconds=0.2)
    while True:
        started, rows = time.monotonic(), pace.rows
        yield pace
        pace.took(rows, time.monotonic() - started, 1)
