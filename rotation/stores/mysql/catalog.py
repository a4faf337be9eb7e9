"""The tables of MariaDB and MySQL, as their catalog has them, and the way to search a server.

A schema is a database, and a user sees only what it may read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.sql.elements import ColumnElement

from rotation.stores.catalog import Catalog
from rotation.stores.cells import SearchedColumn, TableEntry, Unsearchable, any_of
from rotation.stores.columns import QualifiedName, UniqueColumn, free_column
from rotation.stores.table_readers import KeylessReader, KeyReader, TableReader, TableSource

BINARY = (sa.LargeBinary, mysql.BINARY, mysql.VARBINARY, mysql.TINYBLOB, mysql.MEDIUMBLOB, mysql.LONGBLOB)
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
_LINE = re.compile(
    r"(?P<word>GRANT|REVOKE) (?P<rights>.+?) ON (?P<what>(?:`(?:[^`]|``)*`|\*)\.(?:`(?:[^`]|``)*`|\*)) (?:TO|FROM) ",
    re.DOTALL,
)


class MySQLCatalog(Catalog):
    """Rows are stored in the order of their primary key."""

    schemas_are_databases: ClassVar[bool] = True

    def table_names(self, connection: sa.Connection, schema: str | None) -> list[str]:
        """The tables that hold rows of their own; for SQLAlchemy one with SYSTEM VERSIONING is no base table."""
        source = _table("TABLES", "TABLE_SCHEMA", "TABLE_NAME", "TABLE_TYPE")
        held = source.c.TABLE_TYPE.in_(["BASE TABLE", "SYSTEM VERSIONED"])
        return list(connection.scalars(sa.select(source.c.TABLE_NAME).where(_is(source.c.TABLE_SCHEMA, schema), held)))

    def primary_key(self, connection: sa.Connection, qualified: QualifiedName) -> tuple[str, ...]:
        """The columns of the index of that name: of a period WITHOUT OVERLAPS its two."""
        return tuple(
            column for index, column, _ in self.unique_columns(connection, qualified) if column and index == "PRIMARY"
        )

    def unique_columns(self, connection: sa.Connection, qualified: QualifiedName) -> list[UniqueColumn]:
        """Each column of each unique index, in order."""
        source = _table(
            "STATISTICS", "TABLE_SCHEMA", "TABLE_NAME", "INDEX_NAME", "COLUMN_NAME", "NON_UNIQUE", "SEQ_IN_INDEX"
        )
        query = sa.select(source.c.INDEX_NAME, source.c.COLUMN_NAME).where(
            *_of_table(source, qualified), sa.literal(0) == source.c.NON_UNIQUE
        )
        found = connection.execute(query.order_by(source.c.INDEX_NAME, source.c.SEQ_IN_INDEX))
        return [UniqueColumn(*row) for row in found]

    def kept_columns(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """Columns with ON UPDATE CURRENT_TIMESTAMP: for the application a rotation does not change the row."""
        source = _table("COLUMNS", "TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME", "EXTRA")
        updates_itself = sa.func.lower(source.c.EXTRA).contains("on update")
        return list(
            connection.scalars(sa.select(source.c.COLUMN_NAME).where(*_of_table(source, qualified), updates_itself))
        )

    def triggers(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """Triggers that fire on UPDATE."""
        source = _table("TRIGGERS", "TRIGGER_SCHEMA", "TRIGGER_NAME", "EVENT_OBJECT_TABLE", "EVENT_MANIPULATION")
        query = sa.select(source.c.TRIGGER_NAME).where(
            _is(source.c.TRIGGER_SCHEMA, qualified.schema),
            sa.literal(qualified.table) == source.c.EVENT_OBJECT_TABLE,
            sa.literal("UPDATE") == source.c.EVENT_MANIPULATION,
        )
        return [f"trigger {name}" for name in connection.scalars(query)]

    def cautions(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """A system-versioned table remembers every value."""
        source = _table("TABLES", "TABLE_SCHEMA", "TABLE_NAME", "TABLE_TYPE")
        kind = sa.select(source.c.TABLE_TYPE).where(*_of_table(source, qualified))
        if connection.scalar(kind) == "SYSTEM VERSIONED":
            return ["the table keeps its history (SYSTEM VERSIONING): old tokens live on there until it is deleted"]
        return []

    def referrers(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """Foreign keys that refer to the column."""
        source = _table(
            "KEY_COLUMN_USAGE",
            "TABLE_NAME",
            "CONSTRAINT_NAME",
            "REFERENCED_TABLE_SCHEMA",
            "REFERENCED_TABLE_NAME",
            "REFERENCED_COLUMN_NAME",
        )
        query = sa.select(source.c.TABLE_NAME, source.c.CONSTRAINT_NAME).where(
            _is(source.c.REFERENCED_TABLE_SCHEMA, qualified.schema),
            sa.literal(qualified.table) == source.c.REFERENCED_TABLE_NAME,
            sa.literal(qualified.column) == source.c.REFERENCED_COLUMN_NAME,
        )
        return [f"{table}.{name}" for table, name in connection.execute(query)]

    def estimate(self, qualified: QualifiedName) -> sa.Select[Any]:
        """The server's idea of the number of rows."""
        source = _table("TABLES", "TABLE_SCHEMA", "TABLE_NAME", "TABLE_ROWS")
        return sa.select(source.c.TABLE_ROWS).where(*_of_table(source, qualified))

    def table_identity(self, connection: sa.Connection, qualified: QualifiedName) -> str | None:
        """The server's own id, and when the table was made; one that was rebuilt counts as another."""
        return f"{server(connection)}/{made(connection, qualified)}"

    def identity(self, connection: sa.Connection) -> tuple[object, ...] | None:
        """The server: it shows all its databases, whichever one a url names."""
        # Two pods, or two hosts called localhost, may differ only in their server's own id.
        return (*connection.execute(sa.text("SELECT @@hostname, @@port, @@datadir")).one(), *server(connection))

    def entries(self, connection: sa.Connection) -> list[TableEntry]:
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

    def columns(self, connection: sa.Connection, entry: TableEntry) -> list[SearchedColumn]:
        """Texts, bytes, JSON, ENUM and SET; a column without any right to it is not shown."""
        rows = connection.execute(sa.text(COLUMNS), {"schema": entry.schema, "table": entry.table})
        return [
            SearchedColumn(
                name,
                searched=kind in TEXTS | BYTES,
                # Such text may hold any bytes, and a token's letters are ASCII in it.
                is_bytes=kind in BYTES or not (charset is None or charset.startswith("utf8") or charset in WIDE),
                readable="select" in rights,
                unsearched=None if kind in TEXTS | BYTES | SHORT else kind,
                is_text=kind in TEXTS,
            )
            for name, kind, rights, charset in rows
        ]

    def every_column(self, entry: TableEntry) -> sa.TextClause:
        """A user who may not read all columns is refused `SELECT *`."""
        return sa.text(f"SELECT * FROM {quoted_pair(entry)} LIMIT 0")  # noqa: S608 - quoted identifiers

    def largest(self, connection: sa.Connection) -> int | None:
        """A packet: the database returns no larger value."""
        return largest_packet(connection)

    def haystack(self, column: sa.ColumnClause[Any], kind: SearchedColumn) -> ColumnElement[Any]:
        """As bytes, whatever its charset. Converted to another charset, the bytes of a raw token would change."""
        if kind.is_bytes:
            return sa.cast(column, sa.BINARY) if kind.is_text else column
        return sa.literal_column(as_bytes(quote(column.name)), sa.String)

    def is_marked(
        self, haystack: ColumnElement[Any], kind: SearchedColumn, marks: Collection[bytes]
    ) -> ColumnElement[bool]:
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

    def whole(self, source: TableSource) -> TableReader:
        """With its history, in which a key names more than one row."""
        if not source.entry.has_history:
            return self._of_now(source)
        return KeylessReader(source, table=sa.text(f"{quoted_pair(source.entry)} FOR SYSTEM_TIME ALL"))

    def parts(self, source: TableSource) -> list[TableReader]:
        """Partitions are no tables of their own."""
        return [self._of_now(source)]

    def _of_now(self, source: TableSource) -> TableReader:
        if source.key:
            return KeyReader(source, [free_column(name) for name in source.key])
        return KeylessReader(source, int(source.first(self.estimate(QualifiedName(*source.entry[:2], ""))) or 0))


