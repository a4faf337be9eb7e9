"""Without --keys and without ENCRYPTION_KEY, a command that takes --keys is about the only key set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keyring_core import Derivation
from tests.conftest import Cli
from tests.databases import Database, open_database
from tests.keys import key_text, make_key

pytestmark = pytest.mark.database

SECRET = "Tr0ub4dor&3 quux, a test secret"
KEY = Derivation("sha256").key(SECRET)
SET = '[keys.{name}]\nprimary = {{ secret = "$S", derive = "sha256" }}\n'
COMMANDS = {
    "list": ("keys", "list"),
    "list --format": ("keys", "list", "--format", "redash", "--show-key"),
    "stage": ("keys", "stage"),
    "promote": ("keys", "promote"),
    "retire": ("keys", "retire", KEY.id, "--no-archive"),
    "report": ("report", "--html", "page.html"),
}
ENVIRON = {"S": SECRET}


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A rotation.toml whose target has a key set."""
    monkeypatch.chdir(tmp_path)
    with open_database("sqlite", tmp_path) as database:
        database.make_creds([KEY.fernet.encrypt(b"x").decode()])
        yield database


def configure(app: Database, *sets: str) -> None:
    target = f'[[target]]\nurl = "{app.url}"\ntable = "creds"\ncolumns = ["token"]\nkeys = "{sets[0]}"\n'
    Path("rotation.toml").write_text("".join(SET.format(name=name) for name in sets) + target)


@pytest.mark.parametrize("argv", COMMANDS.values(), ids=COMMANDS)
def test_the_only_set_is_taken(cli: Cli, app: Database, argv: tuple[str, ...]) -> None:
    """The command does with it what it does with --keys."""
    configure(app, "redash")

    ran = cli(*argv, environ=ENVIRON)

    named = cli(*argv, "--keys", "redash", environ=ENVIRON)
    assert "ENCRYPTION_KEY" not in ran.err
    assert (ran.code, ran.out.replace(" --keys redash", "")) == (named.code, named.out.replace(" --keys redash", ""))


@pytest.mark.parametrize("argv", COMMANDS.values(), ids=COMMANDS)
def test_of_several_sets_one_has_to_be_named(cli: Cli, app: Database, argv: tuple[str, ...]) -> None:
    """The message has each of them as it is typed."""
    configure(app, "one", "two")

    ran = cli(*argv, environ=ENVIRON)

    assert ran.code == 2
    assert "name one: --keys one or --keys two" in ran.err


@pytest.mark.parametrize("argv", COMMANDS.values(), ids=COMMANDS)
def test_a_passphrase_in_place_of_the_key_is_that_of_the_only_set(
    cli: Cli, app: Database, argv: tuple[str, ...]
) -> None:
    """With the entry that `discover` prints, which names ENCRYPTION_KEY, no command stops at that variable."""
    configure(app, "redash")
    file = Path("rotation.toml")
    file.write_text(file.read_text().replace("$S", "$ENCRYPTION_KEY"))

    ran = cli(*argv, environ={"ENCRYPTION_KEY": SECRET})

    named = cli(*argv, "--keys", "redash", environ={"ENCRYPTION_KEY": SECRET})
    assert "ENCRYPTION_KEY: " not in ran.err
    assert (ran.code, ran.out.replace(" --keys redash", "")) == (named.code, named.out.replace(" --keys redash", ""))


def test_keys_of_the_environment_come_first(cli: Cli, app: Database) -> None:
    """As long as ENCRYPTION_KEY is set, a command without --keys is about that."""
    configure(app, "redash")

    ran = cli("keys", "list", environ={**ENVIRON, "ENCRYPTION_KEY": key_text("own")})

    assert make_key("own").id in ran.out
    assert KEY.id not in ran.out


def test_the_key_command_is_run_once(cli: Cli, app: Database, tmp_path: Path) -> None:
    """Whether it prints a passphrase is not asked beforehand: a vault logs each call."""
    configure(app, "redash")
    script = tmp_path / "print-key"
    script.write_text(f"echo called >> {tmp_path}/calls\necho {key_text('new')}\n")

    ran = cli("keys", "list", environ={**ENVIRON, "ENCRYPTION_KEY_COMMAND": f"sh {script}"})

    assert ran.code == 0
    assert make_key("new").id in ran.out
    assert (tmp_path / "calls").read_text() == "called\n"
