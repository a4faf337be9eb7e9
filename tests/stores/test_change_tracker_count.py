"""Other writers are seen while we write; what this process writes itself is not taken for theirs."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import sqlalchemy as sa
from hypothesis import example, given
from hypothesis import strategies as st

from rotation.model.batch import Swaps
from rotation.model.target import Target
from rotation.stores.change_tracker import Scope
from rotation.stores.mysql import change_tracker as mysql
from rotation.stores.mysql.change_tracker import MySQLChangeTracker
from rotation.stores.postgresql import change_tracker as postgresql
from rotation.stores.postgresql.change_tracker import TransactionGaps
from rotation.stores.sqlite.change_tracker import SQLiteChangeTracker
from rotation.stores.store import Store
from tests.databases import Database

pytestmark = pytest.mark.database

NO_CONNECTION, NO_SCOPE = cast(sa.Connection, None), cast(Scope, None)


def gaps(seen: TransactionGaps, *transactions: int | None) -> list[int]:
    """What each look says."""
    return [seen.look(number) for number in transactions]


# PostgreSQL. The numbers are of the whole cluster, in which other tests write, too: most are made up here.


def test_alone_no_number_is_missing() -> None:
    """Also from the first one on; a transaction that wrote nothing has no number, and says nothing."""
    assert gaps(TransactionGaps(), 1000, 1001, None, 1002, 1003) == [0, 0, 0, 0, 0]


def test_numbers_that_are_missing_are_others() -> None:
    """Each is counted once."""
    assert gaps(TransactionGaps(), 10, 11, 13, 14, 18, 19) == [0, 0, 1, 0, 3, 0]


def test_any_number_of_others_is_counted() -> None:
    """Also far more than are remembered one by one."""
    assert gaps(TransactionGaps(), 10, 1_000_011, 1_000_012, 1_000_014) == [0, 1_000_000, 0, 1]


class Threads:
    """A run's threads: each looks, within its transaction, some time after that got its number."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._seen, self.found, self._current = TransactionGaps(), 0, ""
        self._begun: dict[str, int] = {}
        patch.setattr(postgresql, "threading", SimpleNamespace(get_ident=lambda: self._current))

    def begin(self, thread: str, number: int) -> None:
        """Its next transaction; the one before it ends first."""
        self.look(thread)
        self._begun[thread] = number

    def look(self, thread: str) -> None:
        if number := self._begun.pop(thread, None):
            self._current = thread
            self.found += self._seen.look(number) or 0


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", "a", "b", "other"]), st.sampled_from(["a", "b", "c", ""]))))
@example([("a", ""), ("b", "b"), ("a", ""), ("a", "")])
@example([("other", ""), ("a", "a"), ("b", "b"), ("c", "c")])
def test_threads_of_a_run_are_not_others(steps: list[tuple[str, str]]) -> None:
    """However their transactions are interleaved; those of others are counted once all threads are beyond them."""
    with pytest.MonkeyPatch.context() as patch:
        threads, others = Threads(patch), 0
        for number, thread in enumerate("abc", 1):
            threads.begin(thread, number)
            threads.look(thread)
        for number, (writer, looks) in enumerate(steps, 4):
            if writer == "other":
                others += 1
            else:
                threads.begin(writer, number)
            threads.look(looks)
            assert threads.found <= others
        for number, thread in enumerate("abc", 4 + len(steps)):
            threads.begin(thread, number)
        for thread in "abc":
            threads.look(thread)

        assert threads.found == others


def test_writes_of_ones_own_are_forgiven_once() -> None:
    """So many as are allowed, at the next look alone; a transaction without a number is none."""
    gapped = TransactionGaps()
    gaps(gapped, 10)

    gapped.allow(2)
    assert gaps(gapped, 14, 17) == [1, 2]
    gapped.allow(2)
    assert gaps(gapped, 19, 21) == [0, 1]
    gapped.allow(2)
    assert gaps(gapped, None, 24) == [0, 0]


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    """A table of a few rows, open for writing."""
    database.make_creds(["0"] * 5)
    opened = Store(Target(database.url, "creds", "token", "creds"), read_only=False, sleep=lambda _: None)
    yield opened
    opened.close()