def quoted_pair(entry: TableEntry) -> str:
    """Schema and table, quoted for SQL. A colon in a name is no parameter."""
    names = (name.replace("`", "``").replace(":", r"\:") for name in (entry.schema, entry.table) if name)
    return ".".join(f"`{name}`" for name in names)


def engine_without_undo(connection: sa.Connection, qualified: QualifiedName) -> str | None:
    """The table's engine, if it has no transactions."""
    source = _table("TABLES", "TABLE_SCHEMA", "TABLE_NAME", "ENGINE")
    engines = _table("ENGINES", "ENGINE", "TRANSACTIONS")
    kind = sa.select(engines.c.ENGINE).where(
        *_of_table(source, qualified),
        engines.c.ENGINE == source.c.ENGINE,
        sa.literal("YES") != engines.c.TRANSACTIONS,
    )
    return connection.scalar(kind)


def is_json(connection: sa.Connection, qualified: QualifiedName) -> bool:
    """True if a MariaDB column was declared as JSON."""
    source = _table("CHECK_CONSTRAINTS", "CONSTRAINT_SCHEMA", "TABLE_NAME", "CHECK_CLAUSE")
    check = f"json_valid(`{qualified.column.replace('`', '``')}`)"
    query = sa.select(sa.func.count()).where(
        _is(source.c.CONSTRAINT_SCHEMA, qualified.schema),
        sa.literal(qualified.table) == source.c.TABLE_NAME,
        sa.literal(check) == source.c.CHECK_CLAUSE,
    )
    return bool(connection.scalar(query))


