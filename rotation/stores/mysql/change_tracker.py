"""Other writers on MariaDB and MySQL: the server's counters of statements, less the ones of this session.

Any user may read them. Nothing shows what was written, so there is no proof but a whole pass.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from rotation.stores.change_tracker import (
    ChangeTracker,
    OpenTransaction,
    Scope,
    TransactionQuery,
    age_in_words,
    text_literal,
)
from rotation.stores.columns import QualifiedName, TableState
from rotation.stores.mysql.catalog import version_beside
from rotation.stores.mysql.servers import INCARNATION, fact

COUNTERS = ("insert", "insert_select", "update", "update_multi", "delete", "delete_multi", "replace", "load")
WHICH = "WHERE Variable_name IN (" + ", ".join(f"'Com_{name}'" for name in COUNTERS) + ")"
TOTAL = "SHOW {} STATUS {}"
BOTH = f"""SELECT (SELECT SUM(Variable_value) FROM information_schema.GLOBAL_STATUS {WHICH})
- (SELECT SUM(Variable_value) FROM information_schema.SESSION_STATUS {WHICH})"""  # noqa: S608 - constants only
"""In one round trip; MySQL has no such tables."""
LOOK_SECONDS, MOST_LOOK_SECONDS, LOOK_SHARE = 0.1, 0.5, 10
"""The least time between two looks: the server adds up the counters of all its sessions. It is so many times as long as
a look takes, over a long line; but a run that hears of nobody for a second goes fast."""

# If somebody asked within a tenth of a second, InnoDB repeats its last answer. One is new if this question is in it.
# Each question makes that answer last longer, so commands of this program ask in turns, and none keeps to a rhythm.
TURN = "SELECT GET_LOCK('keyring-rotate asks for open transactions', {})"
TURN_ENDS = "DO RELEASE_LOCK('keyring-rotate asks for open transactions')"
TRANSACTIONS = """SELECT /* {0} */ t.trx_mysql_thread_id = connection_id() AND t.trx_query LIKE '%{0}%',
t.trx_mysql_thread_id, t.trx_started, t.trx_rows_modified > 0, p.USER, timestampdiff(SECOND, t.trx_started, now())
FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p ON p.ID = t.trx_mysql_thread_id
ORDER BY t.trx_started"""
TRIES, RENEWED_SECONDS, MOST_SECONDS = 30, 0.11, 0.3
TURN_SECONDS, NO_TURN_SECONDS = 30, 1
"""Seconds to wait for a turn; and at a server whose last one did not come: its holder may have hung."""
_no_turn: set[tuple[object, ...]] = set()
"""The servers, by their addresses, at which this process waited for a turn in vain."""


def _sessions(connection: sa.Connection) -> Sequence[OpenTransaction] | str:
    url = connection.engine.url
    server = url.host, url.port, url.query.get("unix_socket")
    # A Galera cluster has no such locks.
    with suppress(DBAPIError):
        seconds = NO_TURN_SECONDS if server in _no_turn else TURN_SECONDS
        has_turn = connection.exec_driver_sql(TURN.format(seconds)).scalar()
        (_no_turn.discard if has_turn else _no_turn.add)(server)
    try:
        return _asked_in_turn(connection)
    finally:
        with suppress(DBAPIError):
            connection.exec_driver_sql(TURN_ENDS)


def _asked_in_turn(connection: sa.Connection) -> Sequence[OpenTransaction] | str:
    for _ in range(TRIES):
        # Otherwise a session that reads no table of InnoDB has no transaction there.
        connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        found = connection.exec_driver_sql(TRANSACTIONS.format(secrets.token_hex(8)).replace("%", "%%")).all()
        if any(is_this for is_this, *_ in found):
            return [
                OpenTransaction(
                    f"{thread} {started}",
                    f"session {thread} of {user}{age_in_words(seconds)}",
                    bool(wrote),
                    f"let that session end, or end it: KILL {thread}",
                )
                for is_this, thread, started, wrote, user, seconds in found
                if not is_this
            ]
        time.sleep(random.uniform(RENEWED_SECONDS, MOST_SECONDS))  # noqa: S311 - no secret
    return "another program asks for the open transactions all the time, and the server repeats an old answer to it"


def _prepared(connection: sa.Connection) -> Sequence[OpenTransaction]:
    found = []
    for number, length, _, data in connection.exec_driver_sql("XA RECOVER"):
        raw = data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape")
        # In hexadecimal: the two parts may hold any bytes.
        xid = f"X'{raw[:length].hex()}',X'{raw[length:].hex()}',{number}"
        called = f"the prepared transaction {text_literal(raw.decode('ascii', 'backslashreplace'))}"
        end = f"XA COMMIT {xid}, or XA ROLLBACK {xid}"
        found.append(OpenTransaction(f"prepared {xid}", called, wrote=True, end=end, may_be_older=True))
    return found


class MySQLChangeTracker(ChangeTracker):
    """One thread's view. Two threads of one run count each other as other writers."""

    open_transactions = (
        TransactionQuery(_sessions, "this user lacks the privilege PROCESS, which shows open transactions"),
        TransactionQuery(
            _prepared, "this user may not run XA RECOVER, which shows prepared transactions (MySQL: XA_RECOVER_ADMIN)"
        ),
    )

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._others: int | None = None
        self._next = 0.0
        self._allowed = 0

    @staticmethod
    def state(connection: sa.Connection, schema: str | None, table: str) -> TableState:
        """By its time and the like: a table's number is shown only to a user with the privilege PROCESS."""
        version, began = version_beside(connection, QualifiedName(schema, table, ""), INCARNATION)
        return TableState(version=version, server=fact(began))

    def count(self, connection: sa.Connection, transaction: int | None) -> int | None:
        """Statements of other sessions since the last look."""
        del transaction
        if (now := time.monotonic()) < self._next:
            return 0
        before, self._others = self._others, _by_others(connection)
        took = time.monotonic() - now
        self._next = now + took + max(LOOK_SECONDS, min(LOOK_SHARE * took, MOST_LOOK_SECONDS))
        if before is None:
            return None
        found = max(0, self._others - before - self._allowed)
        self._allowed = 0
        return found

    def of_thread(self) -> MySQLChangeTracker:
        """One of its own: it subtracts what its own session did."""
        return MySQLChangeTracker(self.scope)

    def allow(self, writes: int) -> None:
        """*writes* statements are this process's own."""
        self._allowed = writes


def _by_others(connection: sa.Connection) -> int:
    """The number of statements of all sessions but this one."""
    if connection.dialect.is_mariadb:  # type: ignore[attr-defined]
        return int(connection.exec_driver_sql(BOTH).scalar() or 0)
    of_all, own = (
        sum(int(value) for _, value in connection.exec_driver_sql(TOTAL.format(scope, WHICH)))
        for scope in ("GLOBAL", "SESSION")
    )
    return of_all - own
