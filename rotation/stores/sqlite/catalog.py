"""The tables of an SQLite file, and the way to search it: any column may hold any value, and most rows are numbered."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, ClassVar
from zlib import crc32

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.stores.catalog import Catalog
from rotation.stores.cells import SearchedColumn, TableEntry
from rotation.stores.columns import QualifiedName, UniqueColumn, free_column
from rotation.stores.sqlite.other_writers import file_number
from rotation.stores.table_readers import KeylessReader, KeyReader, TableReader, TableSource

OWN = frozenset({"sqlite_sequence", "sqlite_stat1", "sqlite_stat2", "sqlite_stat3"})
"""SQLite's own tables, which hold names and numbers. Not sqlite_stat4: it holds pieces of cells."""
ROW_NUMBERS = ("rowid", "_rowid_", "oid")
COLUMNS = sa.text("SELECT name FROM pragma_table_xinfo(:table) WHERE hidden <> 1 ORDER BY cid")


class SQLiteCatalog(Catalog):
    """No transaction is held open: in a rollback journal a reader keeps every writer waiting."""

    has_snapshots: ClassVar[bool] = False
    piece: ClassVar[int | None] = None

    def table_identity(self, connection: sa.Connection, qualified: QualifiedName) -> str | None:
        """The number of the file."""
        del qualified
        return file_number(connection)

    def unique_columns(self, connection: sa.Connection, qualified: QualifiedName) -> list[UniqueColumn]:
        """A column's own collation is in no catalog, so each index reports its own."""
        found = sa.text(
            "SELECT i.name, c.name, c.coll FROM pragma_index_list(:table, :schema) i"
            " JOIN pragma_index_xinfo(i.name, :schema) c"
            ' WHERE i."unique" AND NOT i.partial AND c."key" ORDER BY i.seq, c.seqno'
        )
        rows = connection.execute(found, {"table": qualified.table, "schema": qualified.schema})
        return [UniqueColumn(*row) for row in rows]

    def triggers(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """UPDATE triggers."""
        catalog = sa.table(
            "sqlite_master", *map(sa.column, ("type", "name", "tbl_name", "sql")), schema=qualified.schema
        )
        query = sa.select(catalog.c.name, catalog.c.sql).where(
            catalog.c.type == sa.literal("trigger"),
            sa.func.lower(catalog.c.tbl_name) == sa.func.lower(qualified.table),
        )
        return [f"trigger {name}" for name, sql in connection.execute(query) if _fires_on_update(sql)]

    def referrers(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """SQLite knows a table's own foreign keys only, so each table is asked."""
        found = sa.text(
            "SELECT m.name FROM sqlite_master m, pragma_foreign_key_list(m.name) k WHERE m.type = 'table'"
            ' AND lower(k."table") = lower(:table) AND lower(k."to") = lower(:column)'
        )
        return list(connection.scalars(found, {"table": qualified.table, "column": qualified.column}))

    def identity(self, connection: sa.Connection) -> tuple[object, ...] | None:
        """The file, however it was named."""
        path = connection.scalar(sa.text("SELECT file FROM pragma_database_list WHERE name = 'main'"))
        with suppress(OSError, TypeError):
            found = os.stat(path)
            return found.st_dev, found.st_ino
        return None

    def entries(self, connection: sa.Connection) -> list[TableEntry]:
        """Of the file itself: no other file is attached."""
        names = connection.scalars(sa.text("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"))
        return [TableEntry(None, name, plain=True) for name in names if name not in OWN]

    def columns(self, connection: sa.Connection, entry: TableEntry) -> list[SearchedColumn]:
        """Generated ones too. The hidden columns of a virtual table only take its arguments."""
        return [SearchedColumn(name) for name in connection.scalars(COLUMNS, {"table": entry.table})]

    def marks(self, connection: sa.Connection, marks: Sequence[bytes]) -> Sequence[bytes]:
        """As the file holds them: its texts may be UTF-16."""
        encoding = str(connection.scalar(sa.text("PRAGMA encoding")))
        if encoding == "UTF-8":
            return marks
        return [*marks, *(mark.decode().encode(encoding) for mark in marks if mark.isascii())]

    def haystack(self, column: sa.ColumnClause[Any], kind: SearchedColumn) -> ColumnElement[Any]:
        """As it is."""
        del kind
        return column

    def is_marked(
        self, haystack: ColumnElement[Any], kind: SearchedColumn, marks: Collection[bytes]
    ) -> ColumnElement[bool]:
        """Searches all its bytes, also those after a NUL."""
        del kind
        sought = _table_of(tuple(marks))
        found = sa.func.instr(sa.cast(haystack, sa.LargeBinary), sought.c.mark) > 0
        return sa.exists(sa.select(sa.literal_column("1")).select_from(sought).where(found))

    def length(self, column: sa.ColumnClause[Any], haystack: ColumnElement[Any]) -> ColumnElement[int]:
        """In bytes: letters of a text are counted only up to a NUL."""
        del column
        return sa.func.length(sa.cast(haystack, sa.LargeBinary))

    def whole(self, source: TableSource) -> TableReader:
        """By the number of a row if it has one: that has few gaps, and is never NULL."""
        taken = {name.lower() for (name,) in source.reads.read(COLUMNS.bindparams(table=source.entry.table))}
        free = [name for name in ROW_NUMBERS if name not in taken]
        for name in free:
            # Not quoted: SQLite takes a quoted name that is no column for a text.
            number: ColumnElement[Any] = sa.literal_column(name)
            if source.takes(sa.select(number).select_from(source.table).limit(1)):
                return KeyReader(source, [number])
        if source.key and free:
            # WITHOUT ROWID, so no part of its key is NULL.
            return KeyReader(source, [free_column(name) for name in source.key])
        return KeylessReader(source, int(source.first(sa.select(sa.func.count()).select_from(source.table)) or 0))


def _fires_on_update(sql: str) -> bool:
    event = re.search(r"\b(DELETE|INSERT|UPDATE(?:\s+OF\b.*?)?)\s+ON\b", sql, re.DOTALL | re.IGNORECASE)
    return event is None or event[1].upper().startswith("UPDATE")


@cache
def _table_of(marks: tuple[bytes, ...]) -> sa.CTE:
    """The marks, once a statement: repeated for each column of a wide table they would be too many parameters."""
    column, name = sa.column("mark", sa.LargeBinary), f"marks_{crc32(b''.join(marks)):x}"
    return sa.values(column, name=name).data([(mark,) for mark in marks]).cte(name)
