"""A keyring that follows its files and commands: when it looks, what it takes, and what it keeps."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from keyring_core import (
    DamagedToken,
    Key,
    KeyConfigError,
    KeyConfigWarning,
    Keyring,
    MalformedToken,
    SuspendedKey,
    UndecryptableToken,
    config,
    keyring_status,
    loaded_keys,
    reload,
    reload_keyring,
)
from keyring_core.key_reads import counter_of
from keyring_core.reload import AGAIN_SECONDS, UNKNOWN_SECONDS, Reloader
from keyring_core.sources import COMMAND_SECONDS
from tests.keyring_core.test_bulk import damaged_token
from tests.keyring_core.test_errors import leaks
from tests.keys import key_text, make_key
from tests.processes import in_a_fork, until

A, B, C = (key_text(label) for label in "abc")
ID = {label: make_key(label).id for label in "abc"}
EVERY = 60
START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


class World:
    """An environment, a clock that a test moves, and a keyring that follows them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        self.reads: list[float] = []
        self.environ: dict[str, str] = {}
        self.meanwhile: Callable[[], object] = lambda: None
        """What happens in the middle of a read."""
        monkeypatch.setattr(config.os, "environ", self.environ)
        self.keyring = Reloader(self.load, clock=lambda: self.seconds, now=lambda: START + timedelta(0, self.seconds))

    def load(self, seconds: float) -> reload.Loaded:
        return self._watched(config._load, seconds)

    def _watched(self, load: Callable[[float], reload.Loaded], seconds: float) -> reload.Loaded:
        self.reads.append(seconds)
        self.meanwhile()
        loaded = load(seconds)
        return loaded._replace(again=partial(self._watched, loaded.again))

    def after(self, seconds: float) -> Keyring:
        """The keyring that a service gets so much later."""
        self.seconds += seconds
        return self.keyring()


@pytest.fixture
def world(monkeypatch) -> World:
    return World(monkeypatch)


@pytest.fixture
def log(monkeypatch) -> LogCapture:
    captured = LogCapture()
    monkeypatch.setattr(reload, "log", structlog.wrap_logger(None, processors=[captured]))
    return captured


def put(path: Path, text: str) -> Path:
    """Writes *text* in place, as an editor may."""
    path.touch(0o600)
    path.write_text(text)
    return path


@pytest.fixture
def key_file(world, tmp_path) -> Path:
    """The file that the world's primary key comes from; it holds A, and has for long."""
    path = put(tmp_path / "key", A)
    settle(path)
    world.environ["ENCRYPTION_KEY_FILE"] = str(path)
    return path


def settle(path: Path) -> None:
    """Makes every later change of the file visible by its stamp; a test does not wait two seconds for that."""
    os.utime(path, ns=(0, 0))


@pytest.fixture(autouse=True)
def old_files(monkeypatch):
    """Every file counts as old, so that it is read again for its changes alone."""
    monkeypatch.setattr("keyring_core.sources._UNSETTLED_SECONDS", -1)


def unknown_to(ring: Keyring, label: str) -> None:
    """Has *ring* meet a token under the key of that label, which it does not have."""
    with pytest.raises(UndecryptableToken):
        ring.decrypt(Keyring(key_text(label)).encrypt("x"))


# When it looks


def test_the_keyring_stays_the_same_object(world, key_file):
    """While nothing changes, every call gives one keyring, and the file is read once."""
    ring = world.keyring()

    assert all(world.after(EVERY) is ring for _ in range(5))
    assert world.reads == [COMMAND_SECONDS]


def test_a_changed_file_is_read_when_due(world, key_file):
    """Not a moment earlier; from then on the new key encrypts."""
    world.keyring()
    put(key_file, B)

    assert world.after(EVERY - 1).primary.id == ID["a"]
    assert world.after(1).primary.id == ID["b"]
    assert world.reads == [COMMAND_SECONDS, AGAIN_SECONDS]


