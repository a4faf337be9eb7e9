"""A key that is a token in a cell, under the keys of another set: every command, and both rotations in any order."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from keyring_core.redaction import get_redactor
from tests.conftest import Cli, Named, Ran
from tests.databases import Database, open_database
from tests.keys import key_text, make_key
from tests.whole.test_connections import user_with

pytestmark = pytest.mark.database

MASTER = """
[[target]]
url = "$DATABASE_URL"
table = "crypt_key"
columns = ["encrypted_key"]
keys = "master"
"""
DATA = """
[[target]]
url = "$DATABASE_URL"
table = "documents"
columns = ["body"]
format = "embedded"
keys = "inner"
"""
KEYS = """
[keys.master]
primary  = { secret = "$MASTER_KEY" }
previous = [{ secret = "$OLD_MASTER_KEY" }]

[keys.inner]
"""
CELL = 'cell = "crypt_key.encrypted_key", keys = "master"'
FIRST, SECOND = (f"{{ {CELL}, where = \"id = '{row}'\" }}" for row in ("first", "second"))
BOTH = f"primary = {SECOND}\nprevious = [{FIRST}]"
URL = ', url = "$DATABASE_URL" }'
DERIVED = ', derive = "sha256" }'
PUBLIC = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
"""The Fernet specification's example."""


def wrapped(label: str, *, by: str = "old master") -> str:
    """The key of that *label* as a token."""
    return Fernet(key_text(by)).encrypt(key_text(label).encode()).decode()


class App:
    """An application that keeps its key under a master key, in the same database as its documents."""

    def __init__(self, database: Database, folder: Path, cli: Cli) -> None:
        self.database, self.folder, self._cli = database, folder, cli
        self.environ: dict[str, str] = {"DATABASE_URL": database.url, "MASTER_KEY": key_text("old master")}
        database.execute("CREATE TABLE crypt_key (id VARCHAR(36) PRIMARY KEY, encrypted_key VARCHAR(255), in_use INT)")
        database.execute("CREATE TABLE documents (id INTEGER PRIMARY KEY, body TEXT)")
        self.store("first", wrapped("inner"))
        database.insert("documents", [{"id": row, "body": self.document(row, "inner")} for row in range(3)])
        self.configure(f"primary = {FIRST}")

    @staticmethod
    def document(row: int, label: str) -> str:
        return json.dumps({"row": row, "password": Fernet(key_text(label)).encrypt(b"secret %d" % row).decode()})

    def store(self, row: str, cell: str | None) -> None:
        """Stores a wrapped key, by hand."""
        self.database.insert("crypt_key", [{"id": row, "encrypted_key": cell, "in_use": int(row == "first")}])

    def configure(self, inner: str, targets: str = MASTER + DATA, further: str = "") -> None:
        (self.folder / "rotation.toml").write_text(f"{targets}{KEYS}{inner}\n{further}")

    def set_master(self, new: str, old: str) -> None:
        self.environ |= {"MASTER_KEY": key_text(new), "OLD_MASTER_KEY": key_text(old)}

    def run(self, *argv: str, environ: Mapping[str, str] | None = None) -> Ran:
        ran = self._cli(
            *argv, "--config", str(self.folder / "rotation.toml"), environ={**self.environ, **(environ or {})}
        )
        shown = ran.out + ran.err
        assert "Traceback" not in shown
        assert not any(key_text(label) in shown for label in ("inner", "new inner", "old master", "new master"))
        return ran

    def states(self) -> dict[str, str]:
        """The keys of the documents, as `keys list` has them."""
        ran = self.run("keys", "list", "--keys", "inner", "--json")
        assert ran.code == 0, ran.err
        return {key["id"]: key["state"] for key in ran.document["keys"] if key["state"] != "retired"}

    def reads(self, row: str, *, master: str) -> list[bytes]:
        """What the application reads, with the key in that *row* and one *master* key."""
        [(cell,)] = self.database.rows("SELECT encrypted_key FROM crypt_key WHERE id = :row", row=row)
        key = Fernet(Fernet(key_text(master)).decrypt(cell))
        bodies = self.database.rows("SELECT body FROM documents ORDER BY id")
        return [key.decrypt(json.loads(body)["password"]) for (body,) in bodies]


