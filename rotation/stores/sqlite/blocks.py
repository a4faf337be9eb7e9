"""Blocks on SQLite: an aggregate hands out the cells of a batch as one text, and a swap sends them back."""

from __future__ import annotations

import sqlite3
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.elements import ColumnElement

from rotation.stores.blocks import Aggregate, GridBlocks
from rotation.stores.columns import TargetCells


class SQLiteBlocks(GridBlocks):
    """For a key of one column. A batch of other than numbers without gaps and texts of one length is read by rows."""

    def __init__(self, cells: TargetCells) -> None:
        quoted = sqlite.dialect().identifier_preparer
        table = cells.clause()
        key, cell = (quoted.quote(table.c[name].name) for name in (cells.key[0], cells.qualified.column))
        place = f"({key} - :first) * :size + 1, :size"
        super().__init__(
            f"UPDATE {quoted.format_table(table)} SET {cell} = CAST(substr(:new, {place}) AS TEXT) "  # noqa: S608 - quoted
            f"WHERE {key} >= :first AND {key} <= :last AND typeof({key}) = 'integer' "
            f"AND {cell} COLLATE BINARY = CAST(substr(:old, {place}) AS TEXT)"
        )

    @staticmethod
    def serves(cells: TargetCells) -> bool:
        """True if there are blocks for such cells."""
        return len(cells.key) == 1

    def aggregate(self, key: ColumnElement[Any], cell: ColumnElement[Any], largest: int) -> Aggregate:
        """A text in a row whose key is a number."""
        # Without a look at the text itself, where SQLite can.
        size = sa.func.octet_length(cell) if sqlite3.sqlite_version_info >= (3, 43) else sa.func.length(cell)
        fits = sa.and_(size <= largest, sa.func.typeof(cell) == "text", sa.func.typeof(key) == "integer")
        return Aggregate(size, sa.func.group_concat(sa.case((fits, cell)), ""))
