"""What is written and not committed keeps a key: a census does not see it, and it may be a token under that key."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from rotation.context import Context
from rotation.discovery.discover import SearchPlan
from rotation.discovery.result import Discovery
from rotation.lifecycle import in_flight as open_writers
from rotation.lifecycle import operations
from rotation.lifecycle.in_flight import Uncommitted, uncommitted
from rotation.stores.connection import SharedConnections
from rotation.stores.mysql import change_tracker
from rotation.stores.mysql.change_tracker import MySQLChangeTracker
from rotation.world.process import Streams
from tests.chaos.server import own_mariadb, own_postgres
from tests.conftest import Named, Ran
from tests.databases import Database, open_database
from tests.lifecycle.shop import OLDER, Shop, old_token, refusals
from tests.processes import until

pytestmark = [pytest.mark.database, pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning")]

NOT_COMMITTED = "it has written and is not committed, so nobody else sees yet what it wrote"
INSERT = f"INSERT INTO creds (id, token) VALUES (100, '{old_token('older')}')"


@pytest.fixture(autouse=True)
def no_long_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_writers, "WAIT_SECONDS", 0.2)
    monkeypatch.setattr(open_writers, "LOOK_SECONDS", 0.01)


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Shop:
    made = Shop(tmp_path, database)
    made.fill([old_token("old")])
    if database.kind == "mariadb":
        rights = "PROCESS, XA_RECOVER_ADMIN" if database.is_mysql else "PROCESS"
        database.execute(f"GRANT {rights} ON *.* TO {sa.make_url(database.url).username}@'%'")
    return made


def retire(shop: Shop, *argv: str) -> Ran:
    return shop.keys("retire", OLDER.id, "--no-archive", "--json", *argv)


def retired(shop: Shop, context: Callable[..., Context]) -> Sequence[str]:
    """Retires the key with a *context* of that kind; the reasons of a refusal."""
    with context({}, shop.config, shop.env_file) as ready:
        return [reason for reason, _ in operations.retire(ready, OLDER.id, ready.targets()).refused]


@contextmanager
def session(database: Database, *statements: str) -> Iterator[sa.Connection]:
    """A connection with an open transaction, in which these *statements* were run; it is rolled back at the end."""
    with closing(database.engine.connect()) as connection:
        if database.kind == "sqlite":
            connection.exec_driver_sql("BEGIN")
        for statement in statements:
            connection.exec_driver_sql(statement)
        yield connection


def about(connection: sa.Connection) -> str:
    """What a refusal calls that session, or the database of SQLite."""
    asked = {"postgresql": "pg_backend_pid()", "mysql": "connection_id()"}.get(connection.dialect.name)
    return f"session {connection.exec_driver_sql(f'SELECT {asked}').scalar()} of" if asked else "SQLite file"


def test_an_open_transaction_keeps_the_key(shop: Shop) -> None:
    """It is named, with what ends it; one that only reads keeps nobody waiting."""
    with session(shop.database, "SELECT count(*) FROM creds"), session(shop.database, INSERT) as writer:
        ran, whose = retire(shop), about(writer)
        writer.rollback()
        with session(shop.database, "SELECT count(*) FROM creds") as reader:
            free, reads = retire(shop), about(reader)

    # Others may be at work in other databases of the server.
    [refusal] = [each for each in ran.document["refused"] if whose in each["reason"]]
    assert refusal["reason"].endswith(NOT_COMMITTED)
    end = {"sqlite": "end that process", "postgresql": "SELECT pg_terminate_backend(", "mariadb": "KILL "}
    assert end[shop.database.kind] in refusal["remedy"]
    assert old_token("older") not in ran.out
    assert ran.code == 1
    assert not [reason for reason in refusals(free) if reads in reason]


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_an_answer_that_mariadb_repeats_is_not_taken(shop: Shop) -> None:
    """It repeats what it answered less than a tenth of a second ago, and a writer may have come since."""
    with closing(SharedConnections()) as links:

        def ask() -> Uncommitted:
            return uncommitted([shop.database.url], wait=time.sleep, links=links, left_out={})

        ask()
        with session(shop.database, INSERT) as writer:
            found, whose = ask(), about(writer)

    assert [one.wrote for one in found.transactions if whose in one.words] == [True]
    assert not found.unchecked


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_holder_that_hangs_is_waited_for_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that got no turn at a server in its time waits shortly there until it gets one again."""
    monkeypatch.setattr(change_tracker, "TURN_SECONDS", 1)
    monkeypatch.setattr(change_tracker, "NO_TURN_SECONDS", 0)
    for name in ("TURN", "TURN_ENDS"):
        # Others use this server, too.
        own = getattr(change_tracker, name).replace("keyring-rotate", str(sa.make_url(database.url).database))
        monkeypatch.setattr(change_tracker, name, own)
    waits: list[str] = []
    sa.event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _c, _r, text, *_: waits.extend(re.findall(r"GET_LOCK.*, (\d+)\)", text)),
    )
    look, *_ = MySQLChangeTracker.open_transactions
    with closing(database.engine.connect()) as asking:
        with closing(database.engine.connect()) as holder:
            assert holder.scalar(sa.text(change_tracker.TURN.format(5)))
            for _ in range(2):
                look.ask(asking)
            holder.exec_driver_sql(change_tracker.TURN_ENDS)
        for _ in range(2):
            look.ask(asking)

    assert waits == ["5", "1", "0", "0", "1"]


