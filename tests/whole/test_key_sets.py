"""Several key sets in one rotation.toml, through the command line: from the census to a retirement."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from dotenv import dotenv_values

from keyring_core import Derivation, Key
from rotation.lifecycle import environment_keys
from rotation.model.failures import StoreError
from rotation.world.atomic_file import replace_whole
from tests.conftest import Cli, Named, Ran
from tests.databases import Database, open_database
from tests.fakes import token
from tests.keys import key_text, make_key

pytestmark = pytest.mark.database

ODD = 'a secret, with # "signs" and Ünicode'
OLD_SECRET, NEW_SECRET = "the old secret, with a comma", "the-new-secret-0123456789"
CONFIG = """
[[target]]
url = "$DATABASE_URL"
table = "creds"
columns = ["token"]
keys = "airflow"

[[target]]
url = "$DATABASE_URL"
table = "sources"
columns = ["options"]
keys = "redash"

[keys.airflow]
primary  = { secret = "$AIRFLOW_KEY" }
staged   = { secret = "$AIRFLOW_STAGED_KEY" }
previous = [{ secret = "$AIRFLOW_PREVIOUS_KEYS" }]

[keys.redash]
primary  = { secret = "$REDASH_SECRET", derive = "sha256" }
staged   = { secret = "$REDASH_STAGED_SECRET", derive = "sha256" }
previous = [{ secret = "$REDASH_OLD_SECRET", derive = "sha256" }]
"""


SOURCES = """table = "sources"
columns = ["options"]
keys = "redash"
"""
EXTRA = """
[[target]]
url = "$DATABASE_URL"
table = "mine"
columns = ["token"]
"""


def stock(secret: str) -> Fernet:
    """What Redash itself makes of a secret."""
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()))


def read_id(secret: str) -> str:
    """The id of the key that is made of a secret of Redash."""
    return Derivation("sha256").key(secret).id


class App:
    """A database with the tables of two applications, and what is set for them."""

    def __init__(self, database: Database, folder: Path, cli: Cli) -> None:
        self.database, self.folder, self._cli = database, folder, cli
        database.make_creds([token("old", f"password {row}") for row in range(3)])
        database.execute("CREATE TABLE sources (id INTEGER PRIMARY KEY, options TEXT)")
        for row in range(4):
            self.write(row, stock(OLD_SECRET).encrypt(b"options %d" % row).decode())
        (folder / "rotation.toml").write_text(CONFIG)
        self.env = folder / "app.env"
        self.env.write_text(
            f"AIRFLOW_KEY={key_text('old')}\nREDASH_OLD_SECRET='{OLD_SECRET}'\nREDASH_SECRET={NEW_SECRET}\n"
            f"DATABASE_URL={database.url}\n"
        )
        self.env.chmod(0o600)

    def change(self, old: str, new: str) -> None:
        """Edits rotation.toml."""
        path = self.folder / "rotation.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def write(self, row: int, cell: str) -> None:
        """Stores a cell of Redash."""
        self.database.execute(f"INSERT INTO sources VALUES ({row}, '{cell}')")

    def run(self, *argv: str) -> Ran:
        """Runs a command without ENCRYPTION_KEY."""
        options = ("--config", str(self.folder / "rotation.toml"), "--env-file", str(self.env))
        return self._cli(*argv, *options, environ={})

    def variables(self) -> dict[str, str | None]:
        """What the dotenv file sets."""
        return dotenv_values(self.env, interpolate=False)

    def options(self) -> list[bytes]:
        """What Redash reads with the secret that is set now."""
        fernet = stock(self.variables()["REDASH_SECRET"] or "")
        return [fernet.decrypt(cell) for (cell,) in self.database.rows("SELECT options FROM sources ORDER BY id")]


@pytest.fixture
def app(tmp_path: Path, cli: Cli) -> Iterator[App]:
    with open_database("sqlite", tmp_path) as database:
        yield App(database, tmp_path, cli)


@pytest.mark.usefixtures("sending")
@pytest.mark.parametrize("options", [(), ("--workers", "3")], ids=["alone", "workers"])
def test_one_run_serves_two_applications(app: App, options: tuple[str, ...]) -> None:
    """Each column moves to its own set's primary key; no key of the environment is needed, and none is sent."""
    looked = app.run("status", "--json").document
    ran = app.run("run", "--json", *options)

    assert [target["to_rotate"] for target in looked["targets"]] == [0, 4]
    assert (ran.code, ran.document["complete"]) == (0, True)
    assert [(target["keys"], target["rotated"]) for target in ran.document["targets"]] == [
        ("airflow", 0),
        ("redash", 4),
    ]
    assert {key["set"] for key in ran.document["keys"]} == {"airflow", "redash"}
    assert app.options() == [b"options %d" % row for row in range(4)]
    assert app.run("status").code == 0


