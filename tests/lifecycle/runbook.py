"""Plays documents: their commands as an admin types them, their remarks as what goes on meanwhile.

`python -m tests.lifecycle.runbook` writes what they print into the pages.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import tempfile
from contextlib import ExitStack, chdir
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import sqlalchemy as sa
from dotenv import dotenv_values
from freezegun import freeze_time

from keyring_core import Keyring
from keyring_core.environment import Settings, load_settings
from rotation.cli.main import main
from rotation.ledger import schema
from rotation.ledger.database import LedgerAccess
from rotation.ledger.ledger import Ledger
from rotation.ledger.records import InstanceRecord
from rotation.model.key_use import ReadRecord
from tests.databases import Database, open_database
from tests.keys import key_text, make_key

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
PAGES = [HOW_TO / f"{name}.md" for name in ("planned-rotation", "leaked-key", "roll-back", "restore-a-backup")]
"""One after the other: each begins with the keys and the database that the page before left."""
PAGE_BREAK = "\f"
BEGIN = datetime(2026, 1, 5, 9, tzinfo=UTC)
PART = re.compile(
    r"<!-- meanwhile: (?P<event>.*?) -->|<!-- file: (?P<file>.*?) -->\n```\w+\n(?P<content>.*?)```"
    r"|```console\n(?P<block>.*?)```|```sql\n(?P<statements>.*?)```",
    re.DOTALL,
)
TABLE = "CREATE TABLE user_credentials (id INTEGER PRIMARY KEY, api_key VARCHAR(500))"
CONFIG = """env_file = ".env"

