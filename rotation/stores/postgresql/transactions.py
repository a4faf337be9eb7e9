"""The begin of a transaction on PostgreSQL, and how the server knows it, so that a second connection can ask for it.

It begins with its first statement, in one round trip.

The server knows it by its own start, the process that serves the session, and the time at which the transaction began,
which `pg_stat_activity` shows as `xact_start`. A pooler may hand a session to the next transaction of somebody else, so
that each transaction asks for itself: its first statement does, which sets its settings anyway.

Before that, as if a connection was lost between two transactions, the server knows it by its process alone. It names
that process to its client at the login; a pooler, which makes cancel keys of its own, names another number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import sqlalchemy as sa

from rotation.stores.dialect import READING, Mode
from rotation.stores.postgresql.servers import RECOVERED, SERVER, STANDBY, recovery, started
from rotation.stores.servers import SERVER as FACTS
from rotation.stores.servers import Peer, replica
from rotation.stores.watchdog import LASTING, SESSION, Session, Sign

BEGIN, END = "rotation.begin", "rotation.end"
"""The names under which a connection notes the statements that begin its transaction, until they are sent, and what is
to end it behind the next one."""
FIRST = "rotation.first"
"""The same for the cursor of the first statement, which finds the names of the transaction and of its server."""
LOCK_MILLISECONDS = 1000
"""Milliseconds that a statement waits for a lock."""
SAVEPOINT = "keyring_looks"
"""What fails in a transaction that sees one moment is undone up to here, so that the transaction goes on."""
# Bytes within an array or a composite type are returned as text in the form that is set. Between two batches their
# tokens are decrypted, which may take long. A statement that reads nothing of a large table would be compiled all the
# same, since the planner counts it as if it did.
SNAPSHOT = {"bytea_output": "hex", "idle_in_transaction_session_timeout": "0", "jit": "off"}

NAMES = f"{STANDBY}, {SERVER}, CAST(pg_backend_pid() AS text), CAST(extract(epoch FROM now()) AS text)"
FOUND = f"""{SERVER}, a.pid IS NULL, a.state, concat_ws(' ', a.wait_event_type, a.wait_event),
CAST(extract(epoch FROM a.xact_start) AS text)
FROM (SELECT 1) one LEFT JOIN pg_stat_activity a ON a.pid = CAST(%s AS int)"""


ELSEWHERE = ("Client ", "IPC SyncRep")
"""Waits of a session for others: https://www.postgresql.org/docs/current/monitoring-stats.html#WAIT-EVENT-TABLE."""
STYLES = {
    # The order of day and month stays: the condition in a target's `where` may have such a date.
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    # A float, of a key or of a time, with all of its digits.
    "extra_float_digits": "1",
    # The names of types, which SQLAlchemy looks up.
    "quote_all_identifiers": "off",
}
"""The settings by which the server writes values, whatever a role, a database or a server has."""


def begin(connection: sa.Connection, mode: Mode) -> None:
    """A short wait for locks, so that no service waits behind this run; a reader cannot write."""
    settings = {"lock_timeout": str(1 if mode is Mode.HURRIED else LOCK_MILLISECONDS)}
    # Otherwise as the server has it: a standby's is read-only, too.
    characteristics, after = "READ ONLY" if mode in READING else "", []
    if mode is Mode.SNAPSHOT:
        characteristics, after = f"ISOLATION LEVEL REPEATABLE READ, {characteristics}", [f"SAVEPOINT {SAVEPOINT}"]
        settings |= SNAPSHOT
    elif mode not in READING:
        # Each row of a batch is found through the index of its key. The planner does not know how many there are,
        # and a join of the other kinds reads the whole table, batch after batch.
        settings |= {f"enable_{plan}": "off" for plan in ("hashjoin", "mergejoin", "seqscan")}
        # A table without an index, read all the same, would seem so costly that the server compiles the statement.
        settings["jit"] = "off"
    statements = [first_statement(settings), *after]
    driver: Any = connection.connection.driver_connection
    if driver.autocommit:
        # In a row of transactions the last one is still open.
        ending = ["ROLLBACK"] if driver.info.transaction_status else []
        _notes(connection)[BEGIN] = [*ending, f"BEGIN {characteristics}", *statements]
        # Of a statement that was never sent.
        _notes(connection).pop(END, None)
        return
    # A service's own engine, which has begun by itself.
    for each in [*([f"SET TRANSACTION {characteristics}"] if characteristics else []), *statements]:
        connection.exec_driver_sql(each)


def begin_with(connection: sa.Connection, statement: str) -> None:
    """Has the transaction begin with *statement*, too. None of it has been executed yet."""
    _notes(connection)[BEGIN].append(statement)


def end_with_next(connection: sa.Connection, question: str, values: Mapping[str, Any]) -> Callable[[], Any]:
    """Has *question* and a COMMIT travel with the next statement; the function then returns the answer.

    So no row is locked while anything is on its way.
    """
    answers: list[Any] = []
    _notes(connection)[END] = question, values, answers
    return lambda: answers[0].fetchone()[0]


def execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    """SQLAlchemy's event `do_execute`: sends the begin of a transaction with its first statement.

    Alone, if the statement cannot travel with others; and behind a pooler: only the answer to the begin says which
    session works on the statement, and a pipeline hands out its answers at its end.
    """
    connection: sa.Connection = context.root_connection
    is_server_side = hasattr(cursor, "name")
    begins, end = BEGIN in _notes(connection), _notes(connection).pop(END, None)
    together = begins and connection.info.get(LASTING) is not None and not is_server_side
    if begins and not together:
        _send_alone(connection, cursor.connection)
    if not (together or end):
        return False
    with in_one_trip(cursor.connection) as driver:
        if together:
            _send(connection, driver)
        cursor.execute(statement, parameters)
        if end:
            question, values, answers = end
            answers.append(driver.execute(question, values))
            driver.execute("COMMIT")
    note_server(connection)
    return True


def execute_many(cursor: Any, _statement: str, _parameters: Any, context: Any) -> None:
    """SQLAlchemy's event `do_executemany`: the driver has a pipeline of its own for these."""
    if BEGIN in _notes(context.root_connection):
        _send_alone(context.root_connection, cursor.connection)


def note_server(connection: sa.Connection) -> None:
    """Notes which server a transaction behind a pooler was on: it may be another than the one before."""
    if connection.info.get(LASTING) is None and FIRST in connection.info:
        names = _names_in(connection.info.pop(FIRST))
        connection.info[FACTS] = (*started(names[1]), replica(int(names[0]))) if names else ()


def _send(connection: sa.Connection, driver: Any) -> None:
    for statement in _notes(connection).pop(BEGIN):
        cursor = driver.execute(statement)
        if statement.startswith("SELECT"):
            connection.info[FIRST] = cursor
            connection.info[SESSION] = partial(session_in, cursor)


def _send_alone(connection: sa.Connection, raw: Any) -> None:
    with in_one_trip(raw) as driver:
        _send(connection, driver)
    note_server(connection)


def _notes(connection: sa.Connection) -> dict[Any, Any]:
    """Those that also a connection has of which SQLAlchemy asks its first questions."""
    notes = connection.connection.record_info
    assert notes is not None  # noqa: S101 - for the type checker: it comes from a pool
    return notes


def first_statement(settings: Mapping[str, str]) -> str:
    """Sets *settings* for a transaction, beside STYLES, and finds its server and its names: the last four columns.

    What is set for a transaction ends with it. What is set for a session stays with a connection of a pooler such as
    PgBouncer, which hands it to a service next.
    """
    return f"SELECT {_sets({**STYLES, **settings})}, {NAMES}"


def _sets(settings: Mapping[str, str]) -> str:
    # Several statements in one text do not go together with parameters.
    return ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())


def session_in(cursor: Any) -> Session | None:
    """The names that the *cursor* of that statement has found; None without an answer."""
    return tuple(_names_in(cursor)[1:]) or None


def _names_in(cursor: Any) -> list[str]:
    """The last four columns."""
    result = cursor.pgresult
    if result is None or result.ntuples != 1:
        return []
    return [result.get_value(0, column).decode() for column in range(result.nfields)[-4:]]


def peer_of(connection: Any) -> Peer:
    """The server of a driver's new *connection*, and its process there, if no pooler is between.

    From here on, no statement begins a transaction by itself.
    """
    connection.autocommit = True
    asked = f"SELECT {_sets(STYLES)}, {NAMES}, {RECOVERED}"
    standby, server, process, _, recovered = connection.execute(asked).fetchone()[-5:]
    session = (server, process, None) if str(connection.info.backend_pid) == process else None
    return Peer((*started(server), recovery(recovered), replica(standby)), session)


def sign_of(connection: Any, session: Session) -> Sign:
    """By `pg_stat_activity`, in which a user sees its own sessions whole."""
    server, process, began = session
    connection.autocommit = True
    asked = f"SELECT {_sets(STYLES)}, {FOUND}"
    here, is_gone, state, waits_for, since = connection.execute(asked, [process]).fetchone()[-5:]
    if here != server:
        return Sign.LIFE
    # Of a session of somebody else, or if the server does not keep track, nothing is shown.
    if is_gone or (began is not None and since != began and state not in {None, "disabled"}):
        return Sign.LOSS
    # Otherwise the statement never arrived, its answer does not leave, or it waits for a standby.
    return Sign.WORK if state == "active" and not waits_for.startswith(ELSEWHERE) else Sign.LIFE


@contextmanager
def in_one_trip(driver: Any) -> Iterator[Any]:
    """What the *driver*'s connection is given to do travels together at the end. Raises the first error of it.

    Nothing in it may wait for an answer before all is sent: the server would wait for the rest.
    """
    failure: Exception | None = None
    try:
        with driver.pipeline():
            try:
                yield driver
            except Exception as error:
                # The first one says it. Raised here, the driver would log a warning of those that follow from it.
                failure = error
    except Exception as error:
        failure = failure or error
    if failure:
        raise failure
