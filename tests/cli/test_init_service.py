"""`init` for a service of your own, as a script types it: nothing is asked."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest
import sqlalchemy as sa
from dotenv import dotenv_values

from keyring_core import Key, Keyring
from rotation.cli import init_service
from rotation.configuration.config_file import read_config
from rotation.configuration.policy import Policy
from rotation.context import entries_of_apps
from tests.conftest import Cli
from tests.databases import Database, open_database
from tests.keys import key_text, make_key

pytestmark = pytest.mark.database

OLD, LOST = Keyring(make_key("old")), Keyring(make_key("lost"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with nothing in it."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def tokens(keyring: Keyring, number: int) -> list[str]:
    """Tokens with nothing else in them that could be a token."""
    return [keyring.encrypt(f"sk-live-{each}") for each in range(number)]


def test_a_service_without_tokens_gets_a_key_and_the_lines_that_use_it(cli: Cli, database: Database) -> None:
    """rotation.toml, a .env that only its owner can read, the lines for the service, and the command for later."""
    database.make_creds(["a password", None])

    ran = cli("init", "--url", "$DB", "--new-key", environ={"DB": database.url})

    assert ran.code == 0
    key = Key.parse(dotenv_values(".env")["ENCRYPTION_KEY"] or "")
    assert f".env holds a new key, {key.id}. Only you can read the file." in ran.out
    assert key.reveal() not in ran.out
    assert stat.S_IMODE(Path(".env").stat().st_mode) == 0o600
    assert "from keyring_core import get_encryption_service" in ran.out
    assert ran.out.endswith(" init --append --url '$DB'\n")
    assert tomllib.loads(Path("rotation.toml").read_text()) == {"env_file": ".env"}
    assert '# url = "$DB"' in Path("rotation.toml").read_text()


def test_a_new_key_gets_into_no_dotenv_file_beside_keys_in_files(cli: Cli) -> None:
    """It stays out of variables, as the other keys do; what to do instead is said, and nothing is written."""
    Path("app.db").touch()
    Path(".env").write_text("ENCRYPTION_PREVIOUS_KEYS_FILE=previous.keys\n")
    Path("previous.keys").write_text(key_text("old"))

    ran = cli("init", "--url", "sqlite:///app.db", "--new-key", environ={})

    assert ran.code == 2
    assert "name it in ENCRYPTION_KEY_FILE; for the key in it: keyring-rotate keys generate" in ran.err
    assert Path(".env").read_text() == "ENCRYPTION_PREVIOUS_KEYS_FILE=previous.keys\n"
    assert not Path("rotation.toml").exists()


def test_the_lines_for_a_service_do_what_they_say(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """They run as they stand, with the key that was made."""
    from keyring_core.config import get_keyring
    from keyring_core.encryption_service import get_encryption_service

    Path("app.db").touch()
    out = cli("init", "--url", "sqlite:///app.db", "--new-key", environ={}).out
    monkeypatch.setenv("ENCRYPTION_KEY", dotenv_values(".env")["ENCRYPTION_KEY"] or "")
    get_keyring.reset()
    get_encryption_service.reset()
    try:
        names: dict[str, str] = {}
        exec("\n".join(line[2:] for line in out.splitlines() if line.startswith("  ") and line[2] not in ".r*p"), names)
    finally:
        get_keyring.reset()
        get_encryption_service.reset()

    assert names["secret"] == "sk-live-4242"


def test_columns_with_tokens_become_targets(cli: Cli, database: Database) -> None:
    """Each below what was found in it; the next command counts their tokens."""
    database.make_creds([*tokens(OLD, 3), None, "no token"])
    Path(".env").write_text(f"ENCRYPTION_KEY={key_text('old')}\n")

    ran = cli("init", "--url", "$DB", environ={"DB": database.url})

    text = Path("rotation.toml").read_text()
    assert ran.code == 0, ran.err
    assert f"# creds.token: 3 cells with tokens in 5 rows: 3 under {make_key('old').id}\n[[target]]" in text
    assert tomllib.loads(text)["target"] == [{"url": "$DB", "table": "creds", "columns": ["token"]}]
    assert re.search(r"^Next: \S+ status$", ran.out, re.MULTILINE)
    counted = cli("status", "--json", environ={"DB": database.url})
    assert counted.document["targets"][0]["current"] == 3
    assert database.column()[5] == "no token"


def test_tokens_inside_text_get_their_format(cli: Cli, database: Database) -> None:
    """The entry names the format, and the comment how the cells hold their tokens."""
    database.make_creds([f'{{"token": "{token}"}}' for token in tokens(OLD, 2)])

    cli("init", "--url", "$DB", environ={"DB": database.url, "ENCRYPTION_KEY": key_text("old")})

    text = Path("rotation.toml").read_text()
    assert tomllib.loads(text)["target"][0]["format"] == "embedded"
    assert "; 2 token-in-text\n" in text
    # The key is in the environment, and no file is needed for it.
    assert "env_file" not in tomllib.loads(text)
    assert not Path(".env").exists()


def test_tokens_that_no_key_opens_need_a_look(cli: Cli, database: Database) -> None:
    """Exit code 1: it says which variable to fill in, and that a key may be made of a secret. The files are written."""
    database.make_creds(tokens(LOST, 2))

    ran = cli("init", "--url", "$DB", environ={"DB": database.url})

    assert ran.code == 1
    assert "No key here opens 2 tokens. Put the key that the service uses today into ENCRYPTION_KEY in .env." in ran.out
    assert "keys derive" in ran.out
    assert "2 under no key here" in Path("rotation.toml").read_text()
    assert stat.S_IMODE(Path(".env").stat().st_mode) == 0o600
    Path(".env").write_text(f"ENCRYPTION_KEY={key_text('lost')}\n")
    assert cli("status", environ={"DB": database.url}).code == 0


def test_a_new_file_waits_for_the_key(cli: Cli, database: Database) -> None:
    """A comment says what goes in, and the next steps, done as they stand, work."""
    database.make_creds(tokens(LOST, 2))

    ran = cli("init", "--url", "$DB", environ={"DB": database.url})

    assert "\n# ENCRYPTION_KEY=\n" in Path(".env").read_text()
    assert ran.out.endswith("Next:\n  1. fill in ENCRYPTION_KEY in .env\n  2. keyring-rotate status\n")
    Path(".env").write_text(Path(".env").read_text().replace("# ENCRYPTION_KEY=", f"ENCRYPTION_KEY={key_text('lost')}"))
    assert cli("status", environ={"DB": database.url}).code == 0


@pytest.mark.parametrize("append", [False, True], ids=["a new rotation.toml", "its own targets"])
def test_no_new_key_is_made_beside_tokens(cli: Cli, database: Database, append: bool) -> None:
    """Not even if one is asked for: the tokens need theirs, and the next one is to be staged."""
    database.make_creds(tokens(LOST, 2))
    if append:
        entry = '[[target]]\nurl = "$DB"\ntable = "creds"\ncolumns = ["token"]\n'
        Path("rotation.toml").write_text(f'env_file = ".env"\n{entry}')
        Path(".env").write_text("OTHER=1\n")
    options = ["--append"] if append else ["--url", "$DB"]

    ran = cli("init", "--new-key", *options, environ={"DB": database.url})

    assert ran.code == 1
    assert "No new key was made: 2 tokens are there under another key." in ran.out
    assert "ENCRYPTION_KEY in .env, this makes the next one: keyring-rotate keys stage" in ran.out
    assert "No key here opens 2 tokens. Put the key that the service uses today into ENCRYPTION_KEY in .env." in ran.out
    assert "ENCRYPTION_KEY" not in dotenv_values(".env")


def test_a_key_under_another_name_is_found(cli: Cli, database: Database) -> None:
    """Its name is printed and never its value; a new key is not made, and the file stays as it is."""
    database.make_creds(tokens(OLD, 20))
    before = f"SECRET=x\nOTHER={key_text('new')}\nKEY={key_text('old')}\n"
    Path(".env").write_text(before)

    ran = cli("init", "--url", "$DB", "--new-key", environ={"DB": database.url})

    assert ran.code == 1
    assert "No new key was made: 20 tokens are there under another key." in ran.out
    assert "\nKEY in .env opens 20 of 20 tokens: name it ENCRYPTION_KEY.\n" in ran.out
    assert "No key" not in ran.out
    assert f"20 under {OLD.primary.id}" in ran.out
    assert key_text("old") not in ran.out + ran.err + Path("rotation.toml").read_text()
    assert Path(".env").read_text() == before
    Path(".env").write_text(before.replace("\nKEY=", "\nENCRYPTION_KEY="))
    assert cli("status", environ={"DB": database.url}).code == 0


def test_several_keys_under_other_names_are_found(cli: Cli, database: Database) -> None:
    """Each with what it opens; somebody has to say which of them encrypts. The rest is under no key here."""
    database.make_creds([*tokens(OLD, 3), *tokens(Keyring(make_key("new")), 2), *tokens(LOST, 1)])
    Path(".env").write_text(f"A={key_text('new')}\nB={key_text('old')}\nC={key_text('old')}\n")

    ran = cli("init", "--url", "$DB", environ={"DB": database.url})

    assert ran.code == 1
    assert (
        "B in .env opens 3 of 6 tokens; A in .env opens 2 of 6 tokens: name the one that the service encrypts with "
        "ENCRYPTION_KEY, and put the others into ENCRYPTION_PREVIOUS_KEYS."
    ) in ran.out
    assert "No key here opens 1 token. If an older key does, put that into ENCRYPTION_PREVIOUS_KEYS" in ran.out


def test_a_new_key_is_proposed_only_between_rotations(cli: Cli, tmp_path: Path) -> None:
    """With a staged or a previous key a rotation is under way, and the next key has to wait."""
    with open_database("sqlite", tmp_path) as database:
        database.make_creds(tokens(OLD, 2))
        for more in ({}, {"ENCRYPTION_STAGED_KEY": key_text("new")}, {"ENCRYPTION_PREVIOUS_KEYS": key_text("older")}):
            Path("rotation.toml").unlink(missing_ok=True)
            ran = cli("init", "--url", database.url, environ={"ENCRYPTION_KEY": key_text("old"), **more})

            assert (ran.code, "To change the key: keyring-rotate keys stage" in ran.out) == (0, not more), more


def test_other_names_are_looked_at_only_if_no_key_is_set(cli: Cli, database: Database) -> None:
    """A key beside ENCRYPTION_KEY is another program's."""
    database.make_creds(tokens(OLD, 2))
    Path(".env").write_text(f"ENCRYPTION_KEY={key_text('new')}\nKEY={key_text('old')}\n")

    ran = cli("init", "--url", "$DB", environ={"DB": database.url})

    assert "No key here opens 2 tokens. If an older key does" in ran.out
    assert "; or the column has a `context` (bound tokens, docs/how-to/bind-tokens.md)" in ran.out


