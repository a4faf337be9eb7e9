"""Servers that say nothing: every command gives up by itself, and one signal is enough."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
import sqlalchemy as sa

from rotation.ledger.database import LedgerError
from rotation.ledger.ledger import Ledger
from rotation.model.failures import StoreError
from rotation.stores import silent_servers, watchdog
from rotation.stores.access import Access
from rotation.stores.connection import Connection
from rotation.stores.silent_servers import SilentServers, known_silent
from tests.chaos.server import own_mariadb, own_postgres
from tests.conftest import Cli
from tests.databases import Database, open_database
from tests.fakes import token
from tests.processes import ROOT, start, until

pytestmark = pytest.mark.database

OLD = token("old")
LIMIT = 30.0
"""Seconds, by default, for every command."""
SIGNAL_LIMIT = 20.0
"""A few, and the rest for a machine that is busy with other tests; without a signal these would wait for minutes."""
SCHEMES = ("postgresql", "mysql")
KINDS = {"postgresql": own_postgres, "mariadb": own_mariadb}


@pytest.fixture(autouse=True)
def _nobody_is_known() -> Iterator[None]:
    known_silent.forget()
    yield
    known_silent.forget()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits of this process, a tenth as long."""
    monkeypatch.setattr(silent_servers, "CONNECT_SECONDS", 0.7)
    monkeypatch.setattr(watchdog, "QUIET_SECONDS", 0.5)
    monkeypatch.setattr(watchdog, "PROBE_SECONDS", 1.0)


class Mute(NamedTuple):
    """A server that says nothing."""

    port: int
    reached: threading.Event
    """Whether somebody has come."""


@contextmanager
def mute(banner: bytes = b"") -> Iterator[Mute]:
    """A server that takes every connection, says *banner*, and then nothing."""
    held: list[socket.socket] = []
    done, reached = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:

        def serve() -> None:
            while not done.is_set():
                visitor, _ = server.accept()
                held.append(visitor)
                reached.set()
                visitor.sendall(banner)

        thread = threading.Thread(target=serve)
        thread.start()
        port = server.getsockname()[1]
        try:
            yield Mute(port, reached)
        finally:
            done.set()
            socket.create_connection(("127.0.0.1", port)).close()
            thread.join()
            for visitor in held:
                visitor.close()


class Case(NamedTuple):
    """A command, and how it ends where its database says nothing."""

    words: str
    code: int
    says: str = "does not answer"


COMMANDS = {
    "status": Case("status", 3),
    "run": Case("run --full-speed", 3),
    "check": Case("check", 3),
    "discover": Case("discover", 3),
    "report": Case("report --html {folder}/report.html", 3, ""),
    "retire": Case("keys retire {old} --env-file {folder}/.env --archive {folder}/archive", 3),
}
LEDGER_COMMANDS = {
    "list": Case("keys list", 0, ""),
    "stage": Case("keys stage --env-file {folder}/.env", 3),
    "check": Case("check", 3),
    "status": Case("status", 0, ""),
}
"""These with a ledger that says nothing, beside a database that is well."""


def prepare(folder: Path, environ: dict[str, str], url: str, targets: int = 1) -> dict[str, str]:
    """A folder with rotation.toml and .env; what a command needs in its environment."""
    folder.mkdir()
    entry = '[[target]]\nurl = "{}"\ntable = "creds"\ncolumns = ["token"]\nname = "t{}"\nwhere = "id > {}"\n'
    (folder / "rotation.toml").write_text("".join(entry.format(url, number, -number) for number in range(targets)))
    (folder / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in environ.items()))
    (folder / ".env").chmod(0o600)
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("ENCRYPTION_", "ROTATION_"))}
    return plain | environ | {"ROTATION_CONFIG": str(folder / "rotation.toml")}


@dataclass
class Ended:
    """How a command ended."""

    code: int
    words: str
    seconds: float
    """Since it first reached its silent server, or since it got a signal."""


def end(argv: list[str], environ: dict[str, str], server: Mute, *, signalled: bool) -> Ended:
    """Runs a command until it has ended, within a minute; with a signal as soon as it waits for the server."""
    with subprocess.Popen(argv, env=environ, text=True, stdin=subprocess.DEVNULL, stdout=-1, stderr=-2) as process:
        assert server.reached.wait(60)
        if signalled:
            process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        try:
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    return Ended(process.returncode, out, time.monotonic() - began)


def end_all(  # noqa: PLR0913 - what the commands are run with
    cases: dict[str, Case],
    folder: Path,
    environ: dict[str, str],
    urls: Callable[[Mute], tuple[str, str]],
    *,
    old: str = "",
    signalled: bool = False,
) -> dict[str, Ended]:
    """All *cases* at once, each with a silent server of its own; *urls* are of its targets and its ledger."""

    def one(name: str) -> Ended:
        with mute() as server:
            target, ledger = urls(server)
            there = prepare(folder / name, environ, target, targets=20) | {"ROTATION_LEDGER_URL": ledger}
            words = cases[name].words.format(folder=folder / name, old=old).split()
            argv = [sys.executable, str(ROOT / "scripts/rotate.py"), *words]
            return end(argv, there, server, signalled=signalled)

    with ThreadPoolExecutor(3) as threads:
        return dict(zip(cases, threads.map(one, cases), strict=True))


