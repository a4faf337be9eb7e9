"""What an error of a driver means: whether it is tried again, what is at fault, and what is said of it."""

from __future__ import annotations

import sqlite3

import pymysql
import pytest
import sqlalchemy as sa

from rotation.model.failures import StoreError
from rotation.stores import access
from rotation.stores.access import Access, RefusedStatement, fault_of, words_of
from rotation.stores.dialect import Fault
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


@pytest.mark.parametrize(("error", "fault", "words"), FAULTS.values(), ids=FAULTS)
def test_an_error_is_told_from_others(error: sa.exc.DBAPIError, fault: Fault, words: str) -> None:
    """What is lost or locked is tried again, and the words show nothing of the statement."""
    assert fault_of(error, SQLite()) is fault
    assert words_of(error, SQLite()).startswith(words)
    assert "hunter2" not in words_of(error, SQLite())


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

    monkeypatch.setattr(store._link, "transaction", fail)
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

    monkeypatch.setattr(store._link, "transaction", fail)
    if statement:
        assert isinstance(store.attempt(lambda _: None), RefusedStatement)
    else:
        with pytest.raises(StoreError, match="no such database"):
            store.attempt(lambda _: None)

    assert len(tries) == (access.ATTEMPTS if statement else 1)
