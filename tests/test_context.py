"""One rotation.toml says everything: which targets, which variables, and which ledger."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from keyring_core.environment import LEDGER_URL
from rotation import job
from rotation.context import Context
from rotation.ledger.ledger import Ledger
from tests.conftest import Cli
from tests.fakes import token
from tests.keys import key_text, make_key

pytestmark = pytest.mark.database

TARGET = '[[target]]\nurl = "$DATABASE_URL"\ntable = "creds"\ncolumns = ["token"]\n'
TABLES = "SELECT count(*) FROM sqlite_master WHERE name LIKE 'keyring_ledger_%'"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with rotation.toml, a dotenv file that it names, and a database that only this file names."""
    folder = tmp_path / "shop"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "app.db")) as connection, connection:
        connection.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT)")
        connection.executemany("INSERT INTO creds (token) VALUES (?)", [(token("old"),)] * 300)
    env_file = folder / "shop.env"
    env_file.touch(0o600)
    env_file.write_text(
        f"ENCRYPTION_KEY={key_text('new')}\nENCRYPTION_PREVIOUS_KEYS={key_text('old')}\n"
        f"DATABASE_URL=sqlite:///{folder}/app.db\nLEDGER=sqlite:///{folder}/dates.db\n"
    )
    write(folder, 'env_file = "shop.env"\nledger = "$LEDGER"')
    return folder


def write(folder: Path, top: str) -> None:
    (folder / "rotation.toml").write_text(f"{top}\n{TARGET}")


def tables_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        count: int = connection.execute(TABLES).fetchone()[0]
        return count


OPTIONS = ("--url", "$DATABASE_URL", "--table", "creds", "--column", "token")


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("folder", "argv", "whole"),
    [
        pytest.param("", ["--config", "shop/rotation.toml"], True, id="rotation.toml"),
        pytest.param("", ["--config", "shop/rotation.toml", "--shard", "0/1"], False, id="a shard"),
        pytest.param("shop", [*OPTIONS, "--env-file", "shop.env"], False, id="options in its place"),
        pytest.param("", [*OPTIONS, "--env-file", "shop/shop.env"], True, id="options, and no rotation.toml"),
    ],
)
def test_a_run_of_rotation_toml_is_of_all_targets(  # noqa: PLR0913, PLR0917 - fixtures and cases
    cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch, folder: str, argv: list[str], whole: bool
) -> None:
    """A shard or one column may be complete, and more may be left: the ledger does not count it."""
    monkeypatch.chdir(shop.parent / folder)

    ran = cli("run", *argv, environ={LEDGER_URL: f"sqlite:///{shop}/dates.db"})

    assert ran.code == 0
    with Ledger.open(f"sqlite:///{shop}/dates.db") as ledger:
        assert [run.outcome for run in ledger.runs()] == ["complete"]
        assert bool(ledger.uses("default", make_key("new").id).run) is whole


@pytest.mark.parametrize(("others", "whole"), [(False, True), (True, False)], ids=["all", "one-of-two"])
def test_a_run_of_some_targets_is_not_of_all(cli: Cli, shop: Path, others: bool, whole: bool) -> None:
    """Whichever of rotation.toml's targets a program chooses; a program that takes all has run all."""
    write(shop, f'env_file = "shop.env"\nledger = "$LEDGER"\n{TARGET if others else ""}')
    with closing(sqlite3.connect(shop / "app.db")) as connection, connection:
        connection.execute("ALTER TABLE creds ADD COLUMN other TEXT")
    if others:
        file = shop / "rotation.toml"
        file.write_text(file.read_text().replace('["token"]', '["other"]', 1))

    with Context({}, shop / "rotation.toml") as context:
        job.run(context, [target for target in context.targets() if target.column == "token"])

    with Ledger.open(f"sqlite:///{shop}/dates.db") as ledger:
        assert bool(ledger.uses("default", make_key("new").id).run) is whole