@pytest.fixture
def old_key(cli: Cli) -> str:
    """The id of the key "old"."""
    return str(cli("keys", "list", "--json").document["keys"][1]["id"])


@pytest.mark.timeout(240)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_command_gives_up_by_itself(scheme: str, old_key: str, environ: dict[str, str], tmp_path: Path) -> None:
    """Within half a minute by the limits as they are, ledger and targets on that server, however many targets."""

    def urls(server: Mute) -> tuple[str, str]:
        return (f"{scheme}://u@127.0.0.1:{server.port}/app",) * 2

    ended = end_all(COMMANDS, tmp_path, environ, urls, old=old_key)

    assert {name: one.code for name, one in ended.items()} == {name: case.code for name, case in COMMANDS.items()}
    assert all(COMMANDS[name].says in " ".join(one.words.split()) for name, one in ended.items()), ended
    assert all("Traceback" not in one.words for one in ended.values())
    assert max(one.seconds for one in ended.values()) < LIMIT


@pytest.mark.timeout(240)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_ledger_that_says_nothing_is_given_up(scheme: str, environ: dict[str, str], tmp_path: Path) -> None:
    """What the command is for is done all the same, with a warning, or a finding of the check."""
    with open_database("sqlite", tmp_path) as database:
        database.make_creds([token("new")])

        def urls(server: Mute) -> tuple[str, str]:
            return database.url, f"{scheme}://u@127.0.0.1:{server.port}/app"

        ended = end_all(LEDGER_COMMANDS, tmp_path, environ, urls)

    assert {name: one.code for name, one in ended.items()} == {n: case.code for n, case in LEDGER_COMMANDS.items()}
    assert all("does not answer" in " ".join(one.words.split()) for one in ended.values()), ended
    assert all("Traceback" not in one.words for one in ended.values())
    assert max(one.seconds for one in ended.values()) < LIMIT


@pytest.mark.timeout(240)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_signal_ends_a_command_that_waits_to_connect(
    scheme: str, old_key: str, environ: dict[str, str], tmp_path: Path
) -> None:
    """Within seconds, also where the url says to wait for ten minutes, and without a traceback."""

    def urls(server: Mute) -> tuple[str, str]:
        return (f"{scheme}://u@127.0.0.1:{server.port}/app?connect_timeout=600",) * 2

    ended = end_all(COMMANDS, tmp_path, environ, urls, old=old_key, signalled=True)

    assert {name: one.code for name, one in ended.items()} == dict.fromkeys(COMMANDS, 3)
    assert all("Traceback" not in one.words for one in ended.values())
    assert max(one.seconds for one in ended.values()) < SIGNAL_LIMIT


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("signalled", [False, True], ids=["by itself", "by a signal"])
def test_a_server_that_freezes_ends_a_run(kind: str, signalled: bool, environ: dict[str, str], tmp_path: Path) -> None:
    """In the middle of a run, between two batches: the report is whole, what was done stays, the next run ends it."""
    with KINDS[kind]() as server:
        database = server.database
        database.make_creds([OLD] * 400)
        with start(database, environ, tmp_path, "--max-rate", "100", "--batch-size", "10") as command:
            until(lambda: _moved(database) > 0)
            database.engine.dispose()
            with _frozen(server.processes()):
                if signalled:
                    time.sleep(1)
                    command.process.send_signal(signal.SIGTERM)
                code, document = command.end(SIGNAL_LIMIT if signalled else LIMIT)
        [target] = document["targets"]
        moved = _moved(database)
        with start(database, environ, tmp_path, "--full-speed") as again:
            finished, _ = again.end()

    assert (code, finished) == (3, 0)
    assert ("stopped on request" if signalled else "does not answer") in target["stopped"]
    assert 0 < target["rotated"] <= moved < 400


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_long_statement_is_left_alone_while_the_server_lives(database: Database, hasty: None) -> None:
    """Three times as long as a silent server is waited for: it comes to its end."""
    sleeping = "SELECT pg_sleep(4)" if database.kind == "postgresql" else "SELECT SLEEP(4)"
    access = Access(database.url, "creds", read_only=True, sleep=lambda _: None)

    found = access.read(lambda connection: connection.execute(sa.text(sleeping)).all())
    access.close()

    assert len(found) == 1


