"""How long rows stay locked, and how long a run waits for others: neither hangs on the line to the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from rotation.job.pace import HELD_SECONDS
from rotation.model.batch import Swaps
from rotation.model.target import Index, Target
from rotation.stores import store as writer
from rotation.stores.connection import Connection
from rotation.stores.databases import served_url
from rotation.stores.dialect import Mode
from rotation.stores.postgresql import transactions
from rotation.stores.store import IndexValue, Store
from rotation.world.process import Streams
from tests.conftest import Cli
from tests.databases import Database
from tests.proxy import CERTAIN, through_proxy
from tests.stores.tokens import make_tokens, report, rotate, secret_names, secrets_of

pytestmark = pytest.mark.database

on_mariadb = pytest.mark.parametrize("database", ["mariadb"], indirect=True)
on_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)
on_servers = pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)

OLD, NEW = make_tokens(60), make_tokens(60, "new")
TRIP = 0.02


@contextmanager
def far_away(database: Database, **more: Any) -> Iterator[tuple[Store, list[int]]]:
    """The store of creds.token over a long line, and the rows that each of its transactions has updated."""
    sent: list[int] = []

    def send(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith("UPDATE") and sent:
            sent[-1] += 1

    def begin(_: Any) -> None:
        sent.append(0)

    with through_proxy(database.url, trip=TRIP) as proxy:
        store = Store(Target(proxy.url, "creds", "token", "creds", **more), read_only=False, sleep=lambda _: None)
        sa.event.listen(sa.Engine, "before_cursor_execute", send)
        sa.event.listen(sa.Engine, "begin", begin)
        try:
            yield store, sent
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", send)
            sa.event.remove(sa.Engine, "begin", begin)
            store.close()


@on_servers
def test_few_rows_are_locked_while_indexes_are_on_their_way(database: Database) -> None:
    """Each has a statement of its own, and its row is locked until the last one of the transaction has arrived."""
    database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT, token_index VARCHAR(80))")
    database.insert("creds", [{"id": number, "token": token} for number, token in enumerate(OLD, 1)])

    with far_away(database, index=Index("token_index", "creds.token")) as (store, sent):
        written = store.write_indexes([IndexValue((number,), token, "ours") for number, token in enumerate(OLD, 1)])

    assert (written.lost, written.refused) == (set(), {})
    assert sum(sent) == 60
    assert max(sent) <= writer.ON_THE_WAY_SECONDS / TRIP
    assert database.rows("SELECT DISTINCT token_index FROM creds") == [("ours",)]


@on_postgresql
def test_few_rows_are_locked_while_each_takes_long(
    database: Database, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a slow trigger: from the second batch on, a transaction has the rows of half a second."""
    monkeypatch.setattr(Streams, "wait", lambda self, seconds: None)
    database.make_creds(make_tokens(200))
    database.execute(
        "CREATE TABLE fired (id INTEGER, transaction BIGINT)",
        "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$"
        " BEGIN PERFORM pg_sleep(0.01); INSERT INTO fired VALUES (NEW.id, txid_current()); RETURN NEW; END $$",
        "CREATE TRIGGER slowly BEFORE UPDATE ON creds FOR EACH ROW EXECUTE FUNCTION slowly()",
    )

    ran = rotate(cli, database, "--gentle")

    rows = [count for (count,) in database.rows("SELECT count(*) FROM fired GROUP BY transaction ORDER BY min(id)")]
    assert (ran.code, rows[0], sum(rows)) == (0, 100, 200)
    assert max(rows[1:]) <= HELD_SECONDS / 0.01


@on_servers
def test_a_refusal_is_on_its_way_like_any_answer(database: Database) -> None:
    """Otherwise a run would rest after each row that is refused, as if the way there and back were work."""
    database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY)", "INSERT INTO creds VALUES (1)")
    with through_proxy(database.url, trip=TRIP) as proxy:
        link = Connection(*served_url(proxy.url, "this test"))
        link.transact(Mode.BARE, lambda connection: connection.scalar(sa.text("SELECT 1")))
        proxy.trip, before, trips = CERTAIN, link.line.travelled, proxy.trips
        with suppress(sa.exc.IntegrityError), link.transaction(Mode.WRITE) as connection:
            connection.execute(sa.text("INSERT INTO creds VALUES (1)"))
        travelled, trips = link.line.travelled - before, proxy.trips - trips
        link.disconnect()

    assert round(travelled / link.line.trip) == trips


@on_postgresql
def test_a_table_that_is_locked_behind_a_swap_is_not_waited_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look at what a service has rewritten stands outside of the swap, and waits for a lock as any other."""
    monkeypatch.setattr(transactions, "LOCK_MILLISECONDS", 20)
    database.execute("CREATE TABLE creds (id VARCHAR(9) PRIMARY KEY, token TEXT)")
    database.insert("creds", [{"id": str(number), "token": token} for number, token in enumerate(OLD[:9])])
    database.execute("UPDATE creds SET token = 'theirs' WHERE id = '3'")
    store = Store(Target(database.url, "creds", "token", "creds"), read_only=False, sleep=lambda _: None)
    holder = database.engine.connect()

    def lock(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "unnest" in statement and not holder.in_transaction():
            # A look that waited for it would be let go in the end.
            holder.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '5s'")
            holder.exec_driver_sql("LOCK TABLE creds IN ACCESS EXCLUSIVE MODE")

    sa.event.listen(sa.Engine, "after_cursor_execute", lock)
    try:
        written = store.write(Swaps([(str(number),) for number in range(9)], OLD[:9], NEW[:9]))
    finally:
        sa.event.remove(sa.Engine, "after_cursor_execute", lock)
        holder.invalidate()
        holder.close()
        store.close()

    assert {category for category, _ in written.refused.values()} == {"locked"}
    assert database.column() == {str(number): "theirs" if number == 3 else NEW[number] for number in range(9)}


@on_mariadb
@pytest.mark.parametrize("key", ["INTEGER", "VARCHAR(9)"])
def test_a_server_may_chain_transactions(database: Database, cli: Cli, key: str) -> None:
    """With completion_type = CHAIN each end begins another one, which only reads if the one before it did."""
    database.execute(f"CREATE TABLE creds (id {key} PRIMARY KEY, token TEXT)")
    database.insert("creds", [{"id": number * 9, "token": token} for number, token in enumerate(OLD)])
    chained = sa.make_url(database.url).update_query_dict({"init_command": "SET completion_type = CHAIN"})

    ran = rotate(cli, replace(database, url=chained.render_as_string(hide_password=False)))

    assert (ran.code, report(ran)["rotated"]) == (0, 60)
    assert sorted(secrets_of(database.column().values())) == sorted(secret_names(60))