def test_quiet_leaves_what_was_found(cli: Cli) -> None:
    """And prints neither the next command nor the sentence that leads to it."""
    Path("app.db").touch()

    ran = cli("init", "--url", "sqlite:///app.db", "--new-key", "-q", environ={})

    assert "Written: .env, rotation.toml" in ran.out
    assert not re.search("Next:|Once a table|init --append", ran.out)


def test_a_path_is_no_url(cli: Cli) -> None:
    """The message shows how the url of an SQLite file is written, and names no target, since none is searched for."""
    ran = cli("init", "--url", "app.db", environ={})

    assert ran.code == 2
    assert "Error: the database to search: the url is not of the form" in ran.err
    assert "for an SQLite file: sqlite:///app.db" in ran.err


def test_a_key_that_is_there_is_kept(cli: Cli) -> None:
    """--new-key adds none to it, and every other line stays; one of the environment counts as well."""
    Path("app.db").touch()
    before = f"# mine\nENCRYPTION_KEY={key_text('old')}\nOTHER=1"
    Path(".env").write_text(before)

    ran = cli("init", "--url", "sqlite:///app.db", "--new-key", environ={})
    other = cli(
        "init", "--url", "sqlite:///app.db", "--new-key", "--config", "b.toml", "--env-file", "b.env", "--json",
        environ={"ENCRYPTION_KEY": key_text("old")},
    )  # fmt: skip

    assert (ran.code, other.code) == (0, 0)
    assert Path(".env").read_text() == before
    assert other.document["new_key"] is None
    assert "ENCRYPTION_KEY" not in dotenv_values("b.env")


