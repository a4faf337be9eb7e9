"""An announcement keeps no request waiting, whatever becomes of its ledger, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from keyring_core import Keyring
from rotation import fleet
from rotation.fleet import announce
from rotation.ledger import engines
from rotation.ledger.ledger import Ledger
from tests.databases import Database, open_database
from tests.keys import make_key
from tests.processes import ROOT, run, until
from tests.proxy import through_proxy

pytestmark = pytest.mark.database

RING = Keyring(make_key("old"))
BY = pytest.mark.parametrize("by_url", [pytest.param(False, id="engine"), pytest.param(True, id="url")])
ON_SERVERS = pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)


@pytest.fixture(autouse=True)
def _hurried(announcing: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(engines, "SERVICE_SECONDS", 1)


@contextmanager
def service(url: str, monkeypatch: pytest.MonkeyPatch, *, by_url: bool) -> Iterator[sa.Engine | None]:
    """What such a service gives to `announce`."""
    if by_url:
        monkeypatch.setenv("ROTATION_LEDGER_URL", url)
        yield None
        return
    engine = sa.create_engine(url, pool_size=1, max_overflow=0)
    yield engine
    engine.dispose()


def finished() -> list[bool]:
    """The results of all announcements, once they have ended."""
    calls = list(fleet._process._calls.values())
    until(lambda: all(call.done() for call in calls), "the end of an announcement")
    return [call.result() for call in calls]


@BY
@ON_SERVERS
def test_a_silent_ledger_keeps_nobody(database: Database, by_url: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller goes on at once; the attempt is given up, and the log says why."""
    with (
        Ledger.open(database.url),
        through_proxy(database.url, seconds=3600) as proxy,
        service(proxy.url, monkeypatch, by_url=by_url) as engine,
        capture_logs() as logs,
    ):
        assert announce(engine, keyring=RING), "on its way"
        assert logs == []
        assert finished() == [False]

    assert "does not answer" in logs[0]["reason"]