def test_the_time_between_looks_is_the_operators(world, key_file):
    """ENCRYPTION_RELOAD_SECONDS counts, and another value from the next reload on."""
    world.environ["ENCRYPTION_RELOAD_SECONDS"] = "5"
    world.keyring()
    put(key_file, B)
    assert world.after(5).primary.id == ID["b"]

    world.environ["ENCRYPTION_RELOAD_SECONDS"] = "0"
    put(key_file, C)
    assert world.after(5).primary.id == ID["c"]
    assert world.keyring.reload()

    put(key_file, A)
    assert world.after(10**9).primary.id == ID["c"]


def test_never_means_never(world, key_file):
    """With 0 nothing is read again unless somebody asks, not even for an unknown token."""
    world.environ["ENCRYPTION_RELOAD_SECONDS"] = "0"
    ring = world.keyring()
    put(key_file, B)

    assert world.after(10**9) is ring
    assert world.keyring.renew(ring) is None
    assert world.keyring.reload()
    assert world.keyring().primary.id == ID["b"]


def test_variables_are_read_once(world):
    """R35: nothing outside can change a process's variables, so they are read again only on `reload`."""
    world.environ["ENCRYPTION_KEY"] = A
    ring = world.keyring()
    world.environ["ENCRYPTION_KEY"] = B

    assert world.after(10**9) is ring
    assert world.keyring.renew(ring) is None
    assert world.reads == [COMMAND_SECONDS]
    assert world.keyring.reload()
    assert world.keyring().primary.id == ID["b"]


@pytest.mark.parametrize("form", ["", "_FILE", "_COMMAND"])
@pytest.mark.parametrize("name", ["ENCRYPTION_PREVIOUS_KEYS", "ENCRYPTION_STAGED_KEY"])
def test_a_variable_that_the_process_removed_still_counts(world, key_file, tmp_path, name, form):
    """A process that clears its environment keeps its keys, and follows its files, until it calls `reload`."""
    world.environ[name + form] = {"": C, "_FILE": str(put(tmp_path / "other", C)), "_COMMAND": f"echo {C}"}[form]
    world.keyring()
    shown = repr(world.keyring._loaded)
    del world.environ[name + form], world.environ["ENCRYPTION_KEY_FILE"]

    put(key_file, B)
    assert [key.id for key in world.after(EVERY).states] == [ID["b"], ID["c"]]

    world.environ["ENCRYPTION_KEY_FILE"] = str(key_file)
    assert world.keyring.reload()
    assert [key.id for key in world.keyring().states] == [ID["b"]]
    assert not leaks(shown, C)


def test_a_primary_key_that_is_listed_stays_when_another_follows(world, key_file):
    """A list that names the primary key, too, makes it a previous one once the file holds another."""
    world.environ["ENCRYPTION_PREVIOUS_KEYS"] = A
    with pytest.warns(KeyConfigWarning, match="the same key as"):
        world.keyring()
    del world.environ["ENCRYPTION_PREVIOUS_KEYS"]

    put(key_file, B)

    assert [key.id for key in world.after(EVERY).states] == [ID["b"], ID["a"]]


def test_another_path_counts_from_a_reload_on(world, key_file, tmp_path):
    """A process that changes its own variables says when they are ready to be read."""
    ring = world.keyring()
    world.environ["ENCRYPTION_KEY_FILE"] = str(put(tmp_path / "other", B))
    put(key_file, f"# looked after\n{A}")

    assert world.after(EVERY) is ring
    assert world.keyring.reload()
    assert world.keyring().primary.id == ID["b"]


def test_a_credential_of_systemd_is_followed(world, key_file):
    """A path that begins with $CREDENTIALS_DIRECTORY leads to the same folder at a start and at every look."""
    world.environ |= {
        "CREDENTIALS_DIRECTORY": str(key_file.parent),
        "ENCRYPTION_KEY_FILE": "$CREDENTIALS_DIRECTORY/key",
    }
    assert world.keyring().primary.id == ID["a"]
    del world.environ["CREDENTIALS_DIRECTORY"]

    put(key_file, B)

    assert world.after(EVERY).primary.id == ID["b"]


