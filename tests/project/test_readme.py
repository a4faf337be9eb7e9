"""The README's rotation, typed as it stands there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from keyring_core import Key
from tests.keys import key_text, make_key
from tests.project.documents import ROOT, blocks, play, toml

pytestmark = pytest.mark.database

_, _, rest = (ROOT / "README.md").read_text().partition("\n## A rotation, from first to last\n")
ROTATION, _, _ = rest.partition("\n## Variables\n")
DATABASE = "app.db"


def test_the_rotation_prints_what_the_readme_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the staged key to the check that finds nothing, each command prints what the README says it does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Key, "generate", lambda: make_key("new"))
    names = {"cba5a815": make_key("new").id, "6587597c": make_key("old").id, "/srv/app": str(tmp_path.resolve())}
    Path(".env").touch(0o600)
    Path(".env").write_text(f"ENCRYPTION_KEY={key_text('old')}\n")
    Path("rotation.toml").write_text(toml(ROTATION))
    _make_database()

    shown = blocks(ROTATION)
    played = [play(block, names) for block in shown[:4]]
    _change("DELETE FROM user_credentials WHERE id = 812")
    played += [play(block, names) for block in shown[4:]]

    assert played == shown


def _make_database() -> None:
    stock = Fernet(key_text("old"))
    rows = [
        (row, stock.encrypt(b"sk-live-4242").decode(), stock.encrypt(b"1//0e").decode() if row % 3 else None)
        for row in range(1, 1201)
    ]
    _change("CREATE TABLE user_credentials (id INTEGER PRIMARY KEY, api_key TEXT, refresh_token TEXT)")
    with closing(sqlite3.connect(DATABASE)) as connection, connection:
        connection.executemany("INSERT INTO user_credentials VALUES (?, ?, ?)", rows)
    _change("UPDATE user_credentials SET api_key = substr(api_key, 1, 64) WHERE id = 812")


def _change(statement: str) -> None:
    with closing(sqlite3.connect(DATABASE)) as connection, connection:
        connection.execute(statement)