def write(store: Store, row: int, times: int = 1) -> list[int | None]:
    """What is said of others after each of so many writes."""
    found = []
    for _ in range(times):
        [(key, cell)] = [each for each in _cells(store) if each[0] == (row,)]
        found.append(store.write(Swaps([key], [cell], [f"{int(cell) + 1}"])).others)
    return found


def _cells(store: Store) -> list[tuple[Any, Any]]:
    batch = store.read(None, None, 10)
    return list(zip(batch.keys, batch.cells, strict=True))


@pytest.fixture
def _at_each_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """MariaDB is asked at each write."""
    monkeypatch.setattr(mysql, "LOOK_SECONDS", 0)
    monkeypatch.setattr(mysql, "LOOK_SHARE", 0)


@pytest.mark.usefixtures("_at_each_look")
def test_a_first_look_sees_nobody(database: Database, store: Store) -> None:
    """Nothing is known of what was before; MariaDB's counters say that it is unknown."""
    database.execute("UPDATE creds SET note = 'x'")

    assert write(store, 1) == [None if database.kind == "mariadb" else 0]


@pytest.mark.some(6)
@pytest.mark.usefixtures("_at_each_look")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE creds SET note = 'x' WHERE id = 5",
        "INSERT INTO creds (id, note) VALUES (6, 'x')",
        "DELETE FROM creds WHERE id = 5",
        "INSERT INTO creds (id, note) SELECT id + 100, note FROM creds",
        "CREATE TABLE IF NOT EXISTS other (id INTEGER)|INSERT INTO other VALUES (1)",
    ],
    ids=["update", "insert", "delete", "insert from select", "another table"],
)
def test_somebody_who_writes_is_seen(database: Database, store: Store, statement: str) -> None:
    """Whatever another session writes, to whatever table."""
    write(store, 1, times=2)

    database.execute(*statement.split("|"))

    [seen] = write(store, 1)
    assert seen is not None
    assert seen > 0


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_on_sqlite_one_write_is_seen_once(database: Database, store: Store) -> None:
    """Alone there is nobody; after one write of another session one look sees it, and the next ones do not."""
    assert write(store, 1, times=4) == [0, 0, 0, 0]

    database.execute("UPDATE creds SET note = 'x'")
    assert write(store, 1, times=3) == [1, 0, 0]

    # Who only reads, or undoes what was written, is nobody.
    database.rows("SELECT * FROM creds")
    with database.engine.connect() as connection:
        connection.exec_driver_sql("UPDATE creds SET note = 'y'")
        connection.rollback()
    assert write(store, 1, times=2) == [0, 0]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_on_sqlite_another_connection_may_have_missed_something(database: Database) -> None:
    """After a reconnect the versions cannot be compared: that counts as a write."""
    versions, found = SQLiteChangeTracker(NO_SCOPE), []
    engine = sa.create_engine(database.url, poolclass=sa.NullPool)
    connections = [engine.connect() for _ in range(2)]
    for connection in (connections[0], connections[0], connections[1], connections[1]):
        found.append(versions.count(connection, None))
    for connection in connections:
        connection.close()

    assert found == [0, 0, 1, 0]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_on_postgresql_reads_are_nobody(database: Database) -> None:
    """A transaction that only reads takes no number, so none is missing for it."""
    with database.engine.connect() as connection:
        assigned = sa.text("SELECT pg_current_xact_id_if_assigned()::text::bigint")
        connection.execute(sa.text("SELECT 1"))
        assert connection.scalar(assigned) is None


# MariaDB. The counters are of the whole server, in which other tests write, too.


