"""Other writers on PostgreSQL: each row version names the transaction that made it.

Let S be the oldest transaction that still ran before the pass read anything. A version from before S was there
in every read: the pass judged it, or swapped it, and then it is gone. All others are from S on: this run's own, which
hold tokens under the primary key, or somebody else's, and those are read at the end, in one snapshot.

It is no proof if something else decides which rows there are, or writes in the name of our transactions, or if a crash
may have brought back old versions. Each of these is looked for, and then a whole pass is made.
Snapshots and transaction ids: https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from typing import Any, NamedTuple

import sqlalchemy as sa

from keyring_core.tokens import token_length
from rotation.model.batch import Batch
from rotation.stores.change_tracker import (
    CellTotals,
    Changed,
    ChangeTracker,
    OpenTransaction,
    Scope,
    TransactionQuery,
    Unknown,
    age_in_words,
    text_literal,
)
from rotation.stores.columns import TableState, table_clause
from rotation.stores.postgresql.catalog import FAMILY
from rotation.stores.postgresql.servers import RECOVERED, SERVER, recovery, started

SPAN = 2**31 - 2**20
"""Transactions in which ages can be told apart; beyond 2**31 they wrap."""
MOST_OURS = 100_000
"""Transactions of our own to remember. What the forgotten ones wrote is read again."""
MOST_RANGES = 4
MOST_ROWS, MOST_BYTES = 10_000, 8 * 1024 * 1024
"""The most that is read at the end of what others wrote; a whole pass reads it in batches."""

IDLE_SECONDS = 5.0
"""A thread that wrote nothing for so long has no transaction open."""

START = """SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pid, backend_start
FROM pg_stat_activity WHERE pid = pg_backend_pid()"""
BLANKS = r"E' \t\n\r\x0b\f'"
"""For text and for bytes alike: what a pass takes for an empty cell."""
NOW = """SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
EXISTS (SELECT FROM pg_stat_activity WHERE pid = :pid AND backend_start = :since)"""

MOMENT = """SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
extract(epoch FROM pg_postmaster_start_time()) || ' ' || extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time())
|| ' ' || (SELECT CAST(oid AS text) FROM pg_database WHERE datname = current_database())"""
"""The snapshot, and the database of a server that has not crashed since: a restart or another server has another start,
and a recovery after a crash, which may keep the start, resets the statistics. Any user may ask for these."""

ALTERED = """concat_ws(',', pg_relation_filenode(c.oid), c.xmin, n.xmin,
    (SELECT string_agg(CAST(a.xmin AS text), ',' ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0),
    (SELECT string_agg(CAST(t.xmin AS text), ',' ORDER BY t.oid) FROM pg_trigger t
        WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgtype & 16 <> 0),
    (SELECT string_agg(CAST(r.xmin AS text), ',' ORDER BY r.oid) FROM pg_rewrite r
        WHERE r.ev_class = c.oid AND r.ev_type = '2'))"""
"""The file as it is now, not as a snapshot has it; and the transactions that last altered the table, its schema (a
rename), each of its columns (to leave a family or join it alters them), and what fires on an UPDATE."""

MEMBERS = sa.text(f"""{FAMILY} SELECT c.oid IN (SELECT oid FROM here), CAST(c.oid AS text), {ALTERED},
    row_security_active(c.oid), c.relkind = 'p' OR (c.relkind = 'r' AND a.amname = 'heap'),
    {SERVER}, {RECOVERED}
FROM pg_class c JOIN family f ON f.oid = c.oid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_am a ON a.oid = c.relam
ORDER BY c.oid""")  # noqa: S608 - constants only

# Every user may read pg_locks, where each transaction holds a lock on its own number; that number is hidden in
# pg_stat_activity. Processes of the server itself have no user.
SESSIONS = """SELECT l.pid, l.virtualtransaction, bool_or(l.locktype = 'transactionid') AS wrote, a.datname, a.usename,
a.application_name, CAST(extract(epoch FROM clock_timestamp() - a.xact_start) AS float) AS seconds
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype IN ('virtualxid', 'transactionid') AND l.mode = 'ExclusiveLock' AND l.granted
AND l.pid <> pg_backend_pid() AND a.usesysid IS NOT NULL AND {}
GROUP BY l.pid, l.virtualtransaction, a.datname, a.usename, a.application_name, a.xact_start ORDER BY l.pid"""
PREPARED = """SELECT p.gid, p.database, p.owner, CAST(extract(epoch FROM clock_timestamp() - p.prepared) AS float)
FROM pg_prepared_xacts p JOIN (SELECT oid AS datid, datname FROM pg_database) a ON a.datname = p.database
WHERE {} ORDER BY p.prepared"""
ENTERED = "(a.datname = current_database() OR has_database_privilege(a.datid, 'CONNECT'))"
"""The databases that a search enters. By name, one that is dropped meanwhile would be an error."""


def _sessions(connection: sa.Connection) -> Sequence[OpenTransaction]:
    return [
        OpenTransaction(
            f"{pid} {number}",
            f"session {pid} of {user}{f' ({program})' if program else ''}{age_in_words(seconds)}",
            wrote,
            f"let that session end, or end it: SELECT pg_terminate_backend({pid})",
            database,
        )
        for pid, number, wrote, database, user, program, seconds in connection.execute(
            sa.text(SESSIONS.format(ENTERED))
        )
    ]


def _prepared(connection: sa.Connection) -> Sequence[OpenTransaction]:
    found = connection.execute(sa.text(PREPARED.format(ENTERED)))
    return [
        OpenTransaction(
            f"prepared {gid}",
            f"the prepared transaction {text_literal(gid)} of {owner}{age_in_words(seconds)}",
            wrote=True,
            end=f"in {database}: COMMIT PREPARED {text_literal(gid)}, or ROLLBACK PREPARED {text_literal(gid)}",
            database=database,
            may_be_older=True,
        )
        for gid, database, owner, seconds in found
    ]


class PostgreSQLChangeTracker(ChangeTracker):
    """Watches one table, with its partitions and with those that inherit from it."""

    proof = "versions"
    open_transactions = (
        TransactionQuery(_sessions, "this user may not read pg_locks"),
        TransactionQuery(_prepared, "this user may not read pg_prepared_xacts"),
    )

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._gaps = TransactionGaps()
        self._ours = array("q")
        """Transactions of this run."""

    @staticmethod
    def state(connection: sa.Connection, schema: str | None, table: str) -> TableState:
        """Of the family, since it is read as one table; rows are hidden by the policies of the table itself."""
        members = family(connection, schema, table)
        first = [member for member in members if member.is_first]
        server = [(*started(member.started), recovery(member.recovered)) for member in members[:1]]
        return TableState(
            "".join(member.oid for member in first),
            [(member.oid, member.altered) for member in members],
            any(member.hidden for member in first),
            tuple(chain(*server)),
        )

    def begin(self, connection: sa.Connection) -> bool:
        """Only tables of the usual kind, whose rows everybody sees alike."""
        found = connection.execute(sa.text(START)).first()
        members = family(connection, *self.scope.cells.qualified[:2])
        # A row that loses its key would be passed over.
        if self.scope.cells.nullable_key:
            return False
        # Column grants do not cover xmin.
        connection.execute(sa.select(sa.literal_column("xmin")).select_from(self.scope.table).where(sa.false()))
        # Earlier ones look for a transaction among many one by one.
        is_new = (connection.dialect.server_version_info or (0,)) >= (14,)
        if not is_new or found is None or not _are_usual(members):
            return False
        self._start, self._pid, self._since = found
        return True

    @staticmethod
    def witness(connection: sa.Connection, schema: str | None, table: str) -> Any:
        """Server, oldest running transaction and family, as the snapshot has them.

        What alters the table after that snapshot and before the first read shows in a later look at the catalog. None
        if rows may come in without a version here, or be hidden.
        """
        start, _, server = connection.execute(sa.text(MOMENT)).one()
        members = family(connection, schema, table)
        if not (server and _are_usual(members)):
            return None
        return [server, start, [[each.oid, each.altered] for each in members]]

    @staticmethod
    def is_unchanged(connection: sa.Connection, schema: str | None, table: str, witness: Any) -> bool:
        """By the rows, and then the catalog: what altered the table before or while they were read shows there."""
        match witness:
            case [server, int(start), members]:
                pass
            case _:
                # Somebody changed it in the ledger, or another version of this program wrote it.
                return False
        _, now, _ = connection.execute(sa.text(MOMENT)).one()
        if not 0 <= now - start < SPAN:
            return False
        connection.exec_driver_sql("SET LOCAL jit = off")
        newer = sa.exists().select_from(table_clause(schema, table)).where(sa.literal_column(_since(start)))
        if connection.scalar(sa.select(newer)):
            return False
        found = PostgreSQLChangeTracker.witness(connection, schema, table)
        return found is not None and [found[0], found[2]] == [server, members]

    def wrote(self, transactions: Iterable[int]) -> None:
        """The last MOST_OURS of them are remembered, at least."""
        self._ours.extend(transactions)
        if len(self._ours) > 2 * MOST_OURS:
            del self._ours[:MOST_OURS]

    def count(self, connection: sa.Connection, transaction: int | None) -> int | None:
        """By the numbers of transactions, which any role may ask for. Threads add up what is their own."""
        del connection
        return self._gaps.look(transaction)

    def allow(self, writes: int) -> None:
        """*writes* missing numbers are this process's own."""
        self._gaps.allow(writes)

    def changed(self, connection: sa.Connection) -> Changed | Unknown:
        """One snapshot for all questions.

        A table that was rewritten before our first read looks empty in it; that shows in the catalog, which is asked
        afterwards.
        """
        connection.exec_driver_sql("SET LOCAL jit = off")
        now, is_alive = connection.execute(sa.text(NOW), {"pid": self._pid, "since": self._since}).one()
        if not is_alive:
            return Unknown("the session in which it began is gone: the server may have restarted, or another took over")
        if now - self._start >= SPAN:
            return Unknown("too many transactions have passed to distinguish old row versions from new ones")
        # A run that wrote nothing itself need not look at the cells.
        since_start = sa.literal_column(_since(self._start), sa.Boolean)
        new = sa.exists().select_from(self.scope.table).where(self.scope.rows, since_start)
        if not self._ours and not connection.scalar(sa.select(new)):
            return Changed(Batch((), ()))
        kind = self._kind()
        found = {kind: tuple(numbers) for kind, *numbers in connection.execute(self._totals(kind))}
        rows, held, empty, _ = map(sum, zip(*found.values(), strict=True)) if found else (0, 0, 0, 0)
        others, _, _, size = found.get("theirs", (0, 0, 0, 0))
        if others > MOST_ROWS or size > MOST_BYTES:
            return Unknown("others wrote much meanwhile")
        read = self._read(connection, kind == sa.literal("theirs")) if others else Batch((), ())
        return Changed(read, CellTotals(held, rows - held, empty))

    def _kind(self) -> sa.ColumnElement[str]:
        """Of a row: `old`, `ours` or `theirs`."""
        age, since_start = "age(xmin)", _since(self._start)
        # What grows by one as its place does keeps its distance from it.
        runs = groupby(enumerate(sorted(self._ours)), lambda placed: placed[1] - placed[0])
        ranges = [(run[0][1], run[-1][1]) for run in (list(neighbours) for _, neighbours in runs)]
        if len(ranges) <= MOST_RANGES:
            of_ours = " OR ".join(
                f"{age} BETWEEN age('{last % 2**32}'::xid) AND age('{first % 2**32}'::xid)" for first, last in ranges
            )
        else:
            # The server makes a hash table of them.
            of_ours = f"xmin = ANY ('{{{','.join(str(number % 2**32) for number in self._ours)}}}'::xid[])"
        return sa.literal_column(
            f"CASE WHEN NOT {since_start} THEN 'old' WHEN {of_ours or 'false'} THEN 'ours' ELSE 'theirs' END", sa.Text
        )

    def _totals(self, kind: sa.ColumnElement[str]) -> sa.Select[Any]:
        scope = self.scope
        size = sa.func.octet_length(scope.cell)
        blank = sa.func.btrim(scope.cell, sa.literal_column(BLANKS)) == sa.literal_column("''")
        # A cell as long as a token is not even fetched: the server knows its length without.
        is_blank = sa.case((size < sa.literal_column(str(token_length(0))), blank), else_=sa.false())
        columns = kind.label("kind"), size.label("size"), is_blank.label("blank")
        rows = sa.select(*columns).select_from(scope.table).where(scope.rows).subquery()
        return sa.select(
            rows.c.kind,
            sa.func.count(),
            sa.func.count(rows.c.size),
            sa.func.count().filter(rows.c.blank),
            sa.func.coalesce(sa.cast(sa.func.sum(rows.c.size), sa.BigInteger), sa.literal_column("0")),
        ).group_by(rows.c.kind)

    def _read(self, connection: sa.Connection, theirs: sa.ColumnElement[bool]) -> Batch:
        scope = self.scope
        names, salts = ([scope.table.c[name] for name in part] for part in (scope.cells.key, scope.cells.salts))
        query = sa.select(*names, scope.cell, *salts).where(scope.rows, theirs).order_by(*names)
        rows, end = connection.execute(query).all(), len(names)
        of_rows = [tuple(row[end + 1 :]) for row in rows] if salts else []
        return Batch([tuple(row[:end]) for row in rows], [row[end] for row in rows], salts=of_rows)


def _are_usual(members: Sequence[Member]) -> bool:
    """True if there are tables, all of them of the usual kind, whose rows everybody sees alike."""
    return bool(members) and all(each.is_plain and not each.hidden for each in members)


def _since(transaction: int) -> str:
    """The condition of row versions that *transaction* or a later one made."""
    return f"age(xmin) <= age('{int(transaction) % 2**32}'::xid)"


class TransactionGaps:
    """The numbers of transactions that wrote: the ones that are missing between a run's own are of others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_thread: dict[int, tuple[int, float]] = {}
        """The last number of each thread, and when. What is missing below all of them can be no thread's at work."""
        self._highest: int | None = None
        self._missing: set[int] = set()
        self._allowed = 0

    def look(self, transaction: int | None) -> int:
        """The missing numbers since the last look. A transaction that wrote nothing has none."""
        if transaction is None:
            return 0
        with self._lock:
            if self._highest is None:
                self._highest = transaction
            # Far more than can be of our own threads need not be remembered one by one.
            far = max(0, transaction - self._highest - 10_000)
            self._missing.update(range(self._highest + 1 + far, transaction))
            self._missing.discard(transaction)
            self._highest = max(self._highest, transaction)
            now = time.monotonic()
            self._of_thread[threading.get_ident()] = transaction, now
            certain = min(number for number, at in self._of_thread.values() if now - at < IDLE_SECONDS)
            others = {number for number in self._missing if number < certain}
            self._missing -= others
            found = max(0, len(others) + far - self._allowed)
            self._allowed = 0
            return found

    def allow(self, writes: int) -> None:
        """*writes* missing numbers are this process's own."""
        with self._lock:
            self._allowed = writes


class Member(NamedTuple):
    """A table, a partition of it, or one that inherits from it."""

    is_first: bool
    """True for the table itself."""
    oid: str
    altered: str
    hidden: bool
    """True if its rows may be hidden from this user."""
    is_plain: bool
    """True if its rows are kept in the usual way."""
    started: str
    """The server that says so, by its start and by its last recovery."""
    recovered: str


def family(connection: sa.Connection, schema: str | None, table: str) -> list[Member]:
    """The table, its partitions, and those that inherit from it; without *schema* the one on the search path."""
    return [Member(*found) for found in connection.execute(MEMBERS, {"schema": schema, "table": table})]
