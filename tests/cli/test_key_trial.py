"""`keys derive --try`: from a stored cell and a secret to the entry for rotation.toml, and nothing of either shown."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
import tomllib
import uuid
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import pytest
from cryptography.fernet import Fernet

from keyring_core import Derivation
from tests.conftest import Cli, Ran
from tests.databases import KINDS, Database, open_database
from tests.keyring_core.test_errors import leaks
from tests.keys import key_text
from tests.processes import ROOT

pytestmark = pytest.mark.database

SECRET = "Tr0ub4dor&3 quux, a test secret"
ENVIRON = {"S": SECRET}
TRY = ("keys", "derive", "--try", "--variable", "S")


def token(kind: str = "sha256", **more: object) -> str:
    """A token under the key that this rule makes of SECRET."""
    return Derivation(kind, **more).key(SECRET).fernet.encrypt(b"x").decode()  # type: ignore[arg-type]


@pytest.fixture(params=KINDS)
def app(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database, with an empty folder as the current one."""
    monkeypatch.chdir(tmp_path)
    with open_database(request.param, tmp_path) as database:
        yield database


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[IO[bytes]]:
    """What the command finds on stdin, which is no terminal."""
    with TemporaryFile() as content:
        monkeypatch.setattr(sys, "stdin", content)
        yield content


def put(stdin: IO[bytes], text: str) -> None:
    stdin.write(text.encode())
    stdin.seek(0)


def is_refused(ran: Ran, *words: str) -> bool:
    """Exit code 2, every word on stderr, nothing on stdout, and nothing of the secret."""
    assert all(word in ran.err for word in words), ran.err
    assert not leaks(ran.err, SECRET, "a secret", "secret, ", "a test")
    return ran.code == 2 and ran.out == ""


def of_cell(database: Database, *more: str) -> list[str]:
    return [*TRY, "--url", database.url, "--table", "creds", "--column", "token", *more]


def test_the_entry_is_printed_and_works(cli: Cli, app: Database) -> None:
    """From the cell of a database to an entry under which `status` opens it; the secret is nowhere."""
    app.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT)")
    app.insert("creds", [{"id": 1, "token": "no token"}, {"id": 2, "token": token()}])

    ran = cli(*of_cell(app), "--json", environ=ENVIRON)

    [fit] = ran.document["fits"]
    assert (ran.code, ran.document["cell"], fit["derive"]) == (0, "creds.token, id=2", "sha256")
    assert fit["entry"] == '[keys.creds]\nprimary = { secret = "$S", derive = "sha256" }\n'
    assert not leaks(ran.out + ran.err, SECRET, "sha256 of the secret", "the secret", " secret")
    target = '[[target]]\nurl = "$URL"\ntable = "creds"\ncolumns = ["token"]\nkeys = "creds"\nwhere = "id = 2"\n'
    Path("rotation.toml").write_text(fit["entry"] + target)
    assert cli("status", environ={**ENVIRON, "URL": app.url}).code == 0


@pytest.mark.long
def test_a_row_is_named_by_its_key(cli: Cli, app: Database) -> None:
    """Each kind of key column takes the text of its value; a row that is not there is an error."""
    kind = {"postgresql": "UUID", "mariadb": "CHAR(36)", "sqlite": "TEXT"}[app.kind]
    name = uuid.uuid4()
    app.execute(f"CREATE TABLE creds (a INTEGER, b {kind}, token TEXT, PRIMARY KEY (a, b))")
    app.insert("creds", [{"a": 7, "b": str(name), "token": token()}])
    app.insert("creds", [{"a": 8, "b": str(name), "token": token("hkdf-sha256", info="another")}])

    found = cli(*of_cell(app, "--row", "7", "--row", str(name)), environ=ENVIRON)

    assert found.code == 0, found.err
    assert f"creds.token, a=7, b={name}: " in found.out
    assert cli(*of_cell(app, "--row", "8", "--row", str(name)), environ=ENVIRON).code == 1
    assert is_refused(cli(*of_cell(app, "--row", "7"), environ=ENVIRON), "named by a, b: give --row 2 times")
    assert is_refused(cli(*of_cell(app, "--row", "9", "--row", str(name)), environ=ENVIRON), "there is no row a=9")
    assert is_refused(cli(*of_cell(app, "--row", "x", "--row", str(name)), environ=ENVIRON), "--row is a value of a")


