"""Connections that are lost without a word: what was begun is tried again, and a healthy statement is left alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pymysql
import pytest
import sqlalchemy as sa

from keyring_core import InvalidToken, Keyring
from rotation.ledger.database import LedgerError, LedgerPlace, open_url
from rotation.model.failures import StoreError
from rotation.stores import watchdog
from rotation.stores.access import Access
from rotation.stores.connection import Connection
from rotation.stores.databases import served_url
from rotation.stores.dialect import Mode
from rotation.stores.postgresql.blocks import one_trip
from rotation.stores.servers import known_silent
from rotation.stores.watchdog import SESSION, Sign
from tests.chaos.server import own_postgres
from tests.databases import Database, open_database
from tests.fakes import token
from tests.keys import make_key
from tests.processes import AT_ONCE, start, until
from tests.proxy import through_proxy
from tests.selection import SERVERS
from tests.stores.pgbouncer import pooled
from tests.stores.tokens import make_token, secrets_of

pytestmark = pytest.mark.database

HASTY = "from rotation.stores import watchdog; watchdog.QUIET_SECONDS = 0.5"
on_servers = pytest.mark.parametrize("database", SERVERS, indirect=True)


@pytest.fixture
def signs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Sign]]:
    """What the probes of a hasty watchdog find."""
    found: list[Sign] = []
    probe = Connection._probe

    def noted(connection: Connection, *given: Any) -> Sign:
        found.append(probe(connection, *given))
        return found[-1]

    monkeypatch.setattr(Connection, "_probe", noted)
    monkeypatch.setattr(watchdog, "WATCH_SECONDS", 0.02)
    monkeypatch.setattr(watchdog, "QUIET_SECONDS", 0.2)
    monkeypatch.setattr(watchdog, "PROBE_SECONDS", 1.0)
    yield found
    known_silent.forget()


@on_servers
def test_a_run_whose_connection_is_lost_goes_on_with_another(
    database: Database, environ: dict[str, str], tmp_path: Path
) -> None:
    """The server knows its session no more: each batch that was begun is tried again."""
    database.make_creds([make_token(f"{number}") for number in range(200)])
    limits, options = f"{HASTY}\n{AT_ONCE}", ("--max-rate", "100", "--batch-size", "10")
    with (
        through_proxy(database.url) as proxy,
        start(replace(database, url=proxy.url), environ, tmp_path, *options, limits=limits) as command,
    ):
        command.until(lambda: _moved(database) > 10, "the second batch")
        database.engine.dispose()
        proxy.lose()
        code, document = command.end()

    assert (code, document["complete"], document["targets"][0]["rotated"]) == (0, True, 200)
    assert secrets_of(cell for _, cell in sorted(database.column().items())) == [f"{number}" for number in range(200)]
    assert "rotation.retry" in command.log


@on_servers
def test_a_run_goes_on_if_the_connection_to_its_ledger_is_lost(
    database: Database, environ: dict[str, str], tmp_path: Path
) -> None:
    """And the ledger has the end of the run: it was written through another connection."""
    with open_database("sqlite", tmp_path) as targets, through_proxy(database.url) as proxy:
        targets.make_creds([token("old")] * 200)
        ledger = {"ROTATION_LEDGER_URL": proxy.url}
        limits = f"{HASTY}\n{AT_ONCE}"
        options = ("--max-rate", "100", "--batch-size", "10")
        with start(targets, environ | ledger, tmp_path, *options, limits=limits) as command:
            command.until(lambda: _moved(targets) > 10, "the second batch")
            targets.engine.dispose()
            proxy.lose()
            code, _ = command.end()

    assert code == 0
    assert database.rows("SELECT outcome FROM keyring_ledger_runs") == [("complete",)]


@on_servers
def test_only_this_server_can_say_that_a_transaction_is_lost(database: Database, signs: list[Sign]) -> None:
    """A proxy may lead to another one, which knows nothing of it: then nothing is known."""
    dialect, url = served_url(database.url, "this test")
    link = Connection(dialect, url)
    with link.transaction(Mode.WRITE) as connection:
        noted = connection.info.get(SESSION)
        session = noted() if noted else link._watchdog.lasting
        assert session is not None
        elsewhere = ("another server", *session[1:])
        at_rest = [link._probe(60, each, threading.Event()) for each in (None, session, elsewhere)]
        lasting = link._watchdog.lasting
        assert lasting is not None
    link.disconnect()
    until(lambda: link._probe(60, lasting, threading.Event()) is Sign.LOSS, "the end of the session")

    assert link._probe(60, session, threading.Event()) is Sign.LOSS
    assert at_rest == [Sign.LIFE] * 3
    assert link._probe(60, elsewhere, threading.Event()) is Sign.LIFE


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_the_next_transaction_of_a_session_is_another_one(database: Database) -> None:
    """A pooler gives the session to others as soon as a transaction has ended."""
    dialect, url = served_url(database.url, "this test")
    link = Connection(dialect, url)
    with link.transaction(Mode.READ) as connection:
        connection.exec_driver_sql("SELECT 1")
        first = connection.info[SESSION]()
    with link.transaction(Mode.READ) as connection:
        connection.exec_driver_sql("SELECT 1")
        second = connection.info[SESSION]()
        found = [link._probe(60, each, threading.Event()) for each in (first, second)]
    link.disconnect()

    assert first[:2] == second[:2]
    assert found == [Sign.LOSS, Sign.LIFE]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_transaction_that_has_ended_is_not_asked_for(database: Database) -> None:
    """What follows on its connection is another one, and has no names before its first statement."""
    dialect, url = served_url(database.url, "this test")
    link = Connection(dialect, url)
    with link.transaction(Mode.BARE) as connection:
        with one_trip(connection, {}) as driver:
            driver.execute("SELECT 1")
        assert SESSION not in connection.info
    link.disconnect()


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_proxy_that_speaks_for_the_server_is_not_asked(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its greeting has numbers of its own, and behind it sessions may change."""
    dialect, url = served_url(database.url, "this test")
    link = Connection(dialect, url)
    monkeypatch.setattr(pymysql.Connection, "thread_id", lambda _: 7)
    with link.transaction(Mode.READ) as connection:
        connection.exec_driver_sql("SELECT 1")
        assert link._watchdog.lasting is None
    link.disconnect()


