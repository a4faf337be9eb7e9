"""Where each kind of database keeps its tables, and how a cell is searched there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.sql.elements import ColumnElement

from keyring_core.tokens import MARK
from rotation.stores.access import Access
from rotation.stores.dialect import Dialect
from rotation.stores.mysql import MySQL
from rotation.stores.place import Spot, free_column, table_clause
from rotation.stores.postgresql import PostgreSQL
from rotation.stores.postgresql_catalog import query as pg_query
from rotation.stores.sqlite import SQLite
from rotation.stores.walk import BlockWalk, KeyWalk, PlainWalk, Walk


class Listed(NamedTuple):
    """A table by its names, as the catalog has it."""

    schema: str | None
    table: str
    plain: bool
    """Whether its name alone finds it."""
    parents: tuple[tuple[str, str], ...] = ()
    """Tables that are read with this one: schema and name."""
    is_partition: bool = False
    has_rows: bool = True
    """Whether it holds rows itself; a partitioned table has none."""


class Layout:
    """What the three have in common."""

    def tables(self, connection: sa.Connection) -> list[Listed]:
        """Every table that holds rows, those of the system left out; no view, and nothing of other servers."""
        raise NotImplementedError

    def is_searched(self, kind: sa.types.TypeEngine[Any]) -> bool:
        """Whether a column of this type can hold text."""
        raise NotImplementedError

    def haystack(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
        """The cell as text or bytes."""
        raise NotImplementedError

    def position(self, haystack: ColumnElement[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[int]:
        """Where in it MARK begins, from 1 on; 0 where it is not."""
        raise NotImplementedError

    def length(self, column: sa.ColumnClause[Any], haystack: ColumnElement[Any]) -> ColumnElement[int]:
        """How long the cell is, in bytes or letters, without a look at all of it where that can be had."""
        del column
        return sa.func.octet_length(haystack)

    def walks(self, access: Access, parts: Sequence[Listed], key: Sequence[str], cells: Sequence[Any]) -> list[Walk]:
        """How the *parts* of a table are read."""
        raise NotImplementedError

    def caution(self, connection: sa.Connection, listed: Listed) -> str | None:
        """Why rows may be hidden from us."""
        del connection, listed
        return None


class SQLiteLayout(Layout):
    """Any column may hold text; rows are numbered, unless the table is WITHOUT ROWID."""

    def tables(self, connection: sa.Connection) -> list[Listed]:
        """Of the file itself; nothing is attached."""
        names = connection.scalars(
            sa.text(r"SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'")
        )
        return [Listed(None, name, plain=True) for name in names]

    def is_searched(self, kind: sa.types.TypeEngine[Any]) -> bool:
        """Whatever it is called."""
        del kind
        return True

    def haystack(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
        """As it is."""
        del kind
        return column

    def position(self, haystack: ColumnElement[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[int]:
        """In texts and in BLOBs."""
        del kind
        return sa.func.instr(haystack, MARK)

    def length(self, column: sa.ColumnClause[Any], haystack: ColumnElement[Any]) -> ColumnElement[int]:
        """In letters."""
        del column
        return sa.func.length(haystack)

    def walks(self, access: Access, parts: Sequence[Listed], key: Sequence[str], cells: Sequence[Any]) -> list[Walk]:
        """By the number of a row where it has one: it has no gaps to speak of, and is never NULL."""
        [part] = parts
        table = table_clause(part.schema, part.table)
        for name in ("rowid", "_rowid_", "oid"):
            # Not quoted: a quoted name that is not there is a text.
            number: sa.ColumnElement[Any] = sa.literal_column(name)
            if isinstance(access.attempt(_first(sa.select(number).select_from(table))), int | None):
                return [KeyWalk(access, table, [number], cells)]
        return [KeyWalk(access, table, [free_column(name) for name in key], cells)]


class PostgreSQLLayout(Layout):
    """Any type can be read as text, and any row has its place in a file."""

    def tables(self, connection: sa.Connection) -> list[Listed]:
        """Of all schemas, with their partitions."""
        found = connection.execute(
            sa.text(
                "SELECT n.nspname, c.relname, pg_table_is_visible(c.oid), c.relispartition, c.relkind = 'r', "
                "(SELECT array_agg(ARRAY[pn.nspname, p.relname]) FROM pg_inherits i JOIN pg_class p "
                "ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE i.inhrelid = c.oid) "
                "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' "
                r"AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2"
            )
        )
        return [
            Listed(schema, table, plain, tuple((one, other) for one, other in parents or ()), is_partition, has_rows)
            for schema, table, plain, is_partition, has_rows, parents in found
        ]

    def is_searched(self, kind: sa.types.TypeEngine[Any]) -> bool:
        """Texts, bytes, JSON, arrays, and types that SQLAlchemy does not know."""
        plain = (sa.Integer, sa.Numeric, sa.Float, sa.Date, sa.DateTime, sa.Time, sa.Boolean, sa.Uuid, sa.Interval)
        return not isinstance(kind, (*plain, sa.Enum, postgresql.INET, postgresql.CIDR, postgresql.MACADDR))

    def haystack(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
        """Bytes, or text of a collation that can be searched."""
        return column if isinstance(kind, sa.LargeBinary) else sa.collate(sa.cast(column, sa.Text), "C")

    def position(self, haystack: ColumnElement[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[int]:
        """In bytes, or in letters."""
        if isinstance(kind, sa.LargeBinary):
            return sa.func.position(sa.literal(MARK.encode(), kind).op("IN")(haystack), type_=sa.Integer)
        return sa.func.strpos(haystack, MARK, type_=sa.Integer)

    def walks(self, access: Access, parts: Sequence[Listed], key: Sequence[str], cells: Sequence[Any]) -> list[Walk]:
        """Block by block."""
        del key
        found: list[Walk] = []
        for part in parts:
            size = "pg_relation_size(c.oid) / CAST(current_setting('block_size') AS int)"
            spot = Spot(part.schema, part.table, "")
            blocks = access.read(_first(pg_query(size, spot))) or 0
            density = access.read(_first(pg_query("CASE WHEN relpages > 0 THEN reltuples / relpages END", spot)))
            found.append(
                BlockWalk(access, table_clause(part.schema, part.table), cells, int(blocks), float(density or 50))
            )
        return found

    def caution(self, connection: sa.Connection, listed: Listed) -> str | None:
        """Row security."""
        spot = Spot(listed.schema, listed.table, "")
        if connection.scalar(pg_query("row_security_active(c.oid)", spot)):
            return "row security is on for this user, so rows may be hidden; run as the owner or with BYPASSRLS"
        return None


class MySQLLayout(Layout):
    """A schema is a database; rows stand in the order of their primary key."""

    def tables(self, connection: sa.Connection) -> list[Listed]:
        """Of all databases that this user may look into."""
        found = connection.execute(
            sa.text(
                "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_SCHEMA = DATABASE() FROM information_schema.TABLES "
                "WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') "
                "AND TABLE_SCHEMA NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys') ORDER BY 1, 2"
            )
        )
        return [Listed(schema, table, bool(plain)) for schema, table, plain in found]

    def is_searched(self, kind: sa.types.TypeEngine[Any]) -> bool:
        """Texts, bytes and JSON."""
        return not isinstance(kind, sa.Enum | mysql.SET) and isinstance(
            kind, sa.String | sa.LargeBinary | mysql.BINARY | mysql.VARBINARY | sa.JSON
        )

    def haystack(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
        """As bytes, whatever its charset."""
        return MySQL().exactly(column, kind)

    def position(self, haystack: ColumnElement[Any], kind: sa.types.TypeEngine[Any]) -> ColumnElement[int]:
        """In bytes."""
        del kind
        return sa.func.locate(sa.literal(MARK.encode(), sa.LargeBinary), haystack, type_=sa.Integer)

    def length(self, column: sa.ColumnClause[Any], haystack: ColumnElement[Any]) -> ColumnElement[int]:
        """Before it is converted."""
        del haystack
        return sa.func.octet_length(column)

    def walks(self, access: Access, parts: Sequence[Listed], key: Sequence[str], cells: Sequence[Any]) -> list[Walk]:
        """By its key, where it has one that can be followed."""
        [part] = parts
        table = table_clause(part.schema, part.table)
        if key:
            return [KeyWalk(access, table, [free_column(name) for name in key], cells)]
        estimate = access.dialect.estimate(Spot(part.schema, part.table, ""))
        return [PlainWalk(access, table, cells, int(access.read(_first(estimate)) or 0))]  # type: ignore[arg-type]


def _first(query: sa.Select[Any]) -> Callable[[sa.Connection], Any]:
    return lambda connection: connection.scalar(query.limit(1))


def layout_of(dialect: Dialect) -> Layout:
    """The layout of that kind of database."""
    layouts: dict[type[Dialect], type[Layout]] = {
        SQLite: SQLiteLayout,
        PostgreSQL: PostgreSQLLayout,
        MySQL: MySQLLayout,
    }
    return layouts[type(dialect)]()
