"""Locks, deadlocks, lost connections and lost answers: tried again, or left for later; never done twice."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pymysql
import pytest
import sqlalchemy as sa

from rotation.job import passes, ranges
from rotation.model.batch import Swaps, Written
from rotation.model.target import Index, Target
from rotation.stores import access
from rotation.stores.connection import Connection
from rotation.stores.databases import served_url
from rotation.stores.dialect import READING, Mode
from rotation.stores.mysql import dialect as mysql
from rotation.stores.postgresql import blocks as postgresql_blocks
from rotation.stores.postgresql import transactions
from rotation.stores.postgresql.dialect import PostgreSQL
from rotation.stores.sqlite import dialect as sqlite
from rotation.stores.store import IndexValue, Store
from rotation.world.process import Streams
from tests.conftest import Cli
from tests.databases import Database, on_mysql
from tests.processes import until
from tests.stores.tokens import make_token, make_tokens, problems, report, rotate, secret_names, secrets_of

pytestmark = pytest.mark.database

LOCK_WAIT_TIMEOUT = 1205
"""The error of MariaDB and MySQL."""
HELD = ("7", "23", "24", "58")


@pytest.fixture(autouse=True)
def _no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Streams, "wait", lambda self, seconds: None)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock is waited for hardly at all; `test_one_connection_serves_readers_and_writers` has the real limits."""
    monkeypatch.setattr(transactions, "LOCK_MILLISECONDS", 20)
    monkeypatch.setattr(postgresql_blocks, "LOCK_MILLISECONDS", 20)
    monkeypatch.setattr(mysql, "LOCK_SECONDS", 0)


@contextmanager
def locking(database: Database, where: str) -> Iterator[None]:
    """Another connection that holds rows of creds."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT id FROM creds WHERE {where} FOR UPDATE").all()
        yield
        connection.rollback()


@pytest.mark.some(2)
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("mode", Mode)
def test_nothing_that_is_set_outlives_its_transaction(database: Database, mode: Mode) -> None:
    """A pooler such as PgBouncer hands the session to a service next."""
    dialect = PostgreSQL()
    link = Connection(dialect, dialect.prepare_url(sa.make_url(database.url)))
    query = "SELECT name FROM pg_settings WHERE source = 'session'"
    with link.transaction(mode) as connection:
        inside = set(connection.scalars(sa.text(query)))
        session: Any = connection.connection.driver_connection
    session.autocommit = True
    outside = session.execute(query).fetchall()
    session.autocommit = False
    link.disconnect()

    assert inside >= {"lock_timeout", "transaction_read_only" if mode in READING else "enable_seqscan"}
    assert outside == []


def test_one_connection_serves_readers_and_writers(database: Database) -> None:
    """A reader cannot write, before and after a writer and one in a hurry, and each waits for locks as it should."""
    database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY)")
    dialect, url = served_url(database.url, "creds")
    link, waits, wrote = Connection(dialect, url), [], []
    wait = {"postgresql": "SHOW lock_timeout", "mariadb": "SELECT @@lock_wait_timeout"}.get(database.kind, "SELECT 1")

    for number, mode in enumerate([Mode.READ, Mode.WRITE, Mode.HURRIED, Mode.READ, Mode.WRITE]):
        with suppress(sa.exc.DBAPIError), link.transaction(mode) as connection:
            waits.append(connection.scalar(sa.text(wait)))
            connection.execute(sa.text(f"INSERT INTO creds VALUES ({number})"))
            wrote.append(mode)
    link.disconnect()

    assert wrote == [Mode.WRITE, Mode.HURRIED, Mode.WRITE]
    assert [row for (row,) in database.rows("SELECT id FROM creds ORDER BY id")] == [1, 2, 4]
    # MySQL takes no 0.
    hasty = 1 if database.is_mysql else 0
    usual, hurried = {"postgresql": ("1s", "1ms"), "mariadb": (1, hasty)}.get(database.kind, (1, 1))
    assert waits == [usual, usual, hurried, usual, usual]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_row_that_is_left_locked_is_named_on_the_screen(
    database: Database, cli: Cli, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R21: as every other problem, beside why the run stopped."""
    monkeypatch.setattr(passes, "MAX_PASSES", 2)
    database.make_creds(make_tokens(3))

    with locking(database, "id = 2"):
        ran = cli("run", "--url", database.url, "--table", "creds", "--column", "token")

    assert "creds.token: 1 cell locked or rewritten in each of 2 passes" in ran.out
    assert "creds.token, id=2: locked" in ran.out


