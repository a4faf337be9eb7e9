"""A step whose process is killed between the keys and the ledger: the same command ends it, and nobody is accused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.keys import key_text
from tests.lifecycle.shop import NEW, OLD, OLDER, Shop, old_token
from tests.processes import ROOT

pytestmark = [pytest.mark.database, pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning")]

ARCHIVE = "older.keys"
RETIRE = ("retire", OLDER.id, "--archive", ARCHIVE)


@pytest.fixture
def ready(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Every token is under the primary key; OLDER is a previous key."""
    monkeypatch.chdir(shop.folder)
    shop.fill([old_token("old")])
    assert shop.rotate("run").code == 0
    return shop


def kill(shop: Shop, *step: str) -> None:
    """Types the step in a process that is killed when its files are written."""
    options = ["--config", str(shop.config), "--env-file", str(shop.env_file)]
    command = [sys.executable, "-W", "ignore", "-m", "tests.faults.dying_marks", "keys", *step, *options]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, check=False, env=environ, cwd=shop.folder, capture_output=True, text=True)
    assert done.returncode == -9, done


WRITER = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("PRAGMA cache_size = 1")
database.execute("CREATE TABLE left_over (x)")
database.executemany("INSERT INTO left_over VALUES (zeroblob(5000))", [()] * 200)
os.kill(os.getpid(), 9)
"""
"""Dies in a transaction of which a part is in the file; SQLite has to roll it back before anybody can read."""


def test_a_ledger_whose_writer_was_killed_is_verified(ready: Shop) -> None:
    """At once, and not after the next command that may write; a url that forbids writing says what is the matter."""
    ledger = ready.folder / "rotation-ledger.db"
    subprocess.run([sys.executable, "-c", WRITER, str(ledger)], check=False)
    read_only = {"ROTATION_LEDGER_URL": f"sqlite:///{ledger}?mode=ro", "ENCRYPTION_KEY": key_text("old")}
    forbidden = ready.rotate("ledger", "verify", environ=read_only)

    assert (forbidden.code, "a program was killed while it wrote to the file" in forbidden.err) == (3, True), forbidden
    assert events(ready, OLD.id)


def events(shop: Shop, key_id: str) -> list[str]:
    """The events of a key, in order; nothing else differs in the ledger."""
    ran = shop.rotate("ledger", "verify", "--json")
    assert (ran.code, ran.document["differences"]) == (0, []), ran
    return [event["event"] for event in ran.document["events"] if event["key_id"] == key_id]


@pytest.mark.some(1)
@pytest.mark.parametrize("forced", [False, True])
def test_a_retirement_is_finished_by_the_same_command(ready: Shop, *, forced: bool) -> None:
    """Everything that looks at the ledger names that command; what it records is known as found, also if forced."""
    if forced:
        ready.database.insert("creds", [{"id": 9, "token": old_token("older"), "note": ""}])
    step = (*RETIRE, *(["--force", OLDER.id] if forced else []))
    kill(ready, *step)
    assert ready.settings().previous == ()
    verified, checked, listed = ready.rotate("ledger", "verify"), ready.rotate("check"), ready.keys("list")

    again = f"keyring-rotate keys retire {OLDER.id} --archive {OLDER.id}.keys"
    assert verified.code == 1
    words = " ".join(verified.out.split())
    assert f"Most likely `keys retire {OLDER.id}` was cut short; otherwise events at the end were removed." in words
    assert f"1. finish it: {again}" in words
    assert f"WARNING previous_keys {OLDER.id} it is gone, and the ledger does not" in " ".join(checked.out.split())
    assert again in checked.out
    assert f"The retirement of {OLDER.id} was cut short; to record it:\nNext: {again}" in listed.out

    finished = ready.keys(*step)
    repeated = ready.keys(*step)

    assert (finished.code, finished.err) == (0, "")
    assert f"Retired {OLDER.id}: finished what was cut short; its certificate is of 20" in finished.out
    assert f"move {ready.folder / ARCHIVE}, which holds the key" in finished.out
    assert (repeated.code, f"{OLDER.id} was retired at" in repeated.err) == (2, True)
    assert events(ready, OLDER.id)[-2:] == ["certified", "retired"]
    assert key_text("older") in (ready.folder / ARCHIVE).read_text()
    with ready.ledger() as ledger:
        [forced_there] = [key.forced for key in ledger.keys() if key.id == OLDER.id]  # noqa: SIM118
    assert forced_there is forced
    assert "cut short" not in ready.rotate("check").out + ready.keys("list").out


@pytest.mark.long
def test_a_suspended_key_s_retirement_is_finished_too(ready: Shop) -> None:
    """`check` does not ask for the key back, which no other machine has."""
    ready.keys("suspend", OLDER.id)
    kill(ready, *RETIRE)
    checked = ready.rotate("check").out

    assert "the ledger has it as suspended" not in checked
    assert "which was cut short" in checked
    assert ready.keys(*RETIRE).code == 0
    assert events(ready, OLDER.id)[-1] == "retired"


@pytest.mark.costly("two retirements and a restored key")
def test_a_key_that_is_there_again_is_retired_as_any_other(ready: Shop) -> None:
    """Restored after a retirement that was cut short: it is counted again, and gets another certificate."""
    kill(ready, *RETIRE)
    restored = ready.keys("restore", OLDER.id, "--archive", ARCHIVE)

    assert restored.code == 0
    assert events(ready, OLDER.id)[-2:] == ["certified", "restored"]
    assert "cut short" not in ready.keys(*RETIRE).out
    assert events(ready, OLDER.id)[-2:] == ["certified", "retired"]


@pytest.mark.some(1)
@pytest.mark.parametrize(
    ("before", "step", "code", "last"),
    [
        ((), ("stage",), 2, None),
        ((), ("suspend", OLDER.id), 0, "found"),
        (("suspend", OLDER.id), ("resume", OLDER.id), 2, "found"),
        ((), ("promote", OLDER.id), 0, "promoted"),
        (RETIRE, ("restore", OLDER.id, "--archive", ARCHIVE), 0, "restored"),
    ],
    ids=lambda value: " ".join(value[:1]) if isinstance(value, tuple) else "",
)
def test_every_other_step_is_recorded_by_the_next_command(
    ready: Shop, before: tuple[str, ...], step: tuple[str, ...], code: int, last: str | None
) -> None:
    """As its own event, or as a key that was found in that state; typed again, the command says that it is done."""
    if before:
        assert ready.keys(*before).code == 0
    kill(ready, *step)
    keys = ready.settings()
    ran = ready.keys(*step)

    assert ran.code == code, ran
    assert ready.settings() == keys
    # Whatever was cut short, it keeps nobody from going on.
    assert ready.rotate("run").code == 0
    assert last is None or events(ready, OLDER.id)[-1] == last


def test_a_promotion_is_recorded_by_the_next_command(ready: Shop) -> None:
    """With the bounds of its time: nobody knows it better."""
    ready.write_env(f"{ready.env_file.read_text()}ENCRYPTION_STAGED_KEY={key_text('new')}\n")
    ready.keys("list")
    kill(ready, "promote")
    ran = ready.keys("promote")

    assert (ran.code, f"{NEW.id} is primary" in ran.err) == (2, True)
    assert ready.rotate("run").code == 0
    assert events(ready, NEW.id)[-1] == "found"
    assert ready.settings().previous == (OLD, OLDER)
    assert Path(ARCHIVE).exists() is False
