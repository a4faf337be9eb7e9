"""The program in docs/how-to/rotate-from-a-program.md does what the page says."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from importlib import import_module
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.conftest import Named
from tests.keys import key_text
from tests.project.documents import ROOT, toml

pytestmark = pytest.mark.database

PAGE = (ROOT / "docs" / "how-to" / "rotate-from-a-program.md").read_text()


def test_the_program_rotates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It stages, promotes, re-encrypts, retires and checks, on the targets of the page."""
    monkeypatch.chdir(tmp_path)
    Path(".env").touch(0o600)
    Path(".env").write_text(f"ENCRYPTION_KEY={key_text('old')}\n")
    Path("rotation.toml").write_text(toml(PAGE))
    stock = Fernet(key_text("old"))
    rows = [(row, stock.encrypt(b"sk-live-4242").decode(), None) for row in range(1, 101)]
    with closing(sqlite3.connect("app.db")) as connection, connection:
        connection.execute("CREATE TABLE user_credentials (id INTEGER PRIMARY KEY, api_key TEXT, refresh_token TEXT)")
        connection.executemany("INSERT INTO user_credentials VALUES (?, ?, ?)", rows)
    program, *_ = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

    exec(compile(program, "library.md", "exec"), {})

    assert capsys.readouterr().out == "OK []\n"
    assert key_text("old") in Path("retired.keys").read_text()
    assert key_text("old") not in Path(".env").read_text()
    with closing(sqlite3.connect("app.db")) as connection:
        [(token,)] = connection.execute("SELECT api_key FROM user_credentials WHERE id = 1")
    new = re.search(r"^ENCRYPTION_KEY=(.*)$", Path(".env").read_text(), re.MULTILINE)
    assert new
    assert Fernet(new[1]).decrypt(token) == b"sk-live-4242"


def test_every_name_of_the_page_exists(named: Named) -> None:
    """What the page calls a contract can be imported."""
    for name in re.findall(r"`(rotation\.\w+\.\w+(?:\.\w+)?)[(`]", PAGE):
        with named(name):
            module, _, attribute = name.rpartition(".")

            assert hasattr(import_module(module), attribute) or import_module(name), name
