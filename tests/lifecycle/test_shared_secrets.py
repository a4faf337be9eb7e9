"""One secret in two key sets, read in two ways: it stays while either of them needs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from keyring_core.derivation import Derivation
from keyring_core.redaction import get_redactor
from tests.conftest import Cli, Named, Ran
from tests.databases import Database, open_database
from tests.keys import key_text, make_key
from tests.lifecycle.shop import Listening

pytestmark = [pytest.mark.database, pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning")]

OLD = make_key("old")
OTHER = Derivation("sha256").key(key_text("old"))
"""What the set b makes of the same text."""
CONFIG = """
[[target]]
url = "$DATABASE_URL"
table = "creds"
columns = ["token"]
keys = "a"

[[target]]
url = "$DATABASE_URL"
table = "theirs"
columns = ["token"]
keys = "b"

[keys.a]
primary  = { file = "new.key" }
previous = [{ file = "old.key" }]

[keys.b]
primary  = { secret = "$B_SECRET", derive = "sha256" }
"""
WAYS = {
    "a command that prints the file": '{ command = "cat FILE", derive = "sha256" }',
    "a command that prints the same key": '{ command = "cat FILE" }',
    "a variable with the same text": '{ secret = "$COPY", derive = "sha256" }',
    "another file with the same text": '{ file = "COPIED", derive = "sha256" }',
}


class Sets:
    """Two key sets, and a token of each in a database."""

    def __init__(self, folder: Path, database: Database, cli: Cli) -> None:
        self.folder, self._database, self._cli = folder, database, cli
        self.old = folder / "old.key"
        for name, text in (("new.key", key_text("new")), ("old.key", key_text("old")), ("copy", key_text("old"))):
            (folder / name).write_text(f"{text}\n")
            (folder / name).chmod(0o600)
        database.make_creds([])
        database.execute("CREATE TABLE theirs (id INTEGER PRIMARY KEY, token TEXT)")

    def configure(self, way: str, *, state: str = "previous") -> None:
        """The set b has the secret in that *state*, by that *way*."""
        source = way.replace("FILE", str(self.old)).replace("COPIED", str(self.folder / "copy"))
        text = CONFIG.replace('"new.key"', f'"{self.folder}/new.key"').replace('"old.key"', f'"{self.old}"')
        entry = f"previous = [{source}]" if state == "previous" else f"{state} = {source}"
        (self.folder / "rotation.toml").write_text(f"{text}{entry}\n")

    def hold(self, *keys: str) -> None:
        """The set b has tokens under these keys, by their texts."""
        self._database.execute("DELETE FROM theirs")
        for number, key in enumerate(keys):
            token = Fernet(key).encrypt(b"theirs").decode()
            self._database.execute(f"INSERT INTO theirs VALUES ({number}, '{token}')")

    def retire(self, *argv: str) -> Ran:
        """Retires the old key of the set a."""
        return self.take("retire", *(argv if "--archive" in argv else (*argv, "--no-archive")))

    def take(self, step: str, *argv: str) -> Ran:
        """Takes a *step* with the old key of the set a."""
        environ = {"DATABASE_URL": self._database.url, "B_SECRET": "b" * 40, "COPY": key_text("old")}
        config = ("--config", str(self.folder / "rotation.toml"))
        return self._cli("keys", step, OLD.id, *argv, "--keys", "a", "--json", *config, environ=environ)


@pytest.fixture
def sets(tmp_path: Path, cli: Cli) -> Iterator[Sets]:
    with open_database("sqlite", tmp_path) as database:
        yield Sets(tmp_path, database, cli)


def test_a_secret_stays_whichever_way_another_set_reads_it(sets: Sets, named: Named) -> None:
    """Its key of the other set still has a token there: refused, and the file is as it was."""
    for way, source in WAYS.items():
        with named(way):
            other = OTHER if "sha256" in source else OLD
            sets.configure(source)
            sets.hold(other.reveal())
            ran = sets.retire()

            reasons = [each["reason"] for each in ran.document["refused"]]
            assert ran.code == 1
            words = f"{other.id}, a previous key of the key set b, is made of the same secret, and this keeps it: "
            words += "theirs.token: 1 token"
            [reason] = [reason for reason in reasons if reason.startswith(words)]
            # A name that looks like a secret is shown all the same.
            random = reason.replace("theirs.token", "t_c9be96346c43.creds")
            assert get_redactor().redact(random) == random
            assert sets.old.read_text() == f"{key_text('old')}\n"


def test_a_secret_that_another_set_encrypts_with_stays(
    sets: Sets, named: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or will encrypt with next: the reason does not depend on a token, and is said before any is counted."""
    listening = Listening.to_commands(monkeypatch)
    for way, source in WAYS.items():
        with named(way):
            sets.configure(source, state="staged")
            [reason] = [each["reason"] for each in sets.retire().document["refused"]]

            assert "of the key set b, is made of the same secret, and this keeps it: the key set b " in reason
            assert listening.announced[-2] == f"This will refuse: {reason}"
            assert sets.old.read_text() == f"{key_text('old')}\n"


