"""A service announces which keys it holds, at most once a minute, and never fails because of it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import sqlalchemy as sa
from freezegun import freeze_time
from sqlalchemy.ext.asyncio import create_async_engine
from structlog.testing import capture_logs

from keyring_core import Key, Keyring, config
from rotation import fleet
from rotation.configuration.application import in_application
from rotation.fleet import announce
from rotation.ledger.ledger import Ledger
from rotation.ledger.records import InstanceRecord
from tests.databases import Database, open_database
from tests.keys import make_key
from tests.processes import ROOT, run, until

pytestmark = pytest.mark.database

HOUR = timedelta(hours=1)
NOW = datetime.now(UTC).replace(microsecond=1)


@pytest.fixture(autouse=True)
def _billing(announcing: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "SECONDS", 60)
    monkeypatch.setenv("ROTATION_SERVICE", "billing")


def a_minute_later() -> None:
    """As if a minute had passed since each write."""
    fleet._process._tried.clear()


@pytest.fixture
def ring() -> Keyring:
    return Keyring(
        make_key("old"), previous=[make_key("older")], staged=make_key("new"), suspended=[make_key("oldest")]
    )


def instances(url: str) -> list[InstanceRecord]:
    with Ledger.open(url) as ledger:
        return ledger.instances(HOUR)


def test_an_instance_tells_its_keys(database: Database, ring: Keyring) -> None:
    """Name, service, key ids by state, and the time, through the service's own engine; it opens no suspended key's."""
    assert announce(database.engine, keyring=ring)

    [told] = instances(database.url)
    old, older, new = (make_key(label).id for label in ("old", "older", "new"))
    assert (told.service, told.primary, told.previous, told.staged) == ("billing", old, (older,), new)
    assert told.instance.endswith(f":{os.getpid()}")


def test_each_key_set_has_an_entry(database: Database, ring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for the process's own keys and one for each set that it names, in the same minute; a wrong name is logged."""
    monkeypatch.setenv("CARDS_ENCRYPTION_KEY", make_key("cards").reveal())
    monkeypatch.setattr(config, "_key_sets", {})

    assert announce(database.engine, keyring=ring)
    assert announce(database.engine, keys="cards")
    assert not announce(database.engine, keys="cards"), "once a minute"
    with capture_logs() as logs:
        assert not announce(database.engine, keys="no name")

    found = {each.service: each.primary for each in instances(database.url)}
    assert found == {"billing": make_key("old").id, "billing/cards": make_key("cards").id}
    assert "the name of a key set" in logs[0]["reason"]


def test_a_ledger_s_url_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ring: Keyring) -> None:
    """Without an engine; and without the URL, too, it only logs."""
    with capture_logs() as logs:
        assert not announce(keyring=ring)
    assert "ROTATION_LEDGER_URL is not set" in logs[0]["reason"]
    a_minute_later()
    url = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("ROTATION_LEDGER_URL", url)

    assert announce(keyring=ring, instance="web-1")
    assert [told.instance for told in instances(url)] == ["web-1"]


@pytest.mark.parametrize("name", ["keys", "secret", ".env", "rotation.toml", "file:my%2520keys"])
def test_a_service_makes_no_ledger_in_a_file_of_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ring: Keyring, name: str
) -> None:
    """The file stays as it is, an empty one and one that is not there, too; the log says why."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENCRYPTION_KEY_FILE", "keys")
    monkeypatch.setenv("ENCRYPTION_PREVIOUS_KEYS_FILE", "my keys")
    monkeypatch.setenv("ROTATION_LEDGER_URL", f"sqlite:///{name}")
    Path("rotation.toml").write_text('env_file = ".env"\n[keys.redash]\nprimary = { file = "secret" }\n')
    Path(".env").touch()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with capture_logs() as logs:
        assert not announce(keyring=ring)

    assert "name a file of its own" in logs[0]["reason"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_a_service_may_not_enter_keeps_it_from_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ring: Keyring
) -> None:
    """A daemon that gave up root's rights stands in such a folder, in which it cannot look for rotation.toml."""
    monkeypatch.setenv("ROTATION_LEDGER_URL", f"sqlite:///{tmp_path}/ledger.db")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("rotation.context.is_missing", lambda _: False)
    monkeypatch.setattr("rotation.configuration.config_file.read_toml", refuse)

    assert announce(keyring=ring)


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg_async://postgres@127.0.0.1/postgres", "postgresql+psycopg://u@h/d"]
)
def test_an_asynchronous_engine_gets_an_answer(ring: Keyring, url: str) -> None:
    """It is not asked; the log says what to give in its place, and nothing is raised."""
    engine = create_async_engine(url)
    with capture_logs() as logs:
        assert not announce(engine, keyring=ring)  # type: ignore[arg-type]

    assert "the engine is asynchronous: give a synchronous one" in logs[0]["reason"]
    assert "asyncio.to_thread" in logs[0]["reason"]


