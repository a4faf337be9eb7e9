"""How a MariaDB or MySQL server is looked through: a schema is a database, and no catalog shows what one may not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.discovery.catalogs import Catalog, Column, TableEntry, Unsearchable, any_of, first
from rotation.discovery.mysql_grants import blind_spot
from rotation.discovery.reads import Cells, Reads
from rotation.discovery.table_readers import KeylessReader, KeyReader, TableReader
from rotation.stores import mysql_catalog as catalog
from rotation.stores.access import Access, Refusal
from rotation.stores.columns import Spot, free_column
from rotation.stores.mysql import MySQL

BYTES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "json", "enum", "set"})
NUMBERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "bit"})
TIMES = frozenset({"date", "datetime", "timestamp", "time", "year"})
SHORT = NUMBERS | TIMES | {"uuid", "inet4", "inet6", "point"}
"""They have less room than a token needs."""

WIDE = frozenset({"ucs2", "utf16", "utf16le", "utf32"})
"""Charsets in which no letter of a token is the byte that it is elsewhere."""

TABLES = """SELECT t.TABLE_SCHEMA, t.TABLE_NAME, COALESCE(t.TABLE_SCHEMA = DATABASE(), 0), t.TABLE_TYPE, t.ENGINE,
e.TRANSACTIONS FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
WHERE t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
AND t.TABLE_SCHEMA NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys') ORDER BY 1, 2"""
COLUMNS = """SELECT COLUMN_NAME, DATA_TYPE, PRIVILEGES, CHARACTER_SET_NAME FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = :schema AND TABLE_NAME = :table ORDER BY ORDINAL_POSITION"""


class MySQLCatalog(Catalog):
    """Rows stand in the order of their primary key."""

    def identity(self, connection: sa.Connection) -> tuple[object, ...] | None:
        """The server: whatever database a url names, it shows all."""
        # Two pods, or two hosts called localhost, differ in their server's own id alone.
        return (*connection.execute(sa.text("SELECT @@hostname, @@port, @@datadir")).one(), *catalog.server(connection))

    def tables(self, connection: sa.Connection) -> list[TableEntry]:
        """Of all databases that this user may look into."""
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

    def outside(self, connection: sa.Connection) -> list[Unsearchable]:
        """What the grants do not show."""
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
        """Who may not read all of them is refused all at once."""
        every = sa.text(f"SELECT * FROM {quoted_pair(entry)} LIMIT 0")  # noqa: S608 - quoted identifiers
        tried = access.attempt(lambda connection: connection.execute(every).all(), past_locks=True)
        return isinstance(tried, Refusal) and not tried.is_locked

    def largest(self, connection: sa.Connection) -> int | None:
        """No value that it makes is larger than a packet."""
        return MySQL().largest_write(connection)

    def haystack(self, column: sa.ColumnClause[Any], kind: Column) -> ColumnElement[Any]:
        """As bytes, whatever its charset. A token's own bytes are letters of some, and others once converted."""
        if kind.is_bytes and kind.is_text:
            return sa.cast(column, sa.BINARY)
        return MySQL().exactly(column, sa.LargeBinary() if kind.is_bytes else sa.Text())

    def is_marked(self, haystack: ColumnElement[Any], kind: Column, marks: Collection[bytes]) -> ColumnElement[bool]:
        """In bytes."""
        del kind
        return any_of(sa.func.locate(sa.literal(mark, sa.LargeBinary), haystack) > 0 for mark in marks)

    def length(self, column: sa.ColumnClause[Any], haystack: ColumnElement[Any]) -> ColumnElement[int]:
        """Before it is converted."""
        del haystack
        return sa.func.octet_length(column)

    def hold_snapshot(self, connection: sa.Connection) -> None:
        """Of InnoDB's tables. What the session does otherwise stays as it is."""
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def whole(self, access: Access, reader: Reads, entry: TableEntry, key: Sequence[str], cells: Cells) -> TableReader:
        """With its history, in which a key names more than one row."""
        if not entry.has_history:
            return self._by_key(access, reader, entry, key, cells)
        names = sa.text(f"{quoted_pair(entry)} FOR SYSTEM_TIME ALL")
        return KeylessReader(reader, names, cells, chance=access.dialect.chance(), estimate=0)

    def parts(
        self, access: Access, reader: Reads, entry: TableEntry, key: Sequence[str], cells: Cells
    ) -> list[TableReader]:
        """Partitions are no tables of their own."""
        return [self._by_key(access, reader, entry, key, cells)]

    def _by_key(
        self, access: Access, reader: Reads, entry: TableEntry, key: Sequence[str], cells: Cells
    ) -> TableReader:
        table = self.source(entry)
        if key:
            return KeyReader(reader, access.dialect, table, [free_column(name) for name in key], cells.columns)
        estimate = access.dialect.estimate(Spot(entry.schema, entry.table, ""))
        count = 0 if estimate is None else first(reader.read(estimate)) or 0
        return KeylessReader(reader, table, cells, chance=access.dialect.chance(), estimate=int(count))


def _keeps_bytes(charset: str | None) -> bool:
    """Whether text of that *charset* may hold any bytes, and a token's letters as they are."""
    return charset is not None and not charset.startswith("utf8") and charset not in WIDE


def quoted_pair(entry: TableEntry) -> str:
    """Schema and table in words of SQL. A colon in a name is no parameter."""
    names = (name.replace("`", "``").replace(":", r"\:") for name in (entry.schema, entry.table) if name)
    return ".".join(f"`{name}`" for name in names)
