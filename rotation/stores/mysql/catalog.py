"""The tables of MariaDB and MySQL, as their catalog has them, and the way to search a server.

A schema is a database, and a user sees only what it may read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from rotation.stores.catalog import LEAST, Catalog, SearchedColumn, TableEntry
from rotation.stores.columns import QualifiedName, UniqueColumn
from rotation.stores.origins import Edge, generated

BINARY = (sa.LargeBinary, mysql.BINARY, mysql.VARBINARY, mysql.TINYBLOB, mysql.MEDIUMBLOB, mysql.LONGBLOB)
BYTES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "json", "enum", "set"})
NUMBERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "bit"})
TIMES = frozenset({"date", "datetime", "timestamp", "time", "year"})
SHORT = NUMBERS | TIMES | {"uuid", "inet4", "inet6", "point"}
"""Types with less room than a token needs."""

OF_TABLE = "TABLE_SCHEMA = :schema AND TABLE_NAME = :table"
MADE = f"SELECT CREATE_TIME FROM information_schema.TABLES WHERE {OF_TABLE}"  # noqa: S608 - constants only
NAMES = "SHA2(GROUP_CONCAT(QUOTE(o.TABLE_SCHEMA), QUOTE(o.TABLE_NAME) ORDER BY o.TABLE_SCHEMA, o.TABLE_NAME), 256)"
"""A mark of names of tables."""
WIDE = frozenset({"ucs2", "utf16", "utf16le", "utf32"})
"""Charsets in which a letter of a token is not its ASCII byte."""

TABLES = """SELECT t.TABLE_SCHEMA, t.TABLE_NAME, COALESCE(t.TABLE_SCHEMA = DATABASE(), 0), t.TABLE_TYPE, t.ENGINE,
e.TRANSACTIONS, t.DATA_LENGTH, t.TABLE_ROWS
FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
WHERE t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
AND t.TABLE_SCHEMA NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys') ORDER BY 1, 2"""
COLUMNS = """SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, PRIVILEGES, CHARACTER_SET_NAME,
CHARACTER_MAXIMUM_LENGTH FROM information_schema.COLUMNS WHERE {} ORDER BY TABLE_NAME, ORDINAL_POSITION"""
_LINE = re.compile(
    r"(?P<word>GRANT|REVOKE) (?P<rights>.+?) ON (?P<what>(?:`(?:[^`]|``)*`|\*)\.(?:`(?:[^`]|``)*`|\*)) (?:TO|FROM) ",
    re.DOTALL,
)


def quote(name: str) -> str:
    """*name* as an identifier."""
    # SQLAlchemy's own quoting doubles a percent sign, and literal SQL doubles it once more.
    return f"`{name.replace('`', '``')}`"


class UnknownType(sa.types.NullType):
    """A type that SQLAlchemy does not know, with any arguments; the plain NullType takes none, and fails."""

    def __init__(self, *_arguments: object, **_options: object) -> None:
        super().__init__()


class AnyType(dict[str, Any]):
    """A dialect's types by name, to which each unknown name is an UnknownType that is called so."""

    def __missing__(self, name: str) -> type[UnknownType]:
        return type(name.upper(), (UnknownType,), {})


