"""Runs the commands of an example's page as they are written, in an empty folder."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "examples"
NAMES = ("celery", "django", "fastapi", "flask")
CREDENTIAL = "sk-live-Zq3vK9tLxW7eRb-4242"
"""What each page stores."""


def page(name: str) -> str:
    """The page of the example."""
    return (FOLDER / name / "README.md").read_text()


def steps(name: str) -> list[str]:
    """The blocks of commands on the page. The first one installs the example."""
    return re.findall(r"^```sh\n(.*?)^```", page(name), re.DOTALL | re.MULTILINE)


def store_again(name: str) -> str:
    """The command of the page that stores something, once more: it fails, with a traceback in the service's log."""
    [command] = re.findall(rf"^(?:.*\\\n)?.*{CREDENTIAL}.*$", page(name), re.MULTILINE)
    # curl would try again after an error of the server, too.
    return f"if {command.replace('--retry 30', '--retry 0')}; then exit 90; fi\n"


@dataclass
class Played:
    """A page whose commands have run."""

    folder: Path
    code: int
    output: str

    def key(self) -> str:
        """The one key that is in force now."""
        return (self.folder / "keys" / "primary").read_text().strip()

    def keys(self) -> set[str]:
        """Every key that there ever was, in a rotation that kept the old one in retired.keys."""
        files = [*(self.folder / "keys").iterdir(), self.folder / "retired.keys"]
        return set(re.findall(r"^[\w-]{43}=", "\n".join(path.read_text() for path in files), re.MULTILINE))

    def texts(self) -> dict[str, str]:
        """What the commands printed, and every file that they left and that is not there to hold a key, by name."""
        files = [path for path in self.folder.rglob("*") if path.is_file() and path.name != "retired.keys"]
        names = {path.relative_to(self.folder): path for path in files}
        read = {str(name): path.read_bytes() for name, path in names.items() if name.parts[0] not in (".venv", "keys")}
        return {"the output": self.output, **{name: found.decode("latin-1") for name, found in read.items()}}


def play(name: str, folder: Path, environ: Mapping[str, str]) -> Played:
    """Runs the page of the example in *folder*, with *environ*, to its first failure.

    In place of its installation: the files of the example, and this Python's environment. What it stores is stored
    again, which has to fail.
    """
    shutil.copytree(FOLDER / name, folder, dirs_exist_ok=True)
    (folder / "README.md").unlink()
    (folder / ".venv").symlink_to(sys.prefix)
    unset = ("ENCRYPTION_", "ROTATION_", "DB_", "DATABASE_URL", "DJANGO_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    given = {**inherited, "PYTHONPATH": str(ROOT), "PORT": str(_free_port()), **environ}
    _, key, store, *rest = steps(name)
    script = "".join(["set -euo pipefail\n", key, store, store_again(name), *rest])
    with (folder.parent / "output").open("w+") as output:
        process = subprocess.Popen(
            ["bash", "-c", script], cwd=folder, env=given, stdin=-3, stdout=output, stderr=-2, start_new_session=True
        )
        try:
            code = process.wait(timeout=120)
        finally:
            # If a command fails, the service that the page started is left.
            _end_session(process)
        output.seek(0)
        return Played(folder, code, output.read())


def environ_of(name: str, url: str) -> dict[str, str]:
    """The variables by which the example's program finds the database at *url*."""
    parts = sa.make_url(url)
    if name != "django":
        return {"DATABASE_URL": url.replace("sqlite:", "sqlite+aiosqlite:") if name == "fastapi" else url}
    engine = {"sqlite": "sqlite3"}.get(parts.get_backend_name(), parts.get_backend_name())
    found = {"NAME": parts.database, "USER": parts.username, "HOST": parts.host, "PORT": parts.port}
    return {"DB_ENGINE": engine, **{f"DB_{key}": str(value) for key, value in found.items() if value}}


def _end_session(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
