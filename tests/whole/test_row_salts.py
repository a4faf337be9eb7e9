"""Keys that are made for each row, with the salt in a column, through the command line and on real databases."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet, InvalidToken

from keyring_core import Derivation
from keyring_core.row_keys import RowDerivation
from rotation.context import Context
from rotation.discovery.discover import SearchPlan
from rotation.discovery.result import Discovery
from rotation.lifecycle import gathering
from rotation.planning import salted
from rotation.stores import reader
from tests.conftest import Cli, Named, Ran
from tests.databases import Database
from tests.keys import key_text, make_key

pytestmark = [
    pytest.mark.database,
    pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning"),
]

SECRETS = {name: f"{name.lower()} secret of an application" for name in ("OLD", "NEW", "OLDER", "FIXED")}
BY_USER = 'derive = "pbkdf2-sha256", salt = { column = "user_id" }, iterations = 1000'
CONFIG = f"""
[[target]]
url = "$DATABASE_URL"
table = "creds"
columns = ["token"]
keys = "app"

[keys.app]
primary  = {{ secret = "$NEW", {BY_USER} }}
previous = [{{ secret = "$OLD", {BY_USER} }}]
"""
MIXED = f"""
[[target]]
url = "$DATABASE_URL"
table = "creds"
columns = ["token"]
keys = "app"

