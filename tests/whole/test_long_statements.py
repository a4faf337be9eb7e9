"""A signal while the database works on one statement for hours: a count under a `where` that no index serves."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import Named
from tests.databases import Database
from tests.fakes import token
from tests.keys import make_key
from tests.processes import PROGRAM, Command, end_of
from tests.warm.client import Program

pytestmark = pytest.mark.database

OLD = token("old")
FOR_HOURS = {
    "sqlite": "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n) > 0",
    "postgresql": "pg_sleep(99999) IS NOT NULL",
    "mariadb": "SLEEP(99999) = 0",
}
"""Conditions with which a statement does not end."""
AT_WORK = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE query ~ '99999' AND state = 'active' AND pid <> "
    "pg_backend_pid() AND datname = current_database()",
    "mariadb": "SELECT id FROM information_schema.processlist WHERE info LIKE '%99999%' AND id <> connection_id() "
    "AND db = database()",
}
"""Who works on such a statement in the test's own database."""
END = {"postgresql": "SELECT pg_terminate_backend({})", "mariadb": "KILL {}"}
SHORT = "from rotation.stores import watchdog; watchdog.STATEMENT_GRACE_SECONDS = 0.2"
"""A stop that was requested gives a statement a moment."""
LONG = "from rotation.stores import watchdog; watchdog.STATEMENT_GRACE_SECONDS = 99999"
COMMANDS: dict[str, tuple[str, ...]] = {
    "status": ("status",),
    "run": ("run",),
    "adopt": ("adopt",),
    "check": ("check",),
    "report": ("report", "--html", "page.html"),
    "retire": ("keys", "retire", make_key("old").id, "--archive", "old.keys"),
}


@pytest.fixture
def folder(database: Database, tmp_path: Path) -> Path:
    """A rotation.toml whose target takes hours to read."""
    database.make_creds([OLD])
    (tmp_path / "rotation.toml").write_text(
        f'[[target]]\nurl = "{database.url}"\ntable = "creds"\ncolumns = ["token"]\n'
        f'where = "{FOR_HOURS[database.kind]}"\n'
    )
    return tmp_path


@contextmanager
def at_work(database: Database, folder: Path, environ: dict[str, str], *argv: str, limits: str) -> Iterator[Command]:
    """A command that runs in *folder*, and waits for a statement."""
    log, out = folder / f"{argv[0]}.log", folder / f"{argv[0]}.out"
    words = [sys.executable, "-c", f"{limits}\n{PROGRAM}", *argv]
    with log.open("w") as stderr, out.open("w") as stdout:
        process = Program(words, env=environ, cwd=folder, stdout=stdout, stderr=stderr)
    with process:
        command = Command(process, out, log)
        command.until(_at_work(database), "a long statement")
        yield command
    if database.kind in AT_WORK:
        # A server notices late that its client has left.
        for (number,) in database.rows(AT_WORK[database.kind]):
            database.execute(END[database.kind].format(number))


def _at_work(database: Database) -> Callable[[], bool]:
    """Tells whether a statement is under way that goes on and on."""
    looks = []

    def look() -> bool:
        if database.kind in AT_WORK:
            return bool(database.rows(AT_WORK[database.kind]))
        looks.append(_is_read(database))
        return all(looks[-8:]) and len(looks) > 8

    return look


def _is_read(database: Database) -> bool:
    """Whether a statement reads the file at this moment."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        try:
            connection.exec_driver_sql("BEGIN EXCLUSIVE")
        except sa.exc.OperationalError:
            return True
        connection.exec_driver_sql("ROLLBACK")
    return False


def test_a_signal_ends_a_long_statement(
    database: Database, folder: Path, environ: dict[str, str], named: Named, *, long_form: bool
) -> None:
    """R11: each command ends with exit code 3, and says that it was stopped; nothing was changed."""
    short = ("status", "retire") if database.kind == "sqlite" else ("status",)
    for name in COMMANDS if long_form else short:
        with named(name), at_work(database, folder, environ, *COMMANDS[name], limits=SHORT) as command:
            command.process.send_signal(signal.SIGTERM)

            assert end_of(command.process, "the command") == 3
            assert "topped" in command.log + command.out_file.read_text()
            assert "Traceback" not in command.log

    assert database.column() == {1: OLD}


def test_a_second_signal_ends_a_long_statement_at_once(
    database: Database, folder: Path, environ: dict[str, str]
) -> None:
    """R11: though the first one gives it hours."""
    with at_work(database, folder, environ, "status", limits=LONG) as command:
        command.process.send_signal(signal.SIGINT)
        command.logs("Stopping")
        command.process.send_signal(signal.SIGINT)

        assert end_of(command.process, "the command") == 3
        assert "Stopped at once" in command.log
