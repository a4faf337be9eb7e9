"""What PostgreSQL's catalog says about a table."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from rotation.stores.columns import QualifiedName

FAMILY = """WITH RECURSIVE family(oid) AS (
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = :table
    AND CASE WHEN CAST(:schema AS text) IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = :schema END
    UNION SELECT i.inhrelid FROM pg_inherits i JOIN family f ON i.inhparent = f.oid
) """
"""The table with its partitions, or with those that inherit from it."""

MEMBERS = f"""{FAMILY} SELECT c.oid, c.relfilenode, CAST(CAST(c.xmin AS text) AS bigint),
    c.relkind = 'p' OR (c.relkind = 'r' AND a.amname = 'heap') AND NOT row_security_active(c.oid)
FROM pg_class c JOIN family f ON f.oid = c.oid LEFT JOIN pg_am a ON a.oid = c.relam
ORDER BY 1"""  # noqa: S608 - constants only

TRIGGERS = f"""{FAMILY} SELECT DISTINCT 'trigger ' || t.tgname FROM pg_trigger t JOIN family f ON t.tgrelid = f.oid
    WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 16 <> 0  -- bit 4: fires on UPDATE
    AND (t.tgattr = CAST('' AS int2vector) OR EXISTS (
        SELECT FROM pg_attribute a
        WHERE a.attrelid = t.tgrelid AND a.attname = :column AND a.attnum = ANY (t.tgattr)
    ))
UNION SELECT 'rule ' || r.rulename FROM pg_rewrite r JOIN family f ON r.ev_class = f.oid
    WHERE r.ev_type = '2' AND r.ev_enabled <> 'D'  -- 2: on UPDATE
ORDER BY 1"""  # noqa: S608 - constants only

REFERRERS = f"""{FAMILY} SELECT DISTINCT CAST(CAST(k.conrelid AS regclass) AS text) || '.' || k.conname
FROM pg_constraint k JOIN family f ON k.confrelid = f.oid
JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attname = :column AND a.attnum = ANY (k.confkey)
WHERE k.contype = 'f' AND k.conparentid = 0 ORDER BY 1"""  # noqa: S608 - constants only

UNIQUE_COLUMNS = f"""{FAMILY} SELECT CAST(i.indexrelid AS text), a.attname,
    CASE WHEN k.by <> a.attcollation THEN (SELECT collname FROM pg_collation WHERE oid = k.by) END
FROM pg_index i CROSS JOIN unnest(CAST(i.indkey AS int2[]), CAST(i.indcollation AS oid[])) WITH ORDINALITY
    AS k(attnum, by, number)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = (SELECT oid FROM family LIMIT 1) AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
    AND i.indisvalid  -- what a CREATE INDEX CONCURRENTLY that failed leaves behind is not: there are duplicates
    AND k.number <= i.indnkeyatts
ORDER BY i.indexrelid, k.number"""  # noqa: S608 - constants only

INHERITED = f"""{FAMILY} SELECT EXISTS (
    SELECT FROM pg_inherits i JOIN family f ON i.inhparent = f.oid JOIN pg_class c ON c.oid = i.inhrelid
    WHERE NOT c.relispartition
)"""  # noqa: S608 - constants only


class Member(NamedTuple):
    """A table, a partition of it, or one that inherits from it."""

    oid: int
    file: int
    altered: int
    """The transaction that last altered it."""
    is_plain: bool
    """Whether its rows are kept in the usual way, and this user sees all of them."""


def family(connection: sa.Connection, qualified: QualifiedName) -> list[Member]:
    """The table, its partitions, and those that inherit from it."""
    names = {"schema": qualified.schema, "table": qualified.table}
    return [Member(*found) for found in connection.execute(sa.text(MEMBERS), names)]


def triggers(connection: sa.Connection, qualified: QualifiedName) -> list[str]:
    """Triggers and rules that act on an UPDATE of the column."""
    return list(connection.scalars(sa.text(TRIGGERS), _names(qualified)))


def referrers(connection: sa.Connection, qualified: QualifiedName) -> list[str]:
    """Foreign keys that refer to the column."""
    return list(connection.scalars(sa.text(REFERRERS), _names(qualified)))


def unique_columns(connection: sa.Connection, qualified: QualifiedName) -> list[tuple[str, str | None, str | None]]:
    """Index, column, and the collation if it is not the column's, of each column of each unique index."""
    return [(index, name, by) for index, name, by in connection.execute(sa.text(UNIQUE_COLUMNS), _names(qualified))]


def is_inherited(connection: sa.Connection, qualified: QualifiedName) -> bool:
    """Whether other tables inherit from this one; partitions do not count."""
    return bool(connection.scalar(sa.text(INHERITED), _names(qualified)))


def query(what: str, qualified: QualifiedName) -> sa.Select[Any]:
    """A query for *what* of the table's `pg_class c`."""
    here = (
        sa.text("pg_table_is_visible(c.oid)")
        if qualified.schema is None
        else sa.literal_column("n.nspname") == sa.literal(qualified.schema)
    )
    return (
        sa.select(sa.literal_column(what))
        .select_from(sa.text("pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"))
        .where(sa.literal_column("c.relname") == sa.literal(qualified.table), here)
    )


def _names(qualified: QualifiedName) -> dict[str, Any]:
    return {"schema": qualified.schema, "table": qualified.table, "column": qualified.column}