def test_each_set_has_its_verdict_on_the_screen(app: App) -> None:
    """What is complete is said with the set's name, and the next command of a run and of a finding names the set."""
    out = app.run("run").out
    checked = app.run("check", "--json").document["findings"]

    retire = f"keys retire {read_id(OLD_SECRET)} --archive {read_id(OLD_SECRET)}.keys --keys redash"
    assert 'Key set airflow:\nComplete: every token of the column named in rotation.toml with keys = "airflow"' in out
    assert retire in " ".join(out.split())
    [kept] = [finding for finding in checked if finding["check"] == "previous_keys"]
    assert kept["remedy"].startswith(f"keyring-rotate {retire} --config ")


def test_a_key_set_is_named_only_if_there_are_several(app: App, named: Named) -> None:
    """Without keys of the environment, the life of keys takes the one set there is; of several it asks for a name."""
    begin, _, _ = CONFIG.partition("[keys.redash]")
    path, archive = app.folder / "rotation.toml", ("--archive", str(app.folder / "old.keys"))
    old, before = make_key("old").id, app.variables()
    steps = {
        "list": ((), 0),
        "stage": ((), 0),
        "promote": ((), 0),
        "retire": ((old, *archive), 1),
        "restore": ((old, *archive), 2),
    }
    for step, (arguments, _) in steps.items():
        with named(step, "of two sets"):
            ran = app.run("keys", step, *arguments)

            assert (ran.code, "name one: --keys airflow or --keys redash" in ran.err) == (2, True)
    with named("a set that is not there"):
        assert "did you mean redash?" in app.run("keys", "list", "--keys", "redsh").err
    with named("a set, and a target of the command line, which is of none"):
        ran = app.run("keys", "retire", old, "--no-archive", "--keys", "redash", "--url", "sqlite:///a.db")

        assert (ran.code, "--keys and --url, --table, --column exclude each other" in ran.err) == (2, True)
    path.write_text(begin.replace(SOURCES, SOURCES.replace("redash", "airflow")))
    for step, (arguments, code) in steps.items():
        with named(step, "of the only one"):
            ran = app.run("keys", step, *arguments)

            assert (ran.code, "ENCRYPTION_KEY" in ran.out + ran.err) == (code, False), ran.out + ran.err
            assert step != "stage" or "keys promote --keys airflow" in ran.out
    with named("the variables of this set, and no other"):
        after = app.variables()
        assert after["AIRFLOW_PREVIOUS_KEYS"] == key_text("old")
        names = {"AIRFLOW_KEY", "AIRFLOW_PREVIOUS_KEYS", "AIRFLOW_STAGED_KEY"}
        assert {name for name in after if after[name] != before.get(name)} == names
    with named("a target of the environment's keys"):
        path.write_text(EXTRA + path.read_text())

        assert "ENCRYPTION_KEY: not set" in app.run("keys", "list").err


def test_a_key_of_a_set_goes_its_whole_way(app: App) -> None:
    """Staged, promoted, used and retired: the secrets move in the dotenv file, and the application reads its data.

    A variable holds one passphrase: promoting before the last one is retired would lose it.
    """
    assert app.run("run").code == 0
    staged = app.run("keys", "stage", "--keys", "redash", "--json").document["key"]
    before = app.env.read_bytes()
    refused = app.run("keys", "promote", "--keys", "redash")
    assert (refused.code, app.env.read_bytes()) == (2, before)
    assert "REDASH_OLD_SECRET holds another secret, and takes one" in refused.err
    assert app.run("keys", "retire", read_id(OLD_SECRET), "--no-archive", "--keys", "redash").code == 0
    assert app.variables()["REDASH_OLD_SECRET"] == ""

    assert read_id(app.variables()["REDASH_STAGED_SECRET"] or "") == staged
    assert app.run("keys", "promote", "--keys", "redash").code == 0
    assert app.variables()["REDASH_OLD_SECRET"] == NEW_SECRET
    assert app.run("run").code == 0
    assert app.options() == [b"options %d" % row for row in range(4)]
    assert app.run("keys", "retire", read_id(NEW_SECRET), "--no-archive", "--keys", "redash").code == 0
    assert app.options() == [b"options %d" % row for row in range(4)]


