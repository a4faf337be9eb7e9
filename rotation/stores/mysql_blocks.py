"""Blocks on MariaDB and MySQL: an aggregate hands out the cells of a batch as one value, and a swap sends them back."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from rotation.model.batch import Batch
from rotation.model.block import BlockSwap
from rotation.stores.blocks import Rows, Swapped, TrialRuns, as_block, on_a_grid
from rotation.stores.columns import TargetCells
from rotation.stores.mysql_names import as_bytes, is_binary, quote

LONGEST = 16 * 1024 * 1024
"""Bytes that the server puts together; beyond them it would cut without an error."""


class MySQLBlocks:
    """For a key of one whole number. A batch of keys with gaps or of several lengths is read by rows."""

    is_bare = False

    def __init__(self, cells: TargetCells, kept: Sequence[str]) -> None:
        key, cell = _named(cells.key[0]), _named(cells.qualified.column)
        schema = f"{_named(cells.qualified.schema)}." if cells.qualified.schema else ""
        self._binary = is_binary(cells.kind)
        place = f"({key} - %(first)s) * %(size)s + 1, %(size)s"
        new = f"SUBSTRING(%(new)s, {place})"
        new = new if self._binary else f"CONVERT({new} USING utf8mb4)"
        held = cell if self._binary else as_bytes(cell)
        sets = ", ".join([f"{cell} = {new}", *(f"{_named(name)} = {_named(name)}" for name in kept)])
        self._swap = (
            f"UPDATE {schema}{_named(cells.qualified.table)} SET {sets} "  # noqa: S608 - quoted names
            f"WHERE {key} BETWEEN %(first)s AND %(last)s AND {held} = SUBSTRING(%(old)s, {place})"
        )
        self._trials = TrialRuns()

    @staticmethod
    def serves(cells: TargetCells) -> bool:
        """Whether there are blocks for such cells."""
        return len(cells.key) == 1 and isinstance(cells.key_kinds[0], sa.Integer)

    def read(self, connection: sa.Connection, rows: Rows) -> Batch | None:
        """All of them as one block."""
        return self._trials.run(lambda: self._read(connection, rows))

    def _read(self, connection: sa.Connection, rows: Rows) -> Batch | None:
        key, cell = list(rows.query.subquery().c)
        size = sa.func.octet_length(cell)
        # What does not fit is left out, and then the value is too short.
        whole = sa.func.group_concat(sa.case((size <= rows.largest, cell)).op("SEPARATOR")(sa.literal_column("''")))
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


def _named(name: str) -> str:
    # A percent sign in it is no parameter.
    return quote(name).replace("%", "%%")
