"""Blocks on SQLite: an aggregate hands out the cells of a batch as one text, and a swap sends them back."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from rotation.model.batch import Batch
from rotation.model.block import BlockSwap
from rotation.stores.blocks import Rows, Swapped, TrialRuns, as_block, on_a_grid
from rotation.stores.columns import TargetCells


class SQLiteBlocks:
    """For a key of one column. A batch of other than numbers without gaps and texts of one length is read by rows."""

    is_bare = False

    def __init__(self, cells: TargetCells) -> None:
        quoted = sqlite.dialect().identifier_preparer
        table = cells.clause()
        key, cell = (quoted.quote(table.c[name].name) for name in (cells.key[0], cells.qualified.column))
        place = f"({key} - :first) * :size + 1, :size"
        self._swap = (
            f"UPDATE {quoted.format_table(table)} SET {cell} = CAST(substr(:new, {place}) AS TEXT) "  # noqa: S608 - quoted
            f"WHERE {key} >= :first AND {key} <= :last AND typeof({key}) = 'integer' "
            f"AND {cell} COLLATE BINARY = CAST(substr(:old, {place}) AS TEXT)"
        )
        self._trials = TrialRuns()

    @staticmethod
    def serves(cells: TargetCells) -> bool:
        """Whether there are blocks for such cells."""
        return len(cells.key) == 1

    def read(self, connection: sa.Connection, rows: Rows) -> Batch | None:
        """All of them as one block."""
        return self._trials.run(lambda: self._read(connection, rows))

    def _read(self, connection: sa.Connection, rows: Rows) -> Batch | None:
        key, cell = list(rows.query.subquery().c)
        # Without a look at the text itself, where SQLite can.
        size = sa.func.octet_length(cell) if sqlite3.sqlite_version_info >= (3, 43) else sa.func.length(cell)
        # What does not fit is left out, and then the text is too short.
        fits = sa.and_(size <= rows.largest, sa.func.typeof(cell) == "text", sa.func.typeof(key) == "integer")
        whole = sa.func.group_concat(sa.case((fits, cell)), "")
        columns = (sa.func.count(), sa.func.min(key), sa.func.max(key), sa.func.max(size))
        return as_block(*connection.execute(sa.select(*columns, whole)).one())

    def swap(self, connection: sa.Connection, swaps: Sequence[BlockSwap]) -> Swapped:
        """On a grid of keys."""
        return Swapped([self._swap_one(connection, swap) for swap in swaps])

    def _swap_one(self, connection: sa.Connection, swap: BlockSwap) -> int | None:
        grid = on_a_grid(swap)
        if grid is None:
            return None
        first, last, old, new = grid
        values = {"first": first, "last": last, "old": old, "new": new, "size": swap.block.size}
        return connection.exec_driver_sql(self._swap, values).rowcount