@ON_SERVERS
def test_a_line_that_goes_silent_is_cut(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the midst of a write: its thread ends, and its session with it; the next write finds a new line."""
    with Ledger.open(database.url), through_proxy(database.url) as proxy:
        engine, lost = sa.create_engine(proxy.url), threading.Event()
        sa.event.listen(engine, "begin", lambda _: (proxy.lose(), lost.set()), once=True)
        before = threading.active_count()
        with capture_logs() as logs:
            # On a busy machine an attempt is given up before it has a line to lose.
            while not lost.is_set():
                assert announce(engine, keyring=RING, instance="web-1")
                assert finished() == [False]
            monkeypatch.setattr(engines, "SERVICE_SECONDS", 60)

            def is_written() -> bool:
                announce(engine, keyring=RING, instance="web-1")
                return finished() == [True]

            # None is made before the thread that lost its line has ended.
            until(is_written, "a write through a new line")
        engine.dispose()
        proxy.cut()
        until(lambda: threading.active_count() <= before + 1, "the end of its threads")

    assert "does not answer" in logs[0]["reason"]


@pytest.mark.some(1)
@BY
def test_a_locked_ledger_keeps_nobody(database: Database, by_url: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it keep a session that waits for the lock: there would be one more each minute."""
    monkeypatch.setattr(engines, "SERVICE_SECONDS", 600)
    with Ledger.open(database.url), service(database.url, monkeypatch, by_url=by_url) as engine:
        monkeypatch.setattr(fleet, "ANSWER_SECONDS", 600)
        assert announce(engine, keyring=RING)
        monkeypatch.setattr(fleet, "ANSWER_SECONDS", 0.05)
        with database.engine.connect() as other, capture_logs() as logs:
            other.execute(sa.text("UPDATE keyring_ledger_instances SET seen = seen"))
            assert announce(engine, keyring=RING), "on its way"
            assert finished() == [False]
            other.rollback()

    assert "lock" in logs[0]["reason"], logs


@ON_SERVERS
def test_a_pool_without_a_connection_to_spare_is_not_asked(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request may hold the only one, and a half-open one may be in it."""
    monkeypatch.setattr(fleet, "ANSWER_SECONDS", 60)
    monkeypatch.setattr(engines, "SERVICE_SECONDS", 60)
    with service(database.url, monkeypatch, by_url=False) as engine:
        assert engine is not None
        with engine.connect():
            assert announce(engine, keyring=RING)
        assert engine.pool.status().startswith("Pool size: 1  Connections in pool: 1 ")


def test_a_ledger_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """keyring-rotate could not read it; and with one connection for all a heartbeat would commit what others began."""
    monkeypatch.setattr(fleet, "ANSWER_SECONDS", 60)
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool, connect_args={"check_same_thread": False})
    with capture_logs() as logs:
        assert not announce(engine, keyring=RING)
    engine.dispose()

    assert "in memory" in logs[0]["reason"]


def test_a_ledger_that_is_never_reached_takes_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one a minute, if the service's own engine has no limit for connecting."""
    monkeypatch.setattr(engines, "SERVICE_SECONDS", 0.01)
    go_on = threading.Event()
    engine = sa.create_engine("postgresql+psycopg://nowhere", creator=go_on.wait)
    before = threading.active_count()
    for _ in range(5):
        announce(engine, keyring=RING)
        finished()

    # One that waits for the connection; others may be ending.
    until(lambda: threading.active_count() <= before + 1, "the end of the other threads")
    go_on.set()
    engine.dispose()


def test_a_second_call_waits_for_no_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """While an announcement is on its way, none of the same name begins."""
    monkeypatch.setattr(engines, "SERVICE_SECONDS", 600)
    go_on = threading.Event()
    engine = sa.create_engine("postgresql+psycopg://nowhere", creator=go_on.wait)
    try:
        assert announce(engine, keyring=RING)
        assert not announce(engine, keyring=RING)
    finally:
        go_on.set()
    assert finished() == [False]
    engine.dispose()


def test_a_log_that_cannot_be_written_ends_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on a full disk, where the ledger fails, too."""

    class Full:
        def warning(self, *_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        info = warning

    monkeypatch.setattr(fleet, "ANSWER_SECONDS", 60)
    monkeypatch.setattr(engines, "SERVICE_SECONDS", 60)
    monkeypatch.setattr(fleet, "log", Full())
    monkeypatch.setattr("rotation.fleet.announcement.log", Full())
    engine = sa.create_engine(f"sqlite:///{tmp_path}/app.db")

    assert not announce(keyring=RING, instance="without a ledger")
    announce(engine, keyring=RING)
    engine.dispose()
    with Ledger.open(str(engine.url)) as ledger:
        assert len(ledger.instances(timedelta(hours=1))) == 1


GROWTH = """
import gc, os, sys

def count(settle):
    settle()
    gc.collect()
    return len(gc.get_objects())

def growth(act, warm, times, settle=gc.collect):
    for _ in range(warm):
        act()
    before = count(settle)
    for _ in range(times):
        act()
    return count(settle) - before
"""
"""The objects that are more, and that nobody frees, after a call was made so many times; in a process of its own."""
BEATS = f"""{GROWTH}
import sqlalchemy as sa
from keyring_core import get_keyring
from rotation import fleet
fleet.SECONDS = 0
url, *given = sys.argv[1:]
engine, ring = None if os.environ.get("ROTATION_LEDGER_URL") else sa.create_engine(url), get_keyring()

def beat():
    assert fleet._process.announce(engine, ring, "web", None, None)

print(growth(beat, *map(int, given)), file=sys.stderr)
"""
CONNECTIONS = f"""{GROWTH}
import time
from weakref import WeakSet
import sqlalchemy as sa
from rotation.stores.connection import Connection
from rotation.stores.databases import find_dialect
from rotation.stores.dialect import Mode
url = sa.make_url(sys.argv[1])
dialect = find_dialect(url.get_backend_name())
alive = WeakSet()

def connect():
    connection = Connection(dialect, dialect.prepare_url(url) if dialect.has_server else url)
    alive.add(connection)
    with connection.transaction(Mode.READ) as transaction:
        assert not sa.inspect(transaction).has_table("none")
    connection.disconnect()

def settle():
    # A watchdog takes a moment to end.
    for _ in range(300):
        gc.collect()
        if not alive:
            break
        time.sleep(0.1)

# SQLAlchemy's own caches keep the last 128 dialects, without this package's parts.
print(growth(connect, 150, 50, settle), file=sys.stderr)
print(len(alive), file=sys.stderr)
"""


@BY
def test_heartbeats_leave_nothing_behind(database: Database, by_url: bool, long_form: bool) -> None:
    """No object for each: of 150, and of 9,000 on PostgreSQL, where each connection left some."""
    is_long = long_form and by_url and database.kind == "postgresql"
    numbers = ["1000", "9000"] if is_long else ["50", "150"]
    named = {"ROTATION_LEDGER_URL": database.url} if by_url else {}

    assert int(alone(BEATS, [database.url, *numbers], named)) < 50


@pytest.mark.parametrize("kind", ["postgresql", "mariadb", "sqlite"])
def test_the_connections_of_a_command_leave_nothing_behind(kind: str, tmp_path: Path) -> None:
    """A program may run the job in a loop for ever."""
    with open_database(kind, tmp_path) as database:
        grown, alive = alone(CONNECTIONS, [database.url], {}).splitlines()

    assert int(grown) < 50
    assert alive == "0"


def alone(program: str, given: Sequence[str], named: Mapping[str, str]) -> str:
    """What *program* prints on stderr, in a process that nothing else has used."""
    ran = run([sys.executable, "-c", program, *given], environ(named))
    assert ran.returncode == 0, ran
    return ran.stderr


def environ(named: Mapping[str, str]) -> dict[str, str]:
    """The variables of a service, and *named*."""
    return {**os.environ, "ENCRYPTION_KEY": make_key("old").reveal(), **named}


GREEN = """
import os, sys
from gevent import monkey, sleep, spawn
for line in sys.argv.pop(1).split(";"):
    exec(line)
import sqlalchemy as sa

turns = []
def take_turns():
    while True:
        sleep(0.001)
        turns.append(1)

spawn(take_turns)
engine = sa.create_engine(sys.argv[1]) if sys.argv[1:] else None
for name in "web", "jobs":
    before = len(turns)
    fleet.announce(engine, instance=name)
    sleep(0.01)
    print(len(turns) > before + 1, flush=True)
"""


LOADING = pytest.mark.parametrize(
    "loading",
    [
        pytest.param("monkey.patch_all();from rotation import fleet", id="patched first"),
        pytest.param("from rotation import fleet;monkey.patch_all()", id="patched later"),
    ],
)


@pytest.mark.some(1)
@BY
@LOADING
def test_green_threads_go_on(by_url: bool, loading: str, tmp_path: Path) -> None:
    """While two of them wait for a ledger that says nothing."""
    with open_database("postgresql", tmp_path) as database, through_proxy(database.url, seconds=3600) as proxy:
        given, named = ([], {"ROTATION_LEDGER_URL": proxy.url}) if by_url else ([proxy.url], {})

        assert green(loading, given, named, "os._exit(0)") == "True\nTrue\n"


@pytest.mark.some(1)
@LOADING
def test_green_threads_leave(loading: str, tmp_path: Path) -> None:
    """What waits for the end of the process stops nothing until then."""
    with open_database("postgresql", tmp_path) as database:
        shown = green(loading, [database.url], {}, "fleet.keep_announcing(engine); sleep(0.01)")

        assert [line for line in shown.splitlines() if "announced" not in line] == ["True", "True"]
        with Ledger.open(database.url) as ledger:
            assert ledger.instances(timedelta(hours=1)) == []


GREEN_FORK = """
busy, announcing = [], []

@sa.event.listens_for(engine, "do_connect")
def wait(*_):
    busy.append(True)
    sleep(0.2)
    busy.pop()

announce = fleet._Process.announce
fleet._Process.announce = lambda self, *given: (announcing.append(self.id), announce(self, *given))[1]
fleet.SECONDS, fleet.FORK_SECONDS = 0.01, 5
fleet.keep_announcing(engine)
while not busy:
    sleep(0.01)
if not os.fork():
    was_busy = bool(busy)
    announcing.clear()
    while len(announcing) < 3:
        sleep(0.01)
    print(was_busy, set(announcing) == {os.getpid()}, flush=True)
    sys.exit()
os.wait()
"""


@pytest.mark.long
def test_a_fork_takes_no_green_heartbeat_along(tmp_path: Path) -> None:
    """It lets one end, also if gevent came later; and the copies of its parent's green threads announce nothing."""
    with open_database("sqlite", tmp_path) as database:
        shown = green("from rotation import fleet;monkey.patch_all()", [database.url], {}, GREEN_FORK)

    assert "False True" in shown.splitlines()


def green(loading: str, given: Sequence[str], named: Mapping[str, str], end: str) -> str:
    """What such a program prints."""
    # Not in a fork of a process that has loaded the driver, which decides then how it waits.
    argv = [sys.executable, "-c", f"{GREEN}\n{end}", loading, *given]
    ran = subprocess.run(argv, check=False, env=environ(named), capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    return ran.stdout
