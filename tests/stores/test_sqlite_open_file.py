"""A command works on the file that it opened, as long as that one has its name."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

import pytest
import sqlalchemy as sa

from rotation.discovery.survey import Survey
from rotation.ledger.database import LedgerPlace, open_url
from rotation.ledger.schema import read_version
from rotation.model.failures import StoppedError, StoreError
from rotation.model.target import Target
from rotation.stores import watchdog
from rotation.stores.connection import Connection
from rotation.stores.dialect import Mode
from rotation.stores.sqlite.dialect import MOVED, OpenFile, SQLite
from rotation.stores.store import Store
from rotation.stores.watchdog import NoAnswerError
from rotation.world.process import STOPPED
from tests.conftest import Named
from tests.processes import until

Opened = tuple[Callable[[], object], Callable[[], object]]
"""What asks the database something, and what closes it."""


def no_wait(_seconds: float) -> None:
    """Goes on at once."""


def of_a_target(url: str) -> Opened:
    """As `run`, `status` and a census read."""
    store = Store(Target(url, "creds", "token", "creds"), read_only=True, sleep=no_wait)
    return lambda: store.read(None, None, 10), store.close


def of_a_search(url: str) -> Opened:
    """As `discover` and the search of `keys retire` read."""
    survey = Survey(url, sleep=no_wait)
    return lambda: survey.find(Target(url, "creds", "token", "creds")), survey.close


def of_the_ledger(url: str) -> Opened:
    """As each command reads the dates of keys."""
    access = open_url(LedgerPlace(url, "ledger"), 1)
    access.read(read_version)
    return lambda: access.read(read_version), access.close


def replaced(path: Path) -> None:
    """By a backup."""
    backup = path.with_name("backup")
    backup.write_bytes(path.read_bytes())
    backup.replace(path)


WAYS = {"target": of_a_target, "search": of_a_search, "ledger": of_the_ledger}
CHANGES = {"replaced": replaced, "deleted": Path.unlink, "moved": lambda path: path.rename(f"{path}.moved")}


def make(path: Path) -> str:
    """The url of a new database."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT)")
        connection.commit()
    return f"sqlite:///{path}"


def test_a_file_that_is_replaced_deleted_or_moved_is_not_read_on(tmp_path: Path, named: Named) -> None:
    """Whatever reads it: nobody uses the old file any more."""
    for way, open_database in WAYS.items():
        for change, act in CHANGES.items():
            with named(way, change):
                path = tmp_path / f"{way}-{change}.db"
                ask, close = open_database(make(path))
                ask()
                act(path)
                with pytest.raises(StoreError, match=MOVED):
                    ask()
                close()


def test_a_file_that_was_opened_again_is_compared_with_the_first(tmp_path: Path) -> None:
    """A connection may be closed for another one, and what was read before was of the first file."""
    path = tmp_path / "app.db"
    store = Store(Target(make(path), "creds", "token", "creds"), read_only=True, sleep=no_wait)
    store._access.link.disconnect()
    replaced(path)

    with closing(store), pytest.raises(StoreError, match=MOVED):
        store.read(None, None, 10)


def test_a_file_that_is_made_by_the_first_connection_is_the_one(tmp_path: Path) -> None:
    """A ledger is not there before."""
    file = OpenFile(tmp_path / "new.db")
    file.check()
    (tmp_path / "new.db").touch()
    file.check()
    file.check()
    (tmp_path / "new.db").unlink()

    with pytest.raises(NoAnswerError):
        file.check()


def test_sqlites_own_refusal_has_the_same_words(tmp_path: Path) -> None:
    """It calls the database read-only; the extended code knows better."""
    path = tmp_path / "app.db"
    make(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT * FROM creds")
        path.unlink()
        with pytest.raises(sqlite3.OperationalError) as refused:
            connection.execute("INSERT INTO creds VALUES (1, '')")

    assert SQLite().words(refused.value) == MOVED


FOR_HOURS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@contextmanager
def connected(path: Path, wait: Callable[[float], None] = no_wait) -> Iterator[Connection]:
    """A connection to a database."""
    connection = Connection(SQLite(), sa.make_url(make(path)), wait=wait)
    try:
        yield connection
    finally:
        connection.disconnect()


def stop(_seconds: float) -> None:
    """Somebody asked for it."""
    raise StoppedError(STOPPED)


def test_a_stop_ends_a_long_statement_of_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R11: also if the stop comes between two statements, when there is nothing to interrupt."""
    monkeypatch.setattr(watchdog, "STATEMENT_GRACE_SECONDS", 0.2)

    def between(session: sa.Connection) -> None:
        until(lambda: guard._call.ended, "the end of the grace")
        # Without an end, a failure of this test would have none.
        session.exec_driver_sql(FOR_HOURS.replace("FROM n)", "FROM n WHERE i < 50000000)")).all()

    with connected(tmp_path / "app.db", stop) as connection, ThreadPoolExecutor(1) as threads:
        guard = cast(OpenFile, connection._guard)
        with pytest.raises(NoAnswerError) as raised:
            threads.submit(connection.transact, Mode.READ, between).result(timeout=60)

    assert raised.value.stopped


def test_sqlite_asks_nothing_in_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question would wait for Python's lock. In the main thread, where a signal's handler waits, it asks."""
    asked: list[threading.Thread] = []
    monkeypatch.setattr(OpenFile, "_must_end", lambda _: asked.append(threading.current_thread()))
    counting = FOR_HOURS.replace("FROM n)", "FROM n WHERE i < 100000)")

    def asks() -> bool:
        """Whether SQLite asks in this thread; the one that looks for a stop does in its own."""
        asked.clear()
        connection.transact(Mode.READ, lambda session: session.exec_driver_sql(counting).all())
        return threading.current_thread() in asked

    with connected(tmp_path / "app.db") as connection, ThreadPoolExecutor(1) as threads:
        answers = [asks(), threads.submit(asks).result(timeout=60), asks()]

    assert answers == [True, False, True]
