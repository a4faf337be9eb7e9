"""What PostgreSQL's catalog says about a table."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import sqlalchemy as sa

from rotation.stores.columns import ForeignKey, QualifiedName, TableFacts, UniqueColumn

HERE = """WITH RECURSIVE here(oid) AS (
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = :table
    AND CASE WHEN CAST(:schema AS text) IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = :schema END
)"""
"""The table."""

FAMILY = f"""{HERE}, family(oid) AS (
    SELECT oid FROM here UNION SELECT i.inhrelid FROM pg_inherits i JOIN family f ON i.inhparent = f.oid
)"""  # noqa: S608 - constants only
"""The table with its partitions, or with those that inherit from it."""

HIDDEN = "row security is on for this user, so rows may be hidden; run as the owner or with BYPASSRLS"
IS_SECURED = f"{HERE} SELECT row_security_active(oid) FROM here"  # noqa: S608 - constants only

# Each fact is a row: what it is, its place among others of its kind, and up to three texts.
INDEXES = """SELECT
    CASE WHEN i.indisprimary THEN 'primary' WHEN i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
        AND i.indisvalid  -- what a CREATE INDEX CONCURRENTLY that failed leaves behind is not: there are duplicates
        THEN 'unique' ELSE 'index' END AS fact,
    CAST(i.indexrelid AS bigint) AS place, k.number,
    CAST(c.relname AS text) AS one, CAST(a.attname AS text),
    CASE WHEN k.attnum = 0 THEN pg_get_indexdef(i.indexrelid, CAST(k.number AS int), true)  -- an expression
        WHEN k.by <> a.attcollation THEN (SELECT CAST(collname AS text) FROM pg_collation WHERE oid = k.by) END
FROM pg_index i JOIN here h ON i.indrelid = h.oid JOIN pg_class c ON c.oid = i.indexrelid
CROSS JOIN unnest(CAST(i.indkey AS int2[]), CAST(i.indcollation AS oid[])) WITH ORDINALITY AS k(attnum, by, number)
LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE k.number <= i.indnkeyatts"""

TRIGGERS = """SELECT DISTINCT 'trigger', 0, 0, 'trigger ' || t.tgname, NULL, NULL
FROM pg_trigger t JOIN family f ON t.tgrelid = f.oid
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 16 <> 0  -- bit 4: fires on UPDATE
    AND (t.tgattr = CAST('' AS int2vector) OR EXISTS (
        SELECT FROM pg_attribute a
        WHERE a.attrelid = t.tgrelid AND a.attname = CAST(:column AS text) AND a.attnum = ANY (t.tgattr)
    ))
UNION ALL SELECT DISTINCT 'trigger', 0, 0, 'rule ' || r.rulename, NULL, NULL
FROM pg_rewrite r JOIN family f ON r.ev_class = f.oid
WHERE r.ev_type = '2' AND r.ev_enabled <> 'D'  -- 2: on UPDATE"""

FOREIGN_KEYS = """SELECT 'foreign key', 0, 0, CAST(k.conname AS text), CAST(c.relname AS text), NULL
FROM pg_constraint k JOIN here h ON k.conrelid = h.oid JOIN pg_class c ON c.oid = k.confrelid
JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attname = CAST(:column AS text) AND a.attnum = ANY (k.conkey)
WHERE k.contype = 'f'"""

TRANSACTION = """WITH RECURSIVE family(oid) AS (
    SELECT CAST(to_regclass(%(table)s) AS oid)
    UNION SELECT i.inhrelid FROM pg_inherits i JOIN family f ON i.inhparent = f.oid
) SELECT CASE WHEN NOT EXISTS (
    SELECT FROM pg_trigger t JOIN family f ON t.tgrelid = f.oid WHERE NOT t.tgisinternal AND t.tgtype & 16 <> 0
) AND NOT EXISTS (
    SELECT FROM pg_rewrite r JOIN family f ON r.ev_class = f.oid WHERE r.ev_type = '2'
) THEN CAST(CAST(pg_current_xact_id_if_assigned() AS text) AS bigint) END"""
"""The number of the transaction in progress; NULL if a trigger or a rule may write in its name. The lock that an UPDATE
holds lets none come after it. In the driver's words."""

