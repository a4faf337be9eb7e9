"""Rows that move during a search: services update them, and change their keys."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest
import sqlalchemy as sa

from keyring_core import Keyring
from rotation.discovery.discover import SearchPlan, databases_of, discover
from rotation.discovery.result import Discovery
from rotation.discovery.survey import Survey
from rotation.discovery.table_readers import TableRows
from rotation.discovery.table_source import CellFetcher, OneTransaction
from rotation.model.target import Target
from rotation.stores.dialect import Mode
from rotation.stores.mysql.dialect import MySQL
from tests.databases import Database
from tests.stores.tokens import make_token, make_tokens

pytestmark = pytest.mark.database

ROWS, SEARCHES, WRITERS, BATCH = 6_000, 3, 2, 100
FAR = 10_000_000
"""A row's key is its number, or this less its number."""


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_no_row_that_moves_is_missed(database: Database, keyring: Keyring) -> None:
    """A search of every row sees one moment, so each row counts exactly once."""
    database.make_creds([])
    token = make_token("moving")
    database.insert("creds", [{"id": number, "token": token, "note": "n"} for number in range(1, ROWS + 1)])
    targets = [Target(database.url, "creds", "token", "creds")]

    with _services(database) as moved:
        searches = [_search(targets, keyring) for _ in range(SEARCHES)]

    assert all(moved), "the services wrote meanwhile"
    assert [[(one.label, one.tokens, one.rows) for one in search.columns] for search in searches] == [
        [("creds.token", ROWS, ROWS)]
    ] * SEARCHES


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_after_a_lost_connection_the_table_is_read_again(
    database: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No row is counted twice, and none is missed; other tables are not read again."""
    database.make_creds(make_tokens(5_000))
    database.execute("CREATE TABLE a_first (id INTEGER PRIMARY KEY, token TEXT)")
    database.insert("a_first", [{"id": 1, "token": make_token("x")}])
    targets = [Target(database.url, "creds", "token", "creds")]
    read, killed, turn = TableRows.__iter__, [], threading.Lock()

    def kill_in_the_middle(self: TableRows) -> Iterator[Any]:
        for rows in read(self):
            yield rows
            # Each thread has a connection of its own, and all of them end.
            with turn:
                if len(rows) > 1 and not killed:
                    killed.append(_kill(database))

    monkeypatch.setattr(TableRows, "__iter__", kill_in_the_middle)

    found = _search(targets, keyring)

    assert len(killed) == 1
    assert {one.label: one.tokens for one in found.columns} == {"a_first.token": 1, "creds.token": 5_000}
    assert found.rows == 5_001


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_large_cell_is_the_one_of_that_moment(
    database: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read by itself, and by then a service has changed its row: it is read as it was in the snapshot."""
    database.make_creds([], "LONGTEXT" if database.kind == "mariadb" else None)
    large = f"{make_token('x')} {'y' * 200_000}"
    database.insert("creds", [{"id": number, "token": large} for number in range(3)])
    targets, fill = [Target(database.url, "creds", "token", "creds")], CellFetcher.fill

    def change_before(*given: Any) -> Any:
        database.execute("UPDATE creds SET token = NULL")
        return fill(*given)

    monkeypatch.setattr(CellFetcher, "fill", change_before)

    found = _search(targets, keyring)

    assert [column.embedded for column in found.columns] == [3]


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_table_that_is_altered_after_the_snapshot_is_read_again(
    database: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older snapshot has no such table; the next one does."""
    database.make_creds(make_tokens(3))
    targets, begin, altered = [Target(database.url, "creds", "token", "creds")], MySQL.begin, []

    def alter_after(self: MySQL, connection: sa.Connection, mode: Mode) -> None:
        begin(self, connection, mode)
        if mode is Mode.SNAPSHOT and not altered:
            altered.append(database.execute("ALTER TABLE creds ADD more INTEGER, ALGORITHM = COPY"))

    monkeypatch.setattr(MySQL, "begin", alter_after)

    found = _search(targets, keyring)

    assert len(altered) == 1
    assert ([column.tokens for column in found.columns], found.unseen) == ([3], [])


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_snapshot_outlasts_a_batch_that_takes_long(
    database: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that ends idle transactions does not end this one while the fetched tokens are decrypted."""
    database.make_creds(make_tokens(3))
    database.execute(f"ALTER ROLE {sa.make_url(database.url).username} SET idle_in_transaction_session_timeout = 300")
    targets, read, readings = [Target(database.url, "creds", "token", "creds")], TableRows.__iter__, []

    def read_slowly(self: TableRows) -> Iterator[Any]:
        readings.append(self)
        for rows in read(self):
            time.sleep(1)
            yield rows

    monkeypatch.setattr(TableRows, "__iter__", read_slowly)

    found = _search(targets, keyring)

    assert [column.tokens for column in found.columns] == [3]
    assert len(readings) == 1


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_what_does_not_close_hides_no_error(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a driver fails to close a cursor after an error, the first error is raised, and the transaction ends."""
    database.make_creds(make_tokens(3))

    really_close = sa.CursorResult.close

    def close(result: sa.CursorResult[Any]) -> None:
        really_close(result)
        raise sa.exc.InvalidRequestError("the cursor does not close")

    def fail(reader: OneTransaction) -> None:
        with closing(reader):
            raise ZeroDivisionError

    with database.engine.connect() as connection:
        reader = OneTransaction(connection)
        next(reader.stream(sa.select(sa.literal_column("id")).select_from(sa.text("creds")), 1))
        with monkeypatch.context() as broken:
            broken.setattr(sa.CursorResult, "close", close)
            with pytest.raises(ZeroDivisionError):
                fail(reader)


def _kill(database: Database) -> int:
    """Ends every connection of the job's user; how many these were."""
    user = sa.make_url(database.url).username
    if database.kind == "postgresql":
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = :user"
        return len(database.rows(query, user=user))
    found = database.rows("SELECT id FROM information_schema.processlist WHERE user = :user", user=user)
    database.execute(*(f"KILL {number}" for (number,) in found))
    return len(found)


def _search(targets: Sequence[Target], keyring: Keyring) -> Discovery:
    plan = SearchPlan(databases_of(targets), targets, {None: keyring}, full=True, whole_server=False)
    return discover(plan, _survey)


def _survey(url: str) -> Survey:
    return Survey(url, sleep=lambda _: None)


@contextmanager
def _services(database: Database) -> Iterator[list[int]]:
    """Services that update rows all the time, each its own; how many each has moved."""
    moved, ended = [0] * WRITERS, threading.Event()
    threads = [threading.Thread(target=_serve, args=(database, number, moved, ended)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield moved
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _serve(database: Database, number: int, moved: list[int], ended: threading.Event) -> None:
    dice, mine = random.Random(number), range(1 + number, ROWS + 1, WRITERS)
    move = sa.text(f"UPDATE creds SET id = {FAR} - id, note = :note WHERE id IN :ids OR id IN :far").bindparams(
        sa.bindparam("ids", expanding=True), sa.bindparam("far", expanding=True)
    )
    while not ended.is_set():
        ids = dice.sample(mine, BATCH)
        with suppress(sa.exc.OperationalError), database.engine.begin() as connection:  # a deadlock of MariaDB's
            connection.execute(move, {"note": f"moved {moved[number]}", "ids": ids, "far": [FAR - one for one in ids]})
        moved[number] += BATCH
