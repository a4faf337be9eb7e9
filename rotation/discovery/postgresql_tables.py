"""How a PostgreSQL server is searched: database by database, and any type as text."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.discovery.catalogs import Catalog
from rotation.discovery.cells import any_of
from rotation.discovery.table_readers import FileReader, KeylessReader, Source, TableReader
from rotation.discovery.tables import Column, TableEntry, Unsearchable
from rotation.planning.inner_tokens import SHORTEST
from rotation.stores.columns import table_clause
from rotation.stores.postgresql.catalog import FAMILY, HIDDEN, IS_SECURED

OWN = r"n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relpersistence <> 't'"
"""Excludes the system's schemas and temporary tables."""

TABLES = f"""SELECT n.nspname, c.relname, pg_table_is_visible(c.oid), c.relispartition,
has_any_column_privilege(c.oid, 'SELECT'), NOT has_table_privilege(c.oid, 'SELECT'),
(SELECT array_agg(ARRAY[pn.nspname, p.relname]) FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE i.inhrelid = c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND {OWN} AND has_schema_privilege(n.oid, 'USAGE') ORDER BY 1, 2"""  # noqa: S608 - constants only

UNSEARCHABLE = f"""SELECT 'foreign table ' || n.nspname || '.' || c.relname, 'its rows are on another server'
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'f' AND {OWN}
UNION ALL SELECT 'schema ' || n.nspname, 'this user has no USAGE on it; tables that were not looked at: ' || count(*)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND {OWN} AND NOT has_schema_privilege(n.oid, 'USAGE') GROUP BY n.nspname
UNION ALL SELECT 'large objects', 'large objects are not searched; in this database are: ' || count(*)
FROM pg_largeobject_metadata HAVING count(*) > 0 ORDER BY 1"""  # noqa: S608 - constants only

COLUMNS = """WITH RECURSIVE below(number, name, readable, kind) AS (
    SELECT a.attnum, a.attname, has_column_privilege(c.oid, a.attnum, 'SELECT'), a.atttypid
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE n.nspname = :schema AND c.relname = :table AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT number, name, readable, t.typbasetype FROM below JOIN pg_type t ON t.oid = kind
    WHERE t.typtype = 'd'
) SELECT name, readable, t.typname, t.typlen,
    CAST(CASE WHEN e.typname IN ('int2', 'int4', 'int8') THEN 'A'
        ELSE COALESCE(e.typcategory, t.typcategory) END AS text)
FROM below JOIN pg_type t ON t.oid = kind
LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
WHERE t.typtype <> 'd' ORDER BY number"""
"""Each column with its type, of a domain the type below it, and the category of that: of an array its elements', unless
these are whole numbers, which may be a token's letters."""

DATABASES = """SELECT datname, datallowconn AND has_database_privilege(oid, 'CONNECT') FROM pg_database
WHERE datname NOT IN (current_database(), 'template0') ORDER BY 1"""

LEAVES = f"""{FAMILY} SELECT n.nspname, c.relname, has_table_privilege(c.oid, 'SELECT'),
pg_relation_size(c.oid) / CAST(current_setting('block_size') AS int),
CASE WHEN relpages > 0 THEN reltuples / relpages END
FROM family f JOIN pg_class c ON c.oid = f.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm')"""  # noqa: S608 - constants only

NO_ROOM = frozenset("BDEGINT")
"""Categories of types that hold no text: booleans, dates, enums, geometry, networks, numbers, spans of time."""


class PostgreSQLCatalog(Catalog):
    """Any type can be read as text, and any row has its place in a file."""

    follows_keys = False

    def identity(self, connection: sa.Connection) -> tuple[object, ...] | None:
        """The cluster and the database, on one server: a copy of it starts with the same number."""
        allowed = "SELECT has_function_privilege('pg_control_system()', 'EXECUTE')"
        if not connection.scalar(sa.text(allowed)):
            return None
        found = "SELECT system_identifier, pg_postmaster_start_time(), current_database() FROM pg_control_system()"
        return tuple(connection.execute(sa.text(found)).one())

    def tables(self, connection: sa.Connection) -> list[TableEntry]:
        """Of all schemas, with their partitions and materialized views."""
        return [
            TableEntry(schema, table, plain, tuple((one, other) for one, other in parents or ()), *rights)
            for schema, table, plain, *rights, parents in connection.execute(sa.text(TABLES))
        ]

    def unsearchable(self, connection: sa.Connection) -> list[Unsearchable]:
        """Foreign tables, schemas that may not be used, and large objects."""
        return [Unsearchable(subject, words) for subject, words in connection.execute(sa.text(UNSEARCHABLE))]

    def databases(self, connection: sa.Connection) -> tuple[list[str], list[str]]:
        """All except this one and template0."""
        found = connection.execute(sa.text(DATABASES)).all()
        return [name for name, may in found if may], [name for name, may in found if not may]

    def columns(self, connection: sa.Connection, entry: TableEntry) -> list[Column]:
        """Texts, bytes, JSON, arrays, composite types, and whatever else has room for a token."""
        rows = connection.execute(sa.text(COLUMNS), {"schema": entry.schema, "table": entry.table})
        return [
            Column(
                name,
                searched=not (category in NO_ROOM or category == "V" or 0 < length < SHORTEST),
                is_bytes=kind == "bytea",
                readable=readable,
                unsearched="bit string" if category == "V" else None,
            )
            for name, readable, kind, length, category in rows
        ]

    def haystack(self, column: sa.ColumnClause[Any], kind: Column) -> ColumnElement[Any]:
        """Bytes, or text of a collation that can be searched."""
        return column if kind.is_bytes else sa.collate(sa.cast(column, sa.Text), "C")

    def is_marked(self, haystack: ColumnElement[Any], kind: Column, marks: Collection[bytes]) -> ColumnElement[bool]:
        """In bytes mark by mark; in text all at once, since each expression converts the cell to text again."""
        if kind.is_bytes:
            found = (sa.literal(mark, sa.LargeBinary).op("IN")(haystack) for mark in marks)
            return any_of(sa.func.position(each, type_=sa.Integer) > 0 for each in found)
        texts = [mark.decode() for mark in marks if mark.isascii() and b"\0" not in mark]
        return haystack.op("~", is_comparison=True)(sa.literal("|".join(map(re.escape, texts)), sa.Text))

    def hold_snapshot(self, connection: sa.Connection) -> None:
        """Settings are of the transaction only, because of poolers."""
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # Bytes within an array or a composite type are returned as text in this form.
        connection.exec_driver_sql("SET LOCAL bytea_output = 'hex'")
        # Between two batches their tokens are decrypted, which may take long.
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")

    def whole(self, source: Source) -> TableReader:
        """With its partitions: the right to read a table includes its partitions, read through it."""
        # The right to read some columns does not include the place of a row.
        return KeylessReader(source) if source.entry.by_columns else FileReader(source)

    def parts(self, source: Source) -> list[TableReader]:
        """Block by block, if this user may read each part by itself."""
        names = {"schema": source.entry.schema, "table": source.entry.table}
        leaves = source.reads.read(sa.text(LEAVES).bindparams(**names))
        if not all(readable for _, _, readable, *_ in leaves):
            return [self.whole(source)]
        return [
            FileReader(source, table_clause(schema, table), int(blocks), float(density or 50))
            for schema, table, _, blocks, density in leaves
        ]

    def caution(self, connection: sa.Connection, entry: TableEntry) -> str | None:
        """Row security."""
        secured = connection.scalar(sa.text(IS_SECURED), {"schema": entry.schema, "table": entry.table})
        return HIDDEN if secured else None
