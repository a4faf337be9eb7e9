"""What the information_schema of MariaDB and MySQL says about a table."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.stores.columns import QualifiedName, UniqueColumn


def tables(connection: sa.Connection, schema: str | None) -> list[str]:
    """The tables that hold rows of their own."""
    source = _table("TABLES", "TABLE_SCHEMA", "TABLE_NAME", "TABLE_TYPE")
    held = source.c.TABLE_TYPE.in_(["BASE TABLE", "SYSTEM VERSIONED"])
    return list(connection.scalars(sa.select(source.c.TABLE_NAME).where(_is(source.c.TABLE_SCHEMA, schema), held)))


def is_versioned(connection: sa.Connection, qualified: QualifiedName) -> bool:
    """Whether the table keeps the history of its rows."""
    source = _table("TABLES", "TABLE_SCHEMA", "TABLE_NAME", "TABLE_TYPE")
    kind = sa.select(source.c.TABLE_TYPE).where(*_of_table(source, qualified))
    return connection.scalar(kind) == "SYSTEM VERSIONED"


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
    """Whether a MariaDB column was declared as JSON."""
    source = _table("CHECK_CONSTRAINTS", "CONSTRAINT_SCHEMA", "TABLE_NAME", "CHECK_CLAUSE")
    check = f"json_valid(`{qualified.column.replace('`', '``')}`)"
    query = sa.select(sa.func.count()).where(
        _is(source.c.CONSTRAINT_SCHEMA, qualified.schema),
        sa.literal(qualified.table) == source.c.TABLE_NAME,
        sa.literal(check) == source.c.CHECK_CLAUSE,
    )
    return bool(connection.scalar(query))


def self_updating_columns(connection: sa.Connection, qualified: QualifiedName) -> list[str]:
    """Columns with ON UPDATE CURRENT_TIMESTAMP."""
    source = _table("COLUMNS", "TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME", "EXTRA")
    updates_itself = sa.func.lower(source.c.EXTRA).contains("on update")
    return list(
        connection.scalars(sa.select(source.c.COLUMN_NAME).where(*_of_table(source, qualified), updates_itself))
    )


def unique_columns(connection: sa.Connection, qualified: QualifiedName) -> list[UniqueColumn]:
    """Each column of each unique index, in order."""
    source = _table(
        "STATISTICS", "TABLE_SCHEMA", "TABLE_NAME", "INDEX_NAME", "COLUMN_NAME", "NON_UNIQUE", "SEQ_IN_INDEX"
    )
    query = sa.select(source.c.INDEX_NAME, source.c.COLUMN_NAME).where(
        *_of_table(source, qualified), sa.literal(0) == source.c.NON_UNIQUE
    )
    found = connection.execute(query.order_by(source.c.INDEX_NAME, source.c.SEQ_IN_INDEX))
    return [UniqueColumn(*row) for row in found]


def estimate(qualified: QualifiedName) -> sa.Select[Any]:
    """The server's idea of the number of rows."""
    source = _table("TABLES", "TABLE_SCHEMA", "TABLE_NAME", "TABLE_ROWS")
    return sa.select(source.c.TABLE_ROWS).where(*_of_table(source, qualified))


def server(connection: sa.Connection) -> list[tuple[str, str]]:
    """The server's own id, by the name that MariaDB or MySQL gives it."""
    found = connection.execute(sa.text(r"SHOW VARIABLES LIKE 'server\_u%id'"))
    return [(name, value) for name, value in found]


def made(connection: sa.Connection, qualified: QualifiedName) -> str:
    """When the table was made or rebuilt or, on MariaDB, renamed; in seconds."""
    source = _table("TABLES", "TABLE_SCHEMA", "TABLE_NAME", "CREATE_TIME")
    return str(connection.scalar(sa.select(source.c.CREATE_TIME).where(*_of_table(source, qualified))))


def triggers(connection: sa.Connection, qualified: QualifiedName) -> list[str]:
    """Triggers that fire on UPDATE."""
    source = _table("TRIGGERS", "TRIGGER_SCHEMA", "TRIGGER_NAME", "EVENT_OBJECT_TABLE", "EVENT_MANIPULATION")
    query = sa.select(source.c.TRIGGER_NAME).where(
        _is(source.c.TRIGGER_SCHEMA, qualified.schema),
        sa.literal(qualified.table) == source.c.EVENT_OBJECT_TABLE,
        sa.literal("UPDATE") == source.c.EVENT_MANIPULATION,
    )
    return [f"trigger {name}" for name in connection.scalars(query)]


def referrers(connection: sa.Connection, qualified: QualifiedName) -> list[str]:
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


def _table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(name, *map(sa.column, columns), schema="information_schema")


def _of_table(source: sa.TableClause, qualified: QualifiedName) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _is(source.c.TABLE_SCHEMA, qualified.schema), sa.literal(qualified.table) == source.c.TABLE_NAME


def _is(column: ColumnElement[Any], schema: str | None) -> ColumnElement[bool]:
    return column == (sa.func.database() if schema is None else sa.literal(schema))
