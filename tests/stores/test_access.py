"""What an error of a driver means: whether it is tried again, what is at fault, and what is said of it."""

from __future__ import annotations

import sqlite3

import psycopg
import pymysql
import pytest
import sqlalchemy as sa

from rotation.model.failures import StoreError
from rotation.stores import access
from rotation.stores.access import Access, RefusedStatement, fault_of, words_of
from rotation.stores.error_codes import Fault
from rotation.stores.postgresql.dialect import PostgreSQL
from rotation.stores.servers import is_one
from rotation.stores.sqlite.dialect import SQLite

pytestmark = pytest.mark.database


def opened(url: str = "mysql://root@127.0.0.1:1/app") -> Access:
    """Access to a server that nothing connects to."""
    return Access(url, "creds", read_only=False, sleep=lambda _: None)


def of_sqlite(code: int, *, lost: bool = False) -> sa.exc.DBAPIError:
    error = sqlite3.OperationalError("near 'hunter2'")
    error.sqlite_errorcode = code
    return sa.exc.OperationalError("SELECT 'hunter2'", {}, error, connection_invalidated=lost)


FAULTS = {
    "a lost connection": (of_sqlite(sqlite3.SQLITE_ERROR, lost=True), Fault.TRANSIENT, "the connection was lost"),
    "a locked table": (of_sqlite(sqlite3.SQLITE_LOCKED), Fault.TRANSIENT, "the database failed"),
    "a full disk": (of_sqlite(sqlite3.SQLITE_FULL), Fault.PERMANENT, "the disk is full"),
    "a mistake in the statement": (of_sqlite(sqlite3.SQLITE_ERROR), Fault.PERMANENT, "the database failed"),
}
LIMITS = {
    "25P03": "idle_in_transaction_session_timeout",
    "25P04": "transaction_timeout",
    "57P05": "idle_session_timeout",
}


@pytest.mark.parametrize(("error", "fault", "words"), FAULTS.values(), ids=FAULTS)
def test_an_error_is_told_from_others(error: sa.exc.DBAPIError, fault: Fault, words: str) -> None:
    """What is lost or locked is tried again, and the words show nothing of the statement."""
    assert fault_of(error, SQLite()) is fault
    assert words_of(error, SQLite()).startswith(words)
    assert "hunter2" not in words_of(error, SQLite())


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_limit_that_ends_a_session_is_named(is_lost: bool) -> None:
    """It is tried again, since the next transaction may be shorter; the setting stands in the words in the end."""
    for state, setting in LIMITS.items():
        cause = psycopg.OperationalError("hunter2")
        cause.sqlstate = state
        error = sa.exc.OperationalError("SELECT 'hunter2'", {}, cause, connection_invalidated=is_lost)

        assert fault_of(error, PostgreSQL()) is Fault.TRANSIENT
        assert words_of(error, PostgreSQL()).endswith(f"raise this user's {setting}")


@pytest.mark.parametrize("name", FAULTS)
def test_only_a_mistake_in_it_is_blamed_on_a_statement(name: str) -> None:
    """A `where` is not refused because the table is locked just then, or the connection lost."""
    store = opened(f"sqlite:///{__file__}")

    assert store.blames_statement(FAULTS[name][0]) == (name == "a mistake in the statement")


@pytest.mark.parametrize("past_locks", [True, False])
def test_a_lock_that_stays_is_passed_over_only_on_request(past_locks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search goes on with the next table; for everything else the database has failed."""
    store, tries = opened(), []

    def fail(*_: object) -> None:
        tries.append(1)
        raise sa.exc.OperationalError("SELECT 1", {}, pymysql.err.OperationalError(1205, "Lock wait timeout"))

    monkeypatch.setattr(store.link, "transaction", fail)
    if past_locks:
        assert isinstance(refusal := store.attempt(lambda _: None, past_locks=True), RefusedStatement)
        assert refusal.is_locked
    else:
        with pytest.raises(StoreError):
            store.attempt(lambda _: None)

    assert len(tries) == access.ATTEMPTS


@pytest.mark.parametrize("statement", ["SHOW TABLES IN dropped", None])
def test_a_database_that_is_dropped_meanwhile_ends_no_search(
    statement: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MariaDB says the same of a url with a wrong name, and that is tried once and is an error."""
    store, tries = opened(), []

    def fail(*_: object) -> None:
        tries.append(1)
        raise sa.exc.OperationalError(statement, {}, pymysql.err.OperationalError(1049, "Unknown database"))

    monkeypatch.setattr(store.link, "transaction", fail)
    if statement:
        assert isinstance(store.attempt(lambda _: None), RefusedStatement)
    else:
        with pytest.raises(StoreError, match="no such database"):
            store.attempt(lambda _: None)

    assert len(tries) == (access.ATTEMPTS if statement else 1)


class OperationalError(Exception):
    """As psycopg's, before there is a session."""

    sqlstate = None


TO_DB = 'connection to server at "10.0.0.1", port 6432 failed: '
REFUSALS = {
    "a pooler without its server": (
        "FATAL:  server login has been failing, cached error: connect failed (server_login_retry)",
        (Fault.TRANSIENT, True, "the pooler has no connection to its server"),
    ),
    "an older pooler": (
        "FATAL:  pgbouncer cannot connect to server",
        (Fault.TRANSIENT, True, "the pooler has no connection to its server"),
    ),
    "a pooler that repeats a refused login": (
        'FATAL:  server login has been failing, cached error: password authentication failed for user "u" '
        "(server_login_retry)",
        (Fault.PERMANENT, False, "user or password is wrong"),
    ),
    "a pooler that repeats that there is no such database": (
        'FATAL:  server login has been failing, cached error: database "a" does not exist (server_login_retry)',
        (Fault.PERMANENT, False, "there is no such database"),
    ),
    "a start": (
        "FATAL:  the database system is starting up",
        (Fault.TRANSIENT, True, "the server is starting or shutting down"),
    ),
    "an answer of another kind": ("FATAL:  no", (Fault.PERMANENT, False, "the server refuses the connection, and")),
    "no route": ("No route to host\n\tIs the server", (Fault.TRANSIENT, True, "no route leads to the host")),
    "no network": ("Network is unreachable", (Fault.TRANSIENT, True, "this machine has no route to the network")),
    "no packet": ("Connection timed out", (Fault.TRANSIENT, True, "the server does not answer")),
    "an end without a word": (
        "server closed the connection unexpectedly",
        (Fault.TRANSIENT, True, "the server cannot be reached: its host is down, no route"),
    ),
}
"""What libpq says of a connection that is not made; what it means, whether a run waits, and what an admin reads."""


@pytest.mark.parametrize(("said", "meant"), REFUSALS.values(), ids=REFUSALS)
def test_a_connection_that_is_not_made_has_its_reason(said: str, meant: tuple[Fault, bool, str]) -> None:
    """A run waits for a server that may come back, and never for a login; only that speaks of a password."""
    dialect, error = PostgreSQL(), OperationalError(f"connection failed: {TO_DB}{said}")
    fault, waits, words = meant

    assert (dialect.fault(error), dialect.is_gone(error)) == (fault, waits)
    assert str(dialect.words(error)).startswith(words)
    assert waits is ("password" not in str(dialect.words(error)) and fault is Fault.TRANSIENT)


def test_a_server_that_began_again_is_another_one() -> None:
    """A fact that not every look shows makes no difference; one that has two values does."""
    start, recovery = ("start", "1"), ("recovery", "5")

    assert is_one([])
    assert is_one([start, recovery, start])
    assert not is_one([start, recovery, ("recovery", "6")])
    assert not is_one([start, ("start", "2")])