class Counters:
    """A server's counters."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.others, self.now, self.asked, self.takes = 1000, 100.0, 0, 0.0
        monkeypatch.setattr(mysql, "_by_others", self._by_others)
        monkeypatch.setattr(mysql.time, "monotonic", lambda: self.now)

    def _by_others(self, _connection: object) -> int:
        self.asked += 1
        self.now += self.takes
        return self.others


@pytest.fixture
def counters(monkeypatch: pytest.MonkeyPatch) -> Counters:
    return Counters(monkeypatch)


def look(seen: MySQLChangeTracker, counters: Counters, *, others: int = 0, seconds: float = 1) -> Any:
    """What a look says after so many statements and seconds."""
    counters.others, counters.now = counters.others + others, counters.now + seconds
    return seen.count(NO_CONNECTION, None)


def test_what_others_wrote_is_counted_once(counters: Counters) -> None:
    """The first look says nothing of what was before it."""
    seen = MySQLChangeTracker(NO_SCOPE)

    assert look(seen, counters) is None
    assert [look(seen, counters, others=others) for others in (1, 0, 5, 0)] == [1, 0, 5, 0]


def test_the_server_is_not_asked_at_each_write(counters: Counters) -> None:
    """Between two looks there is a tenth of a second; what was written meanwhile is seen at the next one."""
    seen = MySQLChangeTracker(NO_SCOPE)
    look(seen, counters)
    asked = counters.asked

    assert [look(seen, counters, others=2, seconds=0.04) for _ in range(2)] == [0, 0]
    assert counters.asked == asked
    assert look(seen, counters, others=1, seconds=0.04) == 5


def test_over_a_long_line_the_server_is_asked_less_often(counters: Counters) -> None:
    """Ten times as long as a look takes, but twice a second at least: a run that hears of nobody goes fast."""
    seen = MySQLChangeTracker(NO_SCOPE)
    counters.takes = 0.02
    look(seen, counters)

    assert [look(seen, counters, others=1, seconds=seconds) for seconds in (0.19, 0.02)] == [0, 2]
    counters.takes = 3.0
    look(seen, counters)
    assert [look(seen, counters, others=1, seconds=seconds) for seconds in (0.49, 0.02)] == [0, 2]


def test_statements_that_are_allowed_are_forgiven_once(counters: Counters) -> None:
    """So many as are allowed, at the next look at the server alone."""
    seen = MySQLChangeTracker(NO_SCOPE)
    look(seen, counters)

    seen.allow(2)
    assert [look(seen, counters, others=3), look(seen, counters, others=2)] == [1, 2]
    seen.allow(2)
    assert look(seen, counters, seconds=0) == 0
    assert [look(seen, counters, others=2), look(seen, counters, others=1)] == [0, 1]
    seen.allow(2)
    assert [look(seen, counters, others=1), look(seen, counters, others=1)] == [0, 1]


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_mariadb_counts_each_statement_for_its_session(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """And for the server: each kind of write once, whatever number of rows it has; a read never.

    What others wrote is what the server counts and this session does not, in one question or, as on MySQL, in two.
    """
    database.make_creds(["0"] * 5)
    statements = {
        "UPDATE creds SET note = 'x'": 1,
        "UPDATE creds JOIN (SELECT 1 one) o ON o.one = creds.id SET creds.note = 'y'": 1,
        "INSERT INTO creds (id) VALUES (6), (7)": 1,
        "INSERT INTO creds (id) SELECT id + 100 FROM creds": 1,
        "REPLACE INTO creds (id) VALUES (7)": 1,
        "DELETE FROM creds WHERE id = 7": 1,
        "DELETE c FROM creds c JOIN (SELECT 6 six) s ON s.six = c.id": 1,
        "SELECT * FROM creds": 0,
        "SELECT * FROM creds FOR UPDATE": 0,
    }
    with database.engine.connect() as connection:

        def total(scope: str) -> int:
            return sum(int(value) for _, value in connection.exec_driver_sql(mysql.TOTAL.format(scope, mysql.WHICH)))

        for statement, number in statements.items():
            before = total("GLOBAL"), total("SESSION"), mysql._by_others(connection)
            connection.exec_driver_sql(statement).close()
            after = total("GLOBAL"), total("SESSION"), mysql._by_others(connection)

            assert after[1] - before[1] == number, statement
            assert after[0] - before[0] >= number, statement
            # Others of this server write meanwhile; this session's own never counts.
            assert before[0] - before[1] <= before[2] <= after[0] - after[1] <= after[2], statement

        monkeypatch.setattr(connection.dialect, "is_mariadb", False)
        assert mysql._by_others(connection) >= after[2]
