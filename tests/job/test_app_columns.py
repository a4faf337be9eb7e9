"""Columns with tokens that the preset of an `[[app]]` does not know, as `run` and `status` name them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keyring_core import Derivation, Keyring
from rotation.applications.presets import load_preset
from tests.conftest import Cli, Ran
from tests.databases import Database, open_database

pytestmark = pytest.mark.database

APP = '[[app]]\nname = "redash"\nurl = "$REDASH_DATABASE_URL"\n'
LINE = "1 column holds tokens and no target covers it: data_sources.more"


class Redash:
    """Tables of Redash with a column that its preset does not know, and the files of its page."""

    def __init__(self, database: Database, folder: Path, cli: Cli) -> None:
        self.database, self._folder, self._cli = database, folder, cli
        key = Derivation("sha256").key("the old secret")
        cell = Keyring(key).encrypt("a secret")
        database.execute(
            "CREATE TABLE data_sources (id INTEGER PRIMARY KEY, queue_name TEXT, encrypted_options TEXT, more TEXT)",
            "CREATE TABLE notification_destinations (id INTEGER PRIMARY KEY, encrypted_options TEXT)",
            f"INSERT INTO data_sources VALUES (1, 'q', '{cell}', '{cell}')",
        )
        self.environ = {
            "REDASH_DATABASE_URL": database.url,
            "REDASH_SECRET_KEY": "the new secret of it",
            "REDASH_OLD_SECRET_KEY": "the old secret",
        }
        self.configure(APP)

    def configure(self, text: str) -> None:
        """Writes rotation.toml."""
        (self._folder / "rotation.toml").write_text(text)

    def run(self, *argv: str) -> Ran:
        """Runs a command."""
        return self._cli(*argv, "--config", str(self._folder / "rotation.toml"), environ=self.environ)


@pytest.fixture
def redash(tmp_path: Path, cli: Cli) -> Iterator[Redash]:
    with open_database("sqlite", tmp_path) as database:
        yield Redash(database, tmp_path, cli)


def test_a_dry_run_names_them_and_leads_to_the_run(redash: Redash) -> None:
    """The tokens that are known move first."""
    out = redash.run("run", "--dry-run").out

    assert LINE in out
    assert "1 token is under older keys. Nothing was written." in out
    assert "Next: keyring-rotate run " in out
    assert "discover" not in out


def test_a_complete_run_leads_to_discover(redash: Redash) -> None:
    """The line comes before the verdict, which is no plain Complete, and no retirement is proposed."""
    ran = redash.run("run")
    again = redash.run("run", "--json")

    before, _, after = ran.out.partition(LINE)
    assert (ran.code, again.code) == (0, 0)
    assert "primary" in before
    assert "Rotated 1 token. The targets are complete: every token" in after
    assert "Next: keyring-rotate discover " in after
    assert "retire" not in ran.out
    assert again.document["uncovered"] == ["data_sources.more"]
    assert [command["arguments"][0] for command in again.document["commands"]] == ["discover"]


def test_without_any_the_next_step_is_the_retirement(redash: Redash) -> None:
    """A column that rotation.toml ignores is none of them."""
    redash.configure(f'{APP}[[ignore]]\ntable = "data_sources"\ncolumns = ["more"]\nreason = "a test"\n')

    ran = redash.run("run")

    assert redash.run("status", "--json").document["uncovered"] == []
    assert "Rotated 1 token. Complete: every token" in ran.out
    assert "keys retire" in ran.out


def test_they_are_looked_for_in_the_databases_of_applications_alone(redash: Redash, tmp_path: Path) -> None:
    """The other databases of rotation.toml, targets without an application and parts of a run have the check."""
    [first, _] = load_preset("redash").target
    own = f'[[target]]\nurl = "$REDASH_DATABASE_URL"\ntable = "{first.table}"\ncolumns = ["{first.columns[0]}"]\n'
    keys = '[keys.redash]\nprimary = { secret = "$REDASH_SECRET_KEY", derive = "sha256" }\n'
    redash.configure(f'{own}keys = "redash"\n{keys}')
    assert redash.run("status", "--json").document["uncovered"] is None
    redash.configure(APP)
    assert redash.run("run", "--dry-run", "--shard", "0/2", "--json").document["uncovered"] is None

    (tmp_path / "other").mkdir()
    with open_database("sqlite", tmp_path / "other") as other:
        other.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT, hidden TEXT)")
        [(cell,)] = redash.database.rows("SELECT more FROM data_sources")
        other.execute(f"INSERT INTO creds VALUES (1, '{cell}', '{cell}')")
        target = f'[[target]]\nurl = "{other.url}"\ntable = "creds"\ncolumns = ["token"]\nkeys = "redash"\n'
        redash.configure(f"{target}{APP}")
        assert redash.run("status", "--json").document["uncovered"] == ["data_sources.more"]


def test_a_search_that_fails_is_one_warning(redash: Redash) -> None:
    """The run is done, and says what could not be searched and how to do it."""
    redash.configure(f'{APP}[[ignore]]\nurl = "$NOWHERE"\ntable = "t"\nreason = "a test"\n')

    ran = redash.run("run", "--json")

    assert ran.code == 0
    assert ran.document["complete"]
    assert ran.document["uncovered"] is None
    assert ran.err.count("Warning: columns that no target covers were not searched for tokens: ") == 1
    assert "NOWHERE" in ran.err
    assert "To search them: keyring-rotate discover" in ran.err


def test_they_cost_no_further_connection(tmp_path: Path, cli: Cli) -> None:
    """A user that may have one connection at a time is served."""
    with open_database("postgresql", tmp_path) as database:
        redash = Redash(database, tmp_path, cli)
        user = database.rows("SELECT current_database()")[0][0]
        database.execute(f"ALTER ROLE {user} CONNECTION LIMIT 1")
        try:
            ran = redash.run("run", "--json")
        finally:
            database.execute(f"ALTER ROLE {user} CONNECTION LIMIT -1")

    assert (ran.code, ran.document["uncovered"]) == (0, ["data_sources.more"])