def test_a_command_runs_again_when_due(world, tmp_path):
    """A command has to run to find out whether its answer changed; it gets less time than at the start."""
    secret = put(tmp_path / "secret", A)
    world.environ["ENCRYPTION_KEY_COMMAND"] = f"cat {secret}"
    ring = world.keyring()
    assert world.after(EVERY) is ring

    put(secret, B)

    assert world.after(EVERY - 1) is ring
    assert world.after(1).primary.id == ID["b"]
    assert world.reads == [COMMAND_SECONDS, AGAIN_SECONDS, AGAIN_SECONDS]


def test_looking_is_free_when_nothing_is_due(world, key_file, monkeypatch):
    """Between looks a call takes no lock, looks at no file and reads no environment: only the clock."""
    ring = world.keyring()
    monkeypatch.setattr(world.keyring, "_lock", None)
    monkeypatch.setattr(world.keyring, "_load", None)
    monkeypatch.setattr(world, "meanwhile", pytest.fail)
    monkeypatch.setattr(os, "stat", None)

    assert world.after(EVERY - 1) is ring


# An unknown token


def test_an_unknown_token_makes_it_look_at_once(world, key_file):
    """The first token under a key that has just arrived is enough."""
    ring = world.keyring()
    put(key_file, B)

    assert world.keyring.renew(ring).primary.id == ID["b"]


def test_unknown_tokens_make_it_look_at_most_once_a_second(world, tmp_path):
    """A thousand broken tokens do not run the vault's command a thousand times."""
    world.environ["ENCRYPTION_KEY_COMMAND"] = f"cat {put(tmp_path / 'secret', A)}"
    ring = world.keyring()

    for _ in range(100):
        assert world.keyring.renew(ring) is None
    assert len(world.reads) == 2

    world.seconds += 0.999
    assert world.keyring.renew(ring) is None
    assert len(world.reads) == 2

    put(tmp_path / "secret", B)
    world.seconds += 0.001
    assert world.keyring.renew(ring).primary.id == ID["b"]
    assert len(world.reads) == 3


def test_an_unknown_token_does_not_read_a_file_that_did_not_change(world, key_file):
    """A look at the file's stamp is enough, so broken tokens cost next to nothing."""
    ring = world.keyring()

    for _ in range(10):
        world.seconds += 1
        assert world.keyring.renew(ring) is None

    assert world.reads == [COMMAND_SECONDS]


def test_a_suspended_key_takes_effect_without_a_restart(world, key_file, tmp_path):
    """When the file is due, its key refuses; the read that it refuses next asks for newer keys, so that a resumed key
    opens at once.
    """
    listed = put(tmp_path / "suspended", "")
    settle(listed)
    world.environ |= {"ENCRYPTION_PREVIOUS_KEYS": C, "ENCRYPTION_SUSPENDED_KEYS_FILE": str(listed)}
    cell = Keyring(C).encrypt("x")

    def read() -> str:
        return world.keyring.opening(lambda ring: ring.decrypt(cell))

    assert read() == "x"
    put(listed, C)
    assert read() == "x"
    with pytest.warns(KeyConfigWarning, match="the same key as"):
        world.after(EVERY)
    with pytest.raises(SuspendedKey):
        read()
    put(listed, "")
    world.seconds += UNKNOWN_SECONDS
    assert read() == "x"


def test_refused_reads_look_at_most_once_a_second(world, tmp_path):
    """A service that reads a lot under a suspended key does not run the vault's command each time."""
    world.environ |= {"ENCRYPTION_KEY_COMMAND": f"echo {A}", "ENCRYPTION_SUSPENDED_KEYS": C}
    cell = Keyring(C).encrypt("x")

    for seconds, reads in ((0, 2), (0, 2), (0.9, 2), (0.1, 3)):
        world.seconds += seconds
        with pytest.raises(SuspendedKey):
            world.keyring.opening(lambda ring: ring.decrypt(cell))
        assert len(world.reads) == reads


