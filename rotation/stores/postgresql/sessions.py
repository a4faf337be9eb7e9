"""How PostgreSQL knows a transaction, so that a second connection can ask what became of it.

By the start of the server, the process that serves the session, and the time at which the transaction began, which
`pg_stat_activity` shows as `xact_start`. A pooler may hand a session to the next transaction of somebody else, so that
each transaction asks for itself: its first statement does, which sets its settings anyway.

Before that, as if a connection was lost between two transactions, the server knows it by its process alone. It names
that process to its client at the login; a pooler, which makes cancel keys of its own, names another number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rotation.stores.servers import Fact, Peer, replica
from rotation.stores.watchdog import Session, Sign

SERVER = "CAST(extract(epoch FROM pg_postmaster_start_time()) AS text)"
RECOVERED = "coalesce(CAST(extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time()) AS text), '')"
"""A recovery after a crash, which may keep the start of the server, resets the statistics. Any user may ask."""
STANDBY = "CAST(pg_is_in_recovery() AS int)"
NAMES = f"{STANDBY}, {SERVER}, CAST(pg_backend_pid() AS text), CAST(extract(epoch FROM now()) AS text)"
FOUND = f"""{SERVER}, a.pid IS NULL, a.state, concat_ws(' ', a.wait_event_type, a.wait_event),
CAST(extract(epoch FROM a.xact_start) AS text)
FROM (SELECT 1) one LEFT JOIN pg_stat_activity a ON a.pid = CAST(%s AS int)"""


ELSEWHERE = ("Client ", "IPC SyncRep")
"""Waits of a session for others: https://www.postgresql.org/docs/current/monitoring-stats.html#WAIT-EVENT-TABLE."""
READING = {
    # The order of day and month stays: the condition in a target's `where` may have such a date.
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    # A float, of a key or of a time, with all of its digits.
    "extra_float_digits": "1",
    # The names of types, which SQLAlchemy looks up.
    "quote_all_identifiers": "off",
}
"""The settings by which the server writes values, whatever a role, a database or a server has."""


def first_statement(settings: Mapping[str, str]) -> str:
    """Sets *settings* for a transaction, beside READING, and finds its server and its names: the last four columns.

    What is set for a transaction ends with it. What is set for a session stays with a connection of a pooler such as
    PgBouncer, which hands it to a service next.
    """
    return f"SELECT {_sets({**READING, **settings})}, {NAMES}"


def _sets(settings: Mapping[str, str]) -> str:
    # Several statements in one text do not go together with parameters.
    return ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())


def session_in(result: Any) -> Session | None:
    """The names in libpq's *result* of that statement; None without one."""
    if result is None or result.ntuples != 1:
        return None
    return tuple(result.get_value(0, column).decode() for column in range(result.nfields)[-3:])


def facts_in(result: Any) -> tuple[Fact, ...]:
    """The facts of the server in the same *result*."""
    if result is None or result.ntuples != 1:
        return ()
    standby, server = (result.get_value(0, result.nfields - back).decode() for back in (4, 3))
    return (*started(server), replica(int(standby)))


def peer_of(connection: Any) -> Peer:
    """The server of a driver's new *connection*, and its process there, if no pooler is between.

    From here on, no statement begins a transaction by itself.
    """
    connection.autocommit = True
    asked = f"SELECT {_sets(READING)}, {NAMES}, {RECOVERED}"
    standby, server, process, _, recovered = connection.execute(asked).fetchone()[-5:]
    session = (server, process, None) if str(connection.info.backend_pid) == process else None
    return Peer((*started(server), recovery(recovered), replica(standby)), session)


def started(server: object) -> tuple[Fact]:
    """The start of a *server*, as a fact."""
    return (("start", str(server)),)


def recovery(recovered: object) -> Fact:
    """The fact that is new after a crash, even if the server kept its start."""
    return ("recovery", str(recovered))


def sign_of(connection: Any, session: Session) -> Sign:
    """By `pg_stat_activity`, in which a user sees its own sessions whole."""
    server, process, began = session
    connection.autocommit = True
    asked = f"SELECT {_sets(READING)}, {FOUND}"
    here, is_gone, state, waits_for, since = connection.execute(asked, [process]).fetchone()[-5:]
    if here != server:
        return Sign.LIFE
    # Of a session of somebody else, or if the server does not keep track, nothing is shown.
    if is_gone or (began is not None and since != began and state not in {None, "disabled"}):
        return Sign.LOSS
    # Otherwise the statement never arrived, its answer does not leave, or it waits for a standby.
    return Sign.WORK if state == "active" and not waits_for.startswith(ELSEWHERE) else Sign.LIFE
