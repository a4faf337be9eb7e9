"""Servers that say nothing: every command gives up by itself, and one signal is enough."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from rotation.ledger.database import LedgerError
from rotation.ledger.ledger import Ledger
from rotation.model.failures import StoreError
from rotation.stores import watchdog
from rotation.stores.access import Access
from rotation.stores.connection import Connection
from rotation.stores.servers import SilentServers, known_silent
from rotation.stores.watchdog import BackgroundCall, Sign
from tests.chaos.server import Server, own_mariadb, own_postgres
from tests.conftest import Cli
from tests.databases import Database, open_database
from tests.fakes import token
from tests.processes import AT_ONCE, PROGRAM, end_of, start, until
from tests.proxy import through_proxy
from tests.warm.client import Program

pytestmark = pytest.mark.database

OLD = token("old")
HASTY = "from rotation.stores.connection import Connection; Connection._limit = lambda _: 0.3"
"""The limits of a command that waits for no server longer than for a moment."""
PATIENT = "from rotation.stores import connection; connection.CONNECT_GRACE_SECONDS = 0.1"
"""The limits of a command that only a signal ends."""
LIMITS = pytest.mark.parametrize("limits", [HASTY, pytest.param("", marks=pytest.mark.long)], ids=["hasty", "real"])
SCHEMES = ("postgresql", "mysql")
KINDS = {"postgresql": own_postgres, "mariadb": own_mariadb}


@pytest.fixture(autouse=True)
def _nobody_is_known() -> Iterator[None]:
    known_silent.forget()
    yield
    known_silent.forget()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has this process give up a server that says nothing after a moment."""
    monkeypatch.setattr(Connection, "_limit", lambda _: 0.3)


class Mute(NamedTuple):
    """A server that says nothing."""

    port: int
    visitors: list[socket.socket]
    """Who has come."""


@contextmanager
def mute(banner: bytes = b"") -> Iterator[Mute]:
    """A server that takes every connection, says *banner*, and then nothing."""
    held: list[socket.socket] = []
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:

        def serve() -> None:
            while not done.is_set():
                visitor, _ = server.accept()
                held.append(visitor)
                visitor.sendall(banner)

        thread = threading.Thread(target=serve)
        thread.start()
        port = server.getsockname()[1]
        try:
            yield Mute(port, held)
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
    tries: int
    """How often it connected to its server."""


def end(argv: list[str], environ: dict[str, str], server: Mute, log: Path, *, signalled: bool) -> Ended:
    """Runs a command until it has ended; with a signal as soon as it waits for the server."""
    with log.open("w") as words, Program(argv, env=environ, stdout=words, stderr=words) as process:
        until(lambda: server.visitors, "the first connection to the silent server", process, log)
        if signalled:
            process.send_signal(signal.SIGTERM)
        return Ended(end_of(process, "the command", log), log.read_text(), len(server.visitors))


def end_all(  # noqa: PLR0913 - what the commands are run with
    cases: dict[str, Case],
    folder: Path,
    environ: dict[str, str],
    urls: Callable[[Mute], tuple[str, str]],
    *,
    old: str = "",
    limits: str = "",
    signalled: bool = False,
) -> dict[str, Ended]:
    """All *cases* at once, each with a silent server of its own; *urls* are of its targets and its ledger."""

    def one(name: str) -> Ended:
        with mute() as server:
            target, ledger = urls(server)
            there = prepare(folder / name, environ, target, targets=20) | {"ROTATION_LEDGER_URL": ledger}
            words = cases[name].words.format(folder=folder / name, old=old).split()
            argv = [sys.executable, "-c", f"{limits}\n{PROGRAM}", *words]
            return end(argv, there, server, folder / f"{name}.log", signalled=signalled)

    with ThreadPoolExecutor(3) as threads:
        return dict(zip(cases, threads.map(one, cases), strict=True))


@pytest.fixture
def old_key(cli: Cli) -> str:
    """The id of the key "old"."""
    return str(cli("keys", "list", "--json").document["keys"][1]["id"])