def test_a_keyring_of_before_is_renewed_without_reading(world, key_file):
    """A caller with an older keyring gets the current one, without another read."""
    older = world.keyring()
    put(key_file, B)
    newer = world.after(EVERY)
    reads = len(world.reads)

    assert world.keyring.renew(older) is newer
    assert world.keyring.renew(older) is newer
    assert len(world.reads) == reads


def test_opening_reads_again_for_a_token_of_an_unknown_key(world, key_file):
    """Another process wrote under a new key: the action is done again, with the keyring that has it."""
    rings: list[Keyring] = []
    world.keyring()
    put(key_file, B)
    cell = Keyring(B).encrypt("written by another process")

    def action(ring: Keyring) -> str:
        rings.append(ring)
        return ring.decrypt(cell)

    assert world.keyring.opening(action) == "written by another process"
    assert world.keyring.opening(action) == "written by another process"
    assert [ring.primary.id for ring in rings] == [ID["a"], ID["b"], ID["b"]]


def test_opening_raises_what_the_newest_keyring_raises(world, key_file):
    """If that does not open it either, its error names the keys tried last, and is chained to no other error."""
    world.keyring()
    put(key_file, B)

    with pytest.raises(UndecryptableToken, match=ID["b"]) as caught:
        world.keyring.opening(lambda ring: ring.decrypt(Keyring(C).encrypt("x")))

    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("cell", "error"),
    [("no token", MalformedToken), (damaged_token("a"), DamagedToken), (Keyring(C).encrypt("x"), UndecryptableToken)],
    ids=["malformed", "damaged", "unknown key"],
)
def test_opening_tries_again_only_with_other_keys(world, key_file, cell, error):
    """A token that no newer key can open, or for which there is none, is tried once."""
    rings: list[Keyring] = []
    world.keyring()
    if error is not UndecryptableToken:
        put(key_file, B)

    def action(ring: Keyring) -> str:
        rings.append(ring)
        return ring.decrypt(cell)

    with pytest.raises(error) as caught:
        world.keyring.opening(action)

    assert type(caught.value) is error
    assert [ring.primary.id for ring in rings] == [ID["a"]]


# What it keeps when something is wrong


def broken(path: Path) -> None:
    put(path, B[:30])


def emptied(path: Path) -> None:
    put(path, "")


def vanished(path: Path) -> None:
    path.unlink()


def turned_into_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def turned_into_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def given_two_keys(path: Path) -> None:
    put(path, f"{B}\n{C}\n")


FAULTS = [broken, emptied, vanished, turned_into_a_folder, turned_into_a_fifo, given_two_keys]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_keeps_the_old_keyring(world, key_file, log, fault):
    """C03: a half-written, empty, missing or wrong file changes nothing but the status, and needs no restart."""
    ring = world.keyring()
    fault(key_file)

    for _ in range(3):
        assert world.after(EVERY) is ring

    (entry,) = log.entries
    assert (entry["event"], entry["primary"]) == ("keyring.reload.failed", ID["a"])
    assert entry["error"] == world.keyring.status()["error"]
    assert entry["error"].startswith(f"ENCRYPTION_KEY_FILE ({key_file}): ")
    assert not leaks(json.dumps([entry, world.keyring.status()], default=str), B)

    _remove(key_file)
    put(key_file, B)
    assert world.after(EVERY).primary.id == ID["b"]
    assert world.keyring.status()["error"] is None