def server(connection: sa.Connection) -> list[tuple[str, str]]:
    """The server's own id, by the name that MariaDB or MySQL gives it."""
    found = connection.execute(sa.text(r"SHOW VARIABLES LIKE 'server\_u%id'"))
    return [(name, value) for name, value in found]


def made(connection: sa.Connection, qualified: QualifiedName) -> str:
    """When the table was made or rebuilt or, on MariaDB, renamed; in seconds."""
    source = _table("TABLES", "TABLE_SCHEMA", "TABLE_NAME", "CREATE_TIME")
    return str(connection.scalar(sa.select(source.c.CREATE_TIME).where(*_of_table(source, qualified))))


def largest_packet(connection: sa.Connection) -> int | None:
    """The most bytes that a statement, or a value, may have."""
    return int(connection.scalar(sa.text("SELECT @@max_allowed_packet")) or 0) or None


def _table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(name, *map(sa.column, columns), schema="information_schema")


def _of_table(source: sa.TableClause, qualified: QualifiedName) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _is(source.c.TABLE_SCHEMA, qualified.schema), sa.literal(qualified.table) == source.c.TABLE_NAME


def _is(column: ColumnElement[Any], schema: str | None) -> ColumnElement[bool]:
    return column == (sa.func.database() if schema is None else sa.literal(schema))


def quote(name: str) -> str:
    """*name* as an identifier."""
    # SQLAlchemy's own quoting doubles a percent sign, and literal SQL doubles it once more.
    return f"`{name.replace('`', '``')}`"


def is_binary(kind: sa.types.TypeEngine[Any]) -> bool:
    """True if a column of this type holds bytes."""
    return isinstance(kind, BINARY)


def as_bytes(cell: str) -> str:
    """A text as its bytes of UTF-8, which no collation takes for others."""
    return f"CAST(CONVERT({cell} USING utf8mb4) AS BINARY)"


def blind_spot(grants: Iterable[str]) -> str | None:
    """The reason why tables may be invisible to the user of these lines of SHOW GRANTS; None: it sees all.

    No catalog shows a table that the user has no right to.
    """
    readable: list[str] = []
    revoked: list[str] = []
    sees_all = False
    for line in grants:
        found = _LINE.match(line)
        columns = _columns(found["rights"]) if found else None
        if not found or columns is None:
            continue
        what = found["what"].replace("`", "")
        if found["word"] == "REVOKE":
            revoked.append(what)
        elif found["what"] == "*.*":
            sees_all = True
        else:
            readable.append(what + columns)
    if sees_all and not revoked:
        return None
    less = f"it lost SELECT on {', '.join(revoked)}"
    if sees_all:
        return f"this user has SELECT on *.*, but {less} (REVOKE): what is there is invisible and was not looked at"
    if revoked:
        readable.append(f"but {less}")
    return (
        "this user has no SELECT on *.*, so a database, table or column that it has no right to is invisible and was "
        f"not looked at; it may read: {', '.join(readable) or 'nothing'}"
    )


def _columns(rights: str) -> str | None:
    """The columns that these rights let the user read, in words: empty for all; None if it may read nothing."""
    if re.search(r"(?:^|, )(?:ALL PRIVILEGES|SELECT)(?:$|, )", rights):
        return ""
    some = re.search(r"(?:^|, )SELECT \(([^)]*)\)", rights)
    return f" (columns {some[1].replace('`', '')})" if some else None
