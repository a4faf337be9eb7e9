"""`discover` beside files of every kind, through the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.databases import Database, open_database
from tests.stores.tokens import make_token, make_tokens

pytestmark = pytest.mark.database


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database in an empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    with open_database("sqlite", tmp_path) as database:
        yield database


def test_a_policy_alone_is_no_target(cli: Cli, app: Database) -> None:
    """With --url it searches that database; without it there is none to search, and that is an error."""
    app.make_creds(make_tokens(2))
    Path("rotation.toml").write_text('[policy]\nmax_key_age = "90d"\n')

    ran, without = cli("discover", "--json", "--url", app.url), cli("discover")

    assert ran.code == 1, ran.err
    assert [column["covered"] for column in ran.document["columns"]] == [False]
    assert (without.code, "names no target" in without.err) == (2, True)


def test_a_broken_file_is_still_an_error(cli: Cli, app: Database) -> None:
    """A setting that does not exist is refused, also beside --url."""
    Path("rotation.toml").write_text("[polcy]\n")

    assert cli("discover", "--url", app.url).code == 2


def test_a_note_names_its_column_once(cli: Cli, app: Database) -> None:
    """In remarks on targets and in the reason why a column cannot be a target."""
    app.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT, copy TEXT AS (token), again TEXT AS (token))")
    app.execute("INSERT INTO creds (id, token) VALUES (1, :token)", token=make_token("one"))
    entry = f'[[target]]\nurl = "{app.url}"\ntable = "creds"\ncolumns = ["token", "copy"]\n'
    Path("rotation.toml").write_text(entry)

    ran = cli("discover")

    assert "Note: creds.copy: a generated column; name the column it is made from\n" in ran.out
    assert "creds.again: a copy of creds.token\n" in ran.out


def test_without_any_key_a_note_says_what_to_set(cli: Cli, tmp_path: Path) -> None:
    """An admin who has only a passphrase learns that the search takes it."""
    with open_database("sqlite", tmp_path) as database:
        database.make_creds(make_tokens(2))
        found = cli("discover", "--url", database.url, environ={})

    assert found.code == 1
    assert "no key is set" in found.err
    assert "With the application's key or passphrase in ENCRYPTION_KEY" in found.err