def test_a_writer_in_the_log_of_sqlite_keeps_the_key(tmp_path: Path) -> None:
    """In WAL mode others go on reading while it writes."""
    with open_database("sqlite", tmp_path) as database:
        shop = Shop(tmp_path, database)
        shop.fill([old_token("old")])
        database.execute("PRAGMA journal_mode = WAL")
        with session(database, INSERT):
            ran = retire(shop)

    [reason] = refusals(ran)
    assert reason == f"SQLite file {tmp_path}/app.db: another process: {NOT_COMMITTED}"


def test_what_is_committed_meanwhile_is_counted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The census comes after the wait."""
    monkeypatch.setattr(open_writers, "WAIT_SECONDS", 60)
    with session(shop.database, INSERT) as writer:

        class Committing(Streams):
            def wait(self, seconds: float) -> None:
                if seconds == open_writers.LOOK_SECONDS:
                    writer.commit()
                super().wait(seconds)

        reasons = retired(shop, lambda *given: Context(*given, streams=Committing()))

    assert reasons == [f"creds.token: 1 token under {OLDER.id}"]


def test_a_wait_ends_with_a_request_to_stop(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was changed."""
    monkeypatch.setattr(open_writers, "WAIT_SECONDS", 60)
    before = shop.env_file.read_bytes()
    with session(shop.database, INSERT):

        class Stopped(Streams):
            def wait(self, seconds: float) -> None:
                self.stopping = self.stopping or seconds == open_writers.LOOK_SECONDS
                super().wait(0)

        with pytest.raises(Exception, match="stopped on request"):
            retired(shop, lambda *given: Context(*given, streams=Stopped()))

    assert shop.env_file.read_bytes() == before


def test_a_reader_that_writes_during_the_search_keeps_the_key(shop: Shop) -> None:
    """It was open when the census began, and is when the search ends."""
    searches: list[bool] = []
    reasons: list[str] = []
    with session(shop.database, "SELECT count(*) FROM creds") as other:

        class Late(Context):
            def search(self, plan: SearchPlan) -> Discovery:
                if plan.full:
                    searches.append(plan.full)
                    other.exec_driver_sql(INSERT)
                return super().search(plan)

        def search() -> bool:
            reasons[:] = retired(shop, Late)
            return bool(searches)

        # A writer of others on the server refuses it before the search.
        until(search, "a search")
        whose = about(other)

    assert [reason.endswith(NOT_COMMITTED) for reason in reasons if whose in reason] == [True]


