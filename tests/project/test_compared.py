"""docs/explanation/compared.md: what it says of a loop over MultiFernet.rotate, and of a run beside it, is so."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from rotation.cli.main import main
from tests.keys import key_text
from tests.project.documents import ROOT, page_blocks

[LOOP] = list(page_blocks((ROOT / "docs" / "explanation" / "compared.md").read_text()))
OLD, NEW = Fernet(key_text("old")), Fernet(key_text("new"))


class Database(sqlite3.Connection):
    """A connection beside which a service writes row 2 once, right before the loop does."""

    service: sqlite3.Connection | None = None

    def execute(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:  # type: ignore[override]
        """Runs *statement*, after the service."""
        if statement.startswith("UPDATE") and values[-1:] == (2,) and self.service:
            self.service.execute("UPDATE user_credentials SET api_key = ? WHERE id = 2", (_token(NEW, "changed"),))
        return super().execute(statement, values)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Three rows under the old key, and no transaction but what a statement needs."""
    with closing(sqlite3.connect(tmp_path / "app.db", factory=Database, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE user_credentials (id INTEGER PRIMARY KEY, api_key TEXT, other TEXT)")
        rows = [(number, _token(OLD, f"secret {number}"), _token(OLD, "other")) for number in (1, 2, 3)]
        connection.executemany("INSERT INTO user_credentials VALUES (?, ?, ?)", rows)
        yield connection


def _token(fernet: Fernet, text: str) -> str:
    return fernet.encrypt(text.encode()).decode()


def _loop(database: Database) -> None:
    exec(compile(LOOP.text, "compared.md", "exec"), {"connection": database, "fernet": MultiFernet([NEW, OLD])})


def _column(database: Database, name: str = "api_key") -> list[str]:
    return [cell for (cell,) in database.execute(f"SELECT {name} FROM user_credentials ORDER BY id")]


def test_the_loop_rotates_what_it_names(database: Database) -> None:
    """Its column opens with stock Fernet under the new key; a column that nobody named stays under the old one."""
    _loop(database)

    assert [NEW.decrypt(token) for token in _column(database)] == [b"secret 1", b"secret 2", b"secret 3"]
    assert {OLD.decrypt(token) for token in _column(database, "other")} == {b"other"}


def test_the_loop_loses_what_a_service_writes_meanwhile(database: Database, tmp_path: Path) -> None:
    """The older value is written over the service's."""
    with closing(sqlite3.connect(tmp_path / "app.db", isolation_level=None)) as database.service:
        _loop(database)

    assert NEW.decrypt(_column(database)[1]) == b"secret 2"


def test_the_loop_ends_at_a_cell_that_no_key_opens(database: Database) -> None:
    """The rows after it stay under the old key."""
    database.execute("UPDATE user_credentials SET api_key = 'gAAAAA-broken' WHERE id = 2")

    with pytest.raises(InvalidToken):
        _loop(database)

    assert OLD.decrypt(_column(database)[2]) == b"secret 3"


def test_the_loop_encrypts_again_what_is_current(database: Database) -> None:
    """A second loop replaces every token."""
    _loop(database)
    once = _column(database)

    _loop(database)

    assert not set(once) & set(_column(database))


def test_a_run_goes_on_at_a_cell_that_no_key_opens_and_skips_what_is_current(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run rotates the rows before and after it, and the second run nothing."""
    monkeypatch.chdir(tmp_path)
    database.execute("UPDATE user_credentials SET api_key = substr(api_key, 1, 64) WHERE id = 2")

    first, second = _run(), _run()

    assert (first["rotated"], second["rotated"]) == (2, 0)
    assert first["unreadable"] == second["unreadable"] == 1


def _run() -> dict[str, int]:
    out, keys = io.StringIO(), {"ENCRYPTION_KEY": key_text("new"), "ENCRYPTION_PREVIOUS_KEYS": key_text("old")}
    target = ["--url", "sqlite:///app.db", "--table", "user_credentials", "--column", "api_key"]
    main(["run", *target, "--json"], keys, out, io.StringIO())
    [done] = json.loads(out.getvalue())["targets"]
    return {name: done[name] for name in ("rotated", "unreadable")}
