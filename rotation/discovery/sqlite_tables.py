"""How an SQLite file is searched: any column may hold any value, and most rows are numbered."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, ClassVar
from zlib import crc32

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.discovery.catalogs import Catalog
from rotation.discovery.table_readers import KeylessReader, KeyReader, Source, TableReader
from rotation.discovery.tables import Column, TableEntry
from rotation.stores.columns import free_column

OWN = frozenset({"sqlite_sequence", "sqlite_stat1", "sqlite_stat2", "sqlite_stat3"})
"""SQLite's own tables, which hold names and numbers. Not sqlite_stat4: it holds pieces of cells."""
ROW_NUMBERS = ("rowid", "_rowid_", "oid")


class SQLiteCatalog(Catalog):
    """No transaction is held open: in a rollback journal a reader keeps every writer waiting."""

    has_snapshots: ClassVar[bool] = False
    piece: ClassVar[int | None] = None

    def identity(self, connection: sa.Connection) -> tuple[object, ...] | None:
        """The file, however it was named."""
        path = connection.scalar(sa.text("SELECT file FROM pragma_database_list WHERE name = 'main'"))
        with suppress(OSError, TypeError):
            found = os.stat(path)
            return found.st_dev, found.st_ino
        return None

    def tables(self, connection: sa.Connection) -> list[TableEntry]:
        """Of the file itself: no other file is attached."""
        names = connection.scalars(sa.text("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"))
        return [TableEntry(None, name, plain=True) for name in names if name not in OWN]

    def columns(self, connection: sa.Connection, entry: TableEntry) -> list[Column]:
        """Generated ones too. The hidden columns of a virtual table only take its arguments."""
        found = sa.text("SELECT name FROM pragma_table_xinfo(:table) WHERE hidden <> 1 ORDER BY cid")
        return [Column(name) for name in connection.scalars(found, {"table": entry.table})]

    def marks(self, connection: sa.Connection, marks: Sequence[bytes]) -> Sequence[bytes]:
        """As the file holds them: its texts may be UTF-16."""
        encoding = str(connection.scalar(sa.text("PRAGMA encoding")))
        if encoding == "UTF-8":
            return marks
        return [*marks, *(mark.decode().encode(encoding) for mark in marks if mark.isascii())]

    def haystack(self, column: sa.ColumnClause[Any], kind: Column) -> ColumnElement[Any]:
        """As it is."""
        del kind
        return column

    def is_marked(self, haystack: ColumnElement[Any], kind: Column, marks: Collection[bytes]) -> ColumnElement[bool]:
        """Searches all its bytes, also those after a NUL."""
        del kind
        sought = _table_of(tuple(marks))
        found = sa.func.instr(sa.cast(haystack, sa.LargeBinary), sought.c.mark) > 0
        return sa.exists(sa.select(sa.literal_column("1")).select_from(sought).where(found))

    def length(self, column: sa.ColumnClause[Any], haystack: ColumnElement[Any]) -> ColumnElement[int]:
        """In bytes: letters of a text are counted only up to a NUL."""
        del column
        return sa.func.length(sa.cast(haystack, sa.LargeBinary))

    def whole(self, source: Source) -> TableReader:
        """By the number of a row if it has one: that has few gaps, and is never NULL."""
        names = source.access.read(lambda connection: self.columns(connection, source.entry))
        taken = {column.name.lower() for column in names}
        free = [name for name in ROW_NUMBERS if name not in taken]
        for name in free:
            # Not quoted: SQLite takes a quoted name that is no column for a text.
            number: ColumnElement[Any] = sa.literal_column(name)
            probe = sa.select(number).select_from(source.table).limit(1)
            tried = source.access.attempt(lambda connection, probe=probe: connection.execute(probe).all())  # type: ignore[misc]
            if isinstance(tried, list):
                return KeyReader(source, [number])
        if source.key and free:
            # WITHOUT ROWID, so no part of its key is NULL.
            return KeyReader(source, [free_column(name) for name in source.key])
        return KeylessReader(source, int(source.first(sa.select(sa.func.count()).select_from(source.table)) or 0))


@cache
def _table_of(marks: tuple[bytes, ...]) -> sa.CTE:
    """The marks, once a statement: repeated for each column of a wide table they would be too many parameters."""
    column, name = sa.column("mark", sa.LargeBinary), f"marks_{crc32(b''.join(marks)):x}"
    return sa.values(column, name=name).data([(mark,) for mark in marks]).cte(name)