@pytest.mark.some(2)
@pytest.mark.parametrize("form", ["json", "base64", "hex", "bytes"])
def test_a_cell_may_hold_the_token_in_any_form(cli: Cli, app: Database, form: str) -> None:
    """A token inside JSON, encoded again, or as bytes."""
    of_json = {"postgresql": "JSONB", "mariadb": "JSON", "sqlite": "JSON"}[app.kind]
    of_bytes = {"postgresql": "BYTEA", "mariadb": "BLOB", "sqlite": "BLOB"}[app.kind]
    kind = {"json": of_json, "bytes": of_bytes}.get(form, "TEXT")
    text = token()
    cell = {
        "json": json.dumps({"deep": [{"token": text}]}),
        "base64": base64.b64encode(text.encode()).decode(),
        "hex": text.encode().hex(),
        "bytes": text.encode(),
    }[form]
    app.execute(f"CREATE TABLE creds (id INTEGER PRIMARY KEY, token {kind})")
    app.insert("creds", [{"id": 1, "token": cell}])

    assert cli(*of_cell(app), environ=ENVIRON).code == 0


def test_values_beside_the_cell_are_tried_as_salts(cli: Cli, app: Database) -> None:
    """Of a whole number, a text, a UUID and bytes; the entry names the column."""
    of_uuid = {"postgresql": "UUID", "mariadb": "CHAR(36)", "sqlite": "TEXT"}[app.kind]
    of_bytes = {"postgresql": "BYTEA", "mariadb": "BLOB", "sqlite": "BLOB"}[app.kind]
    name = str(uuid.uuid4())
    salts = {"id": "4", "owner": "77", "word": "ein Wört", "name": name, "raw": b"\x00\xff salt"}
    app.execute(
        f"CREATE TABLE creds (id INTEGER PRIMARY KEY, owner INTEGER, word TEXT, name {of_uuid}, raw {of_bytes}, "
        "more TEXT, token TEXT)"
    )
    for number, salt in enumerate(salts.values(), 1):
        made = token("pbkdf2-sha256", salt=salt, iterations=100_000)
        values = {"owner": 77, "word": "ein Wört", "name": name, "raw": b"\x00\xff salt", "more": "x" * 1000}
        app.insert("creds", [{"id": 4 if number == 1 else 10 + number, **values, "token": made}])

    for row, column in zip((4, 12, 13, 14, 15), salts, strict=True):
        ran = cli(*of_cell(app, "--row", str(row)), "--json", environ=ENVIRON)
        assert ran.code == 0, (column, ran.err)
        entries = [tomllib.loads(fit["entry"])["keys"]["creds"]["primary"] for fit in ran.document["fits"]]
        assert {"column": column} in [entry["salt"] for entry in entries]


@pytest.mark.parametrize("app", ["sqlite"], indirect=True)
def test_the_cell_of_a_target(cli: Cli, app: Database) -> None:
    """A target of rotation.toml is named by its label; the keys of rotation.toml do not matter."""
    app.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT)")
    app.insert("creds", [{"id": 1, "token": token()}])
    entry = f'[[target]]\nurl = "{app.url}"\ntable = "creds"\ncolumns = ["token"]\n'
    Path("rotation.toml").write_text(entry + entry.replace('"token"', '"other"'))

    assert cli(*TRY, "--target", "creds.token", environ=ENVIRON).code == 0
    assert is_refused(cli(*TRY, "--target", "creds", environ=ENVIRON), "several targets", "creds.token, creds.other")
    assert is_refused(cli(*TRY, "--target", "nix", environ=ENVIRON), "no target is called so", "creds.token")
    assert is_refused(cli(*TRY, "--row", "1", environ=ENVIRON), "add --target")
    assert is_refused(cli(*of_cell(app, "--target", "creds.token"), environ=ENVIRON), "exclude each other")
    assert is_refused(cli(*of_cell(app, "--column", "id"), environ=ENVIRON), "--try takes one column")


