"""PostgreSQL's catalog of tables, and the way to search a server: database by database, and any type as text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from rotation.planning.inner_tokens import SHORTEST, Spelled, forms_of_texts
from rotation.stores.catalog import LEAST, Catalog, SearchedColumn, TableEntry
from rotation.stores.columns import ForeignKey, QualifiedName, TableFacts, UniqueColumn
from rotation.stores.origins import Edge, Place
from rotation.stores.watchdog import LASTING

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

HIDDEN = (
    "row security is on for this user, so rows may be hidden; run with BYPASSRLS, or as the owner if it is not forced"
)

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

PUBLISHED = """published(oid) AS MATERIALIZED (
    SELECT g.relid FROM pg_publication p CROSS JOIN LATERAL pg_get_publication_tables(CAST(p.pubname AS text)) g
    WHERE p.pubupdate
)"""
"""The tables whose updates are published. Of a table with partitions they are listed, or the table itself is."""

# The server refuses each UPDATE of them: https://www.postgresql.org/docs/current/logical-replication-publication.html
UNIDENTIFIED = """SELECT 'unidentified', CAST(c.oid AS bigint), 0,
    format('ALTER TABLE %I.%I REPLICA IDENTITY ', n.nspname, c.relname) || CASE
        WHEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate)
        THEN 'DEFAULT' ELSE coalesce((SELECT 'USING INDEX ' || quote_ident(x.relname)
            FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisunique
            AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND NOT EXISTS (
                SELECT FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey) AND NOT a.attnotnull
            ) ORDER BY i.indexrelid LIMIT 1), 'FULL') END, NULL, NULL
FROM family f JOIN pg_class c ON c.oid = f.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relreplident <> 'f' AND EXISTS (
    SELECT FROM published p
    WHERE p.oid = c.oid OR p.oid IN (SELECT CAST(relid AS oid) FROM pg_partition_ancestors(c.oid))
) AND NOT EXISTS (
    SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate
    AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END
)"""

PARTS = (INDEXES, TRIGGERS, FOREIGN_KEYS, REFERRERS, TABLE, UNIDENTIFIED)
# Its parameters are looked for once, and not for each target.
FACTS = sa.text("\n".join([f"{FAMILY}, {PUBLISHED}", "\nUNION ALL ".join(PARTS), "ORDER BY fact, place, number, one"]))

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

TABLES = f"""SELECT n.nspname, c.relname, pg_table_is_visible(c.oid),
(SELECT array_agg(ARRAY[pn.nspname, p.relname]) FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE i.inhrelid = c.oid),
c.relispartition, has_any_column_privilege(c.oid, 'SELECT'), NOT has_table_privilege(c.oid, 'SELECT'), false, NULL,
CASE WHEN row_security_active(c.oid) THEN CAST(:hidden AS text) END, c.relhassubclass,
(c.relpages + COALESCE(t.relpages, 0)) * CAST(current_setting('block_size') AS bigint),
CASE WHEN c.reltuples >= 0 THEN CAST(c.reltuples AS bigint) END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
WHERE c.relkind IN ('r', 'p', 'm') AND c.relispopulated AND {OWN} AND has_schema_privilege(n.oid, 'USAGE')
ORDER BY 1, 2"""  # noqa: S608 - constants only
"""The fields of each TableEntry. Its sizes are as old as its statistics: to ask for a file's own size takes a lock."""

UNSEARCHABLE = f"""SELECT 'foreign table ' || n.nspname || '.' || c.relname, 'its rows are on another server'
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'f' AND {OWN}
UNION ALL SELECT 'materialized view ' || n.nspname || '.' || c.relname, 'it holds no row until it is refreshed'
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND NOT c.relispopulated AND {OWN}
UNION ALL SELECT 'schema ' || n.nspname, 'this user has no USAGE on it; tables that were not looked at: ' || count(*)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND {OWN} AND NOT has_schema_privilege(n.oid, 'USAGE') GROUP BY n.nspname
UNION ALL SELECT 'large objects', 'large objects are not searched; in this database are: ' || count(*)
FROM pg_largeobject_metadata HAVING count(*) > 0 ORDER BY 1"""  # noqa: S608 - constants only