SLEEPS = pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.long)])


@SLEEPS
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_long_statement_behind_a_pooler_is_left_alone(database: Database, signs: list[Sign], seconds: int) -> None:
    """The pooler has one connection to the server, and that one has the statement: a probe learns nothing."""
    with pooled(database, pool_size=1) as behind:
        access = Access(behind.url, "creds", read_only=True, sleep=lambda _: None)
        slept = access.read(lambda connection: connection.scalar(sa.text(f"SELECT 7 FROM pg_sleep({seconds})")))
        access.close()

    assert slept == 7
    # The last probe may wait until the statement has ended.
    assert Sign.LIFE in signs
    assert Sign.WORK not in signs


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_behind_a_pooler_with_a_connection_to_spare_the_server_says_that_it_works(
    database: Database, signs: list[Sign]
) -> None:
    """The transaction noted its own session, which no other gets before its end."""
    with pooled(database, pool_size=2) as behind:
        access = Access(behind.url, "creds", read_only=True, sleep=lambda _: None)
        access.read(lambda connection: connection.scalar(sa.text("SELECT 7 FROM pg_sleep(3)")))
        access.close()

    assert Sign.WORK in signs


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_statement_of_which_nothing_is_heard_is_given_up(
    database: Database, signs: list[Sign], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the limit, with words that say what was seen."""
    monkeypatch.setattr(watchdog, "UNANSWERED_SECONDS", 1.0)
    with pooled(database, pool_size=1) as behind:
        access = Access(behind.url, "creds", read_only=True, sleep=lambda _: None)
        with pytest.raises(StoreError, match="does not say that it works on it; if a pooler"):
            access.read(lambda connection: connection.scalar(sa.text("SELECT 7 FROM pg_sleep(3600)")))
        access.close()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_line_that_is_cut_in_a_pipeline_makes_no_warning_of_the_driver(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is reported once, as that of any connection that is lost."""
    with through_proxy(database.url, narrow=True) as proxy:
        dialect, url = served_url(proxy.url, "this test")
        link = Connection(dialect, url)

        def cut() -> None:
            with link.transaction(Mode.BARE) as connection, one_trip(connection, {}) as driver:
                proxy.cut()
                for _ in range(100):
                    driver.execute("SELECT %s", ["x" * 1_000_000])

        with pytest.raises(sa.exc.DBAPIError):
            cut()
        link.disconnect()

    assert caplog.messages == []


@pytest.mark.long
def test_a_commit_that_waits_for_a_standby_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session is at work as the server has it, and nothing will come of it."""
    monkeypatch.setattr(watchdog, "WATCH_SECONDS", 0.02)
    monkeypatch.setattr(watchdog, "QUIET_SECONDS", 0.2)
    monkeypatch.setattr(watchdog, "UNANSWERED_SECONDS", 1.0)
    with own_postgres("synchronous_standby_names=nobody") as server:
        access = Access(server.database.url, "creds", read_only=False, sleep=lambda _: None)
        with pytest.raises(StoreError, match="got no answer for"):
            access.write(access.dialect.settle)
        access.close()
    known_silent.forget()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_ledger_of_a_kind_that_is_not_known_is_given_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ends a statement there but its own time."""
    monkeypatch.setattr("rotation.ledger.engines.UNKNOWN_SECONDS", 0.5)
    sa.dialects.registry.register("strange", "sqlalchemy.dialects.postgresql.psycopg", "PGDialect_psycopg")
    url = sa.make_url(database.url).set(drivername="strange").render_as_string(hide_password=False)
    ledger = open_url(LedgerPlace(url, "this test"), attempts=1)

    with pytest.raises(LedgerError, match="does not answer"):
        ledger.read(lambda connection: connection.execute(sa.text("SELECT pg_sleep(3600)")).all())


def _moved(database: Database) -> int:
    known = Keyring(make_key("new"))
    return sum(not isinstance(known.identify_many([cell])[0], InvalidToken) for cell in database.column().values())