def test_the_token_comes_from_stdin(cli: Cli, stdin: IO[bytes]) -> None:
    """With the secret from elsewhere; the preset of the application is the next command."""
    salt = "phoenix-database-encryption-a5d354120d50240ac80b74f56d09b363"
    put(stdin, f"{token('pbkdf2-sha256', salt=salt, iterations=600_000)}\n")

    ran = cli(*TRY, environ=ENVIRON)

    assert ran.code == 0, ran.err
    assert "[keys.phoenix]\n" in ran.out
    assert "Next: as Arize Phoenix makes it: keyring-rotate init --app phoenix\n" in ran.out
    assert "candidates: " in ran.err
    assert " at most, the quick ones first.\n" in ran.err


def test_only_one_of_the_two_comes_from_stdin(cli: Cli, stdin: IO[bytes]) -> None:
    """The message names both ways out."""
    put(stdin, token())

    assert is_refused(cli("keys", "derive", "--try"), "one of the two", "--variable, --file or --command", "--target")


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_token_behind_many_rows_of_plaintext_is_found(cli: Cli, app: Database, *, as_bytes: bool) -> None:
    """Settings of which few are encrypted: the first token is taken, however far behind it stands."""
    kind = {"postgresql": "BYTEA", "mariadb": "LONGBLOB", "sqlite": "BLOB"}[app.kind] if as_bytes else "TEXT"
    cells = [*("plain" for _ in range(250)), token()]
    app.make_creds([cell.encode() if as_bytes else cell for cell in cells], kind)

    ran = cli(*of_cell(app), "--json", environ=ENVIRON)

    assert (ran.code, ran.document["cell"]) == (0, "creds.token, id=251"), ran.err


@pytest.mark.parametrize("app", ["sqlite"], indirect=True)
def test_a_number_before_the_token_is_no_hindrance(cli: Cli, app: Database) -> None:
    """SQLite keeps it as one in a column of bytes; `discover` reads such rows, too. By itself it holds no token."""
    app.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token BLOB)")
    app.insert("creds", [{"id": n, "token": cell} for n, cell in enumerate((1.5, 10**15, token()), 1)])

    assert cli(*of_cell(app), environ=ENVIRON).code == 0
    assert is_refused(cli(*of_cell(app, "--row", "1"), environ=ENVIRON), "creds.token, id=1: no Fernet token is in it")
    found = cli("discover", "--url", app.url, environ={"ENCRYPTION_KEY": key_text("new")})
    assert (found.code, "creds.token: in 3 rows" in found.out) == (1, True), found.err


def test_a_database_that_cannot_be_read_ends_the_trial(cli: Cli, tmp_path: Path) -> None:
    """With the usual words and code; a trial only reads."""
    place = tmp_path / "app.db"
    place.write_bytes(b"no database" * 100)
    ran = cli(*TRY, "--url", f"sqlite:///{place}", "--table", "creds", "--column", "token", environ=ENVIRON)

    assert (ran.code, "Nothing was written." in ran.err) == (3, True), ran.err


@pytest.mark.parametrize("app", ["sqlite"], indirect=True)
def test_an_empty_secret_is_not_tried(cli: Cli, app: Database) -> None:
    """That no rule fits would lead to look for another rule."""
    app.make_creds([token()])

    assert is_refused(cli(*of_cell(app), environ={"S": " "}), "S is empty: the secret was expected there")


@pytest.mark.parametrize("app", ["sqlite"], indirect=True)
def test_the_next_command_reads_the_same_dotenv_file(cli: Cli, app: Database) -> None:
    """It names no target: the pasted entry does."""
    app.make_creds([token("hkdf-sha256", info="nobody's")])
    Path(".env").write_text(f"S='{SECRET}'\n")

    ran = cli(*of_cell(app, "--info", "nobody's", "--env-file", ".env"))

    assert "count the tokens: keyring-rotate status --env-file .env\n" in ran.out