SECRETS = [b"secret 0", b"secret 1", b"secret 2"]


def in_other_database(folder: Path) -> str:
    """The entry of the first key in a database in which no target is, other/app.db."""
    (folder / "other").mkdir()
    with open_database("sqlite", folder / "other") as database:
        database.execute("CREATE TABLE crypt_key (id VARCHAR(36) PRIMARY KEY, encrypted_key TEXT)")
        database.insert("crypt_key", [{"id": "first", "encrypted_key": wrapped("inner")}])
        return FIRST.replace(" }", f', url = "{database.url}" }}')


@pytest.fixture(params=["sqlite", "postgresql"])
def app(request: pytest.FixtureRequest, tmp_path: Path, cli: Cli) -> Iterator[App]:
    with open_database(request.param, tmp_path) as database:
        yield App(database, tmp_path, cli)


@pytest.fixture
def local(tmp_path: Path, cli: Cli) -> Iterator[App]:
    """The same on SQLite alone: for what is decided before a database is asked."""
    with open_database("sqlite", tmp_path) as database:
        yield App(database, tmp_path, cli)


def test_every_command_reads_the_key_in_the_cell(app: App) -> None:
    """The documents are current, under the key that the cell holds; and a log would mask that key."""
    inner = make_key("inner").id

    status = app.run("status", "--json")
    checked = app.run("check", "--json")
    found = app.run("discover", "--json")
    reported = app.run("report", "--keys", "inner", "--html", str(app.folder / "report.html"))

    assert app.states() == {inner: "primary"}
    assert (status.code, [each["under"] for each in status.document["targets"]]) == (
        0,
        [{make_key("old master").id: 1}, {inner: 3}],
    )
    assert not [each for each in checked.document["checks"] if each["status"] == "UNKNOWN"], checked.out
    # A server has other databases, too.
    assert found.code in {0, 3}, found.out
    assert (reported.code, inner in (app.folder / "report.html").read_text()) == (0, True)
    assert app.run("keys", "list", "--keys", "inner").code == 0
    assert key_text("inner") not in get_redactor().redact(f"the key is {key_text('inner')}")


@pytest.mark.some(1)
@pytest.mark.parametrize("targets", [MASTER + DATA, DATA + MASTER], ids=["master first", "documents first"])
def test_a_run_moves_the_wrapped_key_and_leaves_the_documents(app: App, targets: str) -> None:
    """(a) Before, during and after a rotation of the master key, the documents' key loads, and they are current."""
    app.configure(f"primary = {FIRST}", targets)
    before = app.database.column("documents", "body")
    app.set_master("new master", "old master")

    assert app.states() == {make_key("inner").id: "primary"}
    ran = app.run("run", "--json")

    assert (ran.code, {each["name"]: each["rotated"] for each in ran.document["targets"]}) == (
        0,
        {"crypt_key": 1, "documents": 0},
    )
    assert app.states() == {make_key("inner").id: "primary"}
    assert app.reads("first", master="new master") == SECRETS
    assert app.database.column("documents", "body") == before
    app.environ.pop("OLD_MASTER_KEY")
    assert app.run("status").code == 0


@pytest.mark.some(1)
@pytest.mark.parametrize("done", [MASTER, DATA], ids=["the key", "the documents"])
def test_a_run_goes_on_after_a_crash_between_the_two(app: App, done: str) -> None:
    """Both keys change, and whichever target was done when the process died, the next run does the other one."""
    app.store("second", wrapped("new inner"))
    app.set_master("new master", "old master")
    app.configure(BOTH.replace(" }", URL), done)
    assert app.run("run").code == 0
    assert app.states() == {make_key("new inner").id: "primary", make_key("inner").id: "previous"}

    app.configure(BOTH)
    assert app.run("run").code == 0

    assert app.reads("second", master="new master") == SECRETS
    app.environ.pop("OLD_MASTER_KEY")
    assert app.run("status").code == 0


