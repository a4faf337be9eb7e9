"""Reads of a target: its rows in the order of their keys, and what else is asked of its cells before a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from keyring_core.blind_index import SHAPE
from keyring_core.tokens import BEGINNING, token_length
from rotation.model.batch import Batch, weight_of
from rotation.model.counts import RowKey
from rotation.stores.blocks import LEAST_ROWS, BlockQuery, in_blocks
from rotation.stores.cells import LARGE_CELL
from rotation.stores.columns import AsRead, free_column
from rotation.stores.open_table import BATCH_BYTES, OpenTable
from rotation.stores.row_keys import beyond, same_key

JUMPS = 8
"""Blocks of a shard to look into before a whole scan."""
LOOKED_AT = 1000
"""Rows among which a column's first value is looked for, unless all are read anyway."""


class Reader(OpenTable):
    """Reads the rows of a target, in blocks if the database can hand them out so."""

    def keyless(self) -> int:
        """The number of rows that hold something and have a NULL in their key: no comparison finds them again.

        No key says which shard such a row is in; the first shard counts them all.
        """
        if not self._cells.nullable_key or (self._shard and self._shard.index):
            return 0
        missing = sa.not_(self._named)
        count = sa.select(sa.func.count()).select_from(self._table)
        return int(self._scalar(count.where(missing, self._column.is_not(None), self._of_all_shards)) or 0)

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

    def _read(self, after: RowKey | None, upto: RowKey | None, limit: int) -> Batch:
        largest = min(LARGE_CELL, 4 * BATCH_BYTES // limit)
        conditions = [self._rows, self._named, *self._within(after, upto)]
        if self._blocks and limit >= LEAST_ROWS:
            query = sa.select(*self._key, self._cell).where(*conditions).order_by(*self._key).limit(limit)
            rows, access = BlockQuery(query, largest), self._blocks
            found = self._access.read(lambda connection: access.read(connection, rows))
            if found is not None and found.weight <= BATCH_BYTES:
                return found
        batch = self._read_rows(conditions, limit, largest)
        return in_blocks(batch) if self._blocks else batch

    def _read_rows(self, conditions: Sequence[ColumnElement[bool]], limit: int, largest: int) -> Batch:
        large = self._dialect.length(self._cell) > largest
        misfit = [] if self._misfit is None else [self._misfit]
        index = [] if self._index is None else [self._index]
        query = (
            sa.select(*self._key, sa.case((large, None), else_=self._cell), large, *index, *misfit)
            .where(*conditions)
            .order_by(*self._key)
            .limit(limit)
        )
        found = self._access.read(lambda connection: self._dialect.fetch_all(connection, query))
        if not found:
            return Batch((), ())
        columns = list(zip(*found, strict=True))
        misfits = columns.pop() if misfit else ()
        indexes = columns.pop() if index else ()
        *key, cells, are_large = columns
        keys = list(zip(*key, strict=True))
        batch = Batch(keys, cells, misfits=frozenset(compress(keys, misfits)), indexes=indexes)
        return batch if not any(are_large) and weight_of(cells) <= BATCH_BYTES else self._with_large(batch, are_large)

    def blind_indexes(self, *, of_all_rows: bool) -> list[str]:
        """Of the columns that are as wide as a blind index, those in which the first value looks like one."""
        values = ((name, self._first_value(name, of_all_rows=of_all_rows)) for name in self._cells.like_index)
        return [name for name, value in values if SHAPE.fullmatch(str(value))]

    def _first_value(self, name: str, *, of_all_rows: bool) -> object:
        value, rows = free_column(name), sa.select(free_column(name)).select_from(self._table)
        if of_all_rows:
            return self._scalar(rows.where(value.is_not(None)).limit(1))
        first = rows.limit(LOOKED_AT).subquery()
        return self._scalar(sa.select(value).select_from(first).where(value.is_not(None)).limit(1))

    def lacks_room(self, longest: Callable[[int], int]) -> str | None:
        """By the column's declared size and its longest cell that does not begin as a token does."""
        room = self._dialect.room(self._cells.kind)
        if room is None:
            return None
        size = sa.func.octet_length(self._dialect.exactly(self._column, self._cells.kind))
        others = sa.func.left(self._column, len(BEGINNING)) != sa.literal(BEGINNING, AsRead())
        held = int(self._scalar(sa.select(sa.func.max(size)).where(self._rows, others)) or 0)
        needed = token_length(longest(held))
        if held == 0 or needed <= room:
            return None
        return (
            f"{self._target.label}: the column holds {room} characters, and the token of its longest value needs up to "
            f"{needed}. Widen the column first, to {needed} characters or more"
        )

    def _within(self, after: RowKey | None, upto: RowKey | None) -> Iterator[ColumnElement[bool]]:
        if after is not None:
            yield beyond(self._key, self._parts(after))
        if upto is not None:
            yield sa.not_(beyond(self._key, self._parts(upto)))

    def _with_large(self, batch: Batch, are_large: Iterable[bool]) -> Batch:
        """The first rows, up to BATCH_BYTES, with what was too large to be fetched with the others."""
        cells: list[Any] = []
        weight = 0
        for key, cell, is_large in zip(batch.keys, batch.cells, are_large, strict=True):
            alone = sa.select(self._cell).where(same_key(self._key, self._parts(key))) if is_large else None
            cells.append(cell if alone is None else self._scalar(alone))
            weight += weight_of(cells[-1:])
            if weight > BATCH_BYTES:
                break
        return batch._replace(keys=batch.keys[: len(cells)], cells=cells, indexes=batch.indexes[: len(cells)])