class MySQLCatalog(Catalog):
    """Rows are stored in the order of their primary key."""

    schemas_are_databases: ClassVar[bool] = True
    quote = staticmethod(quote)

    def table_names(self, connection: sa.Connection, schema: str | None) -> list[str]:
        """The tables that hold rows of their own; for SQLAlchemy one with SYSTEM VERSIONING is no base table."""
        found = "TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')"
        query = _about(f"{found} AND TABLE_SCHEMA = :schema", QualifiedName(schema, "", ""))
        return list(connection.scalars(query))

    def primary_key(self, connection: sa.Connection, qualified: QualifiedName) -> tuple[str, ...]:
        """The columns of the index of that name: of a period WITHOUT OVERLAPS its two."""
        return tuple(
            column for index, column, _ in self.unique_columns(connection, qualified) if column and index == "PRIMARY"
        )

    def unique_columns(self, connection: sa.Connection, qualified: QualifiedName) -> list[UniqueColumn]:
        """Each column of each unique index, in order."""
        found = f"INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS WHERE {OF_TABLE} AND NON_UNIQUE = 0"
        rows = connection.execute(_about(f"{found} ORDER BY INDEX_NAME, SEQ_IN_INDEX", qualified))
        return [UniqueColumn(*row) for row in rows]

    def kept_columns(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """Columns with ON UPDATE CURRENT_TIMESTAMP: for the application a rotation does not change the row."""
        found = f"COLUMN_NAME FROM information_schema.COLUMNS WHERE {OF_TABLE} AND LOWER(EXTRA) LIKE '%on update%'"
        return list(connection.scalars(_about(found, qualified)))

    def triggers(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """Triggers that fire on UPDATE."""
        found = "TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = :schema"
        query = _about(f"{found} AND EVENT_OBJECT_TABLE = :table AND EVENT_MANIPULATION = 'UPDATE'", qualified)
        return [f"trigger {name}" for name in connection.scalars(query)]

    def cautions(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """A system-versioned table remembers every value."""
        found = f"TABLE_TYPE FROM information_schema.TABLES WHERE {OF_TABLE}"
        if connection.scalar(_about(found, qualified)) == "SYSTEM VERSIONED":
            return ["the table keeps its history (SYSTEM VERSIONING): old tokens live on there until it is deleted"]
        return []

    def referrers(self, connection: sa.Connection, qualified: QualifiedName) -> list[str]:
        """Foreign keys that refer to the column."""
        found = "TABLE_NAME, CONSTRAINT_NAME FROM information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_SCHEMA"
        place = "= :schema AND REFERENCED_TABLE_NAME = :table AND REFERENCED_COLUMN_NAME = :column"
        query = _about(f"{found} {place}", qualified)
        return [f"{table}.{name}" for table, name in connection.execute(query)]

    def estimate(self, qualified: QualifiedName) -> sa.TextClause:
        """The server's idea of the number of rows."""
        return _about(f"TABLE_ROWS FROM information_schema.TABLES WHERE {OF_TABLE}", qualified)

    def table_identity(self, connection: sa.Connection, qualified: QualifiedName) -> str | None:
        """The server's own id, and when the table was made; one that was rebuilt counts as another."""
        made = connection.scalar(_about(f"({MADE})", qualified))
        return f"{server(connection)}/{made}"

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
                size=size or 0,
                rows=rows,
            )
            for schema, table, plain, kind, engine, transactions, size, rows in connection.execute(sa.text(TABLES))
        ]

    def unsearchable(self, connection: sa.Connection) -> list[tuple[str, str]]:
        """Other databases, if the grants do not let this user see them all."""
        grants = list(connection.scalars(sa.text("SHOW GRANTS")))
        return [("other databases of the server", words)] if (words := blind_spot(grants)) else []

    def columns(
        self, connection: sa.Connection, schema: str | None, table: str | None = None
    ) -> Mapping[str, list[SearchedColumn]]:
        """Texts, bytes, JSON, ENUM and SET; a column without any right to it is not shown."""
        found: dict[str, list[SearchedColumn]] = {}
        query = sa.text(COLUMNS.format("TABLE_SCHEMA = :schema" if table is None else OF_TABLE))
        names = {"schema": schema} | ({} if table is None else {"table": table})
        for named, name, kind, rights, charset, room in connection.execute(query, names):
            column = SearchedColumn(
                name,
                searched=kind in TEXTS | BYTES and (room is None or room >= LEAST),
                # Such text may hold any bytes, and a token's letters are ASCII in it.
                is_bytes=kind in BYTES or not (charset is None or charset in WIDE),
                readable="select" in rights,
                unsearched=None if kind in TEXTS | BYTES | SHORT else kind,
                is_text=kind in TEXTS,
            )
            found.setdefault(named, []).append(column)
        return found

    def origins(self, connection: sa.Connection, schema: str | None, table: str) -> list[Edge]:
        """Generated columns. Not by EXTRA: MySQL has there what is generated as a default, too."""
        found = sa.text(f"SELECT COLUMN_NAME, GENERATION_EXPRESSION FROM information_schema.COLUMNS WHERE {OF_TABLE}")  # noqa: S608 - ours
        columns = dict(tuple(row) for row in connection.execute(found, {"schema": schema, "table": table}))
        expressions = ((name, _without_escapes(each)) for name, each in columns.items() if each)
        return list(generated((schema, table), expressions, columns))

    def every_column(self, entries: Sequence[TableEntry]) -> sa.TextClause:
        """A user who may not read all columns is refused `SELECT *`."""
        # A colon in a name is no parameter.
        tables = (self.table(entry).replace(":", r"\:") for entry in entries)
        parts = (f"SELECT 1 FROM (SELECT * FROM {table} LIMIT 0) AS every" for table in tables)  # noqa: S608 - quoted identifiers
        return sa.text(" UNION ALL ".join(parts))

    def largest(self, connection: sa.Connection) -> int | None:
        """A packet: the database returns no larger value."""
        return int(connection.scalar(sa.text("SELECT @@max_allowed_packet")) or 0) or None

    def cell(self, kind: SearchedColumn) -> str:
        """As bytes, whatever its charset. Converted to another charset, the bytes of a raw token would change."""
        column = self.quote(kind.name)
        if kind.is_bytes:
            return f"CAST({column} AS BINARY)" if kind.is_text else column
        return as_bytes(column)

    def size(self, kind: SearchedColumn) -> str:
        """Of the cell before it is converted."""
        return f"octet_length({self.quote(kind.name)})"

    def holds(self, kind: SearchedColumn, marks: Iterable[bytes]) -> dict[bytes, str]:
        """Compares bytes."""
        return {mark: f"locate({self.constant(kind, mark)}, {self.cell(kind)}) > 0" for mark in marks}

    def constant(self, kind: SearchedColumn, value: bytes) -> str:
        """As bytes, as each cell is."""
        del kind
        return f"x'{value.hex()}'"


def engine_without_undo(connection: sa.Connection, qualified: QualifiedName) -> str | None:
    """The table's engine, if it has no transactions."""
    found = "ENGINE FROM information_schema.TABLES JOIN information_schema.ENGINES USING (ENGINE)"
    engine: str | None = connection.scalar(_about(f"{found} WHERE {OF_TABLE} AND TRANSACTIONS <> 'YES'", qualified))
    return engine


def is_json(connection: sa.Connection, qualified: QualifiedName) -> bool:
    """True if a MariaDB column was declared as JSON."""
    found = (
        "COUNT(*) FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = :schema AND TABLE_NAME = :table"
    )
    check = f"json_valid({quote(qualified.column)})"
    return bool(connection.scalar(_about(f"{found} AND CHECK_CLAUSE = :check", qualified).bindparams(check=check)))


def server(connection: sa.Connection) -> list[tuple[str, str]]:
    """The server's own id, by the name that MariaDB or MySQL gives it."""
    found = connection.execute(sa.text(r"SHOW VARIABLES LIKE 'server\_u%id'"))
    return [(name, value) for name, value in found]


def version_beside(connection: sa.Connection, qualified: QualifiedName, expression: str) -> tuple[str, Any]:
    """What shows that another table took the name, and the value of another *expression* of SQL.

    When the table was made or rebuilt or, on MariaDB, renamed; in seconds. On MySQL a table that is renamed keeps its
    time, and many are made in one second: beside it the names of all that were made in the same one, of which a table
    loses its own if it takes another.
    """
    same = ", NULL"
    if not getattr(connection.dialect, "is_mariadb", False):
        same = f", (SELECT {NAMES} FROM information_schema.TABLES o WHERE o.CREATE_TIME = ({MADE}))"  # noqa: S608 - ours
    made, names, value = connection.execute(_about(f"({MADE}){same}, {expression}", qualified)).one()
    return f"{made} {names}", value


def _about(query: str, qualified: QualifiedName) -> sa.TextClause:
    """SELECT *query*, which names the place of a column as :schema, :table and :column."""
    if qualified.schema is None:
        query = query.replace(":schema", "DATABASE()")
    names = {name: value for name, value in qualified._asdict().items() if f":{name}" in query}
    return sa.text(f"SELECT {query}").bindparams(**names)


def _without_escapes(expression: str) -> str:
    """An *expression* whose texts end at their next quote. In MySQL's catalog these quotes are escaped, too."""
    if not re.search(r"(?<!\\)'", expression):
        expression = expression.replace(r"\\", "\\").replace(r"\'", "'")
    return re.sub(r"\\.", "", expression, flags=re.DOTALL)


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