def test_a_key_joins_the_other_lines_of_a_file(cli: Cli) -> None:
    """The file's own lines and its mode stay, and a mode that lets others read a key is warned of."""
    Path("app.db").touch()
    Path("app.env").write_text("# mine\nENCRYPTION_KEY=\nOTHER=1\n")
    Path("app.env").chmod(0o644)

    ran = cli("init", "--url", "sqlite:///app.db", "--new-key", "--env-file", "app.env", environ={})

    assert re.fullmatch(r"# mine\nENCRYPTION_KEY=[\w-]{43}=\nOTHER=1\n", Path("app.env").read_text())
    assert "chmod 600 app.env" in ran.err
    assert "Let only you read it: chmod 600 app.env" in ran.out
    assert "Only you can read" not in ran.out


def test_a_file_that_is_there_stays(cli: Cli) -> None:
    """It is refused before the database is looked at, and --append is named."""
    Path("rotation.toml").write_text("# mine\n")

    ran = cli("init", "--url", "sqlite:///nowhere.db", "--new-key", environ={})

    assert ran.code == 2
    assert "rotation.toml: is there already; nothing was changed." in ran.err
    assert "init --append" in ran.err
    assert [path.name for path in Path().iterdir()] == ["rotation.toml"]


def test_append_adds_what_is_not_covered_yet(cli: Cli, database: Database) -> None:
    """In the databases that the file names: its own lines stay, and the second time there is nothing to add."""
    environ = {"DB": database.url, "ENCRYPTION_KEY": key_text("old")}
    database.make_creds(tokens(OLD, 2))
    cli("init", "--url", "$DB", environ=environ)
    before = Path("rotation.toml").read_text()
    database.execute("CREATE TABLE more (id INTEGER PRIMARY KEY, secret TEXT)")
    database.insert("more", [{"id": 1, "secret": OLD.encrypt("x")}])

    added = cli("init", "--append", "--json", environ=environ)
    after = Path("rotation.toml").read_text()
    again = cli("init", "--append", "--json", environ=environ)

    assert added.document["targets"] == [
        {"table": "more", "column": "secret", "format": "token", "cells": 1, "under": {OLD.primary.id: 1}, "unknown": 0}
    ]
    assert after.startswith(before.rstrip())
    assert [target["table"] for target in tomllib.loads(after)["target"]] == ["creds", "more"]
    assert (again.code, again.document["files"], again.document["targets"]) == (0, [], [])
    assert Path("rotation.toml").read_text() == after