@contextmanager
def slow_to_connect(url: str, seconds: float) -> Iterator[str]:
    """The url of a proxy that passes a new connection on only after so many *seconds*."""
    place, done = sa.make_url(url), threading.Event()
    threads: list[threading.Thread] = []

    def begin(act: Callable[..., None], *given: object) -> threading.Thread:
        threads.append(threading.Thread(target=act, args=given))
        threads[-1].start()
        return threads[-1]

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for side in (source, sink):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def carry(visitor: socket.socket) -> None:
        with visitor:
            if not done.wait(seconds):
                with socket.create_connection((place.host or "127.0.0.1", place.port or 0)) as onward:
                    back = begin(pump, visitor, onward)
                    pump(onward, visitor)
                    back.join()

    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    begin(carry, server.accept()[0])

        begin(serve)
        try:
            port = server.getsockname()[1]
            yield place.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        finally:
            done.set()
            server.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(10)


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_long_statement_is_left_alone_where_connecting_is_slow(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look for a sign of life is given the time that the statement's own connection took, and as much again."""
    monkeypatch.setattr(watchdog, "QUIET_SECONDS", 0.5)
    monkeypatch.setattr(watchdog, "PROBE_SECONDS", 1.0)
    sleeping = "SELECT pg_sleep(5)" if database.kind == "postgresql" else "SELECT SLEEP(5)"

    with slow_to_connect(database.url, 2.0) as url:
        access = Access(url, "creds", read_only=True, sleep=lambda _: None)
        found = access.read(lambda connection: connection.execute(sa.text(sleeping)).all())
        access.close()

    assert len(found) == 1


def test_however_slow_a_server_connects_its_silence_ends_within_half_a_minute() -> None:
    """The patience grows with the last connection, and is bounded."""
    patience = []
    for seconds in (0.1, 5.5, 60.0):
        seen = watchdog.Watchdog(is_stopping=lambda: False, probe=lambda _: True, hang_up=lambda _: None)
        seen.connect_seconds = seconds
        patience.append(watchdog.QUIET_SECONDS + seen.patience)

    assert patience == [10.0, 16.0, 24.0]


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_server_that_does_statement_after_statement_is_not_probed(
    database: Database, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answers are signs of life enough, however long their transaction is."""
    probed: list[float] = []
    monkeypatch.setattr(Connection, "_probe", lambda _self, seconds: bool(probed.append(seconds)))
    access = Access(database.url, "creds", read_only=True, sleep=lambda _: None)

    def many(connection: sa.Connection) -> int:
        for _ in range(30):
            connection.execute(sa.text("SELECT 1")).all()
            time.sleep(0.1)
        return connection.scalar(sa.text("SELECT 7")) or 0

    found = access.read(many)
    access.close()

    assert (found, probed) == (7, [])


BANNERS = {
    "nothing": b"",
    "ssh": b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    "half a greeting": b"\x4a\x00\x00\x00\x0a5.5",
    "encryption, and then nothing": b"S",
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("banner", BANNERS.values(), ids=BANNERS.keys())
def test_whatever_else_listens_there_is_given_up(scheme: str, banner: bytes, cli: Cli, hasty: None) -> None:
    """A server of another kind may wait for the client's first words: exit code 3, with a message that says so."""
    with mute(banner) as server:
        ran = cli(
            "status", "--url", f"{scheme}://u@127.0.0.1:{server.port}/app", "--table", "creds", "--column", "token"
        )

    assert ran.code == 3
    assert f"127.0.0.1:{server.port}: " in ran.err


def test_a_silent_server_is_asked_once(cli: Cli, hasty: None, tmp_path: Path) -> None:
    """The second target on it is given up at once, and so are ledger and search, whatever they look for there."""
    asked: list[float] = []
    with mute() as server:
        for database in ("a", "b", "c"):
            access = Access(
                f"postgresql://u@127.0.0.1:{server.port}/{database}", "t", read_only=True, sleep=lambda _: None
            )
            began = time.monotonic()
            with pytest.raises(StoreError, match="does not answer"):
                access.read(lambda connection: None)
            asked.append(time.monotonic() - began)
        with pytest.raises(LedgerError, match="does not answer"):
            Ledger.open(f"postgresql://u@127.0.0.1:{server.port}/ledger")

    assert asked[0] > 0.5 > asked[1] + asked[2]


def test_many_silent_servers_share_the_time() -> None:
    """Once they had their twenty seconds together, each further one gets one; after a minute all is forgotten."""
    known = SilentServers()

    given = []
    for server in range(5):
        given.append(known.seconds_for(server, 15.0))
        known.record(server, given[-1])

    assert given == [15.0, 5.0, 1.0, 1.0, 1.0]
    assert [known.seconds_for(server, 15.0) for server in (0, 9)] == [0, 1.0]
    known.forget()
    assert known.seconds_for(0, 15.0) == 15.0


@contextmanager
def _frozen(processes: list[int]) -> Iterator[None]:
    """While it is open, none of these processes does anything."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def _moved(database: Database) -> int:
    return sum(cell != OLD for cell in database.column().values())
