"""Plays the pages for bad days: each begins with a folder, a database and two services of its own.

`python -m tests.lifecycle.bad_days` writes what their commands print into the pages.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from dotenv import dotenv_values

from keyring_core.environment import load_settings
from rotation.cli.main import main
from tests.databases import Database, open_database
from tests.lifecycle.runbook import FOLDER, HOW_TO, Stage
from tests.project.documents import ROOT

PAGES = [HOW_TO / f"{name}.md" for name in ("key-is-lost", "two-rotations-at-once", "forgotten-service")]
PID = "4242"
"""The process of a service, as the pages call it."""


class BadDay(Stage):
    """Also types other programs' commands, on one of several hosts, whose folders are alike."""

    def __init__(self, folder: Path, database: Database) -> None:
        super().__init__(folder, database)
        self._base = self.folder
        self.cells = self.backup
        self.forgotten = self.settings()
        self._processes: list[subprocess.Popen[bytes]] = []
        env = (self.folder / ".env").read_text()
        if "ROTATION_LEDGER_URL" not in env:
            (self.folder / ".env").write_text(f"{env}ROTATION_LEDGER_URL='{self.ledger_url}'\n")

    def close(self) -> None:
        """Ends the processes of its services."""
        for process in self._processes:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def _run(self, line: str) -> str:
        if line.removeprefix("$ ").startswith("keyring-rotate "):
            return super()._run(line)
        for process in self._processes:
            line = line.replace(PID, str(process.pid))
        bash = ["bash", "-euo", "pipefail", "-c", line.removeprefix("$ ").replace(FOLDER, str(self._base))]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        env = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
        return subprocess.run(bash, cwd=self.folder, env=env, check=True, capture_output=True, text=True).stdout

    def _happen(self, event: str) -> None:
        name, _, rest = event.partition(" ")
        if happening := EVENTS.get(event):
            self.clock.tick(3600)
            happening(self)
        elif rest.startswith("is the host"):
            self.folder = self._base if name == "web-1" else self._base / name
            os.chdir(self.folder)
        else:
            super()._happen(event)

    def _announce(self) -> None:
        announced, self.services = self.services, {name: keys for name, keys in self.services.items() if name != SILENT}
        super()._announce()
        self.services = announced

    def keep(self, name: str, *, of: str = ".env") -> None:
        """Copies a file of this host, with its mode."""
        shutil.copy2(self.folder / of, self.folder / name)

    def do(self, *argv: str, code: int = 0) -> None:
        """Types a command whose output no page shows."""
        self._announce()
        assert main(list(argv), {}, io.StringIO(), io.StringIO()) == code

    def start(self, service: str) -> None:
        """A process of *service* that has its keys in its environment."""
        env = {name: value or "" for name, value in dotenv_values(self.folder / ".env", interpolate=False).items()}
        self._processes.append(subprocess.Popen(["sleep", "infinity"], env=env | {"PATH": os.environ["PATH"]}))
        self._happen(f"{service} restarts")

    def settings_in(self, name: str) -> None:
        """All services have the keys of that file of this host."""
        values = {key: value or "" for key, value in dotenv_values(self.folder / name, interpolate=False).items()}
        self.services = dict.fromkeys(self.services, load_settings(values))


def _lose_the_key(day: BadDay) -> None:
    """A key is promoted, a service writes with it, and then .env is an old copy. One process still runs."""
    day.keep("old.env")
    day.do("keys", "stage")
    day.do("keys", "promote")
    day.start("web-2")
    for _ in range(2):
        day._happen("web-2 writes")
    day.do("check")
    day.services.clear()
    day.keep(".env", of="old.env")
    day.keep("lost.env")
    day.cells = day._cells()


def _lose_it_again(day: BadDay) -> None:
    day.keep(".env", of="lost.env")
    day.put_back(day.cells)


def _stage_twice(day: BadDay) -> None:
    """Two hosts with the same keys; an admin on each stages a key."""
    (day.folder / "web-2").mkdir()
    for name in (".env", "rotation.toml"):
        day.keep(f"web-2/{name}", of=name)
    day._happen("everybody restarts")
    for host in ("web-1", "web-2"):
        day._happen(f"{host} is the host")
        day.do("keys", "stage")
        day._happen(f"{host} restarts")
    day._happen("web-1 is the host")


def _promote_twice(day: BadDay) -> None:
    """Each host's key is promoted, and both services write."""
    for host in ("web-1", "web-2"):
        day._happen(f"{host} is the host")
        staged = str(day.settings().staged and day.settings().staged.id)
        day.do("keys", "promote", "--force", staged)
        day._happen(f"{host} restarts")
        for _ in range(2):
            day._happen(f"{host} writes")
    day._happen("web-1 is the host")
    day.do("run", code=1)


def _forget(day: BadDay) -> None:
    """The key is changed and everything rotated; one service, which does not announce, has the keys of before."""
    day.services = {SILENT: day.settings()}
    day._happen("everybody restarts")
    day._happen("a key is staged, promoted and run")
    _write_unnoticed(day)


def _forget_another(day: BadDay) -> None:
    """One more service still has the key that was the first."""
    day.services[SILENT] = day.forgotten
    _write_unnoticed(day)


def _write_unnoticed(day: BadDay) -> None:
    day.forgotten = day.services[SILENT]
    for _ in range(2):
        day._happen(f"{SILENT} writes")


def _have_no_key(day: BadDay) -> None:
    env = day.folder / ".env"
    lines = env.read_text().splitlines(keepends=True)
    env.write_text("".join(line for line in lines if not line.startswith("ENCRYPTION_")))


def _start_with_a_new_key(day: BadDay) -> None:
    day.do("keys", "list")
    day.keep(".env", of="lost.env")


EVENTS: dict[str, Callable[[BadDay], None]] = {
    "a key is promoted, and lost": _lose_the_key,
    "the key is lost again": _lose_it_again,
    "no key is left": _have_no_key,
    "the services start, and the key of before was left": _start_with_a_new_key,
    "each of two admins stages a key": _stage_twice,
    "each of them promotes it": _promote_twice,
    "a service is forgotten": _forget,
    "another service is forgotten": _forget_another,
    "the file of web-1 is copied here": lambda day: day.keep("web-1.env", of="../.env"),
}
SILENT = "reports"
"""A service that does not announce its keys."""


def played(page: Path, folder: Path, database: Database) -> str:
    """The page with what its commands print now."""
    day = BadDay(folder, database)
    try:
        return day.play(page.read_text())
    finally:
        day.close()


def _write() -> None:
    """Writes the pages."""
    os.environ.pop("ROTATION_LEDGER_URL", None)
    for page in PAGES:
        with tempfile.TemporaryDirectory() as folder, open_database("sqlite", Path(folder)) as database:
            text = played(page, Path(folder), database)
        page.write_text("\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n")


if __name__ == "__main__":
    _write()