def test_append_searches_the_database_that_it_is_given(cli: Cli, database: Database) -> None:
    """So it goes on where nothing was found at first; without a url it says what is missing."""
    environ = {"DB": database.url, "ENCRYPTION_KEY": key_text("old")}
    database.make_creds([])
    cli("init", "--url", "$DB", environ=environ)
    database.insert("creds", [{"id": 1, "token": OLD.encrypt("x"), "note": ""}])

    unnamed = cli("init", "--append", environ=environ)
    named = cli("init", "--append", "--url", "$DB", environ=environ)

    assert (unnamed.code, named.code) == (2, 0)
    assert "names no database yet" in unnamed.err
    assert [target.label for target in read_config(Path("rotation.toml"), entries_of_apps).targets(environ)] == [
        "creds.token"
    ]


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_append_searches_no_database_that_the_policy_leaves_out(cli: Cli, database: Database) -> None:
    """One connection to MariaDB shows all; the output names those, with the reason."""
    environ = {"DB": database.url, "ENCRYPTION_KEY": key_text("old")}
    database.make_creds(tokens(OLD, 2))
    cli("init", "--url", "$DB", environ=environ)
    text = Path("rotation.toml").read_text()
    Path("rotation.toml").write_text(f'{text}[policy.unsearched_databases]\n"*_more" = "of another team"\n')
    other = f"{sa.make_url(database.url).database}_more"
    database.execute(f"CREATE DATABASE {other}", f"CREATE TABLE {other}.theirs (id INTEGER PRIMARY KEY, token TEXT)")
    database.insert(f"{other}.theirs", [{"id": 1, "token": OLD.encrypt("x")}])

    ran = cli("init", "--append", "--json", environ=environ)
    shown = cli("init", "--append", environ=environ)
    database.execute(f"DROP DATABASE {other}")

    assert (ran.code, ran.document["targets"], ran.document["files"]) == (0, [], [])
    [remark] = [remark for remark in ran.document["left_out"] if other in remark["subject"]]
    assert remark["words"] == "[policy] of rotation.toml leaves them out: of another team"
    assert "leaves them out: of another team" in " ".join(shown.out.split())