def test_a_secret_does_not_move_between_derivations(app: App) -> None:
    """A staged key of another derivation is promoted by editing rotation.toml, which the message says."""
    app.change('staged   = { secret = "$REDASH_STAGED_SECRET", derive = "sha256" }', 'staged = { secret = "$NEXT" }')
    app.run("run")
    app.run("keys", "retire", read_id(OLD_SECRET), "--no-archive", "--keys", "redash")
    app.run("keys", "stage", "--keys", "redash")

    refused = app.run("keys", "promote", "--keys", "redash")

    assert refused.code == 2
    assert "Move the entry in rotation.toml" in refused.err


def test_a_token_of_another_set_keeps_a_run_from_being_complete(app: App) -> None:
    """It is named with its key and its set, and stays byte for byte."""
    stray = token("old", "of airflow")
    app.write(9, stray)

    ran = app.run("run", "--json")

    [problem] = ran.document["targets"][1]["problems"]
    assert (ran.code, problem["category"]) == (1, "other-key-set")
    assert f"under {make_key('old').id}, a key of the key set airflow" in problem["detail"]
    assert app.database.rows("SELECT options FROM sources WHERE id = 9") == [(stray,)]


def test_a_check_judges_every_set(app: App, tmp_path: Path) -> None:
    """Findings, keys and metrics name the set; what is about all sets is said once."""
    metrics = tmp_path / "keys.prom"
    app.write(9, "plain text")

    checked = app.run("check", "--json", "--prometheus", str(metrics)).document

    [plain] = [finding for finding in checked["findings"] if finding["check"] == "plaintext"]
    assert plain["subject"] == "default/redash: sources.options"
    assert {key["service"] for key in checked["keys"]} == {"default/airflow", "default/redash"}
    lines = metrics.read_text().splitlines()
    assert 'keyring_check_status{check="plaintext",service="default/airflow"} 0.0' in lines
    assert sum(line.startswith("# TYPE keyring_check_status ") for line in lines) == 1


def test_a_page_is_of_one_set(app: App, tmp_path: Path) -> None:
    """Without a name the sets are listed; with one the page shows its keys."""
    page = tmp_path / "page.html"

    assert "--keys airflow or --keys redash" in app.run("report", "--html", str(page)).err
    assert app.run("report", "--html", str(page), "--keys", "redash").code == 1
    assert read_id(NEW_SECRET) in page.read_text()
    assert make_key("old").id not in page.read_text()


def test_no_secret_is_shown(app: App) -> None:
    """Whatever a command prints, no secret of a set is in it, unless --show-key asks for it."""
    commands = ("status", "run", "check", "keys list --keys redash", "keys stage --keys redash")

    shown = "".join(ran.out + ran.err for ran in (app.run(*command.split()) for command in commands))

    secrets = [value for name, value in app.variables().items() if value and name != "DATABASE_URL"]
    assert len(secrets) == 4
    assert not [secret for secret in secrets if secret[:12] in shown]


OPTIONAL = ('keys = "redash"\n\n[keys', 'keys = "redash"\noptional = true\n\n[keys')


def test_a_set_without_a_table_keeps_no_other_set_from_its_work(app: App) -> None:
    """An optional table that this version lacks is named, and all of the rest is rotated, checked and complete."""
    app.change(*OPTIONAL)
    app.database.execute("DROP TABLE sources")
    app.env.write_text(
        app.env.read_text().replace("AIRFLOW_KEY=", f"AIRFLOW_KEY={key_text('new')}\nAIRFLOW_PREVIOUS_KEYS=")
    )

    ran, looked = app.run("run", "--json"), app.run("status")
    checked = app.run("check", "--json").document["findings"]

    assert (ran.code, looked.code) == (0, 0)
    assert [target["rotated"] for target in ran.document["targets"]] == [3]
    [left_out] = ran.document["left_out"]
    assert left_out.startswith("sources.options: left out: there is no table sources")
    assert "Key set redash:\nThe database has none of its columns, and all of them are optional." in looked.out
    assert not [finding for finding in checked if "sources" in finding["subject"] + finding["message"]]


