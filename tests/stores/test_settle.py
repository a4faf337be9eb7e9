"""Commits do not wait for the disk: what a crash takes back is found again, and nothing behind `settle` is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import pytest
import sqlalchemy as sa

from keyring_core import Keyring
from rotation.model.failures import StoreError
from rotation.model.target import Target
from rotation.planning.planner import Planner
from rotation.stores.change_tracker import Changed
from rotation.stores.opened_table import Watch
from rotation.stores.store import Store
from tests.chaos.server import Server, own_postgres
from tests.conftest import Cli
from tests.databases import Database
from tests.processes import until
from tests.stores.pgbouncer import pooled
from tests.stores.tokens import make_tokens, report, rotate, secret_names, secrets_of

pytestmark = [pytest.mark.database, pytest.mark.xdist_group("settle")]

ROWS = 40


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that writes its log late, and by itself has nothing to write."""
    with own_postgres("wal_writer_delay=10s", "autovacuum=off", "synchronous_commit=on") as own:
        yield own


@pytest.fixture
def database(server: Server) -> Database:
    """Its database, with tokens under the old key; all of that is on disk."""
    server.database.execute("DROP TABLE IF EXISTS creds")
    server.database.make_creds(make_tokens(ROWS))
    return server.database


def crash(database: Database) -> None:
    """A process of the server is killed, so that it ends all others and recovers; the same address serves again."""
    with database.engine.connect() as victim, database.engine.connect() as other:
        pid = victim.scalar(sa.text("SELECT pg_backend_pid()"))
        assert pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: not _answers(lambda: victim.scalar(sa.text("SELECT 1"))), "the end of a process")
        until(lambda: not _answers(lambda: other.scalar(sa.text("SELECT 1"))), "the end of all others")
    database.engine.dispose()
    until(lambda: _answers(lambda: database.rows("SELECT 1")), "the recovery of the server")


def _answers(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except sa.exc.DBAPIError:
        return False
    return True


def write_all(store: Store, keyring: Keyring) -> Watch:
    """Rotates all rows, watched."""
    watch = store.watch()
    assert watch.name
    plan = Planner(keyring).plan(store.read(None, None, 1000))
    written = store.write(plan.swaps, plan.blocks)
    watch.wrote(written.transactions)
    assert plan.changes == ROWS
    return watch


def open_store(database: Database) -> Store:
    """The target, opened for a run."""
    return Store(Target(database.url, "creds", "token", "creds"), read_only=False, sleep=lambda _: time.sleep(0.02))


def old_ones(database: Database, keyring: Keyring) -> int:
    """How many tokens are under an older key."""
    return sum(map(keyring.needs_rotation, database.column().values()))


def test_what_a_crash_takes_back_is_rotated_by_the_next_run(database: Database, keyring: Keyring, cli: Cli) -> None:
    """Before `settle` a batch may be lost, as a whole."""
    with closing(open_store(database)) as store:
        write_all(store, keyring)
        crash(database)
    lost = old_ones(database, keyring)
    found = report(rotate(cli, database))

    assert lost in {0, ROWS}
    assert (found["proof"], found["rotated"]) == ("versions", lost)
    assert sorted(secrets_of(database.column().values())) == sorted(secret_names(ROWS))


@pytest.mark.parametrize("setting", ["on", "off"])
def test_only_what_is_settled_is_sure_to_survive(database: Database, keyring: Keyring, setting: str) -> None:
    """A crash behind `settle` loses nothing; one before it does, or this test would show nothing."""
    # A server may be set so that no commit waits.
    database = replace(database, url=f"{database.url}?options=-csynchronous_commit%3D{setting}")
    with closing(open_store(database)) as store:
        write_all(store, keyring)
        store.settle()
    crash(database)
    settled = old_ones(database, keyring)
    unsettled = 0
    # The server may happen to write its log just then.
    for _ in range(3):
        database.execute("DROP TABLE creds")
        database.make_creds(make_tokens(ROWS))
        with closing(open_store(database)) as store:
            write_all(store, keyring)
            crash(database)
        unsettled = unsettled or old_ones(database, keyring)

    assert (settled, unsettled) == (0, ROWS)


@pytest.mark.some(1)
@pytest.mark.parametrize("way", ["direct", pytest.param("pgbouncer", marks=pytest.mark.long)])
@pytest.mark.parametrize("settled", [True, False], ids=["settled", "not settled"])
def test_nothing_is_proved_across_a_crash(database: Database, keyring: Keyring, way: str, settled: bool) -> None:
    """Old versions may be back, and they look as if the first pass had read them. A pooler hides the crash."""
    if way == "direct":
        said = _across_a_crash(database, database, keyring, settled)
    else:
        with pooled(database) as reached:
            said = _across_a_crash(database, reached, keyring, settled)

    assert "the server restarted meanwhile" in said


def _across_a_crash(database: Database, reached: Database, keyring: Keyring, settled: bool) -> str:
    with closing(open_store(reached)) as store:
        watch = write_all(store, keyring)
        if settled:
            store.settle()
        assert isinstance(watch.changed(), Changed)
        crash(database)
        try:
            return str(watch.changed())
        except StoreError as error:
            pytest.fail(f"no answer at all: {error}")
