"""A database server of a test's own, to be stopped and started at will."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from tests.databases import Database
from tests.processes import end_of, until

FAST_STOP = {"postgres": signal.SIGINT, "mariadbd": signal.SIGTERM}
CRASH = {"postgres": signal.SIGQUIT, "mariadbd": signal.SIGKILL}


class Server:
    """A server that runs as a child of this process. On Linux it ends when this process is killed."""

    def __init__(self, command: Sequence[str | Path], folder: Path, kind: str, url: str, user: str | None) -> None:
        """Starts it, and waits until it accepts connections. Its log is in *folder*."""
        self.database = Database(kind, url, sa.create_engine(url))
        self._log, self._user, program = folder / "log", user, Path(command[0]).name
        self._fast, self._crash = FAST_STOP[program], CRASH[program]
        setpriv = shutil.which("setpriv")
        ending = [setpriv, f"--pdeathsig={self._crash.name.removeprefix('SIG')}"] if setpriv else []
        self._command = [*ending, *command]
        # The kernel sends that signal when the thread that started the server ends, so one thread lives as long.
        self._starter = ThreadPoolExecutor(1)
        self.start()

    def restart(self, mode: str) -> None:
        """*mode* "fast" ends every connection; "immediate" is a crash with a recovery."""
        self.stop(mode)
        self.start()

    def stop(self, mode: str) -> None:
        """The same, without a start."""
        self._stop(self._fast if mode == "fast" else self._crash)

    def processes(self) -> list[int]:
        """The ids of its processes."""
        parent = self._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        return [parent, *map(int, children.split())]

    def close(self) -> None:
        """Ends it."""
        self.database.engine.dispose()
        self._stop(self._crash)
        self._starter.shutdown()

    def start(self) -> None:
        """Starts it, and waits until it accepts connections."""
        with self._log.open("ab") as log:
            start = partial(subprocess.Popen, self._command, user=self._user, stdout=log, stderr=log, cwd="/")
            self._process: subprocess.Popen[Any] = self._starter.submit(start).result()
        probe = sa.create_engine(self.database.url, poolclass=sa.NullPool)
        try:
            until(lambda: accepts(probe), "the first connection to the server", self._process, self._log)
        except AssertionError:
            self.close()
            raise

    def _stop(self, number: signal.Signals) -> None:
        self._process.send_signal(number)
        end_of(self._process, "the server", self._log)


def accepts(engine: sa.Engine) -> bool:
    """Whether the server takes a connection."""
    try:
        engine.connect().close()
    except DBAPIError:
        return False
    return True


@contextmanager
def own_postgres(*settings: str) -> Iterator[Server]:
    """A fresh server with *settings*; removed afterwards. Skips if there is no PostgreSQL program to start."""
    programs = _programs()
    # PostgreSQL does not run as root.
    user = "postgres" if os.geteuid() == 0 else None
    with _folder("chaos-postgres-") as folder:
        if user:
            shutil.chown(folder, user)
        port, data = _free_port(), folder / "data"
        _run([programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"], user)
        options = ["listen_addresses=127.0.0.1", f"port={port}", f"unix_socket_directories={folder}", *settings]
        command = [programs / "postgres", "-D", data, *(f"--{option}" for option in options)]
        url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
        with closing(Server(command, folder, "postgresql", url, user)) as server:
            yield server


@contextmanager
def standby_of(primary: Server) -> Iterator[Server]:
    """A standby of that PostgreSQL server; removed afterwards."""
    programs, user = _programs(), "postgres" if os.geteuid() == 0 else None
    with _folder("chaos-standby-") as folder:
        if user:
            shutil.chown(folder, user)
        port, data = _free_port(), folder / "data"
        of = ["-h", "127.0.0.1", "-p", str(sa.make_url(primary.database.url).port), "-U", "postgres"]
        _run([programs / "pg_basebackup", *of, "-D", data, "-R", "-X", "stream", "-c", "fast", "--no-sync"], user)
        options = ["listen_addresses=127.0.0.1", f"port={port}", f"unix_socket_directories={folder}", "fsync=off"]
        command = [programs / "postgres", "-D", data, *(f"--{option}" for option in options)]
        url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
        with closing(Server(command, folder, "postgresql", url, user)) as server:
            yield server


@contextmanager
def own_mariadb(*settings: str) -> Iterator[Server]:
    """A fresh server with *settings*; removed afterwards. Skips if there is no MariaDB program to start."""
    install, program = shutil.which("mariadb-install-db"), shutil.which("mariadbd", path="/usr/sbin:/usr/bin")
    if install is None or program is None:
        pytest.skip("no MariaDB programs to start a server of its own with")
    with _folder("chaos-mariadb-") as folder:
        port, made, temporary = _free_port(), folder / "made.sql", folder / "temporary"
        # Servers that share a folder for temporary tables delete those of each other.
        temporary.mkdir()
        data = [f"--datadir={folder / 'data'}", f"--tmpdir={temporary}"]
        _run([install, "--no-defaults", *data, "--auth-root-authentication-method=normal", "--skip-test-db"])
        made.write_text("CREATE DATABASE IF NOT EXISTS chaos CHARACTER SET utf8mb4;\n")
        options = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder / 'socket'}", "--user=root"]
        further = [f"--{setting}" for setting in settings]
        command = [program, "--no-defaults", *data, *options, f"--init-file={made}", *further]
        url = f"mysql+pymysql://root@127.0.0.1:{port}/chaos?charset=utf8mb4"
        with closing(Server(command, folder, "mariadb", url, None)) as server:
            yield server


@contextmanager
def _folder(prefix: str) -> Iterator[Path]:
    """A folder with a short path: a socket's path is bounded."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _programs() -> Path:
    """The folder of initdb and postgres. As root, only an account named postgres can run them."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = found[-1] if found else shutil.which("initdb")
    if initdb is None:
        pytest.skip("no PostgreSQL programs to start a server of its own with")
    if os.geteuid() == 0 and "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip("PostgreSQL does not run as root, and there is no account named postgres")
    return Path(initdb).parent


def _run(command: Sequence[str | Path], user: str | None = None) -> None:
    subprocess.run(command, user=user, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/")