@pytest.mark.some(2)
@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
@pytest.mark.parametrize("batch", ["13", "1000"])
def test_a_locked_row_is_left_for_later(
    database: Database, cli: Cli, batch: str, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R21: a row that somebody holds is `locked`; the others are rotated, and the next run has it."""
    monkeypatch.setattr(passes, "MAX_PASSES", 2)
    database.make_creds(make_tokens(40))

    with locking(database, "id IN (7, 23)"):
        ran = rotate(cli, database, "--batch-size", batch)

    assert (ran.code, report(ran)["rotated"]) == (1, 38)
    assert problems(ran) == [({"id": 7}, "locked"), ({"id": 23}, "locked")]
    assert rotate(cli, database).code == 0
    assert sorted(secrets_of(database.column().values())) == sorted(secret_names(40))


@contextmanager
def waits_in_vain() -> Iterator[list[str]]:
    """The statements that waited for a lock until they were given up."""
    found: list[str] = []

    def note(context: sa.engine.ExceptionContext) -> None:
        if getattr(context.original_exception, "args", (None,))[0] == LOCK_WAIT_TIMEOUT:
            found.append(str(context.statement))

    sa.event.listen(sa.Engine, "handle_error", note)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "handle_error", note)


@on_mysql
@pytest.mark.parametrize("key", ["INTEGER", "VARCHAR(9)"])
def test_rows_that_are_locked_are_waited_for_together(
    database: Database, cli: Cli, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R21: a batch waits once, however many of its rows are locked; MySQL cannot wait for less than a second."""
    monkeypatch.setattr(passes, "MAX_PASSES", 1)
    database.execute(f"CREATE TABLE creds (id {key} PRIMARY KEY, token TEXT)")
    database.insert("creds", [{"id": str(number), "token": token} for number, token in enumerate(make_tokens(60), 1)])

    with locking(database, f"id IN {HELD}"), waits_in_vain() as waits:
        ran = rotate(cli, database, "--batch-size", "60")

    assert (ran.code, report(ran)["rotated"]) == (1, 56), ran.err
    assert sorted(str(found["id"]) for found, category in problems(ran) if category == "locked") == sorted(HELD)
    assert len(waits) == 1
    stored = {str(row): token for row, token in database.column().items()}
    assert sorted(secrets_of([stored.pop(row) for row in HELD], "old")) == [
        "secret 22",
        "secret 23",
        "secret 57",
        "secret 6",
    ]
    assert len(secrets_of(stored.values())) == 56


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_only_a_row_that_is_there_is_locked(database: Database, hasty: None) -> None:
    """R21: in a batch with a locked row, one that a service rewrote or deleted meanwhile is the service's."""
    database.make_creds(make_tokens(9))
    old, new = database.column(), make_tokens(9, "new")
    store = Store(Target(database.url, "creds", "token", "creds"), read_only=False, sleep=lambda _: None)
    database.execute("DELETE FROM creds WHERE id = 4", "UPDATE creds SET token = 'theirs' WHERE id = 5")

    with locking(database, "id IN (2, 3)"):
        written = store.write(Swaps([(number,) for number in old], [*old.values()], new))
    store.close()

    assert (written.lost, {key: category for key, (category, _) in written.refused.items()}) == (
        {(4,), (5,)},
        {(2,): "locked", (3,): "locked"},
    )
    assert database.column() == {1: new[0], 2: old[2], 3: old[3], 5: "theirs"} | {n: new[n - 1] for n in range(6, 10)}


@on_mysql
def test_a_blind_index_is_written_around_locked_rows(database: Database, hasty: None) -> None:
    """R21: each has a statement, and so a wait, of its own: a locked one is left out, and waited for once."""
    database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT, token_index VARCHAR(80))")
    tokens = dict(enumerate(make_tokens(20), 1))
    database.insert("creds", [{"id": number, "token": token} for number, token in tokens.items()])
    index = Index("token_index", "creds.token")
    store = Store(Target(database.url, "creds", "token", "creds", index=index), read_only=False, sleep=lambda _: None)

    with locking(database, "id IN (2, 3, 19)"), waits_in_vain() as waits:
        written = store.write_indexes([IndexValue((number,), token, "ours") for number, token in tokens.items()])
    store.close()

    assert {key: category for key, (category, _) in written.refused.items()} == {(n,): "locked" for n in (2, 3, 19)}
    assert len(waits) == 1
    assert database.rows("SELECT count(*) FROM creds WHERE token_index = 'ours'") == [(17,)]