COLUMNS = f"""WITH RECURSIVE base(oid, kind, room) AS (
    SELECT oid, typbasetype, typtypmod FROM pg_type WHERE typtype = 'd'
    UNION ALL SELECT b.oid, t.typbasetype, greatest(b.room, t.typtypmod) FROM base b JOIN pg_type t ON t.oid = b.kind
    WHERE t.typtype = 'd'
) SELECT c.relname, a.attname, has_column_privilege(c.oid, a.attnum, 'SELECT'), t.typname, t.typlen,
    CAST(CASE WHEN e.typname IN ('int2', 'int4', 'int8') THEN 'A'
        ELSE COALESCE(e.typcategory, t.typcategory) END AS text),
    CASE WHEN t.typname IN ('varchar', 'bpchar') THEN greatest(a.atttypmod, b.room) - 4 END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
LEFT JOIN base b ON b.oid = a.atttypid
JOIN pg_type t ON t.oid = COALESCE(b.kind, a.atttypid)
LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
WHERE c.relkind IN ('r', 'p', 'm') AND {OWN} AND a.attnum > 0 AND NOT a.attisdropped AND t.typtype <> 'd'
AND n.nspname = :schema AND (CAST(:table AS text) IS NULL OR c.relname = CAST(:table AS text))
ORDER BY c.relname, a.attnum"""  # noqa: S608 - constants only
"""Each column with its type, of a domain the type below it, and the category of that: of an array its elements', unless
these are whole numbers, which may be a token's letters; and the characters that it has room for, if that is bounded."""

USES = f"""{HERE}, used(oid) AS (
    SELECT oid FROM here UNION SELECT d.refobjid FROM used u JOIN pg_rewrite r ON r.ev_class = u.oid AND r.ev_type = '1'
    JOIN pg_depend d ON d.classid = CAST('pg_rewrite' AS regclass) AND d.objid = r.oid
    WHERE d.refclassid = CAST('pg_class' AS regclass)
), uses(made, column_name, source, number, refreshed) AS (
    SELECT u.oid, NULL, d.refobjid, d.refobjsubid, c.relkind = 'm' FROM used u JOIN pg_class c ON c.oid = u.oid
    JOIN pg_rewrite r ON r.ev_class = u.oid AND r.ev_type = '1'
    JOIN pg_depend d ON d.classid = CAST('pg_rewrite' AS regclass) AND d.objid = r.oid
    WHERE d.refclassid = CAST('pg_class' AS regclass) AND d.refobjid <> u.oid
    UNION SELECT u.oid, CAST(a.attname AS text), u.oid, d.refobjsubid, false FROM used u
    JOIN pg_attribute a ON a.attrelid = u.oid AND a.attgenerated <> ''
    LEFT JOIN pg_attrdef f ON f.adrelid = u.oid AND f.adnum = a.attnum
    JOIN pg_depend d ON d.refobjid = u.oid AND d.refobjsubid NOT IN (0, a.attnum)
    AND CASE d.classid WHEN CAST('pg_attrdef' AS regclass) THEN d.objid = f.oid  -- since version 15
        WHEN CAST('pg_class' AS regclass) THEN d.objid = u.oid AND d.objsubid = a.attnum END
    WHERE d.refclassid = CAST('pg_class' AS regclass)
) SELECT n.nspname, c.relname, x.column_name, sn.nspname, s.relname, a.attname,
CASE WHEN x.refreshed THEN format('as its owner %s: REFRESH MATERIALIZED VIEW %I.%I', pg_get_userbyid(c.relowner),
n.nspname, c.relname) END
FROM uses x JOIN pg_class c ON c.oid = x.made JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class s ON s.oid = x.source JOIN pg_namespace sn ON sn.oid = s.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = x.source AND a.attnum = x.number AND x.number <> 0"""  # noqa: S608 - constants only
"""Each use of a column by a view, or by a generated column; without a column: of all of them, as a row or as none."""

DATABASES = """SELECT datname, datallowconn AND has_database_privilege(oid, 'CONNECT'), datistemplate FROM pg_database
WHERE datname NOT IN (current_database(), 'template0') ORDER BY 1"""
CLOSED = "this user may not connect to them"
POOLED = (
    "a pooler would stay connected to a template, and CREATE DATABASE would fail meanwhile; a url that leads to the "
    "server itself has them searched"
)

DROPPED = "3D000"
"""The SQLSTATE of a function that is asked about a database which is gone."""
DATABASE_SIZES = """SELECT datname, pg_database_size(oid) FROM pg_database
WHERE datallowconn AND has_database_privilege(oid, 'CONNECT')"""

LEAVES = f"""{FAMILY} SELECT n.nspname, c.relname, has_table_privilege(c.oid, 'SELECT'),
COALESCE(size, 0) / CAST(current_setting('block_size') AS int) AS blocks, COALESCE(size = 0, false),
CASE WHEN relpages > 0 THEN reltuples / relpages END,
c.relkind <> 'f' AND a.amname = 'heap' AND CAST(current_setting('server_version_num') AS int) >= 140000
FROM family f JOIN pg_class c ON c.oid = f.oid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_am a ON a.oid = c.relam CROSS JOIN LATERAL (SELECT pg_relation_size(c.oid) AS size) AS file
WHERE c.relkind IN ('r', 'm', 'f')"""  # noqa: S608 - constants only

TEXTS = frozenset({"text", "varchar"})
"""Types that are text already."""
NO_ROOM = frozenset("BDEGINT")
"""Categories of types that hold no text: booleans, dates, enums, geometry, networks, numbers, spans of time."""


