"""The round trips of transactions: what begins one travels with its first statement, and in a row it ends the last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import pytest
import sqlalchemy as sa

from rotation.stores.connection import Connection
from rotation.stores.databases import served_url
from rotation.stores.dialect import Mode
from tests.databases import Database
from tests.proxy import CERTAIN, Proxy, through_proxy

pytestmark = pytest.mark.database

SERVERS = pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
READS = pytest.mark.parametrize("mode", [Mode.READ, Mode.SNAPSHOT])


class Link(NamedTuple):
    """A connection through a proxy, which is made already."""

    connection: Connection
    proxy: Proxy

    def transact(self, mode: Mode, query: str) -> object:
        """The first value that a transaction of one statement finds."""
        with self.connection.transaction(mode) as connection:
            return connection.scalar(sa.text(query))

    def trips(self, mode: Mode, times: int) -> int:
        """The round trips of so many transactions of one statement."""
        self.proxy.trip, before = CERTAIN, self.proxy.trips
        for _ in range(times):
            self.transact(mode, "SELECT 1")
        return self.proxy.trips - before


@contextmanager
def linked(database: Database) -> Iterator[Link]:
    """A connection that has set what it sets once."""
    with through_proxy(database.url, trip=0.002) as proxy:
        link = Link(Connection(*served_url(proxy.url, "this test")), proxy)
        for mode in (Mode.WRITE, Mode.READ):
            link.transact(mode, "SELECT 1")
        yield link
        link.connection.disconnect()


@pytest.mark.some(1)
@SERVERS
@pytest.mark.parametrize("mode", [Mode.READ, Mode.WRITE, Mode.ALONE])
def test_a_transaction_of_one_statement_takes_two_trips(database: Database, mode: Mode) -> None:
    """On MariaDB one for the begin, too, or for a statement by itself one in all."""
    with linked(database) as link:
        trips = link.trips(mode, 3)

    assert trips == (6 if database.kind == "postgresql" else 3 if mode is Mode.ALONE else 9)


@SERVERS
def test_what_the_driver_itself_has_begun_is_undone(database: Database) -> None:
    """If nothing has ended it, as after an error."""
    database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY)")
    with linked(database) as link:
        with link.connection.transaction(Mode.BARE) as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.cursor().execute("BEGIN")
            driver.cursor().execute("INSERT INTO creds VALUES (1)")
        link.transact(Mode.WRITE, "SELECT 1")

    assert database.rows("SELECT id FROM creds") == []


@SERVERS
@READS
def test_in_a_row_each_transaction_ends_as_the_next_one_begins(database: Database, mode: Mode) -> None:
    """So that ends take no trips, but for the last one's."""
    with linked(database) as link:
        link.transact(mode, "SELECT 1")
        before = link.proxy.trips
        with link.connection.in_a_row():
            link.trips(mode, 4)
        trips = link.proxy.trips - before

    assert trips == {"postgresql": 5, "mariadb": 9}[database.kind]


@SERVERS
@READS
def test_no_transaction_of_a_row_can_write(database: Database, mode: Mode) -> None:
    """The end of the one before it takes nothing of that away."""
    database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY)")
    with linked(database) as link, link.connection.in_a_row():
        for number in range(3):
            with suppress(sa.exc.DBAPIError), link.connection.transaction(mode) as connection:
                connection.execute(sa.text("SELECT 1"))
                connection.execute(sa.text(f"INSERT INTO creds VALUES ({number})"))
            link.transact(mode, "SELECT 1")

    assert database.rows("SELECT id FROM creds") == []


