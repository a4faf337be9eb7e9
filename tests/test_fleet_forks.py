"""Processes that a service forks go on announcing, and share no connection; one that SIGTERM ends leaves no entry."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from keyring_core.key_reads import counter_of, key_reads
from rotation import fleet
from rotation.ledger.ledger import Ledger
from tests.databases import Database
from tests.keys import make_key
from tests.processes import ROOT, end_of, in_a_fork, run, until

pytestmark = pytest.mark.database

BEGIN = """
import multiprocessing, os, signal, sys, threading, time
import sqlalchemy as sa
from keyring_core import get_keyring
from rotation import fleet

fleet.SECONDS = 0.02
url = sys.argv[1]
engine = sa.create_engine(url)
ring = get_keyring()
token = ring.encrypt("sk-live-1")

def names():
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        return set(connection.scalars(sa.text("SELECT instance FROM keyring_ledger_instances")))

def until(ready):
    for _ in range(3000):
        if ready():
            return
        time.sleep(0.02)
    sys.exit("waited in vain")
"""


def environ(url: str, *, by_url: bool = False) -> dict[str, str]:
    """The variables of a service whose key is OLD."""
    named = {"ROTATION_LEDGER_URL": url} if by_url else {}
    return {**os.environ, "ENCRYPTION_KEY": make_key("old").reveal(), **named}


def serve(database: Database, end: str, *, by_url: bool = False) -> str:
    """What such a service prints that goes on in this way."""
    with Ledger.open(database.url):
        ran = run([sys.executable, "-c", f"{BEGIN}\n{end}", database.url], environ(database.url, by_url=by_url))
    assert ran.returncode == 0, ran
    return ran.stdout


def left(database: Database) -> list[str]:
    """The instances in the ledger."""
    with Ledger.open(database.url) as ledger:
        return [one.instance for one in ledger.instances(timedelta(hours=1))]


def opened(database: Database) -> int:
    """The reads in the ledger."""
    with Ledger.open(database.url) as ledger:
        return sum(each.opened for each in ledger.reads())


WRITE = """
import socket
here, there = socket.socketpair()
rows = sa.table("written", sa.column("who"), sa.column("number"))
def write(who):
    for number in range(1000):
        with engine.begin() as connection:
            connection.execute(rows.insert().values(who=who, number=number))
            own = (rows.c.who == who, rows.c.number == number)
            assert connection.scalar(sa.select(sa.func.count()).where(*own)) == 1
            assert connection.scalar(sa.select(sa.literal(f"{who}/{number}"))) == f"{who}/{number}"

fleet.SECONDS = 0.3
fleet.keep_announcing(engine)
children = []
for who in "one", "two":
    pid = os.fork()
    if not pid:
        write(who)
        until(lambda: len(names()) == 3)
        there.send(b"c")
        there.recv(1)
        sys.exit()
    children.append(pid)
write("parent")
until(lambda: len(names()) == 3)
assert here.recv(1) + here.recv(1) == b"cc"
here.send(b"xx")
assert {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children} == {0}
until(lambda: len(names()) == 1)
"""


@pytest.mark.long
@pytest.mark.parametrize(
    "by_url", [pytest.param(False, id="engine"), pytest.param(True, id="url", marks=pytest.mark.long)]
)
@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_parent_and_children_write_through_one_engine(database: Database, by_url: bool) -> None:
    """After `keep_announcing` each has connections of its own, each is counted, and each leaves by itself."""
    database.execute("CREATE TABLE written (who VARCHAR(10), number INTEGER)")
    serve(database, WRITE, by_url=by_url)

    assert database.rows("SELECT who, count(*) FROM written GROUP BY who ORDER BY who") == [
        ("one", 1000),
        ("parent", 1000),
        ("two", 1000),
    ]
    assert left(database) == []


def test_a_child_has_a_name_of_its_own(database: Database) -> None:
    """A name that was given gets the process id; the parent's entry stays, and a second call changes nothing."""
    said = serve(
        database,
        """
fleet.keep_announcing(engine, instance="web")
pid = os.fork()
if not pid:
    fleet.keep_announcing(engine, instance="web")
    until(lambda: len(names()) == 2)
    print("", sorted(names()) == ["web", f"web:{os.getpid()}"], sep="\\n", flush=True)
    sys.exit()
os.waitpid(pid, 0)
print(names())
""",
    )

    assert "\nTrue\n" in said
    assert said.endswith("{'web'}\n")


LATE = """
go_on = fleet._Process._go_on
fleet._Process._go_on = lambda self, beat: (time.sleep(0.2), go_on(self, beat))
"""


@pytest.mark.some(1)
@pytest.mark.parametrize(
    "work",
    [
        pytest.param("pid = os.fork()\nif not pid: ring.decrypt(token); sys.exit()\nos.waitpid(pid, 0)", id="fork"),
        pytest.param(
            "started = multiprocessing.get_context('fork').Process(target=ring.decrypt, args=[token])\n"
            "started.start(); started.join()",
            id="multiprocessing",
        ),
    ],
)
def test_a_child_that_ends_at_once_has_read(database: Database, work: str) -> None:
    """It may do so before its first heartbeat, which a busy machine holds up."""
    serve(database, f"{LATE}\nfleet.SECONDS = 60\nfleet.keep_announcing(engine)\n{work}\nos._exit(0)")

    assert opened(database) == 1
    assert len(left(database)) == 1, "the parent's"