@pytest.mark.long
def test_a_prepared_transaction_of_mariadb_keeps_the_key(tmp_path: Path) -> None:
    """It outlives its session; the remedy ends it as it stands."""
    # A server of its own: the server does not say in which database such a transaction wrote, so it stops all.
    with own_mariadb() as server:
        shop = Shop(tmp_path, server.database)
        shop.fill([old_token("old")])
        engine = server.database.engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in ("XA START 'it''s', 'q'", INSERT, "XA END 'it''s', 'q'", "XA PREPARE 'it''s', 'q'"):
                connection.exec_driver_sql(statement)
            connection.invalidate()
        [refusal] = retire(shop).document["refused"]
        with engine.connect() as connection:
            connection.exec_driver_sql(refusal["remedy"].splitlines()[0].partition(", or ")[2])
        free = retire(shop)

    assert refusal["reason"].endswith(f"the prepared transaction 'it''sq': {NOT_COMMITTED}")
    assert refusal["remedy"].startswith("XA COMMIT X'69742773',X'71',1, or XA ROLLBACK")
    assert free.code == 0


@pytest.fixture
def preparing() -> Iterator[Database]:
    """A server with prepared transactions, which are off by default."""
    with own_postgres("max_prepared_transactions=5", "fsync=off") as server:
        yield server.database


@pytest.mark.long
def test_a_prepared_transaction_of_postgresql_keeps_the_key(preparing: Database, tmp_path: Path, named: Named) -> None:
    """In each database that is searched, so in none that the policy leaves out."""
    shop = Shop(tmp_path, preparing)
    shop.fill([old_token("old")])
    server = sa.make_url(preparing.url)
    engine = preparing.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE other")
    other = sa.create_engine(server.set(database="other"), isolation_level="AUTOCOMMIT")
    for where, statement in ((engine, INSERT), (other, "CREATE TABLE creds (id INTEGER)")):
        with named(where.url.database), where.connect() as connection:
            for each in ("BEGIN", statement, "PREPARE TRANSACTION 'it''s'"):
                connection.exec_driver_sql(each)
            ran = retire(shop)
            if where is other:
                shop.config.write_text(f'{shop.config.read_text()}[policy.unsearched_databases]\nother = "not ours"\n')
                left_out = retire(shop)
            connection.exec_driver_sql("ROLLBACK PREPARED 'it''s'")
            [refusal] = ran.document["refused"]

            assert f"database {where.url.database} on " in refusal["reason"]
            assert "the prepared transaction 'it''s' of postgres, open for " in refusal["reason"]
            assert f"in {where.url.database}: COMMIT PREPARED 'it''s', or ROLLBACK" in refusal["remedy"]
    other.dispose()

    assert left_out.code == 0
    assert "leaves them out: not ours" in " ".join(left_out.document["certificate"]["not_looked_at"])


@pytest.mark.long
def test_a_reader_that_writes_and_prepares_during_the_search_keeps_the_key(preparing: Database, tmp_path: Path) -> None:
    """It goes on under another name, and nobody knows since when it has been open."""
    shop = Shop(tmp_path, preparing)
    shop.fill([old_token("old")])
    with session(preparing, "SELECT count(*) FROM creds") as other:

        class Late(Context):
            def search(self, plan: SearchPlan) -> Discovery:
                if plan.full:
                    other.exec_driver_sql(INSERT)
                    other.exec_driver_sql("PREPARE TRANSACTION 'late'")
                return super().search(plan)

        [reason] = retired(shop, Late)
        with preparing.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql("ROLLBACK PREPARED 'late'")

    assert "the prepared transaction 'late' of postgres, open for " in reason


def test_what_could_not_be_asked_is_said(named: Named, tmp_path: Path) -> None:
    """A user without the right to see transactions, and a file that may only be read: a note, and the certificate."""
    words = {"mariadb": "this user lacks the privilege PROCESS", "sqlite": "it is read-only for this user"}
    for kind, missing in words.items():
        with named(kind), open_database(kind, tmp_path) as database:
            shop = Shop(tmp_path, database)
            shop.fill([old_token("old")])
            if kind == "sqlite":
                shop.config.write_text(shop.config.read_text().replace("app.db", "app.db?mode=ro"))
            ran = retire(shop)

            assert ran.code == 0
            [note] = [note for note in ran.document["notes"] if missing in note]
            assert note in ran.document["certificate"]["unchecked"]


def test_what_is_overridden_is_in_the_certificate(shop: Shop) -> None:
    """--force goes on after the wait."""
    with session(shop.database, INSERT):
        ran = retire(shop, "--force", OLDER.id)

    assert ran.code == 0
    assert [reason for reason in ran.document["certificate"]["overridden"] if reason.endswith(NOT_COMMITTED)]
