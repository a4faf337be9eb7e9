"""The statements that swap many cells at once on MariaDB and MySQL: in blocks, by JSON, or with a case for each row."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.model.batch import Swaps
from rotation.stores.blocks import GridBlocks, drivers_errors
from rotation.stores.columns import TargetCells
from rotation.stores.dialect import BatchSwap
from rotation.stores.mysql.catalog import as_bytes, is_binary, quote
from rotation.stores.watchdog import LINE

MOST_CASES = 200
"""Rows of a statement with a case for each: its time grows with their square."""
SEVERAL, ALLOWED = "rotation.several", b"\0\0"
"""The name under which a connection notes whether it sends several statements at once, and what allows them."""
UTF8 = "CHARACTER SET utf8mb4"
OLD_AND_NEW = "CAST(swap.old AS BINARY)", "swap.new"


class MySQLBlocks(GridBlocks):
    """For a key of one whole number. A batch of keys with gaps or of several lengths is read by rows.

    A swap is one statement, and so a transaction by itself, also among others that are sent with it: no row stays
    locked while its answer is on the way.
    """

    is_bare = True

    def __init__(self, cells: TargetCells) -> None:
        key, cell = _named(cells.key[0]), _named(cells.qualified.column)
        self._binary = is_binary(cells.kind)
        place = f"({key} - %(first)s) * %(size)s + 1, %(size)s"
        new = f"SUBSTRING(%(new)s, {place})"
        new = new if self._binary else f"CONVERT({new} USING utf8mb4)"
        held = cell if self._binary else as_bytes(cell)
        sets = ", ".join([f"{cell} = {new}", *cells.sets_as_text(_named)])
        super().__init__(
            f"UPDATE {_table_of(cells)} SET {sets} "  # noqa: S608 - quoted names
            f"WHERE {key} BETWEEN %(first)s AND %(last)s AND {held} = SUBSTRING(%(old)s, {place})"
        )

    @staticmethod
    def serves(cells: TargetCells) -> bool:
        """True if there are blocks for such cells."""
        return len(cells.key) == 1 and isinstance(cells.key_kinds[0], sa.Integer)

    def aggregate(
        self, key: ColumnElement[Any], cell: ColumnElement[Any], largest: int
    ) -> tuple[ColumnElement[int], ColumnElement[Any]]:
        """Any cell that is not too large; the key's type says that it is a number."""
        del key
        size = sa.func.octet_length(cell)
        fitting = sa.case((size <= largest, cell)).op("SEPARATOR")(sa.literal_column("''"))
        return size, sa.func.group_concat(fitting)

    def _execute(self, connection: sa.Connection, values: Sequence[Mapping[str, Any]]) -> list[int]:
        """In one round trip, if what answers says that it takes several statements at once."""
        driver: Any = connection.connection.driver_connection
        if len(values) < 2 or not _takes_several(connection, driver):
            return super()._execute(connection, values)
        with drivers_errors(connection), driver.cursor() as cursor:
            sent = time.perf_counter()
            cursor.execute(";".join(cursor.mogrify(self._swap, each) for each in values))
            connection.info[LINE].waited(time.perf_counter() - sent)
            # One that fails ends them, and is raised here.
            counts = [cursor.rowcount]
            while cursor.nextset():
                counts.append(cursor.rowcount)
        return counts


def _takes_several(connection: sa.Connection, driver: Any) -> bool:
    """True if several statements may be sent as one. For a connection that never sends them, that stays forbidden.

    https://mariadb.com/kb/en/com_set_option/
    """
    notes = connection.info
    if SEVERAL not in notes:
        from pymysql.constants import CLIENT, COMMAND  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra

        notes[SEVERAL] = bool(driver.server_capabilities & CLIENT.MULTI_STATEMENTS)
        if notes[SEVERAL]:
            with drivers_errors(connection):
                driver._execute_command(COMMAND.COM_SET_OPTION, ALLOWED)
                driver._read_packet()
    return bool(notes[SEVERAL])


