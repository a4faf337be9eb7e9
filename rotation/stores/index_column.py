"""The column of a target's blind index: read beside the cells, and set where it does not belong to its cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.stores.base import IndexValue
from rotation.stores.columns import AsRead, TargetCells
from rotation.stores.dialect import Dialect
from rotation.stores.key_order import same_key


class IndexColumn:
    """The index column of one target, and the statements that set it."""

    def __init__(self, name: str, cells: TargetCells, table: sa.TableClause, dialect: Dialect) -> None:
        """The column *name* of *table*."""
        self._cells, self._table, self._dialect = cells, table, dialect
        self.column: ColumnElement[Any] = table.c[name]

    def update(self, value: IndexValue, key: Sequence[Any]) -> sa.Update:
        """Sets the index of the row with that *key*, as it can be sent, if its cell is still the same."""
        cell = self._table.c[self._cells.qualified.column]
        as_read = self._dialect.exactly(cell, self._cells.kind)
        sent = sa.literal(value.cell, AsRead())
        is_unchanged = cell.is_(None) if value.cell is None else as_read == sent
        found = same_key(self._cells.keys(self._table), key)
        sets = {self.column: sa.literal(value.wanted, AsRead()), **self._cells.sets(self._table)}
        return sa.update(self._table).where(found, is_unchanged).values(sets)