def _remove(path: Path) -> None:
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def printing(program: str) -> str:
    return shlex.join([sys.executable, "-S", "-c", program])


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (printing("import sys; print(1); sys.exit('denied')"), "failed with exit code 1 and said: denied"),
        (printing("import time; time.sleep(60)"), "no answer within 0.3 seconds"),
        (printing(f"print({B!r}); print({C!r})"), "several keys"),
        (printing("pass"), "printed nothing"),
        ("/no/such/program", "could not be started"),
    ],
    ids=["fails", "hangs", "prints two keys", "prints nothing", "is missing"],
)
def test_a_command_that_gives_no_key_keeps_the_old_keyring(world, log, monkeypatch, command, words):
    """Whatever a vault does, the service goes on with the keys that it has, and its health endpoint says why."""
    monkeypatch.setattr(reload, "AGAIN_SECONDS", 0.3)
    world.environ["ENCRYPTION_KEY_COMMAND"] = f"echo {A}"
    ring = world.keyring()
    world.environ["ENCRYPTION_KEY_COMMAND"] = command

    assert not world.keyring.reload()
    assert world.keyring() is ring

    status = world.keyring.status()
    assert words in status["error"]
    assert [entry["error"] for entry in log.entries] == [status["error"]]
    assert not leaks(status["error"], B)


def test_a_fault_is_logged_once_until_another_event(world, key_file, log):
    """One line a fault, not one a minute; the same fault after a success is news."""
    world.keyring()
    for fault in (broken, broken, emptied, broken, emptied):
        fault(key_file)
        world.after(EVERY)
    assert [entry["event"] for entry in log.entries] == ["keyring.reload.failed"] * 2

    put(key_file, A)
    world.after(EVERY)
    broken(key_file)
    world.after(EVERY)

    assert [entry["event"] for entry in log.entries] == ["keyring.reload.failed"] * 3


def test_the_memory_of_faults_is_bounded(world, log):
    """A command that complains differently each time fills the log, and no more than that."""
    world.environ["ENCRYPTION_KEY_COMMAND"] = f"echo {A}"
    world.keyring()

    for number in range(reload._DISTINCT_ERRORS * 2):
        world.environ["ENCRYPTION_KEY_COMMAND"] = f"cat /no/such/{number}"
        world.keyring.reload()

    assert len(log.entries) == reload._DISTINCT_ERRORS * 2
    assert len(world.keyring._logged) <= reload._DISTINCT_ERRORS


def test_a_foreign_error_shows_its_class_alone(world, log):
    """What another library puts into its message may be a secret."""
    world.environ["ENCRYPTION_KEY_COMMAND"] = f"echo {A}"
    ring = world.keyring()

    def fail() -> None:
        raise RuntimeError(B)

    world.meanwhile = fail

    assert world.after(EVERY) is ring
    assert world.keyring.status()["error"] == "reading the keys failed with RuntimeError"
    assert not leaks(str(log.entries), B)


@pytest.mark.filterwarnings("error")
def test_a_warning_that_is_an_error_keeps_the_old_keyring(world, key_file):
    """If warnings are errors, a file that all users can read is refused, and the service goes on."""
    ring = world.keyring()
    put(key_file, B).chmod(0o644)

    assert world.after(EVERY) is ring
    assert "every user can read it" in world.keyring.status()["error"]


def test_a_first_keyring_that_fails_is_an_error(world, key_file):
    """Without keys the first call fails; once the file is fixed, the same process starts."""
    broken(key_file)
    for call in (world.keyring, world.keyring.reload):
        with pytest.raises(KeyConfigError, match="30 characters"):
            call()
    put(key_file, B)

    assert world.keyring().primary.id == ID["b"]


# On request


def test_a_reload_says_whether_it_worked(world, key_file):
    """True puts what the files hold into force, False keeps what was; both at once."""
    world.keyring()
    put(key_file, B)
    assert world.keyring.reload() is True
    assert world.keyring().primary.id == ID["b"]

    broken(key_file)
    assert world.keyring.reload() is False
    assert world.keyring().primary.id == ID["b"]


def test_the_first_reload_loads(world, key_file):
    """A process that asks for a reload before it has used a key gets its keyring."""
    assert world.keyring.reload() is True
    assert world.keyring().primary.id == ID["a"]