[[target]]
url = "$DATABASE_URL"
table = "user_credentials"
columns = ["api_key"]
"""
FOLDER = "/srv/app"


class Stage:
    """A folder, a database, two services, and an operator that follows the document."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.folder, self.database = folder.resolve(), database
        self.ledger_url = f"sqlite:///{self.folder}/rotation-ledger.db"
        env = f"# what every service reads\nENCRYPTION_KEY={key_text('old')}\nDATABASE_URL='{database.url}'\n"
        if database.kind != "sqlite":
            self.ledger_url = database.url
            env += f"ROTATION_LEDGER_URL='{database.url}'\n"
        (folder / ".env").touch(0o600)
        (folder / ".env").write_text(env)
        (folder / "rotation.toml").write_text(CONFIG)
        database.execute(TABLE)
        self.services: dict[str, Settings] = {}
        self.rows = 0
        for age in range(6):
            self._write(self.settings(), BEGIN.timestamp() - (age + 1) * 30 * 86400)
        self.backup = self._cells()
        shutil.copy2(self.folder / ".env", self.folder / "before.env")
        self.old_ledger: dict[str, list[dict[str, object]]] = {}
        """The rows of its tables, as the first command left them."""

    def play(self, text: str) -> str:
        """*text* with what its commands print now."""
        made = iter(range(1, 100))
        with ExitStack() as stack:
            stack.enter_context(chdir(self.folder))
            # The same keys each time, so that the document's ids hold.
            new = staticmethod(lambda: make_key(f"runbook {next(made)}"))
            stack.enter_context(mock.patch("keyring_core.keys.Key.generate", new))
            self.clock = stack.enter_context(freeze_time(BEGIN, tick=True))
            # The ledger's server has the same clock as all hosts.
            stack.enter_context(mock.patch.object(LedgerAccess, "clock", side_effect=lambda *_: datetime.now(UTC)))
            return PART.sub(self._play_part, text)

    def _play_part(self, part: re.Match[str]) -> str:
        if part["event"] is not None:
            self._happen(part["event"])
            return part[0]
        if part["file"]:
            (self.folder / part["file"]).write_text(part["content"])
            return part[0]
        if part["statements"]:
            self.database.execute(*filter(str.strip, part["statements"].split(";")))
            return part[0]
        commands = [line for line in part["block"].splitlines() if line.startswith("$ ")]
        return "```console\n" + "".join(f"{line}\n{self._type(line)}" for line in commands) + "```"

    def _type(self, line: str) -> str:
        self.clock.tick(91)
        self._announce()
        return self._run(line)

    def _run(self, line: str) -> str:
        program, *argv = shlex.split(line.removeprefix("$ "))
        assert program == "keyring-rotate", f"only our own commands can be played: {line}"
        out = io.StringIO()
        main(argv, {}, out, out)
        self.old_ledger = self.old_ledger or self._ledger_rows()
        # A server that tests share has databases of others, and each retirement names them.
        told = re.sub(r"(?m)^(Not looked at|Read, but .*|Gone meanwhile):\n(  - .*\n)+", "", out.getvalue())
        return told.replace(str(self.folder), FOLDER)

    def _happen(self, event: str) -> None:
        self.clock.tick(3600)
        if event.endswith("restarts"):
            name = event.removesuffix(" restarts")
            for service in ("web-1", "web-2") if name == "everybody" else (name,):
                self.services[service] = self.settings()
        elif event.endswith("writes"):
            self._write(self.services[event.removesuffix(" writes")], datetime.now(UTC).timestamp())
        elif event == "a key is staged, promoted and run":
            for argv in (["keys", "stage"], ["keys", "promote"], ["run"]):
                self._announce()
                assert main(argv, {}, io.StringIO(), io.StringIO()) == 0
                self._happen("everybody restarts")
        elif event.startswith("the first backup is restored"):
            self.put_back(self.backup)
            if event.endswith("with the ledger"):
                self._fill_ledger(self.old_ledger)
        elif event == "the keys of before are restored":
            shutil.copy2(self.folder / ".env", self.folder / "today.env")
            shutil.copy2(self.folder / "before.env", self.folder / ".env")
        elif event == "the keys of today are found":
            shutil.copy2(self.folder / "today.env", self.folder / ".env")
        else:
            raise ValueError(event)

    def _announce(self) -> None:
        # At once: a tick takes back what has passed since the last one, and no service is to announce itself more often
        # than that, or `keys retire` waits for its next word.
        now = datetime.now(UTC)
        with Ledger.open(self.ledger_url) as ledger:
            for name, keys in self.services.items():
                previous, staged = tuple(key.id for key in keys.previous), keys.staged and keys.staged.id
                primary = keys.primary.id
                reads = [ReadRecord("billing", name, primary, now, opened=1, last_opened=now)]
                ledger.announce(InstanceRecord(name, "billing", primary, now, previous, staged), reads)

    def put_back(self, cells: list[dict[str, object]]) -> None:
        """The table holds *cells* and nothing else, as after a backup was restored."""
        self.database.execute("DELETE FROM user_credentials")
        self.database.insert("user_credentials", cells)

    def _ledger_rows(self) -> dict[str, list[dict[str, object]]]:
        with sa.create_engine(self.ledger_url, poolclass=sa.NullPool).connect() as ledger:
            return {
                name: [{each.key: row._mapping[each] for each in table.c} for row in ledger.execute(sa.select(table))]
                for name, table in schema.metadata.tables.items()
            }

    def _fill_ledger(self, rows: dict[str, list[dict[str, object]]]) -> None:
        with sa.create_engine(self.ledger_url, poolclass=sa.NullPool).begin() as ledger:
            for name, table in schema.metadata.tables.items():
                ledger.execute(sa.delete(table))
                if rows[name]:
                    ledger.execute(sa.insert(table), rows[name])

    def settings(self) -> Settings:
        values = dotenv_values(self.folder / ".env", interpolate=False)
        return load_settings({name: value or "" for name, value in values.items()})

    def _write(self, keys: Settings, time: float) -> None:
        self.rows += 1
        token = Keyring(*keys).primary.fernet.encrypt_at_time(b"sk-live-4242", int(time)).decode()
        self.database.insert("user_credentials", [{"id": self.rows, "api_key": token}])

    def _cells(self) -> list[dict[str, object]]:
        with self.database.engine.connect() as connection:
            found = connection.execute(sa.text("SELECT id, api_key FROM user_credentials"))
            return [dict(row._mapping) for row in found]


def runbook() -> str:
    """The text of all pages."""
    return PAGE_BREAK.join(page.read_text() for page in PAGES)


def without_times(text: str) -> str:
    """*text* as it is at any hour and at any speed, and with blanks at no line's end."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", lambda time: re.sub(r"\d", "0", time[0]), text)
    text = re.sub(r"\b\d+ (second|minute)s?\b", r"0 \1s", text)
    return "\n".join(line.rstrip() for line in text.splitlines())


if __name__ == "__main__":
    os.environ.pop("ROTATION_LEDGER_URL", None)
    with tempfile.TemporaryDirectory() as folder, open_database("sqlite", Path(folder)) as database:
        played = Stage(Path(folder), database).play(runbook())
    for page, text in zip(PAGES, played.split(PAGE_BREAK), strict=True):
        page.write_text("\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n")
