"""A retirement never rests on a standby or a replica: a token may be committed that is not there yet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from dotenv import dotenv_values

from tests.chaos.server import Server, own_mariadb, own_postgres, standby_of
from tests.conftest import Ran
from tests.databases import Database
from tests.lifecycle.shop import OLDER, Shop, old_token, refusals
from tests.processes import until
from tests.stores.pgbouncer import pooled

pytestmark = [
    pytest.mark.database,
    pytest.mark.xdist_group("replicas"),
    pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning"),
]

MAY_LACK = "a token may be committed that is not there yet"
REPLICATE = "CHANGE MASTER TO master_host='127.0.0.1', master_port={}, master_user='root', master_use_gtid=slave_pos"


@pytest.fixture(scope="module")
def postgres() -> Iterator[tuple[Server, Server]]:
    """A primary and its standby."""
    with own_postgres("fsync=off") as primary, standby_of(primary) as standby:
        yield primary, standby


@pytest.fixture(scope="module")
def mariadb() -> Iterator[tuple[Server, Server]]:
    """A primary and its replica, which takes writes, as by default."""
    with own_mariadb("server-id=1", "log-bin") as primary, own_mariadb("server-id=2") as replica:
        port = sa.make_url(primary.database.url).port
        # Each of them has made the database of its own.
        replica.database.execute("SET GLOBAL gtid_slave_pos = ''", "SET sql_log_bin = 0")
        primary.database.execute("RESET MASTER")
        replica.database.execute(REPLICATE.format(port), "START SLAVE")
        yield primary, replica


def shop_on(primary: Database, folder: Path, read: str) -> Shop:
    """A shop whose table is made on *primary*, and whose config names the server at the url *read*."""
    shop = Shop(folder, primary)
    primary.execute("DROP TABLE IF EXISTS creds")
    shop.fill([old_token("old")])
    shop.config.write_text(f'[[target]]\nurl = "{read}"\ntable = "creds"\ncolumns = ["token"]\n')
    return shop


def has_rows(database: Database, rows: int) -> bool:
    """Whether what was written to the primary has arrived in the table of tokens."""
    try:
        return len(database.rows("SELECT id FROM creds")) == rows
    except sa.exc.DBAPIError:
        return False


def retire(shop: Shop, *argv: str) -> Ran:
    return shop.keys("retire", OLDER.id, "--no-archive", "--no-wait", "--json", *argv)


@contextmanager
def behind(server: Database, stop: str, go_on: str) -> Iterator[None]:
    """A replica that applies nothing meanwhile."""
    server.execute(stop)
    try:
        yield
    finally:
        server.execute(go_on)


def test_a_standby_that_is_behind_keeps_the_key(postgres: tuple[Server, Server], tmp_path: Path) -> None:
    """The primary has a token under the key, and the standby does not have it yet; --force overrides, as ever."""
    primary, standby = (server.database for server in postgres)
    shop = shop_on(primary, tmp_path, standby.url)
    until(lambda: has_rows(standby, 1), "the table on the standby")

    with behind(standby, "SELECT pg_wal_replay_pause()", "SELECT pg_wal_replay_resume()"):
        primary.execute(f"INSERT INTO creds (id, token) VALUES (2, '{old_token('older')}')")
        ran = retire(shop)

        assert ran.code == 1, ran.err
        [reason] = [each for each in refusals(ran) if MAY_LACK in each]
        assert "it is a standby; the last transaction that it has replayed was committed" in reason
        assert "its replay is paused" in reason
        assert OLDER.id in [key.id for key in shop.settings().previous]
    assert retire(shop, "--force", OLDER.id).code == 0


def test_status_and_check_say_that_they_read_a_standby(postgres: tuple[Server, Server], tmp_path: Path) -> None:
    """In text, in JSON, on the line of a monitoring plugin and on the page; of a primary they say nothing."""
    primary, standby = (server.database for server in postgres)
    shop = shop_on(primary, tmp_path, standby.url)
    until(lambda: has_rows(standby, 1), "the table on the standby")
    words = "it is a standby; the last transaction that it has replayed was committed"

    page = tmp_path / "page.html"
    shop.rotate("report", "--html", str(page))
    said = [
        page.read_text(),
        shop.rotate("status").out,
        shop.rotate("status", "--json").document["targets"][0]["warnings"][0],
        shop.rotate("check").out,
        shop.rotate("check", "--json").document["replicas"][0],
        shop.rotate("check", "--format", "nagios").out,
    ]

    assert all(words in " ".join(each.split()) for each in said), said
    shop.config.write_text(shop.config.read_text().replace(standby.url, primary.url))
    assert "standby" not in shop.rotate("status").out
    assert shop.rotate("check", "--json").document["replicas"] == []


def test_a_neighbour_that_a_pooler_leads_to_a_standby_keeps_the_key(
    postgres: tuple[Server, Server], tmp_path: Path
) -> None:
    """Each transaction notes which server it found, and a pooler may lead any of them elsewhere."""
    primary, standby = (server.database for server in postgres)
    port = sa.make_url(standby.url).port
    with pooled(primary, further=f"other = host=127.0.0.1 port={port} dbname=postgres user=postgres") as led:
        primary.execute("DROP TABLE IF EXISTS other")
        shop = shop_on(primary, tmp_path, led.url)
        with primary.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("CREATE DATABASE other")
            try:
                ran = retire(shop)
            finally:
                connection.exec_driver_sql("DROP DATABASE other WITH (FORCE)")

    assert any("a transaction found a standby" in each for each in refusals(ran)), ran.out + ran.err


STATES = {
    "stopped": (["STOP SLAVE SQL_THREAD"], ["START SLAVE"], "its replication does not run"),
    "read-only": (["SET GLOBAL read_only = ON"], ["SET GLOBAL read_only = OFF"], "it takes no writes (read_only)"),
}


@pytest.mark.long
@pytest.mark.parametrize("state", STATES)
def test_a_replica_of_mariadb_keeps_the_key(mariadb: tuple[Server, Server], tmp_path: Path, state: str) -> None:
    """Whether it takes writes, as any replica does unless that is forbidden, or takes none."""
    primary, replica = (server.database for server in mariadb)
    shop = shop_on(primary, tmp_path, replica.url)
    until(lambda: has_rows(replica, 1), "the table on the replica")
    before, after, words = STATES[state]
    for statement in before:
        replica.execute(statement)
    try:
        primary.execute(f"INSERT INTO creds (id, token) VALUES (2, '{old_token('older')}')")
        ran = retire(shop)
        status = " ".join(shop.rotate("status").out.split())
    finally:
        for statement in after:
            replica.execute(statement)

    [reason] = [each for each in refusals(ran) if MAY_LACK in each]
    assert words in reason
    assert words in status


def test_a_ledger_on_a_replica_keeps_the_key(mariadb: tuple[Server, Server], tmp_path: Path) -> None:
    """It may lack what services have announced; one that takes no writes is refused by the first step's own write."""
    primary, replica = (server.database for server in mariadb)
    shop = shop_on(primary, tmp_path, primary.url)
    values = {name: value or "" for name, value in dotenv_values(shop.env_file, interpolate=False).items()}
    environ = {**values, "ROTATION_LEDGER_URL": replica.url}
    until(lambda: has_rows(replica, 1), "the table on the replica")
    assert shop.rotate("ledger", "init", environ=environ).code == 0

    with behind(replica, "STOP SLAVE SQL_THREAD", "START SLAVE"):
        ran = shop.keys("retire", OLDER.id, "--no-archive", "--no-wait", "--json", environ=environ)

    [reason] = [each for each in refusals(ran) if MAY_LACK in each]
    assert reason.startswith("ledger in MariaDB database chaos on")