def test_a_table_without_a_key_gets_no_entry(cli: Cli, database: Database) -> None:
    """The file says why, in a comment, and so does the command: it needs a look."""
    database.execute("CREATE TABLE loose (secret TEXT)")
    database.insert("loose", [{"secret": OLD.encrypt("x")}])

    ran = cli("init", "--url", "$DB", environ={"DB": database.url, "ENCRYPTION_KEY": key_text("old")})

    assert ran.code == 1
    assert "loose.secret gets no entry: " in ran.out
    assert "target" not in tomllib.loads(Path("rotation.toml").read_text())
    assert "# No entry: " in Path("rotation.toml").read_text()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_tokens_of_others_get_no_entry(cli: Cli, database: Database) -> None:
    """Those of another schema that no key here opens: a run could never be complete. They are no fault either."""
    database.execute("CREATE SCHEMA others", "GRANT USAGE ON SCHEMA others TO PUBLIC")
    database.execute("CREATE TABLE others.creds (id INTEGER PRIMARY KEY, token TEXT)")
    database.insert("others.creds", [{"id": 1, "token": LOST.encrypt("x")}])
    database.execute("GRANT SELECT ON others.creds TO PUBLIC")
    database.make_creds(tokens(OLD, 1))

    ran = cli("init", "--url", "$DB", environ={"DB": database.url, "ENCRYPTION_KEY": key_text("old")})

    text = Path("rotation.toml").read_text()
    assert ran.code == 0
    assert [target["table"] for target in tomllib.loads(text)["target"]] == ["creds"]
    assert re.search(r"^# others.creds.token: .*\n# No entry: it is in another schema or database", text, re.MULTILINE)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_table_that_cannot_be_read_needs_a_look(cli: Cli, database: Database) -> None:
    """It is named, with the privilege that is missing; what could be read is written."""
    user = sa.make_url(database.url).username
    database.make_creds(tokens(OLD, 1))
    database.execute("CREATE TABLE closed (id INTEGER PRIMARY KEY, token TEXT)", f"REVOKE ALL ON closed FROM {user}")

    ran = cli("init", "--url", "$DB", environ={"DB": database.url, "ENCRYPTION_KEY": key_text("old")})

    assert ran.code == 1
    assert "closed was not looked at: " in ran.out
    assert "grant SELECT" in ran.out
    assert len(tomllib.loads(Path("rotation.toml").read_text())["target"]) == 1


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_url_with_a_password_is_shown_nowhere(cli: Cli, database: Database) -> None:
    """One that is in rotation.toml already is not shown in the command for a known application."""
    url = database.url.replace("@", ":hunter2@", 1)
    entry = f'[[target]]\nurl = "{url}"\ntable = "creds"\ncolumns = ["token"]\n'
    Path("rotation.toml").write_text(entry)
    database.make_creds([])
    database.execute("CREATE TABLE connection (id INTEGER PRIMARY KEY, conn_id TEXT, password TEXT, extra TEXT)")
    database.execute("CREATE TABLE variable (id INTEGER PRIMARY KEY, key TEXT, val TEXT)")
    database.insert("variable", [{"id": 1, "val": OLD.encrypt("x")}])

    ran = cli("init", "--append", environ={"ENCRYPTION_KEY": key_text("old")})

    assert ran.code == 0
    assert "init --app airflow" in ran.out
    assert "hunter2" not in ran.out + ran.err
    assert 'url = "$DATABASE_URL"' in Path("rotation.toml").read_text()


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("postgresql://nobody@127.0.0.1:1/app", 3, "127.0.0.1:1"),
        ("sqlite:///nowhere.db", 2, "there is no SQLite file"),
        ("oracle://u@h/db", 2, "unsupported database"),
        ("nonsense", 2, "url"),
        ("", 2, "the url is"),
    ],
    ids=["unreachable", "no file", "another database", "no url", "an empty variable"],
)
def test_a_database_that_cannot_be_read_leaves_no_file(cli: Cli, url: str, code: int, words: str) -> None:
    """The error is the one that `discover` gives, and no key is made."""
    ran = cli("init", "--url", "$DB" if url else "$EMPTY", "--new-key", environ={"DB": url, "EMPTY": " "})

    assert ran.code == code
    assert words in ran.err
    assert not list(Path().iterdir())


def test_a_password_goes_into_no_file(cli: Cli) -> None:
    """A url that may hold one is refused, and not shown."""
    ran = cli("init", "--url", "postgresql://u:hunter2@h/db", "--new-key", environ={})

    assert ran.code == 2
    assert "--url '$NAME'" in ran.err
    assert "hunter2" not in ran.err
    assert not list(Path().iterdir())