class PostgreSQLCatalog(Catalog):
    """Any type can be read as text, and any row has its place in a file."""

    follows_keys = False
    has_neighbours = True

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
            unidentified=[statement for statement, *_ in found["unidentified"]],
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
        rows = map(TableEntry._make, connection.execute(sa.text(TABLES), {"hidden": HIDDEN}))
        entries = [entry._replace(parents=tuple((one, other) for one, other in entry.parents or ())) for entry in rows]
        found = {(entry.schema, entry.table): entry for entry in entries}
        # The partitioned ones have no rows of their own, and so the sizes of their partitions.
        for leaf in entries:
            each: TableEntry | None = leaf
            while each and each.is_partition and (each := found.get(each.parents[0])):
                number = (each.rows or 0) + (leaf.rows or 0)
                found[each.schema, each.table] = each._replace(size=each.size + leaf.size, rows=number or None)
        return list(found.values())

    def unsearchable(self, connection: sa.Connection) -> list[tuple[str, str]]:
        """Foreign tables, materialized views without data, schemas that may not be used, and large objects."""
        return [(subject, words) for subject, words in connection.execute(sa.text(UNSEARCHABLE))]

    def databases(self, connection: sa.Connection) -> tuple[list[str], dict[str, str]]:
        """All except this one and template0. A database is copied only while nobody is connected to it."""
        found = connection.execute(sa.text(DATABASES)).all()
        is_pooled = connection.info.get(LASTING) is None
        rest = {name: POOLED if may else CLOSED for name, may, template in found if not may or (template and is_pooled)}
        return [name for name, *_ in found if name not in rest], rest

    def database_sizes(self, connection: sa.Connection) -> dict[str, int]:
        """Indexes included. None if one is dropped meanwhile: that can be an error."""
        try:
            with connection.begin_nested():
                return {name: int(size or 0) for name, size in connection.execute(sa.text(DATABASE_SIZES))}
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != DROPPED:
                raise
        return {}

    def columns(
        self, connection: sa.Connection, schema: str | None, table: str | None = None
    ) -> Mapping[str, list[SearchedColumn]]:
        """Texts, bytes, JSON, arrays, composite types, and whatever else has room for a token."""
        found: dict[str, list[SearchedColumn]] = {}
        names = {"schema": schema, "table": table}
        for named, name, readable, kind, length, category, room in connection.execute(sa.text(COLUMNS), names):
            has_no_room = 0 < length < SHORTEST or (room is not None and 0 < room < LEAST)
            column = SearchedColumn(
                name,
                searched=not (category in NO_ROOM or category == "V" or has_no_room),
                is_bytes=kind == "bytea",
                readable=readable,
                unsearched="bit string" if category == "V" else None,
                is_text=kind in TEXTS,
            )
            found.setdefault(named, []).append(column)
        return found

    def origins(self, connection: sa.Connection, schema: str | None, table: str) -> list[Edge]:
        """By the dependencies of views, materialized or not, and of generated columns."""
        found = connection.execute(sa.text(USES), {"schema": schema, "table": table})
        return [
            Edge(Place((made_in, made), column), Place((source_in, source), name), refresh)
            for made_in, made, column, source_in, source, name, refresh in found
        ]

    def cell(self, kind: SearchedColumn) -> str:
        """Bytes, or text of a collation that can be searched."""
        column = self.quote(kind.name)
        return column if kind.is_bytes else f'CAST({column} AS text) COLLATE "C"'

    def holds(self, kind: SearchedColumn, marks: Iterable[bytes]) -> dict[bytes, str]:
        """In bytes or in text; no text holds what is not ASCII or a NUL."""
        cell, written = self.cell(kind), {mark: self.constant(kind, mark) for mark in marks}
        if kind.is_bytes:
            return {mark: f"position({each} IN {cell}) > 0" for mark, each in written.items()}
        return {mark: f"strpos({cell}, {each}) > 0" for mark, each in written.items()}

    def is_marked(self, kind: SearchedColumn, forms: Sequence[Spelled]) -> str:
        """A text has the forms of texts alone. The cell is read once: for each mark the server would keep a copy."""
        whole = SearchedColumn("whole cell", is_bytes=kind.is_bytes)
        is_marked = super().is_marked(whole, forms if kind.is_bytes else forms_of_texts(forms))
        read = f"{self.cell(kind)} || {self.constant(kind, b'')} AS {self.quote(whole.name)}"
        return f"(SELECT {is_marked} FROM (SELECT {read} OFFSET 0) AS cell)"  # noqa: S608 - quoted identifiers

    def constant(self, kind: SearchedColumn, value: bytes) -> str:
        """As bytes, or as text."""
        if kind.is_bytes:
            return f"decode('{value.hex()}', 'hex')"
        return "E'" + value.decode().replace("\\", "\\\\") + "'"