[keys.app]
primary  = {{ secret = "$RAW_NEW" }}
previous = [
    {{ secret = "$OLDER", derive = "sha256" }},
    {{ secret = "$FIXED", derive = "pbkdf2-sha256", salt = "fixed", iterations = 1000 }},
    {{ secret = "$OLD", {BY_USER} }},
    {{ secret = "$OLD", derive = "hkdf-sha256", salt = {{ column = "note" }} }},
    {{ secret = "$RAW_OLD" }},
]
"""


def fernet(raw: bytes) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(raw))


def by_user(secret: str, user: object) -> Fernet:
    """What the application makes of its secret for a user."""
    return fernet(hashlib.pbkdf2_hmac("sha256", SECRETS[secret].encode(), str(user).encode(), 1000, 32))


def row_id(secret: str) -> str:
    """The id of all keys that are made of a secret."""
    return RowDerivation("pbkdf2-sha256", "user_id", iterations=1000).key(SECRETS[secret]).id


class App:
    """A table with a salt in each row, and what is set for its application."""

    def __init__(self, database: Database, folder: Path, cli: Cli) -> None:
        self.database, self.folder, self._cli = database, folder, cli
        database.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, user_id INTEGER, token TEXT, note VARCHAR(50))")
        self.env = folder / "app.env"
        values = {**SECRETS, "RAW_NEW": key_text("new"), "RAW_OLD": key_text("old"), "DATABASE_URL": database.url}
        self.env.write_text("".join(f"{name}='{value}'\n" for name, value in values.items()))
        self.env.chmod(0o600)
        self.configure(CONFIG)

    def configure(self, text: str) -> None:
        (self.folder / "rotation.toml").write_text(text)

    def fill(self, rows: list[tuple[Any, Any]]) -> None:
        """A user and a cell for each row."""
        columns = [{"id": n, "user_id": user, "token": cell, "note": f"s{n}"} for n, (user, cell) in enumerate(rows)]
        self.database.insert("creds", columns)

    def run(self, *argv: str) -> Ran:
        return self._cli("--config", f"{self.folder / 'rotation.toml'}", *argv, "--env-file", f"{self.env}", environ={})

    def opened(self, secret: str) -> list[str]:
        """Every cell, by the stock code of the application."""
        rows = self.database.rows("SELECT user_id, token FROM creds WHERE token IS NOT NULL ORDER BY id")
        return [by_user(secret, user).decrypt(cell).decode() for user, cell in rows]


@pytest.fixture
def app(database: Database, tmp_path: Path, cli: Cli) -> App:
    return App(database, tmp_path, cli)


def old(user: int, text: str) -> str:
    return by_user("OLD", user).encrypt(text.encode()).decode()


def test_each_row_moves_to_the_key_of_its_own_salt(app: App) -> None:
    """The application reads every row with its new secret; reports know one key a secret; the old one can go."""
    texts = [f"value {n}" for n in range(60)]
    app.fill([(n // 3, old(n // 3, text)) for n, text in enumerate(texts)])
    archived = app.run("keys", "retire", row_id("OLD"), "--archive", f"{app.folder / 'a.keys'}", "--keys", "app")
    before, ran, after = app.run("status", "--json"), app.run("run", "--json"), app.run("status")

    assert before.document["targets"][0]["under"] == {row_id("OLD"): 60}
    assert ran.document["targets"][0]["under"] == {row_id("NEW"): 60}
    assert (ran.code, after.code) == (0, 0)
    assert app.opened("NEW") == texts
    with pytest.raises(InvalidToken):
        app.opened("OLD")

    found = app.run("discover", "--json").document
    assert [(column["covered"], column["salted"]) for column in found["columns"]] == [(True, True)]
    assert "creds.token: each row has a key of its own, with which no search opens a token; " in app.run("discover").out
    # At once, before anything is counted.
    assert (archived.code, (app.folder / "a.keys").exists()) == (2, False)
    assert "an archive holds keys. Keep that secret" in archived.err
    retired = app.run("keys", "retire", row_id("OLD"), "--no-archive", "--keys", "app")
    assert retired.code == 0, retired.out + retired.err
    assert app.run("status").code == 0


def test_each_command_prints_a_retirement_that_works(app: App) -> None:
    """No archive can keep the key of a secret, so no command proposes one: not before a run, and not after it."""
    app.fill([(5, old(5, "value"))])
    before = app.run("keys", "list", "--keys", "app")
    printed = [before, app.run("run"), app.run("check"), app.run("keys", "list", "--keys", "app")]
    undecided = app.run("keys", "retire", row_id("OLD"), "--keys", "app")

    command = f"keys retire {row_id('OLD')} --no-archive --keys app"
    assert [command in ran.out for ran in printed] == [True] * 4
    assert undecided.code == 2
    assert "--archive" not in "".join(ran.out + ran.err for ran in (*printed, undecided))
    assert "to read old backups later, keep its secret where you keep your backups' keys" in undecided.err
    retired = app.run(*command.split())
    assert retired.code == 0, retired.out + retired.err


def test_a_promotion_that_finds_the_place_taken_names_a_retirement_that_works(app: App) -> None:
    """The variable of the previous secret holds another one, which is to be retired first, without an archive."""
    app.configure(CONFIG.replace("previous =", f'staged = {{ secret = "$OLDER", {BY_USER} }}\nprevious ='))
    app.fill([(5, by_user("NEW", 5).encrypt(b"value").decode())])
    ran = app.run("keys", "promote", "--keys", "app")

    assert ran.code == 2
    assert f"keys retire {row_id('OLD')} --no-archive --keys app" in ran.out + ran.err


def test_a_mixed_list_of_derived_and_raw_keys_moves_to_one_raw_key(app: App) -> None:
    """Tokens under a hash, a derivation with a fixed salt, keys of rows by two columns and a raw key: all are moved."""
    app.configure(MIXED)
    hkdf = Derivation("hkdf-sha256", salt="s3").key(SECRETS["OLD"]).fernet
    olds = [
        fernet(hashlib.sha256(SECRETS["OLDER"].encode()).digest()),
        fernet(hashlib.pbkdf2_hmac("sha256", SECRETS["FIXED"].encode(), b"fixed", 1000, 32)),
        by_user("OLD", 5),
        hkdf,
        make_key("old").fernet,
        make_key("new").fernet,
    ]
    app.fill([(5, each.encrypt(b"value %d" % n).decode()) for n, each in enumerate(olds)])
    ran = app.run("run", "--json")
    cells = app.database.column()

    assert ran.code == 0, ran.out + ran.err
    [target] = ran.document["targets"]
    assert (target["rotated"], target["current"], target["under"]) == (5, 1, {make_key("new").id: 6})
    stock = Fernet(key_text("new"))
    assert [stock.decrypt(cells[n]) for n in range(6)] == [b"value %d" % n for n in range(6)]


def test_a_row_without_a_salt_is_reported_and_keeps_the_old_key(app: App) -> None:
    """The problem has a category of its own; the other rows move; the old key is not retired."""
    app.fill([(None, old(1, "lost")), (1, old(1, "value")), (None, None)])
    problems = app.folder / "problems.jsonl"
    ran = app.run("run", "--problems", f"{problems}")
    line = json.loads(problems.read_text().splitlines()[0])
    retired = app.run("keys", "retire", row_id("OLD"), "--no-archive", "--keys", "app")

    assert (ran.code, retired.code) == (1, 1)
    assert (line["category"], "user_id" in str(line)) == ("no-salt", True)
    assert f"1 unreadable, which may need {row_id('OLD')}" in retired.out + retired.err
    assert app.database.rows("SELECT token FROM creds WHERE id = 1") != [(old(1, "value"),)]


def test_what_does_not_go_with_a_salt_of_the_row_is_refused(app: App, named: Named) -> None:
    """Before anything is written, with the settings' names; a column that is not there is named with its like."""
    app.fill([(1, old(1, "value"))])
    refusals = {
        'context = "creds.token"': "context cannot go with keys whose salt is in a column (user_id)",
        'index = { column = "note", context = "creds.token" }': "index cannot go with keys",
        'from = { package = "advanced-alchemy", secret = "$OLDER" }': "from cannot go with keys",
        'set = { note = "primary-key-id" }': "set cannot go with keys",
    }
    for setting, words in refusals.items():
        with named(setting):
            app.configure(CONFIG.replace('keys = "app"\n', f'keys = "app"\n{setting}\n', 1))
            for command in (["run"], ["status"], ["run", "--dry-run"]):
                ran = app.run(*command)

                assert (ran.code, words in ran.err) == (2, True), ran.err
    with named("a column that is not there"):
        app.configure(CONFIG.replace('"user_id"', '"userid"'))
        ran = app.run("status")

        assert ran.code == 2
        assert "[keys.app] salt: table creds has no column userid; did you mean user_id?" in ran.err
    for beside in ('columns = ["note"]', 'columns = ["id"]\nset = { note = "primary-key-id" }'):
        with named("a salt that a target changes", beside):
            target = f'[[target]]\nurl = "$DATABASE_URL"\ntable = "creds"\n{beside}\n'
            app.configure(target + CONFIG.replace('"user_id"', '"note"'))
            ran = app.run("run")

            assert (ran.code, "note is a salt of creds.token, and the target creds." in ran.err) == (2, True), ran.err
    with named("the column of the tokens"):
        app.configure(CONFIG.replace('"user_id"', '"token"'))

        assert "token is the column of the tokens" in app.run("status").err
    faults = {
        'salt = { column = "" }': "salt names no column",
        "salt = { }": "`column` is missing",
        'salt = { column = "user_id", form = "hex" }': "`form` is one of value, uuid",
    }
    for salt, words in faults.items():
        with named(salt):
            app.configure(CONFIG.replace('salt = { column = "user_id" }', salt))

            assert words in app.run("status").err
    with named("a kind without a salt"):
        app.configure(CONFIG.replace('"pbkdf2-sha256"', '"sha256"').replace(", iterations = 1000", ""))

        assert "it takes no salt" in app.run("status").err
    assert app.opened("OLD") == ["value"]