def test_a_swap_is_logged_by_ids(world, key_file, log):
    """One line says which keys a process uses from now on."""
    world.keyring()
    put(key_file, B)
    world.after(EVERY)

    assert log.entries == [
        {"event": "keyring.reloaded", "log_level": "info", "primary": ID["b"], "states": {ID["b"]: "primary"}}
    ]


def test_the_same_keys_in_another_file_are_no_swap(world, key_file, log):
    """A comment, another spelling, a new date: the keyring stays the same object, and nothing is logged."""
    ring = world.keyring()
    put(key_file, f"# looked after in March\n{A}\n")

    assert world.after(EVERY) is ring
    assert log.entries == []
    assert world.reads == [COMMAND_SECONDS, AGAIN_SECONDS]


def test_a_signal_may_reload_while_the_same_thread_reads(world, key_file):
    """A handler for SIGHUP comes at any moment, also within a read; nothing waits for itself."""
    world.keyring()

    def interrupt() -> None:
        world.meanwhile = lambda: None
        os.kill(os.getpid(), signal.SIGHUP)

    world.meanwhile = interrupt
    before = signal.signal(signal.SIGHUP, lambda *_: world.keyring.reload())
    put(key_file, B)
    try:
        assert world.after(EVERY).primary.id == ID["b"]
    finally:
        signal.signal(signal.SIGHUP, before)


# Its status

NO_READS = {"opened": 0, "last_opened": None, "refused": 0, "last_refused": None}


def test_the_status_is_made_for_a_health_endpoint(world, key_file):
    """Ids, states, sources and times, as plain JSON; no key."""
    world.environ |= {"ENCRYPTION_PREVIOUS_KEYS": C, "ENCRYPTION_STAGED_KEY_COMMAND": f"echo {B}"}
    world.keyring()
    world.seconds += EVERY
    for key in world.keyring().states:
        # Other tests have read with the same keys.
        counter_of(key.id).reset()

    status = world.keyring.status()

    assert json.loads(json.dumps(status)) == {
        "primary": ID["a"],
        "keys": [
            {"id": ID["a"], "state": "primary"} | NO_READS,
            {"id": ID["c"], "state": "previous"} | NO_READS,
            {"id": ID["b"], "state": "staged"} | NO_READS,
        ],
        "sources": {
            "ENCRYPTION_KEY": "file",
            "ENCRYPTION_STAGED_KEY": "command",
            "ENCRYPTION_PREVIOUS_KEYS": "variable",
        },
        "reload_seconds": EVERY,
        "loaded": "2026-03-01T12:00:00+00:00",
        "checked": "2026-03-01T12:01:00+00:00",
        "error": None,
    }
    assert not leaks(json.dumps(status), A)


def test_the_status_follows_the_files(world, key_file):
    """A service without requests learns of new keys through its health endpoint, with the time since when."""
    world.keyring()
    put(key_file, B)
    world.seconds += EVERY

    assert [world.keyring.status()[name] for name in ("primary", "loaded")] == [ID["b"], "2026-03-01T12:01:00+00:00"]

    broken(key_file)
    world.seconds += EVERY
    status = world.keyring.status()
    assert [status[name] for name in ("primary", "loaded", "checked")] == [ID["b"], *["2026-03-01T12:01:00+00:00"] * 2]
    assert "30 characters" in status["error"]


def test_the_status_of_a_process_without_keys(world):
    """A health endpoint says what is missing and does not fail itself."""
    status = world.keyring.status()

    assert (status["primary"], status["keys"], status["sources"], status["loaded"]) == (None, [], {}, None)
    assert status["error"].startswith("ENCRYPTION_KEY: not set")


def test_the_process_has_one_status(monkeypatch):
    """keyring_status and reload_keyring are those of get_keyring."""
    monkeypatch.setenv("ENCRYPTION_KEY", A)
    config.get_keyring.reset()
    try:
        assert reload_keyring()
        assert keyring_status()["primary"] == ID["a"] == config.get_keyring().primary.id
    finally:
        config.get_keyring.reset()