@pytest.mark.some(1)
@LIMITS
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_command_gives_up_by_itself(
    scheme: str, limits: str, old_key: str, environ: dict[str, str], tmp_path: Path
) -> None:
    """Ledger and targets are on that server, which is asked once, however many targets."""

    def urls(server: Mute) -> tuple[str, str]:
        return (f"{scheme}://u@127.0.0.1:{server.port}/app",) * 2

    ended = end_all(COMMANDS, tmp_path, environ, urls, old=old_key, limits=limits)

    assert {name: one.code for name, one in ended.items()} == {name: case.code for name, case in COMMANDS.items()}
    assert all(COMMANDS[name].says in " ".join(one.words.split()) for name, one in ended.items()), ended
    assert all("Traceback" not in one.words for one in ended.values())
    assert {name: one.tries for name, one in ended.items()} == dict.fromkeys(COMMANDS, 1)


@pytest.mark.long
@pytest.mark.some(1)
@LIMITS
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_ledger_that_says_nothing_is_given_up(
    scheme: str, limits: str, environ: dict[str, str], tmp_path: Path
) -> None:
    """What the command is for is done all the same, with a warning, or a finding of the check."""
    with open_database("sqlite", tmp_path) as database:
        database.make_creds([token("new")])

        def urls(server: Mute) -> tuple[str, str]:
            return database.url, f"{scheme}://u@127.0.0.1:{server.port}/app"

        ended = end_all(LEDGER_COMMANDS, tmp_path, environ, urls, limits=limits)

    assert {name: one.code for name, one in ended.items()} == {n: case.code for n, case in LEDGER_COMMANDS.items()}
    assert all("does not answer" in " ".join(one.words.split()) for one in ended.values()), ended
    assert all("Traceback" not in one.words for one in ended.values())
    assert {name: one.tries for name, one in ended.items()} == dict.fromkeys(LEDGER_COMMANDS, 1)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_signal_ends_a_command_that_waits_to_connect(
    scheme: str, old_key: str, environ: dict[str, str], tmp_path: Path
) -> None:
    """Also where the url says to wait for an hour, and without a traceback."""

    def urls(server: Mute) -> tuple[str, str]:
        return (f"{scheme}://u@127.0.0.1:{server.port}/app?connect_timeout=3600",) * 2

    ended = end_all(COMMANDS, tmp_path, environ, urls, old=old_key, limits=PATIENT, signalled=True)

    assert {name: one.code for name, one in ended.items()} == dict.fromkeys(COMMANDS, 3)
    assert all("Traceback" not in one.words for one in ended.values())