@pytest.mark.usefixtures("sending")
def test_workers_and_threads_derive_the_keys_of_rows_themselves(app: App, named: Named, *, long_form: bool) -> None:
    """Several processes, or several threads, move every row; no secret is sent."""
    texts = [f"value {n}" for n in range(300 if long_form else 60)]
    app.fill([(n, old(n, text)) for n, text in enumerate(texts)])
    with named("processes"):
        assert app.run("run", "--workers", "3").code == 0
        assert app.opened("NEW") == texts
    with named("threads, and back"):
        app.configure(CONFIG.replace("$NEW", "$X").replace("$OLD", "$NEW").replace("$X", "$OLD"))

        assert app.run("run", "--full-speed", "--allow-demotion").code == 0
        assert app.opened("OLD") == texts


@pytest.mark.some(1)
@pytest.mark.parametrize(("table", "rule"), [("creds", BY_USER), ("other", BY_USER), ("other", 'derive = "sha256"')])
def test_a_retirement_counts_again_after_its_search(
    app: App, table: str, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search opens no token of these keys: what is written under the old one meanwhile refuses all the same.

    Also in the table of another set, whose key is made of the same secret.
    """
    app.database.execute("CREATE TABLE other (id INTEGER PRIMARY KEY, user_id INTEGER, token TEXT, note VARCHAR(50))")
    app.configure(CONFIG.replace(BY_USER, rule) + CONFIG.replace('"creds"', '"other"').replace("app", "theirs"))
    key = row_id("OLD") if rule == BY_USER else Derivation("sha256").key(SECRETS["OLD"]).id
    app.fill([(1, old(1, "value") if rule == BY_USER else None)])
    assert app.run("run").code == 0
    search = gathering.Context.search

    def write_and_search(context: Context, plan: SearchPlan) -> Discovery:
        if plan.full:
            app.database.insert(table, [{"id": 9, "user_id": 2, "token": old(2, "late"), "note": ""}])
        return search(context, plan)

    monkeypatch.setattr(gathering.Context, "search", write_and_search)
    retired = app.run("keys", "retire", key, "--no-archive", "--keys", "app")

    assert retired.code == 1
    assert f"{table}.token: 1 token under {row_id('OLD')}" in retired.out + retired.err


def test_a_secret_of_rows_stays_for_what_no_search_opens(app: App, named: Named) -> None:
    """No search opens tokens under keys of rows, so that each one that no key opens may need the secret.

    Unless it is in a target of a set with such keys of its own, whose census opens it.
    """
    app.database.execute("CREATE TABLE other (id INTEGER PRIMARY KEY, user_id INTEGER, token TEXT)")
    app.database.insert("other", [{"id": 1, "user_id": 1, "token": ""}])
    app.fill([(1, old(1, "value"))])
    assert app.run("run").code == 0
    target = CONFIG.partition("[keys")[0].replace("creds", "other")
    another, raw = target.replace("app", "raw"), '[keys.raw]\nprimary = { secret = "$RAW_NEW" }\n'
    retire = ("keys", "retire", row_id("OLD"), "--no-archive", "--keys", "app")
    env, cell, stock = app.env.read_text(), old(1, "misplaced"), Fernet(key_text("new")).encrypt(b"theirs").decode()

    def retired(cell: str, *further: str) -> Ran:
        app.database.execute("UPDATE other SET token = :cell", cell=cell)
        app.configure(CONFIG + "".join(further))
        return app.run(*retire)

    others = "other.token, a target of another key set: 1 token that no key here opens"
    leave = 'format = "embedded"\nothers = "leave"\n'
    # With something behind an encoded token its end does not show.
    encoded = [base64.b64encode((cell.rstrip("=") + behind).encode()).decode() for behind in ("", ";more")]
    stays = {
        "in a target of another key set": ((cell, another, raw), others),
        "and its own set has other rows": (
            (cell, another, 'where = "id > 0"\n', target, 'where = "id < 1"\n', raw),
            others,
        ),
        "left as another owner's": ((f"{cell} {stock}", another, leave, raw), others),
        "encoded, in no target": ((encoded[0],), "other.token: holds 1 token that no key here opens"),
        "encoded, before other text": ((encoded[1],), "other.token: holds 1 token that no key here opens"),
        "under keys that cannot be loaded": (
            (stock, another, raw.replace("RAW_NEW", "NOT_SET")),
            "1. the keys of [keys.raw] cannot be loaded here: set them, then run this again",
        ),
    }
    for name, (given, words) in stays.items():
        with named(name):
            ran = retired(*given)

            assert (ran.code, words in ran.out) == (1, True), ran.out
    with named("in a token of another row, of which a row's keys open the outer one alone"):
        app.database.insert("creds", [{"id": 7, "user_id": 1, "token": old(1, old(2, "inner")), "note": ""}])
        ran = [retired("", another, raw), app.run("run"), app.run(*retire)][-1]

        assert (ran.code, "1 token that no key here opens, inside of other tokens" in ran.out) == (1, True), ran.out
        app.database.execute("DELETE FROM creds WHERE id = 7")
    for name, (theirs, keys) in {
        "under a set's keys of rows": (by_user("NEW", 1), f'primary = {{ secret = "$NEW", {BY_USER} }}'),
        "of another secret": (by_user("FIXED", 1), f'primary = {{ secret = "$FIXED", {BY_USER} }}'),
        "under keys that were set by now": (make_key("new").fernet, 'primary = { secret = "$RAW_NEW" }'),
    }.items():
        with named(name):
            app.env.write_text(env)
            ran = retired(theirs.encrypt(b"theirs").decode(), another, f"[keys.raw]\n{keys}\n")

            assert ran.code == 0, ran.out


@pytest.mark.mariadb_only
@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_past_rows_keep_a_secret_of_rows(app: App) -> None:
    """MariaDB's SYSTEM VERSIONING keeps what a run replaced, and no search opens tokens under keys of rows."""
    app.fill([(1, old(1, "value"))])
    app.database.execute("ALTER TABLE creds ADD SYSTEM VERSIONING")
    assert app.run("run").code == 0
    retired = app.run("keys", "retire", row_id("OLD"), "--no-archive", "--keys", "app")

    assert retired.code == 1, retired.out
    assert "creds.token, rows of the table's past among them: 2 tokens that no key here opens" in retired.out


def test_rows_that_services_write_during_a_run_are_moved(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others wrote since a pass began is read with its salt, or makes another pass due."""
    from rotation.job.passes import TargetRun

    app.fill([(1, old(1, "value"))])
    make_pass, written = TargetRun._pass, []

    def write_behind(self: TargetRun, *given: Any) -> Any:
        counts = make_pass(self, *given)
        if not written:
            written.append(True)
            app.database.insert("creds", [{"id": 9, "user_id": 2, "token": old(2, "late"), "note": ""}])
        return counts

    monkeypatch.setattr(TargetRun, "_pass", write_behind)
    ran = app.run("run")

    assert ran.code == 0, ran.out
    assert app.opened("NEW") == ["value", "late"]


def test_plaintext_is_adopted_under_the_key_of_its_row(app: App) -> None:
    """`adopt` encrypts with the row's key, as the application would."""
    app.fill([(1, "plain words of a user"), (2, by_user("NEW", 2).encrypt(b"value").decode())])
    ran = app.run("adopt", "--yes")

    assert ran.code == 0, ran.out + ran.err
    assert app.opened("NEW") == ["plain words of a user", "value"]


def test_a_secret_of_rows_is_staged_and_promoted(app: App) -> None:
    """The secrets move in the dotenv file, and the application reads its data with the newest."""
    app.configure(CONFIG.replace("previous =", f'staged = {{ secret = "$STAGED", {BY_USER} }}\nprevious =', 1))
    app.fill([(1, by_user("NEW", 1).encrypt(b"value").decode())])
    app.env.write_text(app.env.read_text().replace(f"OLD='{SECRETS['OLD']}'\n", "OLD=\n"))
    staged = app.run("keys", "stage", "--keys", "app", "--json")
    promoted = app.run("keys", "promote", "--keys", "app")
    ran = app.run("run", "--json")

    assert (staged.code, promoted.code, ran.code) == (0, 0, 0), staged.err + promoted.err + ran.err
    assert ran.document["targets"][0]["under"] == {staged.document["key"]: 1}
    assert {each["state"] for each in app.run("keys", "list", "--keys", "app", "--json").document["keys"]} == {
        "primary",
        "previous",
    }


def test_large_cells_are_moved_whichever_batch_they_are_in(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch ends where cells get heavy, or where keys take too long; one that is too large is named by its row."""
    monkeypatch.setattr(salted, "READY_SECONDS", 0)
    monkeypatch.setattr(reader, "BATCH_BYTES", 250_000)
    monkeypatch.setattr(reader, "LARGEST_CELL", 150_000)
    if app.database.kind == "mariadb":
        app.database.execute("ALTER TABLE creds MODIFY token LONGTEXT")
    texts = [letter * 75_000 for letter in "abcdef"]
    cells = [old(number, text) for number, text in enumerate(texts)]

    app.fill([*enumerate(cells[:3]), (7, old(7, "x" * 150_000)), *enumerate(cells[3:], 3)])
    ran = app.run("run", "--json")

    [target] = ran.document["targets"]
    assert (ran.code, target["rotated"], target["unsettled"]) == (1, 6, 1)
    assert [(problem["key"], problem["category"]) for problem in target["problems"]] == [({"id": 3}, "oversized")]
    app.database.execute("DELETE FROM creds WHERE id = 3")
    assert app.opened("NEW") == texts
    assert app.run("run").code == 0
