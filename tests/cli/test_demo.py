"""The demo, as a newcomer runs it, and the folder to practise on."""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from keyring_core import Key
from rotation.cli import demo
from tests.conftest import Cli
from tests.keys import key_text
from tests.warm.client import programs, run

pytestmark = pytest.mark.database

ROOT = Path(__file__).parents[2]
BROKEN = (
    (812, "truncated"),
    (4077, "bytes-repr"),
    (9001, "glued"),
    (12345, "unknown-key"),
    (17017, "unknown-key"),
    (19998, "plaintext"),
)


@pytest.fixture
def two_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo has a sound and a broken row in place of 20,000, for what does not hang on its rows."""

    def make(path: Path, oldest: Key, older: Key) -> Mapping[int, bytes]:
        with closing(sqlite3.connect(path.absolute())) as connection, connection:
            connection.execute("CREATE TABLE user_credentials (id INTEGER PRIMARY KEY, api_key TEXT)")
            rows = [(1, oldest.fernet.encrypt(b"sound").decode()), (2, older.fernet.encrypt(b"").decode()[:64])]
            connection.executemany("INSERT INTO user_credentials VALUES (?, ?)", rows)
        return {1: b"sound"}

    monkeypatch.setattr(demo, "_make_database", make)


def test_the_demo_rotates_and_proves_it_with_stock_fernet() -> None:
    """The demo exits 0 after it has shown the steps as they are typed, the broken rows and the proof."""
    ran = run([sys.executable, ROOT / "scripts/rotate.py", "demo"])
    typed = re.findall(r"^\$ .*rotate\.py (.*)$", ran.stdout, re.MULTILINE)

    assert ran.returncode == 0
    assert typed == ["status", "keys stage", "keys promote", "run", "status"]
    assert "Rotated 19,994 tokens." in ran.stdout
    assert "19,994 of 19,994 sound tokens" in ran.stdout
    for row, category in BROKEN:
        assert f"user_credentials.api_key, id={row}: {category}" in ran.stdout
    assert len(ran.stdout.splitlines()) <= 70
    assert "demo --keep practice" in ran.stdout
    assert "REDACTED" not in ran.stdout + ran.stderr


@pytest.mark.usefixtures("two_rows")
def test_a_quiet_demo_prints_no_next_steps(cli: Cli) -> None:
    """Neither its own nor those of the commands that it types."""
    shown = cli("demo", "-q")

    assert shown.code == 0
    assert "6. Proof: " in shown.out
    assert not re.search(r"Next:|When all have it|--keep", shown.out)


def test_a_quiet_demo_names_the_folder_to_practise_on_alone(cli: Cli, tmp_path: Path) -> None:
    """It is one line."""
    made = cli("demo", "--keep", str(tmp_path / "practice"), "-q")

    assert made.code == 0
    assert made.out.startswith("Written: ")
    assert len(made.out.splitlines()) == 1


@pytest.mark.usefixtures("two_rows")
def test_the_demo_is_by_itself(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, rotation.toml and ledger of the environment are not for it; its folder is gone when it ends."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    here = Path.cwd()
    ledger = tmp_path / "ledger.db"
    environ = {
        "ENCRYPTION_KEY": key_text("production"),
        "ENCRYPTION_STAGED_KEY": key_text("next"),
        "ROTATION_CONFIG": "/nowhere/rotation.toml",
        "ROTATION_LEDGER_URL": f"sqlite:///{ledger}",
    }

    ran = cli("demo", "--json", environ=environ)

    assert ran.document == {"complete": True}
    assert list(tmp_path.iterdir()) == []
    assert Path.cwd() == here


@pytest.mark.long
def test_the_folder_to_practise_on_can_be_rotated_as_it_says(tmp_path: Path) -> None:
    """Each command that --keep prints, pasted into a shell, leads to the next, up to a check that finds nothing."""
    environ = {"PATH": f"{programs()}:{os.environ['PATH']}"}
    printed = _shell("keyring-rotate demo --keep 'file:my practice'", tmp_path, environ).stdout
    steps = [step.partition("\n")[2].strip() for step in printed.split("\n# ")[1:]]
    folder = tmp_path / shlex.split(steps[0])[1]
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600

    ran = [_shell(step, folder, environ) for step in steps[1:]]

    assert [each.returncode for each in ran] == [1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0], printed
    # The first run leaves the broken rows, the second none.
    assert "Not complete: 5 unreadable, 1 plaintext" in ran[4].stdout
    assert "Complete: every token" in ran[8].stdout
    assert ran[-1].stdout.startswith("OK")
    assert "ENCRYPTION_PREVIOUS_KEYS=\n" in (folder / ".env").read_text()
    assert len([line for line in (folder / "retired.keys").read_text().splitlines() if "#" not in line[:1]]) == 2


def test_a_folder_with_something_in_it_stays_as_it_is(cli: Cli, tmp_path: Path) -> None:
    """Exit code 2, and nothing is added; so it is with a file."""
    (tmp_path / "mine").write_text("mine")

    for taken in (tmp_path, tmp_path / "mine", tmp_path / "no" / "parent"):
        ran = cli("demo", "--keep", str(taken))

        assert (ran.code, ran.out) == (2, "")
        assert f"--keep {taken}: " in ran.err
        assert "nothing was changed" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_empty_folder_is_filled(cli: Cli, tmp_path: Path) -> None:
    """With --json the steps are data, each with its command."""
    document = cli("demo", "--keep", str(tmp_path), "--json").document

    assert document["complete"]
    assert {Path(path).name for path in document["files"]} == {"app.db", ".env", "rotation.toml"}
    assert {Path(path) for path in document["files"]} == set(tmp_path.iterdir())
    assert all(step["do"] and step["run"] for step in document["steps"])


def _shell(command: str, folder: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=60
    )