@pytest.mark.some(1)
@pytest.mark.usefixtures("sending")
@pytest.mark.parametrize("targets", [MASTER + DATA, DATA + MASTER], ids=["master first", "documents first"])
def test_workers_read_the_cell_themselves(app: App, targets: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while its token moves: a worker that starts later finds it under the new master key, and has both."""
    app.store("second", wrapped("new inner"))
    app.configure(BOTH, targets)
    app.set_master("new master", "old master")
    for name, value in app.environ.items():
        monkeypatch.setenv(name, value)

    ran = app.run("run", "--workers", "2", "--json")

    assert (ran.code, [each["rotated"] for each in ran.document["targets"]]) == (
        0,
        [2, 3] if targets.startswith(MASTER) else [3, 2],
    )
    assert app.reads("second", master="new master") == SECRETS


def test_a_new_key_goes_its_whole_way(app: App, tmp_path: Path) -> None:
    """(b) Staged in a row of its own before anything is under it; no step shows it, or has its only copy."""
    new_row = f"staged = {SECOND}"
    old = make_key("inner").id
    app.configure(f"primary = {FIRST}\n{new_row}")

    staged = app.run("keys", "stage", "--keys", "inner", "--show-key", "--json")
    assert staged.code == 1
    [edit] = staged.document["todo"]
    assert edit["variable"] == "cell crypt_key.encrypted_key"
    assert app.states() == {old: "primary"}
    app.store("second", edit["value"])
    [new] = edit["keys"]
    assert app.states() == {old: "primary", new: "staged"}

    promoted = app.run("keys", "promote", "--keys", "inner")
    assert (promoted.code, f"make the entry of {new} in `staged` the new `primary`" in promoted.err) == (2, True)
    app.configure(BOTH)
    assert app.run("run").code == 0
    assert app.reads("second", master="old master") == SECRETS

    retired = app.run("keys", "retire", old, "--keys", "inner", "--archive", str(tmp_path / "old.keys"), "--json")
    assert (retired.code, retired.document["refused"]) == (1, [])
    [edit] = retired.document["todo"]
    assert "take its entry out of rotation.toml, and then delete the row" in edit["where"]
    assert key_text("inner") in (tmp_path / "old.keys").read_text()
    app.configure(f"primary = {SECOND}")
    app.database.execute("DELETE FROM crypt_key WHERE id = 'first'")
    assert app.states() == {new: "primary"}
    assert app.run("status").code == 0


def test_a_master_key_stays_while_a_cell_is_under_it(app: App, tmp_path: Path, named: Named) -> None:
    """(c) Covered by a target, by none, in a database that no target is in, or where it cannot be read."""
    app.set_master("new master", "old master")
    retire = ("keys", "retire", make_key("old master").id, "--keys", "master", "--no-archive", "--json")
    elsewhere = '[[target]]\nurl = "$DATABASE_URL"\ntable = "elsewhere"\ncolumns = ["token"]\nkeys = "master"\n'
    app.database.execute("CREATE TABLE elsewhere (id INTEGER PRIMARY KEY, token TEXT)")

    def reasons() -> str:
        ran = app.run(*retire)
        assert ran.code == 1, ran.out + ran.err
        return "\n".join(each["reason"] for each in ran.document["refused"])

    words = "crypt_key.encrypted_key, id=first: [keys.inner] primary (cell crypt_key.encrypted_key) is a token under it"
    with named("covered"):
        assert words in reasons()
    with named("uncovered"):
        app.configure(f"primary = {FIRST}", elsewhere + DATA)
        assert words in reasons()
    with named("uncovered, and no set names it"):
        app.configure('primary = { secret = "$INNER" }', elsewhere + DATA)
        app.environ["INNER"] = key_text("inner")
        assert "crypt_key.encrypted_key" in reasons()
    for form, text in UNREAD.items():
        # An application may read it nevertheless: stock Fernet drops the dot.
        with named(form):
            app.database.execute("DELETE FROM crypt_key")
            app.store("first", text)
            app.configure(f"primary = {FIRST}", elsewhere + DATA)
            assert "id=first: not a Fernet token: " in reasons()
            assert "It was not seen whether that token needs the key" in reasons()
    with named("in another database"):
        app.database.execute("DELETE FROM crypt_key")
        app.configure(f"primary = {in_other_database(tmp_path)}", elsewhere + DATA)
        assert words in reasons()
    with named("unreadable"):
        (tmp_path / "other" / "app.db").unlink()
        assert "It was not seen whether that token needs the key" in reasons()


UNREAD = {
    "a dot in it": f"{wrapped('inner')[:70]}.{wrapped('inner')[70:]}",
    "base64": base64.b64encode(wrapped("inner").encode()).decode(),
    "plaintext": "hunter2 in clear",
}
"""Cells that a service may need the master key for, in forms that do not read as a token here."""


def test_a_master_key_is_not_suspended_while_a_cell_is_under_it(app: App, named: Named) -> None:
    """A service could not open its key any more, and so nothing; a set that only wraps keys needs no count."""
    app.set_master("new master", "old master")
    app.configure(f"primary = {FIRST}", DATA)
    text = (app.folder / "rotation.toml").read_text()
    (app.folder / "rotation.toml").write_text(
        text.replace("[keys.inner]", 'suspended = [{ secret = "$TRIED" }]\n\n[keys.inner]')
    )
    suspend = ("keys", "suspend", make_key("old master").id, "--keys", "master", "--json")

    def reasons() -> list[str]:
        return [each["reason"] for each in app.run(*suspend).document["refused"]]

    words = "crypt_key.encrypted_key, id=first: [keys.inner] primary (cell crypt_key.encrypted_key) is a token under it"
    with named("under it"):
        assert reasons() == [words]
    with named("unread"):
        app.database.execute(f"UPDATE crypt_key SET encrypted_key = '{UNREAD['base64']}'")
        assert ["It was not seen whether that token needs the key" in each for each in reasons()] == [True]
    with named("under the new one"):
        app.database.execute("DELETE FROM crypt_key")
        app.store("first", wrapped("inner", by="new master"))
        assert reasons() == []


FAULTS = {
    "no row": ("third", None, "its where chooses no row of crypt_key, and has to choose one; correct it, or drop"),
    "several rows": (None, None, "crypt_key has 2 rows, and a key is in one; add a where that chooses one"),
    "NULL": ("second", "", "crypt_key.encrypted_key, id=second: holds nothing"),
    "plaintext": ("second", "hunter2 in clear", "id=second: not a Fernet token: "),
    "another key": ("second", wrapped("new inner", by="lost"), "id=second: no key opens this token"),
    "no key in it": ("second", Fernet(key_text("old master")).encrypt(b"hunter2").decode(), "expected 44 characters"),
    "a public key": ("second", Fernet(key_text("old master")).encrypt(PUBLIC.encode()).decode(), "specification"),
    "an empty secret": ("second", Fernet(key_text("old master")).encrypt(b"").decode(), "empty, expected 44"),
}


def test_what_is_wrong_with_a_cell_is_said(app: App, named: Named, *, long_form: bool) -> None:
    """With table, column, row and the ids of keys, and without content; `check` cannot say more of that set."""
    commands = ("keys", "list", "--keys", "inner"), ("status",), ("run",)
    for number, (name, (row, cell, words)) in enumerate(FAULTS.items()):
        with named(name):
            app.database.execute("DELETE FROM crypt_key WHERE id = 'second'")
            app.store("second", wrapped("new inner") if cell is None else cell or None)
            chosen = f", where = \"id = '{row}'\"" if row else ""
            app.configure(f"primary = {{ {CELL}{chosen} }}")

            # All of them load the keys by the same code.
            for command in commands if long_form else [commands[number % 3]]:
                ran = app.run(*command)

                assert (ran.code, words in ran.err) == (2, True), ran.err
                assert "[keys.inner] primary (cell crypt_key.encrypted_key)" in ran.err
                assert "hunter2" not in ran.err
                assert name != "another key" or f"(tried {make_key('old master').id})" in ran.err, ran.err
            assert words in app.run("check").out.replace("\n", " "), name


CONFIGURED = {
    "a condition with a comment": (f"primary = {{ {CELL}, where = 'id = 1 -- x' }}", "where, character 8: it begins a"),
    "a condition that ends itself": (f"primary = {{ {CELL}, where = '1) OR (1' }}", "closes a parenthesis that is not"),
    "an unknown column": (f"primary = {{ {CELL}, where = 'idd = 1' }}", "it names a column that is not there"),
    "no such table": ('primary = { cell = "crypt_kee.encrypted_key", keys = "master" }', "did you mean crypt_key"),
    "a number": ('primary = { cell = "numbers.token", keys = "master" }', "numbers.token, id=1: holds no text"),
    "no such column": ('primary = { cell = "crypt_key.encrypted", keys = "master" }', "has no column"),
    "a url that is not set": (f'primary = {{ {CELL}, url = "$NOT_SET" }}', "its url is $NOT_SET, and that variable is"),
    "a circle": (
        f'primary = {{ {CELL.replace("master", "third")} }}\n[keys.third]\nprimary = {{ cell = "a.b", keys = "inner", '
        'url = "$DATABASE_URL" }',
        "no key opens the first of them",
    ),
    "under keys of rows": (
        f"primary = {{ {CELL.replace('master', 'rows')} }}\n[keys.rows]\n"
        'primary = { secret = "$MASTER_KEY", derive = "hkdf-sha256", salt = { column = "id" } }',
        "[keys.inner] primary: keys: [keys.rows] makes a key for each row, and none for a cell",
    ),
    "several urls": (
        "primary = { cell = 'crypt_key.encrypted_key', keys = 'master' }\n[[target]]\nurl = '$OTHER'\ntable = 'a'\n"
        "columns = ['b']\nkeys = 'inner'",
        "[keys.inner] primary: cell needs a url: the targets that have this key set are in no database or in several",
    ),
    "an open url": (
        f"primary = {FIRST}\n[keys.other]\nprimary = {{ {CELL} }}",
        "[keys.other] primary: cell needs a url: the targets that have this key set are in no database or in several",
    ),
}


def test_what_is_wrong_in_rotation_toml_is_said(local: App, named: Named) -> None:
    """A condition goes through the check of a target's; a circle is refused before anything is read."""
    # SQLite keeps a number there.
    local.database.execute(
        "CREATE TABLE numbers (id INTEGER PRIMARY KEY, token BLOB)", "INSERT INTO numbers VALUES (1, 7)"
    )
    for name, (inner, words) in CONFIGURED.items():
        with named(name):
            local.configure(inner)
            ran = local.run("keys", "list", "--keys", "inner")

            assert (ran.code, words in ran.err) == (2, True), ran.err
            assert local.run("status").code == 2


def test_a_database_that_does_not_answer_is_no_fault_of_the_keys(local: App) -> None:
    """The usual words and code; another set is served, and `check` does not know."""
    closed = 'url = "postgresql+psycopg://nobody:hunter2@127.0.0.1:1/none"'
    local.configure(f"primary = {{ {CELL}, {closed} }}")

    listed = local.run("keys", "list", "--keys", "inner")
    checked = local.run("check", "--json")
    local.configure(f"primary = {{ {CELL}, {closed} }}", MASTER)
    master = local.run("status")

    assert listed.code == 3
    assert "crypt_key.encrypted_key in " in listed.err
    assert "Nothing was written." in listed.err
    assert "hunter2" not in listed.err + checked.out
    assert (checked.document["status"], [each["name"] for each in checked.document["targets"]]) == (
        "UNKNOWN",
        ["crypt_key"],
    )
    assert master.code == 0, master.err


def test_keys_in_cells_are_not_edited(local: App, tmp_path: Path, named: Named) -> None:
    """Each step of the life of keys says what to do by hand, and changes nothing."""
    archive = tmp_path / "archive.keys"
    archive.write_text(f"{key_text('new inner')}\n")
    archive.chmod(0o600)
    before, (old, new) = (
        local.database.rows("SELECT * FROM crypt_key"),
        (make_key(one).id for one in ("inner", "new inner")),
    )

    with named("no staged entry"):
        ran = local.run("keys", "stage", "--keys", "inner", "--show-key")
        assert (ran.code, "and no `staged`: add one" in ran.err) == (2, True)
    with named("restore"):
        local.configure(f"primary = {FIRST}\nprevious = [{FIRST}]")
        ran = local.run("keys", "restore", new, "--keys", "inner", "--archive", str(archive))
        assert (ran.code, f'add {{ file = "{new}.keys" }} to `previous`' in ran.err) == (2, True), ran.err
    with named("go back"):
        local.configure(f'primary = {{ secret = "$NEW_INNER" }}\nprevious = [{FIRST}]')
        local.environ["NEW_INNER"] = key_text("new inner")
        ran = local.run("keys", "promote", old, "--keys", "inner")
        assert (ran.code, f"make the entry of {old} in `previous` the new `primary`" in ran.err) == (2, True), ran.err
    assert local.database.rows("SELECT * FROM crypt_key") == before


def test_a_secret_in_a_cell_is_derived(local: App) -> None:
    """What the token holds may be a passphrase, of which the application makes its key."""
    secret = "a passphrase of the application"
    local.store("second", Fernet(key_text("old master")).encrypt(secret.encode()).decode())
    local.configure(f"primary = {SECOND.replace(' }', DERIVED)}\nprevious = [{FIRST}]")

    assert local.run("run").code == 0

    key = Fernet(base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()))
    bodies = local.database.column("documents", "body").values()
    assert [key.decrypt(json.loads(body)["password"]) for body in bodies] == SECRETS
    assert secret not in get_redactor().redact(f"it is {secret}")


