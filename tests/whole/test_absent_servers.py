"""Servers that go away in the middle of a run, and come back: as they were, without the last writes, or read-only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from keyring_core import InvalidToken, Keyring
from rotation.model.failures import StoreError
from rotation.stores import patience
from rotation.stores.access import ATTEMPTS, Access
from rotation.stores.patience import Patience
from rotation.stores.servers import known_silent
from tests.chaos.server import Server, own_mariadb, own_postgres
from tests.databases import Database, open_database
from tests.keys import make_key
from tests.processes import AT_ONCE, ROOT, Command, start
from tests.proxy import through_proxy
from tests.selection import SERVERS
from tests.stores.tokens import make_token, secrets_of

pytestmark = pytest.mark.database

ROWS, CURRENT = 200, 50
"""Tokens under the old key, and behind them some under the new one."""
SLOWLY = ("--max-rate", "100", "--batch-size", "10")
NOTING = f"""
import sys
from rotation.stores.store import Store
read, keys = Store.read, [0]
def noted(store, after, *more):
    keys.append(after[0] if after else 0)
    if keys[-2] < {ROWS // 2} <= keys[-1]:
        print("half of a pass", file=sys.stderr, flush=True)
    return read(store, after, *more)
Store.read = noted
{AT_ONCE}
"""
"""A run that says when it has read half of the old tokens, in each pass."""
HALF = "half of a pass"
on_servers = pytest.mark.parametrize("database", SERVERS, indirect=True)


@pytest.fixture(autouse=True)
def _nobody_is_known() -> Iterator[None]:
    known_silent.forget()
    yield
    known_silent.forget()


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that a test may stop. On PostgreSQL the commits of a run reach the disk late."""
    late = "wal_writer_delay=10s", "autovacuum=off"
    with own_postgres(*late) if request.param == "postgresql" else own_mariadb() as own:
        yield own


def fill(database: Database) -> list[str]:
    """Makes the table, and returns the old tokens."""
    database.execute("DROP TABLE IF EXISTS creds")
    old = [make_token(f"{number}") for number in range(ROWS)]
    database.make_creds(old + [make_token(f"{number}", "new") for number in range(ROWS, ROWS + CURRENT)])
    return old


def is_done(database: Database) -> bool:
    """Whether the table has each secret, under the new key."""
    found = [cell for _, cell in sorted(database.column().items())]
    return secrets_of(found) == [f"{number}" for number in range(ROWS + CURRENT)]


def warnings(command: Command) -> list[str]:
    """What a terminal would show of its log."""
    events = [json.loads(line) for line in command.log.splitlines() if line.startswith("{")]
    return [event["event"] for event in events if event["level"] != "info"]


@on_servers
@pytest.mark.parametrize(
    "way",
    [
        pytest.param((), id="default"),
        pytest.param(("--full-speed",), id="threads", marks=pytest.mark.long),
        pytest.param(("--workers", "2"), id="workers", marks=pytest.mark.long),
    ],
)
def test_a_run_waits_for_a_server_that_is_away(
    database: Database, way: tuple[str, ...], environ: dict[str, str], tmp_path: Path
) -> None:
    """R15, R16: it refuses connections for longer than six tries take; the run warns once, and goes on."""
    fill(database)
    limits = f"{NOTING}\nfrom rotation.job import loop; loop.THREAD_ROWS = 0"
    with (
        through_proxy(database.url) as proxy,
        start(replace(database, url=proxy.url), environ, tmp_path, *SLOWLY, *way, limits=limits) as command,
    ):
        command.until(lambda: _moved(database) > CURRENT, "the second batch")
        database.engine.dispose()
        proxy.shut()
        command.logs("rotation.server_gone")
        # Beyond the tries that follow a short loss.
        command.until(lambda: command.log.count("rotation.retry") >= ATTEMPTS - 1, "the last quick try")
        proxy.open()
        code, document = command.end()

    [target] = document["targets"]
    assert (code, document["complete"], target["rotated"], target["current"]) == (0, True, ROWS, CURRENT)
    assert is_done(database)
    assert [*dict.fromkeys(warnings(command))] == ["rotation.server_gone", "rotation.server_back"]
    if "--workers" not in way:
        assert len(warnings(command)) == 2


@pytest.mark.some(1)
@on_servers
@pytest.mark.parametrize("ending", ["at once", "after a second", "by a signal"])
def test_the_wait_has_an_end(database: Database, ending: str, environ: dict[str, str], tmp_path: Path) -> None:
    """The one that the option sets, or a signal: the report is whole, and the next run does the rest."""
    fill(database)
    longest = {"at once": ("--wait-for-server", "0"), "after a second": ("--wait-for-server", "1s")}.get(ending, ())
    with (
        through_proxy(database.url) as proxy,
        start(replace(database, url=proxy.url), environ, tmp_path, *SLOWLY, *longest, limits=AT_ONCE) as command,
    ):
        command.until(lambda: _moved(database) > CURRENT, "the second batch")
        database.engine.dispose()
        proxy.shut()
        if ending == "by a signal":
            command.logs("rotation.server_gone")
            command.process.send_signal(signal.SIGTERM)
        code, document = command.end()
        proxy.open()
    [target] = document["targets"]
    with start(database, environ, tmp_path, "--full-speed") as again:
        finished, _ = again.end()

    said = {
        "at once": "nothing listens at this port",
        "after a second": "it was waited for, for 1 second (--wait-for-server)",
        "by a signal": "stopped on request",
    }
    assert (code, finished) == (3, 0)
    assert said[ending] in target["stopped"]
    assert ("rotation.server_gone" in command.log) is (ending != "at once")
    assert 0 < target["rotated"] < ROWS


@on_servers
def test_a_run_waits_for_its_ledger(database: Database, environ: dict[str, str], tmp_path: Path) -> None:
    """Without the record of the run's end, `keys retire` would refuse."""
    with open_database("sqlite", tmp_path) as targets, through_proxy(database.url) as proxy:
        fill(targets)
        limits = f"{NOTING}\nfrom rotation.job import checkpoints; checkpoints.NOTE_SECONDS = 0"
        environ |= {"ROTATION_LEDGER_URL": proxy.url}
        with start(targets, environ, tmp_path, *SLOWLY, limits=limits) as command:
            command.logs(HALF)
            proxy.shut()
            command.logs("rotation.server_gone")
            proxy.open()
            code, _ = command.end()

    assert code == 0
    assert database.rows("SELECT outcome FROM keyring_ledger_runs") == [("complete",)]
    assert "Nothing more of this command is recorded" not in command.log


@pytest.mark.long
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_in_the_first_pass_is_survived(
    server: Server, mode: str, environ: dict[str, str], tmp_path: Path
) -> None:
    """R16: what a crash takes back is done again, and counted once."""
    database = server.database
    fill(database)
    with start(database, environ, tmp_path, *SLOWLY, limits=NOTING) as command:
        command.logs(HALF)
        database.engine.dispose()
        server.stop(mode)
        command.logs("rotation.server_gone")
        server.start()
        code, document = command.end()

    [target] = document["targets"]
    assert (code, target["rotated"], target["current"]) == (0, ROWS, CURRENT)
    assert is_done(database)


@pytest.mark.long
def test_no_pass_proves_anything_across_another_server(server: Server, environ: dict[str, str], tmp_path: Path) -> None:
    """R16: one that takes over and is behind has old tokens where the last pass has read already."""
    database = server.database
    old = fill(database)
    with (
        through_proxy(database.url) as proxy,
        # Under a condition PostgreSQL shows no more than MariaDB of what others write.
        start(
            replace(database, url=proxy.url), environ, tmp_path, *SLOWLY, "--where", "id > 0", limits=NOTING
        ) as command,
    ):
        command.until(lambda: command.log.count(HALF) == 2, "the middle of the second pass")
        proxy.shut()
        # What a standby that is behind would have, put back by hand.
        for number, token in enumerate(old[:CURRENT], start=1):
            database.execute("UPDATE creds SET token = :token WHERE id = :number", token=token, number=number)
        database.engine.dispose()
        server.restart("fast")
        proxy.open()
        code, document = command.end()

    [target] = document["targets"]
    assert (code, target["passes"], target["rotated"], target["current"]) == (0, 4, ROWS, CURRENT)
    assert is_done(database)


@on_servers
def test_a_commit_whose_answer_is_lost_counts_once(database: Database, environ: dict[str, str], tmp_path: Path) -> None:
    """R17: the server has done it, and the same batch is tried again after the server was away."""
    fill(database)
    with (
        through_proxy(database.url) as proxy,
        start(replace(database, url=proxy.url), environ, tmp_path, *SLOWLY, limits=AT_ONCE) as command,
    ):
        command.until(lambda: _moved(database) > CURRENT, "the second batch")
        # On MariaDB a swap of one statement is a transaction by itself.
        proxy.lose_answer({"postgresql": b"COMMIT", "mariadb": b"UPDATE"}[database.kind])
        code, document = command.end()

    [target] = document["targets"]
    assert (code, target["rotated"], target["current"], target["unsettled"]) == (0, ROWS, CURRENT, 0)
    assert target["retries"] == 1
    assert is_done(database)


def test_a_server_that_takes_no_writes_any_more_is_waited_for(
    server: Server, environ: dict[str, str], tmp_path: Path
) -> None:
    """After a failover the name may still lead to the old server, which is read-only now."""
    database = server.database
    fill(database)
    with start(_for_job(database), environ, tmp_path, *SLOWLY, limits=NOTING) as command:
        command.logs(HALF)
        with _read_only(database):
            _end_sessions(database)
            command.logs("read-only")
        code, document = command.end()

    assert (code, document["targets"][0]["rotated"]) == (0, ROWS)
    assert is_done(database)


@pytest.mark.long
def test_a_server_that_never_took_writes_ends_the_run_at_once(
    server: Server, environ: dict[str, str], tmp_path: Path
) -> None:
    """It is the wrong one."""
    database = server.database
    fill(database)
    job = _for_job(database)
    with _read_only(database), start(job, environ, tmp_path) as command:
        code, _ = command.end()

    assert code == 3
    assert "rotation.server_gone" not in command.log


class Waits:
    """Access to a server, and the waits for it."""

    def __init__(self, database: Database, patience: Patience, url: str | None = None) -> None:
        self.seconds: list[float] = []
        self.access = Access(url or database.url, "creds", read_only=True, sleep=self.seconds.append, patience=patience)

    def read(self, statement: str = "SELECT 1") -> object:
        return self.access.read(lambda connection: connection.exec_driver_sql(statement).all())


def test_a_login_that_is_refused_after_a_failover_ends_the_wait(server: Server) -> None:
    """Trying it for minutes could lock the account."""
    database = server.database
    job = Waits(database, Patience(timedelta(hours=1)), _for_job(database).url)
    job.read()
    lock = {
        "postgresql": ("ALTER ROLE job NOLOGIN", "ALTER ROLE job LOGIN"),
        "mariadb": ("ALTER USER job@'127.0.0.1' IDENTIFIED BY 'x'", "ALTER USER job@'127.0.0.1' IDENTIFIED BY ''"),
    }[database.kind]
    database.execute(lock[0])
    _end_sessions(database)
    try:
        with pytest.raises(StoreError, match="user or password is wrong"):
            job.read()
    finally:
        database.execute(lock[1])
        job.access.close()

    assert len(job.seconds) <= ATTEMPTS


@on_servers
def test_a_statement_that_ends_its_own_connection_is_given_up(database: Database) -> None:
    """Its server answers all the time: if it was the statement that brought it down, it must not go on for minutes."""
    job = Waits(database, Patience(timedelta(hours=1)))
    job.read()
    ends = {"postgresql": "SELECT pg_terminate_backend(pg_backend_pid())", "mariadb": "KILL CONNECTION_ID()"}

    with pytest.raises(StoreError, match="the connection was lost"):
        job.read(ends[database.kind])

    job.access.close()
    assert len(job.seconds) == ATTEMPTS + patience.RELAPSES


@on_servers
def test_the_next_target_does_not_wait_for_the_same_server(database: Database) -> None:
    """Three hundred targets of a server that stays away would take a day."""
    shared = Patience(timedelta(milliseconds=10))
    with through_proxy(database.url) as proxy:
        first, second = (Waits(database, shared, proxy.url) for _ in range(2))
        first.read()
        second.read()
        proxy.shut()
        for job in (first, second):
            with pytest.raises(StoreError, match="it was waited for"):
                job.read()
            job.access.close()

    assert len(first.seconds) > len(second.seconds) == ATTEMPTS - 1


UNREACHABLE = """
import subprocess, sys, time
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["ip", "link", "add", "near", "type", "veth", "peer", "name", "far"], check=True)
subprocess.run(["ip", "addr", "add", "192.0.2.1/24", "dev", "near"], check=True)
subprocess.run(["ip", "link", "set", "near", "up"], check=True)
subprocess.run(["ip", "link", "set", "far", "up"], check=True)
from rotation.cli.main import entry
entry(sys.argv[1:])
"""
"""A command in a network of its own, in which nobody answers."""
FAR = {
    "192.0.2.7": "no route leads to the host",
    "198.51.100.7": "this machine has no route to the network of the host",
}


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
@pytest.mark.parametrize("host", [pytest.param(host, marks=pytest.mark.long) for host in FAR])
def test_a_host_that_no_route_leads_to_is_no_matter_of_the_password(
    scheme: str, host: str, environ: dict[str, str], tmp_path: Path
) -> None:
    """The system looks for a host for seconds; it does so once, for all targets."""
    alone = ["unshare", "-rn", sys.executable, "-c", UNREACHABLE]
    config = tmp_path / "rotation.toml"
    config.write_text(
        "".join(
            f'[[target]]\nurl = "{scheme}://u@{host}/app"\ntable = "t{each}"\ncolumns = ["c"]\n' for each in range(3)
        )
    )
    ran = _in_own_network([*alone, "check", "--config", str(config), "--json"], environ)

    assert ran.count(FAR[host]) >= 3
    assert "password" not in ran


def _in_own_network(words: list[str], environ: dict[str, str]) -> str:
    allowed = False
    with suppress(OSError):
        allowed = subprocess.run(["unshare", "-rn", "ip", "link"], capture_output=True, check=False).returncode == 0
    if not allowed:
        pytest.skip("no network of its own here (unshare -rn)")
    environ = {**os.environ, **environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
    assert ran.stdout, ran.stderr
    return ran.stdout


def _moved(database: Database) -> int:
    """How many tokens are under the new key."""
    known = Keyring(make_key("new"))
    return sum(not isinstance(known.identify_many([cell])[0], InvalidToken) for cell in database.column().values())


@contextmanager
def _read_only(database: Database) -> Iterator[None]:
    """Meanwhile the server takes no writes of the job."""
    on_postgresql = database.kind == "postgresql"
    name = "ALTER ROLE job SET default_transaction_read_only" if on_postgresql else "SET GLOBAL read_only"
    database.execute(f"{name} = 1")
    try:
        yield
    finally:
        database.execute(f"{name} = 0")


def _for_job(database: Database) -> Database:
    """*database* for a role that may not do all."""
    url: Any = sa.make_url(database.url).set(username="job")
    if database.kind == "postgresql":
        with suppress(sa.exc.DBAPIError):
            database.execute("CREATE ROLE job LOGIN IN ROLE pg_write_all_data, pg_read_all_data")
    else:
        database.execute(
            "CREATE USER IF NOT EXISTS job@'127.0.0.1'",
            "GRANT SELECT, INSERT, UPDATE ON chaos.* TO job@'127.0.0.1'",
        )
    return replace(database, url=url.render_as_string(hide_password=False))


def _end_sessions(database: Database) -> None:
    """Ends each session of the job."""
    if database.kind == "postgresql":
        database.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'job'")
    else:
        for (number,) in database.rows("SELECT id FROM information_schema.processlist WHERE user = 'job'"):
            database.execute(f"KILL {number}")
