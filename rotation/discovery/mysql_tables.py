"""How a MariaDB or MySQL server is searched: a schema is a database, and a user sees only what it may read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.discovery.catalogs import Catalog
from rotation.discovery.cells import any_of
from rotation.discovery.mysql_grants import blind_spot
from rotation.discovery.table_readers import KeylessReader, KeyReader, Source, TableReader
from rotation.discovery.tables import Column, TableEntry, Unsearchable
from rotation.stores.access import Access, Refusal
from rotation.stores.columns import QualifiedName, free_column
from rotation.stores.mysql import catalog
from rotation.stores.mysql.dialect import MySQL

BYTES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "json", "enum", "set"})
NUMBERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "bit"})
TIMES = frozenset({"date", "datetime", "timestamp", "time", "year"})
SHORT = NUMBERS | TIMES | {"uuid", "inet4", "inet6", "point"}
"""Types with less room than a token needs."""

WIDE = frozenset({"ucs2", "utf16", "utf16le", "utf32"})
"""Charsets in which a letter of a token is not its ASCII byte."""

TABLES = """SELECT t.TABLE_SCHEMA, t.TABLE_NAME, COALESCE(t.TABLE_SCHEMA = DATABASE(), 0), t.TABLE_TYPE, t.ENGINE,
e.TRANSACTIONS FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
WHERE t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
AND t.TABLE_SCHEMA NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys') ORDER BY 1, 2"""
COLUMNS = """SELECT COLUMN_NAME, DATA_TYPE, PRIVILEGES, CHARACTER_SET_NAME FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = :schema AND TABLE_NAME = :table ORDER BY ORDINAL_POSITION"""


class MySQLCatalog(Catalog):
    """Rows are stored in the order of their primary key."""

    schemas_are_databases: ClassVar[bool] = True

    def identity(self, connection: sa.Connection) -> tuple[object, ...] | None:
        """The server: it shows all its databases, whichever one a url names."""
        # Two pods, or two hosts called localhost, may differ only in their server's own id.
        return (*connection.execute(sa.text("SELECT @@hostname, @@port, @@datadir")).one(), *catalog.server(connection))

    def tables(self, connection: sa.Connection) -> list[TableEntry]:
        """Of all databases that this user may read."""
        return [
            TableEntry(
                schema,
                table,
                bool(plain),
                has_history=kind == "SYSTEM VERSIONED",
                caution=None if transactions == "YES" else f"{engine} has no snapshot: a row that moves may be missed",
            )
            for schema, table, plain, kind, engine, transactions in connection.execute(sa.text(TABLES))
        ]

    def unsearchable(self, connection: sa.Connection) -> list[Unsearchable]:
        """Other databases, if the grants do not let this user see them all."""
        grants = list(connection.scalars(sa.text("SHOW GRANTS")))
        return [Unsearchable("other databases of the server", words)] if (words := blind_spot(grants)) else []

    def columns(self, connection: sa.Connection, entry: TableEntry) -> list[Column]:
        """Texts, bytes, JSON, ENUM and SET; a column without any right to it is not shown."""
        rows = connection.execute(sa.text(COLUMNS), {"schema": entry.schema, "table": entry.table})
        return [
            Column(
                name,
                searched=kind in TEXTS | BYTES,
                is_bytes=kind in BYTES or _keeps_bytes(charset),
                readable="select" in rights,
                unsearched=None if kind in TEXTS | BYTES | SHORT else kind,
                is_text=kind in TEXTS,
            )
            for name, kind, rights, charset in rows
        ]

    def hides_columns(self, access: Access, entry: TableEntry) -> bool:
        """A user who may not read all columns is refused `SELECT *`."""
        every = sa.text(f"SELECT * FROM {quoted_pair(entry)} LIMIT 0")  # noqa: S608 - quoted identifiers
        tried = access.attempt(lambda connection: connection.execute(every).all(), past_locks=True)
        return isinstance(tried, Refusal) and not tried.is_locked

    def largest(self, connection: sa.Connection) -> int | None:
        """A packet: the database returns no larger value."""
        return MySQL().largest_write(connection)

    def haystack(self, column: sa.ColumnClause[Any], kind: Column) -> ColumnElement[Any]:
        """As bytes, whatever its charset. Converted to another charset, the bytes of a raw token would change."""
        if kind.is_bytes and kind.is_text:
            return sa.cast(column, sa.BINARY)
        return MySQL().exactly(column, sa.LargeBinary() if kind.is_bytes else sa.Text())

    def is_marked(self, haystack: ColumnElement[Any], kind: Column, marks: Collection[bytes]) -> ColumnElement[bool]:
        """Compares bytes."""
        del kind
        return any_of(sa.func.locate(sa.literal(mark, sa.LargeBinary), haystack) > 0 for mark in marks)

    def length(self, column: sa.ColumnClause[Any], haystack: ColumnElement[Any]) -> ColumnElement[int]:
        """Of the cell before it is converted."""
        del haystack
        return sa.func.octet_length(column)

    def hold_snapshot(self, connection: sa.Connection) -> None:
        """Of InnoDB's tables. The settings of the session stay as they are."""
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def whole(self, source: Source) -> TableReader:
        """With its history, in which a key names more than one row."""
        if not source.entry.has_history:
            return self._of_now(source)
        return KeylessReader(source, table=sa.text(f"{quoted_pair(source.entry)} FOR SYSTEM_TIME ALL"))

    def parts(self, source: Source) -> list[TableReader]:
        """Partitions are no tables of their own."""
        return [self._of_now(source)]

    def _of_now(self, source: Source) -> TableReader:
        if source.key:
            return KeyReader(source, [free_column(name) for name in source.key])
        return KeylessReader(source, int(source.first(catalog.estimate(QualifiedName(*source.entry[:2], ""))) or 0))


def _keeps_bytes(charset: str | None) -> bool:
    """Whether text of that *charset* may hold any bytes, and stores a token's letters as ASCII."""
    return charset is not None and not charset.startswith("utf8") and charset not in WIDE


def quoted_pair(entry: TableEntry) -> str:
    """Schema and table, quoted for SQL. A colon in a name is no parameter."""
    names = (name.replace("`", "``").replace(":", r"\:") for name in (entry.schema, entry.table) if name)
    return ".".join(f"`{name}`" for name in names)
