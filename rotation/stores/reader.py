"""The rows of a target, in the order of their keys, and the conditions that follow keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import compress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ClauseElement, ColumnElement

from rotation.model.batch import BATCH_BYTES, LARGE_CELL, LARGEST_CELL, Batch, weight_of
from rotation.model.counts import RowKey
from rotation.model.failures import StoreError
from rotation.model.report import row_in_words
from rotation.stores.blocks import LEAST_ROWS, in_blocks
from rotation.stores.columns import AsRead
from rotation.stores.connection import Line
from rotation.stores.opened_table import OpenedTable
from rotation.stores.servers import Fact

AROUND = 64
"""Bytes around a cell in a server's message, at most."""
MOST_READ = "that are read of a cell: have the application store less in one, or move it itself"
JUMPS = 8
"""Blocks of a shard to look into before a whole scan."""


class Reader(OpenedTable):
    """The table of a target, and what is read of it. Every method raises StoreError if the database fails for good."""

    @property
    def retries(self) -> int:
        """The number of repeated tries so far."""
        return self._access.retries

    @property
    def line(self) -> Line:
        """The line to the server: while something is on its way, nobody waits for this run."""
        return self._access.link.line

    def servers(self) -> set[Fact]:
        """The facts of the servers that it was led to since the last call."""
        return self._access.link.servers()

    def keyless(self) -> int:
        """The number of rows that hold something and have a NULL in their key: no comparison finds them again.

        No key says which shard such a row is in; the first shard counts them all.
        """
        if not self._cells.nullable_key or (self._shard and self._shard.index):
            return 0
        missing = sa.not_(self._named)
        count = sa.select(sa.func.count()).select_from(self._table)
        query = count.where(missing, self._column.is_not(None), self._of_all_shards)
        return int(self._access.read(partial(sa.Connection.scalar, statement=query)) or 0)

    def key_after(self, after: RowKey | None, rows: int) -> RowKey | None:
        """The key of the row that is *rows* behind *after*; None if there are fewer."""
        query = sa.select(*self._key).where(self._rows, self._named, *self._within(after, None))
        found = self._access.read(
            lambda connection: connection.execute(query.order_by(*self._key).offset(rows - 1).limit(1)).first()
        )
        return None if found is None else tuple(found)

    def read(self, after: RowKey | None, upto: RowKey | None, limit: int) -> Batch:
        """The next rows in the order of their keys: behind *after*, up to and with *upto*.

        At most *limit*, fewer if they are large, none only if none is left. A large cell is fetched by itself.
        """
        batch = Batch((), ())
        if self._shard and self._in_blocks and after is not None:
            # A jump from block to block reads nothing of others. If blocks are sparse the condition in SQL does it.
            for _ in range(JUMPS):
                start, end = self._shard.block_behind(after[0])
                if upto is not None and start >= upto[0]:
                    return batch
                last = (end if upto is None else min(end, upto[0]),)
                found = self._read((start,), last, limit - batch.rows)
                batch = batch.plus(found)
                if batch.rows >= limit or batch.weight > BATCH_BYTES // 2:
                    return batch
                after = found.last or last
        rest = self._read(after, upto, limit - batch.rows)
        return batch.plus(rest) if batch.rows else rest

    def too_heavy(self, after: RowKey | None) -> StoreError:
        """The error for the row behind *after*, for which this process lacks memory. Raises StoreError."""
        key = self.key_after(after, 1)
        row = "" if key is None else " of " + row_in_words(self.key_names(), key)
        return self._access.permanent(f"this process has not enough memory for the cell{row}; give it more")

    def _read(self, after: RowKey | None, upto: RowKey | None, limit: int) -> Batch:
        # Bytes of a cell that is fetched together with others.
        largest = min(LARGE_CELL, 2 * BATCH_BYTES // limit)
        conditions = [self._rows, self._named, *self._within(after, upto)]
        if self._blocks and limit >= LEAST_ROWS:
            query = sa.select(*self._key, self._cell).where(*conditions).order_by(*self._key).limit(limit)
            found = self._access.read(partial(self._blocks.read, query=query, largest=largest), self._mode)
            if found is not None and found.weight <= BATCH_BYTES:
                return found
        batch = self._read_rows(conditions, limit, largest)
        return in_blocks(batch) if self._blocks and len(batch.keys) >= LEAST_ROWS else batch

    def read_pages(self, start: int, end: int, limit: int) -> Batch | None:
        """The cells of the pages from *start* on and before *end*, about *limit* rows, by `BlockAccess.read_pages`."""
        assert self._blocks is not None  # noqa: S101 - for the type checker: `Store.pages` gave none otherwise
        largest = min(LARGE_CELL, 2 * BATCH_BYTES // limit)
        return self._access.read(partial(self._blocks.read_pages, start=start, end=end, largest=largest))

    def _read_rows(self, conditions: Sequence[ColumnElement[bool]], limit: int, largest: int) -> Batch:
        size = self._size
        large = size > largest
        misfit = [] if self._misfit is None else [self._misfit]
        index = [] if self._index is None else [self._index]
        salts = [self._table.c[name] for name in self._salts]
        query = (
            sa.select(*self._key, sa.case((large, None), else_=self._cell), sa.case((large, size)))
            .add_columns(*salts, *index, *misfit)
            .where(*conditions)
            .order_by(*self._key)
            .limit(limit)
        )
        found = self._access.read(partial(self._dialect.fetch_all, query=query), self._mode)
        if not found:
            return Batch((), ())
        columns = list(zip(*found, strict=True))
        misfits = columns.pop() if misfit else ()
        indexes = columns.pop() if index else ()
        salt_values = list(zip(*columns[len(columns) - len(salts) :], strict=True)) if salts else []
        *key, cells, sizes = columns[: len(columns) - len(salts)]
        keys = list(zip(*key, strict=True))
        batch = Batch(keys, cells, misfits=frozenset(compress(keys, misfits)), indexes=indexes, salts=salt_values)
        return batch if not any(sizes) and weight_of(cells) <= BATCH_BYTES else self._with_large(batch, sizes)

    def holder(self, index: str, key: RowKey) -> RowKey | None:
        """The key of a row, other than that of *key*, with the blind index *index*; None if there is none."""
        assert self._index is not None  # noqa: S101 - for the type checker: the target has an index
        others = sa.not_(same_key(self._key, self._parts(key)))
        query = sa.select(*self._key).where(self._index == sa.literal(index, AsRead()), others).limit(1)
        found = self._access.read(lambda connection: connection.execute(query).first())
        return None if found is None else tuple(found)

    def _open(self, sample: int | None) -> None:
        super()._open(sample)
        # Blocks hold tokens of one length. With triggers, companions, an index or salts each row is looked at.
        by_rows = self._triggers or self._reads_beside or self._salts or not self._cells.of_tokens
        blocks = None if by_rows else self._dialect.blocks
        self._blocks = blocks(self._cells) if blocks and blocks.serves(self._cells) else None

    def _parts(self, key: RowKey) -> list[Any]:
        # A whole number is sent as it was read.
        return [part if type(part) is int else self._dialect.sendable(part) for part in key]

    def _within(self, after: RowKey | None, upto: RowKey | None) -> Iterator[ColumnElement[bool]]:
        if after is not None:
            yield beyond(self._key, self._parts(after))
        if upto is not None:
            yield sa.not_(beyond(self._key, self._parts(upto)))

    def _with_large(self, batch: Batch, sizes: Iterable[int | None]) -> Batch:
        """The first rows, up to BATCH_BYTES, with the cells that were not fetched with the others, of these *sizes*."""
        cells, oversized, weight = list[Any](), list[tuple[RowKey, str]](), 0
        for key, cell, size in zip(batch.keys, batch.cells, sizes, strict=True):
            if cells and weight + (size or weight_of([cell])) > BATCH_BYTES:
                break
            alone, too_large = self._alone(key) if size else (cell, None)
            cells.append(alone)
            weight += weight_of([alone])
            if too_large is not None:
                oversized.append((key, f"its {too_large:,} bytes are more than the {self._most_read:,} {MOST_READ}"))
        read = batch.part(0, len(cells))._replace(cells=cells)
        if not oversized:
            return read
        return read.without({key for key, _ in oversized})._replace(oversized=oversized, end=read.last)

    def _alone(self, key: RowKey) -> tuple[Any, int | None]:
        """The cell of one row; None, and its size, if it is too large."""
        size = self._size
        held = sa.case((size <= self._most_read, self._cell))
        found = self._access.read(
            lambda connection: connection.execute(
                sa.select(held, size).where(same_key(self._key, self._parts(key)))
            ).first()
        )
        if found is None or found[0] is not None or found[1] is None:
            return (None if found is None else found[0]), None
        return None, found[1]

    @property
    def _most_read(self) -> int:
        """The most bytes of a cell that is read. The largest message of a server has some bytes around it."""
        return LARGEST_CELL if self._largest is None else min(LARGEST_CELL, self._largest - AROUND)


def beyond(columns: Sequence[ColumnElement[Any]], key: Sequence[Any]) -> ColumnElement[bool]:
    """True for a row after *key*: `a >= x AND (a > x OR (a = x AND b > y))`.

    The row-value form `(a, b) > (x, y)` reads the whole index on MariaDB.
    """
    column, part = columns[0], _value(key[0])
    if len(columns) == 1:
        last: ColumnElement[bool] = column > part
        return last
    rest = beyond(columns[1:], key[1:])
    return sa.and_(column >= part, sa.or_(column > part, sa.and_(column == part, rest)))


def same_key(columns: Sequence[ColumnElement[Any]], key: Sequence[Any]) -> ColumnElement[bool]:
    """True for the row of *key*."""
    return sa.and_(*(column == _value(part) for column, part in zip(columns, key, strict=True)))


def between(column: ColumnElement[Any], start: Any, end: Any) -> list[ColumnElement[bool]]:
    """The conditions that *column* is from *start* on and before *end*; None is open."""
    from_start = [] if start is None else [column >= _value(start)]
    return [*from_start, *([] if end is None else [column < _value(end)])]


def _value(part: Any) -> Any:
    # SQLAlchemy has words of its own for True, False and None.
    return part if isinstance(part, ClauseElement) else sa.literal(part, AsRead())