def test_the_key_of_a_set_without_a_table_can_be_retired(app: App) -> None:
    """Nothing needs it if the table is optional and others are there; without any it is the wrong database."""
    app.database.execute("DROP TABLE sources")
    key_id = read_id(OLD_SECRET)
    argv = ("keys", "retire", key_id, "--keys", "redash", "--no-archive")

    needed = app.run("run")
    app.change(*OPTIONAL)
    app.change('keys = "airflow"\n\n[[', 'keys = "airflow"\noptional = true\n\n[[')
    app.database.execute("ALTER TABLE creds RENAME TO away")
    ran, nowhere = app.run("run"), app.run(*argv)
    app.database.execute("ALTER TABLE away RENAME TO creds")
    retired = app.run(*argv)

    assert (needed.code, ran.code, nowhere.code, retired.code) == (2, 2, 2, 0)
    assert "there is no table sources" in needed.err
    assert "none of the targets is there: creds.token: left out" in ran.err
    assert "none of the targets is there: sources.options" in nowhere.err
    assert f"Retired {key_id}" in retired.out
    assert app.variables()["REDASH_OLD_SECRET"] == ""


SECOND = """
[[target]]
url = "$DATABASE_URL"
table = "apps"
columns = ["secret"]
keys = "second"

[keys.second]
primary  = { secret = "$REDASH_SECRET", derive = "hkdf-sha256", info = "second" }
previous = [{ secret = "$REDASH_OLD_SECRET", derive = "hkdf-sha256", info = "second" }]
staged   = { secret = "$REDASH_STAGED_SECRET", derive = "hkdf-sha256", info = "second" }
"""


def second_key(secret: str) -> Key:
    """The key that the second set makes of a secret of Redash."""
    return Derivation("hkdf-sha256", info="second").key(secret)


@pytest.fixture
def sharing(app: App) -> App:
    """Two sets that make different keys of one secret, as Open WebUI does; all of the first set is rotated."""
    app.change("[keys.airflow]", f"{SECOND}\n[keys.airflow]")
    app.database.execute("CREATE TABLE apps (id INTEGER PRIMARY KEY, secret TEXT)")
    app.run("run")
    return app


def test_a_secret_stays_while_another_set_needs_it(sharing: App, tmp_path: Path, named: Named) -> None:
    """It would take that set's key with it. If no set needs it, it goes, and the archive keeps each key made of it.

    That set has it as its primary key, or does not load, or a token is under its key: each is a reason to keep it.
    """
    retire, archive = ("keys", "retire", read_id(OLD_SECRET), "--keys", "redash"), tmp_path / "retired.keys"
    config, before = (sharing.folder / "rotation.toml").read_text(), sharing.env.read_bytes()
    old = '{ secret = "$REDASH_OLD_SECRET", derive = "hkdf-sha256", info = "second" }'
    other = second_key(OLD_SECRET)
    with named("the primary key"):
        sharing.change('{ secret = "$REDASH_SECRET", derive = "hkdf', '{ secret = "$REDASH_OLD_SECRET", derive = "hkdf')
        assert "the key set second would have no primary key" in sharing.run(*retire, "--no-archive").out
    with named("a set that does not load"):
        sharing.change(f"{old}\nprev", '{ secret = "$X" }\nprev')
        assert "[keys.second] primary ($X): not set" in sharing.run(*retire, "--no-archive").out
    with named("a token under its key"):
        (sharing.folder / "rotation.toml").write_text(config)
        stored = Fernet(other.reveal()).encrypt(b"of the second set").decode()
        sharing.database.execute(f"INSERT INTO apps VALUES (1, '{stored}')")
        refused = sharing.run(*retire, "--no-archive", "--json")
        assert refused.code == 1
        assert (
            f"{other.id}, a previous key of the key set second, is made of the same secret, and this keeps it: "
            f"apps.secret: 1 token under {other.id}" in [each["reason"] for each in refused.document["refused"]]
        )
    assert sharing.env.read_bytes() == before
    with named("nothing"):
        sharing.run("run")
        done = sharing.run(*retire, "--archive", str(archive))
        assert done.code == 0
        words = f"{other.id}, a previous key of the key set second, was made of the same secret"
        assert words in " ".join(done.out.split())
        assert sharing.variables()["REDASH_OLD_SECRET"] == ""
        assert {other.reveal(), Derivation("sha256").key(OLD_SECRET).reveal()} <= set(archive.read_text().split())
        listed = sharing.run("keys", "list", "--keys", "second", "--json").document["keys"]
        assert [key["state"] for key in listed if key["id"] == other.id] == ["retired"]