def test_both_sides_name_the_ledger_alike(database: Database, ring: Keyring) -> None:
    """Once in the log of the service, in the words of `keys promote`; a password is in neither."""
    engine = sa.create_engine(database.url)
    with capture_logs() as logs, freeze_time("2026-01-03 12:00:00") as clock:
        assert announce(engine, keyring=ring, instance="web-1")
        clock.tick(120)
        assert announce(engine, keyring=ring, instance="web-1")
    engine.dispose()

    [told] = [each for each in logs if each["event"] == "rotation.announced"]
    with Ledger.open(database.url) as ledger:
        assert (told["event"], told["ledger"]) == ("rotation.announced", ledger.name)
        assert told["primary"] == ring.primary.id


def test_the_log_names_each_new_primary_key(tmp_path: Path, ring: Keyring) -> None:
    """So that an admin sees in a service's log that it follows, also without a restart."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/app.db")
    with capture_logs() as logs, freeze_time("2026-01-03 12:00:00") as clock:
        for keyring in (ring, ring, Keyring(make_key("new"))):
            assert announce(engine, keyring=keyring, instance="web-1")
            clock.tick(61)
    engine.dispose()

    assert [told["primary"] for told in logs] == [make_key("old").id, make_key("new").id]


def test_it_writes_once_a_minute(tmp_path: Path, ring: Keyring) -> None:
    """However often it is called; the time is the clock's, in UTC."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/app.db")
    with freeze_time("2026-01-03 12:00:00") as clock:
        assert announce(engine, keyring=ring, instance="web-1")
        clock.tick(59)
        assert not announce(engine, keyring=ring, instance="web-1")
        clock.tick(2)
        assert announce(engine, keyring=ring, instance="web-1")

        [told] = instances(str(engine.url))
    engine.dispose()
    assert told.seen.isoformat() == "2026-01-03T12:01:01+00:00"