def test_a_cell_may_be_under_a_key_in_a_cell(local: App) -> None:
    """Two layers of wrapped keys: each is opened by the one around it."""
    local.store("second", wrapped("new inner", by="inner"))
    second = SECOND.replace('"master"', '"middle"')
    local.configure(
        f"primary = {second}\nprevious = [{FIRST}]",
        further=f"[keys.middle]\nprimary = {FIRST.replace(' }', URL)}",
    )

    assert local.states() == {make_key("new inner").id: "primary", make_key("inner").id: "previous"}


def test_a_relative_url_counts_from_the_folder_of_rotation_toml(
    local: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a target's does, whichever folder the command runs in."""
    local.environ["DATABASE_URL"] = "sqlite:///app.db"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert local.states() == {make_key("inner").id: "primary"}


def test_a_search_names_the_key_set_that_cannot_be_loaded(app: App) -> None:
    """Otherwise its tokens would seem to be another application's; and no variable that rotation.toml does not name."""
    # Without a token that no key opens, as the search would try every way to make its key.
    app.database.execute("DELETE FROM crypt_key", "DELETE FROM documents")
    ran = app.run("discover")
    del app.environ["MASTER_KEY"]
    lost = app.run("discover")

    words = "Note: [keys.inner] cannot be loaded, so that its tokens count as ones that no key opens. [keys.inner] "
    assert f"{words}primary (cell crypt_key.encrypted_key): its where chooses no row" in " ".join(ran.err.split())
    assert (lost.code, "[keys.master] primary ($MASTER_KEY): not set" in lost.err) == (2, True), lost.err
    assert "ENCRYPTION_KEY" not in lost.err


OPTIONAL = MASTER.replace("crypt_key", "missing").replace("DATABASE_URL", "OTHER_URL") + "optional = true\n"


@pytest.mark.parametrize("their_target", [MASTER, "", OPTIONAL], ids=["a target", "no target", "one that is not there"])
def test_a_master_key_with_the_secret_of_another_set_stays(local: App, their_target: str, tmp_path: Path) -> None:
    """A cell, also in another database, which no search reads, may be under the key that the other set makes of it."""
    twin = '[keys.twin]\nprimary = { secret = "$MASTER_KEY" }\nprevious = [{ secret = "$OLD_MASTER_KEY" }]\n'
    local.database.execute("CREATE TABLE theirs (id INTEGER PRIMARY KEY, token TEXT)", "DELETE FROM crypt_key")
    theirs = MASTER.replace("crypt_key", "theirs").replace("encrypted_key", "token").replace("master", "twin")
    local.set_master("new master", "old master")
    local.environ["OTHER_URL"] = f"sqlite:///{tmp_path}/other/app.db"
    local.configure(f"primary = {in_other_database(tmp_path)}", theirs + their_target + DATA, twin)

    ran = local.run("keys", "retire", make_key("old master").id, "--keys", "twin", "--no-archive", "--json")

    words = "set master, is made of the same secret, and this keeps it: crypt_key.encrypted_key, id=first: [keys.inner]"
    assert (ran.code, words in str(ran.document["refused"])) == (1, True), ran.out


def test_one_secret_in_a_cell_and_in_a_variable_is_seen(app: App) -> None:
    """Documents move from the key in the cell to the one in the variable; another set that has the same keeps it."""
    app.configure(
        f'primary = {{ secret = "$NEW_INNER" }}\nprevious = [{FIRST}]',
        further='[keys.third]\nprimary = { secret = "$COPY", derive = "sha256" }\n',
    )
    app.environ |= {"NEW_INNER": key_text("new inner"), "COPY": key_text("inner")}
    assert app.run("run").code == 0
    bodies = app.database.column("documents", "body").values()
    assert [Fernet(key_text("new inner")).decrypt(json.loads(body)["password"]) for body in bodies] == SECRETS

    ran = app.run("keys", "retire", make_key("inner").id, "--keys", "inner", "--no-archive", "--json")

    assert ran.code == 1
    assert "a primary key of the key set third, is made of the same secret" in str(ran.document["refused"])


def test_no_output_replaces_the_database_of_a_key(local: App, tmp_path: Path) -> None:
    """Also if no target is in it, and if the file is one that SQLite has yet to make."""
    local.configure(f"primary = {in_other_database(tmp_path)}")

    ran = local.run("run", "--problems", str(tmp_path / "other" / "app.db-journal"))

    assert (ran.code, "it belongs to an SQLite database of this command" in ran.err) == (2, True), ran.err


@pytest.mark.long
@pytest.mark.usefixtures("sending")
def test_the_cell_takes_no_further_connection(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command needs one, and one for the ledger of each key set; each worker needs one."""
    with open_database("postgresql", tmp_path) as database:
        app = App(database, tmp_path, cli)
        app.set_master("new master", "old master")
        for argv in (("status",), ("run",), ("check",), ("run", "--workers", "2")):
            with user_with(database, 3) as url:
                app.environ |= {"DATABASE_URL": url, "ROTATION_LEDGER_URL": "" if "--workers" in argv else url}
                for name, value in app.environ.items():
                    monkeypatch.setenv(name, value)
                ran = app.run(*argv)

                assert ran.code in {0, 1}, ran.out + ran.err
                assert "to spare" not in ran.out + ran.err