def test_what_became_of_the_other_key_is_said(sets: Sets, named: Named) -> None:
    """If nothing needs it: a key that was read in the same file is gone; one that has its own copy stays."""
    ends = {"command": "is gone with it", "secret": "stays: it has a place of its own there"}
    archive = sets.folder / "retired.keys"
    for way in ("a command that prints the file", "a variable with the same text"):
        with named(way):
            sets.old.write_text(f"{key_text('old')}\n")
            sets.configure(WAYS[way])
            sets.hold()
            ran = sets.retire("--archive", str(archive))

            assert ran.code == 0
            end = next(words for name, words in ends.items() if f"{{ {name}" in WAYS[way])
            [note] = [note for note in ran.document["notes"] if "made of the same secret" in note]
            assert note.startswith(f"{OTHER.id}, a previous key of the key set b")
            assert note.endswith(end)
            assert OTHER.reveal() in archive.read_text()


def test_a_command_that_fails_is_named_as_not_compared(sets: Sets) -> None:
    """Nobody knows what it would have printed."""
    sets.configure('{ command = "false", derive = "sha256" }')
    ran = sets.retire()

    [note] = [note for note in ran.document["notes"] if "could not be read" in note]
    assert note.startswith("the secret of the key set b, previous key, could not be read")
    assert note in ran.document["certificate"]["unchecked"]


@pytest.mark.parametrize(("step", "before", "after"), [
    ("suspend", "previous", "suspended"), ("resume", "suspended", "previous"),
])  # fmt: skip
def test_a_trial_takes_no_secret_from_another_set(sets: Sets, named: Named, step: str, before: str, after: str) -> None:
    """The secret moves to another file of the set a, and what the set b reads would be empty."""
    (sets.folder / "moved.key").touch(0o600)
    places = f'{before} = [{{ file = "{sets.old}" }}]\n{after} = [{{ file = "{sets.folder}/moved.key" }}]\n'
    for way in (WAYS["a command that prints the file"], '{ file = "FILE", derive = "sha256" }'):
        with named(way):
            sets.configure(way)
            path = sets.folder / "rotation.toml"
            path.write_text(path.read_text().replace(f'previous = [{{ file = "{sets.old}" }}]\n', places))
            ran = sets.take(step)

            reasons = [each["reason"] for each in ran.document["refused"]]
            words = f"{OTHER.id}, a previous key of the key set b, is made of the same secret, which moves to "
            assert ran.code == 1
            assert sum(reason.startswith(words) for reason in reasons) == 1
            assert sets.old.read_text() == f"{key_text('old')}\n"
            assert (sets.folder / "moved.key").read_text() == ""


def test_a_promotion_takes_no_secret_from_a_command(sets: Sets) -> None:
    """The staged secret moves to another file, and the other set's command still prints the first one."""
    staged = sets.folder / "staged.key"
    staged.write_text(f"{key_text('old')}\n")
    staged.chmod(0o600)
    sets.configure(WAYS["a command that prints the file"].replace("FILE", str(staged)), state="staged")
    path = sets.folder / "rotation.toml"
    path.write_text(path.read_text().replace("[keys.a]\n", f'[keys.a]\nstaged = {{ file = "{staged}" }}\n'))
    path.write_text(path.read_text().replace(f'previous = [{{ file = "{sets.old}" }}]\n', ""))
    environ = {"DATABASE_URL": "sqlite:///x.db", "B_SECRET": "b" * 40}
    ran = sets._cli("keys", "promote", "--keys", "a", "--json", "--config", str(path), environ=environ)

    [refusal] = ran.document["refused"]
    assert f"{OTHER.id}, a staged key of the key set b, is made of the same secret, which moves to" in refusal["reason"]
    assert staged.read_text() == f"{key_text('old')}\n"