def test_a_command_that_imports_the_models_is_no_service(tmp_path: Path, ring: Keyring) -> None:
    """The module of a service may announce it as soon as it is loaded."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/app.db")

    def load() -> bool:
        fleet.keep_announcing(engine)
        return announce(engine, keyring=ring)

    assert not in_application(tmp_path, {}, "[[target]] 1", load)
    assert fleet._process.beats == {}
    assert announce(engine, keyring=ring)
    engine.dispose()


def test_a_thread_that_announces_is_known_from_its_first_word(
    tmp_path: Path, ring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retirement just after its start waits for the next one; a health endpoint may not be asked for long."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/app.db")
    monkeypatch.setenv("ENCRYPTION_KEY", make_key("old").reveal())
    fleet.keep_announcing(engine, instance="a thread")
    assert announce(engine, keyring=ring, instance="an endpoint")
    [beat] = fleet._process.beats.values()
    beat.over.set()
    engine.dispose()

    told = {each.instance: each.is_regular for each in instances(str(engine.url))}
    assert told == {"a thread": True, "an endpoint": False}


def test_threads_share_the_minute(tmp_path: Path, ring: Keyring) -> None:
    """Eight that ask at once write once."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/app.db")
    wrote: list[bool] = []
    threads = [threading.Thread(target=lambda: wrote.append(announce(engine, keyring=ring))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.dispose()

    assert sorted(wrote) == [False] * 7 + [True]


def test_a_ledger_that_fails_is_logged_and_not_asked_again_at_once(tmp_path: Path, ring: Keyring) -> None:
    """No error reaches the service, whatever it is; the log says which ledger and why."""
    (tmp_path / "app.db").write_bytes(b"no database" * 100)
    engine = sa.create_engine(f"sqlite:///{tmp_path}/app.db")
    with capture_logs() as logs:
        assert not announce(engine, keyring=ring)
        assert not announce(engine, keyring=ring)
        assert not announce("no engine", keyring=ring, instance="odd")  # type: ignore[arg-type]
    engine.dispose()

    first, second = logs
    assert "not an SQLite database" in first["reason"]
    assert second["error"] == "AttributeError"


def test_a_service_without_the_extra_is_told_of_it(ring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log says what to install."""
    monkeypatch.setitem(sys.modules, "rotation.fleet.announcement", None)
    with capture_logs() as logs:
        assert not announce(keyring=ring)

    assert "in a checkout of this project: pip install '.[rotate]'" in logs[0]["reason"]


SERVICE = """
import os, signal, sys, threading
import sqlalchemy as sa
from keyring_core import Keyring
from rotation import fleet
from rotation.fleet import announce, stop_announcing

fleet.ANSWER_SECONDS = 60
url, end = sys.argv[1:]
engine = None if os.environ.get("ROTATION_LEDGER_URL") else sa.create_engine(url)
assert announce(engine, keyring=Keyring("{key}"), instance="web-1")
exec(end)
""".format(key=make_key("old").reveal())


def serve(database: Database, end: str, *, by_url: bool = False) -> CompletedProcess[str]:
    """A service that announces itself, and then ends in that way."""
    environ = {**os.environ, **({"ROTATION_LEDGER_URL": database.url} if by_url else {})}
    return run([sys.executable, "-c", SERVICE, database.url, end], environ)


@pytest.mark.some(1)
@pytest.mark.parametrize("by_url", [pytest.param(False, id="engine"), pytest.param(True, id="url")])
@pytest.mark.parametrize("end", ["pass", "sys.exit(3)", "raise KeyboardInterrupt", "stop_announcing(); os._exit(0)"])
def test_a_process_that_ends_leaves_no_entry(database: Database, end: str, by_url: bool) -> None:
    """Whatever it ends with, and whichever way it reaches the ledger."""
    ran = serve(database, end, by_url=by_url)

    assert "rotation.announced" in ran.stdout + ran.stderr
    assert instances(database.url) == []


def test_a_process_that_stopped_may_announce_itself_again(tmp_path: Path, ring: Keyring) -> None:
    """At once, in the same minute: a pool may end and begin again in one process."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/app.db")

    assert announce(engine, keyring=ring, instance="web-1")
    fleet.stop_announcing()
    assert announce(engine, keyring=ring, instance="web-1")
    engine.dispose()


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)"])
def test_the_entry_of_a_process_that_is_killed_stays(database: Database, end: str) -> None:
    """Nothing of it runs then; its entry counts for ten minutes."""
    serve(database, end)

    assert [one.instance for one in instances(database.url)] == ["web-1"]


def test_a_child_that_ends_leaves_its_parent_s_entry(database: Database) -> None:
    """It inherits what its parent registered, also if a server forks without Python's hooks."""
    fork = "pid = os.fork()\nif not pid: {}sys.exit()\nos.waitpid(pid, 0)\nos._exit(0)"
    without_hooks = "fleet._process = kept; "

    serve(database, fork.format(""))
    assert len(instances(database.url)) == 1
    serve(database, f"kept = fleet._process\n{fork.format(without_hooks)}")
    assert len(instances(database.url)) == 1


READS = """
previous = Keyring("{old}")
ring = Keyring("{key}", previous=["{old}"], suspended=["{suspended}"])
def read(keyring=previous):
    try:
        ring.decrypt(keyring.encrypt("sk-live-1"))
    except Exception as error:
        print(type(error).__name__)
def again(name):
    fleet._process._tried.clear()
    assert announce(engine, keyring=ring, instance=name)
""".format(
    **{name: make_key(label).reveal() for name, label in [("key", "new"), ("old", "old"), ("suspended", "older")]}
)


def reads(url: str) -> dict[tuple[str, str], tuple[int, int]]:
    """Tokens opened and refused, by instance and key id."""
    with Ledger.open(url) as ledger:
        found = ledger.reads()
    assert all((each.last is not None) == bool(each.opened or each.refused) for each in found)
    return {(each.instance, each.key_id): (each.opened, each.refused) for each in found}


def test_a_heartbeat_has_the_reads_with_each_key(database: Database) -> None:
    """With the primary key, a previous one and a suspended one, since the process began; a key set has its own."""
    old, older, new = (make_key(label).id for label in ("old", "older", "new"))
    end = f"""{READS}
again("web-2")
read(); read(); read(ring); read(Keyring("{make_key("older").reveal()}"))
again("web-2")
assert announce(engine, keyring=ring, instance="web-2", keys="cards")
os._exit(0)
"""
    ran = serve(database, end)

    assert "SuspendedKey" in ran.stdout, ran
    of_keys = {("web-2", old): (2, 0), ("web-2", older): (0, 1), ("web-2", new): (1, 0)}
    assert reads(database.url) == of_keys
    with Ledger.open(database.url) as ledger:
        assert {each.service for each in ledger.reads()} == {"billing", "billing/cards"}


@pytest.mark.parametrize("end", ["", "stop_announcing(); os._exit(0)"])
def test_the_reads_of_a_process_that_ended_stay(database: Database, end: str) -> None:
    """Also those since its last heartbeat, and those with its primary key, which may be nobody else's any more."""
    serve(database, f'{READS}\nread(ring)\nagain("web-2")\nread(); read(); read(ring)\n{end}')

    old, new = make_key("old").id, make_key("new").id
    # The entry of web-1 has the older key as its primary one.
    ended = "a process that ended"
    assert reads(database.url) == {("web-2", old): (2, 0), (ended, old): (2, 0), (ended, new): (2, 0)}


def test_reads_with_a_key_that_is_in_no_entry_are_announced(database: Database) -> None:
    """Of a keyring that was never announced; and of one that has just lost the key, also in the last word."""
    new, third = make_key("new").reveal(), make_key("third")
    end = f"""{READS}
third = Keyring("{third.reveal()}")
ring = Keyring("{new}", previous=[third.primary])
read(third)
ring = Keyring("{new}")
again("web-2")
third.decrypt(third.encrypt("sk-live-1"))
"""
    serve(database, end)

    found = {place: numbers for place, numbers in reads(database.url).items() if place[1] == third.id}
    assert found == {("web-1", third.id): (2, 0), ("web-2", third.id): (2, 0)}


def test_the_last_reads_with_a_key_that_was_just_dropped_are_announced(tmp_path: Path) -> None:
    """At the next heartbeat: what its own entry said before is no other entry."""
    key, dropped = Key.generate(), Key.generate()
    engine = sa.create_engine(f"sqlite:///{tmp_path}/app.db")
    ring = Keyring(key, previous=[dropped])
    assert announce(engine, keyring=ring, instance="web-1")
    ring.decrypt(Keyring(dropped).encrypt("sk-live-1"))
    a_minute_later()

    assert announce(engine, keyring=Keyring(key), instance="web-1")
    engine.dispose()
    assert reads(str(engine.url))["web-1", dropped.id] == (1, 0)


def test_a_child_of_multiprocessing_records_its_last_reads(database: Database) -> None:
    """It ends without Python's exit handlers."""
    end = f"""{READS}
import multiprocessing
engine.dispose()
def work():
    again("child")
    read()
started = multiprocessing.get_context("fork").Process(target=work)
started.start()
started.join()
os._exit(started.exitcode)
"""
    ran = serve(database, end)

    assert ran.returncode == 0, ran
    assert reads(database.url) == {("child", make_key("old").id): (1, 0)}
    assert "child" not in {one.instance for one in instances(database.url)}


def test_a_forked_child_has_read_nothing(database: Database) -> None:
    """Its parent's reads are not its own."""
    end = f"""{READS}
read(); read()
again("parent")
pid = os.fork()
if not pid:
    engine.dispose(close=False)
    again("child")
    read()
    again("child")
    os._exit(0)
os.waitpid(pid, 0)
os._exit(0)
"""
    serve(database, end)

    old = make_key("old").id
    assert reads(database.url) == {("parent", old): (2, 0), ("child", old): (1, 0)}


def test_an_entry_that_another_process_renewed_stays(database: Database, ring: Keyring) -> None:
    """In a rolling restart the next process of that name announces itself before the last one ends."""
    with Ledger.open(database.url) as ledger:
        ours = InstanceRecord("web-1", "billing", ring.primary.id, NOW)
        ledger.announce(ours)
        ledger.announce(replace(ours, seen=NOW + HOUR))
        ledger.withdraw(ours)
        ledger.withdraw(replace(ours, service="shop", seen=NOW + HOUR))

    assert [one.seen for one in instances(database.url)] == [NOW + HOUR]


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("engine.dispose()", id="disposed"),
        pytest.param("engine.pool = None", id="broken"),
        pytest.param("fleet.LEAVE_SECONDS = 0.1; engine.pool.recreate = threading.Event().wait", id="silent"),
    ],
)
def test_a_ledger_that_is_gone_does_not_disturb_the_end(tmp_path: Path, end: str) -> None:
    """Nothing is printed, the exit code is the service's own, and it is waited for two seconds and not for ever."""
    with open_database("sqlite", tmp_path) as database:
        ran = serve(database, end)

    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False)
    assert fleet.LEAVE_SECONDS == 2


WORKER = """
from keyring_core import get_keyring
from rotation import fleet
fleet.SECONDS = 0.05
ring = get_keyring()
fleet.keep_announcing(instance="worker")
token = ring.encrypt("x")
while input():
    ring.decrypt(token)
    print("read", flush=True)
"""


def test_a_worker_announces_itself_and_its_reads_until_it_ends(tmp_path: Path) -> None:
    """No request asks it to: a thread announces what was read since, and nothing after the end."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    environ = {**os.environ, "ENCRYPTION_KEY": make_key("old").reveal(), "ROTATION_LEDGER_URL": url}
    with Ledger.open(url) as ledger:
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            env=environ,
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with process:
            assert process.stdin
            assert process.stdout
            process.stdin.write("go\n")
            process.stdin.flush()
            assert "rotation.announced" in process.stdout.readline()
            assert process.stdout.readline() == "read\n"
            until(lambda: [each.opened for each in ledger.reads()] == [1], "the read in the ledger", process)
            process.stdin.write("\n")
            process.stdin.flush()

        assert process.returncode == 0
        assert ledger.instances(HOUR) == []
