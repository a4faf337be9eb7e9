"""Draws docs/run.svg, the moving picture in the README: a rotation beside a service that keeps reading and writing.

`python .ci/draw_run.py` makes the practice database of `keyring-rotate demo --keep`, brings it under one key, and then
records a real rotation: what a terminal shows, how many tokens are under which key, and what the service did meanwhile.
Key ids and counts differ each time.
"""

from __future__ import annotations

import json
import os
import pty
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from pathlib import Path

from keyring_core import Keyring, KeyringError

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / ".ci"))

from rotation_picture import Step, draw  # noqa: E402 - it is beside this file

PICTURE = ROOT / "docs" / "run.svg"
SMALLER = "DELETE FROM user_credentials WHERE id IN (812, 4077) OR id > 8000"
"""Leaves out the rows that are broken on purpose, and what would take long beside a service."""


def main() -> None:
    """Writes the picture."""
    PICTURE.write_text(draw(record()))
    print(f"wrote {PICTURE.relative_to(ROOT)}")


def record() -> list[Step]:
    """The steps of a rotation that was made for this."""
    with tempfile.TemporaryDirectory() as folder:
        practice = Path(folder) / "practice"
        _type(f"demo --keep {practice}", Path(folder))
        with closing(sqlite3.connect(practice / "app.db")) as connection, connection:
            connection.execute(SMALLER)
        _type("run", practice)
        old, older = _key_ids(practice)
        _type(f"keys retire {older} --no-archive", practice)
        service = Service(practice)
        service.start()
        try:
            steps = []
            for command in ("status", "keys stage", "keys promote", "run", f"keys retire {old} --archive old.keys"):
                printed = _type(command, practice)
                service.restart()
                steps.append(service.step(f"keyring-rotate {command}", _shown(printed), old))
        finally:
            service.stop()
    return steps


class Service(threading.Thread):
    """A service beside the rotation: reads rows, writes one now and then, and counts what failed."""

    def __init__(self, folder: Path) -> None:
        """*folder* has its database and the dotenv file with its keys."""
        super().__init__()
        self.folder = folder
        self.reads = self.writes = self.failed = 0
        self._ended = threading.Event()
        self.restart()

    def restart(self) -> None:
        """Reads the keys again, as a service does that starts."""
        lines = (self.folder / ".env").read_text().splitlines()
        self.keyring = Keyring.from_env(dict(line.split("=", 1) for line in lines if line[:1] not in ("", "#")))

    def run(self) -> None:
        """Reads and writes until it is stopped."""
        with closing(sqlite3.connect(self.folder / "app.db", timeout=60, isolation_level=None)) as connection:
            ids = [number for (number,) in connection.execute("SELECT id FROM user_credentials")]
            while not self._ended.wait(0.002):
                number = random.choice(ids)  # noqa: S311 - any row will do
                self._work(connection, number, writes=self.reads % 4 == 0)

    def _work(self, connection: sqlite3.Connection, number: int, *, writes: bool) -> None:
        try:
            [token] = connection.execute("SELECT api_key FROM user_credentials WHERE id = ?", (number,)).fetchone()
            text = self.keyring.decrypt(token)
            self.reads += 1
            if writes:
                change = "UPDATE user_credentials SET api_key = ? WHERE id = ?"
                connection.execute(change, (self.keyring.encrypt(f"{text[:20]} changed"), number))
                self.writes += 1
        except (KeyringError, sqlite3.Error):
            self.failed += 1

    def stop(self) -> None:
        """Ends it."""
        self._ended.set()
        self.join()

    def step(self, command: str, printed: list[str], old: str) -> Step:
        """What is there now, after *command*. Waits until the service has worked with the keys that it has."""
        target = self.writes + 40
        while self.writes < target and not self.failed:
            self._ended.wait(0.01)
        with closing(sqlite3.connect(self.folder / "app.db")) as connection:
            tokens = [token for (token,) in connection.execute("SELECT api_key FROM user_credentials")]
        known = [key.id for key in self.keyring.identify_many(tokens) if key]
        return Step(
            command, printed, known.count(old), len(tokens) - known.count(old), self.reads, self.writes, self.failed
        )


def _shown(printed: str) -> list[str]:
    """The lines of *printed* that say what was done, each up to the end of what is the point."""
    lines = re.findall(
        r"^(?:[0-9a-f]{8} +(?:primary|previous) .*|(?:Staged|Promoted|Rotated|Retired|Give) .*)$", printed, re.M
    )
    return [re.split(r"(?<=\.) Written|: every token| \(|(?<=\.) Then|(?<=\.) When| +[━─]", line)[0] for line in lines]


def _key_ids(folder: Path) -> list[str]:
    return [key["id"] for key in json.loads(_type("keys list --json", folder))["keys"]]


def _type(command: str, folder: Path) -> str:
    """What `keyring-rotate` *command* prints on a terminal."""
    main_end, terminal = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("ENCRYPTION_", "ROTATION_"))}
    environ |= {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "200"}
    program = [str(Path(sys.executable).with_name("keyring-rotate")), *command.split()]
    process = subprocess.Popen(  # noqa: S603 - this program
        program, cwd=folder, env=environ, stdout=terminal, stderr=subprocess.DEVNULL, stdin=terminal
    )
    os.close(terminal)
    printed = b""
    while True:
        try:
            piece = os.read(main_end, 4096)
        except OSError:  # the program has closed its end
            break
        if not piece:
            break
        printed += piece
    process.wait()
    os.close(main_end)
    return printed.decode().replace("\r\n", "\n")


if __name__ == "__main__":
    main()
