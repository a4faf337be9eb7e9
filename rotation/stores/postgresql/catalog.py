"""PostgreSQL's catalog of tables, and the way to search a server: database by database, and any type as text."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from rotation.planning.inner_tokens import SHORTEST
from rotation.stores import table_readers
from rotation.stores.catalog import Catalog
from rotation.stores.cells import Rows, SearchedColumn, TableEntry, any_of
from rotation.stores.columns import ForeignKey, QualifiedName, TableFacts, UniqueColumn, between, table_clause
from rotation.stores.table_readers import KeylessReader, TableReader, TableSource

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
# Its parameters are looked for once, and not for each target.
FACTS = sa.text("\n".join([FAMILY, "\nUNION ALL ".join(PARTS), "ORDER BY fact, place, number, one"]))

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

    def has_table(self, connection: sa.Connection, schema: str | None, table: str) -> bool:
        """True for a table of that name, also a partitioned one; not for a view."""
        return bool(connection.scalar(sa.text(HAS_TABLE), {"schema": schema, "table": table}))

    def schema_of(self, connection: sa.Connection, table: str) -> str:
        """The schema of the table of that name on the search path."""
        found: str = connection.scalar(sa.text(SCHEMA), {"schema": None, "table": table})
        return found

    def facts(self, connection: sa.Connection, qualified: QualifiedName) -> TableFacts:
        """The facts of the table, without columns to keep: this database changes none by itself."""
        found: dict[str, list[Any]] = defaultdict(list)
        names = {"schema": qualified.schema, "table": qualified.table, "column": qualified.column}
        for fact, place, _, *texts in connection.execute(FACTS, names):
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

    def unique_columns(self, connection: sa.Connection, qualified: QualifiedName) -> Sequence[UniqueColumn]:
        """Among the facts."""
        return self.facts(connection, qualified).unique

    def table_identity(self, connection: sa.Connection, qualified: QualifiedName) -> str:
        """The numbers of the cluster, the database and the table."""
        asked = {"schema": qualified.schema, "table": qualified.table}
        return "/".join(map(str, connection.execute(sa.text(IDENTITY), asked).one()))

    def identity(self, connection: sa.Connection) -> tuple[object, ...] | None:
        """The cluster and the database, on one server: a copy of it starts with the same number."""
        allowed = "SELECT has_function_privilege('pg_control_system()', 'EXECUTE')"
        if not connection.scalar(sa.text(allowed)):
            return None
        found = "SELECT system_identifier, pg_postmaster_start_time(), current_database() FROM pg_control_system()"
        return tuple(connection.execute(sa.text(found)).one())

    def entries(self, connection: sa.Connection) -> list[TableEntry]:
        """Of all schemas, with their partitions and materialized views."""
        return [
            TableEntry(schema, table, plain, tuple((one, other) for one, other in parents or ()), *rights)
            for schema, table, plain, *rights, parents in connection.execute(sa.text(TABLES))
        ]

    def unsearchable(self, connection: sa.Connection) -> list[tuple[str, str]]:
        """Foreign tables, schemas that may not be used, and large objects."""
        return [(subject, words) for subject, words in connection.execute(sa.text(UNSEARCHABLE))]

    def databases(self, connection: sa.Connection) -> tuple[list[str], list[str]]:
        """All except this one and template0."""
        found = connection.execute(sa.text(DATABASES)).all()
        return [name for name, may in found if may], [name for name, may in found if not may]

    def columns(self, connection: sa.Connection, entry: TableEntry) -> list[SearchedColumn]:
        """Texts, bytes, JSON, arrays, composite types, and whatever else has room for a token."""
        rows = connection.execute(sa.text(COLUMNS), {"schema": entry.schema, "table": entry.table})
        return [
            SearchedColumn(
                name,
                searched=not (category in NO_ROOM or category == "V" or 0 < length < SHORTEST),
                is_bytes=kind == "bytea",
                readable=readable,
                unsearched="bit string" if category == "V" else None,
            )
            for name, readable, kind, length, category in rows
        ]

    def haystack(self, column: sa.ColumnClause[Any], kind: SearchedColumn) -> ColumnElement[Any]:
        """Bytes, or text of a collation that can be searched."""
        return column if kind.is_bytes else sa.collate(sa.cast(column, sa.Text), "C")

    def is_marked(
        self, haystack: ColumnElement[Any], kind: SearchedColumn, marks: Collection[bytes]
    ) -> ColumnElement[bool]:
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

    def whole(self, source: TableSource) -> TableReader:
        """With its partitions: the right to read a table includes its partitions, read through it."""
        # The right to read some columns does not include the place of a row.
        return KeylessReader(source) if source.entry.by_columns else FileReader(source)

    def parts(self, source: TableSource) -> list[TableReader]:
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


class FileReader(TableReader):
    """Rows of a PostgreSQL table by their place in its file: all of them through one cursor, or a sample of blocks."""

    def __init__(
        self, source: TableSource, part: sa.TableClause | None = None, blocks: int = 0, density: float = 1.0
    ) -> None:
        """*part*: the one table of several to read, with its number of *blocks*, of about *density* rows."""
        # Not quoted: no column of the table's own can be called so.
        address: list[ColumnElement[Any]] = [sa.literal_column("tableoid"), sa.literal_column("ctid")]
        query = sa.select(*source.cells.columns).select_from(source.table if part is None else part)
        super().__init__(source, query if part is None else query.with_hint(part, "ONLY", "postgresql"), address)
        self._blocks, self._window_blocks = blocks, max(1, round(table_readers.WINDOW_ROWS / max(density, 1)))

    def samples(self, count: int) -> list[Callable[[], Rows]] | None:
        """At even distances, each with a random offset that is the same each time."""
        distance = self._blocks / count
        if distance <= self._window_blocks:
            return None
        dice = random.Random(self._blocks)  # noqa: S311 - no secret
        starts = [int(distance * number + dice.random() * (distance - self._window_blocks)) for number in range(count)]
        return [partial(self._sample, start) for start in starts]

    def _sample(self, start: int) -> Rows:
        ends = [sa.text(rf"'({block},0)'\:\:tid") for block in (start, start + self._window_blocks)]
        return self._reads.read(self._query.where(*between(self.address[1], *ends)).limit(table_readers.WINDOW_ROWS))

    def _at(self, address: Sequence[Any]) -> list[ColumnElement[bool]]:
        """A row does not move within a transaction that sees one moment."""
        table, tid = self.address
        return [table == sa.literal(int(address[0])), tid == sa.cast(sa.literal(address[1], sa.Text), _Tid())]


class _Tid(sa.types.UserDefinedType[Any]):
    """The place of a row in its file."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """As PostgreSQL calls it."""
        return "tid"