# Kubernetes


class Mount:
    """A secret volume as the kubelet writes it: ..data leads to a dated folder, each file through ..data."""

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        self.folder, self.number = folder, 0
        folder.mkdir()
        self.swap(files)
        for name in files:
            (folder / name).symlink_to(f"..data/{name}")

    def swap(self, files: dict[str, str]) -> None:
        """Puts other contents into place by one rename, and removes the former folder."""
        self.number += 1
        new, old = self.folder / f"..{self.number}", self.folder / f"..{self.number - 1}"
        new.mkdir()
        for name, text in files.items():
            put(new / name, text)
        (self.folder / "..data_tmp").symlink_to(new.name)
        (self.folder / "..data_tmp").rename(self.folder / "..data")
        if old.exists():
            for file in old.iterdir():
                file.unlink()
            old.rmdir()


NAMES = {
    "key": "ENCRYPTION_KEY_FILE",
    "previous": "ENCRYPTION_PREVIOUS_KEYS_FILE",
    "staged": "ENCRYPTION_STAGED_KEY_FILE",
}


def secret(primary: str, previous: str, staged: str) -> dict[str, str]:
    return {"key": primary, "previous": previous, "staged": staged}


def test_a_swapped_symlink_is_a_change(world, tmp_path):
    """The file's own name never changes in a secret volume; what it leads to does."""
    mount = Mount(tmp_path / "keys", secret(A, "", B))
    world.environ |= {variable: str(tmp_path / "keys" / name) for name, variable in NAMES.items()}
    assert [key.id for key in world.keyring().states] == [ID["a"], ID["b"]]

    mount.swap(secret(B, A, ""))

    assert {key.id: str(state) for key, state in world.after(EVERY).states.items()} == {
        ID["b"]: "primary",
        ID["a"]: "previous",
    }


# Threads and forks


def test_swaps_under_threads_fail_nobody(monkeypatch, tmp_path, *, long_form):
    """Threads encrypt and decrypt while keys are staged, promoted and retired; every token opens at once."""
    rounds = 50 if long_form else 15
    keys = [key_text(f"swap {number}") for number in range(rounds + 2)]
    mount = Mount(tmp_path / "keys", secret(keys[0], "", keys[1]))
    monkeypatch.setattr(
        config.os,
        "environ",
        {variable: str(tmp_path / "keys" / name) for name, variable in NAMES.items()}
        | {"ENCRYPTION_RELOAD_SECONDS": "0.001", "PATH": os.environ["PATH"]},
    )
    keyring, stop = Reloader(config._load), threading.Event()

    def work(_: int) -> int:
        done = 0
        # A breath between two calls: threads that never wait leave the one that swaps hardly a turn.
        while not stop.wait(0.0002):
            token = keyring().encrypt("sk-live-4f9c")
            assert keyring().decrypt(token) == "sk-live-4f9c"
            done += 1
        return done

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(work, number) for number in range(4)]
        for at in range(rounds):
            # A thread may sleep between encrypting and decrypting: keys stay for some swaps.
            older = "\n".join(keys[max(0, at - 10) : at])
            for files in (
                secret(keys[at], older, keys[at + 1]),
                secret(keys[at + 1], f"{keys[at]}\n{older}", ""),
                secret(keys[at + 1], f"# newest first\n{keys[at]}\n{older}", ""),
                secret(keys[at + 1], f"{keys[at]}\n{older}", keys[at + 2]),
            ):
                mount.swap(files)
                until(lambda files=files: keyring().primary == Key.parse(files["key"]), "the new keys")
        stop.set()
        done = [worker.result() for worker in workers]

    assert mount.number == 4 * rounds + 1
    assert min(done) > 0
    assert keyring.status()["error"] is None


