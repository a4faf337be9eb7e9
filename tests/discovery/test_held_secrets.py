"""`discover` with a passphrase at hand finds the rule by itself, and derives nothing if keys open each column."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyring_core import Derivation, Keyring
from rotation.applications import secrets_at_hand
from tests.conftest import Cli
from tests.databases import KINDS, Database, open_database
from tests.keyring_core.test_errors import leaks
from tests.keys import key_text, make_key

pytestmark = pytest.mark.database

SECRET = "Tr0ub4dor&3 quux, a test secret"


def token(kind: str = "sha256", **more: object) -> str:
    return Derivation(kind, **more).key(SECRET).fernet.encrypt(b"x").decode()  # type: ignore[arg-type]


@pytest.fixture(params=KINDS)
def app(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database with one token under a key that is made of SECRET, and an empty folder as the current one."""
    monkeypatch.chdir(tmp_path)
    with open_database(request.param, tmp_path) as database:
        database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT, again TEXT)")
        database.insert("creds", [{"id": 1, "token": token(), "again": token()}])
        yield database


def test_a_passphrase_in_place_of_the_key_is_tried(cli: Cli, app: Database) -> None:
    """The key set and the targets are printed as entries, and with them every token opens."""
    environ = {"ENCRYPTION_KEY": SECRET, "URL": app.url}

    ran, shown = (cli("discover", "--url", "$URL", *more, environ=environ) for more in (["--json"], []))

    assert ran.code == 1, ran.err
    assert {found["rule"] for found in ran.document["derived"]} == {"sha256 of the secret"}
    assert {found["column"] for found in ran.document["derived"]} == {"creds.token", "creds.again"}
    assert "$ENCRYPTION_KEY is no Fernet key" in ran.err
    assert shown.out.count("[keys.creds]") == 1
    assert not leaks(shown.out + shown.err + ran.out, SECRET, "sha256 of the secret", " secret", "the secret")
    Path("rotation.toml").write_text(ran.document["targets"])
    assert tomllib.loads(ran.document["targets"])["target"][0]["keys"] == "creds"
    assert cli("status", environ=environ).code == 0
    assert cli("discover", environ=environ).code == 0


@pytest.mark.parametrize("app", ["sqlite"], indirect=True)
def test_what_has_to_be_taken_off_a_passphrase_is_said(cli: Cli, app: Database) -> None:
    """The entry makes the key only of the secret without it."""
    ran = cli("discover", "--url", app.url, environ={"ENCRYPTION_KEY": f'"{SECRET}"'})

    assert "sha256 of the secret; it fits without the quotes around it: set $ENCRYPTION_KEY so" in ran.out


@pytest.mark.long
@pytest.mark.parametrize("app", ["sqlite"], indirect=True)
def test_a_passphrase_that_fits_nowhere_is_named(cli: Cli, app: Database) -> None:
    """It is said that no known rule fits; the columns are listed all the same."""
    ran = cli("discover", "--url", app.url, "--json", environ={"ENCRYPTION_KEY": f"another {SECRET}"})

    assert (ran.code, ran.document["derived"]) == (1, [])
    assert "no known rule makes the key of these tokens of $ENCRYPTION_KEY" in ran.err
    assert len(ran.document["columns"]) == 2


@pytest.mark.parametrize("app", ["sqlite"], indirect=True)
@pytest.mark.parametrize("value", [key_text("damaged")[:-1] + "!", f'"{key_text("quoted")}"', "${KEY}", "changeme"])
def test_a_damaged_key_is_still_an_error(cli: Cli, app: Database, value: str) -> None:
    """A text that has to be fixed is not taken for a passphrase."""
    ran = cli("discover", "--url", app.url, environ={"ENCRYPTION_KEY": value})

    assert ran.code == 2
    assert "ENCRYPTION_KEY: " in ran.err


def test_the_secret_of_a_key_set_is_tried_if_its_rule_does_not_fit(cli: Cli, app: Database) -> None:
    """The right rule is named for the columns of its targets, and nothing is added."""
    keys = '[keys.app]\nprimary = { secret = "$S", derive = "text32-zeros" }\n'
    target = '[[target]]\nurl = "$URL"\ntable = "creds"\ncolumns = ["token", "again"]\nkeys = "app"\n'
    Path("rotation.toml").write_text(keys + target)

    ran, shown = (cli("discover", *more, environ={"S": SECRET, "URL": app.url}) for more in (["--json"], []))

    assert [found["rule"] for found in ran.document["derived"]] == ["sha256 of the secret"] * 2
    assert ran.document["targets"] == ""
    assert {column["keys"] for column in ran.document["columns"]} == {None}
    rule = 'primary = { secret = "$S", derive = "sha256" }'
    assert f"creds.token: its key set has another rule; write there: {rule}\n" in shown.out


@pytest.mark.parametrize("app", ["sqlite"], indirect=True)
def test_nothing_is_derived_as_long_as_keys_open_every_column(
    cli: Cli, app: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One token that a key opens is enough in a column, and an ignored column is left alone."""
    own = Keyring(make_key("own"))
    app.execute("UPDATE creds SET again = NULL")
    app.insert("creds", [{"id": 2, "token": own.encrypt("x"), "again": None}])
    Path("rotation.toml").write_text('[keys.app]\nprimary = { secret = "$S", derive = "hkdf-sha256", info = "i" }\n')
    asked: list[object] = []
    monkeypatch.setattr(secrets_at_hand, "trial_of", lambda *_: asked.append(1))

    ran = cli("discover", "--url", app.url, "--json", environ={"ENCRYPTION_KEY": key_text("own"), "S": SECRET})

    assert (ran.document["derived"], asked) == ([], [])


@pytest.mark.parametrize("app", ["sqlite"], indirect=True)
def test_a_table_without_a_key_ends_nothing(cli: Cli, app: Database) -> None:
    """Its cells cannot be read row by row; the other columns are tried all the same."""
    app.execute("CREATE TABLE apart (token TEXT)")
    app.insert("apart", [{"token": token()}])

    ran = cli("discover", "--url", app.url, "--json", environ={"ENCRYPTION_KEY": SECRET})

    assert {found["column"] for found in ran.document["derived"]} == {"creds.token", "creds.again"}
