"""Blocks on MariaDB and MySQL: an aggregate hands out the cells of a batch as one value, and a swap sends them back."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.stores.blocks import Aggregate, GridBlocks
from rotation.stores.columns import TargetCells
from rotation.stores.mysql.catalog import as_bytes, is_binary, quote

LONGEST = 16 * 1024 * 1024
"""Bytes that the server puts together; beyond them it would cut without an error."""


class MySQLBlocks(GridBlocks):
    """For a key of one whole number. A batch of keys with gaps or of several lengths is read by rows."""

    def __init__(self, cells: TargetCells) -> None:
        key, cell = _named(cells.key[0]), _named(cells.qualified.column)
        schema = f"{_named(cells.qualified.schema)}." if cells.qualified.schema else ""
        self._binary = is_binary(cells.kind)
        place = f"({key} - %(first)s) * %(size)s + 1, %(size)s"
        new = f"SUBSTRING(%(new)s, {place})"
        new = new if self._binary else f"CONVERT({new} USING utf8mb4)"
        held = cell if self._binary else as_bytes(cell)
        sets = ", ".join([f"{cell} = {new}", *cells.sets_as_text(_named)])
        super().__init__(
            f"UPDATE {schema}{_named(cells.qualified.table)} SET {sets} "  # noqa: S608 - quoted names
            f"WHERE {key} BETWEEN %(first)s AND %(last)s AND {held} = SUBSTRING(%(old)s, {place})"
        )

    @staticmethod
    def serves(cells: TargetCells) -> bool:
        """True if there are blocks for such cells."""
        return len(cells.key) == 1 and isinstance(cells.key_kinds[0], sa.Integer)

    def aggregate(self, key: ColumnElement[Any], cell: ColumnElement[Any], largest: int) -> Aggregate:
        """Any cell that is not too large; the key's type says that it is a number."""
        del key
        size = sa.func.octet_length(cell)
        fitting = sa.case((size <= largest, cell)).op("SEPARATOR")(sa.literal_column("''"))
        return Aggregate(size, sa.func.group_concat(fitting))


def _named(name: str) -> str:
    # A percent sign in it is no parameter.
    return quote(name).replace("%", "%%")