def test_a_promotion_takes_no_key_from_another_set(sharing: App) -> None:
    """The secret moves to a variable that the other set does not read; with that entry both sets move."""
    sharing.run("keys", "retire", read_id(OLD_SECRET), "--no-archive", "--keys", "redash")
    sharing.run("keys", "stage", "--keys", "redash")
    previous = 'previous = [{ secret = "$REDASH_OLD_SECRET", derive = "hkdf-sha256", info = "second" }]\n'
    sharing.change(previous, "")
    before = sharing.env.read_bytes()

    refused = sharing.run("keys", "promote", "--keys", "redash")

    assert refused.code == 1
    assert f"{second_key(NEW_SECRET).id}, a primary key of the key set second" in " ".join(refused.out.split())
    assert sharing.env.read_bytes() == before
    sharing.change("[keys.second]\n", f"[keys.second]\n{previous}")
    assert sharing.run("keys", "promote", "--keys", "redash").code == 0
    listed = sharing.run("keys", "list", "--keys", "second", "--json").document["keys"]
    assert (second_key(NEW_SECRET).id, "previous") in [(key["id"], key["state"]) for key in listed]


def test_a_key_that_two_sets_read_in_one_place_is_counted_for_both(app: App) -> None:
    """The environment and a set name one variable: its key stays while the environment's target needs it."""
    app.change(SOURCES, SOURCES.replace('keys = "redash"', 'keys = "redash"\nwhere = "id < 5"') + EXTRA)
    app.env.write_text(
        app.env.read_text().replace("AIRFLOW_KEY=", f"AIRFLOW_KEY={key_text('new')}\nENCRYPTION_PREVIOUS_KEYS=")
        + f"ENCRYPTION_KEY={key_text('newer')}\n"
    )
    app.change('"$AIRFLOW_PREVIOUS_KEYS"', '"$ENCRYPTION_PREVIOUS_KEYS"')
    app.database.execute("CREATE TABLE mine (id INTEGER PRIMARY KEY, token TEXT)")
    app.run("run")
    app.database.execute(f"INSERT INTO mine VALUES (1, '{token('old', 'mine')}')")

    refused = app.run("keys", "retire", make_key("old").id, "--no-archive", "--keys", "airflow")

    assert refused.code == 1
    out = " ".join(refused.out.split())
    assert "a previous key of the environment, is made of the same secret, and this keeps it: mine.token" in out
    assert f"mine.token, a target of another key set: 1 token under {make_key('old').id}" in out