SIGNALLED = """watchdog.QUIET_SECONDS, watchdog.STATEMENT_GRACE_SECONDS = 0.5, 0.5
watchdog.PROBE_SECONDS = watchdog.MOST_PROBE_SECONDS = 3600
"""
FREEZING = {
    "by itself": "watchdog.QUIET_SECONDS, watchdog.PROBE_SECONDS = 1.0, 2.0",
    "by a signal": SIGNALLED,
    # Such as one that the application's modules have started; the main thread then goes on waiting.
    "by a signal to another thread": f"""{SIGNALLED}
import signal, threading
begun = threading.Event()
def take_a_signal():
    begun.wait()
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
threading.Thread(target=take_a_signal, daemon=True).start()
def begin_and_signal(self, call):
    begun.set()
    return begin_and_say(self, call)
watchdog.Watchdog._begin_probe = begin_and_signal
""",
}
PROBING = """
import sys
from rotation.stores import watchdog
begin = watchdog.Watchdog._begin_probe
def begin_and_say(self, call):
    print("a probe begins", file=sys.stderr)
    return begin(self, call)
watchdog.Watchdog._begin_probe = begin_and_say
"""
"""A run that says that it waits for a silent server."""


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that a test may stop."""
    with KINDS[request.param]() as own:
        yield own


@pytest.mark.some(1)
@pytest.mark.parametrize("how", [*FREEZING, pytest.param("by itself, by real limits", marks=pytest.mark.long)])
def test_a_server_that_freezes_ends_a_run(server: Server, how: str, environ: dict[str, str], tmp_path: Path) -> None:
    """In the middle of a run, between two batches: the report is whole, what was done stays, the next run ends it."""
    limits, signalled = f"{PROBING}\n{AT_ONCE}\n{FREEZING.get(how, '')}", "signal" in how
    database = server.database
    database.execute("DROP TABLE IF EXISTS creds")
    database.make_creds([OLD] * 400)
    options = ["--max-rate", "100", "--batch-size", "10", *(() if signalled else ("--wait-for-server", "0"))]
    with start(database, environ, tmp_path, *options, limits=limits) as command:
        # So the first batch is known to be done.
        command.until(lambda: _moved(database) > 10, "the second batch")
        database.engine.dispose()
        with _frozen(server.processes()):
            if signalled:
                command.logs("a probe begins")
            if how == "by a signal":
                command.process.send_signal(signal.SIGTERM)
            code, document = command.end()
    [target] = document["targets"]
    moved = _moved(database)
    with start(database, environ, tmp_path, "--full-speed") as again:
        finished, _ = again.end()

    assert (code, finished) == (3, 0)
    assert ("stopped on request" if signalled else "does not answer") in target["stopped"]
    assert 0 < target["rotated"] <= moved < 400


class Probes:
    """The looks for a sign of life, and a statement that lasts until some have found one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: list[Sign] = []
        probe = Connection._probe

        def noted(connection: Connection, *given: Any) -> Sign:
            self.found.append(probe(connection, *given))
            return self.found[-1]

        monkeypatch.setattr(Connection, "_probe", noted)
        monkeypatch.setattr(watchdog, "WATCH_SECONDS", 0.02)
        monkeypatch.setattr(watchdog, "QUIET_SECONDS", 0.05)
        monkeypatch.setattr(watchdog, "STATEMENT_GRACE_SECONDS", 0.05)

    def during(self, database: Database, url: str, number: int) -> None:
        """Has a statement of a connection to *url* wait until so many have found one."""
        lock = {"postgresql": "SELECT pg_advisory_lock(7)", "mariadb": "SELECT GET_LOCK(database(), 3600)"}
        access = Access(url, "creds", read_only=True, sleep=lambda _: None)

        def ask(connection: sa.Connection) -> Sequence[object]:
            if database.kind == "postgresql":
                connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
            return connection.exec_driver_sql(lock[database.kind]).all()

        with database.engine.connect() as holder, ThreadPoolExecutor(1) as thread:
            holder.exec_driver_sql(lock[database.kind])
            asked = thread.submit(access.read, ask)
            try:
                until(lambda: asked.done() or self.found.count(Sign.WORK) >= number, "the answers to looks")
            finally:
                holder.invalidate()
            assert len(asked.result()) == 1
        access.close()


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> Probes:
    return Probes(monkeypatch)


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_long_statement_is_left_alone_while_the_server_lives(
    database: Database, probes: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look after the other finds that it does: the statement comes to its end."""
    monkeypatch.setattr(watchdog, "PROBE_SECONDS", 60.0)
    monkeypatch.setattr(watchdog, "MOST_PROBE_SECONDS", 60.0)

    probes.during(database, database.url, 4)

    assert Sign.SILENCE not in probes.found


@pytest.mark.long
@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_long_statement_is_left_alone_where_connecting_is_slow(
    database: Database, probes: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look for a sign of life is given the time that the statement's own connection took, and as much again."""
    monkeypatch.setattr(watchdog, "PROBE_SECONDS", 0.1)

    with through_proxy(database.url, seconds=1.5) as proxy:
        probes.during(database, proxy.url, 1)

    assert Sign.SILENCE not in probes.found


def test_however_slow_a_server_connects_its_silence_ends_within_half_a_minute() -> None:
    """The patience grows with the last connection, and is bounded."""
    patience = []
    for seconds in (0.1, 5.5, 60.0):
        seen = watchdog.Watchdog(is_stopping=lambda: False, probe=lambda *_: Sign.WORK, hang_up=lambda _: None)
        seen.connect_seconds = seconds
        patience.append(watchdog.QUIET_SECONDS + seen.patience)

    assert patience == [10.0, 16.0, 24.0]


class Watched:
    """A call under a watchdog, whose clock is this test's, and whose probes end at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, sign: Sign = Sign.WORK) -> None:
        self.now, self.probed, self.stopping = 1000.0, 0, False
        monkeypatch.setattr(watchdog.time, "monotonic", lambda: self.now)
        self.watchdog = watchdog.Watchdog(
            is_stopping=lambda: self.stopping, probe=lambda *_: sign, hang_up=lambda _: None
        )
        self.watchdog._begin_probe = self._begin_probe  # type: ignore[method-assign]
        self.call = watchdog.Call(began=self.now)
        self.watchdog._call = self.call

    def after(self, seconds: float) -> str | None:
        """What the watchdog says so much later, if it has looked four times a second."""
        for _ in range(int(seconds * 4)):
            self.now += 0.25
            if reason := self.watchdog._judge(self.call):
                return reason
        return None

    def _begin_probe(self, call: watchdog.Call) -> BackgroundCall[Sign]:
        self.probed += 1
        found = BackgroundCall(lambda: self.watchdog._probe(1.0, None, call.connected))
        until(found.done, "the end of a probe")
        return found


def test_a_watchdog_waits_as_long_as_the_server_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement may take hours."""
    watched = Watched(monkeypatch)

    assert watched.after(7200) is None
    assert watched.probed > 1000


def test_a_watchdog_gives_up_a_silent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """After both limits, and not before."""
    watched = Watched(monkeypatch, Sign.SILENCE)

    assert watched.after(watchdog.QUIET_SECONDS + watchdog.PROBE_SECONDS) is None
    assert watched.after(1) == "silent"


def test_a_watchdog_gives_up_a_statement_of_which_nothing_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server accepts connections, and does not say that it works on it: after minutes, and not before."""
    watched = Watched(monkeypatch, Sign.LIFE)

    assert watched.after(watchdog.UNANSWERED_SECONDS) is None
    assert watched.after(2 * watchdog.QUIET_SECONDS) == "unanswered"


def test_a_watchdog_that_was_stopped_itself_looks_again_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by Ctrl-Z: an answer may have come meanwhile."""
    watched = Watched(monkeypatch, Sign.LIFE)

    watched.now += 2 * watchdog.UNANSWERED_SECONDS
    assert watched.after(0.25) is None
    watched.watchdog.answered()

    assert watched.after(60) is None


def test_a_watchdog_gives_up_at_once_what_the_server_has_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server says that it knows the transaction no more."""
    watched = Watched(monkeypatch, Sign.LOSS)

    assert watched.after(watchdog.QUIET_SECONDS) is None
    assert watched.after(1) == "lost"


def test_a_watchdog_ends_a_statement_after_a_stop_was_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the server lives; it has a few seconds to come to its end."""
    watched = Watched(monkeypatch)
    watched.after(1)
    watched.stopping = True

    assert watched.after(watchdog.STATEMENT_GRACE_SECONDS) is None
    assert watched.after(1) == "stopped"


def test_a_server_that_does_statement_after_statement_is_not_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answers are signs of life enough, however long their transaction is."""
    watched = Watched(monkeypatch)

    for _ in range(1000):
        watched.watchdog.answered()
        assert watched.after(4) is None

    assert watched.probed == 0


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_each_statement_is_a_sign_of_life(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one transaction, too."""
    told: list[int] = []
    monkeypatch.setattr(watchdog.Watchdog, "answered", lambda _: told.append(1))
    access = Access(database.url, "creds", read_only=True, sleep=lambda _: None)

    def many(connection: sa.Connection) -> int:
        told.clear()
        for _ in range(5):
            connection.execute(sa.text("SELECT 1")).all()
        return len(told)

    assert access.read(many) >= 5
    access.close()


BANNERS = {
    "nothing": b"",
    "ssh": b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    "half a greeting": b"\x4a\x00\x00\x00\x0a5.5",
    "encryption, and then nothing": b"S",
}


@pytest.mark.some(3)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("banner", BANNERS.values(), ids=BANNERS.keys())
def test_whatever_else_listens_there_is_given_up(scheme: str, banner: bytes, cli: Cli, hasty: None) -> None:
    """A server of another kind may wait for the client's first words: exit code 3, with a message that says so."""
    with mute(banner) as server:
        # The driver itself would wait for an hour.
        url = f"{scheme}://u@127.0.0.1:{server.port}/app?connect_timeout=3600"
        ran = cli("status", "--url", url, "--table", "creds", "--column", "token")

    assert ran.code == 3
    assert f"127.0.0.1:{server.port}: " in ran.err


def test_a_silent_server_is_asked_once(cli: Cli, hasty: None, tmp_path: Path) -> None:
    """The second target on it is given up at once, and so are ledger and search, whatever they look for there."""
    with mute() as server:
        for database in ("a", "b", "c"):
            access = Access(
                f"postgresql://u@127.0.0.1:{server.port}/{database}", "t", read_only=True, sleep=lambda _: None
            )
            with pytest.raises(StoreError, match="does not answer"):
                access.read(lambda connection: None)
        with pytest.raises(LedgerError, match="does not answer"):
            Ledger.open(f"postgresql://u@127.0.0.1:{server.port}/ledger")

        assert len(server.visitors) == 1


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