@SERVERS
def test_a_transaction_of_a_row_sees_what_was_written_before_it(database: Database) -> None:
    """And of one moment nothing that was written later."""
    database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY)")
    count, seen = sa.text("SELECT count(*) FROM creds"), []
    with linked(database) as link, link.connection.in_a_row():
        for number in range(0, 4, 2):
            with link.connection.transaction(Mode.SNAPSHOT) as connection:
                seen.append(connection.scalar(count))
                database.execute(f"INSERT INTO creds VALUES ({number})")
                seen.append(connection.scalar(count))
            with link.connection.transaction(Mode.READ) as connection:
                seen.append(connection.scalar(count))
                database.execute(f"INSERT INTO creds VALUES ({number + 1})")

    assert seen == [0, 0, 1, 2, 2, 3]


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_writer_after_a_snapshot_sees_what_is_committed(database: Database) -> None:
    """The isolation that a snapshot needs would lock what it does not write."""
    query = f"SELECT @@{'transaction' if database.is_mysql else 'tx'}_isolation"
    with linked(database) as link:
        found = [link.transact(mode, query) for mode in (Mode.SNAPSHOT, Mode.READ, Mode.SNAPSHOT, Mode.HURRIED)]

    assert [found[0], *found[2:]] == ["REPEATABLE-READ", "REPEATABLE-READ", "READ-COMMITTED"]


@SERVERS
def test_a_writer_between_two_readers_of_a_row_commits(database: Database) -> None:
    """It is no part of the row."""
    database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY)")
    with linked(database) as link, link.connection.in_a_row():
        link.transact(Mode.READ, "SELECT 1")
        with link.connection.transaction(Mode.WRITE) as connection:
            connection.execute(sa.text("INSERT INTO creds VALUES (1)"))
        seen = link.transact(Mode.SNAPSHOT, "SELECT count(*) FROM creds")

    assert seen == 1


@SERVERS
def test_nothing_is_open_after_a_row(database: Database) -> None:
    """What the last transaction read can be altered."""
    database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY)")
    with linked(database) as link:
        with link.connection.in_a_row():
            link.transact(Mode.READ, "SELECT count(*) FROM creds")
        with database.engine.begin() as connection:
            if database.kind == "postgresql":
                connection.exec_driver_sql("SET LOCAL lock_timeout = '10s'")
            connection.exec_driver_sql("ALTER TABLE creds ADD more INTEGER")


@SERVERS
def test_a_connection_that_is_lost_in_a_row_is_made_again(database: Database) -> None:
    """Its next transaction fails, as any whose connection is lost; the one after that has another."""
    with linked(database) as link, link.connection.in_a_row():
        link.transact(Mode.READ, "SELECT 1")
        link.proxy.cut()
        with pytest.raises(sa.exc.DBAPIError) as caught:
            link.transact(Mode.READ, "SELECT 1")
        found = link.transact(Mode.READ, "SELECT 7")

    assert caught.value.connection_invalidated
    assert found == 7


@SERVERS
def test_a_row_whose_connection_is_lost_ends_without_an_error(database: Database) -> None:
    """All of its transactions have given their results."""
    with linked(database) as link:
        with link.connection.in_a_row():
            found = link.transact(Mode.READ, "SELECT 7")
            link.proxy.cut()

        assert link.transact(Mode.READ, "SELECT 8") == 8
    assert found == 7


@SERVERS
@pytest.mark.parametrize("many", [False, True])
def test_a_writer_begins_with_whatever_it_does_first(database: Database, many: bool) -> None:
    """One statement, or one with many values: an error undoes both."""
    database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY)")
    insert, values = sa.text("INSERT INTO creds VALUES (:id)"), [{"id": 1}, {"id": 2}] if many else {"id": 1}

    def write(connection: sa.Connection) -> None:
        connection.execute(insert, values)
        connection.execute(insert, {"id": 1})

    with linked(database) as link, pytest.raises(sa.exc.IntegrityError):
        link.connection.transact(Mode.WRITE, write)

    assert database.rows("SELECT id FROM creds") == []


@SERVERS
def test_a_first_statement_that_is_read_bit_by_bit_is_of_the_transaction(database: Database) -> None:
    """On PostgreSQL through a cursor, which begins by itself."""
    with linked(database) as link, link.connection.transaction(Mode.SNAPSHOT) as connection:
        rows = connection.execution_options(yield_per=2).execute(sa.text("SELECT 1 UNION SELECT 2 UNION SELECT 3"))
        found = sorted(value for part in rows.partitions() for (value,) in part)

    assert found == [1, 2, 3]