def _named(name: str) -> str:
    # A percent sign in it is no parameter.
    return quote(name).replace("%", "%%")


def _table_of(cells: TargetCells) -> str:
    return ".".join(_named(name) for name in (cells.qualified.schema, cells.qualified.table) if name)


def batch_swap(cells: TargetCells) -> BatchSwap:
    """UPDATE joined with JSON_TABLE, for keys of integers: text would drag its collation into the join."""
    if not all(isinstance(kind, sa.Integer) for kind in cells.key_kinds) or is_binary(cells.kind):
        return _swap_by_cases(cells)

    def named(column: str) -> str:
        return f"t.{quote(column)}"

    # Tokens travel as they are; of other texts each escape would be escaped twice, so these travel as hex digits.
    in_hex = not cells.of_tokens
    old, new = ("UNHEX(swap.old)", "CONVERT(UNHEX(swap.new) USING utf8mb4)") if in_hex else OLD_AND_NEW
    cell = named(cells.qualified.column)
    names = [f"key{number}" for number in range(len(cells.key))]
    columns = [
        f"{name} BIGINT{' UNSIGNED' if getattr(kind, 'unsigned', False) else ''}"
        for name, kind in zip(names, cells.key_kinds, strict=True)
    ]
    paths = ", ".join(
        f"{column} PATH '$[{number}]'"
        # The database's own charset may know no such letter, or be one of two bytes.
        for number, column in enumerate([*columns, f"old LONGTEXT {UTF8}", f"new LONGTEXT {UTF8}"])
    )
    found = " AND ".join(f"{named(column)} = swap.{name}" for column, name in zip(cells.key, names, strict=True))
    sets = ", ".join([f"{cell} = {new}", *cells.sets_as_text(named)])
    schema = f"{quote(cells.qualified.schema)}." if cells.qualified.schema else ""
    # Every part is a quoted identifier or a type's own name; a colon in a name is no parameter.
    before = f"UPDATE {schema}{quote(cells.qualified.table)} t JOIN JSON_TABLE(".replace(":", r"\:")
    after = (f", '$[*]' COLUMNS ({paths})) swap ON {found} SET {sets} WHERE {as_bytes(cell)} = {old}").replace(
        ":", r"\:"
    )

    def sent(cell: str | bytes) -> str | bytes:
        return (cell if isinstance(cell, bytes) else cell.encode()).hex() if in_hex else cell

    def parameters(swaps: Swaps) -> dict[str, Any]:
        return {"swaps": json.dumps([[*key, sent(old), sent(new)] for key, old, new in swaps.rows()])}

    return BatchSwap(sa.text(f"{before}:swaps{after}"), parameters)


def _swap_by_cases(cells: TargetCells) -> BatchSwap:
    """UPDATE with a case for each row: each key is compared with a value as it was read, in the column's collation."""
    cell, sets = _named(cells.qualified.column), cells.sets_as_text(_named)
    held = cell if is_binary(cells.kind) else as_bytes(cell)

    @cache
    def statement(rows: int) -> str:
        found = [
            " AND ".join(f"{_named(name)} = %(key{part}_{row})s" for part, name in enumerate(cells.key))
            for row in range(rows)
        ]
        new = " ".join(f"WHEN {key} THEN %(new{row})s" for row, key in enumerate(found))
        rows_found = " OR ".join(f"({key} AND {held} = %(old{row})s)" for row, key in enumerate(found))
        return (
            f"UPDATE {_table_of(cells)} SET {', '.join([f'{cell} = CASE {new} END', *sets])} "  # noqa: S608 - quoted names
            f"WHERE {rows_found}"
        )

    def parameters(swaps: Swaps) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for row, (key, old, new) in enumerate(swaps.rows()):
            found |= {f"key{part}_{row}": value for part, value in enumerate(key)}
            found |= {f"old{row}": old, f"new{row}": new}
        return found

    return BatchSwap(statement, parameters, MOST_CASES)