def test_an_interrupted_promotion_of_a_set_is_finished(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each secret has a file of its own, and the process ends between two of them: the same command goes on."""
    files = {name: app.folder / name for name in ("primary", "staged", "old")}
    app.change(
        CONFIG[CONFIG.index("[keys.redash]") :],
        "[keys.redash]\n"
        f'primary = {{ file = "{files["primary"]}", derive = "sha256" }}\n'
        f'staged = {{ file = "{files["staged"]}", derive = "sha256" }}\n'
        f'previous = [{{ file = "{files["old"]}", derive = "sha256" }}]\n',
    )
    files["primary"].write_text(OLD_SECRET)
    files["old"].write_text("")
    for path in (files["primary"], files["old"]):
        path.chmod(0o600)
    assert app.run("keys", "stage", "--keys", "redash").code == 0
    new, room = files["staged"].read_text().strip(), [1, 2]

    def replace(*given: Any) -> Any:
        if not room:
            raise StoreError("the process ends here")
        room.pop()
        return replace_whole(*given)

    with monkeypatch.context() as patch:
        patch.setattr(environment_keys, "replace_whole", replace)
        assert "ends here" in app.run("keys", "promote", "--keys", "redash").err
    assert [files[name].read_text().strip() for name in ("primary", "staged", "old")] == [new, new, OLD_SECRET]

    done = app.run("keys", "promote", "--keys", "redash")

    assert "finished what was cut short" in done.out
    # The application read the file without a line break at its end.
    assert files["primary"].read_text() == new
    assert [files[name].read_text().strip() for name in ("staged", "old")] == ["", OLD_SECRET]


def test_a_secret_with_symbols_moves_in_its_quotes(app: App) -> None:
    """In a dotenv file a secret that stands in single quotes stands in them in its new variable, too."""
    app.env.write_text(app.env.read_text().replace(NEW_SECRET, ODD).replace(f"'{OLD_SECRET}'", ""))
    app.run("keys", "stage", "--keys", "redash")
    before = app.env.read_bytes()
    refused = app.run("keys", "promote", "--keys", "redash")
    assert (refused.code, app.env.read_bytes()) == (2, before)
    assert "put it into single quotes" in refused.err
    assert ODD not in refused.err + refused.out

    app.env.write_text(app.env.read_text().replace(ODD, f"'{ODD}'"))
    assert app.run("keys", "promote", "--keys", "redash").code == 0

    assert app.variables()["REDASH_OLD_SECRET"] == ODD


def test_a_step_that_cannot_be_written_whole_writes_nothing(app: App) -> None:
    """The secret goes to a file, and the next one to a dotenv file that cannot hold it: neither file changes."""
    old, staged = app.folder / "old", app.folder / "staged"
    app.change('previous = [{ secret = "$REDASH_OLD_SECRET"', f'previous = [{{ file = "{old}"')
    app.change('staged   = { secret = "$REDASH_STAGED_SECRET"', f'staged = {{ file = "{staged}"')
    for path, text in ((old, ""), (staged, ODD)):
        path.write_text(text)
        path.chmod(0o600)

    assert app.run("keys", "promote", "--keys", "redash").code == 2

    assert (old.read_text(), staged.read_text()) == ("", ODD)
    assert app.variables()["REDASH_SECRET"] == NEW_SECRET


def test_an_archived_key_becomes_an_entry_of_its_own(app: App, tmp_path: Path) -> None:
    """An archive holds keys, and a derived set holds secrets: the message says what to write, and it works."""
    archive = tmp_path / "retired.keys"
    app.run("run")
    app.run("keys", "retire", read_id(OLD_SECRET), "--keys", "redash", "--archive", str(archive))

    refused = app.run("keys", "restore", read_id(OLD_SECRET), "--keys", "redash", "--archive", str(archive))

    assert refused.code == 2
    entry = f'{{ file = "{read_id(OLD_SECRET)}.keys" }}'
    assert f"an entry of its own in `previous` in rotation.toml, such as {entry}" in refused.err
    app.change(
        'previous = [{ secret = "$REDASH_OLD_SECRET", derive = "sha256" }]', f'previous = [{{ file = "{archive}" }}]'
    )
    listed = app.run("keys", "list", "--keys", "redash", "--json").document["keys"]
    assert (read_id(OLD_SECRET), "previous") in [(key["id"], key["state"]) for key in listed]


@pytest.mark.parametrize(
    ("derive", "secret", "beside"),
    [
        ("sha256", "a-secret-of-before-0123456789", ""),
        ("hex", hashlib.sha256(b"lost").hexdigest(), "one that is none,"),
    ],
)
def test_a_lost_secret_is_found_by_the_id_of_its_key(app: App, derive: str, secret: str, beside: str) -> None:
    """In an old dotenv file, in a variable of the key set: the secret itself comes back, and its tokens open."""
    lost = Derivation(derive).key(secret, allow_weak=True)
    app.change('derive = "sha256"', f'derive = "{derive}"')
    app.env.write_text(f"REDASH_SECRET={hashlib.sha256(b'today').hexdigest()}\nDATABASE_URL={app.database.url}\n")
    old = app.folder / "old.env"
    old.touch(0o600)
    old.write_text(f"REDASH_COOKIE_SECRET=another\nexport REDASH_SECRET='{beside}{secret}'\n")

    wrong = app.run("keys", "restore", "5f0c1a9e", "--keys", "redash", "--archive", str(old))
    right = app.run("keys", "restore", lost.id, "--keys", "redash", "--archive", str(old))

    assert f"holds no key 5f0c1a9e; it holds {lost.id}\n" in wrong.err
    assert (right.code, app.variables()["REDASH_OLD_SECRET"]) == (0, secret), right.err
    assert secret not in wrong.err + right.out + right.err


def test_an_application_s_setting_is_that_of_its_set(app: App) -> None:
    """The set with the application's name is taken; keys are shown by ids, secrets only when asked for."""
    listed = app.run("keys", "list", "--format", "redash")
    shown = app.run("keys", "list", "--format", "redash", "--show-key")

    assert f"REDASH_SECRET_KEY=<{read_id(NEW_SECRET)}>" in listed.out.splitlines()
    assert NEW_SECRET not in listed.out
    assert f"REDASH_SECRET_KEY={NEW_SECRET}" in shown.out.splitlines()
    other = app.run("keys", "list", "--format", "redash", "--keys", "airflow")
    assert other.code == 2
    assert "Redash has no setting for the key set airflow; name one that has: --keys redash" in other.err


def test_of_several_entries_the_one_that_holds_the_key_is_written(app: App) -> None:
    """Each previous key is retired from its own entry, and no entry's file is an archive, in which it would stay.

    The primary key that is replaced goes to the first.
    """
    older = app.folder / "older.keys"
    older.touch(0o600)
    older.write_text(f"# of 2024\n{key_text('older')}\n")
    entry = '{ secret = "$REDASH_OLD_SECRET", derive = "sha256" }'
    app.change(f"previous = [{entry}]", f'previous = [{entry}, {{ file = "{older}" }}]')
    app.run("run")
    refused = app.run("keys", "retire", read_id(OLD_SECRET), "--keys", "redash", "--archive", str(older))
    assert (refused.code, "keys are kept there" in refused.err) == (2, True)
    for key_id in (make_key("older").id, read_id(OLD_SECRET)):
        assert app.run("keys", "retire", key_id, "--no-archive", "--keys", "redash").code == 0
    assert (older.read_text(), app.variables()["REDASH_OLD_SECRET"]) == ("# of 2024\n", "")

    app.run("keys", "stage", "--keys", "redash")
    assert app.run("keys", "promote", "--keys", "redash").code == 0

    assert app.variables()["REDASH_OLD_SECRET"] == NEW_SECRET


def test_what_to_store_is_the_secret_and_not_its_key(app: App) -> None:
    """If a command holds the primary secret, an operator gets the secrets of a derived set, and only when asked."""
    app.run("run")
    app.run("keys", "retire", read_id(OLD_SECRET), "--no-archive", "--keys", "redash")
    app.change('{ secret = "$REDASH_SECRET", derive', f'{{ command = "echo {NEW_SECRET}", derive')
    app.run("keys", "stage", "--keys", "redash")
    staged = app.variables()["REDASH_STAGED_SECRET"]
    before = app.env.read_bytes()

    hidden = app.run("keys", "promote", "--keys", "redash")
    shown = app.run("keys", "promote", "--keys", "redash", "--show-key", "--json")

    assert (hidden.code, shown.code, app.env.read_bytes()) == (1, 1, before)
    assert NEW_SECRET not in hidden.out
    assert [(todo["variable"], todo["value"]) for todo in shown.document["todo"]] == [
        ("REDASH_OLD_SECRET", NEW_SECRET),
        ("[keys.redash] primary", staged),
        ("REDASH_STAGED_SECRET", ""),
    ]


def test_a_command_that_prints_a_key_runs_once(app: App, named: Named) -> None:
    """A vault is asked once for each key, whatever the number of targets, of key sets and of searches."""
    asked, script = app.folder / "asked", app.folder / "vault"
    script.write_text(f"#!/bin/sh\necho asked >> {asked}\necho {key_text('old')}\n")
    script.chmod(0o700)
    config = app.folder / "rotation.toml"
    text = CONFIG.replace('primary  = { secret = "$AIRFLOW_KEY" }', f'primary  = {{ command = "{script}" }}')
    config.write_text(text + text.partition("\n[keys.")[0].replace('"token"', '"note"'))
    for command in ("run", "status", "check", "discover"):
        with named(command):
            asked.unlink(missing_ok=True)
            app.run(command)

            assert asked.read_text().splitlines() == ["asked"]