def test_an_empty_stdin_is_no_token(cli: Cli, stdin: IO[bytes]) -> None:
    """It is said, and not taken for a cell without a token."""
    assert is_refused(cli(*TRY, environ=ENVIRON), "stdin is empty: the stored token was expected there")


def test_a_secret_does_not_belong_into_a_command_line(cli: Cli, app: Database) -> None:
    """What is typed behind --try is refused, and not repeated."""
    assert is_refused(cli("keys", "derive", "--try", SECRET), "do not put a secret into a command line")
    assert is_refused(cli("keys", "derive", "sha256", "--row", "1"), "add --try")
    assert is_refused(cli(*of_cell(app)[:2], *of_cell(app)[5:], environ=ENVIRON), "add --try")


def test_without_a_fit_the_next_steps_are_named(cli: Cli, stdin: IO[bytes]) -> None:
    """Exit code 1, what was tried in numbers, and what else may be so; no entry."""
    put(stdin, Fernet(Fernet.generate_key()).encrypt(b"x").decode())

    ran = cli(*TRY, environ=ENVIRON)

    assert ran.code == 1
    assert "None of " in ran.out
    assert "another secret" in ran.out
    assert "not set are $FASTMCP_SALT" in ran.out
    assert "[keys." not in ran.out


def test_a_salt_of_an_option_is_tried(cli: Cli, stdin: IO[bytes]) -> None:
    """Also one in hexadecimal digits, which an entry spells as a command; that command makes the same key."""
    raw = b"\xff\x00 salt"
    put(stdin, token("pbkdf2-sha256", salt=raw, iterations=100_000))
    environ = {**ENVIRON, "SALT": raw.hex()}

    ran = cli(*TRY, "--salt-variable", "SALT", "--salt-hex", "--json", environ=environ)

    assert ran.code == 0, ran.err
    [command] = {tomllib.loads(fit["entry"])["keys"]["app"]["primary"]["command"] for fit in ran.document["fits"]}
    assert command == (
        "keyring-rotate keys derive pbkdf2-sha256 --salt-variable SALT --salt-hex --iterations 100000 --variable S"
    )
    made = cli(*command.split()[1:], environ=environ).out.strip()
    expected = hashlib.pbkdf2_hmac("sha256", SECRET.encode(), raw, 100_000)
    assert made == base64.urlsafe_b64encode(expected).decode()


def start(*argv: str, **more: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "rotation", *argv], cwd=ROOT, **more)  # type: ignore[call-overload]


def test_a_terminal_is_asked_for_both(tmp_path: Path) -> None:
    """First for the secret, which is not shown, then for the token."""
    ours, theirs = pty.openpty()
    with start("keys", "derive", "--try", "--json", stdin=theirs, stderr=theirs, stdout=subprocess.PIPE) as process:
        os.close(theirs)
        shown = b""
        for prompt, answer in ((b"Secret", SECRET), (b"Token", token())):
            while prompt not in shown:
                shown += os.read(ours, 4096)
            time.sleep(0.2)
            os.write(ours, answer.encode() + b"\n")
        printed, _ = process.communicate(timeout=60)
    os.close(ours)

    assert process.returncode == 0
    assert [fit["derive"] for fit in json.loads(printed)["fits"]] == ["sha256"]
    assert SECRET.encode() not in shown


def test_a_stop_ends_the_trial(tmp_path: Path) -> None:
    """One Ctrl-C is enough, with exit code 3, while keys are made."""
    (tmp_path / "secret").write_text(SECRET)
    argv = ("keys", "derive", "--try", "--file", str(tmp_path / "secret"), "-v", "--iterations", "10000000")
    argv += ("--salt", "a salt")
    stranger = Fernet(Fernet.generate_key()).encrypt(b"x")
    with start(*argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stderr
        process.stdin.write(stranger)
        process.stdin.close()
        for line in process.stderr:
            if b"candidates" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        code = process.wait(timeout=60)

    assert code == 3
    assert b"stopped on request. Nothing was written." in rest
    assert SECRET.encode() not in rest
