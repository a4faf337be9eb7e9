"""An installation with one of each file that an output could destroy, and the commands that write outputs."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

from rotation.ledger.ledger import Ledger
from tests.conftest import Cli, Ran
from tests.fakes import token
from tests.keys import key_text, make_key

ID, OLDER = make_key("old").id, make_key("older").id

CONFIG = """\
env_file = ".env"

[[target]]
url = "sqlite:///app.db"
table = "creds"
columns = ["token"]

[keys.redash]
primary = { secret = "$REDASH_SECRET", derive = "sha256" }
previous = [{ file = "redash-secret", derive = "sha256" }]
staged = { file = "redash-staged", derive = "sha256" }
"""
ENV = f"ENCRYPTION_KEY={key_text('new')}\nREDASH_SECRET=of another application\n"
ENVIRON = {"ENCRYPTION_PREVIOUS_KEYS_FILE": "previous.key"}
STAGED = {"ENCRYPTION_STAGED_KEY_FILE": "staged.key"}
"""Only commands that change keys start without that file."""

PRECIOUS = (
    ".env",
    "previous.key",
    "redash-secret",
    "rotation.toml",
    "app.db",
    "rotation-ledger.db",
    "older.json",
    "retired.keys",
    "emptied.keys",
)
"""Files that are there: keys, secrets, databases, a certificate of another key, archives that the ledger knows."""
AWAITED = (
    "staged.key",
    "redash-staged",
    "moved.keys",
    "app.db-wal",
    "app.db-shm",
    "app.db-journal",
    "rotation-ledger.db-wal",
)
"""Files that are not there, and whose places are kept for them."""
ARCHIVES = ("retired.keys", "emptied.keys", "moved.keys")

UNRELATED: Mapping[str, bytes] = {
    "notes.txt": b"Dear diary,\nnothing was rotated today.\n",
    "photo.png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)),
    "deploy.sh": b"#!/bin/sh\nset -e\ndocker compose up -d\n",
    "page.html": b"<!doctype html>\n<html><head><title>Key rotation: how we do it</title></head></html>\n",
    "lines.jsonl": b'{"table": "orders", "rows": 3}\n',
    "node.prom": b"# HELP node_load1 1m load average.\nnode_load1 0.5\n",
    "settings.json": b'{"certificate": "/etc/ssl/a.pem", "key": "/etc/ssl/a.key"}\n',
    "other.keys": f"# of another service\n{key_text('older')}\n".encode(),
}
"""A user's own files, some of which look a little like an output."""

WRITING: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("run", "--problems"): ("--dry-run", "--pause-file", "paused"),
    ("adopt", "--problems"): ("--yes",),
    ("report", "--html"): (),
    ("check", "--prometheus"): (),
    ("keys retire", "--certificate"): (ID, "--no-archive", "--force", ID),
    ("keys retire", "--archive"): (ID, "--force", ID),
    ("init", "--config"): ("--url", "sqlite:///app.db", "--env-file", "new.env", "--new-key"),
    ("init", "--env-file"): ("--url", "sqlite:///app.db", "--config", "new.toml", "--new-key"),
    ("demo", "--keep"): (),
    ("ledger keygen", "file"): (),
}
"""Each option that names a file to write, with what else its command takes."""
READING = {
    *("--config", "--env-file", "--pause-file", "keys restore --archive", "keys derive --file"),
    *("--sign-with", "--public", "ledger verify certificate"),
}
"""Options that name a file to read; of `init` the first two are in the other table."""


def _changes_keys(command: str) -> bool:
    return command.startswith(("keys", "init", "demo"))


def is_in_place(output: tuple[str, str], name: str) -> bool:
    """Whether that output may be at *name*: it is added to such a file, or the command does not know of this one."""
    archives = output == ("keys retire", "--archive") and name in ARCHIVES
    unknown = name == "staged.key" and not _changes_keys(output[0])
    # They read no target, and so know of no database.
    unknown = unknown or (output[0] in {"demo", "ledger keygen"} and name.startswith("app.db-"))
    return archives or unknown or (output == ("init", "--env-file") and name == ".env")


class Estate:
    """The files are in the current folder, which is *folder*."""

    def __init__(self, folder: Path, cli: Cli) -> None:
        self.folder, self._cli = folder, cli
        (folder / "sub").mkdir()
        self.put("rotation.toml", CONFIG.encode())
        self.put(".env", ENV.encode())
        self.put("previous.key", key_text("old").encode())
        self.put("redash-secret", b"of last year")
        self.put("retired.keys", f"# {OLDER}, retired 2026-01-31 12:00 UTC\n{key_text('older')}\n".encode())
        self.put("emptied.keys", b"")
        self.put("older.json", b'{\n  "certificate": 1,\n  "key": "%s"\n}\n' % OLDER.encode())
        for name, data in UNRELATED.items():
            self.put(name, data)
        for name in ("app.db", "strange.db"):
            with closing(sqlite3.connect(folder / name)) as connection, connection:
                connection.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT)")
                connection.execute("INSERT INTO creds VALUES (1, ?), (2, ?)", [token("new"), token("new")[:50]])
        with Ledger.open(f"sqlite:///{folder}/rotation-ledger.db") as ledger:
            for name in ARCHIVES:
                ledger.keep_certificate({"key": name, "service": "elsewhere", "archive": str(folder / name)})

    def put(self, name: str, data: bytes) -> None:
        """Writes a file that its owner alone can read."""
        path = self.folder / name
        path.touch(0o600)
        path.write_bytes(data)

    def run(self, command: str, *argv: str, environ: Mapping[str, str] = MappingProxyType({})) -> Ran:
        """Runs a command, with *environ* besides."""
        staged = STAGED if _changes_keys(command) else {}
        return self._cli(*command.split(), *argv, environ={**ENVIRON, **staged, **environ})

    def write(self, output: tuple[str, str], path: str) -> Ran:
        """Runs the command that has this output, to be written to *path*."""
        command, option = output
        return self.run(command, *WRITING[output], *([option] if option.startswith("-") else []), path)

    def files(self) -> dict[str, bytes | None]:
        """All that is in the folder, with the bytes of each file."""
        found = sorted(self.folder.rglob("*"))
        return {str(path.relative_to(self.folder)): path.read_bytes() if path.is_file() else None for path in found}

    def restore(self, files: Mapping[str, bytes | None]) -> None:
        """Makes the folder hold *files* again, after an output that was not refused."""
        for name in self.files().keys() - files:
            path = self.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for name, data in files.items():
            path = self.folder / name
            if data is not None and not (path.exists() and path.read_bytes() == data):
                self.put(name, data)


def spellings(folder: Path, name: str) -> Mapping[str, str]:
    """The ways to name the file *name*: each word for one, and the path."""
    path = folder / name
    (folder / "soft").unlink(missing_ok=True)
    (folder / "soft").symlink_to(name)
    ways = {"its name": name, "through a folder": f"./sub/../{name}", "a symbolic link": "soft", "whole": str(path)}
    if path.exists():
        (folder / "hard").unlink(missing_ok=True)
        (folder / "hard").hardlink_to(path)
        ways["a hard link"] = "hard"
    return ways