@pytest.mark.some(2)
@pytest.mark.parametrize("argv", [["run"], ["check"], ["report", "--html", "page.html"], ["discover"]], ids=" ".join)
def test_the_file_alone_is_enough(cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str]) -> None:
    """Every command finds keys, database and ledger by it, from any folder; nothing is in the environment."""
    monkeypatch.chdir(shop.parent)

    ran = cli(*argv, "--config", "shop/rotation.toml", environ={})

    assert "not set" not in ran.out + ran.err
    assert ran.code in {0, 1}, ran.err
    assert not (shop / "rotation-ledger.db").exists()
    assert argv == ["discover"] or tables_in(shop / "dates.db") > 0


def test_keys_are_written_there(cli: Cli, shop: Path) -> None:
    """`keys stage`, `promote` and `retire` edit the file that rotation.toml names, as with --env-file."""
    config = ["--config", str(shop / "rotation.toml")]

    assert cli("keys", "stage", *config, environ={}).code == 0
    assert "ENCRYPTION_STAGED_KEY=" in (shop / "shop.env").read_text()
    assert cli("keys", "promote", *config, environ={}).code == 0
    assert cli("run", *config, environ={}).code == 0
    for name in ("new", "old"):
        retired = cli("keys", "retire", make_key(name).id, "--archive", str(shop / "old.keys"), *config, environ={})
        assert retired.code == 0, retired.out
    assert key_text("old") not in (shop / "shop.env").read_text()
    restored = cli("keys", "restore", make_key("old").id, "--archive", str(shop / "old.keys"), *config, environ={})
    assert restored.code == 0, restored.err
    assert key_text("old") in (shop / "shop.env").read_text()


@pytest.mark.usefixtures("sending")
def test_workers_read_it_too(cli: Cli, shop: Path) -> None:
    """A process that shares the work has the keys and the url of the same file."""
    ran = cli("run", "--workers", "3", "--full-speed", "--json", "--config", str(shop / "rotation.toml"), environ={})

    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["targets"][0]["rotated"] == 300


def test_a_program_has_the_same(shop: Path) -> None:
    """A Context that a program makes reads the variables, and opens the ledger that the file names."""
    with Context({}, shop / "rotation.toml") as context, context.open_ledger() as ledger:  # type: ignore[union-attr]
        assert context.keyring().primary == make_key("new")
        assert ledger.name == f"ledger {shop}/dates.db"


def test_the_option_replaces_the_setting(shop: Path) -> None:
    """With --env-file the file that rotation.toml names is not read at all."""
    other = shop / "other.env"
    other.write_text("NAME=other\n")
    (shop / "shop.env").unlink()

    context = Context({}, shop / "rotation.toml", other)

    assert dict(context.inputs.environ) == {"NAME": "other"}


def test_the_setting_wins_over_the_environment(shop: Path) -> None:
    """As the values of --env-file do."""
    assert Context({"LEDGER": "x", "HOME": "/"}, shop / "rotation.toml").inputs.environ["LEDGER"] != "x"
    assert Context({"LEDGER": "x", "HOME": "/"}, shop / "rotation.toml").inputs.environ["HOME"] == "/"