@pytest.mark.usefixtures("announcing")
def test_a_fork_waits_for_a_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child of a fork in its midst would inherit its connection; one that takes too long is not waited for."""
    monkeypatch.setenv("ENCRYPTION_KEY", make_key("old").reveal())
    engine = sa.create_engine(f"sqlite:///{tmp_path}/app.db")
    connecting, go_on = threading.Event(), threading.Event()

    @sa.event.listens_for(engine, "do_connect")
    def wait(*_: object) -> None:
        connecting.set()
        go_on.wait()

    assert in_a_fork(lambda: True)
    beat = threading.Thread(target=fleet._process.announce, args=(engine, None, "web", None, None))
    beat.start()
    connecting.wait()
    monkeypatch.setattr(fleet, "FORK_SECONDS", 0.01)
    assert in_a_fork(lambda: True)
    assert fleet._process.writing.locked(), "a fork that did not wait ends no heartbeat"
    monkeypatch.setattr(fleet, "FORK_SECONDS", 600)
    threading.Timer(0.1, go_on.set).start()

    assert in_a_fork(go_on.is_set)
    beat.join()
    engine.dispose()
    with Ledger.open(str(engine.url)) as ledger:
        assert [one.instance for one in ledger.instances(timedelta(hours=1))] == ["web"]


@contextmanager
def service(database: Database, folder: Path, words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A service that announces itself, and then waits; killed at the end."""
    # Python loses a signal that comes just before a wait without an end, until something else wakes the thread.
    log, script = folder / "service.log", f"{BEGIN}\n{words}\nprint('ready', flush=True)\nuntil(lambda: False)"
    with Ledger.open(database.url), log.open("wb") as out:
        argv = [sys.executable, "-c", script, database.url]
        process = subprocess.Popen(argv, env=environ(database.url), cwd=ROOT, stdout=out, stderr=out)
    try:
        until(lambda: "ready" in log.read_text(), "a service", process, log)
        yield process
    finally:
        process.kill()
        process.wait()


def test_sigterm_ends_a_process_as_its_exit_handlers_need_it(database: Database, tmp_path: Path) -> None:
    """If asked: its entry is gone, its handlers ran, which a second one does not disturb, and the code is a shell's."""
    touch = f"pathlib.Path({str(tmp_path / 'ended')!r}).touch()"
    is_once = "signal.getsignal(signal.SIGTERM) is signal.SIG_IGN"
    handler = f"import atexit, pathlib; atexit.register(lambda: {is_once} and {touch})"
    words = f"{handler}\nfleet.keep_announcing(engine, end_on_sigterm=True)\nring.decrypt(token)"
    with service(database, tmp_path, words) as process:
        assert len(left(database)) == 1
        process.send_signal(signal.SIGTERM)

        assert end_of(process, "the service") == 143
    assert (tmp_path / "ended").exists()
    assert left(database) == []
    assert opened(database) == 1


@pytest.mark.some(1)
@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param("fleet.keep_announcing(engine)", -signal.SIGTERM, id="not asked"),
        pytest.param(
            "signal.signal(signal.SIGTERM, lambda *_: os._exit(7))\nfleet.keep_announcing(engine, end_on_sigterm=True)",
            7,
            id="a handler of its own",
        ),
    ],
)
def test_sigterm_is_otherwise_left_alone(database: Database, tmp_path: Path, words: str, code: int) -> None:
    """By default, and if the service has a handler; then its entry counts for ten minutes."""
    with service(database, tmp_path, words) as process:
        process.send_signal(signal.SIGTERM)

        assert end_of(process, "the service") == code
    assert len(left(database)) == 1


def test_sigterm_in_the_hook_of_a_fork_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is raised there would be ignored, and a child that was terminated would go on."""
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    monkeypatch.setattr(fleet._forking, "is_hooked", True, raising=False)
    try:
        fleet._exit()
        until(lambda: came, "the signal")
    finally:
        signal.signal(signal.SIGTERM, before)


def test_sigterm_belongs_to_the_main_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log says so; nothing is raised."""
    monkeypatch.setattr(fleet._Process, "keep", lambda *_: None)
    with capture_logs() as logs:
        thread = threading.Thread(target=lambda: fleet.keep_announcing(end_on_sigterm=True))
        thread.start()
        thread.join()

    assert "the main thread only" in logs[0]["reason"]


def test_uwsgi_without_threads_gets_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to 2.0.26 it starts so: a thread would stop in the middle of a transaction."""
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(worker_id=lambda: 1, has_threads=0))
    process = fleet._Process()
    monkeypatch.setattr(fleet, "_process", process)
    with capture_logs() as logs:
        fleet.keep_announcing()

    assert "enable-threads" in logs[0]["reason"]
    assert process.beats == {}


def test_a_fork_without_hooks_begins_at_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parent's reads are not its own, as soon as it announces itself."""
    parent = fleet._Process()
    parent.id += 1
    monkeypatch.setattr(fleet, "_process", parent)
    counter_of("5f0c1a9e").opened.add(3)

    assert fleet._here().id == os.getpid()
    assert key_reads()["5f0c1a9e"].opened == 0
