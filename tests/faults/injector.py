"""Makes one call to the database fail: the Nth connection, statement or commit, before it is done or after."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import psycopg
import pymysql
import pymysql.cursors
import pytest
import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect

from rotation.job.passes import ExecutorFor, TargetRun
from rotation.stores.postgresql.transactions import execute, execute_many
from tests.databases import Database

FIRST_COMMIT = 18
"""About as many calls about rows as a run needs to commit its first batch: each kind of call is among them."""


def calls_to_fail(near: int, far: int, first: int = 1) -> Iterator[int]:
    """The numbers of calls: each *near*-th until the first commit, each *far*-th later; *first* shifts both."""
    yield from range(1 + (first - 1) % near, FIRST_COMMIT + 1, near)
    yield from count(FIRST_COMMIT + 1 + (first - 1) % far, far)


class Fault(NamedTuple):
    """What happens to a call."""

    act: Callable[[Any], None]
    """Raises, or spoils the driver's connection so that the call does."""
    after: bool = False
    """Whether the call is done, and only its answer lost."""


@dataclass
class Injected:
    """How far a run came."""

    counts: bool
    calls: int = 0
    failed: bool = False
    inside: bool = False
    """Whether SQLAlchemy is calling, so that what the driver does for it is no call of its own."""


@contextmanager
def failing(nth: int, fault: Fault, *, opening: bool) -> Iterator[Injected]:
    """While it is open the *nth* call fails, of those about rows, or, with *opening*, of all."""
    injected = Injected(counts=opening)
    after = fault.after

    def call(connection: Any, act: Callable[[], Any]) -> Any:
        injected.calls += injected.counts
        due = injected.counts and injected.calls == nth
        if due and not after:
            injected.failed = True
            fault.act(connection)
        injected.inside = True
        try:
            result = act()
        finally:
            injected.inside = False
        if due and after:
            injected.failed = True
            fault.act(connection)
            raise _lost_answer(connection)
        return result

    def do_connect(dialect: Any, _record: object, arguments: Any, options: Any) -> Any:
        made = dialect.connect(*arguments, **options, **_OF_OURS.get(dialect.driver, {}))
        try:
            # The first that a failed connection meets is what sets it up.
            return call(made, lambda: made)
        except BaseException:
            made.close()
            raise

    def do_execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        call(_connection_of(cursor), lambda: _execute(cursor, statement, parameters, context))
        return True

    def do_executemany(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        call(_connection_of(cursor), lambda: _execute_many(cursor, statement, parameters, context))
        return True

    def do_commit(_dialect: object, connection: Any) -> None:
        call(_driver_connection(connection), connection.commit)

    def set_up(connection: Any, act: Callable[[], Any]) -> Any:
        """What a connection does by itself before SQLAlchemy has it."""
        return act() if injected.inside else call(connection, act)

    def make_passes(self: TargetRun, executor_for: ExecutorFor, rows: int = -1) -> None:
        injected.counts = True
        plain(self, executor_for, rows)

    plain = TargetRun.make_passes
    events = {"do_connect": do_connect, "do_execute": do_execute, "do_executemany": do_executemany}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TargetRun, "make_passes", make_passes)
        patch.setattr(DefaultDialect, "do_commit", do_commit)
        for owner, connection_of in _SETTING_UP:
            patch.setattr(owner, "execute", _through(set_up, owner.execute, connection_of))
        for name, act in events.items():
            sa.event.listen(sa.Engine, name, act)
        try:
            yield injected
        finally:
            for name, act in events.items():
                sa.event.remove(sa.Engine, name, act)


def _execute(cursor: Any, statement: str, parameters: Any, context: Any) -> None:
    # On PostgreSQL the begin of a transaction, and the end of a swap, travel with a statement.
    if context.dialect.driver != "psycopg" or not execute(cursor, statement, parameters, context):
        context.dialect.do_execute(cursor, statement, parameters, context)