REFERRERS = """SELECT DISTINCT 'referrer', 0, 0,
    CAST(CAST(k.conrelid AS regclass) AS text) || '.' || k.conname, NULL, NULL
FROM pg_constraint k JOIN family f ON k.confrelid = f.oid
JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attname = CAST(:column AS text) AND a.attnum = ANY (k.confkey)
WHERE k.contype = 'f' AND k.conparentid = 0"""

# The estimate is 0 or less if the statistics were never taken.
TABLE = """SELECT 'table', CAST(c.reltuples AS bigint), 0,
    CASE WHEN row_security_active(c.oid) THEN 'secured' END,
    CASE WHEN EXISTS (
        SELECT FROM pg_inherits i JOIN family f ON i.inhparent = f.oid JOIN pg_class p ON p.oid = i.inhrelid
        WHERE NOT p.relispartition
    ) THEN 'inherited' END, NULL
FROM pg_class c JOIN here h ON c.oid = h.oid"""

PARTS = (INDEXES, TRIGGERS, FOREIGN_KEYS, REFERRERS, TABLE)
FACTS = "\n".join([FAMILY, "\nUNION ALL ".join(PARTS), "ORDER BY fact, place, number, one"])

# As a text: a name that is too long would be cut, and found.
HAS_TABLE = """SELECT EXISTS (
    SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = CAST(:table AS text) AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
    AND CASE WHEN CAST(:schema AS text) IS NULL THEN pg_table_is_visible(c.oid) AND n.nspname <> 'pg_catalog'
        ELSE n.nspname = :schema END
)"""

SCHEMA = f"""{HERE} SELECT CAST(n.nspname AS text) FROM pg_namespace n
    JOIN pg_class c ON n.oid = c.relnamespace JOIN here h ON h.oid = c.oid"""  # noqa: S608 - constants only

IDENTITY = f"""{HERE} SELECT (SELECT system_identifier FROM pg_control_system()),
    (SELECT oid FROM pg_database WHERE datname = current_database()), (SELECT oid FROM here)"""  # noqa: S608 - constants only


def schema_of(connection: sa.Connection, table: str) -> str:
    """The schema of the table of that name on the search path."""
    found: str = connection.scalar(sa.text(SCHEMA), {"schema": None, "table": table})
    return found


def has_table(connection: sa.Connection, schema: str | None, table: str) -> bool:
    """Whether there is a table of that name, also a partitioned one; a view is none."""
    return bool(connection.scalar(sa.text(HAS_TABLE), {"schema": schema, "table": table}))


def facts(connection: sa.Connection, qualified: QualifiedName) -> TableFacts:
    """The facts of the table, without columns to keep: this database changes none by itself."""
    found: dict[str, list[Any]] = defaultdict(list)
    names = {"schema": qualified.schema, "table": qualified.table, "column": qualified.column}
    for fact, place, _, *texts in connection.execute(sa.text(FACTS), names):
        found[fact].append((*texts, place))
    [(secured, inherited, _, estimate)] = found["table"]
    # The primary key cannot hold the tokens. An expression may name the column anywhere.
    using = {
        name
        for name, column, expression, _ in (*found["unique"], *found["index"])
        if column == qualified.column or (column is None and qualified.column in expression)
    }
    return TableFacts(
        primary=tuple(column for _, column, *_ in found["primary"]),
        unique=[UniqueColumn(*index) for *index, _ in (*found["primary"], *found["unique"])],
        inherited=inherited is not None,
        triggers=[name for name, *_ in found["trigger"]],
        cautions=[HIDDEN] if secured else [],
        indexes=sorted(using),
        foreign_keys=[ForeignKey(name, table) for name, table, *_ in found["foreign key"]],
        referrers=[name for name, *_ in found["referrer"]],
        estimate=estimate,
    )


def identity(connection: sa.Connection, qualified: QualifiedName) -> str:
    """The numbers of the cluster, the database and the table."""
    asked = {"schema": qualified.schema, "table": qualified.table}
    return "/".join(map(str, connection.execute(sa.text(IDENTITY), asked).one()))