def test_a_primary_that_also_replicates_passes_with_a_note(mariadb: tuple[Server, Server], tmp_path: Path) -> None:
    """It takes writes, its replication runs, and all that has arrived is applied."""
    primary, replica = (server.database for server in mariadb)
    shop = shop_on(primary, tmp_path, replica.url)
    until(lambda: has_rows(replica, 1), "the table on the replica")

    def retired() -> bool:
        # For a moment after a write it is a second behind.
        ran = retire(shop)
        if ran.code == 1:
            return False
        assert "it takes writes, and is a replica of 127.0.0.1:" in ran.out
        return True

    until(retired, "a retirement on a replica that has caught up")


def test_who_may_not_ask_retires_no_key(mariadb: tuple[Server, Server], tmp_path: Path) -> None:
    """The refusal has the statement that gives the right."""
    primary, _ = (server.database for server in mariadb)
    primary.execute("CREATE OR REPLACE USER app", "GRANT ALL ON chaos.* TO app")
    url = sa.make_url(primary.url).set(username="app").render_as_string(hide_password=False)
    shop = shop_on(primary, tmp_path, url)

    ran = retire(shop)

    assert any("this user may not ask whether it is a replica" in each for each in refusals(ran))
    grant = "GRANT REPLICA MONITOR ON *.* TO 'app'@'%'"
    assert grant in ran.out
    primary.execute(grant)
    assert retire(shop).code == 0


@pytest.mark.world("TEST_MYSQL_REPLICA_URL")
def test_a_replica_of_mysql_keeps_the_key(tmp_path: Path) -> None:
    """A real one, of the server at TEST_MYSQL_URL: stopped it refuses; current and writable it passes with a note."""
    replica = sa.make_url(os.environ["TEST_MYSQL_REPLICA_URL"])
    primary = sa.make_url(os.environ["TEST_MYSQL_URL"]).set(database=replica.database)
    primary, replica = (
        Database("mysql", url.render_as_string(hide_password=False), sa.create_engine(url))
        for url in (primary, replica)
    )
    shop = shop_on(primary, tmp_path, replica.url)
    until(lambda: has_rows(replica, 1), "the table on the replica")

    with behind(replica, "STOP REPLICA SQL_THREAD", "START REPLICA"):
        primary.execute(f"INSERT INTO creds (id, token) VALUES (2, '{old_token('older')}')")
        ran = retire(shop)
        assert any("its replication does not run" in each and MAY_LACK in each for each in refusals(ran)), ran.out
    primary.execute("DELETE FROM creds WHERE id = 2")
    with behind(replica, "SET GLOBAL super_read_only = ON", "SET GLOBAL read_only = OFF"):
        assert any("it takes no writes (read_only)" in each for each in refusals(retire(shop)))
    until(lambda: has_rows(replica, 1) and retire(shop).code == 0, "a retirement on a replica that has caught up")
