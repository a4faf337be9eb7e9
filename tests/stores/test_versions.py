"""A database that is too old is refused by its name and version, whatever leads to it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rotation.ledger.database import LedgerError, LedgerPlace, open_for_service
from rotation.ledger.ledger import Ledger
from rotation.stores.databases import find_dialect
from rotation.stores.mysql.dialect import MySQL
from rotation.stores.servers import TooOldError, version_in
from tests.conftest import Cli, Named
from tests.databases import Database
from tests.keys import key_text, make_key
from tests.stores.tokens import make_tokens

pytestmark = pytest.mark.database

PRODUCTS = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mariadb": "MariaDB", "mysql": "MySQL"}
SAID = {
    "16.14 (Debian 16.14-1.pgdg12+1)": (16, 14),
    "19beta1": (19,),
    "11.8.9-MariaDB-0+deb13u1 from Debian": (11, 8, 9),
    "8.0.11-TiDB-v7.5.0": (8, 0, 11),
    "": (),
}


@pytest.fixture
def refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> str:
    """The words for that *database*, as if it were older than what is served."""
    dialect = find_dialect(database.kind)
    product = PRODUCTS["mysql" if database.is_mysql else database.kind]
    monkeypatch.setattr(type(dialect), "oldest", {product: (99, 1)})
    return rf"{product} [\d.]+ is too old: it has to be 99\.1 or later"


COMMANDS = ["run", "status", "check", "discover", "init", "report", "keys retire"]


def test_each_command_refuses_a_target_s_database_that_is_too_old(
    database: Database, refused: str, cli: Cli, tmp_path: Path, named: Named
) -> None:
    """Before anything is read, and with no advice to try again."""
    database.make_creds(make_tokens(2))
    config, page = tmp_path / "rotation.toml", tmp_path / "page.html"
    config.write_text('[[target]]\nurl = "$APP_URL"\ntable = "creds"\ncolumns = ["token"]\n')
    keys = {"ENCRYPTION_KEY": key_text("new"), "ENCRYPTION_PREVIOUS_KEYS": key_text("old")}
    options = {
        "init": ["--url", "$APP_URL", "--append"],
        "report": ["--html", str(page)],
        "keys retire": [make_key("old").id, "--no-archive"],
        "check": ["--json"],
    }
    for command in COMMANDS:
        with named(command):
            argv = [*command.split(), *options.get(command, []), "--config", str(config)]
            ran = cli(*argv, environ={**keys, "APP_URL": database.url})

            assert re.search(refused, ran.err + ran.out + (page.read_text() if page.exists() else "")), ran.err
            assert ran.code in {2, 3}
            assert "again" not in ran.err


def test_each_way_to_a_ledger_that_is_too_old_refuses_it(database: Database, refused: str, named: Named) -> None:
    """A command's, and a service's by a url or over its own engine."""
    place = LedgerPlace(database.url, "ROTATION_LEDGER_URL")
    with named("command"), pytest.raises(LedgerError, match=refused):
        Ledger.open(database.url)
    for way in (place, database.engine):
        with named(way), pytest.raises(LedgerError, match=refused):
            open_for_service(way).check_version()


def test_a_version_is_read_from_what_a_server_says(named: Named) -> None:
    """Up to the first word; a server that says nothing is not refused."""
    for said, version in SAID.items():
        with named(said):
            assert tuple(version_in(said)) == version
    for product, version in [("MySQL", (8, 0, 23)), ("MariaDB", (10, 6)), ("MySQL", ())]:
        MySQL().refuse_old(product, version)
    with pytest.raises(TooOldError, match=r"MySQL 8\.0\.9 is too old: it has to be 8\.0\.23 or later"):
        MySQL().refuse_old("MySQL", (8, 0, 9))


OLD_SERVERS = {
    "TEST_OLD_POSTGRES_URL": r"PostgreSQL (9|10|11|12)\.[\d.]+ is too old: it has to be 13 or later",
    "TEST_OLD_MARIADB_URL": r"MariaDB 10\.[0-5]\.[\d.]+ is too old: it has to be 10\.6 or later",
}


@pytest.mark.parametrize(
    "variable", [pytest.param(name, marks=pytest.mark.world(name)) for name in OLD_SERVERS], ids=str.lower
)
def test_a_real_server_that_is_too_old_is_refused(variable: str, cli: Cli, named: Named) -> None:
    """As a target's and as the ledger's: what it lacks is not met halfway."""
    url, words = os.environ[variable], OLD_SERVERS[variable]
    for command in (
        ["run", "--table", "t", "--column", "c"],
        ["status", "--table", "t", "--column", "c"],
        ["discover"],
    ):
        with named(*command):
            ran = cli(*command, "--url", url)
            assert (ran.code, bool(re.search(words, ran.err))) == (2, True), ran.err
    with pytest.raises(LedgerError, match=words):
        Ledger.open(url)


@pytest.mark.world("TEST_OLD_SQLITE")
def test_a_library_of_sqlite_that_is_too_old_is_refused(tmp_path: Path, environ: dict[str, str]) -> None:
    """The one that Python has loaded."""
    (tmp_path / "app.db").touch()
    old = {"LD_LIBRARY_PATH": os.environ["TEST_OLD_SQLITE"]}
    argv = [sys.executable, "-m", "rotation", "status", "--url", f"sqlite:///{tmp_path}/app.db", "--table", "t"]

    ran = subprocess.run(
        [*argv, "--column", "c"], env={**os.environ, **environ, **old}, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 2, ran.stderr
    assert re.search(r"SQLite 3\.[0-9.]+ is too old: it has to be 3\.35 or later", ran.stderr)
