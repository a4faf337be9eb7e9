"""How an SQLite file is looked through: any column may hold any value, and most rows are numbered."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.discovery.catalogs import Catalog, Column, TableEntry
from rotation.discovery.reads import Cells, Reads
from rotation.discovery.table_readers import KeylessReader, KeyReader, TableReader
from rotation.model.inner_tokens import MARKS
from rotation.stores.access import Access
from rotation.stores.columns import free_column

OWN = frozenset({"sqlite_sequence", "sqlite_stat1", "sqlite_stat2", "sqlite_stat3"})
"""SQLite's own tables, which hold names and numbers. What sqlite_stat4 holds are pieces of cells."""
ROW_NUMBERS = ("rowid", "_rowid_", "oid")


class SQLiteCatalog(Catalog):
    """No transaction is table: in a rollback journal a reader keeps every writer waiting."""

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
        """Of the file itself; nothing is attached."""
        names = connection.scalars(sa.text("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"))
        return [TableEntry(None, name, plain=True) for name in names if name not in OWN]

    def columns(self, connection: sa.Connection, entry: TableEntry) -> list[Column]:
        """Generated ones too. A virtual table's hidden ones are ways to ask it."""
        found = sa.text("SELECT name FROM pragma_table_xinfo(:table) WHERE hidden <> 1 ORDER BY cid")
        return [Column(name) for name in connection.scalars(found, {"table": entry.table})]

    def marks(self, connection: sa.Connection) -> Sequence[bytes]:
        """As the file holds them: its texts may be UTF-16."""
        encoding = str(connection.scalar(sa.text("PRAGMA encoding")))
        if encoding == "UTF-8":
            return MARKS
        return [*MARKS, *(mark.decode().encode(encoding) for mark in MARKS if mark.isascii())]

    def haystack(self, column: sa.ColumnClause[Any], kind: Column) -> ColumnElement[Any]:
        """As it is."""
        del kind
        return column

    def is_marked(self, haystack: ColumnElement[Any], kind: Column, marks: Collection[bytes]) -> ColumnElement[bool]:
        """In its bytes, also behind a NUL."""
        del kind
        sought = _table_of(tuple(marks))
        found = sa.func.instr(sa.cast(haystack, sa.LargeBinary), sought.c.mark) > 0
        return sa.exists(sa.select(sa.literal_column("1")).select_from(sought).where(found))

    def length(self, column: sa.ColumnClause[Any], haystack: ColumnElement[Any]) -> ColumnElement[int]:
        """Of its bytes: a text's letters are counted up to a NUL."""
        del column
        return sa.func.length(sa.cast(haystack, sa.LargeBinary))

    def whole(self, access: Access, reader: Reads, entry: TableEntry, key: Sequence[str], cells: Cells) -> TableReader:
        """By the number of a row where it has one: it has no gaps to speak of, and is never NULL."""
        table = self.source(entry)
        taken = {column.name.lower() for column in access.read(lambda connection: self.columns(connection, entry))}
        free = [name for name in ROW_NUMBERS if name not in taken]
        for name in free:
            # Not quoted: a quoted name that is not there is a text.
            number: ColumnElement[Any] = sa.literal_column(name)
            probe = sa.select(number).select_from(table).limit(1)
            tried = access.attempt(lambda connection, probe=probe: connection.execute(probe).all())  # type: ignore[misc]
            if isinstance(tried, list):
                return KeyReader(reader, access.dialect, table, [number], cells.columns)
        if key and free:
            # WITHOUT ROWID, so that no part of its key is NULL.
            return KeyReader(reader, access.dialect, table, [free_column(name) for name in key], cells.columns)
        count = access.read(lambda connection: connection.scalar(sa.select(sa.func.count()).select_from(table)))
        return KeylessReader(reader, table, cells, chance=access.dialect.chance(), estimate=int(count or 0))


@cache
def _table_of(marks: tuple[bytes, ...]) -> sa.CTE:
    """The marks once a statement: for each column of a wide table anew they would be too many parameters."""
    column = sa.column("mark", sa.LargeBinary)
    return sa.values(column, name="marks").data([(mark,) for mark in marks]).cte("marks")
