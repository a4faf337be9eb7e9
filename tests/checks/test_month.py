"""A month of nights: keys are staged, promoted and retired, one service lags, and a backup comes back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dotenv import dotenv_values
from freezegun import freeze_time

from keyring_core import Keyring
from keyring_core.config import load_keyring
from tests.conftest import Cli
from tests.databases import Database, open_database
from tests.keys import key_text

pytestmark = pytest.mark.database

FIRST = datetime(2028, 2, 15, 2, 0, tzinfo=UTC)
"""The month has a leap day."""
POLICY = '[policy]\nmax_staged_age = "2d"\nmax_left_age = "3d"\nmax_previous_age = "10d"\n'

EXPECTED = [
    *[[]] * 6,
    *[["key_age WARNING"]] * 3,
    ["key_age WARNING", "staged_key WARNING"],
    *[["lagging_services WARNING", "tokens_left OK"]] * 3,
    ["lagging_services CRITICAL", "tokens_left WARNING"],
    *[["previous_keys OK"]] * 6,
    ["previous_keys WARNING"],
    *[[]] * 5,
    ["retired_key CRITICAL", "unreadable CRITICAL"],
    ["retired_key CRITICAL", "unreadable WARNING"],
    *[[]] * 2,
]
"""The findings of each night, as an operator should have seen them."""


class Month:
    """An application of two services, its keys in a dotenv file, and an operator."""

    def __init__(self, cli: Cli, database: Database, folder: Path) -> None:
        self._cli, self._database = cli, database
        self._env, config = folder / ".env", folder / "rotation.toml"
        self._env.write_text(f"ENCRYPTION_KEY={key_text('first')}\n")
        self._env.chmod(0o600)
        config.write_text(f'[[target]]\nurl = "{database.url}"\ntable = "creds"\ncolumns = ["token"]\n{POLICY}')
        self._options = ("--env-file", str(self._env), "--config", str(config))
        database.make_creds([])
        self.prompt = self.late = self.keyring()
        """What the service that reloads at once holds, and the one that does not."""
        self.backup = ""

    def keyring(self) -> Keyring:
        """The keys of the dotenv file as it is now."""
        return load_keyring({name: value or "" for name, value in dotenv_values(self._env).items()})

    def type(self, *argv: str, code: int = 0) -> Any:
        """A command of the operator's, or of the scheduler."""
        ran = self._cli(*argv, *self._options, "--json", environ={})
        assert ran.code == code, ran.out + ran.err
        return ran.document

    def write(self) -> None:
        """Each service stores a credential; the first one reloads its keys."""
        self.prompt = self.keyring()
        for service in (self.prompt, self.late):
            with self._database.engine.begin() as connection:
                insert = sa.text("INSERT INTO creds (token) VALUES (:token)")
                connection.execute(insert, {"token": service.encrypt("sk-live-4242")})

    def check(self) -> list[str]:
        """The findings of a night."""
        ran = self._cli("check", *self._options, "--json", environ={})
        assert ran.code == ran.document["exit_code"]
        return sorted(f"{finding['check']} {finding['status']}" for finding in ran.document["findings"])

    # What the operator does by day.

    def stage(self) -> None:
        self.type("keys", "stage")

    def promote(self) -> None:
        self.type("keys", "promote")

    def run(self) -> None:
        self.type("run")

    def restart(self) -> None:
        """The late service loads its keys at last."""
        self.late = self.keyring()
        self.type("run")

    def retire(self) -> None:
        [previous] = [key.id for key, state in self.keyring().states.items() if state == "previous"]
        self.type("keys", "retire", previous, "--no-archive")

    def restore(self) -> None:
        """A row of the time before the rotation comes back from a backup."""
        self._database.execute("UPDATE creds SET token = :token WHERE id = 1", token=self.backup)

    def fix(self) -> None:
        """Its owner enters the credential again."""
        self._database.execute("DELETE FROM creds WHERE id = 1")


DAYS: dict[int, Callable[[Month], None]] = {
    6: Month.stage,
    9: Month.promote,
    10: Month.run,
    13: Month.restart,
    20: Month.retire,
    25: Month.restore,
    27: Month.fix,
}
"""What the operator does in the morning after a night."""


@pytest.mark.long
def test_a_month_of_nights(cli: Cli, tmp_path: Path) -> None:
    """Each night's findings are those that an operator should have seen: each in time, none too early, none left."""
    seen = []
    with open_database("sqlite", tmp_path) as database, freeze_time(FIRST - timedelta(days=330)) as clock:
        month = Month(cli, database, tmp_path)
        month.write()
        month.check()
        clock.move_to(FIRST - timedelta(hours=4))
        month.run()
        month.backup = database.column()[1]
        for night in range(len(EXPECTED)):
            clock.move_to(FIRST + timedelta(days=night, hours=-1))
            month.write()
            clock.move_to(FIRST + timedelta(days=night))
            seen.append(month.check())
            clock.move_to(FIRST + timedelta(days=night, hours=8))
            DAYS.get(night, lambda _: None)(month)

    assert seen == EXPECTED
    assert len(seen) == 30


def test_the_month_ends_with_nothing_lost(cli: Cli, tmp_path: Path) -> None:
    """The simulation is of real commands: at its end every credential opens with the keys that are left."""
    with open_database("sqlite", tmp_path) as database, freeze_time(FIRST) as clock:
        month = Month(cli, database, tmp_path)
        month.write()
        for step in (Month.stage, Month.promote, Month.restart, Month.retire):
            clock.tick(timedelta(hours=2))
            step(month)
            month.write()
        with closing(database.engine.raw_connection()):
            cells = database.column()

    assert len(month.keyring().states) == 1
    assert {month.keyring().decrypt(cell) for cell in cells.values()} == {"sk-live-4242"}
