"""Proof on PostgreSQL: each row version names the transaction that made it.

Let S be the oldest transaction that still ran before the pass read anything. A version from before S was there
in every read: the pass judged it, or swapped it, and then it is gone. All others are from S on: this run's own, which
hold tokens under the primary key, or somebody else's, and those are read at the end, in one snapshot.

It is no proof where something else decides which rows there are, or writes in the name of our transactions, or where a
crash may have brought back old versions. Each of that is looked for, and then a whole pass is made.
Snapshots and transaction ids: https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from keyring_core.tokens import token_length
from rotation.model.batch import Batch
from rotation.stores.postgresql import catalog
from rotation.stores.witness import Changed, Scope, Totals, Unknown

SPAN = 2**31 - 2**20
"""Transactions in which ages can be told apart; beyond 2**31 they wrap."""
MOST_OURS = 100_000
"""Transactions of our own to remember. What the forgotten ones wrote is read again."""
MOST_RANGES = 4
MOST_ROWS, MOST_BYTES = 10_000, 8 * 1024 * 1024
"""What others wrote is read at the end if it is not more than that; a whole pass reads it in batches."""

START = """SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pid, backend_start
FROM pg_stat_activity WHERE pid = pg_backend_pid()"""
BLANKS = r"E' \t\n\r\x0b\f'"
"""For text and for bytes alike: what a pass takes for an empty cell."""
NOW = """SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
EXISTS (SELECT FROM pg_stat_activity WHERE pid = :pid AND backend_start = :since)"""


class PostgreSQLWitness:
    """Watches one table, with its partitions and with those that inherit from it."""

    name = "versions"

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._ours = array("q")
        """Transactions of this run."""

    def begin(self, connection: sa.Connection) -> bool:
        """Only tables of the usual kind, whose rows everybody sees alike."""
        found = connection.execute(sa.text(START)).first()
        family = catalog.family(connection, *self._scope.cells.qualified[:2])
        # A row that loses its key would be passed over.
        if self._scope.cells.nullable_key:
            return False
        # Rights on some columns are none on this one.
        connection.execute(sa.select(sa.literal_column("xmin")).select_from(self._scope.table).where(sa.false()))
        # Earlier ones look for a transaction among many one by one.
        is_new = (connection.dialect.server_version_info or (0,)) >= (14,)
        if not is_new or found is None or not family or not all(each.is_plain and not each.hidden for each in family):
            return False
        self._start, self._pid, self._since = found
        return True

    def wrote(self, transactions: Iterable[int]) -> None:
        """The last MOST_OURS of them are remembered, at least."""
        self._ours.extend(transactions)
        if len(self._ours) > 2 * MOST_OURS:
            del self._ours[:MOST_OURS]

    def changed(self, connection: sa.Connection) -> Changed | Unknown:
        """One snapshot for all questions.

        A table that was rewritten before it was first read from looks empty in it; that shows in the catalog, which is
        asked afterwards.
        """
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL jit = off")
        now, is_alive = connection.execute(sa.text(NOW), {"pid": self._pid, "since": self._since}).one()
        if not is_alive:
            return Unknown("the session in which it began is gone: the server may have restarted, or another took over")
        if now - self._start >= SPAN:
            return Unknown("too many transactions have passed to distinguish old row versions from new ones")
        if not self._ours and not connection.scalar(sa.select(self._has_new())):
            return Changed(Batch((), ()))
        kind = self._kind()
        found = {kind: tuple(numbers) for kind, *numbers in connection.execute(self._totals(kind))}
        rows, held, empty, _ = map(sum, zip(*found.values(), strict=True)) if found else (0, 0, 0, 0)
        others, _, _, size = found.get("theirs", (0, 0, 0, 0))
        if others > MOST_ROWS or size > MOST_BYTES:
            return Unknown("others wrote much meanwhile")
        read = self._read(connection, kind == sa.literal("theirs")) if others else Batch((), ())
        return Changed(read, Totals(held, rows - held, empty))

    def _since_start(self) -> str:
        return f"age(xmin) <= age('{self._start % 2**32}'::xid)"

    def _has_new(self) -> sa.ColumnElement[bool]:
        """Whether anybody wrote: a run that wrote nothing itself need not look at the cells."""
        return (
            sa.exists().select_from(self._scope.table).where(self._scope.rows, sa.literal_column(self._since_start()))
        )

    def _kind(self) -> sa.ColumnElement[str]:
        """Of a row: `old`, `ours` or `theirs`."""
        age, since_start = "age(xmin)", self._since_start()
        ranges = list(_ranges(sorted(self._ours)))
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
        scope = self._scope
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
        scope = self._scope
        names = [scope.table.c[name] for name in scope.cells.key]
        rows = connection.execute(sa.select(*names, scope.cell).where(scope.rows, theirs).order_by(*names)).all()
        return Batch([tuple(key) for *key, _ in rows], [cell for *_, cell in rows])


def _ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Ascending *numbers* as ranges, each by its first and last number."""
    # What grows by one as its place does keeps its distance from it.
    for _, neighbours in groupby(enumerate(numbers), lambda placed: placed[1] - placed[0]):
        run = [number for _, number in neighbours]
        yield run[0], run[-1]