@contextmanager
def a_read_that_waits(world: Any, begin: Callable[[], object]) -> Iterator[Future[Any]]:
    """While it is open, what *begin* began in another thread is in the middle of reading; then it goes on."""
    reading, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        reading.set()
        assert go_on.wait(300)

    world.meanwhile = wait
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(begin)
        try:
            assert reading.wait(300)
            yield reader
        finally:
            go_on.set()


def test_one_thread_reads_while_the_others_go_on(world, key_file):
    """A vault that takes its time holds up one call; the rest get the present keyring at once."""
    ring = world.keyring()
    put(key_file, B)
    world.seconds += EVERY
    with a_read_that_waits(world, world.keyring) as reader:
        assert [world.keyring() for _ in range(3)] == [ring] * 3

    assert reader.result().primary.id == ID["b"]
    assert world.reads == [COMMAND_SECONDS, AGAIN_SECONDS]


def test_an_unknown_token_waits_for_a_read_no_longer_than_a_second(world, key_file):
    """A token that nobody can open is refused soon, also while a vault lets another thread wait."""
    ring = world.keyring()
    put(key_file, B)
    with ThreadPoolExecutor(1) as pool, a_read_that_waits(world, world.keyring.reload) as reader:
        assert pool.submit(world.keyring.renew, ring).result(timeout=600) is None

    assert reader.result()
    assert world.keyring.renew(ring).primary.id == ID["b"]


def test_reading_may_ask_for_the_keyring(world, key_file):
    """What reading logs, or warns of, may itself be encrypted: with the keys in force, and without a second read."""
    ring = world.keyring()
    asked = []
    world.meanwhile = lambda: asked.append(world.keyring())
    put(key_file, B)

    assert world.after(EVERY).primary.id == ID["b"]
    assert asked == [ring]


def test_the_first_keyring_is_loaded_once_under_threads(world, key_file):
    """Sixteen threads that ask at once share one keyring, read once."""
    barrier = threading.Barrier(16)

    def ask(_: int) -> Keyring:
        barrier.wait()
        return world.keyring()

    with ThreadPoolExecutor(16) as pool:
        rings = list(pool.map(ask, range(16)))

    assert {id(ring) for ring in rings} == {id(world.keyring())}
    assert len(world.reads) == 1


def test_threads_that_wait_for_a_first_load_do_not_repeat_it(world):
    """If it fails, all of them get its failure; a later call tries again."""
    world.environ["ENCRYPTION_KEY"] = "no key"

    def waiting() -> int:
        """How many threads are in the first load and wait for its lock."""
        frames = [frame for frame in sys._current_frames().values() if frame.f_code.co_name == "_first"]
        return sum(frame.f_lineno > frame.f_code.co_firstlineno + 1 for frame in frames)

    def meanwhile() -> None:
        if len(world.reads) == 1:
            until(lambda: waiting() == 15, "the other threads")

    world.meanwhile = meanwhile

    def ask(_: int) -> str:
        with pytest.raises(KeyConfigError) as caught:
            world.keyring()
        return str(caught.value)

    with ThreadPoolExecutor(16) as pool:
        messages = set(pool.map(ask, range(16)))

    assert len(messages) == 1
    assert len(world.reads) == 1


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_follows_its_files_too(world, key_file):
    """A child that is forked while another thread reads is not left with a lock that nobody gives back."""
    world.keyring()
    put(key_file, B)
    world.seconds += EVERY

    def in_child() -> bool:
        world.meanwhile = lambda: None
        return world.keyring.reload() and world.after(EVERY).primary.id == ID["b"]

    with a_read_that_waits(world, world.keyring) as reader:
        assert in_a_fork(in_child)

    assert reader.result().primary.id == ID["b"]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_can_load_keys_while_its_parent_does():
    """The lock under which keys are made known to redactors is free in a child, whichever thread held it."""
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with loaded_keys.writing:
            held.set()
            go_on.wait(0.2)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(hold)
        assert held.wait(300)
        assert in_a_fork(lambda: Key.generate().id != "")
        go_on.set()
