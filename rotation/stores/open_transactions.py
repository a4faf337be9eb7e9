"""How each database is asked for the transactions that have written and are not committed."""

from __future__ import annotations

import os
import random
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from rotation.model.times import span


class Look(NamedTuple):
    """One question to a database."""

    ask: Callable[[sa.Connection], Sequence[OpenTransaction] | str]
    """What is open; or in words why that cannot be known. Raises DBAPIError if this user may not ask."""
    denied: str
    """What such a user lacks."""


# Every user may read pg_locks, where each transaction holds a lock on its own number; that number is hidden in
# pg_stat_activity. Processes of the server itself have no user.
SESSIONS = """SELECT l.pid, l.virtualtransaction, bool_or(l.locktype = 'transactionid') AS wrote, a.datname, a.usename,
a.application_name, CAST(extract(epoch FROM clock_timestamp() - a.xact_start) AS float) AS seconds
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype IN ('virtualxid', 'transactionid') AND l.mode = 'ExclusiveLock' AND l.granted
AND l.pid <> pg_backend_pid() AND a.usesysid IS NOT NULL AND {}
GROUP BY l.pid, l.virtualtransaction, a.datname, a.usename, a.application_name, a.xact_start ORDER BY l.pid"""
PREPARED = """SELECT p.gid, p.database, p.owner, CAST(extract(epoch FROM clock_timestamp() - p.prepared) AS float)
FROM pg_prepared_xacts p JOIN pg_database a ON a.datname = p.database WHERE {} ORDER BY p.prepared"""
ENTERED = "(a.datname = current_database() OR has_database_privilege(a.datname, 'CONNECT'))"
"""The databases that a search enters."""

READ_ONLY = "it is read-only for this user"

# If somebody asked within a tenth of a second, InnoDB repeats its last answer. One is new if this question is in it.
# Each question makes that answer last longer, so commands of this program ask in turns, and none keeps to a rhythm.
TURN = "DO GET_LOCK('keyring-rotate asks for open transactions', 30)"
TURN_ENDS = "DO RELEASE_LOCK('keyring-rotate asks for open transactions')"
TRANSACTIONS = """SELECT /* {0} */ t.trx_mysql_thread_id = connection_id() AND t.trx_query LIKE '%{0}%',
t.trx_mysql_thread_id, t.trx_started, t.trx_rows_modified > 0, p.USER, timestampdiff(SECOND, t.trx_started, now())
FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p ON p.ID = t.trx_mysql_thread_id
ORDER BY t.trx_started"""
TRIES, RENEWED_SECONDS, MOST_SECONDS = 30, 0.11, 0.3


def _postgresql_sessions(connection: sa.Connection) -> Sequence[OpenTransaction] | str:
    if connection.scalar(sa.text("SELECT pg_is_in_recovery()")):
        return "it is a standby, which does not show its primary's transactions"
    return [
        OpenTransaction(
            f"{pid} {number}",
            f"session {pid} of {user}{f' ({program})' if program else ''}{_age(seconds)}",
            wrote,
            f"let that session end, or end it: SELECT pg_terminate_backend({pid})",
            database,
        )
        for pid, number, wrote, database, user, program, seconds in connection.execute(
            sa.text(SESSIONS.format(ENTERED))
        )
    ]


def _postgresql_prepared(connection: sa.Connection) -> Sequence[OpenTransaction]:
    found = connection.execute(sa.text(PREPARED.format(ENTERED)))
    return [
        OpenTransaction(
            f"prepared {gid}",
            f"the prepared transaction {_quoted(gid)} of {owner}{_age(seconds)}",
            wrote=True,
            end=f"in {database}: COMMIT PREPARED {_quoted(gid)}, or ROLLBACK PREPARED {_quoted(gid)}",
            database=database,
            may_be_older=True,
        )
        for gid, database, owner, seconds in found
    ]


def _mysql_sessions(connection: sa.Connection) -> Sequence[OpenTransaction] | str:
    # A Galera cluster has no such locks.
    with suppress(DBAPIError):
        connection.exec_driver_sql(TURN)
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
                    f"session {thread} of {user}{_age(seconds)}",
                    bool(wrote),
                    f"let that session end, or end it: KILL {thread}",
                )
                for is_this, thread, started, wrote, user, seconds in found
                if not is_this
            ]
        time.sleep(random.uniform(RENEWED_SECONDS, MOST_SECONDS))  # noqa: S311 - no secret
    return "another program asks for the open transactions all the time, and the server repeats an old answer to it"


def _mysql_prepared(connection: sa.Connection) -> Sequence[OpenTransaction]:
    found = []
    for number, length, _, data in connection.exec_driver_sql("XA RECOVER"):
        raw = data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape")
        # In hexadecimal: the two parts may hold any bytes.
        xid = f"X'{raw[:length].hex()}',X'{raw[length:].hex()}',{number}"
        called = f"the prepared transaction {_quoted(raw.decode('ascii', 'backslashreplace'))}"
        end = f"XA COMMIT {xid}, or XA ROLLBACK {xid}"
        found.append(OpenTransaction(f"prepared {xid}", called, wrote=True, end=end, may_be_older=True))
    return found


def _sqlite_writer(connection: sa.Connection) -> Sequence[OpenTransaction] | str:
    """By being the writer for a moment, which only one can be; waits as long as the connection's busy_timeout."""
    path = connection.scalar(sa.text("SELECT file FROM pragma_database_list WHERE name = 'main'"))
    # SQLite begins a transaction that only reads if it may not write, and does not say so.
    if connection.engine.url.query.get("mode") == "ro" or not os.access(path, os.W_OK):
        return READ_ONLY
    connection.exec_driver_sql("PRAGMA query_only = 0")
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except DBAPIError as error:
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_BUSY:
            end = "let it commit, or end that process"
            return [OpenTransaction("writer", "another process", wrote=True, end=end, may_be_older=True)]
        if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
            return READ_ONLY
        raise
    connection.exec_driver_sql("ROLLBACK")
    return []


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _age(seconds: float | None) -> str:
    """How long it has been open, in words; the server hides that of other users from most."""
    return "" if seconds is None else f", open for {span(timedelta(seconds=float(seconds)))}"


POSTGRESQL = (
    Look(_postgresql_sessions, "this user may not read pg_locks"),
    Look(_postgresql_prepared, "this user may not read pg_prepared_xacts"),
)
MYSQL = (
    Look(_mysql_sessions, "this user lacks the privilege PROCESS, which shows open transactions"),
    Look(_mysql_prepared, "this user may not run XA RECOVER, which shows prepared transactions"),
)
SQLITE = (Look(_sqlite_writer, "this user may not write to it"),)


class OpenTransaction(NamedTuple):
    """One of them."""

    identity: str
    """The same each time that it is seen, and no other's."""
    words: str
    """Whose it is and how old, for a message; never its statement."""
    wrote: bool
    """Whether it has written; one that only reads may write later."""
    end: str
    """What ends it, in words."""
    database: str | None = None
    """The name of the database that it writes to, if the server says so."""
    may_be_older: bool = False
    """Whether it may have been open before it had this identity: on a session, or as one that only read."""


class Uncommitted(NamedTuple):
    """The transactions that are not committed yet, and what could not be asked."""

    transactions: tuple[OpenTransaction, ...] = ()
    unchecked: tuple[str, ...] = ()
    """Why transactions of a database are not known, in words."""

    @property
    def writers(self) -> tuple[OpenTransaction, ...]:
        """Those that have written."""
        return tuple(each for each in self.transactions if each.wrote)