def test_options_that_name_the_target_leave_the_file_out(cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --url, --table and --column rotation.toml is not read, and so neither are its variables."""
    monkeypatch.chdir(shop)
    (shop / "shop.env").unlink()
    environ = {"ENCRYPTION_KEY": key_text("old")}

    ran = cli("status", "--url", "sqlite:///app.db", "--table", "creds", "--column", "token", environ=environ)

    assert ran.code == 0, ran.err


@pytest.mark.parametrize("command", ["run", "status", "check", "keys list", "keys stage"])
def test_a_missing_file_is_named_with_its_setting(cli: Cli, shop: Path, command: str) -> None:
    """Exit code 2, of check 3, and the words say which setting of which file names what is not there."""
    (shop / "shop.env").unlink()
    config = shop / "rotation.toml"

    ran = cli(*command.split(), "--config", str(config), environ={"ENCRYPTION_KEY": key_text("new")})

    assert ran.code == (3 if command == "check" else 2)
    words = f"{config}, env_file: {shop}/shop.env: there is no such file"
    assert words in " ".join((ran.out + ran.err).split())


def test_metrics_are_written_if_the_file_is_missing(cli: Cli, shop: Path) -> None:
    """A scheduled check whose variables are gone still reports that."""
    (shop / "shop.env").unlink()

    cli("check", "--config", str(shop / "rotation.toml"), "--prometheus", str(shop / "keys.prom"), environ={})

    assert "keyring_check_status" in (shop / "keys.prom").read_text()


@pytest.mark.parametrize("setting", ["env_file", "ledger"])
def test_an_empty_setting_is_refused(cli: Cli, shop: Path, setting: str) -> None:
    """It is a slip: to leave the setting out says that there is none."""
    write(shop, f'{setting} = " "')

    ran = cli("status", "--config", str(shop / "rotation.toml"), environ={})

    assert (ran.code, ran.err) == (2, f"Error: {shop}/rotation.toml, {setting}: is empty; leave it out\n")


def test_the_environment_wins_over_the_ledger_of_the_file(cli: Cli, shop: Path) -> None:
    """The setting is the default; a command that names its ledger then says that the file names another one."""
    environ = {LEDGER_URL: f"sqlite:///{shop}/mine.db"}
    config = ["--config", str(shop / "rotation.toml")]

    made = cli("ledger", "init", *config, environ=environ)
    same = cli("ledger", "init", *config, environ={LEDGER_URL: f"sqlite:///{shop}/dates.db"})

    assert f"{shop}/mine.db (of {LEDGER_URL}; rotation.toml names another one)" in " ".join(made.out.split())
    assert "another" not in same.out
    assert tables_in(shop / "mine.db") > 0


@pytest.mark.parametrize(
    "url", ["postgresql://app:hunter2@h/d", "mysql://h/d?password=hunter2", "postgresql://a:hunter2/x@h/d"]
)
def test_a_password_in_the_file_is_refused(cli: Cli, shop: Path, url: str) -> None:
    """rotation.toml is no place for one; the words say where it goes, and do not show it."""
    write(shop, f'env_file = "shop.env"\nledger = "{url}"')

    ran = cli("run", "--config", str(shop / "rotation.toml"), environ={})

    assert ran.code == 2
    assert 'ledger: holds a password; put the URL into a variable, and write ledger = "$NAME"' in ran.err
    assert "hunter2" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("ledger", "words"),
    [
        ("$MISSING", "its url is $MISSING, and that variable is not set"),
        ("dates.db", "not of the form dialect://user:...@host/database"),
    ],
)
def test_a_ledger_that_cannot_be_opened_names_the_setting(cli: Cli, shop: Path, ledger: str, words: str) -> None:
    """And not the variable, which is not set."""
    write(shop, f'env_file = "shop.env"\nledger = "{ledger}"')

    ran = cli("keys", "stage", "--config", str(shop / "rotation.toml"), environ={})

    assert ran.code == 2
    assert re.search(rf"rotation\.toml, ledger: {re.escape(words)}", ran.err), ran.err


def test_keys_that_are_not_set_in_another_folder(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that could name them is missed by its path; with a dotenv file, or options for the target, it is not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").touch(0o600)
    missed = f"There is no {tmp_path / 'rotation.toml'}, which could name the file of the keys"
    target = ("--url", "sqlite:///app.db", "--table", "creds", "--column", "token")

    assert missed in cli("keys", "list", environ={}).err
    assert missed in cli("keys", "stage", environ={}).err
    for ran in (cli("keys", "list", "--env-file", ".env", environ={}), cli("status", *target, environ={})):
        assert ran.code == 2
        assert "ENCRYPTION_KEY: not set" in ran.err
        assert missed not in ran.err