@on_mysql
def test_a_locked_table_is_not_waited_for_row_by_row(database: Database, hasty: None) -> None:
    """R21: no row of it is free, so after the whole and its halves none is tried."""
    database.make_creds(make_tokens(20))
    old = database.column()
    store = Store(Target(database.url, "creds", "token", "creds"), read_only=False, sleep=lambda _: None)

    with database.engine.connect() as connection, waits_in_vain() as waits:
        connection.exec_driver_sql("LOCK TABLES creds READ")
        written = store.write(Swaps([(number,) for number in old], [*old.values()], make_tokens(20, "new")))
        connection.exec_driver_sql("UNLOCK TABLES")
    store.close()

    assert {category for category, _ in written.refused.values()} == {"locked"}
    assert (len(written.refused), database.column()) == (20, old)
    assert len(waits) == 3


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_locked_table_ends_the_run(
    database: Database, cli: Cli, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R21: where not even reading is possible, the run says so and exits 3."""
    monkeypatch.setattr(access, "ATTEMPTS", 2)
    database.make_creds(make_tokens(2))
    lock = "LOCK TABLE creds IN ACCESS EXCLUSIVE MODE" if database.kind == "postgresql" else "LOCK TABLES creds WRITE"

    with database.engine.connect() as connection:
        connection.exec_driver_sql(lock)
        ran = rotate(cli, database)
        connection.exec_driver_sql("ROLLBACK" if database.kind == "postgresql" else "UNLOCK TABLES")

    assert ran.code == 3
    assert "another transaction holds a lock" in ran.err
    assert secrets_of(database.column().values(), "old") == secret_names(2)


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("database", "lock"),
    [
        ("postgresql", "LOCK TABLE creds IN EXCLUSIVE MODE"),
        ("postgresql", "SELECT id FROM creds FOR UPDATE"),
        ("mariadb", "LOCK TABLES creds READ"),
        ("mariadb", "SELECT id FROM creds FOR UPDATE"),
    ],
    indirect=["database"],
)
def test_a_lock_on_every_row_ends_the_run(
    database: Database, cli: Cli, hasty: None, lock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R21: a table that can be read, and of which nothing can be written, is not tried row by row to its end."""
    database.make_creds(make_tokens(40))
    monkeypatch.setattr(ranges, "LOCKED_SECONDS", 0.0)

    with database.engine.connect() as connection:
        connection.exec_driver_sql(lock)
        ran = rotate(cli, database, "--batch-size", "1")
        connection.exec_driver_sql("ROLLBACK" if database.kind == "postgresql" else "UNLOCK TABLES")

    [target] = ran.document["targets"]
    assert (ran.code, target["scanned"]) == (3, target["unsettled"])
    assert 0 < target["unsettled"] < 40
    assert "another session holds a lock on the table, or on its rows" in target["stopped"]
    assert rotate(cli, database).code == 0
    assert secrets_of(database.column().values()) == secret_names(40)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_table_that_is_locked_for_a_moment_is_waited_for(
    database: Database, cli: Cli, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R21: a lock that passes, such as a service's migration, costs a retry."""
    database.make_creds(make_tokens(2))
    connection = database.engine.connect()
    connection.exec_driver_sql("LOCK TABLE creds IN ACCESS EXCLUSIVE MODE")
    pauses: list[float] = []

    def release(_streams: Streams, seconds: float) -> None:
        pauses.extend([seconds] if seconds else [])
        if len(pauses) == 2:
            connection.close()

    monkeypatch.setattr(Streams, "wait", release)
    ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"]) == (0, 2)
    assert report(ran)["retries"] == 2


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("how", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_locked_file_ends_the_run(database: Database, cli: Cli, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """R23: a file that another process locks for longer than we wait: exit 3, `locked`, and its path."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.01)
    database.make_creds(make_tokens(2))

    with database.engine.connect() as connection:
        connection.exec_driver_sql(f"BEGIN {how}")
        ran = rotate(cli, database)
        connection.exec_driver_sql("ROLLBACK")

    assert ran.code == 3
    assert "the database is locked by another process" in ran.err
    assert str(database.engine.url.database) in ran.err
    assert secrets_of(database.column().values(), "old") == secret_names(2)


def _error(kind: str, *, sqlite: int, postgresql: str, mariadb: int) -> Exception:
    if kind == "postgresql":
        return psycopg.errors.lookup(postgresql)("injected")
    if kind == "mariadb":
        return pymysql.err.OperationalError(mariadb, "injected")
    error = sqlite3.OperationalError("injected")
    error.sqlite_errorcode = sqlite
    return error


TRANSIENT = {
    "deadlock": {"sqlite": 5, "postgresql": "40P01", "mariadb": 1213},
    "serialization": {"sqlite": 517, "postgresql": "40001", "mariadb": 1020},
    "shutdown": {"sqlite": 6, "postgresql": "57P01", "mariadb": 1053},
    "offline": {"sqlite": 6, "postgresql": "57P01", "mariadb": 3032},
    "cut": {"sqlite": 5, "postgresql": "08006", "mariadb": 2013},
}


@contextmanager
def commits_fail(times: int, make_error: Callable[[], Exception]) -> Iterator[list[int]]:
    """The first *times* transactions are committed, and the answers lost: of COMMIT, or of a statement by itself."""
    from sqlalchemy.engine.default import DefaultDialect

    plain, execute = DefaultDialect.do_commit, DefaultDialect.do_execute
    done: list[int] = []

    def lose() -> None:
        done.append(1)
        if len(done) <= times:
            raise make_error()

    def commit(dialect: Any, connection: Any) -> None:
        plain(dialect, connection)
        lose()

    def by_itself(dialect: Any, cursor: Any, statement: str, *given: Any) -> None:
        execute(dialect, cursor, statement, *given)
        is_open = getattr(cursor, "connection", None) is None or not hasattr(cursor.connection, "server_status")
        if not is_open and statement.startswith("UPDATE") and not cursor.connection.server_status & 1:
            lose()

    DefaultDialect.do_commit = commit  # type: ignore[method-assign]
    DefaultDialect.do_execute = by_itself  # type: ignore[method-assign]
    try:
        yield done
    finally:
        DefaultDialect.do_commit = plain  # type: ignore[method-assign]
        DefaultDialect.do_execute = execute  # type: ignore[method-assign]


@pytest.mark.some(3)
@pytest.mark.parametrize("name", TRANSIENT)
@pytest.mark.parametrize("key", ["INTEGER", "VARCHAR(9)"], ids=["number", "text"])
def test_a_lost_answer_to_commit_counts_once(database: Database, cli: Cli, name: str, key: str) -> None:
    """R17: where the COMMIT was done and its answer lost, the retry finds its own tokens: done, once."""
    database.execute(f"CREATE TABLE creds (id {key} PRIMARY KEY, token TEXT)")
    database.insert("creds", [{"id": str(number), "token": token} for number, token in enumerate(make_tokens(5))])
    error = TRANSIENT[name]

    with commits_fail(2, lambda: _error(database.kind, **error)):  # type: ignore[arg-type]
        ran = rotate(cli, database)

    found = report(ran)
    assert (ran.code, found["rotated"], found["unsettled"]) == (0, 5, 0)
    assert found["retries"] >= 1
    assert sorted(secrets_of(database.column().values())) == secret_names(5)


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_connection_that_is_cut_is_made_again(database: Database, cli: Cli) -> None:
    """R15: a connection that the server ends in the middle of a batch costs a retry, and no row."""
    database.make_creds(make_tokens(9))
    cut: list[int] = []

    def kill(connection: Any, cursor: Any, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE") and len(cut) < 3:
            cut.append(1)
            raw = connection.connection.dbapi_connection
            with database.engine.connect() as other:
                if database.kind == "postgresql":
                    other.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": raw.info.backend_pid})
                else:
                    other.exec_driver_sql(f"KILL {raw.thread_id()}")

    sa.event.listen(sa.Engine, "before_cursor_execute", kill)
    try:
        ran = rotate(cli, database, "--batch-size", "3")
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", kill)

    assert (ran.code, report(ran)["rotated"]) == (0, 9), ran.err
    assert report(ran)["retries"] >= 2
    assert sorted(secrets_of(database.column().values())) == secret_names(9)


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_real_deadlock_ends_well(database: Database, cli: Cli) -> None:
    """R18: two transactions that wait for each other: one is undone by the server, and no row is lost."""
    database.make_creds(make_tokens(2))
    holding, done = threading.Event(), threading.Event()

    def service() -> None:
        with database.engine.connect() as connection:
            connection.exec_driver_sql("UPDATE creds SET note = 'b' WHERE id = 2")
            holding.set()
            until(database.is_waited_in, "somebody who waits for the lock")
            try:
                connection.exec_driver_sql("UPDATE creds SET note = 'a' WHERE id = 1")
                connection.commit()
            except sa.exc.OperationalError:
                connection.rollback()
        done.set()

    thread = threading.Thread(target=service)
    thread.start()
    holding.wait()
    ran = rotate(cli, database)
    thread.join()

    assert done.is_set()
    assert (ran.code, report(ran)["rotated"]) == (0, 2)
    # PostgreSQL returns the rows in the order of their last writes.
    assert sorted(secrets_of(database.column().values())) == secret_names(2)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_snapshot_that_is_too_old_costs_a_retry(database: Database, cli: Cli, level: str) -> None:
    """R19: in a snapshot of earlier rows, a batch that meets a newer row is done again as a whole."""
    database.make_creds(make_tokens(3))
    url = sa.make_url(database.url)
    options = f"{url.query['options']} -cdefault_transaction_isolation={level.replace(' ', chr(92) + ' ')}"
    database.url = url.update_query_dict({"options": options}).render_as_string(hide_password=False)

    with database.engine.connect() as service:
        service.exec_driver_sql("UPDATE creds SET note = 'seen' WHERE id = 2")
        ended = threading.Thread(target=_commit_once_awaited, args=(database, service))
        ended.start()
        ran = rotate(cli, database)
        ended.join()

    assert (ran.code, report(ran)["rotated"]) == (0, 3), ran.err
    assert report(ran)["retries"] >= 1
    assert database.rows("SELECT note FROM creds WHERE id = 2") == [("seen",)]
    assert secrets_of(database.column().values()) == secret_names(3)


def _commit_once_awaited(database: Database, service: sa.Connection) -> None:
    """Commits *service* when somebody waits for its lock: sooner, and that one's snapshot would not be too old."""
    until(database.is_waited_in, "somebody who waits for the lock")
    service.commit()


@pytest.mark.parametrize("key", ["INTEGER", "VARCHAR(9)"], ids=["number", "text"])
def test_a_service_wins(database: Database, cli: Cli, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """R01 to R04, D16, D17: what a service does between our read and our write stays; the next pass has the rest."""
    database.execute(f"CREATE TABLE creds (id {key} PRIMARY KEY, token TEXT, note TEXT)")
    database.insert("creds", [{"id": str(n), "token": token, "note": ""} for n, token in enumerate(make_tokens(5))])
    fresh = make_token("fresh", "new")
    write = Store.write

    def write_late(store: Store, *swaps: Any) -> Written:
        monkeypatch.setattr(Store, "write", write)
        database.execute("UPDATE creds SET token = :fresh WHERE id = '1'", fresh=fresh)
        database.execute("DELETE FROM creds WHERE id = '2'", "UPDATE creds SET id = '9' WHERE id = '3'")
        database.execute("UPDATE creds SET note = 'seen' WHERE id = '4'")
        database.insert("creds", [{"id": "-1", "token": make_token("behind"), "note": ""}])
        return write(store, *swaps)

    monkeypatch.setattr(Store, "write", write_late)
    ran = rotate(cli, database)

    stored = {str(row): token for row, token in database.column().items()}
    assert ran.code == 0, ran.out
    assert stored["1"] == fresh
    assert sorted(stored) == ["-1", "0", "1", "4", "9"]
    found = secrets_of(stored[row] for row in ("-1", "0", "4", "9"))
    assert found == ["behind", "secret 0", "secret 4", "secret 3"]
    assert database.rows("SELECT note FROM creds WHERE id = '4'") == [("seen",)]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_service_wins_where_the_key_is_not_utf8(
    database: Database, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R01, D09: such a row is written by a statement of its own, which compares the cell as well."""
    database.execute("CREATE TABLE creds (id TEXT PRIMARY KEY, token TEXT)")
    for key, text in (("ff41", "rewritten"), ("ff42", "left alone")):
        database.execute(f"INSERT INTO creds VALUES (CAST(X'{key}' AS TEXT), :token)", token=make_token(text))
    fresh = make_token("fresh", "new")
    write = Store.write

    def write_late(store: Store, *swaps: Any) -> Written:
        monkeypatch.setattr(Store, "write", write)
        database.execute("UPDATE creds SET token = :fresh WHERE hex(id) = 'FF41'", fresh=fresh)
        return write(store, *swaps)

    monkeypatch.setattr(Store, "write", write_late)
    ran = rotate(cli, database)

    stored = dict(database.rows("SELECT hex(id), token FROM creds"))
    assert ran.code == 0, ran.out
    assert stored["FF41"] == fresh
    assert secrets_of([stored["FF42"]]) == ["left alone"]


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_connection_that_is_lost_as_it_is_given_back_is_no_error(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """R15: the next read takes another one, and the log shows no traceback."""
    kind = database.kind
    own, kill = {
        "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})"),
        "mariadb": ("SELECT connection_id()", "KILL {}"),
    }[kind]

    def lose(connection: sa.Connection) -> int:
        # Through the driver, as blocks are read: there is no transaction that SQLAlchemy knows of.
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor:
            cursor.execute(own)
            [number] = cursor.fetchone()
        database.execute(kill.format(number))
        return int(number)

    opened = access.Access(database.url, "creds", read_only=True, sleep=time.sleep)
    lost = opened.read(lose)

    assert opened.read(lambda connection: connection.scalar(sa.text(own))) != lost
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
    opened.close()