def test_a_broken_key_is_an_error_and_not_a_new_one(cli: Cli) -> None:
    """Nothing is written beside a key that cannot be loaded."""
    Path("app.db").touch()

    ran = cli("init", "--url", "sqlite:///app.db", "--new-key", environ={"ENCRYPTION_KEY": key_text("old")[:40]})

    assert ran.code == 2
    assert [path.name for path in Path().iterdir()] == ["app.db"]


def test_a_path_counts_from_the_folder_of_the_file(cli: Cli, folder: Path) -> None:
    """A dotenv file beside another rotation.toml is named from there; the next command names that rotation.toml."""
    Path("app.db").touch()
    Path("deploy").mkdir()

    ran = cli("init", "--url", "sqlite:///app.db", "--config", "deploy/r.toml", "--env-file", "my.env", environ={})
    own = cli("init", "--url", "sqlite:///app.db", "--config", "deploy/s.toml", "--new-key", environ={})

    assert tomllib.loads(Path("deploy/r.toml").read_text()) == {"env_file": "../my.env"}
    assert ran.out.endswith(" --config deploy/r.toml\n")
    assert tomllib.loads(Path("deploy/s.toml").read_text()) == {"env_file": ".env"}
    assert own.code == 0
    assert Path("deploy/.env").exists()


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_files_with_keys_are_for_gitignore(cli: Cli, folder: Path) -> None:
    """The lines that git does not follow yet are printed, and .gitignore is left alone."""
    Path("app.db").touch()
    subprocess.run(["git", "init", "-q", "."], check=True)
    Path(".gitignore").write_text(".env\n*.db-*\n")

    ran = cli("init", "--url", "sqlite:///app.db", "--new-key", environ={})
    document = cli("init", "--url", "sqlite:///app.db", "--config", "b.toml", "--json", environ={}).document

    assert "for .gitignore:\n  *.keys\n  problems.jsonl\n" in ran.out.replace("  rotation-ledger.db*\n", "")
    assert ".env" not in document["gitignore"]
    assert {"*.keys", "problems.jsonl"} <= {*document["gitignore"]}
    assert Path(".gitignore").read_text() == ".env\n*.db-*\n"


def test_a_git_that_hangs_holds_up_nothing(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked once, and counts as one that follows no line."""
    (folder / "app.db").touch()
    (folder / "git").write_text("#!/bin/sh\necho >>asked\nexec sleep 600\n")
    (folder / "git").chmod(0o700)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setattr(init_service, "GIT_SECONDS", 0.2)

    document = cli("init", "--url", "sqlite:///app.db", "--new-key", "--json", environ={}).document

    assert {".env", "*.keys", "problems.jsonl"} <= {*document["gitignore"]}
    assert Path("asked").read_text() == "\n"


def test_the_comments_are_what_the_code_takes(cli: Cli) -> None:
    """Without its `#` each setting is one, and the policy is the default."""
    Path("app.db").touch()
    cli("init", "--url", "sqlite:///app.db", environ={"ENCRYPTION_KEY": key_text("old")})
    lines = Path("rotation.toml").read_text().splitlines()
    settings = [re.sub(r"^# (?=\[|\w+ = )", "", line) for line in lines]
    Path("all.toml").write_text("\n".join(settings))

    [target] = read_config(Path("all.toml"), entries_of_apps).targets({})

    assert target.label == "user_credentials.api_key"
    assert read_config(Path("all.toml"), entries_of_apps).policy == Policy()
    assert tomllib.loads(Path("all.toml").read_text())["env_file"] == ".env"
    assert tomllib.loads(Path("all.toml").read_text())["ledger"] == "$DATABASE_URL"


def test_tables_of_a_known_application_are_recognised(cli: Cli) -> None:
    """The command for its preset is printed, since that knows its keys."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect("app.db")) as connection, connection:
        connection.execute("CREATE TABLE connection (id INTEGER PRIMARY KEY, conn_id, password TEXT, extra TEXT)")
        connection.execute("CREATE TABLE variable (id INTEGER PRIMARY KEY, key, val TEXT)")
        connection.execute("INSERT INTO connection VALUES (1, 'a', ?, NULL)", [OLD.encrypt("x")])

    ran = cli("init", "--url", "sqlite:///app.db", environ={"ENCRYPTION_KEY": key_text("old")})

    assert "keyring-rotate init --app airflow --url sqlite:///app.db" in ran.out
