"""An environment with everything: a dotenv file, a rotation.toml, a database with tokens, a ledger, an admin."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dotenv import dotenv_values

from keyring_core import Key
from keyring_core.environment import Settings, load_settings
from rotation.cli.main import main
from rotation.ledger.ledger import Ledger
from rotation.ledger.records import InstanceRecord
from rotation.model.report import TargetReport
from rotation.model.watcher import SoFar
from tests.conftest import Ran
from tests.databases import Database
from tests.fakes import Silence, token
from tests.keys import key_text, make_key

OLD, OLDER, NEW = make_key("old"), make_key("older"), make_key("new")
ASKING = {
    "discover": ("discover",),
    "check": ("check",),
    "run": ("run",),
    "keys retire": ("keys", "retire", OLDER.id, "--no-archive", "--no-wait"),
}
"""The commands that ask a server much, in the order of a rotation."""


class Shop:
    """The files are in *folder*, the tokens in *database*."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.folder, self.database = folder, database
        self.env_file = folder / ".env"
        self.ledger_url = f"sqlite:///{folder}/rotation-ledger.db"
        self.config = folder / "rotation.toml"
        self.config.write_text(f'[[target]]\nurl = "{database.url}"\ntable = "creds"\ncolumns = ["token"]\n')
        self.write_env(f"ENCRYPTION_KEY={key_text('old')}\nENCRYPTION_PREVIOUS_KEYS={key_text('older')}\n")

    @property
    def options(self) -> str:
        """The options of every command, as they are typed."""
        return f"--config {self.config} --env-file {self.env_file}"

    def write_env(self, text: str) -> None:
        """Writes the dotenv file again, readable by its owner alone."""
        self.env_file.touch(0o600)
        self.env_file.write_text(text)

    def fill(self, cells: Sequence[object]) -> None:
        """The table of tokens."""
        self.database.make_creds(cells)

    def keys(self, *argv: str, environ: Mapping[str, str] | None = None) -> Ran:
        """`keyring-rotate keys ...`, as an admin types it; with an environment in place of the dotenv file."""
        return self.rotate("keys", *argv, environ=environ)

    def rotate(self, *argv: str, environ: Mapping[str, str] | None = None) -> Ran:
        """`keyring-rotate ...`, as an admin types it."""
        options = ["--config", str(self.config), *(["--env-file", str(self.env_file)] if environ is None else [])]
        out, err = io.StringIO(), io.StringIO()
        code = main([*argv, *options], environ or {}, out, err)
        return Ran(code, out.getvalue(), err.getvalue())

    def settings(self) -> Settings:
        """What a service that starts now reads."""
        values = dotenv_values(self.env_file, interpolate=False)
        return load_settings({name: value or "" for name, value in values.items()})

    def ledger(self) -> Ledger:
        """The ledger, opened."""
        return Ledger.open(self.ledger_url)


class Listening(Silence):
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int, SoFar | None]] = []
        self.announced: list[str] = []
        self.began: list[int] = []
        """The number of announcements before each census."""

    @classmethod
    def to_commands(cls, monkeypatch: pytest.MonkeyPatch) -> Listening:
        """One that follows every command of this test."""
        listening = cls()

        @contextmanager
        def watch(*_: object, **__: object) -> Iterator[Listening]:
            yield listening

        monkeypatch.setattr("rotation.cli.shared_options.CommandContext.watch", watch)
        return listening

    def begin(self, report: TargetReport, rows: int, pass_number: int, done: int = 0) -> None:
        self.began.append(len(self.announced))

    def at_work(self, words: str, rows: int = 0, so_far: SoFar | None = None) -> None:
        self.heard.append((words, rows, so_far))

    def announce(self, words: str) -> None:
        self.announced.append(words)


def announce(
    shop: Shop, name: str, primary: Key, *others: Key, staged: Key | None = None, service: str = "web"
) -> None:
    """An instance of a service announces its keys."""
    with shop.ledger() as ledger:
        previous = tuple(key.id for key in others)
        now = datetime.now(UTC)
        ledger.announce(InstanceRecord(name, service, primary.id, now, previous, staged.id if staged else None))


def old_token(label: str, age: int = 0) -> str:
    """A token of long ago."""
    return token(label, issued_at=1_600_000_000 + age)


def refusals(ran: Ran) -> list[str]:
    """The reasons of a refusal."""
    return [refusal["reason"] for refusal in json.loads(ran.out)["refused"]]