def _execute_many(cursor: Any, statement: str, parameters: Any, context: Any) -> None:
    if context.dialect.driver == "psycopg":
        execute_many(cursor, statement, parameters, context)
    context.dialect.do_executemany(cursor, statement, parameters, context)


class _SQLiteConnection(sqlite3.Connection):
    """One whose methods a test can replace."""


_OF_OURS: dict[str, dict[str, Any]] = {"pysqlite": {"factory": _SQLiteConnection}}

_SETTING_UP: list[tuple[Any, Callable[[Any], Any]]] = [
    (_SQLiteConnection, lambda connection: connection),
    (psycopg.Connection, lambda connection: connection),
    (pymysql.cursors.Cursor, lambda cursor: cursor.connection),
]
"""Whose `execute` the set-up of a connection goes through, and the driver's connection of each."""


def _through(gate: Callable[..., Any], plain: Any, connection_of: Callable[[Any], Any]) -> Callable[..., Any]:
    def execute(self: Any, *arguments: Any, **options: Any) -> Any:
        return gate(connection_of(self), lambda: plain(self, *arguments, **options))

    return execute


def _connection_of(cursor: Any) -> Any:
    return _driver_connection(cursor.connection)


def _driver_connection(proxy: Any) -> Any:
    return getattr(proxy, "driver_connection", proxy)


def fault_named(name: str, database: Database) -> Fault:
    """The faults that a process survives."""
    return {
        "passes": Fault(_pass),
        "snapshot": Fault(_conflict),
        "stays": Fault(_stay),
        "unheard-of": Fault(_fail_oddly),
        "cut": Fault(_cutting(database)),
        "answer lost": Fault(_cutting(database) if database.kind != "sqlite" else lambda _: None, after=True),
    }[name]


KILLED = Fault(lambda _: os._exit(9))
"""The process is gone, as by SIGKILL. After a call is no other moment than before the next one."""


def _pass(connection: Any) -> None:
    """A deadlock, or a lock by another process."""
    raise _error(connection, sqlite=sqlite3.SQLITE_BUSY, postgresql="40P01", mariadb=1213)


def _conflict(connection: Any) -> None:
    """A serialization failure: the transaction sees the row as it was before somebody's write."""
    raise _error(connection, sqlite=sqlite3.SQLITE_BUSY_SNAPSHOT, postgresql="40001", mariadb=1020)


def _stay(connection: Any) -> None:
    """A full disk."""
    raise _error(connection, sqlite=sqlite3.SQLITE_FULL, postgresql="53100", mariadb=1021)


def _fail_oddly(connection: Any) -> None:
    """A failure that no list of this program has: of memory, or inside the server."""
    raise _error(connection, sqlite=sqlite3.SQLITE_NOMEM, postgresql="XX000", mariadb=1030)


def _cutting(database: Database) -> Callable[[Any], None]:
    """The server ends the connection; on SQLite reading the file fails."""

    def cut(connection: Any) -> None:
        with database.engine.connect() as other:
            if database.kind == "postgresql":
                waiting = sa.text("SELECT pg_terminate_backend(:pid, 5000)")
                other.execute(waiting, {"pid": connection.info.backend_pid})
            elif database.kind == "mariadb":
                other.execute(sa.text(f"KILL {connection.thread_id()}"))
            else:
                raise _error(connection, sqlite=sqlite3.SQLITE_IOERR)

    return cut


def _lost_answer(connection: Any) -> Exception:
    """What a driver raises where the connection is lost before the answer is there."""
    return _error(connection, sqlite=sqlite3.SQLITE_IOERR, postgresql="08006", mariadb=2013)


def _error(connection: Any, *, sqlite: int, postgresql: str = "", mariadb: int = 0) -> Exception:
    if isinstance(connection, psycopg.Connection):
        return psycopg.errors.lookup(postgresql)("injected")
    if isinstance(connection, pymysql.connections.Connection):
        return pymysql.err.OperationalError(mariadb, "injected")
    error = sqlite3.OperationalError("injected")
    error.sqlite_errorcode = sqlite
    return error
