"""The column of a target's blind index: read beside the cells, and set where it does not belong to its cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.model.counts import RowKey
from rotation.stores.access import Access, RowRefusedError
from rotation.stores.base import IndexValue, Written
from rotation.stores.columns import AsRead, TargetCells
from rotation.stores.key_order import same_key


class IndexColumn:
    """Writes the index column of one target."""

    def __init__(
        self, name: str, cells: TargetCells, table: sa.TableClause, access: Access, parts: Callable[[RowKey], list[Any]]
    ) -> None:
        """The column *name* of *table*; *parts* makes what can be sent of a row's key."""
        self._cells, self._table, self._access, self._parts = cells, table, access, parts
        self.column: ColumnElement[Any] = table.c[name]

    def write(self, values: Sequence[IndexValue]) -> Written:
        """Sets each index whose cell is still the same. One transaction, if the database takes all of it."""
        try:
            return self._access.write(lambda connection: self._set(connection, values))
        except RowRefusedError as error:
            refusal = error.category, error.reason
        if len(values) == 1:
            return Written(refused={values[0].key: refusal})
        self._access.breathe()
        half = len(values) // 2
        written = self.write(values[:half])
        written.add(self.write(values[half:]))
        return written

    def _set(self, connection: sa.Connection, values: Sequence[IndexValue]) -> Written:
        written = Written()
        for value in values:
            if connection.execute(self._update(value)).rowcount == 0:
                written.lost.add(value.key)
        return written

    def _update(self, value: IndexValue) -> sa.Update:
        cell = self._table.c[self._cells.qualified.column]
        as_read = self._access.dialect.exactly(cell, self._cells.kind)
        sent = sa.literal(value.cell, AsRead())
        is_unchanged = cell.is_(None) if value.cell is None else as_read == sent
        found = same_key(self._cells.keys(self._table), self._parts(value.key))
        sets = {self.column: sa.literal(value.wanted, AsRead()), **self._cells.sets(self._table)}
        return sa.update(self._table).where(found, is_unchanged).values(sets)
